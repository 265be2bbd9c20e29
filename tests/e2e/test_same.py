"""Same as the site: whatever a stranger does at the door, it sees what the site itself would have shown it.

A is the door with the site as its camouflage, and with routes and hop ports; B is the site. Both are in one network; each test plays
the scripts of one property (probes.py) on both and compares what was seen: bytes with what is random masked, alerts, FIN or reset, whether
a write afterwards is answered with a reset, and times by a two-sample Kolmogorov-Smirnov test. A suite of the same programs calls a door
different in fewer than one run of 1,000 (sameness.py).
"""
import collections
import concurrent.futures
import json
import os
import shutil
import signal
import socket
import struct
import threading

import pytest

import probe
import probes
from doorway import Backend, Doorway, OneHost, inside, named, reset
from probe import Tls, plain_context, say, session
from probes import GET, LIMIT
from sameness import Budget, ks_chance, ks_distance, ks_test, outcomes_test, quantiles
from sites import Site
from tlsbytes import hello, mask
from world import program, sanitizers

CONFIG = '''listen: ["127.0.0.1:{port}"]
local_routes: {{a.test: "{route}", "*.b.test": "{route}", "down.test": "127.0.0.1:1"}}
camouflage: {{relay: "127.0.0.1:{site}"}}
{more}'''
HOP = 10020
BUDGET = Budget()
# What a stranger cannot tell from the noise of a path, in seconds: the door adds a hop over the loopback, and comes to the site up to a
# millisecond after the stranger came to it.
SLOWER = 10 if sanitizers() else 1  # an instrumented door
CLOSE_TOLERANCE = 0.004 * SLOWER
ANSWER_TOLERANCE = 0.0004 * SLOWER
CONNECT_TOLERANCE = 0.0001 * SLOWER
SAMPLES = 40
SO_RCVBUFFORCE = 33
PACE = 0.001  # seconds from one connection to the next, where a clock of the site runs from its beginning


class Stand:
    """A site, a door that waits longer for a hello than the site does, and one that is impatient."""

    def __init__(self, world, kind):
        assert shutil.which('nginx') and shutil.which('caddy'), 'missing packages: nginx caddy (tools/bootstrap installs them)'
        self.world, self.host, self.kind = world, world['door'], kind
        self.doors = []
        self.site = Site(self.host, kind, 9001).start()
        self.route = Backend(self.host, named('a', world.folder))
        self.door = self.open_door(8443, 'hop_ports: %d-%d\n' % (HOP, HOP + 99))
        self.impatient = self.open_door(8444, 'peek_timeout: 300ms\n')
        self.pool = concurrent.futures.ThreadPoolExecutor(2)

    def open_door(self, port, more='', site=None):
        door = Doorway(self.world)
        door.config = 'door-%d.yaml' % port
        door.PORT = port
        door.start(CONFIG.format(port=port, route=self.route.at, site=site or self.site.port, more=more), admin__listen='127.0.0.1:%d' % (port + 10000),
                   node__state_dir=self.world.path('state-%d' % port), node__run_dir=self.world.path('run-%d' % port))
        door.address = ('127.0.0.1', port)
        self.doors.append(door)
        return door

    def differences(self, scripts, door=None):
        found = inside(self.host, probe.compare, (door or self.door).address, self.site.address, scripts, BUDGET)
        return '\n\n'.join('%s\n%s' % item for item in list(found.items())[:8]) + ('\n%d in all' % len(found) if found else '')

    def assert_same_times(self, scripts, key, tolerance, doors=None, count=SAMPLES, **options):
        """At each of the addresses <doors>."""
        targets = (doors or [self.door.address]) + [self.site.address]

        def play():
            return probe.times(targets, scripts, key, count, **options)
        for name, samples in inside(self.host, play).items():
            for address, seen in zip(targets, samples[:-1]):
                what = '%s, port %d\ndoor: %s\nsite: %s' % (name, address[1], quantiles(seen), quantiles(samples[-1]))
                assert len(seen) == len(samples[-1]) == count, what
                assert not BUDGET.times_differ(seen, samples[-1], tolerance), '%s\np %.2g' % (what, ks_test(seen, samples[-1], tolerance))

    def close(self):
        self.pool.shutdown()
        for door in self.doors:
            door.stop()
        self.route.close()
        self.site.stop()


@pytest.fixture(scope='module', params=['nginx', 'caddy'])
def stand(request, tmp_path_factory):
    with OneHost(tmp_path_factory.mktemp('same-' + request.param)) as world:
        made = Stand(world, request.param)
        yield made
        made.close()


# ---- the rows ----

def test_1_certificate_protocol_suite_and_tickets(stand):
    assert stand.differences(probes.versions_and_suites()) == ''
    assert stand.differences(probes.tickets()) == ''


def test_2_alerts_and_ends(stand):
    assert stand.differences(probes.alerts()) == ''


def test_2_alerts_of_an_impatient_door(stand):
    assert stand.differences(probes.alerts(), door=stand.impatient) == ''


def test_2_garbage_of_every_length(stand):
    assert stand.differences(probes.garbage(range(1, 4097))) == ''


def test_2_damaged_hellos(stand):
    assert stand.differences(probes.mutated(500)) == ''


def test_2_refusals_take_as_long(stand):
    refused = {name: script for name, script in probes.alerts().items() if name in ('http', 'tls 1.1', 'hello and alert', 'data first')}
    stand.assert_same_times(refused, 'end', CLOSE_TOLERANCE, together=8, pace=PACE * 5)


def test_3_silence_and_half_a_hello(stand):
    assert stand.differences(probes.stalls()) == ''
    assert stand.differences(probes.stalls(), door=stand.impatient) == ''


def test_3_silence_lasts_as_long(stand):
    stand.assert_same_times(probes.stalls(), 'life', CLOSE_TOLERANCE, [stand.door.address, stand.impatient.address], together=2000, pace=PACE)


def test_4_bytes_go_through(stand):
    assert stand.differences(probes.bytes_through()) == ''


def early_data(stand, port):
    """OpenSSL's own client: a session, and another that sends a request with its first flight."""
    saved = stand.world.path('session-%d' % port)
    common = ['openssl', 's_client', '-connect', '127.0.0.1:%d' % port, '-servername', 'site.test', '-tls1_3', '-ign_eof']
    request = stand.world.write('request', 'GET / HTTP/1.1\nHost: site.test\nConnection: close\n\n')
    stand.host.run(*common, '-sess_out', saved, text='GET / HTTP/1.1\nHost: site.test\nConnection: close\n\n', check=False)
    said = stand.host.run(*common, '-sess_in', saved, '-early_data', request, check=False).stdout
    return [line for line in said.splitlines() if line.startswith(('Early data was', 'Reused', 'New, ', 'HTTP/', 'Content-Length'))]


def test_4_early_data_is_accepted(stand):
    a, b = early_data(stand, stand.door.PORT), early_data(stand, stand.site.port)
    assert a == b
    assert stand.kind != 'nginx' or 'Early data was accepted' in a


def test_5_a_hello_cut_anywhere(stand):
    assert stand.differences(probes.split()) == ''


def test_6_half_close_in_both_directions(stand):
    assert stand.differences(probes.half_closes()) == ''


def test_6_resets_of_the_client_leave_no_trace(stand):
    def script(p):
        p.send(hello()[:200])
        yield p.has(1), 0.05
        p.reset()
    for address in (stand.door.address, stand.site.address):
        inside(stand.host, probe.play, [(address, script)] * 50)
    assert stand.differences({'after resets': session(GET, limit=0.6)}) == ''


class AllThere:
    """Scripts say that they are where they should be; somebody waits for all of them."""

    def __init__(self, count):
        self.count = count
        self.changed = threading.Condition()
        self.done = False

    def arrive(self):
        with self.changed:
            self.count -= 1
            self.changed.notify_all()

    def wait(self):
        with self.changed:
            assert self.changed.wait_for(lambda: self.count <= 0, 30)


def until_killed(there, step):
    def script(p):
        p.session = None
        if step == 'nothing':
            there.arrive()
        elif step in ('half a hello', 'a hello'):
            p.send(hello() if step == 'a hello' else hello()[:150])
            yield p.has(1), 0.5
            there.arrive()
        else:
            tls = Tls(p, plain_context())
            yield from tls.handshake()
            if step == 'a request':
                tls.send(GET)
                yield from tls.read(lambda text: b'</title>' in text, 3)
            p.send(b'')
            there.arrive()
        yield from p.until_end(8)
        p.times.clear()  # how long the killing took
    return script


def test_6_a_site_that_dies(stand):
    """Its connections end as they would without a door; afterwards a door looks the same to all who come, too."""
    site = Site(stand.host, stand.kind, 9100, 60000).start()
    door = stand.open_door(8500, site=site.port)
    steps = ['nothing', 'half a hello', 'a hello', 'a handshake', 'a request'] * 16
    there = AllThere(2 * len(steps))
    jobs = [(address, until_killed(there, step)) for step in steps for address in (door.address, site.address)]
    playing = stand.pool.submit(inside, stand.host, probe.play, jobs, 1000)
    there.wait()
    for pid in site.workers():
        os.kill(pid, signal.SIGKILL)
    if stand.kind == 'nginx':
        os.kill(site.daemon.pid, signal.SIGKILL)
    seen = playing.result()
    for step in set(steps):
        a, b = ([p.outcome() for p, s in zip(seen[side::2], steps) if s == step] for side in (0, 1))
        assert not BUDGET.outcomes_differ(a, b), '%s\ndoor: %s\nsite: %s' % (step, probe.count(a), probe.count(b))
    down = inside(stand.host, probe.play, [(door.address, say(flight, limit=LIMIT)) for flight in (hello(), probes.noise(100), GET, hello(name=b'down.test'))])
    assert [(bytes(p.data), p.end, p.times['end'] < probe.AT_ONCE) for p in down] == [(b'', 'reset', True)] * 4


def test_6_a_site_that_hangs(stand):
    site = Site(stand.host, stand.kind, 9101, 60000).start()
    door = stand.open_door(8501, site=site.port)
    for pid in site.workers():
        os.kill(pid, signal.SIGSTOP)
    jobs = [(address, say(flight, limit=0.8)) for flight in (hello(), GET, probes.noise(100), hello()[:100]) for address in (door.address, site.address)]
    seen = [p.outcome() for p in inside(stand.host, probe.play, jobs)]
    for pid in site.workers():
        os.kill(pid, signal.SIGCONT)
    assert seen[::2] == seen[1::2]
    assert seen[0][4] == 'open'


def test_7_a_first_flight_that_was_heard_before(stand):
    [heard] = inside(stand.host, probe.play, [(stand.site.address, session(GET, limit=0.5))])
    assert b'</title>' in heard.text
    assert stand.differences({
        'first flight': say(heard.said[0], limit=LIMIT), 'all of it': say(b''.join(heard.said), limit=LIMIT),
        'flight by flight': say(*heard.said, pause=0.5, limit=LIMIT), 'but the last byte': say(heard.said[0][:-1], limit=LIMIT)}) == ''


def test_8_records_that_lead_nowhere(stand):
    assert stand.differences(probes.floods()) == ''


def test_9_idle_connections_last_as_long(stand):
    # from when the site counts: the last request, or the connection
    stand.assert_same_times({'after a request': session(GET, limit=LIMIT), 'after two': session(GET, GET, limit=LIMIT)}, 'end', CLOSE_TOLERANCE,
                            together=2000, pace=PACE * 5)
    stand.assert_same_times({'after a handshake': session(limit=LIMIT), 'in a request': session(GET[:20], limit=LIMIT)}, 'life', CLOSE_TOLERANCE,
                            together=2000, pace=PACE * 5)


def test_9_long_headers_and_bodies(stand):
    assert stand.differences(probes.http_limits()) == ''


class Wire:
    """Hears the loopback's TCP."""

    def __init__(self, host):
        self.socket = inside(host, lambda: socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(0x0800)))
        self.socket.bind(('lo', 0))
        self.socket.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 64 << 20)
        self.socket.settimeout(0.2)

    def heard(self):
        """What servers sent: {(server port, client port): [(flags, payload, rest of the headers)]}."""
        flows = collections.defaultdict(list)
        while True:
            try:
                packet, origin = self.socket.recvfrom(70000)
            except socket.timeout:
                return flows
            if origin[2] == socket.PACKET_OUTGOING or packet[9] != 6:
                continue
            ip, tcp = packet[:20], packet[20:]
            source, target, _, _, offset, flags, window = struct.unpack('!HHIIBBH', tcp[:16])
            options = tcp[20:(offset >> 4) * 4]
            length = struct.unpack('!H', ip[2:4])[0] - 20 - (offset >> 4) * 4
            flows[source, target].append((flags, length, (ip[1], ip[6:8], ip[8], window if flags & 2 else 0, mask_options(options))))

    def close(self):
        self.socket.close()


def mask_options(options):
    """Kinds in their order, and values but for the clock of time stamps."""
    out, at = [], 0
    while at < len(options):
        kind = options[at]
        length = 1 if kind in (0, 1) else options[at + 1]
        out.append((kind, options[at + 2:at + length] if kind != 8 else length))
        at += max(1, length)
    return tuple(out)


def until_answered(flight):
    def script(p):
        p.send(flight)
        yield (lambda: False), 0.1
        p.shut()
    return script


def packets(stand, address, script, count):
    wire = Wire(stand.host)
    inside(stand.host, probe.play, [(address, script)] * count, 8)
    flows = [flow for (port, _), flow in wire.heard().items() if port == address[1]]
    wire.close()
    return flows


def test_10_packets_look_the_same(stand):
    """Up to the site's end. What its kernel answers to a write behind that is a reset without options and without an ACK; the door's
    kernel has taken the write by then, so its reset has both: see README.md of the door."""
    hop = ('127.0.0.1', HOP + 57)
    scripts = {'hello': until_answered(hello()), 'refused': until_answered(hello(versions=(), legacy=0x0300)), 'http': until_answered(GET),
               'reset': until_answered(hello(versions=(), legacy=0x0300) + probes.noise(100000))}
    for name, script in scripts.items():
        site = packets(stand, stand.site.address, script, 48)
        for address in (stand.door.address, hop):
            door = packets(stand, address, script, 48)
            for what, look in (('syn-ack', lambda flow: flow[0]), ('headers', lambda flow: tuple(sorted({packet[2] for packet in flow[1:]}))),
                               ('flags', lambda flow: tuple(sorted({packet[0] for packet in flow}))),
                               ('segments', lambda flow: tuple(packet[1] for packet in flow if packet[1]))):
                a, b = [look(flow) for flow in door], [look(flow) for flow in site]
                assert len(a) == len(b) == 48
                assert not BUDGET.outcomes_differ(a, b), '%s, %s of port %d\ndoor: %s\nsite: %s' % (name, what, address[1], probe.count(a), probe.count(b))


def test_10_connections_are_taken_as_fast(stand):
    stand.assert_same_times({'SYN-ACK': say(limit=0.0)}, 'connect', CONNECT_TOLERANCE, [stand.door.address, ('127.0.0.1', HOP)], count=200, together=1)


def answer(p):
    p.send(hello())
    yield p.has(1), 3
    p.times['beyond'] = p.times['first'] - p.times['connect']
    p.reset()


def test_11_the_first_byte_comes_as_soon(stand):
    stand.assert_same_times({'first byte': answer}, 'beyond', ANSWER_TOLERANCE, count=150, together=1)


def test_12_broken_requests(stand):
    assert stand.differences(probes.http_broken()) == ''


def test_14_encrypted_hellos_that_are_not_ours(stand):
    assert stand.differences(probes.encrypted_hellos()) == ''


def visit(p):
    tls = Tls(p, plain_context())
    if (yield from tls.handshake()):
        tls.send(GET)
        yield from tls.read(lambda text: b'</title>' in text, 5)
    p.reset()


def test_17_many_stalled_flights(stand):
    """5,000 of them at once do not keep anybody else from being served, and end as the site ends them."""
    site = Site(stand.host, stand.kind, 9102, 12000).start()
    door = stand.open_door(8502, site=site.port)
    there = AllThere(10000)

    def script(p):
        p.send(hello()[:100])
        yield (lambda: p.connected is not None), 5
        there.arrive()
        yield from p.until_end(20)
        p.times.clear()  # so many ends take their time to be read
    addresses = (door.address, site.address)
    playing = stand.pool.submit(inside, stand.host, lambda: probe.play([(address, script) for address in addresses * 5000], 10000, 0.0003))
    there.wait()
    for address in addresses:
        served = inside(stand.host, probe.play, [(address, visit)] * 10, 1)
        assert all(b'</title>' in p.text for p in served), address
    assert not playing.done(), 'they were there all the time'
    seen = playing.result()
    a, b = ([p.outcome() for p in seen[side::2]] for side in (0, 1))
    assert not BUDGET.outcomes_differ(a, b), 'door: %s\nsite: %s' % (probe.count(a), probe.count(b))


# ---- what the comparison is worth ----

def test_the_chance_of_a_distance_is_exact():
    assert ks_chance(5, 5, 1.0) == pytest.approx(2 / 252)
    assert ks_chance(3, 3, 2 / 3) == pytest.approx(12 / 20)  # of 20 orders of 3 and 3, 8 never are two apart
    assert ks_chance(40, 40, 0.3) == pytest.approx(0.0543, abs=0.002)  # tables: 0.05 at 12/40 is 0.055
    assert ks_distance([1, 2, 3], [1.5, 2.5, 3.5]) == pytest.approx(1 / 3)
    assert ks_distance([1, 2, 3], [1.5, 2.5, 3.5], tolerance=0.6) == 0
    assert ks_distance([1, 2, 3], [11, 12, 13], tolerance=0.6) == 1
    assert outcomes_test(['x'] * 10, ['x'] * 10) == 1
    assert outcomes_test(['x'] * 10, ['y'] * 10) == pytest.approx(2 * 2 / 184756)


def test_masks_hide_what_is_random_and_nothing_else():
    flight = bytes.fromhex('160303002a0200002603031111111111111111111111111111111111111111111111111111111111111111') + bytes.fromhex('00c02f00')
    other = flight.replace(b'\x11' * 32, b'\x22' * 32)
    assert mask(flight) == mask(other)
    assert mask(flight) != mask(flight.replace(b'\xc0\x2f', b'\xc0\x30'))
    assert mask(b'\x15\x03\x03\0\x02\x02\x28') != mask(b'\x15\x03\x03\0\x02\x02\x46')
    assert mask(b'HTTP/1.1 400\r\nDate: Mon\r\n') == mask(b'HTTP/1.1 400\r\nDate: Tue\r\n')


class Careless:
    """A relay that makes one mistake."""

    def __init__(self, mistake, site):
        self.mistake, self.site = mistake, site

    def __call__(self, _, client):
        if self.mistake == 'closes what is not TLS':
            start = client.recv(1, socket.MSG_PEEK)
            if start and start != b'\x16':
                client.close()
                return
        site = socket.create_connection(self.site)
        back = threading.Thread(target=self.pump, args=(site, client, True))
        back.start()
        self.pump(client, site, False)
        back.join()
        client.close()
        site.close()

    def pump(self, source, target, is_answer):
        try:
            while True:
                data = source.recv(65536)
                if not data:
                    break
                target.sendall(data)
            if self.mistake != 'forgets the end':
                target.shutdown(socket.SHUT_WR)
        except OSError:
            if is_answer and self.mistake == 'turns resets into ends':
                target.shutdown(socket.SHUT_WR)
            else:
                reset(target)


@pytest.mark.parametrize('mistake, script', [
    ('closes what is not TLS', say(GET, limit=2)), ('turns resets into ends', say(hello() + probes.noise(100000), limit=2)),
    ('forgets the end', say(probes.noise(50), limit=2))])
def test_a_careless_relay_is_found_out(tmp_path, mistake, script):
    def serve(_, connection):
        """Answers in its own way and resets what is too long."""
        connection.settimeout(5)
        if len(connection.recv(1000)) == 1000:
            reset(connection)
        else:
            connection.sendall(b'HTTP/1.1 400 Bad Request\r\n\r\n')
            connection.close()
    with OneHost(tmp_path) as world:
        site = Backend(world['door'], serve)
        relay = Backend(world['door'], lambda backend, client: inside(world['door'], Careless(mistake, ('127.0.0.1', site.port)), backend, client))
        found = inside(world['door'], probe.compare, ('127.0.0.1', relay.port), ('127.0.0.1', site.port), {'script': script}, Budget())
        relay.close()
        site.close()
    assert 'script' in found


def test_another_time_out_is_found_out():
    def closed(after):
        return [after + i / 10000 for i in range(SAMPLES)]
    assert Budget().times_differ(closed(1.5), closed(1.5 + 2 * CLOSE_TOLERANCE), CLOSE_TOLERANCE)
    assert not Budget().times_differ(closed(1.5), closed(1.5 + CLOSE_TOLERANCE / 4), CLOSE_TOLERANCE)


# ---- the same from anywhere: gatehouse probe ----

def test_probe_finds_nothing_between_door_and_site(stand):
    said = stand.host.run(program('gatehouse'), 'probe', '--against', '127.0.0.1:%d' % stand.site.port, '--name', 'site.test', '--wait', '2.5', '--tolerance', '4', '--json',
                          '127.0.0.1:%d' % stand.door.PORT, timeout=200, check=False)
    report = json.loads(said.stdout)
    assert (said.returncode, report['found']) == (0, [])
    assert sum(row['probes'] for row in report['properties']) > 250
    by_name = {row['property']: row for row in report['properties']}
    assert by_name['requests inside TLS']['probes'] == 27 and by_name['QUIC']['probes'] > 50


def test_probe_finds_nothing_in_a_door_by_itself(stand):
    said = stand.host.run(program('gatehouse'), 'probe', '--name', 'site.test', '--wait', '2.5', '127.0.0.1:%d' % stand.door.PORT, timeout=200, check=False)
    assert said.returncode == 0, said.stdout
    assert 'nothing gives the door away' in said.stdout


def test_probe_tells_one_site_from_another(stand):
    other = Site(stand.host, {'nginx': 'caddy', 'caddy': 'nginx'}[stand.kind], 9103).start()
    said = stand.host.run(program('gatehouse'), 'probe', '--against', '127.0.0.1:%d' % other.port, '--name', 'site.test', '--wait', '2.5', '--json',
                          '127.0.0.1:%d' % stand.door.PORT, timeout=200, check=False)
    report = json.loads(said.stdout)
    assert said.returncode == 1
    assert {found['property'] for found in report['found']} >= {'certificate, suites, groups and protocols', 'alerts and ends', 'requests inside TLS'}
    assert report['differences'] == len(report['found'])


def test_probe_says_when_nobody_answers(stand):
    said = stand.host.run(program('gatehouse'), 'probe', '127.0.0.1:1', check=False)
    assert said.returncode == 4
    assert 'cannot be connected to' in said.stderr
