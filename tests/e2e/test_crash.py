"""What breaks under a running node, and what it finds when it starts: each has a written behaviour (docs/ops/running.md)."""
import glob
import os
import shutil
import signal
import sqlite3
import time

import pytest

from process import until
from world import RELAY_NAME, RELAY_V4, RELAY_V6, WEB_V4


@pytest.fixture(scope='module')
def served(gateway):
    gateway.world.serve(1 << 16)
    return gateway


@pytest.fixture
def stopped(served):
    """Nothing runs before and after; the state folder is new."""
    shutil.rmtree(served.state_dir('relay'), ignore_errors=True)
    yield served
    served.stop()


def said(daemon, words, since=0):
    return daemon.wait_line(lambda line: words in line.data.get('message', ''), since=since).data


def pings(gateway, timeout=10):
    until(lambda: gateway.world['agent-2'].ping(WEB_V4, 1)[0] == 1, timeout, 'a ping through the tunnel')


def run_once(gateway):
    """The relay served agent 2 and ended; the agent's addresses."""
    gateway.start_relay()
    gateway.start_agent(2)
    found = gateway.addresses(2)
    gateway.agents.pop(2).stop()
    gateway.relay.stop()
    return found


# ---- ends that nobody asked for

def kill_both(relay):
    """At once: the parent cannot put anything back, the child cannot say anything."""
    pids = [relay.pid] + relay.children()
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
    relay.wait_exit()
    until(lambda: not any(os.path.exists('/proc/%d' % pid) for pid in pids[1:]), 5, 'the child is gone')


def test_a_relay_killed_with_its_parent_is_taken_up_where_it_was(stopped):
    relay = stopped.start_relay()
    stopped.start_agent(2)
    addresses = stopped.addresses(2)
    hold = stopped.world['agent-2'].start_peer('hold', 'hold', WEB_V4, 7)
    hold.wait_line('"alive"')
    before = stopped.world['relay'].state()
    kill_both(relay)
    stopped.start_relay()
    start = time.monotonic()
    pings(stopped, 5)
    assert time.monotonic() - start < 3
    assert stopped.addresses(2) == addresses
    assert stopped.world['relay'].state() == before
    until(lambda: stopped.sessions(), 5, 'the session is back')
    assert hold.process.poll() is None, hold.tail()
    hold.kill()


def test_a_rebooted_host_gives_the_same_addresses(stopped):
    host = stopped.world['relay']
    relay = stopped.start_relay()
    stopped.start_agent(2)
    addresses = stopped.addresses(2)
    kill_both(relay)
    # what a boot leaves of the machine's state: the state folder
    host.run('rm', '-rf', '/run/gatehouse')
    host.run('nft', 'flush', 'ruleset')
    host.run('sysctl', '-qw', 'net.ipv4.ip_forward=0', 'net.ipv6.conf.all.forwarding=0')
    host.run('ip', 'link', 'delete', 'gh0', check=False)
    stopped.start_relay()
    pings(stopped, 5)
    assert stopped.addresses(2) == addresses


# ---- a clock that is wrong: certificates are not valid yet, or not any more

DAY = 86400


def stamp(seconds):
    return time.strftime('%Y%m%d%H%M%SZ', time.gmtime(time.time() + seconds))


def relay_certificate(gateway, out, start, end):
    return gateway.certs.odd('relay', role='relay', names=[RELAY_NAME, RELAY_V4, RELAY_V6], start=stamp(start), end=stamp(end), out=out)


@pytest.mark.parametrize('out, start, end, words', [('early', DAY, 3 * DAY, 'not yet valid'), ('late', -3 * DAY, -DAY, 'expired')])
def test_a_clock_that_is_off_by_a_day_is_named_by_both_ends(stopped, out, start, end, words):
    certificate, key = relay_certificate(stopped, 'relay-' + out, start, end)
    relay = stopped.start_relay(relay__certificate=certificate, relay__key=key)
    line = said(relay, 'our certificate')
    assert words in line['message'] and 'clock' in line['message'] and abs(line['seconds'] - DAY) < 120, line
    agent = stopped.start_agent(2, wait=False)
    line = agent.wait_line(words)
    assert 'clock' in line.text, line.text
    assert agent.process.poll() is None, 'the agent keeps trying: clocks are set'
    # the clock is right again
    relay.stop()
    stopped.start_relay()
    stopped.wait_tunnel(2, timeout=20)


# ---- a disk that is full, or may not be written

@pytest.fixture
def small_disk(stopped):
    """The state folder is a file system of its own in the relay's namespace."""
    host, path = stopped.world['relay'], stopped.world.path('state', 'small')
    os.makedirs(path, exist_ok=True)
    host.run('mount', '-t', 'tmpfs', '-o', 'size=1m,mode=700', 'state', path)
    yield host, path
    stopped.stop()
    host.run('umount', path)


def test_a_full_disk_stops_nobody_and_is_said(stopped, small_disk):
    host, path = small_disk
    relay = stopped.start_relay(node__state_dir=path)
    host.run('sh', '-c', 'head -c 8m /dev/zero > %s/filler' % path, check=False)
    mark = relay.mark()
    stopped.start_agent(2)
    line = said(relay, 'lease is not on disk', mark)
    assert line['client_id'] == 'client-2' and 'no space left' in line['reason'].lower(), line
    pings(stopped)
    host.run('rm', path + '/filler')
    mark = relay.mark()
    stopped.start_agent(1)
    assert len(stopped.sessions()) == 2
    assert not relay.find('lease is not on disk', mark)


def test_without_room_for_its_state_a_node_does_not_start_and_says_why(stopped, small_disk):
    host, path = small_disk
    host.run('sh', '-c', 'head -c 8m /dev/zero > %s/filler' % path, check=False)
    relay = stopped.start_relay(wait=False, node__state_dir=path)
    assert relay.wait_exit() == 1
    assert relay.find('(?i)no space left'), relay.tail()


def test_a_state_folder_that_may_not_be_written_is_named_at_the_start(stopped, small_disk):
    host, path = small_disk
    host.run('mount', '-o', 'remount,ro', path)
    relay = stopped.start_relay(wait=False, node__state_dir=path)
    assert relay.wait_exit() == 1
    assert relay.find('(?i)read-only'), relay.tail()
    assert relay.find('must be writable'), relay.tail()


# ---- files of the state folder that are damaged

def damage(path):
    with open(path, 'r+b') as file:
        file.write(os.urandom(4096))


def test_a_damaged_database_is_moved_away_and_the_relay_serves(stopped):
    run_once(stopped)
    path = os.path.join(stopped.state_dir('relay'), 'gatehouse.sqlite')
    damage(path)
    with open(path, 'rb') as file:
        bad = file.read()
    relay = stopped.start_relay()
    line = said(relay, 'moved away')
    assert line['level'] == 'error' and line['file'] == path and line['kept_as'].startswith(path + '.damaged-'), line
    with open(line['kept_as'], 'rb') as file:
        assert file.read() == bad
    stopped.start_agent(2)
    pings(stopped)
    # and the new one is whole
    relay.stop()
    mark = stopped.start_relay().mark()
    assert mark and not stopped.relay.find('moved away')


def test_a_database_that_somebody_cut_short_is_moved_away(stopped):
    run_once(stopped)
    path = os.path.join(stopped.state_dir('relay'), 'gatehouse.sqlite')
    for name in glob.glob(path + '-*'):
        os.unlink(name)
    os.truncate(path, os.path.getsize(path) // 2 + 100)
    said(stopped.start_relay(), 'moved away')
    stopped.start_agent(2)
    pings(stopped)


def test_the_database_of_another_program_is_left_alone(stopped):
    folder = stopped.state_dir('relay')
    os.makedirs(folder, mode=0o700)
    path = os.path.join(folder, 'gatehouse.sqlite')
    with sqlite3.connect(path) as other:
        other.execute('CREATE TABLE mine (x)')
    other.close()
    relay = stopped.start_relay(wait=False)
    assert relay.wait_exit() == 1
    assert relay.find('another program'), relay.tail()
    assert os.listdir(folder).count('gatehouse.sqlite') == 1 and not glob.glob(path + '.damaged-*')


def test_a_damaged_node_key_is_moved_away_and_agents_come_back(stopped):
    relay = stopped.start_relay()
    stopped.start_agent(2)
    addresses = stopped.addresses(2)
    kill_both(relay)
    path = os.path.join(stopped.state_dir('relay'), 'node.key')
    with open(path, 'wb') as file:
        file.write(b'short')
    relay = stopped.start_relay()
    line = said(relay, 'moved away')
    assert line['file'] == path and os.path.getsize(line['kept_as']) == 5 and os.path.getsize(path) == 32
    # nobody can end the old connection, and what the relay says of it is nothing that the agent could believe: it notices the silence
    pings(stopped)
    assert stopped.addresses(2) == addresses
