"""The doors of examples/, as they are: a host with backends in a network behind it."""
import http.server
import os
import shutil
import socket
import ssl
import subprocess
import threading

import pytest

from certs import Authority
from doorway import Backend, Doorway, OneHost, inside, named
from world import Host, ROOT, program

BEHIND = ('192.0.2.10', '192.0.2.21', '192.0.2.22', '192.0.2.80')


class TwoHosts(OneHost):
    HOSTS = ('door', 'behind')

    def _build(self):
        super()._build()
        self.hosts['behind'] = Host(self, 'behind')
        self.link('door', 'eth0', ['192.0.2.1/24'], 'behind', 'eth0', [address + '/24' for address in BEHIND])


class Site(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = b'<html>an ordinary site</html>'
        self.send_response(200)
        self.send_header('content-length', str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *unused):
        pass


@pytest.fixture(scope='module')
def world(tmp_path_factory):
    with TwoHosts(tmp_path_factory.mktemp('examples')) as made:
        shutil.copytree(os.path.join(ROOT, 'examples'), made.path('examples'))
        gatehouse('ech', 'generate', '--public-name', 'www.example.com', '--keys-file', made.path('examples', 'ech.yaml'))
        made.backends = [Backend(made['behind'], named(name, made.folder), address, 443)
                         for name, address in (('app', BEHIND[0]), ('one', BEHIND[1]), ('two', BEHIND[2]), ('site', BEHIND[3]))]
        made.backends.append(Backend(made['door'], named('local', made.folder), port=8443))
        site = inside(made['behind'], lambda: http.server.ThreadingHTTPServer((BEHIND[3], 8080), Site))
        threading.Thread(target=site.serve_forever, daemon=True).start()
        yield made
        site.shutdown()
        site.server_close()
        for backend in made.backends:
            backend.close()


def gatehouse(*words):
    return subprocess.run([program('gatehouse'), *words], check=True, stdout=subprocess.PIPE, text=True).stdout


class Example(Doorway):
    PORT = 443

    def __init__(self, world, name):
        super().__init__(world)
        self.config = os.path.join('examples', name)
        self.start(None, node__run_dir=world.path('run'), node__state_dir=world.path('state', name))

    def configure(self, text):
        return self.world.path(self.config)

    def page(self, name):
        """What a browser gets that asks for a name, and who it believes to have asked."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        with context.wrap_socket(self.connect(), server_hostname=name) as tls:
            tls.sendall(b'GET / HTTP/1.1\r\nhost: %s\r\nconnection: close\r\n\r\n' % name.encode())
            answer = b''
            piece = tls.recv(65536)
            while piece:
                answer += piece
                piece = tls.recv(65536)
        return answer.decode()


@pytest.fixture
def example(world):
    made = []

    def start(name):
        made.append(Example(world, name))
        return made[0]
    yield start
    for door in made:
        door.stop()


def test_a_door_before_a_site(example):
    door = example('door.yaml')
    assert door.ask('www.example.com')[0] == 'app'
    assert {door.ask('x.apps.example.com')[0] for _ in range(4)} <= {'one', 'two'}
    assert door.ask('stranger.example')[0] == 'site'


def test_a_door_of_a_bare_host(example, world):
    world['door'].run('nft', '-f', '-', text='''table inet own {
        chain arriving {
            type filter hook input priority filter; policy drop;
            ct state established,related accept
            tcp dport { 8080, 8443 } accept
        }
    }''')
    try:
        door = example('door-vps.yaml')
        assert door.ask('app.example.com')[0] == 'local'
        assert door.ask('app.example.com', port=10077)[0] == 'local'
        assert door.ask('x.apps.example.com')[0] in ('one', 'two')
        assert door.page('www.example.com').startswith('HTTP/1.1 200 ')
        door.stop()
        with pytest.raises(TimeoutError):
            inside(door.host, lambda: socket.create_connection(('127.0.0.1', 443), timeout=0.3))
    finally:
        world['door'].run('nft', 'delete', 'table', 'inet', 'own')


def test_a_door_with_a_tunnel(example, world):
    certs = Authority(world.path('examples', 'certs'), 'gatehouse.example').init()
    certs.issue('relay', 'relay', '--dns', 'www.example.com')
    door = example('door-tunnel.yaml')
    assert door.ask('app.example.com')[0] == 'app'
    assert 'an ordinary site' in door.page('stranger.example')
    # the tunnel's name in the open is a stranger's
    assert 'an ordinary site' in door.page('k7q2mzr4.example.com')
