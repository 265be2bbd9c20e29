"""An agent whose way to the relay lets nothing pass but a WebSocket: an nginx ends its TLS, as proxies and CDNs do, and hands on what it knows."""
import json
import os
import subprocess

import pytest

import gateway as gateway_module
from fixtures import OPEN
from gateway import AGENT_TUN, environment
from process import until
from test_fallback import pin_of
from world import RELAY_V4, WEB_V4, program

PORT, FRONT = 443, 8443
TUNNEL = 'inner.test'
SIZE = 8 << 20
DOOR = '''
door:
  listen: [":%d"]
  local_routes: {%s: tunnel}
  camouflage: {relay: "%s:%d"}
  auth: {users_file: ../users}
'''

NGINX = '''
daemon off;
pid {folder}/front.pid;
error_log stderr;
worker_processes 1;
events {{ worker_connections 100; }}
http {{
    access_log off;
    client_body_temp_path {folder}/t1;
    proxy_temp_path {folder}/t2;
    fastcgi_temp_path {folder}/t3;
    uwsgi_temp_path {folder}/t4;
    scgi_temp_path {folder}/t5;
    map $http_upgrade $passed {{ websocket websocket; default "{other}"; }}
    map $http_upgrade $link {{ "" close; default upgrade; }}
    server {{
        listen {address}:{port} ssl{options};
        ssl_protocols TLSv1.2 TLSv1.3;
        ssl_certificate {folder}/front.crt;
        ssl_certificate_key {folder}/front.key;
        location / {{
            proxy_pass https://127.0.0.1:{door};
            proxy_ssl_name {tunnel};
            proxy_ssl_server_name on;
            proxy_ssl_protocols TLSv1.3;
            proxy_http_version 1.1;
            proxy_set_header Upgrade $passed;
            proxy_set_header Connection $link;
        }}
    }}
}}
'''


class Front:
    """nginx before the door; everything else of the site is as ever."""

    def __init__(self, site):
        self.site, self.world = site, site.world
        self.host, self.laptop = self.world['relay'], self.world['agent-1']
        self.folder = self.world.path('front')
        os.makedirs(self.folder)
        subprocess.run(['openssl', 'req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-keyout', self.folder + '/front.key', '-out',
                        self.folder + '/front.crt', '-days', '30', '-subj', '/CN=front.test'], check=True, stderr=subprocess.DEVNULL)
        added = subprocess.run([program('gatehouse'), 'user', 'add', 'client-2', '--users-file', self.world.path('users'), '--json'], check=True,
                               stdout=subprocess.PIPE)
        self.token = json.loads(added.stdout)['token']
        self.starts = 0
        self.daemon = None

    def configure(self, options=' http2', other=''):
        return self.world.write('front/nginx.conf', NGINX.format(folder=self.folder, address=RELAY_V4, port=FRONT, door=PORT, tunnel=TUNNEL, options=options, other=other))

    def start(self):
        self.starts += 1
        self.daemon = self.host.start('front-%d' % self.starts, 'nginx', '-c', self.configure(), '-e', 'stderr')
        until(lambda: self.host.run('curl', '-sk', '-m', 5, 'https://%s:%d/' % (RELAY_V4, FRONT), check=False).returncode == 0, 10, 'nginx answers')

    def link(self, port=FRONT, certificate=None):
        return 'k2v5://client-2:%s@%s:%d?pin=sha256:%s&ip=%s' % (self.token, TUNNEL, port, pin_of(certificate or self.folder + '/front.crt'), RELAY_V4)

    def agent(self, link=None, up=True, **options):
        given = {'node.state_dir': self.world.path('state', 'laptop'), 'node.user': 'root', 'node.workers': 2}
        given.update({key.replace('__', '.'): value for key, value in options.items()})
        self.starts += 1
        agent = self.laptop.start('laptop-%d' % self.starts, program('gatehouse-agent'), 'up', link or self.link(), env=environment(given))
        if not up:
            return agent
        until(lambda: self.status().get('up') and AGENT_TUN in self.laptop.run('ip', 'route', 'get', WEB_V4, check=False).stdout, 15, 'the tunnel\n' + agent.tail())
        return agent

    def status(self):
        done = self.laptop.run(program('gatehouse-agent'), 'status', '--json', check=False)
        return json.loads(done.stdout) if done.stdout.startswith('{') else {}

    def transport(self):
        return self.status().get('transport')

    def reaches(self):
        return self.laptop.ping('9.9.9.9', 3)[0] == 3


@pytest.fixture(scope='module')
def front(world):
    site = gateway_module.Gateway(world)
    site.policy(OPEN)
    made = Front(site)
    made.file_hash = world.serve(SIZE)
    world.write('examples/behind.yaml', world.read('examples/relay.yaml') + DOOR % (PORT, TUNNEL, RELAY_V4, FRONT))
    site.start_relay('behind.yaml')
    made.start()
    yield made
    made.daemon.stop()
    site.stop()


def test_a_tunnel_through_a_proxy_that_knows_websockets_alone(front):
    agent = front.agent()
    assert front.transport() == 'websocket' and front.reaches()
    mark = agent.mark()
    answer = front.laptop.peer('get', 'http://%s/file' % WEB_V4)
    assert answer['bytes'] == SIZE and answer['sha256'] == front.file_hash
    addresses = front.status()['addresses']

    # what worked is what is tried when the proxy is back
    front.daemon.stop()
    agent.wait_line('tunnel lost|disconnected', 10, since=mark)
    front.start()
    until(lambda: front.transport() == 'websocket' and front.reaches(), 15, 'the tunnel is back\n' + agent.tail())
    assert not agent.find('"connecting".*"transport":"tcp"', since=mark)
    assert front.status()['addresses'] == addresses
    agent.stop()


def test_the_tunnel_leaves_the_websocket_when_a_better_way_opens(front):
    agent = front.agent(agent__quic_retry='1s')
    assert front.transport() == 'websocket'
    session = [one['id'] for one in front.site.sessions()]
    front.configure(options='', other='$http_upgrade')  # from now on it passes any upgrade on; connections that are there stay
    front.daemon.send(1)
    until(lambda: front.transport() == 'http/1.1', 15, 'the tunnel without a WebSocket\n' + agent.tail())
    assert front.reaches() and [one['id'] for one in front.site.sessions()] == session
    agent.stop()
    front.configure()
    front.daemon.send(1)


def test_a_websocket_is_what_is_asked_for_when_the_configuration_says_so(front):
    """Over HTTP/2 where the server has tunnels on it: the door itself."""
    for link, expected in ((front.link(), 'websocket'), (front.link(PORT, front.world.path('certs', 'relay.crt')), 'websocket-h2')):
        mark = front.site.relay.mark()
        agent = front.agent(link, agent__transport='websocket')
        assert front.transport() == expected and front.reaches()
        assert not agent.find('"connecting".*"transport":"(tcp|quic)"')
        agent.stop()
        front.site.relay.wait_line('"reason":"closed"', 5, since=mark)  # in order, not cut off


def test_a_name_that_anybody_may_see_leads_to_the_tunnel(front):
    """local_routes: {NAME: tunnel}, over UDP and TCP; another name leads to the site, whose key is another."""
    link = front.link(PORT, front.world.path('certs', 'relay.crt'))
    for transport, expected in (('auto', 'quic'), ('tcp', 'h2')):
        agent = front.agent(link, agent__transport=transport)
        assert front.transport() == expected and not front.status()['ech'] and front.reaches()
        agent.stop()
    agent = front.agent(link.replace('@' + TUNNEL, '@other.test'), up=False, agent__transport='tcp')
    agent.wait_line('none of those that are pinned', 10)
    agent.stop()
