"""What the child is left with: no capability, a filter on its system calls, the files that it was given."""
import os
import re
import signal

import pytest

from process import until


def status(pid):
    with open('/proc/%d/status' % pid, encoding='ascii') as file:
        return dict(line.rstrip('\n').split(':\t', 1) for line in file if ':\t' in line)


def threads(pid):
    return [int(name) for name in os.listdir('/proc/%d/task' % pid)]


def child_of(daemon):
    children = [pid for pid in daemon.children() if 'gatehouse' in status(pid)['Name']]
    assert len(children) == 1, children
    return children[0]


def open_files(pid):
    """Paths of regular files and folders, and the kinds of everything else."""
    paths, kinds = set(), set()
    for name in os.listdir('/proc/%d/fd' % pid):
        target = os.readlink('/proc/%d/fd/%s' % (pid, name))
        (paths if target.startswith('/') else kinds).add(target if target.startswith('/') else target.split(':')[0])
    return paths, kinds


@pytest.fixture(scope='module')
def up(gateway):
    gateway.start_relay()
    gateway.start_agent(1)
    yield gateway
    gateway.stop()


def daemons(up):
    return [up.relay, up.agents[1]]


def test_every_thread_of_a_child_has_the_filter_and_no_capability(up):
    for daemon in daemons(up):
        child = child_of(daemon)
        assert len(threads(child)) >= 3
        for thread in threads(child):
            found = status(thread)
            assert found['Seccomp'] == '2', daemon.name
            assert found['NoNewPrivs'] == '1'
            for name in ('CapInh', 'CapPrm', 'CapEff', 'CapBnd', 'CapAmb'):
                assert int(found[name], 16) == 0, (daemon.name, name, found[name])


def test_a_child_has_no_file_but_those_it_was_given(up):
    for daemon in daemons(up):
        paths, kinds = open_files(child_of(daemon))
        state = up.state_dir('relay')
        known = [path for path in paths if path in ('/dev/null', '/dev/net/tun') or path.startswith(state + '/') or path == state
                 or re.search(r'/(gatehoused|agent)\.lock$', path) or re.search(r'/pytest-of-|/logs/', path)]
        assert paths == set(known), (daemon.name, paths)
        assert kinds <= {'socket', 'pipe', 'anon_inode'}, (daemon.name, kinds)


def test_the_log_and_the_status_say_what_guards_the_files(up):
    for daemon in daemons(up):
        line = daemon.wait_line('sandbox entered|has no Landlock').data
        assert line['seccomp'] is True
    code, body = up.get('/v1/status', unix=True)
    assert code == 200
    assert re.search(r'"seccomp"', body) and re.search(r'"landlock"', body)


def test_a_reload_and_a_new_child_work_in_the_sandbox(up):
    relay = up.relay
    mark = relay.mark()
    relay.send(signal.SIGHUP)
    relay.wait_line('[Rr]eload', since=mark)
    assert not relay.find('refused', since=mark)
    old = child_of(relay)
    os.kill(old, signal.SIGKILL)
    until(lambda: [pid for pid in relay.children() if pid != old], 10, 'a new child')
    up.wait_ready()
    assert status(child_of(relay))['Seccomp'] == '2'


def test_sockets_keep_the_buffers_that_the_parent_gave_them(up):
    """A child may only make them smaller: net.core.rmem_max is a fiftieth of it on a plain Debian."""
    with open('/proc/sys/net/core/rmem_max', encoding='ascii') as file:
        limit = int(file.read())  # which only a real root's parent may pass
    asked = 8 << 20 if os.geteuid() == 0 else min(8 << 20, limit)
    for host, at in (('relay', 'sport = :4433'), ('agent-1', 'dport != :1')):
        lines = up.world[host].run('ss', '-Hnuam', at).stdout
        assert {int(size) for size in re.findall(r'[(,]rb(\d+)', lines)} == {2 * asked}, lines
