"""A pool with room for one agent."""


def test_a_full_pool_answers_503_with_an_audit_line_and_serves_again_when_there_is_room(gateway):
    relay = gateway.start_relay(relay__pools='10.100.0.0/30', relay__routes='0.0.0.0/0')
    gateway.start_agent(1, wait=False)
    assert gateway.wait_tunnel(1, families=1) == ['10.100.0.2']
    mark = relay.mark()
    second = gateway.start_agent(2, wait=False)
    record = relay.wait_line(lambda line: line.data.get('client_id') == 'client-2' and 'event_type' in line.data
                             and 'pool' in line.text, since=mark).data
    assert record['event_type'] in ('error', 'auth.fail', 'connection.close'), record
    second.wait_line('503')
    assert gateway.addresses(2) == []
    assert gateway.metrics()['gatehouse_drops_total{reason="address_pool"}'] >= 1
    assert gateway.world['agent-1'].ping('10.100.0.1', 2)[0] in (0, 2)  # policy's business; the tunnel lives
    assert second.process.poll() is None, 'the agent keeps trying'
    gateway.stop()
