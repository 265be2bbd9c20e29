"""All three ways at once on one port, with live traffic, while keys, routes, certificates and the policy change again and again: nobody notices.

    agent-1    a tunnel over QUIC, with one inner TCP transfer that lasts as long as the changes
    agent-2    agents that come, are heard, and go, over QUIC and over TCP, with the newest keys and with the oldest
    wan        clients of routed names, and strangers who load a page over HTTP/1.1, HTTP/2 and HTTP/3, all without a pause
"""
import hashlib
import json
import os
import socket
import ssl
import subprocess
import threading

import pytest

import gateway as gateway_module
import udpprobe
from doorway import Backend, inside, named, receive_all
from process import until
from quicbytes import Session, get
from world import RELAY_NAME, RELAY_V4, RELAY_V6, WEB_V4, program

PORT = 4434
SIZE = 32 << 20
ROUNDS = 5  # of changes of each kind
DOOR = '''
door:
  listen: [":{port}"]
  local_routes: {{a.test: "{a}", "*.b.test": "{b}"{more}}}
  camouflage: {{site: ../site, udp: true}}
  certificate: ../certs/{cover}.crt
  key: ../certs/{cover}.key
  ech: {{keys_file: ../ech.yaml}}
  tunnel_name: inner.test
'''
POLICY = '''version: "1.0"
default_action: deny
groups:
  all: { rules: [ { id: everything, type: default, action: allow } ] }
clients:
  client-1: { groups: [all] }
  client-2: { groups: [all] }
'''
PAGE = '<title>a page</title>\n' * 100


def gatehouse(*words):
    return subprocess.run([program('gatehouse'), *words], check=True, stdout=subprocess.PIPE, text=True).stdout


class Place:
    def __init__(self, world):
        self.world, self.site = world, gateway_module.Gateway(world)
        self.relay_host, self.clients = world['relay'], world['wan']
        self.site.policy(POLICY)
        self.file_hash = world.serve(SIZE)
        self.keys = world.path('ech.yaml')
        gatehouse('ech', 'generate', '--public-name', 'cover.test', '--keys-file', self.keys)
        self.first_list = self.config_list()
        self.backends = {name: Backend(self.relay_host, named(name, world.folder)) for name in ('a', 'b', 'c')}
        world.write('site/index.html', PAGE)
        for name in ('cover', 'other'):
            self.site.certs.issue('relay', name, '--dns', name + '.test')
        self.base = world.read('examples/relay.yaml')
        self.configure(False)
        self.site.start_relay('live.yaml')

    def config_list(self):
        return json.loads(gatehouse('ech', 'show', '--keys-file', self.keys, '--json'))['config_list']

    # -- changes

    def configure(self, odd):
        at = {name: backend.at for name, backend in self.backends.items()}
        self.world.write('examples/live.yaml', self.base + DOOR.format(port=PORT, a=at['a'], b=at['b'], cover='other' if odd else 'cover',
                                                                     more=', c.test: "%s", "a.test/h9": "%s"' % (at['c'], at['c']) if odd else ''))

    def change(self, what):
        before = self.site.metrics()['gatehouse_config_generation']
        what()
        until(lambda: self.site.metrics()['gatehouse_config_generation'] > before, 15, 'what changed was read\n' + self.site.relay.tail())

    def new_key(self):
        gatehouse('ech', 'rotate', '--keys-file', self.keys)

    def new_certificate(self):
        """Of the relay; it stays at its place."""
        for name in ('relay.crt', 'relay.key'):
            os.unlink(self.site.certs.file(name))
        self.site.certs.issue('relay', 'relay', '--dns', RELAY_NAME, '--ip', RELAY_V4, '--ip', RELAY_V6)

    def new_policy(self, number):
        self.site.policy(POLICY + '  nobody-%d: { groups: [all] }\n' % number)

    # -- traffic

    def start_agent(self, number, **options):
        given = {'agent.relay': 'https://%s:%d' % (RELAY_NAME, PORT), 'agent.ech': self.config_list(), 'agent.tunnel_name': 'inner.test'}
        given.update({key.replace('__', '.'): value for key, value in options.items()})
        return self.site.start_agent(number, **given)

    def connect(self, name, *protocols):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        if protocols:
            context.set_alpn_protocols(protocols)
        return context.wrap_socket(socket.create_connection((RELAY_V4, PORT), 10), server_hostname=name)

    def routed(self, name, who):
        data = os.urandom(100000)
        with self.connect(name) as tls:
            assert receive_all(tls, len(who) + 1) == who + b'\n'
            for at in range(0, len(data), 10000):
                tls.sendall(data[at:at + 10000])
                assert receive_all(tls, 10000) == data[at:at + 10000], 'another echo'

    def page_by_h1(self):
        with self.connect('cover.test', 'http/1.1') as tls:
            for _ in range(3):
                tls.sendall(b'GET / HTTP/1.1\r\nHost: cover.test\r\n\r\n')
                said = b''
                while not said.endswith(PAGE.encode()):
                    piece = tls.recv(65536)
                    assert piece, said
                    said += piece
                assert said.startswith(b'HTTP/1.1 200 ')

    def page_by_h2(self):
        done = self.clients.run('curl', '-sk', '--http2', '-m', 10, '-w', '%{http_version}', '--resolve', 'cover.test:%d:%s' % (PORT, RELAY_V4),
                                'https://cover.test:%d/' % PORT, 'https://cover.test:%d/' % PORT)
        assert done.stdout == (PAGE + '2') * 2, done

    def page_by_h3(self):
        [session] = udpprobe.play([((RELAY_V4, PORT), Session(get(), patience=8))], source=lambda: '0.0.0.0')
        [frames] = [item[3] for item in session.outcome() if item[0] == 'answer'] or [()]
        assert [frame[1] for frame in frames if frame[0] == 'body'] == [len(PAGE)], session.outcome()

    def agent_that_comes_and_goes(self, number):
        transport = ('quic', 'h2')[number % 2]
        agent = self.start_agent(2, agent__transport=transport, agent__ech=self.first_list if number % 3 == 2 else self.config_list())
        assert self.world['agent-2'].ping('9.9.9.9', 2, wait=5)[0] == 2
        assert agent.find(lambda line: line.data.get('message') == 'connected')
        assert agent.stop() == 0

    def close(self):
        self.site.stop()
        for backend in self.backends.values():
            backend.close()


class Traffic:
    """Something that is done again and again in a host's network, until it is told to stop or fails."""

    def __init__(self, host, name, once):
        self.name, self.once = name, once
        self.count, self.failure = 0, None
        self.enough = threading.Event()
        self.thread = threading.Thread(target=inside, args=(host, self._run), daemon=True)
        self.thread.start()

    def _run(self):
        while not self.enough.is_set() and not self.failure:
            try:
                self.once()
                self.count += 1
            except (OSError, AssertionError) as error:
                self.failure = '%s, the %dth: %s: %s' % (self.name, self.count + 1, type(error).__name__, str(error)[:2000])

    def stop(self):
        self.enough.set()
        self.thread.join(60)


class Transfer:
    """One TCP connection; it reads a share of the file for each change that was made."""

    def __init__(self, host, shares):
        self.digest, self.got, self.shares, self.failure = hashlib.sha256(), 0, shares, None
        self.may = threading.Semaphore(1)
        self.thread = threading.Thread(target=inside, args=(host, self._run), daemon=True)
        self.thread.start()

    def _run(self):
        try:
            with socket.create_connection((WEB_V4, 80), 20) as sock:
                sock.sendall(b'GET /file HTTP/1.1\r\nHost: web\r\n\r\n')
                head = b''
                while not head.endswith(b'\r\n\r\n'):
                    head += sock.recv(1)
                for share in range(1, self.shares + 1):
                    self.may.acquire()
                    while self.got < SIZE * share // self.shares:
                        piece = sock.recv(min(65536, SIZE - self.got))
                        assert piece, 'it ended at %d' % self.got
                        self.digest.update(piece)
                        self.got += len(piece)
        except (OSError, AssertionError) as error:
            self.failure = repr(error)


@pytest.fixture(scope='module')
def place(world):
    made = Place(world)
    yield made
    made.close()


def test_all_three_ways_go_on_while_everything_changes(place):
    place.start_agent(1, agent__transport='quic')
    session = [one['id'] for one in place.site.sessions()]
    assert len(session) == 1
    transfer = Transfer(place.world['agent-1'], 5 * ROUNDS + 1)
    numbers = iter(range(1 << 30))
    traffic = [Traffic(place.clients, 'a routed name', lambda: place.routed('a.test', b'a')), Traffic(place.clients, 'a routed name', lambda: place.routed('a.test', b'a')),
               Traffic(place.clients, 'a wildcard', lambda: place.routed('x.b.test', b'b')), Traffic(place.clients, 'HTTP/1.1', place.page_by_h1),
               Traffic(place.clients, 'HTTP/2', place.page_by_h2), Traffic(place.clients, 'HTTP/3', place.page_by_h3),
               Traffic(place.clients, 'agents', lambda: place.agent_that_comes_and_goes(next(numbers)))]
    try:
        for number in range(ROUNDS):
            for what in (place.new_key, lambda: place.configure(True), place.new_certificate, lambda: place.new_policy(number), lambda: place.configure(False)):
                place.change(what)
                transfer.may.release()
            agents = traffic[-1]
            until(lambda: agents.failure or agents.count > number, 30, 'another agent came and went')
    finally:
        for each in traffic:
            each.stop()
    transfer.thread.join(60)
    assert [each.failure for each in traffic if each.failure] == []
    assert transfer.failure is None and transfer.digest.hexdigest() == place.file_hash
    print({each.name: each.count for each in traffic})
    assert all(each.count >= 2 * ROUNDS for each in traffic[:-1]), [(each.name, each.count) for each in traffic]
    assert session[0] in [one['id'] for one in place.site.sessions()], 'the same session'
    opened = [data for data in place.site.relay.audit(client_id='client-1', dest_ip=WEB_V4, protocol='tcp') if data['message'] == 'flow opened']
    assert len(opened) == 1, 'one inner connection'
    metrics = place.site.metrics()
    assert metrics['gatehouse_door_connections_total{way="nowhere"}'] == metrics['gatehouse_door_udp_flights_total{way="nowhere"}'] == 0
