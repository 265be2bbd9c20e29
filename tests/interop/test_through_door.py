"""MASQUE clients of others through the door: connect-ip-go v0.7.0 and masque-go v0.4.0 over HTTP/3, with the relay's name encrypted (ECH)"""
import json
import os
import subprocess

import pytest

import gateway as gateway_module
import peers
from connect_ip_go import Peer, event
from world import RELAY_NAME, WEB_V4, WEB_V6, program

PORT = 4434
DOOR = '''
door:
  listen: [":%d"]
  camouflage: {site: ../site}
  ech: {keys_file: ../ech.yaml}
  tunnel_name: %s
''' % (PORT, RELAY_NAME)
POLICY = '''version: "1.0"
default_action: deny
clients:
  client-2: { rules: [ { id: everything, type: default, action: allow } ] }
'''


def gatehouse(*words):
    return subprocess.run([program('gatehouse'), *words], check=True, stdout=subprocess.PIPE, text=True).stdout


def built(name):
    folder, why = peers.build(name)
    if not folder:
        pytest.fail(why)
    return folder


@pytest.fixture(scope='module')
def door(world):
    made = gateway_module.Gateway(world, gateway_module.certificates(world))
    keys = world.path('ech.yaml')
    gatehouse('ech', 'generate', '--public-name', 'cover.test', '--keys-file', keys)
    made.list = json.loads(gatehouse('ech', 'show', '--keys-file', keys, '--json'))['config_list']
    world.write('site/index.html', 'It works')
    world.write('examples/relay-door.yaml', world.read('examples/relay-interop.yaml') + DOOR)
    made.policy(POLICY)
    made.file_hash = world.serve(4 << 20)
    made.start_relay('relay-door.yaml', relay__proxy='connect,connect-udp')
    peer = Peer(world, made.certs, None)
    peer.routed()
    peer.forwarding()
    yield made
    made.stop()


def flights(door):
    return door.metrics()['gatehouse_door_udp_flights_total{way="tunnel"}']


def test_connect_ip_go_has_its_tunnel_through_the_door(door, world):
    peer, before = Peer(world, door.certs, built('connect_ip')), flights(door)
    client = peer.client(route='%s/32,%s/128' % (WEB_V4, WEB_V6), ech=door.list, url='https://%s:%d/.well-known/masque/ip/%%2A/%%2A/' % (RELAY_NAME, PORT))
    try:
        assert len(client.wait_line(event('assigned')).data['addresses']) == 2
        for address in (WEB_V4, '[%s]' % WEB_V6):
            assert world['agent-2'].peer('get', 'http://%s/file' % address)['sha256'] == door.file_hash
        assert flights(door) > before
    finally:
        client.stop()


@pytest.mark.parametrize('what', ['udp', 'tcp'])
def test_masque_go_has_its_tunnels_through_the_door(door, world, what):
    before, file = flights(door), door.certs.file
    world.starts += 1
    client = world['agent-2'].start('masque-%d' % world.starts, os.path.join(built('masque'), 'client'), '-relay', '%s:%d' % (RELAY_NAME, PORT), '-ech', door.list,
                                    '-ca', file('ca.crt'), '-cert', file('client-2.crt'), '-key', file('client-2.key'), '-' + what, WEB_V4 + ':7')
    try:
        assert client.wait_line(event('opened'), 15).data['status'] == 200
        assert client.wait_line(event('echoed'), 15).data['same'] == (100 if what == 'udp' else True)
        assert flights(door) > before
    finally:
        client.stop()


def test_who_encrypts_to_nobody_of_ours_has_no_tunnel(door, world):
    """The same clients without ECH meet whoever has the door's open name."""
    peer = Peer(world, door.certs, built('connect_ip'))
    client = peer.client(wait=False, url='https://%s:%d/.well-known/masque/ip/%%2A/%%2A/' % (RELAY_NAME, PORT))
    client.wait_line(event('refused'), 20)
