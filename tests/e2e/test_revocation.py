"""A certificate that is taken back ends what it opened, at once, and opens nothing more."""
import json
import os
import shutil
import signal
import time

import pytest

from certs import quiet
from process import until
from world import OTHER_V4, RESOLVERS, program


def ca(gateway, *words):
    return quiet([program('gatehouse'), 'ca', words[0], '--dir', gateway.certs.folder] + list(words[1:]))


@pytest.fixture
def site(gateway):
    """Relay with a revocation list, client-1 and client-2; certificates are made anew for each test."""
    for name in ('client-1', 'client-2'):
        gateway.certs.issue('agent', name, '--force')
    gateway.revoked = json.loads(ca(gateway, 'crl', '--json'))['crl']['count']
    gateway.crl = gateway.world.path('relay-ca.crl')
    publish(gateway)
    gateway.start_relay(relay__crl=gateway.crl)
    yield gateway
    gateway.stop()


def publish(gateway):
    """As an operator would: complete under another name, then renamed."""
    shutil.copyfile(gateway.certs.file('ca.crl'), gateway.crl + '.new')
    os.rename(gateway.crl + '.new', gateway.crl)


def closed(gateway, mark, reason='revoked', client='client-1'):
    """The audit record of the session's end; within a second of the reload that caused it."""
    record = gateway.relay.wait_audit(since=mark, event_type='connection.close', client_id=client, timeout=5)
    assert record['reason'] == reason, record
    return record


def test_a_revoked_client_is_cut_within_a_second(site):
    agent = site.start_agent(1)
    site.start_agent(2)
    assert site.world['agent-1'].ping(RESOLVERS[0], 1)[0] == 1
    mark, agent_mark = site.relay.mark(), agent.mark()
    ca(site, 'revoke', 'client-1', '--reason', 'keyCompromise')
    start = time.monotonic()
    publish(site)
    closed(site, mark)
    took = time.monotonic() - start
    assert took < 1.5, 'from the rename to the end of the session: %.2f s' % took
    # audit says why before it says that
    refused = site.relay.wait_audit(since=mark, event_type='auth.fail', client_id='client-1')
    assert 'revoked (keyCompromise)' in refused['reason'] and refused['action'] == 'deny'
    agent.wait_line('the certificate is revoked', 3, agent_mark)
    assert site.world['agent-1'].ping(RESOLVERS[0], 1, wait=0.5)[0] == 0
    # nobody else noticed
    assert site.world['agent-2'].ping(OTHER_V4, 1)[0] == 1
    assert [row['client_id'] for row in site.sessions()] == ['client-2']
    assert not site.relay.find(lambda line: line.data.get('event_type') == 'connection.close' and line.data.get('client_id') == 'client-2', mark)
    until(lambda: site.metrics()['gatehouse_relay_revoked_certificates'] > site.revoked, 3, 'the list is in the metrics')
    assert site.metrics()['gatehouse_relay_crl_next_update_seconds'] > time.time()


def test_a_new_handshake_of_a_revoked_certificate_is_refused(site):
    ca(site, 'revoke', 'client-1')
    publish(site)
    until(lambda: site.metrics()['gatehouse_relay_revoked_certificates'] > site.revoked, 5, 'the list is in use')
    mark = site.relay.mark()
    site.start_agent(1, wait=False)
    record = site.relay.wait_audit(since=mark, event_type='auth.fail', client_id='client-1')
    assert 'is revoked' in record['reason']
    assert not site.relay.find(lambda line: line.data.get('event_type') in ('auth.success', 'connection.open'), mark)
    assert site.sessions() == []


def test_a_resumed_session_passes_the_same_checks(site):
    """The agent has a ticket, and TLS takes it: no certificate is verified then."""
    agent = site.start_agent(1)
    mark, agent_mark = site.relay.mark(), agent.mark()
    ca(site, 'revoke', 'client-1')
    publish(site)
    closed(site, mark)
    agent.wait_line(lambda line: line.data.get('message') == 'connected' and line.data.get('resumed') is True, 5, agent_mark)
    refusals = until(lambda: (lambda found: found if len(found) >= 2 else None)(site.relay.find(
        lambda line: line.data.get('event_type') == 'auth.fail' and 'is revoked' in line.data.get('reason', ''), mark)), 5, 'a second refusal')
    assert all(line.data['client_id'] == 'client-1' for line in refusals)
    assert not site.relay.find(lambda line: line.data.get('event_type') == 'connection.open', mark)
    assert site.sessions() == []


def test_an_idle_session_and_its_flow_end_too(site):
    """Nothing is sent for it by anybody, and the keep-alive is far away."""
    site.stop()
    site.start_relay(relay__crl=site.crl, relay__keep_alive='0s')
    site.start_agent(1, agent__keep_alive='0s')
    assert site.world['agent-1'].ping(RESOLVERS[0], 1)[0] == 1  # a flow that lives 10 s more
    mark = site.relay.mark()
    ca(site, 'revoke', 'client-1')
    site.agents[1].send(signal.SIGSTOP)
    for child in site.agents[1].children():
        os.kill(child, signal.SIGSTOP)
    try:
        publish(site)
        closed(site, mark)
        flow = site.relay.wait_audit(since=mark, event_type='acl.allow', message='flow closed')
        assert flow['reason'] == 'session_closed'
        assert site.sessions() == []
    finally:
        for child in site.agents[1].children():
            os.kill(child, signal.SIGCONT)
        site.agents[1].send(signal.SIGCONT)


def test_a_renewed_certificate_comes_back(site):
    site.start_agent(1)
    mark = site.relay.mark()
    ca(site, 'revoke', 'client-1')
    publish(site)
    closed(site, mark)
    mark = site.relay.mark()
    ca(site, 'renew', 'client-1', '--new-key', '--force')  # the agent sees the files change
    assert site.relay.wait_audit(since=mark, event_type='connection.open', client_id='client-1', timeout=20)
    assert until(lambda: site.world['agent-1'].ping(RESOLVERS[0], 1)[0] == 1, 10, 'a ping with the new certificate')


def test_a_renewal_with_the_same_key_disturbs_nobody_and_the_old_one_can_go(site):
    site.start_agent(1)
    old = [row for row in json.loads(ca(site, 'list', '--json'))['certificates'] if row['name'] == 'client-1' and row['status'] == 'valid'][-1]
    ca(site, 'renew', 'client-1', '--force')
    site.agents[1].stop()
    site.start_agent(1)
    mark = site.relay.mark()
    ca(site, 'revoke', old['serial'], '--reason', 'superseded')
    publish(site)
    until(lambda: site.metrics()['gatehouse_relay_revoked_certificates'] > site.revoked, 5, 'the list is in use')
    assert site.world['agent-1'].ping(RESOLVERS[0], 2)[0] == 2
    assert not site.relay.find(lambda line: line.data.get('event_type') == 'connection.close', mark)


@pytest.mark.parametrize('what', ['empty', 'rubbish', 'torn', 'another_ca', 'gone'])
def test_a_bad_list_is_refused_with_words_and_the_last_good_one_stays(site, what):
    from certs import Authority
    ca(site, 'revoke', 'client-1')
    publish(site)
    until(lambda: site.metrics()['gatehouse_relay_revoked_certificates'] > site.revoked, 5, 'the list is in use')
    revoked = site.metrics()['gatehouse_relay_revoked_certificates']
    site.start_agent(2)
    with open(site.crl, encoding='ascii') as file:
        good = file.read()
    if what == 'another_ca':
        other = Authority(site.world.path('other-ca'), site.certs.trust_domain)
        if not os.path.exists(other.file('ca.crt')):
            other.init()
        quiet([program('gatehouse'), 'ca', 'crl', '--dir', other.folder])
        with open(other.file('ca.crl'), encoding='ascii') as file:
            bad = file.read()
    else:
        bad = {'empty': '', 'rubbish': 'no list\n', 'torn': good[:len(good) // 2] + '\n-----END X509 CRL-----\n', 'gone': None}[what]
    says = {'empty': 'is empty', 'rubbish': 'there is no revocation list', 'torn': 'does not parse', 'another_ca': 'bad signature',
            'gone': 'No such file'}[what]
    mark = site.relay.mark()
    if bad is None:
        os.unlink(site.crl)
    else:
        with open(site.crl + '.new', 'w', encoding='ascii') as file:
            file.write(bad)
        os.rename(site.crl + '.new', site.crl)
    site.relay.send(signal.SIGHUP)
    line = site.relay.wait_line(lambda line: says in json.dumps(line.data), 5, mark)
    assert site.crl in json.dumps(line.data)
    # what counted before counts on
    assert site.metrics()['gatehouse_relay_revoked_certificates'] == revoked
    mark = site.relay.mark()
    site.start_agent(1, wait=False)
    assert 'is revoked' in site.relay.wait_audit(since=mark, event_type='auth.fail')['reason']
    assert site.world['agent-2'].ping(OTHER_V4, 1)[0] == 1
    status = json.loads(site.world['relay'].run(program('gatehouse'), 'status', '--json').stdout)
    assert says in json.dumps(status), status


def old_list(site):
    """A list of the CA whose time is up."""
    work = site.world.path('old-list')
    os.makedirs(work, exist_ok=True)
    with open(os.path.join(work, 'openssl.cnf'), 'w', encoding='ascii') as file:
        file.write('[ca]\ndefault_ca=own\n[own]\ndatabase=%s/index\ncrlnumber=%s/number\ndefault_md=default\n' % (work, work))
    open(os.path.join(work, 'index'), 'w', encoding='ascii').close()
    with open(os.path.join(work, 'number'), 'w', encoding='ascii') as file:
        file.write('01\n')
    quiet(['openssl', 'ca', '-gencrl', '-config', os.path.join(work, 'openssl.cnf'), '-cert', site.certs.file('ca.crt'), '-keyfile',
           site.certs.file('ca.key'), '-crl_lastupdate', '20240101000000Z', '-crl_nextupdate', '20240201000000Z', '-out', site.crl])


def test_a_list_that_is_out_of_date_is_used_on_and_told(site):
    site.start_agent(1)
    mark = site.relay.mark()
    old_list(site)
    site.relay.wait_line(lambda line: 'relay.crl is out of date' in line.data.get('message', ''), 5, mark)
    assert site.get('/ready')[0] == 200
    site.start_agent(2)
    assert {row['client_id'] for row in site.sessions()} == {'client-1', 'client-2'}


def test_a_list_that_is_out_of_date_lets_nobody_in_when_that_is_wanted(site):
    site.stop()
    site.start_relay(relay__crl=site.crl, relay__crl_expired='refuse')
    site.start_agent(1)
    mark = site.relay.mark()
    old_list(site)
    until(lambda: site.get('/ready')[0] == 503, 5, 'the node is not ready')
    assert 'out of date' in site.get('/readyz?verbose')[1]
    site.start_agent(2, wait=False)
    assert 'out of date' in site.relay.wait_audit(since=mark, event_type='auth.fail', client_id='client-2')['reason']
    # who is in stays in
    assert site.world['agent-1'].ping(RESOLVERS[0], 1)[0] == 1
    ca(site, 'crl')
    publish(site)
    until(lambda: site.get('/ready')[0] == 200, 5, 'the node is ready again')
    site.wait_tunnel(2, timeout=40)


def test_the_cas_index_pins_keys_and_a_revocation_in_it_counts(site):
    index = site.world.path('index.jsonl')
    shutil.copyfile(site.certs.file('index.jsonl'), index)
    site.stop()
    site.start_relay(relay__pin='required', relay__pins_file=index)
    site.start_agent(1)
    site.start_agent(2)
    stranger = site.certs.odd('client-1', out='unknown-key')  # by the CA's key, unknown to its index
    mark = site.relay.mark()
    ca(site, 'revoke', 'client-2')
    shutil.copyfile(site.certs.file('index.jsonl'), index + '.new')
    os.rename(index + '.new', index)
    closed(site, mark, client='client-2')
    assert 'relay.pins_file' in site.relay.wait_audit(since=mark, event_type='auth.fail', client_id='client-2')['reason']
    assert site.world['agent-1'].ping(RESOLVERS[0], 1)[0] == 1
    site.agents[1].stop()
    mark = site.relay.mark()
    site.start_agent(1, wait=False, agent__certificate=stranger[0], agent__key=stranger[1])
    assert 'relay.pins_file' in site.relay.wait_audit(since=mark, event_type='auth.fail', client_id='client-1')['reason']
    # a torn line may have been a revocation
    mark = site.relay.mark()
    with open(index, 'a', encoding='ascii') as file:
        file.write('{"serial":"0')
    site.relay.wait_line(lambda line: 'is no record of a CA' in json.dumps(line.data), 5, mark)
