"""CONNECT and CONNECT-UDP behind the door, on HTTP/1.1 and HTTP/2, with Go's crypto/tls and net/http as the client"""
import base64
import json
import os
import socket
import subprocess
import threading

import pytest

import peers
from certs import Authority
from doorway import LOCAL, Doorway, OneHost, inside, named
from process import until
from world import program

DOMAIN = 't.example'
CONFIG = '''relay:
  listen: ["127.0.0.1:4433"]
  certificate: certs/relay.crt
  key: certs/relay.key
  client_ca: certs/ca.crt
  trust_domain: t.example
  pools: [10.211.0.0/24]
  tun: ghproxy0
  nat: none
  policy: policy.yaml
  proxy: [connect, connect-udp]
door:
  listen: ["127.0.0.1:8443"]
  local_routes: {{a.test: "{a}"}}
  camouflage: {{relay: "{a}"}}
  ech: {{keys_file: ech.yaml}}
  tunnel_name: inner.test
'''
POLICY = '''version: "1.0"
default_action: deny
clients:
  client-1: { rules: [ { id: here, type: ip_cidr, action: allow, destinations: [127.0.0.1/32] } ] }
'''


def echo(_, connection):
    while True:
        data = connection.recv(65536)
        if not data:
            break
        connection.sendall(data)
    connection.close()


@pytest.fixture(scope='module')
def client():
    folder, why = peers.build('tunnel')
    if why:
        pytest.fail(why)
    return os.path.join(folder, 'client')


@pytest.fixture(scope='module')
def door(tmp_path_factory):
    with OneHost(tmp_path_factory.mktemp('proxy')) as world:
        certs = Authority(world.path('certs'), DOMAIN).init()
        certs.issue('relay', 'relay', '--dns', 'relay.test')
        certs.issue('agent', 'client-1')
        certs.issue('agent', 'client-2')
        world.write('policy.yaml', POLICY)
        made = Doorway(world)
        subprocess.run([program('gatehouse'), 'ech', 'generate', '--public-name', 'cover.test', '--keys-file', world.path('ech.yaml')], check=True,
                       stdout=subprocess.DEVNULL)
        made.echo = made.backend(echo)
        made.start(CONFIG.format(a=made.backend(named('a', world.folder)).at))
        yield made
        made.stop()


def ask(door, client, *more, name='client-1', **options):
    told = subprocess.run([program('gatehouse'), 'ech', 'show', '--keys-file', door.world.path('ech.yaml'), '--json'], check=True, stdout=subprocess.PIPE)
    options.update(ech=json.loads(told.stdout)['config_list'], name='inner.test', certificate=door.world.path('certs', name))
    words = [word for key, value in options.items() for word in ('-' + key, str(value))]
    return json.loads(door.host.run(client, '-connect', '%s:%d' % (LOCAL, door.PORT), *words, *more).stdout)


VERSIONS = pytest.mark.parametrize('alpn, version', [('h2', 'HTTP/2.0'), ('http/1.1', 'HTTP/1.1')])


@VERSIONS
def test_connect_carries_bytes_both_ways_with_a_half_close(door, client, alpn, version):
    told = ask(door, client, alpn=alpn, tcp=door.echo.at, size=3000000)
    assert (told['status'], told['protocol'], told.get('same'), told.get('bytes')) == (200, version, True, 3000000), told
    until(lambda: door.metrics()['gatehouse_relay_proxied{protocol="tcp"}'] == 0, 5, 'the tunnel is over')


@VERSIONS
def test_who_is_denied_is_told_so(door, client, alpn, version):
    told = ask(door, client, name='client-2', alpn=alpn, tcp=door.echo.at)
    assert (told['status'], told['proxy_status']) == (403, 'gatehouse; error=http_request_denied'), told


@VERSIONS
def test_connect_ip_travels_in_a_websocket(door, client, alpn, version):
    told = ask(door, client, '-websocket', alpn=alpn)
    assert (told['status'], told.get('chosen'), told.get('closed')) == (200 if alpn == 'h2' else 101, ['gatehouse-connect-ip'], '<nil>'), told
    assert told['capsules'] == [1, 3], told  # ADDRESS_ASSIGN, ROUTE_ADVERTISEMENT
    if alpn == 'h2':
        assert base64.b64decode(told['rest']).endswith(b'\x88\x02\x03\xe8'), told


@VERSIONS
def test_P13_datagrams_travel_as_capsules(door, client, alpn, version):
    sock = inside(door.host, lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
    sock.bind((LOCAL, 0))
    at = '%s:%d' % sock.getsockname()

    def repeat():
        while True:
            data, sender = sock.recvfrom(65536)
            if not data:
                return
            sock.sendto(data, sender)
    thread = threading.Thread(target=repeat, daemon=True)
    thread.start()
    try:
        told = ask(door, client, alpn=alpn, udp=at)
        assert (told['status'], told.get('same')) == (101 if alpn != 'h2' else 200, 50), told
    finally:
        inside(door.host, lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b'', sock.getsockname()))
        thread.join(5)
        sock.close()
