"""Certificates that must not get in."""
import pytest

from certs import Authority


@pytest.fixture(scope='module')
def relay(gateway):
    yield gateway.start_relay()
    gateway.stop()


def refused(gateway, relay, certificate):
    """Starts agent 1 with it; the relay's audit record of the refusal."""
    mark = relay.mark()
    agent = gateway.start_agent(1, wait=False, agent__certificate=certificate[0], agent__key=certificate[1])
    try:
        record = relay.wait_audit(since=mark, event_type='auth.fail')
        assert not relay.find(lambda line: 'Virtual IP' in line.data.get('message', ''), mark)
        assert gateway.addresses(1) == []
        return record
    finally:
        agent.stop()


def test_a_certificate_of_another_ca_is_refused(gateway, relay):
    other = Authority(gateway.world.path('other'), gateway.certs.trust_domain).init()
    record = refused(gateway, relay, other.issue('agent', 'client-1'))
    assert (record['action'], record['level']) == ('deny', 'warn') and record['reason']


def test_a_relays_certificate_is_no_agents(gateway, relay):
    assert refused(gateway, relay, (gateway.certs.file('relay.crt'), gateway.certs.file('relay.key')))['reason']


def test_the_role_in_the_name_alone_is_not_enough(gateway, relay):
    # says agent, but its extended key usage is a server's
    assert refused(gateway, relay, gateway.certs.odd('client-1', usage='serverAuth', out='server-usage'))['reason']


def test_an_expired_certificate_is_refused(gateway, relay):
    record = refused(gateway, relay, gateway.certs.odd('client-1', start='20200101000000Z', end='20200201000000Z', out='expired'))
    assert 'expired' in record['reason']


def test_a_certificate_of_tomorrow_is_refused(gateway, relay):
    assert refused(gateway, relay, gateway.certs.odd('client-1', start='20900101000000Z', end='20910101000000Z', out='tomorrow'))['reason']


def test_another_trust_domain_is_refused(gateway, relay):
    assert refused(gateway, relay, gateway.certs.odd('client-1', uri='spiffe://elsewhere.example/agent/client-1', out='elsewhere'))['reason']


def test_without_an_identity_the_audit_line_names_the_option_that_would_accept_it(gateway, relay):
    record = refused(gateway, relay, gateway.certs.odd('client-1', uri='', out='nameless'))
    assert 'identity' in record['reason']


def test_an_agents_certificate_does_not_pass_for_a_relays(gateway, relay):
    """The agent refuses, whatever the relay thinks of itself."""
    relay.stop()
    certificate, key = gateway.certs.odd('relay', role='agent', usage='serverAuth,clientAuth', names=['relay.example.org'], out='impostor')
    impostor = gateway.start_relay(wait=False, relay__certificate=certificate, relay__key=key)
    agent = None
    try:
        # a relay that sees what it was given may end at once; one that does not must not get the agent
        if impostor.process.poll() is None:
            agent = gateway.start_agent(1, wait=False)
            agent.wait_line(lambda line: line.data.get('level') in ('warn', 'error'))
            assert gateway.addresses(1) == []
    finally:
        if agent:
            agent.stop()
        impostor.kill() if impostor.process.poll() is None else None
        gateway.start_relay()


def test_a_good_certificate_still_gets_in_after_all_that(gateway):
    mark = gateway.relay.mark()
    gateway.start_agent(1)
    assert gateway.relay.wait_audit(since=mark, event_type='auth.success')['client_id'] == 'client-1'
    assert gateway.relay.wait_audit(since=mark, event_type='connection.open')['client_id'] == 'client-1'
