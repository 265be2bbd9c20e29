"""What an operator sees and does."""
import json

from process import until
from world import program


def test_health_says_status_version_uptime_and_time(site):
    status, body = site.get('/health')
    assert status == 200
    assert {'status', 'version', 'uptime_seconds', 'timestamp'} <= set(json.loads(body))
    assert site.get('/livez')[0] == 200


def test_ready_names_its_checks(site):
    status, body = site.get('/readyz?verbose')
    assert status == 200
    for name in ('tls', 'policy', 'pool', 'tun'):
        assert name in body


def test_operators_paths_are_not_served_on_tcp(site):
    assert site.get('/v1/sessions')[0] == 403


def test_metrics_have_a_row_for_every_reason(site):
    metrics = site.metrics()
    for reason in ('policy', 'source', 'queue_full', 'malformed', 'audit_lost'):
        assert 'gatehouse_drops_total{reason="%s"}' % reason in metrics


def test_sessions_show_who_is_there(site):
    rows = {row['client_id']: row for row in site.sessions()}
    assert sorted(rows) == ['client-1', 'client-2']
    for number in (1, 2):
        row = rows['client-%d' % number]
        assert sorted(address.split('/')[0] for address in row['addresses']) == sorted(site.addresses(number))
        assert row['worker'] in (0, 1)


def test_a_kicked_session_ends_and_the_agent_comes_back(site):
    row = [row for row in site.sessions() if row['client_id'] == 'client-1'][0]
    mark = site.relay.mark()
    done = site.world['relay'].run('curl', '-s', '-m', 5, '-o', '/dev/null', '-w', '%{http_code}', '-X', 'DELETE', '--unix-socket',
                                   '/run/gatehouse/admin.sock', 'http://localhost/v1/sessions/' + row['id'])
    assert done.stdout == '202'
    site.relay.wait_audit(since=mark, event_type='connection.close', client_id='client-1')
    until(lambda: site.world['agent-1'].ping('1.1.1.1', 1)[0] == 1, 10, 'the agent is back')


def test_status_speaks_json(site):
    done = site.world['relay'].run(program('gatehouse'), 'status', '--json')
    assert json.loads(done.stdout)


def test_the_examples_are_right(site):
    for name in ('relay.yaml', 'relay-interop.yaml', 'relay-audited.yaml', 'agent-1.yaml', 'agent-2.yaml'):
        site.world['relay'].run(program('gatehouse'), 'check', site.world.path('examples', name))
