"""The door: who is carried where, byte for byte; half-close, reset and silence pass through as what they are."""
import os
import signal
import socket
import threading
import time

import pytest

from doorway import Doorway, OneHost, as_records, hello, named, raw, receive_all, reset
from process import until

CONFIG = '''listen: ["127.0.0.1:8443", "127.0.0.1:8444"]
local_routes:
  a.test: "{a}"
  "*.b.test": "{b}"
  "a.test:8444": "{b}"
  "a.test/ssh": "{b}"
  raw.test: "{raw}"
  told.test: {{to: "{raw}", proxy_protocol: true}}
  down.test: "127.0.0.1:1"
  several.test: {{to: ["127.0.0.1:1", "{a}", "{b}"], health_check: 0s}}
camouflage: {{relay: "{site}"}}
'''


@pytest.fixture(scope='module')
def world(tmp_path_factory):
    with OneHost(tmp_path_factory.mktemp('door')) as made:
        yield made


@pytest.fixture(scope='module')
def door(world):
    made = Doorway(world)
    made.a = made.backend(named('a', world.folder))
    made.b = made.backend(named('b', world.folder))
    made.site = made.backend(named('site', world.folder))
    made.raw = made.backend(raw)
    made.text = CONFIG.format(a=made.a.at, b=made.b.at, site=made.site.at, raw=made.raw.at)
    made.start(made.text)
    yield made
    made.stop()


def backend_side(door, client, first):
    """Sends a first flight for raw.test and gives what its backend accepted."""
    before = len(door.raw.seen)
    client.sendall(first)
    side = door.raw.wait_seen(before + 1)
    side.settimeout(10)
    return side


def test_names_reach_their_backend_and_all_else_the_camouflage(door):
    for name, who in (('a.test', 'a'), ('A.TEST', 'a'), ('x.b.test', 'b'), ('y.x.b.test', 'b'), ('b.test', 'site'), ('other.test', 'site'),
                      (None, 'site')):
        assert door.ask(name)[0] == who, name


def test_port_and_protocol_choose_too(door):
    assert door.ask('a.test', port=8444)[0] == 'b'
    assert door.ask('a.test', alpn=['ssh'])[0] == 'b'
    assert door.ask('a.test', alpn=['h2'])[0] == 'a'


def test_much_is_carried_unchanged(door):
    data = os.urandom(3 << 20)

    def run(results):
        results.append(door.ask('a.test', data=data[:1 << 19])[1] == data[:1 << 19])
    results = []
    threads = [threading.Thread(target=run, args=(results,)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [True] * 8


def pieces_of(flight):
    yield [flight]
    for at in list(range(1, 12)) + list(range(12, len(flight), 37)):
        yield [flight[:at], flight[at:]]


def test_a_hello_may_come_in_any_segments(door):
    flight = hello('raw.test')
    for pieces in pieces_of(flight):
        client = door.connect()
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for piece in pieces[:-1]:
            client.sendall(piece)
        side = backend_side(door, client, pieces[-1])
        assert receive_all(side, len(flight)) == flight
        client.close()
        side.close()


def test_a_hello_may_come_byte_by_byte(door):
    flight = hello('raw.test')
    client = door.connect()
    client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    for i in range(len(flight) - 1):
        client.send(flight[i:i + 1])
    side = backend_side(door, client, flight[-1:])
    assert receive_all(side, len(flight)) == flight
    client.close()
    side.close()


@pytest.mark.parametrize('size', [1, 5, 100, 4096])
def test_a_hello_may_come_in_any_records(door, size):
    flight = as_records(hello('raw.test'), size)
    client = door.connect()
    side = backend_side(door, client, flight + b'early data behind it')
    assert receive_all(side, len(flight) + 20) == flight + b'early data behind it'
    client.close()
    side.close()


def test_a_hello_may_be_larger_than_a_record(door):
    flight = as_records(hello('raw.test', padding=20000), 16384)
    assert len(flight) > 16384
    client = door.connect()
    side = backend_side(door, client, flight)
    assert receive_all(side, len(flight)) == flight
    client.close()
    side.close()


def test_a_flight_without_a_name_of_ours_is_carried_as_it_came(door):
    answers = []

    def serve(_, connection):
        connection.settimeout(10)
        answers.append(connection.recv(65536))
        connection.sendall(b'HTTP/1.1 400 Bad Request\r\n\r\n')
        connection.close()
    door.site.serve, before = serve, door.site.serve
    try:
        for first in (b'GET / HTTP/1.1\r\n\r\n', b'\x00' * 100, os.urandom(333), b'\x80\x2e\x01\x00\x02', b'\x16\x03\x01\x00\x00', b'\x15\x03\x01\x00\x02\x01\x00'):
            client = door.connect()
            client.sendall(first)
            assert client.recv(100) == b'HTTP/1.1 400 Bad Request\r\n\r\n', first
            assert answers.pop() == first
            client.close()
    finally:
        door.site.serve = before


def test_the_end_of_one_direction_leaves_the_other(door):
    flight = hello('raw.test')
    client = door.connect()
    side = backend_side(door, client, flight)
    receive_all(side, len(flight))
    client.shutdown(socket.SHUT_WR)
    assert side.recv(10) == b''
    side.sendall(b'still here')
    assert client.recv(10) == b'still here'
    side.close()
    assert client.recv(10) == b''

    client = door.connect()
    side = backend_side(door, client, flight)
    receive_all(side, len(flight))
    side.shutdown(socket.SHUT_WR)
    assert client.recv(10) == b''
    client.sendall(b'me too')
    assert receive_all(side, 6) == b'me too'
    client.close()
    assert side.recv(10) == b''


def test_a_reset_is_passed_on_in_both_directions(door):
    flight = hello('raw.test')
    client = door.connect()
    side = backend_side(door, client, flight)
    receive_all(side, len(flight))
    reset(client)
    with pytest.raises(ConnectionResetError):
        side.recv(10)

    client = door.connect()
    side = backend_side(door, client, flight)
    receive_all(side, len(flight))
    reset(side)
    with pytest.raises(ConnectionResetError):
        client.recv(10)


def test_a_backend_may_be_told_who_the_client_is(door):
    """PROXY protocol version 2, section 2.2: signature, version and command, TCP over IPv4, 12 bytes of addresses"""
    flight = hello('told.test')
    client = door.connect()
    own = client.getsockname()
    side = backend_side(door, client, flight)
    expected = (b'\r\n\r\n\0\r\nQUIT\n' + b'\x21\x11\x00\x0c' + socket.inet_aton('127.0.0.1') * 2 + own[1].to_bytes(2, 'big') +
                door.PORT.to_bytes(2, 'big'))
    assert receive_all(side, len(expected) + len(flight)) == expected + flight
    client.close()
    side.close()


def test_a_backend_that_is_down_looks_as_its_host_would(door):
    client = door.connect()
    client.sendall(hello('down.test'))
    with pytest.raises(ConnectionResetError):
        client.recv(10)


def test_another_backend_takes_over_and_the_load_is_shared(door):
    first = [door.ask('several.test')[0] for _ in range(6)]
    assert set(first) == {'a', 'b'}


def test_a_stranger_that_says_nothing_hears_the_sites_own_end(door):
    def serve(_, connection):
        connection.settimeout(0.5)
        try:
            assert connection.recv(100) == b''
        except socket.timeout:
            connection.close()
    door.site.serve, before = serve, door.site.serve
    try:
        client = door.connect()
        start = time.monotonic()
        assert client.recv(10) == b''
        assert 0.4 < time.monotonic() - start < 2.5, 'before peek_timeout, when the site ended it'
    finally:
        door.site.serve = before


def test_a_stranger_that_stalls_is_carried_when_its_time_is_up(door):
    flight = hello('a.test')
    seen = []

    def serve(_, connection):
        connection.settimeout(10)
        seen.append(receive_all(connection, 100))
        connection.close()
    door.site.serve, before = serve, door.site.serve
    try:
        client = door.connect()
        client.sendall(flight[:100])
        assert client.recv(10) == b''
        assert seen == [flight[:100]]
    finally:
        door.site.serve = before


def test_the_site_refuses_a_piece_of_a_hello_there_and_then(door):
    """Its alert arrives in front of its reset."""
    def serve(_, connection):
        connection.settimeout(10)
        if len(receive_all(connection, 20)) == 20:
            connection.sendall(b'\x15\x03\x01\x00\x02\x02\x46')
            reset(connection)
    door.site.serve, before = serve, door.site.serve
    try:
        client = door.connect()
        start = time.monotonic()
        client.sendall(hello('other.test')[:20])
        assert receive_all(client, 7) == b'\x15\x03\x01\x00\x02\x02\x46'
        with pytest.raises(ConnectionResetError):
            client.recv(10)
        assert time.monotonic() - start < 2.5, 'before peek_timeout'
    finally:
        door.site.serve = before


def test_a_slow_hello_reaches_its_backend_whole(door):
    """The site has seen a part of it by then; it is dropped."""
    flight = hello('raw.test')
    heard = []
    ended = threading.Event()

    def serve(_, connection):
        connection.settimeout(10)
        heard.append(receive_all(connection, 100))
        try:
            connection.recv(10)
        except ConnectionResetError:
            ended.set()
    door.site.serve, before = serve, door.site.serve
    try:
        client = door.connect()
        client.sendall(flight[:100])
        until(lambda: heard == [flight[:100]], 10, 'the site has heard a part')
        side = backend_side(door, client, flight[100:])
        assert receive_all(side, len(flight)) == flight
        assert ended.wait(10)
        client.close()
        side.close()
    finally:
        door.site.serve = before


def test_stalled_flights_slow_nobody(door):
    stalled = [door.connect() for _ in range(1500)]
    for sock in stalled:
        sock.sendall(b'\x16\x03\x01')
    assert door.ask('a.test')[0] == 'a'
    for sock in stalled:
        reset(sock)
    until(lambda: door.metrics()['gatehouse_door_active_connections'] < 100, 10, 'they are gone')


def test_a_reload_changes_routes_and_leaves_connections(door):
    flight = hello('raw.test')
    client = door.connect()
    side = backend_side(door, client, flight)
    receive_all(side, len(flight))
    door.reload(door.text.replace('  a.test: "%s"' % door.a.at, '  a.test: "%s"' % door.b.at))
    assert door.ask('a.test')[0] == 'b'
    side.sendall(b'as before')
    assert client.recv(10) == b'as before'
    mark = door.daemon.mark()
    door.configure('local_routes: {a.test: nowhere}\n')
    door.daemon.wait_line('must be a backend such as', since=mark)
    assert door.ask('a.test')[0] == 'b', 'the last good configuration stays'
    door.reload(door.text)
    assert door.ask('a.test')[0] == 'a'
    client.close()
    side.close()


def test_beyond_the_limit_connections_wait_for_a_place(door):
    door.reload(door.text + 'max_connections: 1\nreserve: 4\npeek_timeout: 2s\n')
    try:
        until(lambda: door.metrics()['gatehouse_door_active_connections'] == 0, 10, 'nobody is there')
        flight = hello('raw.test')
        first = door.connect()
        side = backend_side(door, first, flight)
        receive_all(side, len(flight))
        second = door.connect()
        before = len(door.raw.seen)
        second.sendall(flight)
        until(lambda: door.metrics()['gatehouse_door_parked_total'] >= 1, 5, 'the second one waits')
        assert len(door.raw.seen) == before
        first.close()
        side.close()
        assert receive_all(door.raw.wait_seen(before + 1), len(flight)) == flight
        third = door.connect()
        third.sendall(flight)
        assert third.recv(10) == b'', 'nobody left before its time was up'
        second.close()
    finally:
        door.reload(door.text)


def test_hop_ports_lead_to_the_door_until_it_ends(world):
    door = Doorway(world)
    a = door.backend(named('a', world.folder))
    door.start('listen: ["127.0.0.1:9443"]\nlocal_routes: {a.test: "%s"}\nhop_ports: 10020-10119\n' % a.at, node__run_dir=world.path('hop'),
               node__state_dir=world.path('hop-state'), admin__listen='127.0.0.1:8081')
    try:
        for port in (10020, 10077, 10119, 9443):
            assert door.ask('a.test', port=port)[0] == 'a'
        for port in (10019, 10120):
            with pytest.raises(ConnectionRefusedError):
                door.connect(port)
    finally:
        door.stop()
    assert 'gatehouse' not in door.host.run('nft', 'list', 'ruleset').stdout


def test_hop_ports_of_a_door_that_was_killed_are_removed_at_the_next_start(world):
    door = Doorway(world)
    a = door.backend(named('a', world.folder))
    options = {'node__run_dir': world.path('hop'), 'node__state_dir': world.path('hop-state'), 'admin__listen': '127.0.0.1:8081'}
    text = 'listen: ["127.0.0.1:9443"]\nlocal_routes: {a.test: "%s"}\n' % a.at
    door.start(text + 'hop_ports: 10020-10119\n', **options)
    pids = [door.daemon.pid] + door.daemon.children()
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
    door.daemon.process.wait()
    assert 'redirect' in door.host.run('nft', 'list', 'ruleset').stdout
    door.start(text, **options)
    assert 'redirect' not in door.host.run('nft', 'list', 'ruleset').stdout
    door.stop()


def test_the_metrics_tell_what_happened(door):
    metrics = door.metrics()
    for way in ('route', 'camouflage'):
        assert metrics['gatehouse_door_connections_total{way="%s"}' % way] > 0
    for kind in ('named', 'not_tls', 'late'):
        assert metrics['gatehouse_door_hellos_total{kind="%s"}' % kind] > 0
    assert metrics['gatehouse_door_bytes_total{direction="from_clients"}'] > 1 << 22
    assert metrics['gatehouse_door_dials_total{result="refused"}'] > 0


@pytest.fixture(scope='module')
def own(world):
    """A door in the small form of its file: no certificate, no camouflage, everything by itself."""
    made = Doorway(world)
    made.PORT = 9444
    made.a = made.backend(named('a', world.folder))
    made.start('listen: ["127.0.0.1:9444"]\nlocal_routes: {a.test: "%s"}\n' % made.a.at, node__run_dir=world.path('own'),
               node__state_dir=world.path('own-state'), admin__listen='127.0.0.1:8082')
    yield made
    made.stop()


def browse(door, path, *options):
    """(status, version, fields, body) as curl has it"""
    done = door.host.run('curl', '-sk', '-m', 10, '-i', '-w', '\n%{http_version}', '--resolve', 'some.test:%d:127.0.0.1' % door.PORT, *options,
                         'https://some.test:%d%s' % (door.PORT, path))
    head, _, rest = done.stdout.partition('\n\n')  # read as text, line ends are one character
    body, _, version = rest.rpartition('\n')
    lines = head.split('\n')
    return int(lines[0].split()[1]), version, {k.lower(): v for k, _, v in (line.partition(': ') for line in lines[1:])}, body


@pytest.mark.parametrize('options, version', [(['--http2'], '2'), (['--http1.1'], '1.1'), (['--tls-max', '1.2', '--http2'], '2')])
def test_without_a_site_strangers_meet_an_ordinary_empty_one(own, options, version):
    status, spoken, fields, body = browse(own, '/', *options)
    assert (status, spoken) == (200, version) and fields['server'] == 'nginx' and '<html' in body
    status, spoken, fields, body = browse(own, '/nothing', *options)
    assert (status, spoken) == (404, version) and '404 Not Found' in body
    assert own.ask('a.test')[0] == 'a'


def test_the_certificate_that_was_made_outlives_a_restart(own, world):
    def shown():
        return own.host.run('openssl', 's_client', '-connect', '127.0.0.1:9444', '-servername', 'some.test', text='').stdout.split('-----BEGIN')[1].split('-----END')[0]
    before = shown()
    own.daemon.stop()
    own.start('listen: ["127.0.0.1:9444"]\nlocal_routes: {a.test: "%s"}\n' % own.a.at, node__run_dir=world.path('own'),
              node__state_dir=world.path('own-state'), admin__listen='127.0.0.1:8082')
    assert shown() == before


def test_a_folder_is_served_and_the_tls_of_strangers_ends_here(own, world):
    os.makedirs(world.path('www', 'sub'), exist_ok=True)
    world.write('www/index.html', '<html>front</html>')
    world.write('www/sub/page.txt', 'x' * 100000)
    os.chmod(world.folder, 0o755)
    own.daemon.stop()
    own.start('listen: ["127.0.0.1:9444"]\nlocal_routes: {a.test: "%s"}\ncamouflage: {site: %s}\n' % (own.a.at, world.path('www')),
              node__run_dir=world.path('own'), node__state_dir=world.path('own-state'), admin__listen='127.0.0.1:8082')
    assert browse(own, '/')[3] == '<html>front</html>'
    assert browse(own, '/sub/page.txt')[3] == 'x' * 100000
    assert browse(own, '/sub/page.txt', '-r', '10-19')[0] == 206
    assert browse(own, '/../own-state/door.pem', '--path-as-is')[0] in (400, 404)
    assert own.metrics()['gatehouse_door_handshakes_total{client="unknown"}'] >= 4


def test_what_is_no_tls_gets_the_words_of_a_tls_server(own):
    for first in (b'GET / HTTP/1.1\r\n\r\n', b'\x16\x03\x01\x00\x04\x02\x00\x00\x00', os.urandom(500)):
        client = own.connect()
        client.sendall(first)
        data = client.recv(100)
        assert data == b'' or data[0] == 21, data  # an alert, or nothing
        client.close()
