"""Paths of several sizes: what is assigned, what gets through, what happens when one shrinks."""
import json
import os

import pytest

from gateway import AGENT_TUN, RELAY_TUN
from process import until
from world import HERE, PYTHON, program

ALL = '''version: "1.0"
metadata: { name: mtu, description: everything is allowed }
default_action: deny
clients:
  client-1:
    rules:
      - { id: everything, type: default, action: allow }
'''
SERVER = '1.1.1.1'
SERVER6 = '2606:4700::1111'
RELAY_INSIDE = '10.100.0.1'


def device(gateway):
    return gateway.world['agent-1'].json('ip', '-j', 'link', 'show', 'dev', AGENT_TUN)[0]['mtu']


def status(gateway):
    return json.loads(gateway.world['agent-1'].run(program('gatehouse-agent'), 'status', '--json', '-c',
                                                   gateway.world.path('examples', 'agent-1.yaml')).stdout)


@pytest.fixture(scope='module')
def boxed(gateway):
    gateway.policy(ALL)
    gateway.file_hash = gateway.world.serve(4 << 20)
    gateway.box = gateway.world.box(1)
    gateway.world['relay'].start_peer('echo', 'listen', '7')
    yield gateway


@pytest.fixture
def road(boxed):
    """The box does nothing, the relay runs, and no host remembers what an earlier path carried: a sender that was told once makes no large
    packet for ten minutes, so nobody would see its path shrink."""
    boxed.box.clear()
    for name in ('agent-1', 'relay', 'internet'):
        for family in ('-4', '-6'):
            boxed.world[name].run('ip', family, 'route', 'flush', 'cache')
    boxed.start_relay()
    yield boxed
    boxed.stop()
    boxed.box.clear()


def message(words):
    return lambda line: words in str(line.data.get('message'))


@pytest.mark.parametrize('size, families, inner', [(1280, 1, 1166), (1300, 1, 1166), (1362, 2, 1297), (1500, 2, 1418)])
def test_ipv6_is_assigned_where_it_fits(road, size, families, inner):
    road.box.mtu(size)
    agent = road.start_agent(1, families=families, wait=False)
    road.wait_tunnel(1, families=families)
    assert len(road.addresses(1)) == families
    if families == 1:
        assert ':' not in road.addresses(1)[0]
        road.relay.wait_line(message('too narrow for IPv6'))
        agent.wait_line(message('refused an address'))
    until(lambda: status(road)['tunnel_mtu'] == inner, 10, 'the tunnel carries %d: %s' % (inner, status(road)['tunnel_mtu']))
    until(lambda: device(road) == inner // 8 * 8, 10, 'the device follows')
    got = road.world['agent-1'].peer('get', 'http://%s/file' % SERVER)
    assert got['sha256'] == road.file_hash


def test_the_agent_says_why_there_is_no_ipv6(road):
    road.box.mtu(1280)
    agent = road.start_agent(1, families=1, wait=False)
    line = agent.wait_line(message('no IPv6 through this tunnel'))
    assert 'IPv6 needs 1314' in line.data['reason']
    told = status(road)['ipv6']
    assert told == {'assigned': False, 'reason': line.data['reason']}
    text = road.world['agent-1'].run(program('gatehouse-agent'), 'status', '-c', road.world.path('examples', 'agent-1.yaml')).stdout
    assert [row for row in text.splitlines() if row.startswith('ipv6') and 'none: ' + line.data['reason'] in row]


def test_an_agent_whose_own_direction_is_narrow_asks_for_ipv4_alone(road):
    """The relay's direction carries IPv6, so only the agent can know."""
    road.box.mtu(1280, way='up')
    agent = road.start_agent(1, families=1, wait=False)
    line = agent.wait_line(lambda line: message('no IPv6 through this tunnel')(line) and 'to the relay' in line.data['reason'], 20)
    until(lambda: [address for address in road.addresses(1) if ':' in address] == [], 10, 'IPv4 alone is there')
    assert status(road)['ipv6'] == {'assigned': False, 'reason': line.data['reason']}
    until(lambda: device(road) == 1160, 10, 'the device follows')
    answer = road.world['agent-1'].peer('bulk', SERVER, str(1 << 20))
    assert answer['bytes'] == 1 << 20 and answer['sent'] == answer['received']


def test_jumbo_frames_are_used(road):
    road.stop()
    hosts = [(name, link['ifname']) for name in ('agent-1', 'wan', 'relay', 'internet')
             for link in road.world[name].json('ip', '-j', 'link', 'show') if link['ifname'] != 'lo']
    for name, link in hosts:
        road.world[name].run('ip', 'link', 'set', link, 'mtu', 9000)
    try:
        road.start_relay(relay__mtu=8900)
        road.start_agent(1, agent__mtu=8900)
        until(lambda: status(road)['tunnel_mtu'] >= 8900, 10, 'the tunnel carries 8900: %s' % status(road)['tunnel_mtu'])
        received, said = road.world['agent-1'].ping(SERVER, 3, size=8900 - 28)
        assert received == 3, said
        assert road.world['agent-1'].peer('get', 'http://%s/file' % SERVER)['sha256'] == road.file_hash
    finally:
        road.stop()
        for name, link in hosts:
            road.world[name].run('ip', 'link', 'set', link, 'mtu', 1500)
        road.start_relay()


class Transfer:
    """One TCP connection inside, both ways at once, that lasts some seconds and has begun."""

    def __init__(self, road, server=SERVER):
        self.road, self.mark = road, road.relay.mark()
        road.box.rate(16000000, 200000)
        self.size = 5 << 20
        before = self.carried()
        self.peer = road.world['agent-1'].start('bulk-%d' % road.world.starts, PYTHON, os.path.join(HERE, 'traffic.py'), 'bulk', server, str(self.size))
        until(lambda: self.carried() - before > self.size // 4, 20, 'a quarter is there')

    def carried(self):
        return self.road.box.stats()['down']['bytes_out']

    def ends_well(self):
        answer = self.peer.wait_line('"received"', 40).data
        assert answer['bytes'] == self.size and answer['sent'] == answer['received']
        opened = self.road.relay.audit(since=self.mark, message='flow opened', protocol='tcp')
        assert len(opened) == 1, 'one inner TCP connection'


WAYS = ['up', 'down', 'both']


@pytest.mark.parametrize('server', [SERVER, SERVER6])
@pytest.mark.parametrize('way', WAYS)
def test_a_transfer_goes_on_when_the_path_shrinks_and_ipv6_still_fits(road, way, server):
    agent = road.start_agent(1)
    transfer = Transfer(road, server)
    road.box.mtu(1362, way=way)
    transfer.ends_well()
    assert len(road.addresses(1)) == 2
    assert not agent.find(message('tunnel was aborted'))


@pytest.mark.parametrize('size, server', [(1280, SERVER), (1300, SERVER), (1280, RELAY_INSIDE)])
@pytest.mark.parametrize('way', WAYS)
def test_a_path_that_shrinks_below_costs_ipv6_and_nothing_else(road, way, size, server):
    """The tunnel is aborted; the next one is of the same connection and session, with the same IPv4 address alone; the flow inside goes on."""
    agent = road.start_agent(1)
    before, session = road.v4(1), road.sessions()[0]['id']
    transfer = Transfer(road, server)
    road.box.mtu(size, way=way)
    agent.wait_line(message('another one is asked for at once'), 20)
    until(lambda: road.addresses(1) == [before], 10, 'IPv4 alone is assigned')
    agent.wait_line(message('no IPv6 through this tunnel'), 10)
    transfer.ends_well()
    assert [row['id'] for row in road.sessions()] == [session]
    assert not agent.find(message('tunnel lost')) and len(agent.find(message('connected'))) == 1
    assert not status(road)['ipv6']['assigned'] and status(road)['ipv6']['reason']
    until(lambda: device(road) < 1280 or way == 'down', 10, 'the device follows what the agent may send')


def test_short_packets_show_a_black_hole_too(road):
    """No packet inside is longer than 300 bytes; those that carry several of them, which are sent together, are."""
    road.start_agent(1)
    sink = road.world['internet'].start_peer('sink-%d' % road.world.starts, 'sink', '9', road.world.path('arrivals'))
    road.box.delay(5)
    road.box.mtu(1362)
    flow = road.world['agent-1'].peer('flow', SERVER, '9', '300', '4000', '6', '8', timeout=60)
    got = sink.wait_line('"flow"', 20).data
    assert flow['failed'] == 0
    with open(road.world.path('arrivals'), encoding='ascii') as file:
        late = {number for number, _ in json.load(file) if number >= flow['sent'] // 2}
    assert len(late) == flow['sent'] - flow['sent'] // 2, got


def move(host, old, new):
    host.run('ip', 'address', 'delete', old + '/64', 'dev', 'eth0')
    host.run('ip', 'address', 'add', new + '/64', 'dev', 'eth0', 'nodad')
    host.run('ip', '-6', 'route', 'replace', 'default', 'via', '2001:db8:1::1')


def test_ipv6_comes_back_with_the_path(road):
    """The agent's address, and so the path, is another one, which carries more."""
    road.box.mtu(1280)
    agent = road.start_agent(1, families=1, wait=False)
    road.wait_tunnel(1, families=1)
    agent.wait_line(message('no IPv6 through this tunnel'))
    road.box.clear()
    host = road.world['agent-1']
    move(host, '2001:db8:1::2', '2001:db8:1::77')
    try:
        agent.wait_line(message('another connection measures it'), 20)
        agent.wait_line(message('connected'), 20, count=2)
        until(lambda: len(road.addresses(1)) == 2, 20, 'IPv6 is assigned')
        assert host.ping(SERVER6, 3)[0] == 3
        assert status(road)['ipv6'] == {'assigned': True, 'reason': ''}
        assert device(road) >= 1280
    finally:
        move(host, '2001:db8:1::77', '2001:db8:1::2')


def test_the_relays_own_kernel_takes_what_is_said_about_long_packets(road):
    """ICMP out of the TUN, from the agent's address: one of the relay's would be a martian."""
    road.box.mtu(1362)
    road.start_agent(1)
    host = road.world['relay']
    until(lambda: road.sessions()[0]['mtu'] == 1297, 10, 'the path is measured: %s' % road.sessions())
    for address, overhead in ((road.v4(1), 28), (road.v6(1), 48)):
        host.run('ip', '-6' if ':' in address else '-4', 'route', 'flush', 'cache')
        done = host.run('ping', '-n', '-c', 3, '-i', '0.2', '-W', 1, '-M', 'do', '-s', 1400 - overhead, address, check=False)
        assert 'From %s' % address in done.stdout, done.stdout + done.stderr
        way = host.run('ip', 'route', 'get', address).stdout
        assert 'mtu 1297' in way, way
    assert RELAY_TUN in way
