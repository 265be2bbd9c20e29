"""Row 13: over UDP, too, a door that carries strangers to a site looks like the site, and one that does not is not there.

A is the door in front of Caddy's HTTP/3, B is Caddy; see test_same.py. The probes are those of udpprobe.py, each from an address of its own, because
both ends budget their strangers.
"""
import json
import shutil

import pytest

import udpprobe
from doorway import Doorway, OneHost, inside
from sameness import Budget, ks_test, quantiles
from sites import Site
from udpprobe import differences
from world import program, sanitizers

BUDGET = Budget()
ANSWER_TOLERANCE = 0.001 * (10 if sanitizers() else 1)  # one hop more, and a hello that is read first
CONFIG = '''listen: ["127.0.0.1:{port}"]
local_routes: {{a.test: "127.0.0.1:1", "u.test": {{to: "127.0.0.1:1", udp: true}}}}
camouflage: {{relay: "127.0.0.1:{site}", udp: {udp}}}
peek_timeout: 200ms
'''  # half a flight waits for so long; see README.md of the door


class Stand:
    def __init__(self, world):
        assert shutil.which('caddy'), 'missing package: caddy (tools/bootstrap installs it)'
        self.world, self.host = world, world['door']
        self.site = Site(self.host, 'caddy', 9001, 30000, udp=True).start()
        self.doors = []
        self.door = self.open_door(8443, 'true')
        self.silent = self.open_door(8444, 'false')

    def open_door(self, port, udp):
        door = Doorway(self.world)
        door.config = 'door-%d.yaml' % port
        door.PORT = port
        door.start(CONFIG.format(port=port, site=self.site.port, udp=udp), admin__listen='127.0.0.1:%d' % (port + 10000),
                   node__state_dir=self.world.path('state-%d' % port), node__run_dir=self.world.path('run-%d' % port))
        door.address = ('127.0.0.1', port)
        self.doors.append(door)
        return door

    def compare(self, scripts, door=None):
        return differences(inside(self.host, udpprobe.compare, (door or self.door).address, self.site.address, scripts, BUDGET))

    def play(self, address, scripts):
        return dict(zip(scripts, inside(self.host, udpprobe.play, [(address, make()) for make in scripts.values()])))

    def close(self):
        for door in self.doors:
            door.stop()
        self.site.stop()


@pytest.fixture(scope='module')
def stand(tmp_path_factory):
    with OneHost(tmp_path_factory.mktemp('same-udp')) as world:
        made = Stand(world)
        yield made
        made.close()


def test_13_version_negotiation(stand):
    assert stand.compare(udpprobe.versions()) == ''


def test_13_first_packets_that_are_odd(stand):
    assert stand.compare(udpprobe.first_packets()) == ''


def test_13_what_comes_before_or_without_a_connection(stand):
    assert stand.compare(udpprobe.later_packets()) == ''


def test_13_hellos(stand):
    assert stand.compare(udpprobe.hellos()) == ''


def test_13_requests(stand):
    assert stand.compare(udpprobe.requests(ordered=False)) == ''  # Go's own order of fields is chance


def test_13_the_first_answer_comes_as_soon(stand):
    jobs = [(address, udpprobe.hellos(first=True)['plain']()) for _ in range(100) for address in (stand.door.address, stand.site.address)]
    seen = [session.first_at for session in inside(stand.host, udpprobe.play, jobs, 1)]
    assert None not in seen
    assert not BUDGET.times_differ(seen[::2], seen[1::2], ANSWER_TOLERANCE), '%s\n%s\np %.2g' % (
        quantiles(seen[::2]), quantiles(seen[1::2]), ks_test(seen[::2], seen[1::2], ANSWER_TOLERANCE))


def test_13_silence_as_configured(stand):
    """Nobody is answered, not even by ICMP; the site would have answered many of these."""
    scripts = {}
    for table in (udpprobe.versions(), udpprobe.first_packets(), udpprobe.later_packets(), udpprobe.hellos()):
        scripts.update(table)
    assert {name: session.seen for name, session in stand.play(stand.silent.address, scripts).items() if session.seen} == {}
    assert sum(bool(session.seen) for session in stand.play(stand.site.address, udpprobe.hellos()).values()) > 10


def test_gatehouse_probe_finds_nothing_either(stand):
    done = stand.host.run(program('gatehouse'), 'probe', '--against', '127.0.0.1:%d' % stand.site.port, '--name', 'site.test', '--wait', '0.5', '--tolerance', '4', '--json',
                          '127.0.0.1:%d' % stand.door.PORT, timeout=200, check=False)
    report = json.loads(done.stdout)
    assert (done.returncode, report['found']) == (0, [])
    assert [row['probes'] for row in report['properties'] if row['property'] == 'QUIC'] == [62]


def test_another_site_is_found_out(stand):
    """What the comparison is worth: Caddy and the page that is built in have nothing in common but the protocol."""
    door = Doorway(stand.world)
    door.config, door.PORT = 'page.yaml', 8445
    door.start('listen: ["127.0.0.1:8445"]\ncamouflage: {udp: true}\n', admin__listen='127.0.0.1:18445', node__state_dir=stand.world.path('state-page'),
               node__run_dir=stand.world.path('run-page'))
    try:
        scripts = {'a version': udpprobe.versions()['version 1a2a3a4a'], 'a hello': udpprobe.hellos()['plain'], 'a request': udpprobe.requests(ordered=False)['get']}
        assert set(inside(stand.host, udpprobe.compare, ('127.0.0.1', 8445), stand.site.address, scripts, BUDGET)) == set(scripts)
    finally:
        door.stop()
