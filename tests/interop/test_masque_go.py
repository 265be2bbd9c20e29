"""masque-go v0.4.0 and quic-go as clients of the relay's proxy over HTTP/3: CONNECT-UDP (row P13) and CONNECT"""
import os

import pytest

import gateway as gateway_module
import peers
from connect_ip_go import event
from process import until
from world import OTHER_V4, RELAY_NAME, WEB_V4, WEB_V6

POLICY = '''version: "1.0"
default_action: deny
log: all
clients:
  client-1: { rules: [ { id: web, type: ip_cidr, action: allow, destinations: [%s/32, "%s/128"] } ] }
  client-2: { rules: [ { id: everything, type: default, action: allow } ] }
''' % (WEB_V4, WEB_V6)
NOBODY = '''version: "1.0"
default_action: deny
clients:
  client-1: { rules: [ { id: none, type: default, action: deny } ] }
'''


@pytest.fixture(scope='module')
def folder():
    made, why = peers.build('masque')
    if not made:
        pytest.fail(why)
    return made


@pytest.fixture(scope='module')
def relay(world):
    made = gateway_module.Gateway(world, gateway_module.certificates(world))
    made.policy(POLICY)
    world.serve(1 << 20)
    made.start_relay(relay__proxy='connect,connect-udp')
    yield made
    made.stop()


def client(relay, folder, number, *arguments):
    relay.world.starts += 1
    file = relay.certs.file
    return relay.world['agent-%d' % number].start('masque-%d' % relay.world.starts, os.path.join(folder, 'client'), '-relay', RELAY_NAME + ':4433',
                                                  '-ca', file('ca.crt'), '-cert', file('client-%d.crt' % number), '-key', file('client-%d.key' % number),
                                                  *arguments)


@pytest.mark.parametrize('host', (WEB_V4, '[%s]' % WEB_V6))
def test_P13_masque_go_carries_datagrams_to_a_host(relay, folder, host):
    mark = relay.relay.mark()
    peer = client(relay, folder, 1, '-udp', host + ':7', '-count', 200)
    opened = peer.wait_line(event('opened'), 15).data
    assert (opened['status'], opened['remote']) == (200, host + ':7')
    assert peer.wait_line(event('echoed'), 15).data['same'] == 200
    until(lambda: any('bytes' in record for record in relay.relay.audit(since=mark, event_type='acl.allow', client_id='client-1')), 5, 'a record of its end')
    first, last = relay.relay.audit(since=mark, event_type='acl.allow', client_id='client-1')
    assert (first['rule_id'], first['protocol'], first['dest_port']) == ('web', 'udp', 7)
    assert (last['bytes'], last['packets']) == (400 * 1200, 400)
    assert last['reason'] in ('finished', 'aborted')  # the peer closes stream and connection at once: which is read first is chance


def test_P13_masque_go_is_refused_what_policy_denies(relay, folder):
    refused = client(relay, folder, 1, '-udp', OTHER_V4 + ':7').wait_line(event('refused'), 15).data
    assert refused['status'] == 403


@pytest.mark.parametrize('target', ('127.0.0.1:8080', '198.51.100.1:22', '203.0.113.2:4433', '10.100.0.1:7', '[::1]:8080'))
def test_the_node_itself_is_no_target_of_a_wide_rule(relay, folder, target):
    for kind in ('-udp', '-tcp'):
        refused = client(relay, folder, 2, kind, target).wait_line(event('refused'), 15).data
        assert (refused['status'], refused.get('proxy_status')) == (403, 'gatehouse; error=destination_ip_prohibited'), (kind, target)


def test_P13_a_host_that_is_not_there_ends_the_tunnel(relay, folder):
    peer = client(relay, folder, 1, '-udp', WEB_V4 + ':9', '-count', 5)
    assert peer.wait_line(event('opened'), 15).data['status'] == 200
    peer.wait_line(event('ended'), 15)


@pytest.mark.parametrize('host', (WEB_V4, '[%s]' % WEB_V6))
def test_connect_carries_bytes_both_ways_with_a_half_close(relay, folder, host):
    peer = client(relay, folder, 1, '-tcp', host + ':7', '-size', 5000000)
    assert peer.wait_line(event('opened'), 15).data['status'] == 200
    assert peer.wait_line(event('echoed'), 30).data == {'event': 'echoed', 'same': True, 'bytes': 5000000, 'error': '<nil>'}


def test_connect_to_a_port_where_nobody_listens_is_502(relay, folder):
    refused = client(relay, folder, 1, '-tcp', WEB_V4 + ':9').wait_line(event('refused'), 15).data
    assert (refused['status'], refused['proxy_status']) == (502, 'gatehouse; error=connection_refused')


def test_a_policy_that_changes_cuts_idle_tunnels(relay, folder):
    peer_tcp = client(relay, folder, 1, '-tcp', WEB_V4 + ':7', '-size', 100, '-hold')
    peer_udp = client(relay, folder, 1, '-udp', WEB_V4 + ':7', '-count', 1, '-hold')
    for peer in (peer_tcp, peer_udp):
        peer.wait_line(event('echoed'), 15)
    assert relay.metrics()['gatehouse_relay_proxied{protocol="tcp"}'] >= 1  # peers of tests before may have gone without a word: idle_timeout ends theirs
    relay.policy(NOBODY)
    try:
        for peer in (peer_tcp, peer_udp):
            peer.wait_line(event('ended'), 5)
        until(lambda: relay.metrics()['gatehouse_relay_proxied{protocol="tcp"}'] == 0, 5, 'all of them are cut')
        assert client(relay, folder, 1, '-tcp', WEB_V4 + ':7').wait_line(event('refused'), 15).data['status'] == 403
    finally:
        relay.policy(POLICY)
