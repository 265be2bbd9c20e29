"""Debian's ocserv behind a routed name, and openconnect as its client: a VPN of another kind that shares the port."""
import os
import re
import shutil
import subprocess

import pytest

from doorway import Doorway, OneHost
from process import until
from world import Host

OUTSIDE, DOOR = '203.0.113.2', '203.0.113.1'
OCSERV = '''auth = "plain[passwd={folder}/passwd]"
listen-host = 127.0.0.1
tcp-port = {port}
socket-file = {folder}/socket
isolate-workers = false
run-as-user = root
run-as-group = root
server-cert = {folder}/ocserv.crt
server-key = {folder}/ocserv.key
tls-priorities = "NORMAL"
max-clients = 4
max-same-clients = 4
keepalive = 60
auth-timeout = 60
cookie-timeout = 300
rekey-time = 172800
use-occtl = false
pid-file = {folder}/pid
device = oc
ipv4-network = 10.99.0.0
ipv4-netmask = 255.255.255.0
ping-leases = false
default-domain = vpn.test
'''
SCRIPT = '''#!/bin/sh
case "$reason" in
connect)
    ip link set dev "$TUNDEV" up mtu "$INTERNAL_IP4_MTU"
    ip address replace "$INTERNAL_IP4_ADDRESS/24" dev "$TUNDEV"
    ;;
esac
'''


class Road(OneHost):
    """A host with the door and what is behind it, and one outside."""
    HOSTS = ('door', 'person')

    def _build(self):
        super()._build()
        self.hosts['person'] = Host(self, 'person')
        self['door'].run('ip', 'link', 'add', 'out0', 'type', 'veth', 'peer', 'name', 'in0', 'netns', self['person'].keeper.pid)
        for host, device, address in (('door', 'out0', DOOR), ('person', 'in0', OUTSIDE)):
            self[host].run('ip', 'address', 'add', address + '/24', 'dev', device)
            self[host].run('ip', 'link', 'set', device, 'up')


@pytest.fixture(scope='module')
def world(tmp_path_factory):
    for tool, package in (('ocserv', 'ocserv'), ('ocpasswd', 'ocserv'), ('openconnect', 'openconnect')):
        if not shutil.which(tool):
            pytest.skip('no %s (Debian: %s)' % (tool, package))
    with Road(tmp_path_factory.mktemp('ocserv')) as made:
        yield made


@pytest.fixture(scope='module')
def door(world):
    made, port = Doorway(world), 4443
    key, certificate = world.path('ocserv.key'), world.path('ocserv.crt')
    subprocess.run(['openssl', 'req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-keyout', key, '-out', certificate,
                    '-days', '30', '-subj', '/CN=vpn.test', '-addext', 'subjectAltName=DNS:vpn.test'], check=True, stderr=subprocess.DEVNULL)
    subprocess.run(['ocpasswd', '-c', world.path('passwd'), 'person'], input=b'a word\na word\n', check=True, stdout=subprocess.DEVNULL)
    config = world.write('ocserv.conf', OCSERV.format(folder=world.folder, port=port))
    made.script = world.write('script', SCRIPT)
    os.chmod(made.script, 0o755)
    made.server = world['door'].start('ocserv', 'ocserv', '-f', '-d', '1', '-c', config)
    until(lambda: world['door'].run('curl', '-sk', '-m', 2, '-o', '/dev/null', 'https://127.0.0.1:%d/' % port, check=False).returncode == 0, 15,
          'ocserv answers')
    made.start('listen: ["%s:443"]\nlocal_routes: {vpn.test: "127.0.0.1:%d"}\n' % (DOOR, port))
    yield made
    made.stop()
    made.server.stop()


@pytest.fixture
def tunnel(door, world):
    person = world['person']
    world.starts += 1
    with open(world.write('secret', 'a word\n'), 'rb') as secret:
        client = person.start('openconnect-%d' % world.starts, 'openconnect', '--protocol=anyconnect', '--no-dtls', '--no-proxy', '--non-inter',
                              '--cafile', world.path('ocserv.crt'), '--user', 'person', '--passwd-on-stdin', '--resolve', 'vpn.test:' + DOOR,
                              '--interface', 'tun0', '--script', door.script, 'https://vpn.test/', stdin=secret)
    until(lambda: re.search(r'inet 10\.99\.0\.\d+/', person.run('ip', 'address', 'show', 'dev', 'tun0', check=False).stdout), 20,
          'openconnect has an address')
    yield client
    client.stop(timeout=20)


def test_openconnect_has_a_tunnel_through_the_door(tunnel, world):
    said = world['person'].run('ping', '-c', 5, '-i', '0.2', '-W', 5, '10.99.0.1').stdout
    assert ' 0% packet loss' in said, said


def test_large_packets_and_many_of_them(tunnel, world):
    said = world['person'].run('ping', '-c', 200, '-i', '0.01', '-s', 1300, '-W', 5, '10.99.0.1').stdout
    assert ' 0% packet loss' in said, said


def test_a_download_inside_arrives_whole(tunnel, door, world):
    data = os.urandom(16 << 20)

    def serve(_, connection):
        while b'\r\n\r\n' not in connection.recv(65536):
            pass
        connection.sendall(b'HTTP/1.1 200 OK\r\nContent-Length: %d\r\nConnection: close\r\n\r\n' % len(data) + data)
        connection.close()
    inner, to = door.backend(serve, '10.99.0.1'), world.path('download')
    world['person'].run('curl', '-sS', '-m', 60, '-o', to, 'http://10.99.0.1:%d/' % inner.port, timeout=70)
    with open(to, 'rb') as file:
        assert file.read() == data


def test_it_is_a_routed_connection_until_it_ends(tunnel, door, world):
    until(lambda: door.metrics()['gatehouse_door_active_connections'] >= 1, 10, 'it is counted')
    assert door.metrics()['gatehouse_door_connections_total{way="route"}'] >= 1
    tunnel.stop(timeout=20)
    until(lambda: 'tun0' not in world['person'].run('ip', 'link').stdout, 10, 'the interface is gone')
    until(lambda: door.metrics()['gatehouse_door_active_connections'] == 0, 10, 'the connections ended')  # those of tunnels before, too
    until(lambda: door.metrics()['gatehouse_door_moved_bytes_total{manner="spliced"}'] > 0, 10, 'its bytes are counted')


def test_another_name_meets_no_vpn(door, world):
    said = world['person'].run('curl', '-sk', '-m', 10, '--resolve', 'other.test:443:' + DOOR, 'https://other.test/').stdout
    assert 'It works' in said or 'nginx' in said.lower(), said
    said = world['person'].run('curl', '-s', '-m', 10, '--cacert', world.path('ocserv.crt'), '--resolve', 'vpn.test:443:' + DOOR, '-o', '/dev/null', '-w',
                               '%{http_code}', 'https://vpn.test/').stdout
    assert said == '200', said
