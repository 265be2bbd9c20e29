"""The door over UDP: who is carried where, datagram by datagram, and who hears nothing at all."""
import os
import re
import select
import socket
import threading
import time

import pytest

from doorway import LOCAL, Doorway, OneHost, inside
from process import until
from world import ROOT

CONFIG = '''listen: ["127.0.0.1:8443", "[::1]:8443"]
local_routes:
  quic.example.com: {{to: "{a}", udp: true}}
  example.com: {{to: "{b}"}}
camouflage: {{relay: "{site}", udp: SITE_UDP}}
peek_timeout: 500ms
'''


def captured(name):
    """Datagrams of real first flights, from the tests of the reader."""
    with open(os.path.join(ROOT, 'tests', 'unit', 'proto', 'quic', 'flights.h'), encoding='utf-8') as file:
        text = re.search(r'\b%s\[\] =\s*(.*?);' % name, file.read(), re.S).group(1)
    return [bytes.fromhex(re.sub(r'[^0-9a-f]', '', part)) for part in text.split('",') if '"' in part]


GO = captured('quic_go_v1')  # quic.example.com, in two datagrams
PLAIN = captured('rfc9001_a2')  # example.com


class Echo:
    """Answers each datagram with its name before it; keeps what came."""

    def __init__(self, host, name):
        self.socket = inside(host, lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        self.socket.bind((LOCAL, 0))
        self.at = '%s:%d' % self.socket.getsockname()
        self.name, self.seen = name, []
        self.answer = lambda data: self.name + data
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self):
        while True:
            data, sender = self.socket.recvfrom(65536)
            self.seen.append((data, sender))
            self.socket.sendto(self.answer(data), sender)


class Client:
    def __init__(self, door, port=None, address=LOCAL):
        family = socket.AF_INET6 if ':' in address else socket.AF_INET
        self.socket = inside(door.host, lambda: socket.socket(family, socket.SOCK_DGRAM))
        self.socket.connect((address, port or door.PORT))

    def send(self, *datagrams):
        for datagram in datagrams:
            self.socket.send(datagram)

    def receive(self, timeout=10):
        return self.socket.recv(65536) if select.select([self.socket], [], [], timeout)[0] else None


@pytest.fixture(scope='module')
def door(tmp_path_factory):
    with OneHost(tmp_path_factory.mktemp('door-udp')) as world:
        made = Doorway(world)
        made.a, made.b, made.site = (Echo(made.host, name) for name in (b'a', b'b', b'site'))
        made.text = CONFIG.format(a=made.a.at, b=made.b.at, site=made.site.at)
        made.start(made.text.replace('SITE_UDP', 'false'))
        yield made
        made.stop()


@pytest.fixture
def with_site(door):
    door.reload(door.text.replace('SITE_UDP', 'true'))
    yield
    door.reload(door.text.replace('SITE_UDP', 'false'))


def silent(door, *datagrams, marks=3):
    """They are answered by nothing, and nobody behind the door gets them. The flight that follows is the proof that they were read."""
    client, before = Client(door), len(door.site.seen) + len(door.b.seen)
    client.send(*datagrams)
    for _ in range(marks):  # both workers
        other = Client(door)
        other.send(*GO)
        assert other.receive() == b'a' + GO[0]
    assert client.receive(0.05) is None
    assert len(door.site.seen) + len(door.b.seen) == before


def test_a_routed_name_gets_the_flight_as_it_came_and_answers(door):
    client = Client(door)
    client.send(GO[0])
    assert client.receive(0.1) is None, 'half of it is not enough'
    client.send(GO[1])
    assert [client.receive(), client.receive()] == [b'a' + part for part in GO]
    assert [data for data, _ in door.a.seen[-2:]] == GO


def test_a_client_over_ipv6_reaches_a_backend_over_ipv4(door):
    client = Client(door, address='::1')
    client.send(*GO)
    assert [client.receive(), client.receive()] == [b'a' + part for part in GO]
    client.send(b'\x40' + b'x' * 50)
    assert client.receive() == b'a\x40' + b'x' * 50


def test_what_follows_goes_the_same_way_whichever_worker_reads_it(door):
    clients = [Client(door) for _ in range(4)]
    for client in clients:
        client.send(*GO)
        assert [client.receive(), client.receive()] == [b'a' + part for part in GO]
    for client in clients:
        for size in (1, 2, 9, 30, 1200, 1450):
            for _ in range(40):  # short headers of any id: the kernel gives them to any worker
                packet = bytes([0x40 | os.urandom(1)[0] & 0x3f]) + os.urandom(size - 1)
                client.send(packet)
                assert client.receive() == b'a' + packet
    assert len({sender for _, sender in door.a.seen[-4 * 240:]}) == 4, 'a client is one source to its backend'


def test_a_client_that_has_another_address_goes_on_by_the_id_of_its_server(door):
    ids = [os.urandom(8), os.urandom(4)]
    flows = []
    for server in ids:
        door.a.answer = lambda data, server=server: b'\xc0\x00\x00\x00\x01\x00' + bytes([len(server)]) + server + data
        client = Client(door)
        client.send(*GO)
        assert client.receive().endswith(GO[0])
        assert client.receive().endswith(GO[1])
        flows.append(client)
    door.a.answer = lambda data: b'a' + data
    for server in ids:
        for _ in range(8):
            client = Client(door)
            for _ in range(3):
                packet = b'\x40' + server + os.urandom(40)
                client.send(packet)
                assert client.receive() == b'a' + packet
    packet = b'\x40' + ids[0] + os.urandom(40)
    flows[0].send(packet)
    assert flows[0].receive() == b'a' + packet, 'the former address is as good'


def test_strangers_hear_nothing(door):
    unknown = bytearray(PLAIN[0])
    unknown[1:5] = b'\x1a\x2a\x3a\x4a'  # a version that asks for Version Negotiation
    silent(door, *PLAIN)  # a routed name without udp
    silent(door, bytes(unknown))
    silent(door, bytes([0x40]) + os.urandom(40))  # asks for a stateless reset
    silent(door, b'\x00' * 1200, b'')


def test_garbage_of_every_length_hears_nothing(door):
    silent(door, *(os.urandom(n) for n in range(1, 1501)), marks=1)
    silent(door, *(b'\xc0\x00\x00\x00\x01\x08' + os.urandom(n) for n in range(1, 1495, 7)), marks=1)
    silent(door, *(PLAIN[0][:n] for n in range(1, 1200, 11)), marks=1)


def test_strangers_reach_the_camouflage_when_it_takes_udp(door, with_site):
    unknown = bytearray(PLAIN[0])
    unknown[1:5] = b'\x1a\x2a\x3a\x4a'
    for datagram in PLAIN + [bytes(unknown), b'\x40' + os.urandom(40), b'\x00', os.urandom(1200)]:
        client = Client(door)
        client.send(datagram)
        assert client.receive() == b'site' + datagram
    client = Client(door)
    client.send(*GO)
    assert client.receive() == b'a' + GO[0]


def test_half_a_flight_reaches_the_camouflage_when_its_time_is_up(door, with_site):
    client, start = Client(door), time.monotonic()
    client.send(GO[0])
    assert client.receive() == b'site' + GO[0]
    assert time.monotonic() - start >= 0.45


def test_one_socket_may_speak_to_two_names(door, with_site):
    client = Client(door)
    client.send(*GO)
    assert [client.receive(), client.receive()] == [b'a' + part for part in GO]
    client.send(*PLAIN)
    assert client.receive() == b'site' + PLAIN[0]
    client.send(GO[0])
    assert client.receive() == b'a' + GO[0], 'its id is known'


def test_half_flights_without_end_cost_no_one_else_their_way(door):
    client = Client(door)
    for i in range(600):
        client.send(GO[0])
        if i % 50 == 0:
            other = Client(door)
            other.send(*GO)
            assert other.receive() == b'a' + GO[0]
    until(lambda: door.metrics()['gatehouse_door_udp_half_seen'] == 0, 10, 'what is half seen is given up')


def test_flows_end_when_both_sides_are_silent(door):
    door.reload(door.text.replace('SITE_UDP', 'false') + 'udp_timeout: 1s\n')
    try:
        client = Client(door)
        client.send(*GO)
        assert client.receive() == b'a' + GO[0]
        until(lambda: door.metrics()['gatehouse_door_udp_flows'] >= 1, 10, 'the flow is counted')
        until(lambda: door.metrics()['gatehouse_door_udp_flows'] == 0, 20, 'flows that are over')
    finally:
        door.reload(door.text.replace('SITE_UDP', 'false'))


def test_a_client_beyond_the_limit_takes_the_place_of_one_that_nobody_answered(door):
    quiet = inside(door.host, lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
    quiet.bind((LOCAL, 0))
    text = door.text.replace('SITE_UDP', 'true').replace(door.site.at, '%s:%d' % quiet.getsockname()) + 'max_udp_flows: 4\nudp_timeout: 60s\n'
    door.reload(text)
    try:
        for _ in range(40):
            Client(door).send(b'\x40' + os.urandom(20))
        client = Client(door)
        client.send(*GO)
        assert client.receive() == b'a' + GO[0]
        assert door.metrics()['gatehouse_door_udp_dropped_total{why="full"}'] > 0
    finally:
        door.reload(door.text.replace('SITE_UDP', 'false'))


def test_a_door_with_nothing_to_serve_over_udp_opens_no_socket(door):
    other = Doorway(door.world)
    text = 'listen: ["127.0.0.1:9443"]\nlocal_routes: {example.com: "%s"}\n' % door.b.at
    other.start(text, node__run_dir=door.world.path('other'), node__state_dir=door.world.path('other-state'), admin__listen='127.0.0.1:8081')
    try:
        assert '9443' not in door.host.run('ss', '-lun').stdout
        assert ':8443' in door.host.run('ss', '-lun').stdout
    finally:
        other.stop()


def test_hop_ports_lead_there_too(door):
    other = Doorway(door.world)
    text = 'listen: ["127.0.0.1:9443"]\nhop_ports: 10020-10119\nlocal_routes: {quic.example.com: {to: "%s", udp: true}}\n' % door.a.at
    other.start(text, node__run_dir=door.world.path('hop'), node__state_dir=door.world.path('hop-state'), admin__listen='127.0.0.1:8081')
    try:
        for port in (10020, 10077, 10119, 9443):
            client = Client(door, port)
            client.send(*GO)
            assert [client.receive(), client.receive()] == [b'a' + part for part in GO]
            packet = b'\x40' + os.urandom(100)
            client.send(packet)
            assert client.receive() == b'a' + packet
    finally:
        other.stop()


def test_the_metrics_tell_what_happened(door):
    metrics = door.metrics()
    for way in ('route', 'camouflage', 'nowhere'):
        assert metrics['gatehouse_door_udp_flights_total{way="%s"}' % way] > 0
    assert metrics['gatehouse_door_udp_datagrams_total{direction="to_clients"}'] > 100
    assert metrics['gatehouse_door_udp_dropped_total{why="late"}'] > 0
