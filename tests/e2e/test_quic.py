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
