"""What an operator sees and does."""
import json
import signal

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


def test_both_ends_show_the_path(site):
    """Identity, addresses, RTT, MTU and loss; what was tested and is used."""
    agent = site.world['agent-1']
    assert agent.ping('1.1.1.1', 3)[0] == 3
    told = json.loads(agent.run(program('gatehouse-agent'), 'status', '-c', site.world.path('examples', 'agent-1.yaml'), '--json').stdout)
    assert told['identity'] == 'client-1' and told['not_after'].endswith('Z')
    path = told['paths'][0]
    assert path['carrier'] and path['state'] == 'up'
    assert path['rtt_us'] > 0 and path['udp_payload'] >= 1314 and path['mtu'] == told['tunnel_mtu'] >= 1280
    assert path['datagrams_sent'] >= 3 and path['datagrams_lost'] == 0
    assert {'udp_gso', 'udp_gro', 'tun_tso', 'tun_uso'} <= {row['name'] for row in told['features']}
    assert all({'on', 'tested', 'detail'} <= set(row) for row in told['features'])
    assert told['config']['generation'] == 1

    def row():
        return [row for row in site.sessions() if row['client_id'] == 'client-1'][0]
    until(lambda: row()['datagrams_sent'] >= 3, 3, 'the relay knows the path, too')
    assert row()['rtt_us'] > 0 and row()['udp_payload'] >= 1314 and row()['mtu'] >= 1280 and row()['datagrams_lost'] == 0
    screen = agent.run(program('gatehouse-agent'), 'status', '-c', site.world.path('examples', 'agent-1.yaml')).stdout
    for words in ('identity   client-1, certificate valid until ', '(carries), rtt ', 'udp_gso', 'drops ', 'config     generation 1, never reloaded',
                  'relay      relay.gatehouse.example port 4433'):
        assert words in screen, screen


def test_the_relays_status_shows_identity_sessions_and_paths(site):
    for number in (1, 2):
        assert site.world['agent-%d' % number].ping('1.1.1.1', 3)[0] == 3
    relay = site.world['relay']

    def status():
        return json.loads(relay.run(program('gatehouse'), 'status', '--json').stdout)
    told = until(lambda: status() if status()['paths']['datagrams_sent'] >= 6 else None, 5, 'both paths are known')
    assert told['identity']['name'] == 'relay' and told['identity']['not_after'].endswith('Z')
    assert told['sessions'] == 2 and sum(row['sessions'] for row in told['workers']) == 2
    assert site.metrics()['gatehouse_relay_sessions'] == 2
    paths = told['paths']
    assert paths['count'] == 2 and 0 < paths['rtt_us']['min'] <= paths['rtt_us']['max'] and paths['datagrams_lost'] == 0
    assert 1280 <= paths['mtu']['min'] <= paths['mtu']['max']
    assert told['policy']['version'] and told['config'] == {'generation': 1, 'last_reload': None}
    assert {'udp_gso', 'udp_gro', 'tun_tso', 'tun_uso', 'landlock', 'seccomp'} <= {row['name'] for row in told['features']}
    screen = relay.run(program('gatehouse'), 'status').stdout
    for words in ('identity   relay, certificate valid until ', 'sessions   2, flows ', 'paths      2, rtt ', ', mtu ', ', loss 0.00 %', 'policy     1-',
                  'config     generation 1, never reloaded', 'offload    udp_gso '):
        assert words in screen, screen


def test_a_watched_status_comes_again_until_it_is_interrupted(site):
    config = site.world.path('examples', 'agent-1.yaml')
    watched = [site.world['relay'].start('watch-1', program('gatehouse'), 'status', '--watch', '1'),
               site.world['relay'].start('watch-2', program('gatehouse'), 'sessions', '--watch=1'),
               site.world['agent-1'].start('watch-3', program('gatehouse-agent'), 'status', '-c', config, '--watch', '1')]
    for daemon, words in zip(watched, ('ready      yes', 'SESSION', 'tunnel     up')):
        daemon.wait_line(words, 10, count=2)
        daemon.send(signal.SIGINT)
        assert daemon.wait_exit(5) == 0
        assert not daemon.find('\x1b')


def test_the_examples_are_right(site):
    for name in ('relay.yaml', 'relay-interop.yaml', 'relay-audited.yaml', 'agent-1.yaml', 'agent-2.yaml'):
        site.world['relay'].run(program('gatehouse'), 'check', site.world.path('examples', name))
