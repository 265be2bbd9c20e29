"""The cases of websocket_cases.py: through camouflage.proxy to ws and gorilla, whose answers the door must not change, and at the WebSocket that is a tunnel."""
import json
import os
import socket
import struct
import subprocess

import pytest

import peers
import websocket_cases as cases
from certs import Authority
from doorway import LOCAL, Doorway, OneHost, inside
from world import program

HANDSHAKE = ('GET {path} HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n'
             'Sec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: {protocol}\r\n\r\n')
ACCEPT = 's3pPLMBiTxaQ9kYGzzhZRbK+xOo='  # RFC 6455, section 1.3
PLAIN = 'listen: ["127.0.0.1:{port}"]\ncamouflage: {{proxy: "http://{to}"}}\n'
TUNNEL = '''relay:
  listen: ["127.0.0.1:4433"]
  certificate: certs/relay.crt
  key: certs/relay.key
  client_ca: certs/ca.crt
  trust_domain: t.example
  pools: [10.211.0.0/24]
  tun: ghcases0
  nat: none
  policy: policy.yaml
door:
  listen: ["127.0.0.1:{port}"]
  camouflage: {{site: root}}
  ech: {{keys_file: ech.yaml}}
  tunnel_name: inner.test
'''
POLICY = '''version: "1.0"
default_action: deny
clients:
  client-1: { rules: [ { id: here, type: ip_cidr, action: allow, destinations: [127.0.0.1/32] } ] }
'''
PATH = '/.well-known/masque/ip/*/*/'


class Through:
    """Opens WebSockets at a port of the host."""

    def __init__(self, host, port, path='/', name='some.test', protocol='echo.test'):
        self.host, self.port = host, port
        self.request = HANDSHAKE.format(path=path, host=name, protocol=protocol).encode()

    def open(self):
        sock = inside(self.host, lambda: socket.create_connection((LOCAL, self.port), timeout=30))
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.sendall(self.request)
        head = b''
        while b'\r\n\r\n' not in head:
            data = sock.recv(65536)
            assert data, 'no answer to the handshake: %r' % head
            head += data
        head, _, rest = head.partition(b'\r\n\r\n')
        assert head.startswith(b'HTTP/1.1 101 ') and ACCEPT.encode() in head, head
        return cases.Connection(sock, rest)

    def play(self, case, wanted):
        return cases.play(self.open(), case, wanted)


def pipe(host, folder, name, door, *words):
    daemon = host.start('pipe-' + name, os.path.join(folder, 'pipe'), '-connect', '%s:%d' % (LOCAL, door.PORT), *words)
    return int(daemon.wait_line('^listening ', 20).text.split()[1])


@pytest.fixture(scope='module')
def programs():
    go, why = peers.build('websocket')
    node, otherwise = peers.install('ws')
    ech, again = peers.build('ech')
    if why or otherwise or again:
        pytest.skip(why or otherwise or again)
    return {'gorilla': [os.path.join(go, 'server')], 'ws': ['node', os.path.join(node, 'server.js')], 'pipe': ech}


@pytest.fixture(scope='module')
def world(tmp_path_factory):
    with OneHost(tmp_path_factory.mktemp('cases')) as made:
        yield made


@pytest.fixture(scope='module', params=['ws', 'gorilla'])
def echo(request, world, programs):
    """(its name, itself, it behind a door)"""
    host, door = world['door'], Doorway(world)
    port = int(host.start('echo-' + request.param, *programs[request.param]).wait_line('^listening ', 20).text.split()[1])
    door.start(PLAIN.format(port=door.PORT, to='%s:%d' % (LOCAL, port)))
    behind = pipe(host, programs['pipe'], request.param, door, '-name', 'some.test')
    yield request.param, Through(host, port), Through(host, behind)
    door.stop()


@pytest.mark.parametrize('group', cases.GROUPS)
def test_an_echo_behind_the_door_answers_as_the_echo(echo, group):
    name, direct, behind = echo
    wrong = []
    for case in cases.GROUPS[group]():
        wanted = case.says
        if name == 'gorilla' and wanted and wanted[-1] == ('close', cases.BAD_TEXT):
            wanted = []  # it takes any text
        plain, carried = direct.play(case, wanted), behind.play(case, wanted)
        if not cases.same(carried, plain, case, wanted):
            wrong.append((case, 'differs', carried[:5], plain[:5]))
        elif name == 'ws' and not cases.same(carried, cases.expected(wanted), case, wanted):
            wrong.append((case, 'answers', carried[:5], wanted[:5]))
    assert not wrong, wrong


@pytest.fixture(scope='module')
def tunnel(tmp_path_factory, programs):
    with OneHost(tmp_path_factory.mktemp('tunnel')) as made:
        yield from serve_tunnel(made, programs)


def serve_tunnel(world, programs):
    certs = Authority(world.path('certs'), 't.example').init()
    certs.issue('relay', 'relay', '--dns', 'relay.test')
    certs.issue('agent', 'client-1')
    world.write('policy.yaml', POLICY)
    world.write('root/index.html', 'a site\n')
    subprocess.run([program('gatehouse'), 'ech', 'generate', '--public-name', 'cover.test', '--keys-file', world.path('ech.yaml')], check=True,
                   stdout=subprocess.DEVNULL)
    told = subprocess.run([program('gatehouse'), 'ech', 'show', '--keys-file', world.path('ech.yaml'), '--json'], check=True, stdout=subprocess.PIPE)
    door = Doorway(world)
    door.start(TUNNEL.format(port=door.PORT))
    port = pipe(world['door'], programs['pipe'], 'tunnel', door, '-name', 'inner.test', '-ech', json.loads(told.stdout)['config_list'],
                '-certificate', world.path('certs', 'client-1'))
    yield Through(world['door'], port, PATH, 'inner.test', 'gatehouse-connect-ip')
    door.stop()


def for_tunnel(case):
    """The tunnel repeats nothing and takes no text. Whatever the case sends is in a capsule of an unknown type (RFC 9297, section 3.2), of which it says nothing."""
    sends, size = [], 0
    for fin, rsv, opcode, data in case.sends:
        opcode = cases.BINARY if opcode == cases.TEXT else opcode
        size += len(data) if opcode in (cases.BINARY, cases.CONTINUATION) and all(one[2] != cases.CLOSE for one in sends) else 0
        sends.append((fin, rsv, opcode, data))
    head = cases.frame(cases.BINARY, b'\xbf\xff\xff\xfe' + struct.pack('!I', 0x80000000 | size))
    return cases.Case(case.name, [head] + sends, [one for one in case.says if one[0] in ('pong', 'close')], case.chop)


def own(events):
    """Without what a tunnel says of itself."""
    return [one for one in events if one[0] != 'binary']


@pytest.mark.parametrize('group', [group for group in cases.GROUPS if group != 6])
def test_the_tunnels_own_endpoint_keeps_the_rules(tunnel, group):
    wrong = []
    for case in cases.GROUPS[group]():
        given = for_tunnel(case)
        says = own(tunnel.play(given, given.says))
        if not cases.same(says, cases.expected(given.says), case, given.says):
            wrong.append((case, says[:5], given.says[:5]))
    assert not wrong, wrong


def test_the_tunnels_own_endpoint_takes_no_text(tunnel):
    """A text that is none is refused as that as soon as it is (RFC 6455, section 8.1), any other as what is not wanted (section 7.4.1)."""
    wrong = []
    for case in cases.group6():
        bad = case.says[-1] == ('close', cases.BAD_TEXT)
        says = own(tunnel.play(case, [('close', 0)]))
        if says not in ([('end',)], [('close', 1003), ('end',)], [('close', cases.BAD_TEXT), ('end',)] if bad else None):
            wrong.append((case, says))
    assert not wrong, wrong
