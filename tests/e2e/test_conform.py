"""`gatehouse conform` against the relay: what a client can see of the RFCs' rules."""
import json

from world import RELAY_NAME, program

URL = 'https://%s:4433' % RELAY_NAME


def conform(gateway, *options, client='client-2', timeout=120):
    certs = gateway.certs
    return gateway.world['agent-2'].run(program('gatehouse'), 'conform', '--cert', certs.file(client + '.crt'), '--key', certs.file(client + '.key'),
                                        '--ca', certs.file('ca.crt'), *options, URL, check=False, timeout=timeout)


def test_our_relay_keeps_every_rule(gateway):
    gateway.start_relay()
    done = conform(gateway, '--json')
    report = json.loads(done.stdout)
    assert len(report['rows']) > 140
    bad = {row['name']: row['seen'] for row in report['rows'] if row['verdict'] in ('failed', 'warning')}
    assert not bad
    assert report['failed'] == 0 and done.returncode == 0
    assert report['passed'] >= len(report['rows']) - 1  # D1: the relay has answered before
    assert gateway.relay.process.poll() is None
    assert gateway.get('/ready')[0] == 200


def test_the_report_is_tap_too(gateway):
    if gateway.relay is None:
        gateway.start_relay()
    done = conform(gateway, '--tap', '--row', 'Q1', '--row', 'A6')
    lines = done.stdout.splitlines()
    assert done.returncode == 0, done.stdout
    assert lines[0] == 'TAP version 14' and lines[1].startswith('1..')
    results = [line for line in lines if line.startswith(('ok ', 'not ok '))]
    assert len(results) == int(lines[1][3:]) and results[0].startswith('ok 1 - Q1 ')
    assert all(line.startswith('ok ') for line in results)


def test_usage_and_a_relay_that_is_not_there_have_their_exit_codes(gateway):
    if gateway.relay is None:
        gateway.start_relay()
    tool = [program('gatehouse'), 'conform']
    run = gateway.world['agent-2'].run
    for wrong in ([], ['--tap', '--json', URL], ['http://' + RELAY_NAME], ['--row', 'Z9', URL], ['--cert', 'x', URL], ['--oddity', URL], [URL, URL]):
        assert run(*tool, *wrong, check=False).returncode == 2, wrong
    gateway.relay.stop()
    gateway.relay = None
    done = conform(gateway, '--timeout', '0.5')
    assert done.returncode == 4 and 'no connection' in done.stderr, done.stderr
