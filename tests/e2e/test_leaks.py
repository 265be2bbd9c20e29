"""What the tunnel does not carry leaves the machine by no other way: packets that arrive outside are counted."""
import json
import os
import signal

import pytest

from process import until
from world import HERE, PYTHON, program

ALL = '''version: "1.0"
metadata: { name: leaks, description: everything is allowed }
default_action: deny
clients:
  client-1:
    rules:
      - { id: everything, type: default, action: allow }
'''
INSIDE4, INSIDE6 = '1.1.1.1', '2606:4700::1111'
# Of wan, which an agent reaches without a tunnel; there is nobody of these addresses behind the relay.
OUTSIDE4, OUTSIDE6 = '192.0.2.77', '2001:db8:ffff::77'
REFUSALS = {'ENETUNREACH', 'EHOSTUNREACH'}
COUNTERS = '''table inet leaks {
    chain seen {
        type filter hook prerouting priority -300;
        iifname "agent1" ip daddr %s counter drop comment "ipv4"
        iifname "agent1" ip6 daddr %s counter drop comment "ipv6"
        iifname "agent1" udp dport 4433 counter comment "relay"
    }
}
''' % (OUTSIDE4, OUTSIDE6)


class Outside:
    def __init__(self, world):
        self.wan, self.agent = world['wan'], world['agent-1']
        for address in (OUTSIDE4, OUTSIDE6):
            self.wan.run('ip', 'address', 'add', address, 'dev', 'lo')
        self.wan.run('nft', '-f', '-', text=COUNTERS)

    def counts(self):
        rules = [row['rule'] for row in self.wan.json('nft', '-j', 'list', 'table', 'inet', 'leaks')['nftables'] if 'rule' in row]
        return {rule['comment']: next(part['counter']['packets'] for part in rule['expr'] if 'counter' in part) for rule in rules}

    def reset(self):
        self.wan.run('nft', 'delete', 'table', 'inet', 'leaks')
        self.wan.run('nft', '-f', '-', text=COUNTERS)

    def knocks(self, address, seconds=0.5):
        """(errors met, packets that arrived outside)"""
        name = 'ipv6' if ':' in address else 'ipv4'
        before = self.counts()[name]
        return self.agent.peer('knock', address, '9', str(seconds))['errors'], self.counts()[name] - before


@pytest.fixture(scope='module')
def place(gateway):
    gateway.policy(ALL)
    gateway.file_hash = gateway.world.serve(1 << 20)
    gateway.box = gateway.world.box(1)
    gateway.outside = Outside(gateway.world)
    yield gateway


@pytest.fixture
def road(place):
    """The box does nothing, nothing runs, and the machine reaches everything of both families by itself."""
    place.box.clear()
    place.outside.reset()
    for address in (OUTSIDE4, OUTSIDE6):
        errors, arrived = place.outside.knocks(address, 0.1)
        assert not errors and arrived > 0, 'the machine reaches %s without a tunnel' % address
    place.outside.reset()
    place.before = place.world['agent-1'].state()
    yield place
    place.stop()
    place.box.clear()
    assert place.world['agent-1'].state() == place.before


def message(words):
    return lambda line: words in str(line.data.get('message'))


def status(place, *options):
    return place.world['agent-1'].run(program('gatehouse-agent'), 'status', '-c', place.world.path('examples', 'agent-1.yaml'), *options, check=False).stdout


def refused(place, address):
    errors, arrived = place.outside.knocks(address)
    assert arrived == 0, 'packets for %s left in clear' % address
    assert errors and set(errors) <= REFUSALS, errors
    said = place.world['agent-1'].run('ping', '-n', '-c', 1, '-W', 1, address, check=False)
    assert any(words in said.stdout + said.stderr for words in ('Network is unreachable', 'No route to host')), said


def start_narrow(road):
    """Relay and agent on a path that carries no IPv6."""
    road.box.mtu(1280)
    road.start_relay()
    agent = road.start_agent(1, families=1, wait=False)
    road.wait_tunnel(1, families=1)
    agent.wait_line(message('what the tunnel does not carry is unreachable'))
    return agent


def test_ipv6_is_refused_while_the_path_is_too_narrow_for_it(road):
    start_narrow(road)
    refused(road, OUTSIDE6)
    assert json.loads(status(road, '--json'))['unreachable'] == ['::/1', '8000::/1']
    assert json.loads(status(road, '--json'))['routes'] == ['0.0.0.0/1', '128.0.0.0/1']
    assert [row for row in status(road).splitlines() if row.startswith('blocked') and '::/1' in row]
    assert road.world['agent-1'].ping(INSIDE4, 3)[0] == 3
    assert road.outside.counts()['relay'] > 0, 'the way to the relay is outside, and IPv6'
    assert '2001:db8:113::2' in json.loads(status(road, '--json'))['remote']


def move(host, old, new):
    host.run('ip', 'address', 'delete', old + '/64', 'dev', 'eth0')
    host.run('ip', 'address', 'add', new + '/64', 'dev', 'eth0', 'nodad')
    host.run('ip', '-6', 'route', 'replace', 'default', 'via', '2001:db8:1::1')


@pytest.mark.parametrize('way', ['up', 'down', 'both'])
def test_nothing_leaves_while_ipv6_is_taken_back_and_returns(road, way):
    road.start_relay()
    agent = road.start_agent(1)
    host = road.world['agent-1']
    knocks = host.start('knock-%d' % road.world.starts, PYTHON, os.path.join(HERE, 'traffic.py'), 'knock', OUTSIDE6, '9', '60')
    knocks.wait_line('"began"')
    bulk = host.start('bulk-%d' % road.world.starts, PYTHON, os.path.join(HERE, 'traffic.py'), 'bulk', INSIDE4, str(4 << 20))
    road.box.mtu(1280, way=way)
    agent.wait_line(message('what the tunnel does not carry is unreachable'), 20)
    assert bulk.wait_line('"received"', 40).data['bytes'] == 4 << 20
    refused(road, OUTSIDE6)
    road.box.clear()
    move(host, '2001:db8:1::2', '2001:db8:1::77')
    try:
        until(lambda: len(road.addresses(1)) == 2, 30, 'IPv6 is assigned')
        until(lambda: host.ping(INSIDE6, 1)[0] == 1, 10, 'IPv6 goes through the tunnel again')
        assert json.loads(status(road, '--json'))['unreachable'] == []
        assert road.outside.counts()['ipv6'] == 0
        assert not agent.find(lambda line: 'another instance' in line.text), 'its own new connection is no other agent'
        assert knocks.process.poll() is None, 'somebody knocked all the time'
    finally:
        knocks.kill()
        road.agents[1].stop()
        move(host, '2001:db8:1::77', '2001:db8:1::2')


@pytest.mark.parametrize('size, pool, inside, refused_one', [(1280, '10.100.0.0/24', INSIDE4, OUTSIDE6), (1500, '10.100.0.0/24', INSIDE4, OUTSIDE6),
                                                             (1500, 'fd00:100::/64', INSIDE6, OUTSIDE4)])
def test_a_family_that_the_relay_has_no_address_for_is_refused(road, size, pool, inside, refused_one):
    road.box.mtu(size)
    road.start_relay(relay__pools=pool)
    agent = road.start_agent(1, families=1, wait=False)
    road.wait_tunnel(1, families=1)
    agent.wait_line(message('what the tunnel does not carry is unreachable'))
    refused(road, refused_one)
    assert road.world['agent-1'].ping(inside, 3)[0] == 3


def test_nothing_leaves_while_the_relay_is_gone(road):
    road.start_relay()
    road.start_agent(1)
    road.outside.reset()
    road.relay.send(signal.SIGKILL)
    road.relay.wait_exit()
    road.agents[1].wait_line(message('reconnecting'), 40)
    before = road.outside.counts()['relay']
    for address in (OUTSIDE4, OUTSIDE6):
        assert road.outside.knocks(address)[1] == 0, 'packets for %s left in clear' % address
    until(lambda: road.outside.counts()['relay'] > before, 20, 'the agent goes on asking for the relay, outside')
    road.start_relay()
    until(lambda: road.world['agent-1'].ping(INSIDE4, 1)[0] == 1, 40, 'the tunnel is back')
    counts = road.outside.counts()
    assert counts['ipv4'] == 0 and counts['ipv6'] == 0


def test_an_agent_that_was_killed_leaves_no_hole_and_its_cleanup_nothing(road):
    agent = start_narrow(road)
    road.outside.reset()
    mark = agent.mark()
    others = [road.world['agent-1'].start('knock-%d-%s' % (road.world.starts, name), PYTHON, os.path.join(HERE, 'traffic.py'), 'knock', address, '9', '60')
              for name, address in (('4', OUTSIDE4), ('6', OUTSIDE6))]
    others[0].wait_line('"began"')
    os.kill(agent.children()[0], signal.SIGKILL)
    agent.wait_line(message('routes installed'), 20, since=mark)
    refused(road, OUTSIDE6)
    for other in others:
        other.kill()
    counts = road.outside.counts()
    assert counts['ipv4'] == 0 and counts['ipv6'] == 0, 'the child before it and the new one left no moment between'
    agent.send(signal.SIGKILL)
    agent.wait_exit()
    refused(road, OUTSIDE6)
    road.world['agent-1'].run(program('gatehouse-agent'), 'cleanup', '-c', road.world.path('examples', 'agent-1.yaml'),
                              env={'GATEHOUSE_NODE_STATE_DIR': road.state_dir('agent-1')})
    del road.agents[1]
    assert road.world['agent-1'].state() == road.before


def test_an_operator_may_let_it_leave(road):
    road.start_relay(relay__pools='10.100.0.0/24')
    road.start_agent(1, families=1, wait=False, agent__block_unassigned='false')
    road.wait_tunnel(1, families=1)
    errors, arrived = road.outside.knocks(OUTSIDE6)
    assert not errors and arrived > 0
    assert road.outside.knocks(OUTSIDE4)[1] == 0
