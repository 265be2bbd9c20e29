"""Ten thousand flows, each with one line when it begins and one when it ends."""
import collections

from process import until

FLOWS = 10000


def test_every_flow_opens_and_closes_once_with_its_bytes(gateway):
    gateway.world.serve(1 << 20)
    relay = gateway.start_relay(relay__udp_timeout='2s', relay__udp_new_timeout='2s', relay__max_flows_per_session=16384,
                                audit__buffer=65536)
    gateway.start_agent(2)
    mark = relay.mark()
    answer = gateway.world['agent-2'].peer('flows', '9.9.9.9', 20000, FLOWS)
    assert answer == {'sent': FLOWS, 'answered': FLOWS}

    def records():
        return relay.audit(since=mark, event_type='acl.allow', client_id='client-2', dest_ip='9.9.9.9', protocol='udp')
    until(lambda: len([record for record in records() if 'bytes' in record]) >= FLOWS, 20, 'every flow closed')
    found = records()
    opened = [record for record in found if 'bytes' not in record]
    closed = [record for record in found if 'bytes' in record]
    assert (len(opened), len(closed)) == (FLOWS, FLOWS)
    # five bytes of payload, 28 of headers, there and back
    assert collections.Counter((record['bytes'], record['packets']) for record in closed) == {(66, 2): FLOWS}
    metrics = gateway.metrics()
    assert metrics['gatehouse_drops_total{reason="audit_lost"}'] == 0
    gateway.stop()
