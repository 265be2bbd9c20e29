"""A connection link is all that an agent needs: the daemon's own from a first start, given in every way in which one may be given."""
import json
import os
import subprocess

import pytest

from gateway import AGENT_TUN, environment
from process import until
from world import ROOT, WEB_V4, program

OUTSIDE_V4, OUTSIDE_V6 = '198.51.100.1', '2001:db8:100::1'  # with which the daemon's host speaks to the world
TARGET = '9.9.9.9'
SIZE = 12 << 20


class Place:
    """A bare server and a laptop: no certificate, no file of configuration, no DNS."""

    def __init__(self, world):
        self.world, self.server, self.laptop = world, world['relay'], world['agent-1']
        world['wan'].run('ip', 'route', 'add', '198.51.100.0/24', 'via', '203.0.113.2')
        world['wan'].run('ip', '-6', 'route', 'add', '2001:db8:100::/64', 'via', '2001:db8:113::2')
        self.daemon = None
        self.starts = 0

    def start_server(self, **options):
        given = {'node.state_dir': self.world.path('state', 'server'), 'node.user': 'root', 'node.workers': 2, 'node.drain_timeout': '1s',
                 'audit.file': self.world.path('audit.log')}
        given.update({key.replace('__', '.'): value for key, value in options.items()})
        self.starts += 1
        self.daemon = self.server.start('server-%d' % self.starts, program('gatehoused'), env=environment(given))
        until(lambda: self.server.run('curl', '-s', '-o', '/dev/null', '-w', '%{http_code}', 'http://127.0.0.1:8080/ready', check=False).stdout == '200', 15,
              'it is ready\n' + self.daemon.tail())
        return self.daemon.wait_line('^k2v5://', stream='out').text

    def agent(self, *arguments, stdin=None, up=True, **options):
        given = {'node.state_dir': self.world.path('state', 'laptop'), 'node.user': 'root', 'node.workers': 2}
        given.update({key.replace('__', '.'): value for key, value in options.items()})
        self.starts += 1
        agent = self.laptop.start('laptop-%d' % self.starts, program('gatehouse-agent'), 'up', *arguments, env=environment(given),
                                  stdin=stdin if stdin else subprocess.DEVNULL)
        if up:
            until(lambda: self.status().get('up') and AGENT_TUN in self.laptop.run('ip', 'route', 'get', TARGET, check=False).stdout, 15,
                  'the tunnel\n' + agent.tail())
        return agent

    def status(self):
        done = self.laptop.run(program('gatehouse-agent'), 'status', '--json', check=False)
        return json.loads(done.stdout) if done.stdout.startswith('{') else {}

    def reaches(self):
        return self.laptop.ping(TARGET, 3)[0] == 3


@pytest.fixture(scope='module')
def place(world):
    assert not os.path.exists('/etc/gatehouse'), 'this machine has a configuration'
    made = Place(world)
    made.file_hash = world.serve(SIZE)
    made.box = world.box(1)
    made.link = made.start_server()
    yield made
    made.daemon.stop()


def test_from_a_bare_host_to_a_ping_through_the_tunnel(place):
    """gatehoused; the printed link; gatehouse-agent up LINK; ping."""
    assert 'ip=%s&ip6=%s' % (OUTSIDE_V4, OUTSIDE_V6) in place.link
    agent = place.agent(place.link)
    assert place.reaches()
    status = place.status()
    assert (status['identity'], status['relay_id'], status['ech'], status['transport']) == ('first', 'pinned', True, 'quic')
    shown = place.laptop.run(program('gatehouse-agent'), 'status').stdout
    assert 'first, by a token' in shown

    token = place.link.split('@')[0].rpartition(':')[2]
    for pid in [agent.pid] + agent.children():
        for name in ('cmdline', 'environ'):
            with open('/proc/%d/%s' % (pid, name), 'rb') as file:
                assert token.encode() not in file.read(), name
    said = place.laptop.run(program('gatehouse-agent'), 'down')
    assert said.returncode == 0 and agent.wait_exit() == 0
    assert not agent.find(token) and not place.daemon.find(lambda line: token in line.text and not line.text.startswith('k2v5://'))


def test_a_link_comes_from_a_file_from_standard_input_or_from_the_configuration(place):
    path = place.world.write('link.txt', place.link + '\n')
    place.agent('--link-file', path).stop()
    with open(path, encoding='utf-8') as file:
        place.agent('--link-file', '-', stdin=file).stop()
    config = place.world.write('agent.yaml', 'agent: {link: "%s", transport: tcp}\n' % place.link)
    agent = place.agent('-c', config)
    assert place.status()['transport'] == 'h2'
    agent.stop()
    # a link and further options of a file
    config = place.world.write('agent.yaml', 'agent: {allow_routes: [9.9.9.9/32]}\n')
    agent = place.agent(place.link, '--config', config)
    assert place.reaches() and AGENT_TUN not in place.laptop.run('ip', 'route', 'get', '8.8.8.8').stdout
    agent.stop()


def test_a_reload_leaves_the_link_as_it_was(place):
    agent = place.agent(place.link.replace('#', '&mux=8&flag#'))
    said = agent.wait_line('more than this release knows').data
    assert said['keys'] == 'mux, flag'
    mark = agent.mark()
    agent.send(1)
    until(lambda: place.status()['config']['generation'] == 2, 10, 'the reload\n' + agent.tail())
    assert place.status()['config']['last_reload']['ok'] and place.reaches()
    assert not agent.find('cannot|refused', since=mark)
    agent.stop()


def test_what_is_wrong_with_a_link_is_said_with_its_column_and_without_its_secrets(place):
    def said(*arguments, **options):
        done = place.laptop.run(program('gatehouse-agent'), 'up', *arguments, check=False, env=environment(options))
        assert done.returncode in (1, 2), done
        return done.stderr
    assert 'the link, column 30: ip must be an address of IPv4' in said('k2v5://u:secret@h.example?ip=1.2.3')
    assert 'secret' not in said('k2v5://u:secret@h.example?ip=1.2.3')
    assert 'column 1: a link begins with k2v5://' in said('https://h.example')
    assert 'LINK or --link-file' in said(place.link, '--link-file', '/nowhere')
    assert '/nowhere: No such file' in said('--link-file', '/nowhere')
    assert 'agent.ca is missing' in said('k2v5://u:t@h.example?ip=192.0.2.1')
    config = place.world.write('wrong.yaml', 'agent:\n  relay: r.example\n  link: "k2v5://u:secret@h.example?pin=sha256:%s"\n' % ('00' * 32))
    assert 'wrong.yaml:2:10: agent.relay is what agent.link says already' in said('-c', config)
    config = place.world.write('wrong.yaml', 'agent:\n  link: "k2v5://u:secret@h.example?hop=2-1"\n')
    text = said('-c', config)
    assert 'wrong.yaml:2:9: agent.link, column 31: hop must be two ports' in text and 'secret' not in text


def test_the_link_is_printed_again_and_for_others(place):
    state = place.world.path('state', 'server')

    def link(*arguments, text=None):
        return place.server.run(program('gatehouse'), 'link', *arguments, text=text, check=False)
    assert link('--state-dir', state).stdout == place.link + '\n'
    assert link('--state-dir', place.world.path('state')).returncode == 1
    added = subprocess.run([program('gatehouse'), 'user', 'add', 'second', '--users-file', os.path.join(state, 'users'), '--json'], check=True, stdout=subprocess.PIPE)
    token = json.loads(added.stdout)['token']
    other = link('--state-dir', state, '--user', 'second', '--stdin', text=token + '\n').stdout.strip()
    assert other == place.link.replace(place.link.split('@')[0], 'k2v5://second:' + token)


@pytest.mark.skipif(os.geteuid() != 0, reason='only root may take rights away')
def test_the_unit_starts_without_a_configuration_by_the_rights_that_it_has(place):
    """What ExecStart says, with the rights, the mask and the folders of the unit; the link is not in the journal."""
    place.daemon.stop()
    with open(os.path.join(ROOT, 'deploy', 'systemd', 'gatehoused.service'), encoding='utf-8') as file:
        unit = dict(line.split('=', 1) for line in file.read().splitlines() if '=' in line and line[0] != '#')
    rights = unit['CapabilityBoundingSet'].lower().replace('cap_', '').split()
    command = unit['ExecStart'].split()
    assert os.path.basename(command[0]) == 'gatehoused' and unit['UMask'] == '0077'
    state = place.world.path('state', 'unit')
    os.makedirs(state, 0o700)  # StateDirectory=, StateDirectoryMode=
    limits = ['setpriv', '--no-new-privs', '--bounding-set', '-all,' + ','.join('+' + right for right in rights)]
    script = 'umask 0077; JOURNAL_STREAM=$(stat -Lc %d:%i /proc/$$/fd/1) exec "$@"'
    place.daemon = place.server.start('unit', *limits, '/bin/sh', '-c', script, 'sh', program('gatehoused'), *command[1:],
                                      env=environment({'node.state_dir': state, 'node.user': 'root', 'node.workers': 2, 'audit.file': place.world.path('audit.log')}))
    place.daemon.wait_line('"ready"|"started"', 15)
    place.daemon.wait_line('gatehouse link', stream='out')
    assert not place.daemon.find('k2v5://')
    link = place.server.run(program('gatehouse'), 'link', '--state-dir', state).stdout.strip()
    agent = place.agent(link)
    assert place.reaches()
    agent.stop()
    place.daemon.stop()
    place.link = place.start_server()


# ---- hop ports

def ports(place, protocol='udp'):
    """Counts what goes to which port of the server, from now on."""
    place.world['wan'].run('nft', '-f', '-', text='''table inet seen {
            set ports { type inet_service; flags dynamic; size 1000; }
            chain forward { type filter hook forward priority -10; ip daddr %s %s dport 1-65535 add @ports { %s dport }; }
        }''' % (OUTSIDE_V4, protocol, protocol))


def seen(place):
    found = json.loads(place.world['wan'].run('nft', '-j', 'list', 'set', 'inet', 'seen', 'ports').stdout)
    return [item if isinstance(item, int) else item['elem']['val'] for part in found['nftables'] if 'set' in part for item in part['set'].get('elem', [])]


def block(place, *rules):
    place.world['wan'].run('nft', '-f', '-', text='''table inet hole {
            set first { type inet_service; flags dynamic; size 1; }
            chain forward { type filter hook forward priority 0; %s; }
        }''' % '; '.join(rules))


def to_and_from(protocol, port):
    return ['%s %s %s drop' % (protocol, way, port) for way in ('dport', 'sport')]


@pytest.fixture
def road(place):
    yield place.box
    place.box.clear()
    place.world['wan'].run('nft', 'flush', 'ruleset')


def carrier(place):
    return [path for path in place.status()['paths'] if path['carrier']][0]


def test_a_transfer_goes_on_while_the_agent_goes_from_port_to_port(place, road):
    ports(place)
    agent = place.agent(place.link, agent__hop_interval='200ms')
    road.rate(60_000_000, 400_000)
    number = carrier(place)['connection']
    answer = place.laptop.peer('get', 'http://%s/file' % WEB_V4)
    assert answer['bytes'] == SIZE and answer['sha256'] == place.file_hash
    now = carrier(place)
    assert now['connection'] == number and now['transport'] == 'quic' and now['hops'] >= 4
    assert len(seen(place)) >= 4 and all(10020 <= port <= 10119 for port in seen(place)), seen(place)
    agent.stop()


def test_a_port_that_is_blocked_is_left_at_once_for_another(place, road):
    agent = place.agent(place.link, agent__hop_interval='24h')
    before = carrier(place)
    assert before['hops'] == 0 and 10020 <= before['port'] <= 10119
    mark = agent.mark()
    block(place, *to_and_from('udp', before['port']))
    until(place.reaches, 10, 'the tunnel works again\n' + agent.tail())
    after = carrier(place)
    assert after['connection'] == before['connection'] and after['port'] != before['port'] and after['hops'] >= 1
    assert not agent.find('"transport":"tcp"', since=mark) and not agent.find('seems dead', since=mark)
    agent.stop()


def test_a_first_flight_that_nobody_answers_goes_to_another_port(place, road):
    block(place, 'udp dport 10020-10021 add @first { udp dport } drop')  # the port of the first packet; there is no room for another
    agent = place.agent(place.link.replace('10020-10119', '10020-10021').replace('&ip6=' + OUTSIDE_V6, ''), agent__transport='quic')
    assert carrier(place)['hops'] >= 1 and place.status()['attempts'] == 1
    agent.stop()


def test_tcp_goes_to_a_hop_port_when_the_doors_own_does_not_answer(place, road):
    ports(place, 'tcp')
    block(place, 'meta l4proto udp drop', *to_and_from('tcp', 443))
    agent = place.agent(place.link)
    assert place.status()['transport'] == 'h2' and 10020 <= carrier(place)['port'] <= 10119 and place.reaches()
    assert any(10020 <= port <= 10119 for port in seen(place)) and 443 in seen(place)
    agent.stop()


def test_a_token_that_is_not_known_meets_a_site(place):
    wrong = place.link.replace(place.link.split('@')[0], 'k2v5://first:wrong')
    agent = place.agent(wrong, up=False)
    agent.wait_line('the relay answered 40', 10)
    assert not place.status()['up']
    agent.stop()
