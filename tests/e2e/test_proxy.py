"""gatehouse-agent with mode proxy: SOCKS 5 and HTTP CONNECT on the loopback device, for a user without any right"""
import json
import os
import shutil
import signal
import subprocess
import tempfile

import pytest

import gateway as gateway_module
from process import until
from world import HERE, OTHER_V4, PYTHON, WEB_V4, WEB_V6, program

USER = 12345 if os.geteuid() == 0 else 0  # in a user namespace of ours there may be no other
NAME = 'web.test'  # that the relay alone knows
SIZE = 8 << 20
PROXY = '127.0.0.1:1080'
ASKED = '::ffff:198.51.100.1'  # who asks the web server: the relay
POLICY = '''version: "1.0"
default_action: deny
clients:
  client-1: { rules: [ { id: web, type: ip_cidr, action: allow, destinations: [%s/32, "%s/128"] } ] }
''' % (WEB_V4, WEB_V6)


class Place:
    def __init__(self, world):
        self.world, self.host = world, world['agent-1']
        self.site = gateway_module.Gateway(world, gateway_module.certificates(world))
        self.site.policy(POLICY)
        self.site.file_hash = world.serve(SIZE)
        relay = world['relay']
        relay.run('sh', '-c', 'cat /etc/hosts >/run/hosts; echo "%s %s" >>/run/hosts; mount --bind /run/hosts /etc/hosts' % (WEB_V4, NAME))
        relay.run('sh', '-c', 'echo nameserver 127.0.0.1 >/run/resolv.conf; mount --bind /run/resolv.conf /etc/resolv.conf')  # there is none: said at once
        self.files()
        self.site.start_relay(relay__proxy='connect,connect-udp')
        self.agent = None

    def files(self):
        """What a user has at home."""
        self.home = tempfile.mkdtemp(prefix='gatehouse-home-')  # the folders of tests are root's alone
        for name in ('client-1.crt', 'client-1.key', 'ca.crt'):
            self.give(shutil.copy(self.site.certs.file(name), self.home))
        self.config = self.write('agent.yaml', '\n'.join((
            'node: {workers: 2, run_dir: %s/run}' % self.home,
            'agent:',
            '  relay: https://relay.gatehouse.example:4433',
            '  certificate: client-1.crt',
            '  key: client-1.key',
            '  ca: ca.crt',
            '  trust_domain: gatehouse.example',
            '')))
        self.give(self.home)
        self.program = shutil.copy(program('gatehouse-agent'), self.home)  # the build folder may be root's alone, too

    def give(self, path):
        if USER:
            os.chown(path, USER, USER)

    def write(self, name, text):
        path = os.path.join(self.home, name)
        with open(path, 'w', encoding='utf-8') as file:
            file.write(text)
        return path

    def as_user(self):
        who = ['--reuid', USER, '--regid', USER, '--clear-groups'] if USER else []
        return ['setpriv', *who, '--inh-caps=-all', '--bounding-set=-all', '--no-new-privs']

    def start(self, wait=True, **options):
        given = gateway_module.environment({key.replace('__', '.'): value for key, value in options.items()})
        self.world.starts += 1
        self.agent = self.host.start('proxy-%d' % self.world.starts, *self.as_user(), self.program, '--mode', 'proxy', '-c', self.config,
                                     env=given)
        if wait:
            until(lambda: self.status().get('up'), 15, 'a connection to the relay\n' + self.agent.tail())
        return self.agent

    def stop(self):
        assert self.agent.stop() == 0
        self.agent = None

    def status(self):
        done = self.host.run(*self.as_user(), self.program, 'status', '--json', '-c', self.config, check=False)
        return json.loads(done.stdout) if done.stdout.startswith('{') else {}

    def socks(self, *words, timeout=60):
        done = self.host.run(PYTHON, os.path.join(HERE, 'socks.py'), *words, timeout=timeout)
        return json.loads(done.stdout.splitlines()[-1])

    def idle(self, *words):
        return self.host.start('socks-idle', PYTHON, os.path.join(HERE, 'socks.py'), 'idle', PROXY, *words)

    def talk(self, *words):
        return Talk(self.host.start('socks-talk', PYTHON, os.path.join(HERE, 'socks.py'), 'talk', PROXY, *words, stdin=subprocess.PIPE))

    def curl(self, *words, check=True):
        return self.host.run('curl', '-sS', '-m', 30, *words, check=check)


class Talk:
    """A tunnel to an echo, line by line."""

    def __init__(self, peer):
        self.peer = peer
        peer.wait_line('"open"')

    def say(self, text, timeout=15):
        self.peer.process.stdin.write(text.encode() + b'\n')
        self.peer.process.stdin.flush()
        self.peer.wait_line(lambda line: line.data.get('back') == text, timeout)

    def close(self):
        self.peer.process.stdin.close()
        assert self.peer.wait_exit(5) == 0


@pytest.fixture(scope='module')
def place(world):
    made = Place(world)
    yield made
    made.site.stop()
    shutil.rmtree(made.home)


@pytest.fixture
def proxy(place):
    place.start()
    yield place
    if place.agent:
        place.stop()


def test_curl_reaches_a_name_that_only_the_relay_knows_through_both_protocols(proxy):
    before = proxy.host.state()
    for words in (('--socks5-hostname', PROXY), ('--proxy', 'http://' + PROXY, '--proxytunnel'), ('--socks5', PROXY, '--resolve', '%s:80:%s' % (NAME, WEB_V4)),
                  ('--proxy', 'socks5h://' + PROXY)):
        assert proxy.curl(*words, 'http://%s/' % NAME).stdout.strip() == ASKED
    assert proxy.curl('--socks5-hostname', PROXY, 'http://[%s]/' % WEB_V6).stdout.strip() == '2001:db8:100::1'
    status = proxy.status()
    assert (status['mode'], status['transport'], status['device']) == ('proxy', 'quic', '')
    assert status['listeners'] == [{'service': 'proxy', 'transport': 'tcp', 'address': PROXY}]
    assert status['proxied']['tcp_opened'] == 5
    assert proxy.host.state() == before


def test_the_agent_has_no_rights_and_no_device(proxy):
    for pid in [proxy.agent.pid] + proxy.agent.children():
        with open('/proc/%d/status' % pid, encoding='ascii') as file:
            lines = dict(line.split(':\t', 1) for line in file.read().splitlines() if ':\t' in line)
        assert lines['Uid'].split()[0] == str(USER) and int(lines['CapEff'], 16) == 0
    assert 'gh-agent0' not in proxy.host.run('ip', 'link').stdout


def test_status_and_doctor_speak_of_a_proxy(proxy):
    text = proxy.host.run(*proxy.as_user(), proxy.program, 'status', '-c', proxy.config).stdout
    assert 'proxy      %s, SOCKS5 and HTTP CONNECT\ntunnels    0 over TCP, 0 over UDP; 0 and 0 so far\n' % PROXY in text and 'device' not in text
    done = proxy.host.run(*proxy.as_user(), proxy.program, 'doctor', '--json', '--config', proxy.config, check=False,
                          env={'GATEHOUSE_AGENT_MODE': 'proxy'})
    found = {check['code']: check['status'] for check in json.loads(done.stdout)['checks']}
    assert (found['GH-K01'], found['GH-P01']) == ('skip', 'skip')


def test_a_download_arrives_whole(proxy):
    for words in (('--socks5-hostname', PROXY), ('--proxy', 'http://' + PROXY, '-p')):
        got = proxy.host.run('sh', '-c', 'curl -sS -m 60 %s http://%s/file | sha256sum' % (' '.join(words), NAME), timeout=70).stdout.split()[0]
        assert got == proxy.site.file_hash


def test_each_end_passes_by_itself(proxy):
    assert proxy.socks('half', PROXY, WEB_V4, 7, 3000000) == {'bytes': 3000000, 'same': True}


def test_what_policy_denies_is_reply_2_and_403(proxy):
    assert proxy.socks('ask', PROXY, OTHER_V4, 80) == {'reply': 2}
    assert proxy.curl('--proxy', 'http://' + PROXY, '-p', '-o', '/dev/null', '-w', '%{http_connect}', 'http://%s/' % OTHER_V4, check=False).stdout == '403'


def test_errors_have_their_replies(proxy):
    assert proxy.socks('ask', PROXY, WEB_V4, 9) == {'reply': 5}          # nobody listens
    assert proxy.socks('ask', PROXY, 'nobody.test', 80) == {'reply': 4}  # no such name
    assert proxy.socks('ask', PROXY, '127.0.0.1', 80) == {'reply': 2}    # the relay itself
    assert proxy.socks('raw', PROXY, '050100' + '05020001c63364 0a0050'.replace(' ', ''))['answer'] == '0500' + '05070001' + '00000000' + '0000'  # BIND
    assert proxy.socks('raw', PROXY, b'GET / HTTP/1.1\r\nHost: x\r\n\r\n'.hex())['answer'].startswith(b'HTTP/1.1 405 '.hex())


def test_datagrams_go_both_ways_through_an_association(proxy):
    assert proxy.socks('udp', PROXY, WEB_V4, 7, 1000, 50) == {'same': 50, 'source': WEB_V4 + ':7', 'over': True}
    assert proxy.socks('udp', PROXY, NAME, 7, 100, 20) == {'same': 20, 'source': WEB_V4 + ':7', 'over': True}
    assert proxy.socks('udp', PROXY, WEB_V6, 7, 100, 20) == {'same': 20, 'source': WEB_V6 + ':7', 'over': True}
    assert proxy.status()['proxied']['udp_opened'] == 3
    until(lambda: proxy.status()['proxied']['udp'] == 0, 5, 'the ends of the tunnels')


def test_many_tunnels_at_once_and_slow_ones_leave_room(proxy):
    assert proxy.socks('many', PROXY, WEB_V4, 7, 150) == {'replies': [0], 'same': True}
    slow = proxy.socks('slow', PROXY, WEB_V4, 7, 64 << 20, 6)
    assert slow['same'] and max(slow['stuck']) < 64 << 20, 'whoever does not read holds back who sends'


def test_what_was_open_leaves_nothing(proxy):
    child = proxy.agent.children()[0]

    def descriptors():
        return len(os.listdir('/proc/%d/fd' % child))
    assert proxy.curl('--socks5-hostname', PROXY, 'http://%s/' % NAME).stdout.strip() == ASKED
    until(lambda: proxy.status()['proxied']['tcp'] == 0, 5, 'the end of the first')
    before = descriptors()
    for _ in range(3):
        assert proxy.socks('many', PROXY, WEB_V4, 7, 100) == {'replies': [0], 'same': True}
        proxy.socks('udp', PROXY, WEB_V4, 7, 100, 3)
    until(lambda: proxy.status()['proxied']['tcp'] + proxy.status()['proxied']['udp'] == 0, 10, 'the end of all')
    until(lambda: descriptors() <= before, 5, 'the descriptors of before')
    until(lambda: not [value for name, value in proxy.site.metrics().items() if name.startswith('gatehouse_relay_proxied{') and value], 10, "the relay's end of them")


def test_a_relay_that_is_restarted_is_found_again(proxy):
    peer = proxy.idle(WEB_V4, 7)
    peer.wait_line('"open"')
    proxy.site.relay.kill()
    proxy.site.start_relay(relay__proxy='connect,connect-udp')
    # asked before there is a connection: it waits for one
    assert proxy.curl('--socks5-hostname', PROXY, 'http://%s/' % NAME).stdout.strip() == ASKED
    assert peer.wait_line('"ended"', 40).data['ended'] == 'ConnectionResetError'


def test_a_child_that_dies_is_replaced_and_programs_find_the_port_again(proxy):
    peer = proxy.idle(WEB_V4, 7)
    peer.wait_line('"open"')
    child = proxy.agent.children()[0]
    os.kill(child, signal.SIGKILL)
    peer.wait_line('"ended"', 5)
    # the parent has kept the listener: who comes before the next child is there waits in the kernel
    assert proxy.curl('--socks5-hostname', PROXY, 'http://%s/' % NAME).stdout.strip() == ASKED
    assert child not in proxy.agent.children()


def test_a_reload_leaves_what_is_open_alone(proxy):
    peer = proxy.talk(WEB_V4, 7)
    peer.say('before')
    mark = proxy.agent.mark()
    proxy.agent.send(signal.SIGHUP)
    until(lambda: proxy.status()['config']['generation'] == 2, 10, 'the reload')
    peer.say('after')
    assert proxy.curl('--socks5-hostname', PROXY, 'http://%s/' % NAME).stdout.strip() == ASKED
    assert not proxy.agent.find('"level":"(warn|error)"', mark)
    peer.close()


def test_a_relay_without_relay_proxy_is_reply_7(place):
    place.site.relay.stop()
    place.site.start_relay()
    try:
        place.start()
        assert place.socks('ask', PROXY, WEB_V4, 7) == {'reply': 7}
        assert place.curl('--proxy', 'http://' + PROXY, '-p', '-o', '/dev/null', '-w', '%{http_connect}', 'http://%s/' % NAME, check=False).stdout == '400'
        place.stop()
    finally:
        place.site.relay.stop()
        place.site.start_relay(relay__proxy='connect,connect-udp')


def test_a_login_is_asked_for_where_there_is_one(place):
    place.start(proxy__user='ann', proxy__password='secret', proxy__listen='127.0.0.1:1080, 172.16.1.2:1081')
    try:
        assert place.socks('ask', PROXY, WEB_V4, 7) == {'error': 'method 255'}
        assert place.socks('ask', PROXY, WEB_V4, 7, 'ann', 'wrong') == {'error': 'password'}
        assert place.socks('ask', '172.16.1.2:1081', WEB_V4, 7, 'ann', 'secret') == {'reply': 0}
        url = 'http://%s/' % NAME
        assert place.curl('-p', '--proxy', 'http://ann:secret@' + PROXY, url).stdout.strip() == ASKED
        assert place.curl('--proxy', 'socks5h://ann:secret@172.16.1.2:1081', url).stdout.strip() == ASKED
        for login in ('', 'ann:other@', 'bob:secret@'):
            assert place.curl('-p', '--proxy', 'http://%s%s' % (login, PROXY), '-o', '/dev/null', '-w', '%{http_connect}', url, check=False).stdout == '407'
    finally:
        place.stop()


def test_a_listener_for_everybody_without_a_login_is_an_error_with_its_place(place):
    with open(place.config, encoding='utf-8') as file:
        text = file.read() + 'proxy: {listen: ["0.0.0.0:1080"]}\n'
    path = place.write('open.yaml', text)
    done = place.host.run(*place.as_user(), place.program, 'check', path, check=False)
    assert done.returncode == 1
    assert '%s:%d:17: proxy.listen: 0.0.0.0:1080 is not an address of the loopback device' % (path, text.count('\n')) in done.stdout + done.stderr


def test_the_end_is_quick_and_cuts_what_is_open(place):
    place.start()
    peer = place.idle(WEB_V4, 7)
    peer.wait_line('"open"')
    place.agent.send(signal.SIGTERM)
    peer.wait_line('"ended"', 5)
    assert place.agent.wait_exit(5) == 0
    place.agent = None


DOOR = '''
door:
  listen: [":4433"]
  camouflage: {site: ../certs}
  certificate: ../certs/cover.crt
  key: ../certs/cover.key
  ech: {keys_file: ../ech.yaml}
  tunnel_name: inner.test
'''


@pytest.fixture(scope='module')
def door(place):
    """The relay has TCP, too: a door on the same port."""
    keys = place.world.path('ech.yaml')
    gatehouse = program('gatehouse')
    subprocess.run([gatehouse, 'ech', 'generate', '--public-name', 'cover.test', '--keys-file', keys], check=True, stdout=subprocess.DEVNULL)
    shown = subprocess.run([gatehouse, 'ech', 'show', '--keys-file', keys, '--json'], check=True, stdout=subprocess.PIPE, text=True).stdout
    place.site.certs.issue('relay', 'cover', '--dns', 'cover.test')
    place.world.write('examples/proxied.yaml', place.world.read('examples/relay.yaml') + DOOR)
    place.site.relay.stop()
    place.site.start_relay('proxied.yaml', relay__proxy='connect,connect-udp')
    place.options = {'agent__ech': json.loads(shown)['config_list'], 'agent__tunnel_name': 'inner.test', 'agent__quic_retry': '1s'}
    yield place
    place.host.run('nft', 'flush', 'ruleset')
    if place.agent:
        place.stop()
    place.site.relay.stop()
    place.site.start_relay(relay__proxy='connect,connect-udp')


def test_all_of_it_over_http_2(door):
    door.start(agent__transport='h2', **door.options)
    assert door.status()['transport'] == 'h2'
    assert door.curl('--socks5-hostname', PROXY, 'http://%s/' % NAME).stdout.strip() == ASKED
    assert door.socks('half', PROXY, WEB_V4, 7, 3000000) == {'bytes': 3000000, 'same': True}
    assert door.socks('udp', PROXY, WEB_V4, 7, 1000, 20) == {'same': 20, 'source': WEB_V4 + ':7', 'over': True}
    assert door.socks('ask', PROXY, OTHER_V4, 80) == {'reply': 2}
    assert door.socks('many', PROXY, WEB_V4, 7, 90) == {'replies': [0], 'same': True}
    slow = door.socks('slow', PROXY, WEB_V4, 7, 64 << 20, 6)
    assert slow['same'] and max(slow['stuck']) < 64 << 20
    door.stop()


BLOCKED = 'table inet hole { chain out { type filter hook output priority 0; udp dport 4433 drop; }; }'


def test_without_udp_it_is_tcp_and_what_is_open_stays_there_when_quic_is_back(door):
    door.host.run('nft', BLOCKED)
    door.start(**door.options)
    assert door.status()['transport'] == 'h2'
    peer = door.talk(WEB_V4, 7)
    peer.say('over tcp')
    door.host.run('nft', 'flush', 'ruleset')
    until(lambda: door.status()['transport'] == 'quic', 15, 'QUIC')
    peer.say('still over tcp')
    assert [(path['transport'], path['state']) for path in door.status()['paths']] == [('quic', 'up'), ('h2', 'leaving')]
    assert door.curl('--socks5-hostname', PROXY, 'http://%s/' % NAME).stdout.strip() == ASKED
    peer.close()
    until(lambda: [path['transport'] for path in door.status()['paths']] == ['quic'], 5, 'the end of the connection over TCP')
    door.stop()


def move(place, old, new):
    """The machine has another IPv6 address."""
    for words in (('address', 'add', new + '/64', 'dev', 'eth0', 'nodad'), ('address', 'del', old + '/64', 'dev', 'eth0'),
                  ('route', 'replace', 'default', 'via', '2001:db8:1::1')):
        place.host.run('ip', '-6', *words)


def test_another_address_of_the_machine_takes_tunnels_along(door):
    door.start(**door.options)
    peer = door.talk(WEB_V4, 7)
    peer.say('from here')
    move(door, '2001:db8:1::2', '2001:db8:1::3')
    try:
        peer.say('from there')
        assert door.curl('--socks5-hostname', PROXY, 'http://%s/' % NAME).stdout.strip() == ASKED
        assert [path['state'] for path in door.status()['paths']] == ['up'], 'the same connection'
        peer.close()
        door.stop()
    finally:
        move(door, '2001:db8:1::3', '2001:db8:1::2')
