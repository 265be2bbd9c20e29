"""Same as without: where TLS ends at the door, nobody can tell one with a tunnel behind it from one that has none.

A is a door with a tunnel, users with tokens, routes and hop ports; B has the same camouflage, certificate and keys of ECH, and nothing else. The prober holds the public
ECHConfig; in the last part it even knows the tunnel's name, and lacks only what authenticates. Above TLS both are compared with the origin. See test_same.py.

Our own time-outs are a minute: GATEHOUSE_DEEP=1 (make check-deep) waits for them, and sends garbage of every length.
"""
import base64
import json
import os
import shutil
import subprocess

import pytest

import probe
import probes
import quicbytes
import udpprobe
from certs import Authority
from doorway import Backend, Doorway, OneHost, inside, named
from probe import session
from probes import GET
from sameness import Budget, ks_test, quantiles
from sites import Site
from tlsbytes import P256, P384, EchConfig, hello, records
from world import ROOT, program, sanitizers

BUDGET = Budget()
DEEP = bool(os.environ.get('GATEHOUSE_DEEP'))
LIMIT = 0.6  # when an end that was not seen will not come
LONG = 80 if DEEP else LIMIT  # the same where our time-outs count
SLOWER = 10 if sanitizers() else 1
ANSWER_TOLERANCE = 0.0004 * SLOWER
CLOSE_TOLERANCE = 0.010 * SLOWER
INNER = b'inner.test'
SLOW_USER = 'slow:$argon2id$v=19$m=19456,t=2,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4\n'  # tens of milliseconds for each that claims to be one
DOOR = '''door:
  listen: ["127.0.0.1:{port}"]
  camouflage: {{{camouflage}, udp: true}}
  certificate: {certificate}
  key: {key}
  ech: {{keys_file: ech.yaml}}
'''
TUNNEL = '''  tunnel_name: inner.test
  auth: {{users_file: users}}
  local_routes: {{a.test: "{route}", "*.b.test": "{route}"}}
  hop_ports: 10020-10119
relay:
  listen: ["127.0.0.1:4433"]
  certificate: certs/relay.crt
  key: certs/relay.key
  client_ca: certs/ca.crt
  trust_domain: t.example
  pools: [10.211.0.0/24]
  tun: ghdoor0
  nat: none
  policy: policy.yaml
  proxy: [connect, connect-udp]
'''


def unmeasured(script):
    """How much of a file is read before it is sent, and how long that takes, is chance."""
    def play(p):
        yield from script(p)
        p.lengths = False
        p.times.clear()
    return play


class Stand:
    """Two doors, and what is behind both."""

    def __init__(self, world, kind, slow_users=True):
        assert shutil.which('nginx'), 'missing package: nginx (tools/bootstrap installs it)'
        self.world, self.host, self.kind = world, world['door'], kind
        self.site = Site(self.host, 'nginx', 9001, 30000)  # its certificate and its folder
        self.origin = None
        if kind == 'proxy':
            self.site.start()
            self.origin = 'http://127.0.0.1:%d' % self.site.plain_port
        self.certs = certs = Authority(world.path('certs'), 't.example').init()
        certs.issue('relay', 'relay', '--dns', 'relay.test')
        certs.issue('agent', 'client-1')
        Authority(world.path('others'), 'others.example').init().issue('agent', 'client-1')
        with open(os.path.join(ROOT, 'examples', 'policy.yaml'), encoding='utf-8') as file:
            world.write('policy.yaml', file.read())
        subprocess.run([program('gatehouse'), 'ech', 'generate', '--public-name', 'site.test', '--keys-file', world.path('ech.yaml')], check=True, stdout=subprocess.DEVNULL)
        said = subprocess.run([program('gatehouse'), 'user', 'add', 'client-1', '--users-file', world.path('users'), '--json'], check=True, stdout=subprocess.PIPE)
        self.token = json.loads(said.stdout)['token']
        with open(world.path('users'), 'a', encoding='ascii') as file:
            file.write(SLOW_USER if slow_users else '')
        told = subprocess.run([program('gatehouse'), 'ech', 'show', '--keys-file', world.path('ech.yaml'), '--json'], check=True, stdout=subprocess.PIPE)
        self.config_list = base64.b64decode(json.loads(told.stdout)['config_list'])
        self.ech = EchConfig(self.config_list)
        self.route = Backend(self.host, named('a', world.folder))
        self.doors = []
        self.door = self.open_door(8443, TUNNEL.format(route=self.route.at))
        self.plain = self.open_door(8453, '')

    def open_door(self, port, more):
        door = Doorway(self.world)
        door.config, door.PORT, door.address = 'door-%d.yaml' % port, port, ('127.0.0.1', port)
        camouflage = 'proxy: "%s"' % self.origin if self.origin else 'site: ' + os.path.join(self.site.folder, 'root')
        door.start(DOOR.format(port=port, camouflage=camouflage, certificate=self.site.certificate, key=self.site.key) + more,
                   admin__listen='127.0.0.1:%d' % (port + 10000), node__state_dir=self.world.path('state-%d' % port), node__run_dir=self.world.path('run-%d' % port))
        self.doors.append(door)
        return door

    def differences(self, scripts):
        scripts = {name: unmeasured(script) if 'large' in name else script for name, script in scripts.items()}
        return udpprobe.differences(inside(self.host, probe.compare, self.door.address, self.plain.address, scripts, BUDGET, 2000 if DEEP else 256))

    def udp_differences(self, scripts):
        return udpprobe.differences(inside(self.host, udpprobe.compare, self.door.address, self.plain.address, scripts, BUDGET))

    def assert_same_times(self, scripts, key, tolerance, count=60, **options):
        targets = [self.door.address, self.plain.address]
        for name, (a, b) in inside(self.host, lambda: probe.times(targets, scripts, key, count, **options)).items():
            what = '%s\nwith a tunnel: %s\nwithout:       %s' % (name, quantiles(a), quantiles(b))
            assert len(a) == len(b) == count, what
            assert not BUDGET.times_differ(a, b, tolerance), '%s\np %.2g' % (what, ks_test(a, b, tolerance))

    def close(self):
        for door in self.doors:
            door.stop()
        self.route.close()
        if self.origin:
            self.site.stop()


@pytest.fixture(scope='module')
def stand(request, tmp_path_factory):
    with OneHost(tmp_path_factory.mktemp('same-tunnel-' + request.param)) as world:
        os.chmod(world.folder, 0o755)
        made = Stand(world, request.param)
        yield made
        made.close()


# What is no HTTP is the same code whatever the camouflage answers.
BELOW_HTTP = pytest.mark.parametrize('stand', ['site', 'proxy'] if DEEP else ['site'], indirect=True)
BOTH = pytest.mark.parametrize('stand', ['site', 'proxy'], indirect=True)


# ---- the rows, for those who know nothing ----

@BELOW_HTTP
def test_1_certificate_protocol_suite_and_tickets(stand):
    assert stand.differences(probes.versions_and_suites()) == ''
    assert stand.differences(probes.tickets(LIMIT)) == ''


@BELOW_HTTP
def test_2_alerts_and_ends(stand):
    assert stand.differences(probes.alerts(LIMIT)) == ''


@BELOW_HTTP
def test_2_garbage_and_damaged_hellos(stand):
    assert stand.differences(probes.garbage(range(1, 4097, 1 if DEEP else 37), LIMIT)) == ''
    assert stand.differences(probes.mutated(1000 if DEEP else 100, LIMIT)) == ''


@BELOW_HTTP
def test_2_refusals_take_as_long(stand):
    refused = {name: script for name, script in probes.alerts(LIMIT).items() if name in ('http', 'tls 1.1', 'data first', 'no common suite')}
    stand.assert_same_times(refused, 'end', CLOSE_TOLERANCE, together=8, pace=0.002)


@BELOW_HTTP
def test_3_silence_and_half_a_hello(stand):
    assert stand.differences(probes.stalls(LONG)) == ''


if_deep = BOTH if DEEP else lambda function: None  # what is no test is not collected


@if_deep
def test_3_and_9_silence_lasts_as_long(stand):
    scripts = dict(probes.stalls(90), **{'idle after a request': session(GET, limit=90), 'idle after a handshake': session(limit=90), 'in a request': session(GET[:20], limit=90)})
    stand.assert_same_times(scripts, 'life', 1.0, together=4000, pace=0.002)  # our time-outs are kept by a clock of a second


@BELOW_HTTP
def test_4_and_8_records(stand):
    assert stand.differences(probes.bytes_through(LIMIT)) == ''
    assert stand.differences(probes.floods(LIMIT)) == ''


@BELOW_HTTP
def test_5_a_hello_cut_anywhere(stand):
    scripts = probes.split(LIMIT)
    names = [name for number, name in enumerate(scripts) if DEEP or ' at ' not in name or number % 9 == 0]
    assert stand.differences({name: scripts[name] for name in names}) == ''


@BELOW_HTTP
def test_6_half_closes(stand):
    assert stand.differences(probes.half_closes(LONG)) == ''


@BELOW_HTTP
def test_7_a_first_flight_that_was_heard_before(stand):
    [heard] = inside(stand.host, probe.play, [(stand.plain.address, session(GET, limit=0.3))])
    scripts = {'first flight': probe.say(heard.said[0], limit=LIMIT), 'all of it': probe.say(b''.join(heard.said), limit=LIMIT),
               'flight by flight': probe.say(*heard.said, pause=0.3, limit=LIMIT)}
    assert stand.differences(scripts) == ''


@BOTH
def test_9_and_12_requests(stand):
    assert stand.differences(probes.http_limits(LONG)) == ''
    assert stand.differences(probes.http_broken(LIMIT)) == ''


@BELOW_HTTP
def test_11_the_first_byte_comes_as_soon(stand):
    def answer(p):
        p.send(hello())
        yield p.has(1), 3
        p.times['beyond'] = p.times['first'] - p.times['connect']
        p.reset()
    stand.assert_same_times({'first byte': answer}, 'beyond', ANSWER_TOLERANCE, count=150, together=1)


@BELOW_HTTP
def test_13_quic(stand):
    for table in (udpprobe.versions, udpprobe.first_packets, udpprobe.later_packets, udpprobe.hellos):
        assert stand.udp_differences(table()) == '', table.__name__


@BELOW_HTTP
def test_13_the_first_answer_comes_as_soon(stand):
    jobs = [(door.address, udpprobe.hellos(first=True)['plain']()) for _ in range(100) for door in stand.doors]
    seen = [session.first_at for session in inside(stand.host, udpprobe.play, jobs, 1)]
    assert None not in seen
    assert not BUDGET.times_differ(seen[::2], seen[1::2], ANSWER_TOLERANCE), '%s\n%s' % (quantiles(seen[::2]), quantiles(seen[1::2]))


@BOTH
def test_13_requests(stand):
    assert stand.udp_differences(udpprobe.requests()) == ''


def asks(request, protocols=('http/1.1',)):
    """Inside TLS; from the request to the first byte of its answer."""
    def script(p):
        tls = probe.Tls(p, probe.plain_context(protocols=protocols))
        if (yield from tls.handshake()):
            yield from tls.read(lambda text: False, 0.005)  # tickets, settings
            p.text = b''
            tls.send(request)
            yield from tls.read(bool, 5)
            p.times['answer'] = p.times['first']
        p.reset()
    return script


@BELOW_HTTP
def test_12_tokens_in_the_open_cost_no_time(stand):
    """A name or a token is not even looked up slowly for somebody who does not know the tunnel's name."""
    head = b'GET /.well-known/masque/ip/*/*/ HTTP/1.1\r\nHost: site.test\r\nConnection: Upgrade\r\nUpgrade: connect-ip\r\nCapsule-Protocol: ?1\r\n'
    scripts = {name: asks(head + b'Authorization: Basic ' + base64.b64encode(who) + b'\r\n\r\n') for name, who in
               (('a user', b'client-1:wrong'), ('a slow user', b'slow:wrong'))}
    scripts['connect'] = asks(b'CONNECT a.test:443 HTTP/1.1\r\nHost: a.test:443\r\nProxy-Authorization: Basic bm9ib2R5Ondyb25n\r\n\r\n')
    stand.assert_same_times(scripts, 'answer', 0.003 * SLOWER, count=20, together=1)


# ---- those who hold the public ECHConfig ----

def fresh(make, *more, **options):
    """Each time a hello that was never heard before."""
    def script(p):
        yield from probe.say(*make(), *more, **dict({'limit': LIMIT}, **options))(p)
    return script


def opened_hellos(stand):
    """Our key opens them, and the name inside is not the tunnel's."""
    seal = stand.ech.hello
    retry = dict(groups=(P384, P256), shares=())
    made = {'for ' + name.decode(): fresh(lambda name=name: [records(seal(name))]) for name in
            (b'other.test', b'a.test', b'x.b.test', b'site.test', b'inner.tes', b'xinner.test', b'INNER.TES', b'relay.test', b'localhost', b'a' * 60)}
    made.update({
        'for nobody': fresh(lambda: [records(seal(None))]), 'another name outside': fresh(lambda: [records(seal(b'other.test', b'other.test'))]),
        'a name of a route outside': fresh(lambda: [records(seal(b'other.test', b'x.test'))]), 'damaged': fresh(lambda: [records(seal(b'other.test', damage=True))]),
        'damaged, for the tunnel': fresh(lambda: [records(seal(INNER, damage=True))]), 'asked again': fresh(lambda: [records(seal(b'other.test', **retry))]),
        'asked again, and on': fresh(lambda: [records(seal(b'other.test', **retry)), records(seal(b'other.test', groups=(P384, P256), shares=(P256,)))], pause=0.3),
        'in small records': fresh(lambda: [records(seal(b'other.test'), 50)]), 'padded': fresh(lambda: [records(seal(b'other.test', padding=600))]),
        'in two segments': fresh(lambda: (lambda flight: [flight[:200], flight[200:]])(records(seal(b'other.test'))), pause=0.1),
        'with garbage behind': fresh(lambda: [records(seal(b'other.test')) + probes.noise(300)]), 'h1': fresh(lambda: [records(seal(b'other.test', protocols=(b'http/1.1',)))]),
        'no protocol': fresh(lambda: [records(seal(b'other.test', protocols=(b'odd',)))]), 'half of it': fresh(lambda: [records(seal(b'other.test'))[:300]]),
    })
    return made


@BELOW_HTTP
def test_14_hellos_that_our_key_opens_and_that_are_for_another_name(stand):
    before = stand.door.metrics()['gatehouse_door_hellos_total{kind="ech"}']
    assert stand.differences(opened_hellos(stand)) == ''
    assert stand.door.metrics()['gatehouse_door_hellos_total{kind="ech"}'] >= before + 15, 'they were opened'
    assert stand.differences(probes.encrypted_hellos(LIMIT)) == ''


@BELOW_HTTP
def test_14_and_they_take_as_long(stand):
    def answer(name):
        def script(p):
            p.send(records(stand.ech.hello(name)))
            yield p.has(1), 3
            p.times['beyond'] = p.times['first'] - p.times['connect']
            p.reset()
        return script
    stand.assert_same_times({name.decode(): answer(name) for name in (b'other.test', b'inner.tes')}, 'beyond', ANSWER_TOLERANCE, count=100, together=1)


@BELOW_HTTP
def test_14_over_quic(stand):
    seal, scid = stand.ech.hello, b'12345678'

    def shake(name, **options):
        def make():
            more = quicbytes.extension(57, quicbytes.parameters(scid))
            given = dict(protocols=(b'h3',), suites=(0x1301,), groups=(29,), shares=(29,), session=b'', versions=(0x0304,), more=more)
            return quicbytes.Session(scid=scid, hello=seal(name, **dict(given, **options)), follow=False)
        return make
    assert stand.udp_differences({'other': shake(b'other.test'), 'of a route': shake(b'a.test'), 'of the site': shake(b'site.test'), 'damaged': shake(INNER, damage=True),
                                  'another outside': shake(b'other.test', outer=b'other.test'), 'asked again': shake(b'other.test', groups=(24, 23), shares=())}) == ''


@BELOW_HTTP
def test_7_a_flight_for_the_tunnel_that_comes_again(stand):
    """The first one is an agent's; whoever heard it and says it again sees what a door without a tunnel shows of it."""
    scripts, before = {}, stand.door.metrics()['gatehouse_door_connections_total{way="tunnel"}']
    for name, cut in (('all of it', None), ('but the last byte', -1), ('half', 200)):
        flight = records(stand.ech.hello(INNER))
        [first] = inside(stand.host, probe.play, [(stand.door.address, probes.first(flight))])
        assert first.data, 'the tunnel has answered'
        scripts[name] = probe.say(flight[:cut], limit=LIMIT)
        scripts[name + ', and noise'] = probe.say(flight[:cut] + probes.noise(200), limit=LIMIT)
    assert stand.door.metrics()['gatehouse_door_connections_total{way="tunnel"}'] == before + 3
    assert stand.differences(scripts) == ''
    assert stand.door.metrics()['gatehouse_door_connections_total{way="tunnel"}'] == before + 3


# ---- above TLS: the origin ----

def fields_and_body(host, url, *options):
    """What curl has of an answer: (status, fields in lower case without those of a connection, body)"""
    done = host.run('curl', '-sk', '-m', 10, '-i', '--resolve', 'site.test:8443:127.0.0.1', '--resolve', 'site.test:29001:127.0.0.1', *options, url)
    head, _, body = done.stdout.partition('\n\n')
    lines = head.split('\n')
    fields = sorted((key.lower(), value) for key, _, value in (line.partition(': ') for line in lines[1:]))
    return int(lines[0].split()[1]), [field for field in fields if field[0] not in ('date', 'connection', 'keep-alive', 'transfer-encoding')], body


@pytest.mark.parametrize('stand', ['proxy'], indirect=True)
def test_above_tls_the_answers_are_the_origins(stand):
    for options in ([], ['-I'], ['-r', '5-20'], ['-X', 'POST', '-d', 'hello'], ['-X', 'BREW'], ['-H', 'If-None-Match: *'], ['-H', 'Authorization: Bearer wrong'],
                    ['-X', 'OPTIONS'], ['-H', 'X-Long: ' + 'a' * 3000]):
        for path in ('/', '/nothing', '/large?x=y'):
            if path.startswith('/large') and '-r' not in options and '-I' not in options:
                continue
            origin = fields_and_body(stand.host, 'http://site.test:29001' + path, *options)
            for version in ('--http1.1', '--http2'):
                assert fields_and_body(stand.host, 'https://site.test:8443' + path, version, *options) == origin, (options, path, version)
