"""How connections begin and go on, seen from outside."""
import pytest

from process import until
from world import WEB_V4


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


@pytest.mark.parametrize('browser', ['none', 'chrome', 'firefox'])
def test_an_agent_resumes_with_the_relay_that_was_started_again(gateway, browser):
    gateway.start_relay()
    try:
        agent = gateway.start_agent(1, agent__tls_fingerprint=browser)
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


def marks(host):
    """Packets that a host received, by the two bits of ECN, of both families."""
    found = {}
    for line in host.run('cat', '/proc/net/snmp6').stdout.splitlines():
        name, _, value = line.partition(' ')
        if name.startswith('Ip6In') and name.endswith('Pkts'):
            found[name[3:]] = found.get(name[3:], 0) + int(value)
    lines = [line.split() for line in host.run('cat', '/proc/net/netstat').stdout.splitlines() if line.startswith('IpExt:')]
    for name, value in zip(lines[0][1:], lines[1][1:]):
        found[name] = found.get(name, 0) + int(value)
    return {name: found[name] for name in ('InNoECTPkts', 'InECT0Pkts', 'InECT1Pkts', 'InCEPkts')}


def test_what_both_ends_send_is_marked_ect0(gateway):
    gateway.world.serve(1 << 16)
    gateway.start_relay()
    try:
        gateway.start_agent(2)
        hosts = [gateway.world['relay'], gateway.world['agent-2']]
        before = [marks(host) for host in hosts]
        assert hosts[1].ping(WEB_V4, 100, interval='0.01')[0] == 100
        for host, was in zip(hosts, before):
            moved = {name: value - was[name] for name, value in marks(host).items()}
            assert moved['InECT0Pkts'] >= 100 and moved['InECT1Pkts'] == moved['InCEPkts'] == 0, moved
    finally:
        gateway.stop()
