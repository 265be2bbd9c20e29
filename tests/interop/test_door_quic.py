"""quic-go as a client of the door, and as a server behind it: Encrypted ClientHello over QUIC, names that are carried, and silence."""
import base64
import json
import os
import select
import socket
import subprocess
import threading

import pytest

import peers
from certs import Authority
from doorway import LOCAL, Doorway, OneHost, inside, named
from process import until
from world import ROOT, program

DOMAIN = 't.example'
CONFIG = '''relay:
  listen: ["127.0.0.1:4433"]
  certificate: certs/relay.crt
  key: certs/relay.key
  client_ca: certs/ca.crt
  trust_domain: t.example
  pools: [10.211.0.0/24]
  tun: ghdoor0
  nat: none
  policy: policy.yaml
door:
  listen: ["127.0.0.1:8443"]
  local_routes:
    a.test: {{to: "{a}", udp: true}}
    retry.test: {{to: "{retry}", udp: true}}
    tcp.test: "{a}"
  camouflage: {{relay: "{site}", udp: SITE_UDP}}
  ech: {{keys_file: ech.yaml}}
  tunnel_name: inner.test
'''


@pytest.fixture(scope='module')
def programs():
    folder, why = peers.build('quic')
    if why:
        pytest.skip(why)
    return folder


def serve(world, programs, name, *options):
    """A server of quic-go in the host's network; where it is."""
    named(name, world.folder)
    process = world['door'].start('quic-' + name, os.path.join(programs, 'server'), '-name', name, '-certificate', world.path(name), *options)
    return process.wait_line(r'^127\.0\.0\.1:\d+$').text


@pytest.fixture(scope='module')
def door(tmp_path_factory, programs):
    with OneHost(tmp_path_factory.mktemp('door-quic')) as world:
        certs = Authority(world.path('certs'), DOMAIN).init()
        certs.issue('relay', 'relay', '--dns', 'relay.test')
        certs.issue('agent', 'client-1')
        with open(os.path.join(ROOT, 'examples', 'policy.yaml'), encoding='utf-8') as file:
            world.write('policy.yaml', file.read())
        made = Doorway(world)
        subprocess.run([program('gatehouse'), 'ech', 'generate', '--public-name', 'cover.test', '--keys-file', world.path('ech.yaml')], check=True,
                       stdout=subprocess.DEVNULL)
        made.text = CONFIG.format(a=serve(world, programs, 'a'), retry=serve(world, programs, 'retry', '-retry'), site=serve(world, programs, 'site'))
        made.start(made.text.replace('SITE_UDP', 'false'))
        yield made
        made.stop()


@pytest.fixture
def with_site(door):
    door.reload(door.text.replace('SITE_UDP', 'true'))
    yield
    door.reload(door.text.replace('SITE_UDP', 'false'))


def config_list(door, file='ech.yaml'):
    told = subprocess.run([program('gatehouse'), 'ech', 'show', '--keys-file', door.world.path(file), '--json'], check=True, stdout=subprocess.PIPE)
    return json.loads(told.stdout)['config_list']


def ask(door, programs, *flags, **options):
    words = [word for key, value in options.items() for word in ('-' + key, str(value))]
    done = door.host.run(os.path.join(programs, 'client'), '-connect', '127.0.0.1:%d' % door.PORT, *flags, *words)
    return json.loads(done.stdout)


@pytest.mark.parametrize('flags', [(), ('-small',)], ids=['two datagrams', 'one datagram'])
def test_the_tunnels_name_inside_is_answered_and_asked_for_a_certificate(door, programs, flags):
    before = door.metrics()['gatehouse_door_udp_flights_total{way="tunnel"}']
    told = ask(door, programs, *flags, ech=config_list(door), name='inner.test', certificate=door.world.path('certs', 'client-1'))
    assert told['accepted'] and told['asked'] and told['protocol'] == 'HTTP/3.0' and told['status'] == 200, told
    assert door.metrics()['gatehouse_door_udp_flights_total{way="tunnel"}'] == before + 1, 'its other packets are not read again'


def test_who_has_no_certificate_meets_a_site(door, programs):
    told = ask(door, programs, ech=config_list(door), name='inner.test')
    assert told['accepted'] and told['status'] == 200, told


def test_an_agent_opens_a_tunnel_and_nobody_else_does(door, programs):
    told = ask(door, programs, '-tunnel', ech=config_list(door), name='inner.test', certificate=door.world.path('certs', 'client-1'))
    assert told['accepted'] and told['status'] == 200 and told['capsule'] in (1, 3), 'ADDRESS_ASSIGN or ROUTE_ADVERTISEMENT: %s' % told
    told = ask(door, programs, '-tunnel', ech=config_list(door), name='inner.test')
    assert told['accepted'] and told['status'] == 405, told
    assert ask(door, programs, '-streams', ech=config_list(door), name='inner.test')['streams'] == 128, 'a site may have as many'


def silent(door, programs, *flags, **options):
    before = door.metrics()['gatehouse_door_udp_flights_total{way="nowhere"}']
    told = ask(door, programs, *flags, wait='1500ms', **options)
    assert 'timeout' in told['error'] and not told['rejected'] and 'subject' not in told, told
    assert door.metrics()['gatehouse_door_udp_flights_total{way="nowhere"}'] > before


def other_list(door):
    """Of a key that is not ours: what GREASE looks like."""
    if not os.path.exists(door.world.path('other.yaml')):
        subprocess.run([program('gatehouse'), 'ech', 'generate', '--public-name', 'cover.test', '--keys-file', door.world.path('other.yaml')], check=True,
                       stdout=subprocess.DEVNULL)
    return config_list(door, 'other.yaml')


def test_ech_that_does_not_open_hears_nothing(door, programs):
    silent(door, programs, ech=other_list(door), name='inner.test', certificate=door.world.path('certs', 'client-1'))


def test_another_name_inside_hears_nothing(door, programs):
    silent(door, programs, ech=config_list(door), name='a.test')


def test_the_tunnels_name_in_the_open_hears_nothing(door, programs):
    silent(door, programs, name='inner.test', certificate=door.world.path('certs', 'client-1'))


def test_a_name_that_is_routed_for_tcp_alone_hears_nothing(door, programs):
    silent(door, programs, name='tcp.test')


def test_version_2_is_read_and_not_answered_by_us(door, programs):
    silent(door, programs, ech=config_list(door), name='inner.test', version=2)


@pytest.mark.parametrize('name', ['a.test', 'retry.test'])
@pytest.mark.parametrize('version', [1, 2])
def test_a_routed_name_reaches_its_server(door, programs, name, version):
    told = ask(door, programs, name=name, version=version)
    assert told['subject'] == name.split('.', maxsplit=1)[0] == told['body'], told


class Tap:
    """Between a client and the door: what the client says before it hears anything."""

    def __init__(self, door):
        self.client, self.door = (inside(door.host, lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) for _ in range(2))
        self.client.bind((LOCAL, 0))
        self.door.connect((LOCAL, door.PORT))
        self.port, self.said, self.heard = self.client.getsockname()[1], [], False
        threading.Thread(target=self._carry, daemon=True).start()

    def _carry(self):
        sender = None
        while True:
            for ready in select.select([self.client, self.door], [], [])[0]:
                if ready is self.client:
                    data, sender = ready.recvfrom(65536)
                    if not self.heard:
                        self.said.append(data)
                    self.door.send(data)
                else:
                    self.heard = True
                    self.client.sendto(ready.recv(65536), sender)


def recorded(door, programs):
    tap = Tap(door)
    words = ['-connect', '127.0.0.1:%d' % tap.port, '-ech', config_list(door), '-name', 'inner.test', '-certificate', door.world.path('certs', 'client-1')]
    told = json.loads(door.host.run(os.path.join(programs, 'client'), *words).stdout)
    assert told['accepted'] and told['status'] == 200, told
    return tap.said


def come_again(door, flight):
    """From another port; the camouflage gets it, and the tunnel does not."""
    names = ('gatehouse_door_replays_total', 'gatehouse_door_udp_flights_total{way="camouflage"}', 'gatehouse_door_udp_flights_total{way="tunnel"}')
    before = [door.metrics().get(name, 0) for name in names]
    sock = inside(door.host, lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
    sock.connect((LOCAL, door.PORT))
    for datagram in flight:
        sock.send(datagram)
    until(lambda: [door.metrics().get(name, 0) for name in names] == [before[0] + 1, before[1] + 1, before[2]], 5, 'a stranger more')
    sock.close()


def test_a_flight_that_comes_again_is_a_strangers_also_after_a_restart(door, programs, with_site):
    flight = recorded(door, programs)
    assert len(flight) == 2
    replays = door.metrics()['gatehouse_door_replays_total']
    for _ in range(4):  # both workers
        come_again(door, flight)
    assert door.metrics()['gatehouse_door_replays_total'] == replays + 4
    path = os.path.join(door.state_dir, 'door.replay')
    taken = door.metrics()['gatehouse_door_udp_flights_total{way="tunnel"}']
    until(lambda: os.path.exists(path) and os.path.getsize(path) >= 24 * taken, 10, 'all are kept')
    door.lose_child()
    come_again(door, flight)
    assert ask(door, programs, ech=config_list(door), name='inner.test', certificate=door.world.path('certs', 'client-1'))['accepted']


def test_the_same_hello_under_a_retry_is_the_same_flight(door, programs):
    door.stop()
    door.start(door.text.replace('relay:\n', 'relay:\n  retry: always\n', 1).replace('SITE_UDP', 'false'))
    try:
        for flags in ((), ('-small',)):
            told = ask(door, programs, *flags, ech=config_list(door), name='inner.test', certificate=door.world.path('certs', 'client-1'))
            assert told['accepted'] and told['status'] == 200, told
        metrics = door.metrics()
        assert metrics['gatehouse_door_udp_flights_total{way="tunnel"}'] == 4, 'each with and without a token'
        assert metrics.get('gatehouse_door_replays_total', 0) == 0
    finally:
        door.stop()
        door.start(door.text.replace('SITE_UDP', 'false'))


def test_much_is_carried(door, programs):
    told = ask(door, programs, name='a.test', size=4 << 20)
    assert told['bytes'] == 4 << 20, told


def test_many_at_a_time_meet_both_workers(door, programs):
    """Ids of another server look to the kernel like ours of any worker."""
    before = door.metrics()['gatehouse_door_udp_flights_total{way="route"}']
    argv = [os.path.join(programs, 'client'), '-connect', '127.0.0.1:%d' % door.PORT, '-name', 'a.test', '-size', '100000']
    clients = [door.host.start('many-%d' % i, *argv) for i in range(24)]
    for client in clients:
        assert client.wait_line(r'^{').data.get('bytes') == 100000, client.tail()
    assert door.metrics()['gatehouse_door_udp_flights_total{way="route"}'] == before + 24


def test_strangers_meet_the_camouflage_where_it_takes_udp(door, programs, with_site):
    told = ask(door, programs, name='other.test')
    assert told['subject'] == 'site' and told['status'] == 200, told
    for ech in (other_list(door), config_list(door)):
        before = door.metrics()['gatehouse_door_udp_flights_total{way="camouflage"}']
        told = ask(door, programs, ech=ech, name='other.test')
        assert told['rejected'] and door.metrics()['gatehouse_door_udp_flights_total{way="camouflage"}'] == before + 1, told
    told = ask(door, programs, ech=config_list(door), name='inner.test')
    assert told['accepted'] and told['status'] == 200, told


def test_a_new_key_counts_at_once_and_the_old_one_still_opens(door, programs):
    old, generation = config_list(door), door.metrics()['gatehouse_config_generation']
    subprocess.run([program('gatehouse'), 'ech', 'rotate', '--keys-file', door.world.path('ech.yaml')], check=True, stdout=subprocess.DEVNULL)
    new = config_list(door)
    assert base64.b64decode(old) != base64.b64decode(new)
    until(lambda: door.metrics()['gatehouse_config_generation'] > generation, 10, 'the new keys were read')
    for each in (old, new):
        assert ask(door, programs, ech=each, name='inner.test')['accepted']


def test_where_tls_ends_here_strangers_meet_the_site_over_http3(door, programs):
    """Without a relay, too: the endpoint is the door's own then."""
    other = Doorway(door.world)
    text = 'door:\n  listen: ["127.0.0.1:9443"]\n  camouflage: {udp: true}\n  ech: {keys_file: ech.yaml}\n'
    options = {'node__run_dir': door.world.path('other'), 'node__state_dir': door.world.path('other-state'), 'admin__listen': '127.0.0.1:8081'}
    other.PORT = 9443
    other.start(text, **options)
    try:
        told = ask(other, programs, name='other.test')
        assert told['status'] == 200 and 'It works' in told['body'] and 'asked' not in told, told
        assert ask(other, programs, '-streams', name='other.test')['streams'] == 128, 'as many as nginx has'
        told = ask(other, programs, ech=other_list(door), name='other.test')
        assert told['rejected'] and told['retry'] == config_list(door), 'the keys that count are told: %s' % told
        silent(other, programs, name='other.test', version=2)
    finally:
        other.stop()


def test_a_udp_address_of_the_relay_stays_its_own(door, programs):
    other = Doorway(door.world)
    other.PORT = 9443
    text = door.text.replace('SITE_UDP', 'true').replace('4433', '9443').replace('8443', '9443').replace('ghdoor0', 'ghdoor1')
    options = {'node__run_dir': door.world.path('third'), 'node__state_dir': door.world.path('third-state'), 'admin__listen': '127.0.0.1:8081'}
    other.start(text, **options)
    try:
        other.daemon.wait_line("UDP of this address is the relay's own")
        told = ask(other, programs, name='a.test', certificate=door.world.path('certs', 'client-1'))
        assert told['subject'] == 'relay', told
    finally:
        other.stop()
