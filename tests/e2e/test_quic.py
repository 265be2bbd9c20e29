"""How connections begin and go on, seen from outside."""
from process import until


def counted(gateway, name, timeout=5):
    """The counter is in the metrics and not zero: workers publish four times a second."""
    return until(lambda: gateway.metrics()[name] or None, timeout, name + ' counts')


def test_with_retry_always_every_stranger_proves_its_address(gateway):
    gateway.start_relay(relay__retry='always')
    try:
        gateway.start_agent(1)
        assert counted(gateway, 'gatehouse_quic_retries_total') >= 1
        assert gateway.metrics()['gatehouse_quic_invalid_tokens_total'] == 0
    finally:
        gateway.stop()


def test_without_a_flood_nobody_is_asked(gateway):
    gateway.start_relay()
    try:
        gateway.start_agent(1)
        counted(gateway, 'gatehouse_quic_handshakes_total{result="completed"}')
        assert gateway.metrics()['gatehouse_quic_retries_total'] == 0
    finally:
        gateway.stop()


def connected(agent, since=0):
    return agent.wait_line(lambda line: line.data.get('message') == 'connected', 20, since=since).data


def test_an_agent_resumes_with_the_relay_that_was_started_again(gateway):
    gateway.start_relay()
    try:
        agent = gateway.start_agent(1)
        assert connected(agent)['resumed'] is False
        mark = agent.mark()
        gateway.relay.kill()
        gateway.start_relay()
        assert connected(agent, mark)['resumed'] is True
        gateway.wait_tunnel(1)
        counted(gateway, 'gatehouse_quic_resumed_total')
    finally:
        gateway.stop()


def test_a_resumed_session_passes_the_checks_of_a_full_one(gateway):
    gateway.start_relay()
    try:
        gateway.start_agent(1)
        gateway.relay.kill()
        gateway.start_relay(relay__pin='required', relay__pins='client-2=sha256:' + '0' * 64)
        counted(gateway, 'gatehouse_quic_resumed_total', 20)
        assert 'relay.pins' in gateway.relay.wait_audit(event_type='auth.fail')['reason']
        assert gateway.sessions() == []
    finally:
        gateway.stop()
