"""The agent's first message beside that of a browser (uTLS): what differs is what docs/internals/client-hello.md says, no more and no less."""
import base64
import json
import os
import re
import socket
import struct
import subprocess
import threading

import pytest

import client_hello
import peers
from certs import Authority
from doorway import OneHost, inside
from process import until
from world import ROOT, program

DOMAIN = 't.example'
CONFIG = '''node:
  workers: 2
  state_dir: state
  run_dir: run
  user: root
agent:
  relay: https://localhost:{port}
  certificate: certs/client-1.crt
  key: certs/client-1.key
  ca: certs/ca.crt
  trust_domain: t.example
  tun: ghhello0
  routing: none
  tls_fingerprint: {browser}
{ech}'''
SHAPES = [(browser, ech) for browser in ('chrome', 'firefox') for ech in (False, True)]
PEER = {'chrome': 'Chrome 133', 'firefox': 'Firefox 120'}


class Listener:
    """TCP and UDP of one port: keeps first flights and answers nothing."""

    def __init__(self, host):
        self.changed = threading.Condition()
        self.flights, self.datagrams = [], []
        self.tcp = inside(host, lambda: socket.create_server(('127.0.0.1', 0)))
        self.port = self.tcp.getsockname()[1]
        self.udp = inside(host, lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        self.udp.bind(('127.0.0.1', self.port))
        for work in (self.accept, self.receive):
            threading.Thread(target=work, daemon=True).start()

    def accept(self):
        while True:
            try:
                connection, _ = self.tcp.accept()
            except OSError:
                return
            with connection:
                connection.settimeout(10)
                flight = b''
                while len(flight) < 5 or len(flight) < 5 + struct.unpack('!H', flight[3:5])[0]:
                    data = connection.recv(65536)
                    if not data:
                        break
                    flight += data
            with self.changed:
                self.flights.append(flight)
                self.changed.notify_all()

    def receive(self):
        while True:
            try:
                data, source = self.udp.recvfrom(65536)
            except OSError:
                return
            with self.changed:
                self.datagrams.append((source, data))
                self.changed.notify_all()

    def flight(self):
        with self.changed:
            assert self.changed.wait_for(lambda: self.flights, 20), 'no hello over TCP'
            return self.flights[0]

    def first_datagrams(self):
        """Two: no hello with a post-quantum share is shorter."""
        def those():
            return [data for source, data in self.datagrams if source == self.datagrams[0][0]]

        with self.changed:
            assert self.changed.wait_for(lambda: self.datagrams and len(those()) >= 2, 20), 'no hello over QUIC'
            return those()

    def close(self):
        self.tcp.close()
        self.udp.close()


@pytest.fixture(scope='module')
def programs():
    folder, why = peers.build('utls')
    if why:
        pytest.skip(why)
    return {name: os.path.join(folder, name) for name in ('client', 'initial')}


@pytest.fixture(scope='module')
def place(tmp_path_factory):
    with OneHost(tmp_path_factory.mktemp('hello')) as world:
        certs = Authority(world.path('certs'), DOMAIN).init()
        certs.issue('agent', 'client-1')
        subprocess.run([program('gatehouse'), 'ech', 'generate', '--public-name', 'cover.test', '--keys-file', world.path('ech.yaml')], check=True,
                       stdout=subprocess.DEVNULL)
        told = subprocess.run([program('gatehouse'), 'ech', 'show', '--keys-file', world.path('ech.yaml'), '--json'], check=True, stdout=subprocess.PIPE)
        world.config_list = json.loads(told.stdout)['config_list']
        yield world


def agents_hellos(world, programs, browser, ech):
    """What an agent says first: (over TCP, over QUIC, what its first datagrams were)."""
    host, listener = world['door'], Listener(world['door'])
    world.write('agent.yaml', CONFIG.format(port=listener.port, browser=browser, ech='  ech: %s\n' % world.config_list if ech else ''))
    agent = host.start('agent-%s-%d' % (browser, ech), program('gatehouse-agent'), 'up', '-c', world.path('agent.yaml'))
    try:
        flight, datagrams = listener.flight(), listener.first_datagrams()
    finally:
        agent.stop()
        listener.close()
    text = '\n'.join(base64.b64encode(data).decode() for data in datagrams) + '\n'
    seen = json.loads(subprocess.run([programs['initial']], input=text, check=True, stdout=subprocess.PIPE, text=True).stdout)
    assert flight[:3] == b'\x16\x03\x01', 'as browsers and servers of all ages have it'
    return client_hello.Hello(client_hello.message(flight)), client_hello.Hello(base64.b64decode(seen['hello'])), seen


def browsers_hello(world, programs, browser, ech):
    listener = Listener(world['door'])
    words = ['-ech', world.config_list] if ech else []
    done = world['door'].run(programs['client'], '-connect', '127.0.0.1:%d' % listener.port, '-name', 'localhost', '-browser', browser, *words)
    listener.close()
    return client_hello.Hello(client_hello.message(base64.b64decode(json.loads(done.stdout)['hello'])))


@pytest.fixture(scope='module')
def hellos(place, programs):
    made = {}
    for browser, ech in SHAPES:
        made[browser, ech] = agents_hellos(place, programs, browser, ech) + (browsers_hello(place, programs, browser, ech),)
    return made


def documented(title):
    """The rows of the table below a heading, and what stands between."""
    with open(os.path.join(ROOT, 'docs', 'internals', 'client-hello.md'), encoding='utf-8') as file:
        parts = re.split(r'^#+ (.*)\n', file.read(), flags=re.M)
    text = dict(zip(parts[1::2], parts[2::2]))[title]
    return [[cell.strip().strip('`') for cell in line.strip().strip('|').split('|')] for line in text.splitlines() if line.startswith('|')][2:]


@pytest.mark.parametrize('browser, ech', SHAPES)
def test_over_tcp_what_differs_is_what_is_documented(hellos, browser, ech):
    ours, _, _, theirs = hellos[browser, ech]
    found = {'JA4': (client_hello.ja4(ours), client_hello.ja4(theirs))}
    found.update(client_hello.differences(client_hello.facts(ours), client_hello.facts(theirs)))
    title = '%s over TCP%s' % (PEER[browser], ', with ECH' if ech else '')
    assert documented(title) == [[what, *both] for what, both in found.items()], title


@pytest.mark.parametrize('browser', ['chrome', 'firefox'])
def test_over_quic_it_is_what_is_documented(hellos, browser):
    for ech in (False, True):
        told = client_hello.facts(hellos[browser, ech][1], quic=True)
        assert sorted(documented('%s over QUIC' % browser.capitalize())) == sorted([what, text] for what, text in told.items())


def test_who_has_something_to_hide_resembles_chrome_without_being_told_to(place, programs, hellos):
    for ech in (False, True):
        ours, quic, _ = agents_hellos(place, programs, 'auto', ech)
        assert (client_hello.ja4(ours) == client_hello.ja4(hellos['chrome', True][0])) == ech
        assert (client_hello.ja4(quic, True) == client_hello.ja4(hellos['chrome', True][1], True)) == ech


@pytest.mark.parametrize('browser, ech', SHAPES)
def test_first_datagrams(hellos, browser, ech):
    seen = hellos[browser, ech][2]
    assert seen['destination'] == 8 and min(seen['sizes'][:2]) >= 1200 and seen['packet_numbers'][:2] == [0, 1], seen


def test_transport_parameters_come_in_another_order_each_time(hellos):
    orders = set()
    for _, hello, _, _ in hellos.values():
        data, ids = hello.found[client_hello.PARAMETERS], []
        while data:
            pair = []
            for _ in range(2):
                size = 1 << (data[0] >> 6)
                pair.append(int.from_bytes(data[:size], 'big') & ~(3 << (8 * size - 2)))
                data = data[size:]
            ids.append('*' if pair[0] % 31 == 27 else pair[0])
            data = data[pair[1]:]
        assert '*' in ids
        orders.add(tuple(ids))
    assert len({frozenset(ids) for ids in orders}) == 1 and len(orders) > 1


def test_ja4_of_published_examples():
    """FoxIO's own examples, made into bytes from the lists that it prints with them."""
    suites = '1301,1302,1303,c02b,c02f,c02c,c030,cca9,cca8,c013,c014,009c,009d,002f,0035'
    kinds = '001b,0000,0033,0010,4469,0017,002d,000d,0005,0023,0012,002b,ff01,000b,000a,0015'
    signatures = '0403,0804,0401,0503,0805,0501,0806,0601'
    hello = client_hello.Hello(build(suites, kinds, signatures, ['h2', 'http/1.1'], [0x0a0a, 0x0304, 0x0303]))
    assert client_hello.ja4(hello) == 't13d1516h2_8daaf6152771_e5627efa2ab1'
    assert client_hello.ja4_raw(hello) == ('t13d1516h2_002f,0035,009c,009d,1301,1302,1303,c013,c014,c02b,c02c,c02f,c030,cca8,cca9_'
                                           '0005,000a,000b,000d,0012,0015,0017,001b,0023,002b,002d,0033,4469,ff01_'
                                           '0403,0804,0401,0503,0805,0501,0806,0601')


def build(suites, kinds, signatures, alpn, versions):
    def packed(text):
        return b''.join(bytes.fromhex(word) for word in text.split(','))

    def counted(size, data):
        return len(data).to_bytes(size, 'big') + data

    known = {client_hello.SIGNATURES: counted(2, packed(signatures)), client_hello.ALPN: counted(2, b''.join(counted(1, name.encode()) for name in alpn)),
             client_hello.VERSIONS: counted(1, struct.pack('!%dH' % len(versions), *versions))}
    grease = b'\x2a\x2a\0\0'
    body = b''.join(packed(kind) + counted(2, known.get(int(kind, 16), b'')) for kind in kinds.split(','))
    hello = b'\x03\x03' + bytes(32) + b'\0' + counted(2, b'\x1a\x1a' + packed(suites)) + b'\1\0' + counted(2, grease + body + grease[:2] + b'\0\1\0')
    return b'\1' + counted(3, hello)
