"""The plumbing around the services: files, signals, the service manager."""
import hashlib
import json
import os
import re
import signal
import subprocess

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
    found = status(gateway)['config']
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
