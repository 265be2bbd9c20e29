"""A door under pressure: at its limits, before backends that are not there, and with first flights of every shape."""
import base64
import json
import os
import select
import socket
import subprocess

import pytest

import probes
from certs import Authority
from doorway import Doorway, OneHost, hello, named, raw, receive_all, reset
from process import until
from tlsbytes import X25519, X25519MLKEM768, EchConfig, client_hello, extension, record, records
from world import ROOT, program

GONE = '127.0.0.9'  # what is sent there vanishes
CONFIG = '''relay:
  listen: ["127.0.0.1:4433"]
  certificate: certs/relay.crt
  key: certs/relay.key
  client_ca: certs/ca.crt
  trust_domain: t.example
  pools: [10.211.0.0/24]
  tun: ghdoor0
  nat: none
  policy: policy.yaml
door:
  listen: ["127.0.0.1:8443"]
  local_routes:
    a.test: "{a}"
    raw.test: "{raw}"
    gone.test: "{gone}:443"
  camouflage: {{relay: "{site}"}}
  ech: {{keys_file: ech.yaml}}
  tunnel_name: inner.test
  connect_timeout: 300ms
  peek_timeout: 1s
'''


@pytest.fixture(scope='module')
def door(tmp_path_factory):
    with OneHost(tmp_path_factory.mktemp('door-abuse')) as world:
        certs = Authority(world.path('certs'), 't.example').init()
        certs.issue('relay', 'relay', '--dns', 'relay.test')
        with open(os.path.join(ROOT, 'examples', 'policy.yaml'), encoding='utf-8') as file:
            world.write('policy.yaml', file.read())
        subprocess.run([program('gatehouse'), 'ech', 'generate', '--public-name', 'cover.test', '--keys-file', world.path('ech.yaml')], check=True, stdout=subprocess.DEVNULL)
        made = Doorway(world)
        told = subprocess.run([program('gatehouse'), 'ech', 'show', '--keys-file', world.path('ech.yaml'), '--json'], check=True, stdout=subprocess.PIPE)
        made.ech = EchConfig(base64.b64decode(json.loads(told.stdout)['config_list']))
        made.a, made.site, made.raw = made.backend(named('a', world.folder)), made.backend(named('site', world.folder)), made.backend(raw)
        made.text = CONFIG.format(a=made.a.at, site=made.site.at, raw=made.raw.at, gone=GONE)
        made.start(made.text)
        made.host.run('nft', '-f', '-', text='table inet hole { chain arriving { type filter hook input priority 0; ip daddr %s drop; }; }' % GONE)
        yield made
        made.stop()


def carried(door, flight, *more):
    """What a backend of a route got, and both ends."""
    before = len(door.raw.seen)
    client = door.connect()
    client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    for piece in (flight,) + more:
        client.sendall(piece)
    side = door.raw.wait_seen(before + 1)
    side.settimeout(10)
    whole = b''.join((flight,) + more)
    assert receive_all(side, len(whole)) == whole
    return client, side


def still(*socks):
    """Nothing comes, and nothing ends."""
    poll = select.poll()
    for sock in socks:
        poll.register(sock, select.POLLIN)
    return poll.poll(50) == []


def is_tunnel(door):
    """A hello for the tunnel's name is answered by our own TLS, which asks for a certificate by more than one record."""
    client = door.connect()
    client.sendall(records(door.ech.hello(b'inner.test')))
    seen = receive_all(client, 5)
    client.close()
    return seen[:1] == b'\x16'


# ---- limits ----

def limited(door, more):
    door.reload(door.text.replace('  peek_timeout: 1s\n', more))
    until(lambda: door.metrics()['gatehouse_door_active_connections'] == 0, 10, 'nobody is there')


def test_at_the_limit_a_hello_that_our_key_opens_gets_a_place_and_others_wait(door):
    limited(door, '  max_connections: 1\n  reserve: 4\n  peek_timeout: 1s\n')
    try:
        parked = door.metrics()['gatehouse_door_parked_total']
        taken = door.metrics()['gatehouse_door_connections_total{way="tunnel"}']
        client, side = carried(door, hello('raw.test'))
        waiting = [door.connect() for _ in range(3)]
        for sock, name in zip(waiting, ('raw.test', 'a.test', 'stranger.test')):
            sock.sendall(hello(name))
        until(lambda: door.metrics()['gatehouse_door_parked_total'] == parked + 3, 5, 'three wait')
        assert still(*waiting)
        for _ in range(3):
            assert is_tunnel(door)
        assert door.metrics()['gatehouse_door_connections_total{way="tunnel"}'] == taken + 3
        for sock in waiting:
            assert sock.recv(10) == b'', 'its time is up: no reset, no word'
        side.sendall(b'all the time')
        assert receive_all(client, 12) == b'all the time'
        client.close()
        side.close()
    finally:
        door.reload(door.text)


def test_beyond_the_reserve_all_wait_in_the_kernels_queue(door):
    limited(door, '  max_connections: 1\n  reserve: 2\n  peek_timeout: 20s\n')
    try:
        parked = door.metrics()['gatehouse_door_parked_total']
        client, side = carried(door, hello('raw.test'))
        waiting = [door.connect() for _ in range(2)]
        for sock in waiting:
            sock.sendall(hello('raw.test'))
        until(lambda: door.metrics()['gatehouse_door_parked_total'] == parked + 2, 5, 'the reserve is full')
        later = door.connect()  # by the kernel alone
        later.sendall(records(door.ech.hello(b'inner.test')))
        assert still(later, *waiting)
        assert door.metrics()['gatehouse_door_active_connections'] <= 3
        reset(waiting.pop())
        assert receive_all(later, 5)[:1] == b'\x16', 'there was room for it to be read'
        later.close()
        before = len(door.raw.seen)
        client.close()
        side.close()
        side = door.raw.wait_seen(before + 1)
        assert receive_all(side, 5)[:1] == b'\x16'
        waiting.pop().close()
        side.close()
    finally:
        door.reload(door.text)


def test_five_thousand_stalled_flights_slow_nobody(door):
    """Of all kinds: nothing, half a header, half of a hello for a route, half of one for the tunnel."""
    flights = [b'', b'\x16\x03', hello('a.test')[:100], records(door.ech.hello(b'inner.test'))[:250]]
    door.reload(door.text.replace('peek_timeout: 1s', 'peek_timeout: 30s'))
    stalled = []
    try:
        for number in range(5000):
            sock = door.connect()
            sock.sendall(flights[number % 4])
            stalled.append(sock)
        for _ in range(10):
            assert door.ask('a.test', data=b'x' * 10000)[0] == 'a'
            assert door.ask('stranger.test')[0] == 'site'
            assert is_tunnel(door)
        assert still(*stalled)
        assert door.metrics()['gatehouse_door_active_connections'] >= 5000
    finally:
        for sock in stalled:
            reset(sock)
        until(lambda: door.metrics()['gatehouse_door_active_connections'] < 10, 20, 'they are gone')
        door.reload(door.text)


# ---- backends ----

def test_a_backends_host_that_says_nothing_says_nothing_through_us(door):
    failed = door.metrics()['gatehouse_door_dials_total{result="timed_out"}']
    client = door.connect()
    client.sendall(hello('gone.test'))
    until(lambda: door.metrics()['gatehouse_door_dials_total{result="timed_out"}'] > failed, 5, 'dialling was given up')
    client.sendall(b'are you there')
    assert still(client)
    client.close()
    until(lambda: door.metrics()['gatehouse_door_active_connections'] == 0, 5, 'it is over with its client')


def test_who_is_silent_on_a_route_is_left_alone(door):
    """Longer than every time-out of the door."""
    client, side = carried(door, hello('raw.test'))
    flights = door.metrics()['gatehouse_door_hellos_total{kind="late"}']
    late = door.connect()
    late.sendall(hello('raw.test')[:50])
    until(lambda: door.metrics()['gatehouse_door_hellos_total{kind="late"}'] > flights, 10, 'another one had all of peek_timeout')
    assert still(client, side)
    side.sendall(b'after all')
    assert receive_all(client, 9) == b'after all'
    for sock in (client, side, late):
        sock.close()


def test_a_client_that_resets_while_its_backend_is_dialled_is_forgotten(door):
    client = door.connect()
    client.sendall(hello('gone.test'))
    reset(client)
    until(lambda: door.metrics()['gatehouse_door_active_connections'] == 0, 5, 'nothing is left of it')


# ---- shapes of a first flight ----

POST_QUANTUM = dict(name=b'raw.test', groups=(X25519MLKEM768, X25519), shares=((X25519MLKEM768, probes.noise(1216)), X25519))


def shapes():
    whole = client_hello(**POST_QUANTUM)
    early = records(client_hello(more=extension(42, b''), **POST_QUANTUM)) + record(probes.noise(900), 23) * 3
    big = client_hello(name=b'raw.test', more=extension(0x7777, bytes(40000)))
    return {
        'post-quantum': [records(whole)], 'post-quantum, two segments': [records(whole)[:1400], records(whole)[1400:]], 'post-quantum, many records': [records(whole, 100)],
        'early data behind it': [early], 'early data in other segments': [early[:2000], early[2000:2100], early[2100:]], '40 KB': [records(big)],
        '40 KB, small records': [records(big, 300)], '40 KB, segments': [records(big)[at:at + 7000] for at in range(0, 41000, 7000)], 'one byte per record': [records(whole, 1)],
        'one byte per segment': [records(whole)[at:at + 1] for at in range(len(records(whole)))],
    }


@pytest.mark.parametrize('shape', sorted(shapes()))
def test_a_flight_of_any_shape_reaches_its_backend_as_it_came(door, shape):
    client, side = carried(door, *shapes()[shape])
    side.sendall(b'answer')
    assert receive_all(client, 6) == b'answer'
    client.close()
    side.close()


@pytest.mark.parametrize('size', [1, 40, 1000])
def test_a_hello_for_the_tunnel_may_come_in_small_records_and_segments_too(door, size):
    flight = records(door.ech.hello(b'inner.test', more=extension(21, bytes(3000))), size)
    client = door.connect()
    client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    for at in range(0, len(flight), 977):
        client.sendall(flight[at:at + 977])
    assert receive_all(client, 5)[:1] == b'\x16'
    client.close()
