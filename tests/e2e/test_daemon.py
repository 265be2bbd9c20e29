"""The plumbing around the services: files, signals, the service manager."""
import hashlib
import os
import re
import subprocess

from process import until
from world import ROOT


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
