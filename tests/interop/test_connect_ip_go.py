"""connect-ip-go v0.7.0 at either end of the tunnel, the shipped programs at the other"""
import ipaddress
import json
import os
import re
import signal

import pytest

import gateway as gateway_module
import peers
from certs import Authority
from connect_ip_go import POOL_V4, POOL_V6, URL, Peer, event
from process import until
from world import OTHER_V4, OTHER_V6, RELAY_NAME, ROOT, WEB_V4, WEB_V6, program

# What the client routes into the tunnel: the internet's addresses, not the way to the relay.
TARGETS = '198.51.100.0/24,9.9.9.9/32,1.1.1.1/32,2001:db8:100::/64,2606:4700::/32'
FULL_V4, FULL_V6 = '0.0.0.0-255.255.255.255', '::-ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff'


@pytest.fixture(scope='module')
def peer(world):
    folder, why = peers.build('connect_ip')
    if not folder:
        pytest.fail(why)
    made = Peer(world, gateway_module.certificates(world), folder)
    made.file_hash = world.serve(4 << 20)
    made.routed()
    return made


def check_traffic(host, file_hash):
    """Ping, download, bulk TCP and UDP on both families."""
    for address in (OTHER_V4, WEB_V6):
        received, text = host.ping(address, 10)
        assert received == 10, text
    for address in (WEB_V4, '[%s]' % WEB_V6):
        assert host.peer('get', 'http://%s/file' % address)['sha256'] == file_hash
    for address in (WEB_V4, WEB_V6):
        answer = host.peer('bulk', address, 4 << 20)
        assert answer['bytes'] == 4 << 20 and answer['sent'] == answer['received']
    for address in (WEB_V4, WEB_V6):
        answer = host.peer('udp', address, 1100, 200)
        assert answer['same'] == 200
        # in fragments: the peer's queue is short, so one may be lost, but none may come back spoilt
        answer = host.peer('udp', address, 8000, 20)
        assert answer['same'] >= 15 and answer['wrong'] == 0


# ---- the peer against itself: the rig is sound

def test_the_peer_understands_itself(peer):
    peer.forwarding()
    server = peer.server()
    client = peer.client(route=TARGETS)
    try:
        assert client.wait_line(event('assigned')).data['addresses'] == ['10.101.0.2/32', 'fd00:101::2/128']
        check_traffic(peer.world['agent-2'], peer.file_hash)
    finally:
        client.stop()
        server.kill()


# ---- their client, our relay

@pytest.fixture(scope='module')
def relay(peer):
    """gatehoused with examples/relay-interop.yaml."""
    made = gateway_module.Gateway(peer.world, peer.certs)
    made.start_relay('relay-interop.yaml')
    peer.forwarding()
    yield made
    made.stop()


def test_their_client_gets_addresses_and_routes_of_our_relay(peer, relay):
    client = peer.client(route=TARGETS)
    try:
        assigned = [ipaddress.ip_interface(text) for text in client.wait_line(event('assigned')).data['addresses']]
        assert sorted(address.version for address in assigned) == [4, 6]
        for address in assigned:
            assert address.ip in ipaddress.ip_network('10.100.0.0/24' if address.version == 4 else 'fd00:100::/64')
            assert address.network.num_addresses == 1
        # in ascending order, IPv4 first (RFC 9484, section 4.7.3)
        assert client.wait_line(event('routes')).data['routes'] == [FULL_V4, FULL_V6]
        assert relay.relay.wait_line(lambda line: 'Virtual IP' in line.data.get('message', '')).data['client_id'] == 'client-2'
    finally:
        client.stop()


def test_packets_of_their_client_through_our_relay(peer, relay):
    client = peer.client(route=TARGETS)
    try:
        check_traffic(peer.world['agent-2'], peer.file_hash)
    finally:
        client.stop()


def test_their_client_may_ask_for_addresses(peer, relay):
    client = peer.client(route=TARGETS, request='0.0.0.0/32,::/128')
    try:
        again = client.wait_line(event('assigned_again'), 5).data['addresses']
        assert sorted(again) == sorted(client.wait_line(event('assigned')).data['addresses'])
    finally:
        client.stop()


def test_policy_holds_for_their_client(peer, relay):
    mark = relay.relay.mark()
    client = peer.client(number=1, certificate='client-1', route=TARGETS)
    try:
        host = peer.world['agent-1']
        assert host.ping('1.1.1.1', 3)[0] == 3
        assert host.peer('probe', OTHER_V4, 80)['reached'] is False
        assert relay.relay.wait_audit(since=mark, event_type='acl.deny', client_id='client-1', dest_ip=OTHER_V4)['rule_id'] == 'rest'
    finally:
        client.stop()


def scoped(target, protocol='%2A'):
    return URL.replace('/%2A/%2A/', '/%s/%s/' % (target, protocol))


def test_R8_a_tunnel_for_one_target_and_protocol_carries_nothing_else(peer, relay):
    host = peer.world['agent-2']
    client = peer.client(url=scoped(WEB_V4 + '%2F32', '6'), route=TARGETS)
    try:
        assert client.wait_line(event('routes')).data['routes'] == ['%s-%s/6' % (WEB_V4, WEB_V4)]
        assert host.peer('get', 'http://%s/file' % WEB_V4)['sha256'] == peer.file_hash
        assert host.ping(WEB_V4, 2)[0] == 2  # ICMP is always within
        assert host.peer('udp', WEB_V4, 100, 1)['same'] == 0
        assert host.ping(OTHER_V4, 1, wait=0.5)[0] == 0
        assert relay.get('/metrics')[1].count('reason="scope"') == 1
    finally:
        client.stop()


def test_R4_the_target_may_be_a_name(peer, relay):
    client = peer.client(url=scoped(RELAY_NAME), route=TARGETS)
    try:
        routes = client.wait_line(event('routes')).data['routes']
        assert routes == ['203.0.113.2-203.0.113.2', '2001:db8:113::2-2001:db8:113::2']
    finally:
        client.stop()


def test_R4_a_name_without_an_address_is_refused(peer, relay):
    mark = relay.relay.mark()
    client = peer.client(url=scoped('nowhere.invalid'), wait=False)
    refused = client.wait_line(lambda line: line.data.get('event') in ('refused', 'ready', 'error'), 30)
    assert refused.data['event'] == 'refused' and '502' in refused.data['error'], refused.text
    assert relay.relay.wait_line(lambda line: line.data.get('name') == 'nowhere.invalid', since=mark)


def test_R3_a_target_that_is_none_is_refused(peer, relay):
    client = peer.client(url=scoped('10.0.0.1%2F8'), wait=False)  # bits below the prefix
    refused = client.wait_line(lambda line: line.data.get('event') in ('refused', 'ready', 'error'))
    assert refused.data['event'] == 'refused' and '400' in refused.data['error'], refused.text


def test_our_relay_refuses_a_client_without_a_certificate(peer, relay):
    refused = peer.client(certificate=None, wait=False).wait_line(lambda line: line.data.get('event') in ('refused', 'ready', 'error'))
    assert refused.data['event'] == 'refused' and '0x174' in refused.data['error'], refused.text  # certificate_required


def test_our_relay_refuses_a_certificate_of_another_ca(peer, relay):
    other = Authority(peer.world.path('other'), peer.certs.trust_domain).init()
    other.issue('agent', 'client-2')
    mark = relay.relay.mark()
    client = peer.world['agent-2'].start('stranger', peer.folder + '/client', '-url', URL, '-ca', peer.certs.file('ca.crt'),
                                         '-cert', other.file('client-2.crt'), '-key', other.file('client-2.key'))
    refused = client.wait_line(lambda line: line.data.get('event') in ('refused', 'ready', 'error'))
    assert refused.data['event'] == 'refused', refused.text
    assert relay.relay.wait_audit(since=mark, event_type='auth.fail')['reason']


def test_our_relay_refuses_a_relays_certificate(peer, relay):
    refused = peer.client(certificate='relay', wait=False).wait_line(lambda line: line.data.get('event') in ('refused', 'ready', 'error'))
    assert refused.data['event'] == 'refused', refused.text


def test_their_clients_sudden_death_ends_the_session(peer, relay):
    client = peer.client(route=TARGETS)
    assert peer.world['agent-2'].ping(OTHER_V4, 2)[0] == 2
    mark = relay.relay.mark()
    client.send(signal.SIGKILL)
    client.wait_exit()
    # the identity comes back at once: the new instance takes over
    again = peer.client(route=TARGETS)
    try:
        assert peer.world['agent-2'].ping(OTHER_V4, 2)[0] == 2
        relay.relay.wait_audit(since=mark, event_type='connection.close', client_id='client-2', timeout=35)
    finally:
        again.stop()


def test_our_relays_end_is_heard_by_their_client(peer, relay):
    client = peer.client(route=TARGETS)
    relay.relay.stop()
    client.wait_line(event('ended'), 10)
    client.wait_exit()
    relay.start_relay('relay-interop.yaml')


# ---- our agent, their server

@pytest.fixture
def agent(peer):
    """gatehouse-agent with examples/agent-2.yaml, and connect-ip-go where the relay was."""
    made = gateway_module.Gateway(peer.world, peer.certs)
    peer.forwarding()
    yield made
    made.stop()


@pytest.fixture
def no_relay(relay):
    """Nobody else on the port."""
    if relay.relay.process.poll() is None:
        relay.relay.stop()
    yield


def test_our_agent_gets_addresses_and_routes_of_their_server(peer, no_relay, agent):
    server = peer.server(pool=POOL_V4 + ',' + POOL_V6)
    try:
        agent.start_agent(2)
        assert sorted(agent.addresses(2)) == ['10.101.0.2', 'fd00:101::2']
        tunnel = server.wait_line(event('tunnel')).data
        assert tunnel['who'] == 'spiffe://%s/agent/client-2' % peer.certs.trust_domain
        check_traffic(peer.world['agent-2'], peer.file_hash)
    finally:
        server.kill()


def test_our_agent_keeps_to_what_their_server_advertises(peer, no_relay, agent):
    server = peer.server(route='9.9.9.0/24,2606:4700::/32')
    try:
        agent.start_agent(2, wait=False)
        host = peer.world['agent-2']
        until(lambda: gateway_module.AGENT_TUN in host.run('ip', 'route', 'get', OTHER_V4, check=False).stdout, 10, 'a route')
        assert gateway_module.AGENT_TUN not in host.run('ip', 'route', 'get', WEB_V4).stdout
        assert host.ping(OTHER_V4, 3)[0] == 3
        assert host.ping(OTHER_V6, 3)[0] == 3
    finally:
        server.kill()


def test_our_agent_logs_a_refusal_and_tries_again(peer, no_relay, agent):
    server = peer.server(refuse=403)
    try:
        daemon = agent.start_agent(2, wait=False)
        daemon.wait_line('403')
        server.wait_line(event('refused', status=403), count=2)
        assert agent.addresses(2) == []
    finally:
        server.kill()


def test_our_agent_ends_a_tunnel_without_an_assignment(peer, no_relay, agent):
    server = peer.server(assign='false')
    try:
        daemon = agent.start_agent(2, wait=False, agent__assign_timeout='1s')
        server.wait_line(event('tunnel'))
        daemon.wait_line(lambda line: 'assign' in line.text and line.data.get('level') in ('warn', 'error'), 5)
        server.wait_line(event('ended'), 5)
    finally:
        server.kill()


def test_our_agent_does_not_take_an_agent_for_a_relay(peer, no_relay, agent):
    peer.certs.odd('relay', role='agent', usage='serverAuth,clientAuth', names=['relay.gatehouse.example'], out='impostor')
    server = peer.server(certificate='impostor')
    try:
        daemon = agent.start_agent(2, wait=False)
        daemon.wait_line(lambda line: line.data.get('level') in ('warn', 'error'))
        assert agent.addresses(2) == []
        assert not server.find(event('request'))
    finally:
        server.kill()


def test_our_agent_comes_back_after_their_servers_sudden_death(peer, no_relay, agent):
    server = peer.server()
    daemon = agent.start_agent(2, agent__idle_timeout='2s', agent__keep_alive='500ms')
    server.kill()
    mark = daemon.mark()
    daemon.wait_line(lambda line: line.data.get('level') in ('warn', 'info'), since=mark)
    server = peer.server()
    try:
        server.wait_line(event('tunnel'), 15)
        until(lambda: peer.world['agent-2'].ping(OTHER_V4, 1)[0] == 1, 15, 'a ping through the new server')
    finally:
        server.kill()


def written_down():
    """{(row, what was sent)} of docs/interop.md"""
    with open(os.path.join(ROOT, 'docs', 'interop.md'), encoding='utf-8') as file:
        found = [re.match(r'\| ([A-Z]\d+) \| ([^|]+) \|', line) for line in file]
    return {match.groups() for match in found if match}


def test_what_conform_finds_in_their_server_is_what_is_written_down(peer, no_relay):
    server = peer.server()
    certs = peer.certs
    try:
        done = peer.world['agent-2'].run(program('gatehouse'), 'conform', '--cert', certs.file('client-2.crt'), '--key', certs.file('client-2.key'),
                                         '--ca', certs.file('ca.crt'), '--timeout', 1, '--json', URL.split('/.well-known')[0], check=False, timeout=240)
        report = json.loads(done.stdout)
        found = {(row['row'], row['name']) for row in report['rows'] if row['verdict'] in ('failed', 'warning')}
        assert found == written_down(), sorted(found ^ written_down())
        assert done.returncode == 1
    finally:
        server.kill()
