"""Two agents behind a relay: addresses, packets, downloads, and what policy keeps apart."""
import os

import pytest

from process import until
from world import OTHER_V4, OTHER_V6, RESOLVERS, WEB_V4, WEB_V6


def test_each_agent_has_one_address_of_each_pool(site):
    for number in (1, 2):
        assert site.v4(number).startswith('10.100.0.') and site.v4(number) != '10.100.0.1'
        assert site.v6(number).startswith('fd00:100::')
        assert len(site.addresses(number)) == 2
    assert not set(site.addresses(1)) & set(site.addresses(2))


def test_one_line_for_each_allocation_names_client_and_address(site):
    for number in (1, 2):
        for address in site.addresses(number):
            found = site.relay.find(lambda line: 'Virtual IP' in line.data.get('message', '') and line.data.get('address') == address)
            assert [line.data['client_id'] for line in found] == ['client-%d' % number]


@pytest.mark.parametrize('target', RESOLVERS + ('2606:4700::1111',))
def test_no_ping_is_lost(site, target):
    received, text = site.world['agent-1'].ping(target, 20)
    assert received == 20, text


def test_a_default_ping_counts_84_bytes_on_both_sides(site):
    def counted():
        row = [row for row in site.sessions() if row['client_id'] == 'client-2'][0]
        return [row[key] for key in ('rx_packets', 'rx_bytes', 'tx_packets', 'tx_bytes')]
    # until nobody else sends: what the kernel says about itself on a new device is over soon
    until(lambda: (lambda a, b: a == b)(counted(), (site.world['agent-1'].ping(RESOLVERS[0], 5), counted())[1]), 10, 'a quiet session')
    before = counted()
    assert site.world['agent-2'].ping(OTHER_V4, 10, size=56)[0] == 10
    assert [b - a for a, b in zip(before, counted())] == [10, 840, 10, 840]


@pytest.mark.parametrize('address', [WEB_V4, WEB_V6, OTHER_V4, OTHER_V6])
def test_a_download_arrives_as_it_was(site, address):
    host = '[%s]' % address if ':' in address else address
    answer = site.world['agent-2'].peer('get', 'http://%s/file' % host)
    assert (answer['status'], answer['bytes'], answer['sha256']) == (200, 16 << 20, site.file_hash)


@pytest.mark.parametrize('host, seen', [(WEB_V4, '198.51.100.1'), ('[%s]' % WEB_V6, '2001:db8:100::1')])
def test_the_internet_sees_the_relays_address(site, host, seen):
    text = site.world['agent-2'].peer('get', 'http://%s/' % host)['text']
    assert text.replace('::ffff:', '') == seen


@pytest.mark.parametrize('target', [OTHER_V4, OTHER_V6])
def test_what_policy_denies_is_dropped_and_audited_with_its_rule(site, target):
    if target == OTHER_V6:
        target = WEB_V6  # client-1 may reach the other one
    mark = site.relay.mark()
    assert site.world['agent-1'].peer('probe', target, 80)['reached'] is False
    record = site.relay.wait_audit(since=mark, event_type='acl.deny', client_id='client-1', dest_ip=target)
    assert (record['rule_id'], record['action'], record['level'], record['dest_port'], record['protocol']) == ('rest', 'deny', 'warn', 80, 'tcp')
    assert record['source_ip'] in site.addresses(1)
    assert record['policy_version'] and record['session_id'] and record['timestamp']


def test_an_allowed_flow_is_audited_with_rule_and_metadata(site):
    mark = site.relay.mark()
    assert site.world['agent-1'].peer('get', 'http://1.1.1.1/')['status'] == 200
    record = site.relay.wait_audit(since=mark, event_type='acl.allow', client_id='client-1', dest_ip='1.1.1.1')
    assert (record['rule_id'], record['action'], record['level'], record['dest_port']) == ('resolvers', 'allow', 'info', 80)
    assert record['metadata'] == {'reason': 'dns'}


@pytest.mark.parametrize('family', ['v4', 'v6'])
def test_agents_reach_each_other_only_as_policy_says(site, family):
    address_of = getattr(site, family)
    # client-2 may send anything and client-1 lets a ping in, and nothing else; client-1 may not send to client-2 at all.
    assert site.world['agent-2'].ping(address_of(1), 5)[0] == 5
    assert site.world['agent-2'].peer('probe', address_of(1), 22)['reached'] is False
    assert site.world['agent-1'].ping(address_of(2), 2)[0] == 0
    assert site.relay.audit(event_type='acl.deny', client_id='client-1', dest_ip=address_of(2))


def test_a_flow_within_two_agents_is_seen_by_the_other_agent_with_its_real_source(site):
    received, text = site.world['agent-2'].ping(site.v4(1), 3)
    assert received == 3, text


def test_bulk_moves_no_drop_counter_but_the_session_queues(site):
    names = [name for name in site.metrics() if name.startswith('gatehouse_drops_total')]
    before = site.metrics()
    for address in (WEB_V4, WEB_V6):
        answer = site.world['agent-2'].peer('bulk', address, 24 << 20)
        assert answer['bytes'] == 24 << 20 and answer['sent'] == answer['received']
    after = site.metrics()
    moved = {name: after[name] - before[name] for name in names if after[name] != before[name] and 'queue_' not in name}
    assert moved == {}


def test_both_workers_carry_packets(site):
    """The kernel chooses the worker of a connection by its ports, so an agent comes back until both have one."""
    seen = {}
    for _ in range(16):
        for row in site.sessions():
            if row['client_id'] == 'client-2' and row['rx_packets'] > 0 and row['tx_packets'] > 0:
                seen[row['worker']] = row['rx_packets']
        if len(seen) == 2:
            break
        site.agents[2].stop()
        site.start_agent(2)
        assert site.world['agent-2'].ping(OTHER_V4, 5)[0] == 5
    assert sorted(seen) == [0, 1]


def test_an_agent_gets_its_address_again_after_both_restart(site):
    before = [sorted(site.addresses(number)) for number in (1, 2)]
    site.stop()
    for number in (1, 2):
        assert site.addresses(number) == []
    site.start_relay()
    # in the other order: the pool alone would give them the other way round
    site.start_agent(2)
    site.start_agent(1)
    assert [sorted(site.addresses(number)) for number in (1, 2)] == before
    assert os.path.getsize(site.world.path('state', 'relay')) > 0
