"""The plumbing around the services: files, signals, the service manager."""
import hashlib
import json
import os
import pwd
import re
import signal
import socket
import subprocess
import tempfile

import pytest

from process import until
from world import ROOT, program


def test_locks_and_journal_are_in_the_run_folder_of_the_file(gateway):
    world = gateway.world
    run_dir = world.path('run-of-the-file')
    config = world.read('examples/relay.yaml').replace('node:\n', 'node:\n  run_dir: %s\n' % run_dir)
    world.write('examples/relay-run-dir.yaml', config)
    gateway.start_relay('relay-run-dir.yaml')
    try:
        assert {'gatehoused.lock', 'gatehoused.journal', 'admin.sock'} <= set(os.listdir(run_dir))
    finally:
        gateway.stop()


def test_the_environment_wins_over_the_run_folder_of_the_file(gateway):
    world = gateway.world
    in_file, in_env = world.path('run-file'), world.path('run-env')
    config = world.read('examples/relay.yaml').replace('node:\n', 'node:\n  run_dir: %s\n' % in_file)
    world.write('examples/relay-run-dir.yaml', config)
    gateway.start_relay('relay-run-dir.yaml', node__run_dir=in_env)
    try:
        assert {'gatehoused.lock', 'admin.sock'} <= set(os.listdir(in_env))
        assert not os.path.exists(in_file)
    finally:
        gateway.stop()


def test_the_agents_locks_are_in_the_run_folder_of_its_file(gateway):
    gateway.start_relay()
    gateway.start_agent(1)
    try:
        names = gateway.world['agent-1'].run('ls', '/run/gatehouse/agent-1').stdout.split()
        assert {'agent.lock', 'agent.sock'} <= set(names)
    finally:
        gateway.stop()


def test_packets_of_the_relay_itself_reach_an_agent_of_another_worker(gateway):
    """They are nobody's flow and need none, whichever queue they were read from."""
    gateway.start_relay()
    try:
        gateway.start_agent(2)
        gateway.world['agent-2'].start_peer('echo', 'listen', 7)
        until(lambda: gateway.world['relay'].peer('flows', gateway.v4(2), 20000, 1)['answered'] == 1, 10, 'the echo is there')
        before = gateway.metrics()['gatehouse_relay_handed_over_total']
        answer = gateway.world['relay'].peer('flows', gateway.v4(2), 21000, 32)
        assert answer['answered'] == 32, answer
        assert gateway.metrics()['gatehouse_relay_handed_over_total'] > before
    finally:
        gateway.stop()


def test_a_key_that_is_not_pinned_is_refused_with_the_line_that_would_accept_it(gateway):
    folder = gateway.world.path('certs')
    pins = {}
    for name in ('client-1', 'client-2'):
        der = subprocess.run('openssl x509 -pubkey -noout -in %s/%s.crt | openssl pkey -pubin -outform der' % (folder, name), shell=True,
                             check=True, stdout=subprocess.PIPE).stdout
        pins[name] = '%s=sha256:%s' % (name, hashlib.sha256(der).hexdigest())
    gateway.start_relay(relay__pin='required', relay__pins=pins['client-1'])
    try:
        gateway.start_agent(1)
        gateway.start_agent(2, wait=False)
        record = gateway.relay.wait_audit(event_type='auth.fail')
        assert pins['client-2'] in record['reason'] and 'relay.pins' in record['reason']
        assert [row['client_id'] for row in gateway.sessions()] == ['client-1']
    finally:
        gateway.stop()


def drop_reasons():
    with open(os.path.join(ROOT, 'src', 'base', 'drop.h'), encoding='utf-8') as file:
        return re.findall(r'X\((\w+), "(\w+)",', file.read())


def test_every_drop_reason_has_a_counter_in_the_metrics_and_somebody_who_counts(gateway):
    gateway.start_relay()
    try:
        metrics = gateway.metrics()
    finally:
        gateway.stop()
    source = ''
    for folder, _, names in os.walk(os.path.join(ROOT, 'src')):
        for name in names:
            if name.endswith('.c') and name != 'drop.c':
                with open(os.path.join(folder, name), encoding='utf-8') as file:
                    source += file.read()
    assert len(drop_reasons()) > 30
    for symbol, name in drop_reasons():
        assert 'gatehouse_drops_total{reason="%s"}' % name in metrics
        assert re.search(r'\bGH_DROP_%s\b' % symbol, source), name + ' is counted by nobody'


def test_the_counters_of_quic_are_in_the_metrics(gateway):
    gateway.start_relay()
    try:
        gateway.start_agent(1)

        def counted():
            now = gateway.metrics()
            return now if now['gatehouse_quic_handshakes_total{result="completed"}'] >= 1 else None
        metrics = until(counted, 5, 'the handshake is counted')
        assert metrics['gatehouse_quic_connections'] == 1
        assert metrics['gatehouse_relay_sessions'] == 1
        for direction in ('in', 'out'):
            for name in ('udp_datagrams', 'udp_bytes', 'system_calls'):
                assert metrics['gatehouse_quic_%s_total{direction="%s"}' % (name, direction)] > 0
    finally:
        gateway.stop()


def message(text, **fields):
    return lambda line: line.data.get('message') == text and all(line.data.get(key) == value for key, value in fields.items())


def status(gateway):
    return json.loads(gateway.world['relay'].run(program('gatehouse'), 'status', '--json').stdout)


@pytest.fixture
def relay(gateway):
    """A relay with a configuration of its own, that a test may write over."""
    gateway.own = 'examples/relay-own.yaml'
    gateway.text = gateway.world.read('examples/relay.yaml')
    gateway.world.write(gateway.own, gateway.text)
    gateway.start_relay('relay-own.yaml')
    yield gateway.relay
    gateway.stop()


def test_a_reload_applies_what_may_change_and_names_what_needs_a_restart(gateway, relay):
    world = gateway.world
    world.write('examples/another-policy.yaml', world.read('examples/policy.yaml').replace('description: client-1', 'description: another, client-1'))
    before, mark = status(gateway), relay.mark()
    world.write(gateway.own, gateway.text.replace('policy.yaml', 'another-policy.yaml').replace('level: info', 'level: debug')
                .replace('nat: auto', 'nat: none'))
    relay.send(signal.SIGHUP)
    relay.wait_line(message('Configuration reloaded'), since=mark)
    after = status(gateway)
    assert after['policy']['version'] != before['policy']['version']
    assert after['config']['generation'] > before['config']['generation']
    relay.wait_line(message('Option changed', section='relay', option='policy'), since=mark)
    relay.wait_line(message('Option changed', section='log', option='level'), since=mark)
    relay.wait_line(message('Option changed, a restart applies it', section='relay', option='nat'), since=mark)
    # a file with a name that the first configuration did not have is watched as well
    mark = relay.mark()
    world.write('examples/another-policy.yaml', world.read('examples/another-policy.yaml') + '\n# changed\n')
    relay.wait_line(message('Configuration reloaded', cause='file changed'), since=mark)


def test_one_reload_is_one_line(gateway, relay):
    mark = relay.mark()
    relay.send(signal.SIGHUP)
    relay.wait_line(message('Configuration reloaded', cause='SIGHUP'), since=mark)
    assert gateway.world['relay'].run(program('gatehouse'), 'reload').returncode == 0
    relay.wait_line(message('Configuration reloaded', cause='operator'), since=mark)
    assert len(relay.find(lambda line: 'reloaded' in line.data.get('message', ''), since=mark)) == 2
    assert status(gateway)['config']['generation'] == 3


def test_a_bad_file_changes_nothing_and_every_error_has_its_place(gateway, relay):
    mark = relay.mark()
    gateway.world.write(gateway.own, gateway.text.replace('workers: 2', 'workers: many').replace('nat: auto', 'gnat: auto'))
    relay.send(signal.SIGHUP)
    line = relay.wait_line(message('Reload refused, the last good configuration stays'), since=mark)
    found = until(lambda: [now for now in [status(gateway)['config']] if now['last_reload']], 5, 'the status knows')[0]
    assert found['generation'] == 1 and found['last_reload']['ok'] is False
    for errors in (line.data['errors'], found['last_reload']['detail']):
        assert len(re.findall(r'relay-own\.yaml:\d+:\d+: ', errors)) == 2 and 'many' in errors and 'gnat' in errors
    answer = gateway.world['relay'].run(program('gatehouse'), 'reload', check=False)
    assert answer.returncode == 1 and 'gnat' in answer.stderr
    # and a good one is taken again
    mark = relay.mark()
    gateway.world.write(gateway.own, gateway.text)
    relay.wait_line(message('Configuration reloaded'), since=mark)
    assert status(gateway)['config']['last_reload']['ok'] is True


def test_a_bad_policy_shows_its_errors_in_the_status(gateway, relay):
    mark = relay.mark()
    good = gateway.world.read('examples/policy.yaml')
    gateway.policy(good.replace('default_action: deny', 'default_action: perhaps'))
    try:
        relay.wait_line(message('Reload refused, the last good configuration stays', service='relay'), since=mark)
        detail = until(lambda: (status(gateway)['config']['last_reload'] or {}).get('detail'), 5, 'the status knows')
        assert re.search(r'policy\.yaml:\d+:\d+: .*perhaps', detail)
    finally:
        gateway.policy(good)


def dumped(daemon, mark):
    daemon.wait_line(message('dump', what='end'), since=mark)
    found = {}
    for line in daemon.find(message('dump'), since=mark):
        found.setdefault(line.data['what'], []).append(line.data)
    return found


@pytest.mark.parametrize('level', ['info', 'error'])
def test_quit_dumps_the_state_to_the_log_and_goes_on(gateway, level):
    gateway.start_relay(log__level=level)
    try:
        agent = gateway.start_agent(2, log__level=level) and gateway.agents[2]
        relay = gateway.relay
        assert gateway.world['agent-2'].ping('1.1.1.1', 3)[0] == 3
        mark = relay.mark()
        relay.send(signal.SIGQUIT)
        found = dumped(relay, mark)
        assert found['node'][0]['ready'] is True and found['node'][0]['sessions'] == 1
        assert [row['client_id'] for row in found['session']] == ['client-2']
        assert found['session'][0]['rx_packets'] >= 3
        assert [row['index'] for row in found['worker']] == [0, 1] and sum(row['sessions'] for row in found['worker']) == 1
        assert {row['name'] for row in found['check']} == {'tls', 'policy', 'pool', 'tun', 'crl'}
        metrics = {row['name']: row['value'] for row in found['metric']}
        assert int(metrics['gatehouse_relay_packets_total{direction="from_agents"}']) >= 3
        mark = agent.mark()
        agent.send(signal.SIGQUIT)
        assert dumped(agent, mark)['check'][0]['name'] == 'tunnel'
        assert gateway.world['agent-2'].ping('1.1.1.1', 3)[0] == 3
        assert relay.process.poll() is None and agent.process.poll() is None
    finally:
        gateway.stop()


def test_status_and_readiness_show_listeners_workers_and_offloads(gateway):
    gateway.start_relay(relay__offload_udp='false', relay__wide_aes='false')
    try:
        gateway.start_agent(1)
        for found in (status(gateway), json.loads(gateway.get('/readyz?verbose')[1])):
            assert {(row['service'], row['transport'], row['address']) for row in found['listeners']} == {
                ('relay', 'udp', '0.0.0.0:4433'), ('relay', 'udp', '[::]:4433'), ('admin', 'tcp', '127.0.0.1:8080'),
                ('admin', 'unix', '/run/gatehouse/admin.sock')}
            assert [row['index'] for row in found['workers']] == [0, 1]
            assert sum(row['sessions'] for row in found['workers']) == 1
            features = {row['name']: row for row in found['features']}
            assert set(features) == {'udp_gso', 'udp_gro', 'wide_aes', 'tun_tso', 'tun_uso', 'landlock', 'seccomp'}
            assert features['udp_gso'] == {'name': 'udp_gso', 'on': False, 'tested': True, 'detail': 'relay.offload_udp is off'}
            assert features['wide_aes'] == {'name': 'wide_aes', 'on': False, 'tested': False, 'detail': 'relay.wide_aes is off'}
            assert features['tun_tso']['on'] is True
        assert status(gateway)['sessions'] == 1
    finally:
        gateway.stop()


class Manager:
    """A service manager's end of NOTIFY_SOCKET."""

    def __init__(self, path):
        self.path = path
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(path)
        self.socket.settimeout(0.05)
        self.told = []

    def wait(self, word, since=0, count=1):
        def seen():
            try:
                while True:
                    self.told.append(self.socket.recv(4096).decode())
            except socket.timeout:
                pass
            return len([text for text in self.told[since:] if word in text.split('\n')]) >= count
        until(seen, 10, 'the service manager is told ' + word)


def test_the_service_manager_is_told_and_its_watchdog_fed(gateway):
    manager = Manager(gateway.world.path('notify'))
    environment = {'NOTIFY_SOCKET': manager.path, 'WATCHDOG_USEC': '800000'}
    os.environ.update(environment)
    try:
        gateway.start_relay()
    finally:
        for name in environment:
            del os.environ[name]
    try:
        manager.wait('READY=1')
        manager.wait('WATCHDOG=1', count=5)
        since = len(manager.told)
        gateway.relay.send(signal.SIGHUP)
        manager.wait('RELOADING=1', since)
        manager.wait('READY=1', since)
        since = len(manager.told)
        manager.wait('WATCHDOG=1', since)
        gateway.relay.send(signal.SIGTERM)
        manager.wait('STOPPING=1', since)
    finally:
        gateway.stop()


def test_the_units_are_right(tmp_path):
    folder = os.path.join(ROOT, 'deploy', 'systemd')
    names = sorted(os.listdir(folder))
    assert names == ['gatehouse-agent@.service', 'gatehoused.service']
    for name in names:
        with open(os.path.join(folder, name), encoding='utf-8') as file:
            text = file.read()
        for binary in ('gatehoused', 'gatehouse-agent'):
            text = re.sub(r'/usr/sbin/%s(?=\s)' % binary, program(binary), text)
        (tmp_path / name.replace('@.', '@home.')).write_text(text)
    for name in names:
        done = subprocess.run(['systemd-analyze', '--man=no', '--recursive-errors=no', 'verify',
                               str(tmp_path / name.replace('@.', '@home.'))], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, encoding='utf-8')
        assert done.returncode == 0 and not done.stdout.strip(), done.stdout


def credentials(pid):
    with open('/proc/%d/status' % pid, encoding='ascii') as file:
        fields = dict(line.rstrip('\n').split(':\t', 1) for line in file if ':\t' in line)
    return {int(word) for word in fields['Uid'].split()}, {int(word) for word in fields['Gid'].split()}, fields['Groups'].split(), fields['CapEff']


@pytest.mark.skipif(os.geteuid() != 0, reason='only root can become somebody else')
def test_the_child_runs_as_node_user_and_everything_works(gateway):
    """Keys are root's alone, the state folder changes hands, in both directions."""
    nobody = pwd.getpwnam('nobody')
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o711)  # the state folder's own parents must let the user through
        options = {'node__state_dir': folder + '/relay'}
        os.chmod(gateway.world.path('certs', 'relay.key'), 0o600)
        addresses = []
        for user in ('root', 'nobody', 'nobody', 'root'):
            gateway.start_relay(node__user=user, **options)
            gateway.start_agent(2, node__user=user, node__state_dir=folder + '/agent')
            try:
                for daemon in (gateway.relay, gateway.agents[2]):
                    uids, gids, groups, caps = credentials(daemon.children()[0])
                    assert caps == '0' * 16
                    assert credentials(daemon.pid)[0] == {0}
                    if user == 'nobody':
                        assert (uids, gids, groups) == ({nobody.pw_uid}, {nobody.pw_gid}, [])
                assert os.stat(folder + '/relay').st_uid == os.stat(folder + '/relay/gatehouse.sqlite').st_uid == pwd.getpwnam(user).pw_uid
                assert os.stat(folder + '/relay').st_mode & 0o777 == 0o700
                assert gateway.world['agent-2'].ping('1.1.1.1', 3)[0] == 3
                addresses.append(sorted(gateway.addresses(2)))
                mark = gateway.relay.mark()
                gateway.relay.send(signal.SIGHUP)
                gateway.relay.wait_line(message('Configuration reloaded'), since=mark)
                assert status(gateway)['sessions'] == 1
                assert not gateway.relay.find('lease is not on disk')
            finally:
                gateway.stop()
        assert addresses == [addresses[0]] * 4


def test_a_user_that_is_not_there_is_refused_before_anything_changes(gateway):
    before = gateway.world['relay'].state()
    gateway.start_relay(wait=False, node__user='no-such-user-here')
    assert gateway.relay.wait_exit() == 1
    assert gateway.relay.find('node.user: no-such-user-here: there is no such user')
    assert gateway.world['relay'].state() == before
