"""Hellos of browsers, by uTLS: with GREASE ECH they are a stranger's or a routed name's, with real ECH they reach the tunnel."""
import base64
import hashlib
import json
import os
import socket
import ssl
import struct
import subprocess
import threading

import pytest

import peers
from certs import Authority
from doorway import Doorway, OneHost
from world import ROOT, program

CONFIG = '''relay:
  listen: ["127.0.0.1:4433"]
  certificate: certs/relay.crt
  key: certs/relay.key
  client_ca: certs/ca.crt
  trust_domain: t.example
  pools: [10.211.0.0/24]
  tun: ghdoor1
  nat: none
  policy: policy.yaml
door:
  listen: ["127.0.0.1:8443"]
  local_routes: {{a.test: "{a}"}}
  camouflage: {{{camouflage}}}
  ech: {{keys_file: ech.yaml}}
  tunnel_name: inner.test
'''
BROWSERS = ('chrome', 'chrome-120', 'firefox')
ECH = 0xfe0d


class Recorder:
    """A site of HTTP/1.1 over TLS that keeps every byte of its connections."""

    def __init__(self, name, folder):
        self.name, self.streams, self.changed = name, [], threading.Condition()
        path = os.path.join(folder, name)
        subprocess.run(['openssl', 'req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-keyout', path + '.key',
                        '-out', path + '.crt', '-days', '30', '-subj', '/CN=' + name], check=True, stderr=subprocess.DEVNULL)
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(path + '.crt', path + '.key')
        self.context.set_alpn_protocols(['http/1.1'])

    def __call__(self, _, connection):
        came, went = bytearray(), bytearray()
        connection.settimeout(20)
        try:
            self.answer(connection, came, went)
        finally:
            connection.close()
            with self.changed:
                self.streams.append((bytes(came), bytes(went)))
                self.changed.notify_all()

    def answer(self, connection, came, went):
        into, out = ssl.MemoryBIO(), ssl.MemoryBIO()
        tls = self.context.wrap_bio(into, out, server_side=True)

        def receive():
            data = connection.recv(65536)
            came.extend(data)
            return data

        def send():
            data = out.read()
            went.extend(data)
            connection.sendall(data)

        def step(function):
            while True:
                try:
                    value = function()
                except ssl.SSLWantReadError:
                    send()
                    data = receive()
                    if not data:
                        return None
                    into.write(data)
                    continue
                send()
                return value

        asked = b''
        step(tls.do_handshake)
        while b'\r\n\r\n' not in asked:
            piece = step(lambda: tls.read(65536))
            if not piece:
                return
            asked += piece
        step(lambda: tls.write(b'HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s' % (len(self.name), self.name.encode())))
        connection.shutdown(socket.SHUT_WR)
        while receive():
            pass

    def stream(self, count):
        with self.changed:
            assert self.changed.wait_for(lambda: len(self.streams) >= count, 20), 'no connection came to its end'
            return self.streams[count - 1]


@pytest.fixture(scope='module')
def client():
    folder, why = peers.build('utls')
    if why:
        pytest.skip(why)
    return os.path.join(folder, 'client')


@pytest.fixture(scope='module')
def door(tmp_path_factory):
    with OneHost(tmp_path_factory.mktemp('utls')) as world:
        certs = Authority(world.path('certs'), 't.example').init()
        certs.issue('relay', 'relay', '--dns', 'relay.test')
        certs.issue('agent', 'client-1')
        with open(os.path.join(ROOT, 'examples', 'policy.yaml'), encoding='utf-8') as file:
            world.write('policy.yaml', file.read())
        os.makedirs(world.path('root'))
        world.write('root/index.html', 'the site of strangers\n')
        subprocess.run([program('gatehouse'), 'ech', 'generate', '--public-name', 'cover.test', '--keys-file', world.path('ech.yaml')], check=True,
                       stdout=subprocess.DEVNULL)
        made = Doorway(world)
        made.a, made.site = Recorder('a', world.folder), Recorder('site', world.folder)
        made.at = {'a': made.backend(made.a).at, 'site': made.backend(made.site).at}
        made.own = CONFIG.format(a=made.at['a'], camouflage='site: root')
        made.relayed = CONFIG.format(a=made.at['a'], camouflage='relay: "%s"' % made.at['site'])
        made.start(made.own)
        yield made
        made.stop()


@pytest.fixture(params=['site', 'relay'])
def mode(request, door):
    """Each camouflage in turn, by a reload."""
    text = {'site': door.own, 'relay': door.relayed}[request.param]
    if getattr(door, 'now', door.own) != text:
        door.reload(text)
    door.now = text
    return request.param


def ask(door, client, **options):
    words = [word for key, value in options.items() for word in ('-' + key, str(value))]
    return json.loads(door.host.run(client, '-connect', '127.0.0.1:%d' % door.PORT, *words).stdout)


def config_list(door, file='ech.yaml'):
    told = subprocess.run([program('gatehouse'), 'ech', 'show', '--keys-file', door.world.path(file), '--json'], check=True, stdout=subprocess.PIPE)
    return json.loads(told.stdout)['config_list']


def extensions(flight):
    """Their numbers, of a first flight in one or several records."""
    body = b''
    while flight and flight[0] == 22:
        length = struct.unpack('!H', flight[3:5])[0]
        body, flight = body + flight[5:5 + length], flight[5 + length:]
    at = 4 + 2 + 32
    at += 1 + body[at]
    at += 2 + struct.unpack('!H', body[at:at + 2])[0]
    at += 1 + body[at]
    end = at + 2 + struct.unpack('!H', body[at:at + 2])[0]
    at, found = at + 2, []
    while at < end:
        number, length = struct.unpack('!HH', body[at:at + 4])
        found.append(number)
        at += 4 + length
    return found


def untouched(told, recorder, count):
    came, went = recorder.stream(count)
    assert came.startswith(base64.b64decode(told['hello'])) and len(came) == told['length']
    assert hashlib.sha256(came).hexdigest() == told['sent'] and hashlib.sha256(went).hexdigest() == told['received']


@pytest.mark.parametrize('browser', BROWSERS)
def test_grease_is_no_signal_for_a_stranger(door, client, browser, mode):
    for name in ('other.test', 'cover.test', 'inner.test'):
        before = len(door.site.streams)
        told = ask(door, client, browser=browser, name=name, certificate=door.world.path('certs', 'client-1'))
        assert ECH in extensions(base64.b64decode(told['hello'])), told
        assert told.get('status') == 200 and 'asked' not in told and not told['accepted'], told
        if mode == 'relay':
            assert told['protocol'] == 'HTTP/1.1' and told['subject'] == 'site', told
            untouched(told, door.site, before + 1)
        else:
            assert told['protocol'] == 'HTTP/2.0' and told['body'] == 'the site of strangers\n', told


@pytest.mark.parametrize('browser', BROWSERS)
def test_a_routed_name_is_carried_byte_for_byte(door, client, browser, mode):
    before = len(door.a.streams)
    told = ask(door, client, browser=browser, name='a.test')
    assert ECH in extensions(base64.b64decode(told['hello'])) and told['subject'] == 'a' and told['body'] == 'a', told
    untouched(told, door.a, before + 1)


@pytest.mark.parametrize('browser', BROWSERS)
def test_real_ech_for_the_tunnels_name_opens(door, client, browser, mode):
    told = ask(door, client, browser=browser, name='inner.test', ech=config_list(door), certificate=door.world.path('certs', 'client-1'))
    assert told.get('accepted') and told.get('asked') and told['protocol'] == 'HTTP/2.0', told
    told = ask(door, client, browser=browser, name='inner.test', ech=config_list(door))
    assert told.get('accepted') and told['status'] == 200, told


@pytest.mark.parametrize('browser', BROWSERS)
def test_real_ech_for_another_name_is_a_strangers(door, client, browser, mode):
    for name in ('a.test', 'other.test'):
        before = len(door.site.streams)
        told = ask(door, client, browser=browser, name=name, ech=config_list(door), certificate=door.world.path('certs', 'client-1'))
        assert 'asked' not in told, told
        if mode == 'relay':  # the site knows nothing of our keys
            assert told.get('rejected'), told
            untouched(told, door.site, before + 1)
        else:  # as at any site that has these keys
            assert told.get('accepted') and told['body'] == 'the site of strangers\n', told


@pytest.mark.parametrize('browser', BROWSERS)
def test_who_has_an_old_config_is_told_the_new_one(door, client, browser):
    if getattr(door, 'now', door.own) != door.own:
        door.reload(door.own)
        door.now = door.own
    other = door.world.path('other.yaml')
    if not os.path.exists(other):
        subprocess.run([program('gatehouse'), 'ech', 'generate', '--public-name', 'cover.test', '--keys-file', other], check=True, stdout=subprocess.DEVNULL)
    told = ask(door, client, browser=browser, name='inner.test', ech=config_list(door, 'other.yaml'))
    assert told.get('rejected') and told.get('retry'), told
    told = ask(door, client, browser=browser, name='inner.test', ech=told['retry'], certificate=door.world.path('certs', 'client-1'))
    assert told.get('accepted') and told.get('asked'), told
