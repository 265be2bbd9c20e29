"""An agent with `transport: auto` before a relay behind a door: QUIC where UDP gets through, HTTP/2 over TCP where it does not.

Door and relay have one port number, the door TCP, the relay UDP. Hellos are encrypted (ECH) on both.
"""
import base64
import hashlib
import json
import os
import re
import subprocess
import time

import pytest

import gateway as gateway_module
from doorway import Backend, named
from fixtures import OPEN
from process import until
from world import HERE, PYTHON, RELAY_NAME, WEB_V4, WEB_V6, program

SIZE = 60 << 20
PORT = 4433
TUNNEL = 'inner.test'
DOOR = '''
door:
  listen: [":%d"]
  camouflage: {relay: "%s"}
  ech: {keys_file: ../ech.yaml}
  tunnel_name: %s
'''


SITE = '''
door:
  listen: [":%d"]
  camouflage: {site: ../site}
  certificate: ../certs/cover.crt
  key: ../certs/cover.key
  ech: {keys_file: ../ech.yaml}
  tunnel_name: %s
'''


def gatehouse(*words):
    return subprocess.run([program('gatehouse'), *words], check=True, stdout=subprocess.PIPE, text=True).stdout


def config_list(path):
    return json.loads(gatehouse('ech', 'show', '--keys-file', path, '--json'))['config_list']


def pin_of(certificate):
    key = subprocess.run(['openssl', 'x509', '-in', certificate, '-noout', '-pubkey'], check=True, stdout=subprocess.PIPE).stdout
    der = subprocess.run(['openssl', 'pkey', '-pubin', '-outform', 'DER'], check=True, input=key, stdout=subprocess.PIPE).stdout
    return hashlib.sha256(der).hexdigest()


class Fallback:
    def __init__(self, site, box):
        self.site, self.world, self.box = site, site.world, box
        self.host = site.world['agent-2']
        self.keys = site.world.path('ech.yaml')

    def block(self):
        """UDP to and from the relay vanishes on the way, and nobody says so."""
        self.world['wan'].run('nft', '-f', '-', text='''table inet hole {
                chain forward {
                    type filter hook forward priority 0
                    udp dport %d drop
                    udp sport %d drop
                }
            }''' % (PORT, PORT))

    def unblock(self):
        self.world['wan'].run('nft', 'flush', 'ruleset')

    def start(self, wait=True, **options):
        given = {'agent.transport': 'auto', 'agent.ech': config_list(self.keys), 'agent.tunnel_name': TUNNEL, 'agent.quic_retry': '1s'}
        given.update({key.replace('__', '.'): value for key, value in options.items()})
        return self.site.start_agent(2, wait=wait, **given)

    def status(self):
        done = self.host.run(program('gatehouse-agent'), 'status', '--json', '-c', self.world.path('examples', 'agent-2.yaml'), check=False)
        return json.loads(done.stdout) if done.stdout.startswith('{') else {}

    def transport(self):
        return self.status().get('transport')

    def carried(self):
        found = [session for session in self.site.sessions() if session['client_id'] == 'client-2']
        return found[0]['tx_bytes'] if found else 0

    def flows(self, within):
        start = self.carried()
        until(lambda: self.carried() > start + (1 << 20), within, 'a megabyte more')

    def get(self, server):
        return self.host.start('fallback-get', PYTHON, os.path.join(HERE, 'traffic.py'), 'get', 'http://%s/file' % ('[%s]' % server if ':' in server else server))

    def check(self, get, mark, server):
        """A server of its own for each test: what is left of a connection of the test before may still be sent again."""
        answer = get.wait_line('"sha256"', 90).data
        assert answer['bytes'] == SIZE and answer['sha256'] == self.site.file_hash
        opened = [data for data in self.site.relay.audit(since=mark, client_id='client-2', dest_ip=server, protocol='tcp')
                  if data['message'] == 'flow opened']
        assert len(opened) == 1, 'one inner TCP connection'


@pytest.fixture(scope='module')
def place(world):
    site = gateway_module.Gateway(world)
    site.policy(OPEN)
    site.file_hash = world.serve(SIZE)
    gatehouse('ech', 'generate', '--public-name', 'cover.test', '--keys-file', world.path('ech.yaml'))
    stranger = Backend(world['relay'], named('cover', world.folder))
    config = world.read('examples/relay.yaml') + DOOR % (PORT, stranger.at, TUNNEL)
    world.write('examples/behind.yaml', config)
    world.write('site/index.html', '<html><body>hello</body></html>')
    site.certs.issue('relay', 'cover', '--dns', 'cover.test')
    world.write('examples/site.yaml', world.read('examples/relay.yaml') + SITE % (PORT, TUNNEL))
    yield Fallback(site, world.box(2))
    stranger.close()


@pytest.fixture
def fallback(place):
    place.unblock()
    place.box.clear()
    place.site.start_relay('behind.yaml')
    yield place
    place.site.stop()


def test_a_tunnel_comes_up_over_tcp_at_once_when_udp_does_not_get_through(fallback):
    fallback.block()
    began = time.monotonic()
    agent = fallback.start(agent__transport='h2')
    without = time.monotonic() - began
    assert fallback.transport() == 'h2' and fallback.status()['ech']
    mark = fallback.site.relay.mark()
    agent.stop()
    fallback.site.relay.wait_line('"reason":"closed"', 5, since=mark)  # in order, not cut off

    began = time.monotonic()
    fallback.start()
    assert time.monotonic() - began < without + 1
    assert fallback.transport() == 'h2'
    assert fallback.host.ping('9.9.9.9', 3)[0] == 3
    mark = fallback.site.relay.mark()
    fallback.check(fallback.get(WEB_V6), mark, WEB_V6)
    assert fallback.transport() == 'h2'


def test_a_tunnel_moves_to_quic_and_back_under_one_download(fallback):
    fallback.block()
    fallback.start()
    fallback.box.rate(60_000_000, 400_000)
    assert fallback.transport() == 'h2'
    session = [one['id'] for one in fallback.site.sessions()]
    mark = fallback.site.relay.mark()
    get = fallback.get(WEB_V4)
    fallback.flows(10)
    fallback.unblock()
    until(lambda: fallback.transport() == 'quic', 15, 'the tunnel over QUIC')
    fallback.flows(10)
    fallback.block()
    until(lambda: fallback.transport() == 'h2', 15, 'the tunnel over TCP')
    fallback.flows(10)
    fallback.check(get, mark, WEB_V4)
    assert [one['id'] for one in fallback.site.sessions()] == session
    assert not fallback.site.relay.audit(since=mark, event_type='connection.close', client_id='client-2')


def test_quic_is_taken_when_udp_gets_through(fallback):
    fallback.start()
    assert fallback.transport() == 'quic' and fallback.status()['ech']


def test_keys_that_are_not_the_relays_are_said_to_be_that(fallback):
    other = fallback.world.path('other.yaml')
    gatehouse('ech', 'generate', '--public-name', 'cover.test', '--keys-file', other, '--force')
    for transport in ('h2', 'quic'):
        agent = fallback.start(wait=False, agent__ech=config_list(other), agent__transport=transport)
        agent.wait_line('did not open our ECH', 10)
        until(lambda: 'did not open our ECH' in fallback.status().get('reason', ''), 10, 'the reason in the status')
        agent.stop()


def test_an_old_key_is_replaced_by_the_one_that_the_relay_tells(fallback):
    """The relay's certificate is good for the public name here, so its word counts; by TCP a stranger's site answers, which knows no key."""
    old = config_list(fallback.keys)
    gatehouse('ech', 'generate', '--public-name', RELAY_NAME, '--keys-file', fallback.keys, '--force')
    until(lambda: fallback.site.metrics()['gatehouse_config_generation'] > 1, 10, 'the new key was read')
    told = config_list(fallback.keys)
    assert told != old
    gatehouse('ech', 'generate', '--public-name', RELAY_NAME, '--keys-file', fallback.world.path('other.yaml'), '--force')
    agent = fallback.start(agent__ech=config_list(fallback.world.path('other.yaml')), agent__transport='auto')
    agent.wait_line('another key is tried at once', 5)
    assert fallback.transport() == 'quic' and fallback.status()['ech'] and fallback.status()['attempts'] == 1
    fallback.block()  # what was told counts over TCP, too
    until(lambda: fallback.host.ping('9.9.9.9', 1, wait=0.3)[0] == 1 and fallback.transport() == 'h2', 15, 'the tunnel over TCP')
    assert fallback.status()['ech']


def test_a_door_that_is_the_site_itself_tells_its_key_over_tcp(fallback):
    fallback.site.stop()
    gatehouse('ech', 'generate', '--public-name', 'cover.test', '--keys-file', fallback.keys, '--force')
    fallback.site.start_relay('site.yaml')
    other = fallback.world.path('other.yaml')
    gatehouse('ech', 'generate', '--public-name', 'cover.test', '--keys-file', other, '--force')
    agent = fallback.start(agent__ech=config_list(other), agent__transport='h2')
    agent.wait_line('another key is tried at once', 5)
    assert fallback.transport() == 'h2' and fallback.status()['ech'] and fallback.status()['attempts'] == 1


def keys_in(path):
    """The keys of the file as text, the newest first."""
    with open(path, encoding='utf-8') as file:
        return re.findall(r'(?ms)^- .*?(?=^- |\Z)', file.read())


def write_keys(fallback, keys):
    """The file becomes these, and the relay has read it."""
    generation = fallback.site.metrics()['gatehouse_config_generation']
    with open(fallback.keys + '.new', 'w', encoding='utf-8', opener=lambda name, flags: os.open(name, flags, 0o600)) as file:
        file.write(''.join(keys))
    os.rename(fallback.keys + '.new', fallback.keys)
    until(lambda: fallback.site.metrics()['gatehouse_config_generation'] > generation, 10, 'the keys were read')


@pytest.mark.parametrize('transport', ['h2', 'quic'])
def test_a_tunnel_tells_of_new_keys_and_they_outlive_the_agent(fallback, transport):
    """A stranger's site answers what does not open, and knows no key: but for the tunnel the agent would stay outside when the old key is gone."""
    gatehouse('ech', 'generate', '--public-name', 'cover.test', '--keys-file', fallback.keys, '--force')
    until(lambda: fallback.site.metrics()['gatehouse_config_generation'] > 1, 10, 'the key was read')
    configured = config_list(fallback.keys)
    agent = fallback.start(agent__transport=transport, agent__ech=configured)
    generation = fallback.site.metrics()['gatehouse_config_generation']
    gatehouse('ech', 'rotate', '--keys-file', fallback.keys)
    until(lambda: fallback.site.metrics()['gatehouse_config_generation'] > generation, 10, 'the new key was read')
    agent.wait_line('the relay announces another key of ECH', 10)
    kept = os.path.join(fallback.site.state_dir('agent-2'), 'agent.ech')
    until(lambda: os.path.exists(kept) and config_list(fallback.keys) in open(kept, encoding='ascii').read(), 10, 'it is kept')
    agent.stop()
    both = keys_in(fallback.keys)
    assert len(both) == 2
    write_keys(fallback, both[:1])
    agent = fallback.start(agent__transport=transport, agent__ech=configured)
    assert fallback.status()['ech'] and fallback.status()['attempts'] == 1
    assert not agent.find('did not open our ECH')
    agent.stop()
    if transport == 'h2':  # the older one counts again: it is tried when the newest is refused
        write_keys(fallback, both[1:])
        agent = fallback.start(agent__transport=transport, agent__ech=configured)
        agent.wait_line('another key is tried at once', 5)
        assert fallback.status()['ech'] and fallback.status()['attempts'] == 1


def test_a_pin_is_enough_without_a_ca_and_another_one_is_refused(fallback):
    right = pin_of(fallback.world.path('certs', 'relay.crt'))
    for transport in ('h2', 'quic'):
        agent = fallback.start(agent__transport=transport, agent__ca='', agent__pin='sha256:' + right)
        assert fallback.status()['relay_id'] == 'pinned'
        agent.stop()
    wrong = base64.b64encode(hashlib.sha256(b'another key').digest()).decode()
    for transport in ('h2', 'quic'):
        agent = fallback.start(wait=False, agent__transport=transport, agent__ca='', agent__pin=wrong)
        agent.wait_line('none of those that are pinned', 10)
        until(lambda: 'pinned' in fallback.status().get('reason', ''), 10, 'the reason in the status')
        agent.stop()
