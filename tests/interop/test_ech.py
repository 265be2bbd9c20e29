"""Go's crypto/tls as a client of the door: Encrypted ClientHello over TCP."""
import base64
import json
import os
import subprocess

import pytest

import peers
from certs import Authority
from doorway import Doorway, OneHost, named
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
  local_routes: {{a.test: "{a}"}}
  camouflage: {{relay: "{site}"}}
  ech: {{keys_file: ech.yaml}}
  tunnel_name: inner.test
'''


@pytest.fixture(scope='module')
def client():
    folder, why = peers.build('ech')
    if why:
        pytest.skip(why)
    return os.path.join(folder, 'client')


@pytest.fixture(scope='module')
def door(tmp_path_factory):
    with OneHost(tmp_path_factory.mktemp('ech')) as world:
        certs = Authority(world.path('certs'), DOMAIN).init()
        certs.issue('relay', 'relay', '--dns', 'relay.test')
        certs.issue('agent', 'client-1')
        with open(os.path.join(ROOT, 'examples', 'policy.yaml'), encoding='utf-8') as file:
            world.write('policy.yaml', file.read())
        made = Doorway(world)
        subprocess.run([program('gatehouse'), 'ech', 'generate', '--public-name', 'cover.test', '--keys-file', world.path('ech.yaml')], check=True,
                       stdout=subprocess.DEVNULL)
        made.a, site = made.backend(named('a', world.folder)), made.backend(named('site', world.folder))
        made.start(CONFIG.format(a=made.a.at, site=site.at))
        yield made
        made.stop()


def config_list(door):
    told = subprocess.run([program('gatehouse'), 'ech', 'show', '--keys-file', door.world.path('ech.yaml'), '--json'], check=True, stdout=subprocess.PIPE)
    return json.loads(told.stdout)['config_list']


def ask(door, client, **options):
    words = [word for key, value in options.items() for word in ('-' + key, str(value))]
    done = door.host.run(client, '-connect', '127.0.0.1:%d' % door.PORT, *words)
    return json.loads(done.stdout)


@pytest.mark.parametrize('alpn, version', [('h2', 'HTTP/2.0'), ('http/1.1', 'HTTP/1.1')])
def test_the_tunnels_name_inside_is_answered_and_asked_for_a_certificate(door, client, alpn, version):
    told = ask(door, client, ech=config_list(door), name='inner.test', alpn=alpn, certificate=door.world.path('certs', 'client-1'))
    assert told['accepted'] and told['asked'] and told['protocol'] == version, told


def test_who_has_no_certificate_meets_a_site(door, client):
    told = ask(door, client, ech=config_list(door), name='inner.test')
    assert told['accepted'] and told['status'] == 200 and 'It works' in told['body'], told


@pytest.mark.parametrize('curve', [23, 29])  # secp256r1, x25519
def test_a_group_that_the_relay_likes_less_is_asked_again_for(door, client, curve):
    told = ask(door, client, ech=config_list(door), name='inner.test', curve=curve)
    assert told.get('accepted'), told


def test_another_name_inside_is_a_strangers_and_nobody_is_asked_for_a_certificate(door, client):
    for name in ('other.test', 'a.test', 'cover.test'):
        told = ask(door, client, ech=config_list(door), name=name, certificate=door.world.path('certs', 'client-1'))
        assert 'rejected ECH' in told['error'] and 'asked' not in told, told


def test_the_tunnels_name_in_the_open_is_a_strangers(door, client):
    told = ask(door, client, name='inner.test', alpn='http/1.1', certificate=door.world.path('certs', 'client-1'))
    assert told['subject'] == 'site' and 'asked' not in told, told


def test_ech_for_a_key_that_is_not_ours_goes_where_its_outer_name_goes(door, client):
    other = door.world.path('other.yaml')
    if not os.path.exists(other):
        subprocess.run([program('gatehouse'), 'ech', 'generate', '--public-name', 'a.test', '--keys-file', other], check=True, stdout=subprocess.DEVNULL)
    told = subprocess.run([program('gatehouse'), 'ech', 'show', '--keys-file', other, '--json'], check=True, stdout=subprocess.PIPE)
    before = len(door.a.seen)
    seen = ask(door, client, ech=json.loads(told.stdout)['config_list'], name='inner.test')
    assert 'rejected ECH' in seen['error'] and len(door.a.seen) == before + 1, seen


def test_a_new_key_counts_at_once_and_the_old_one_still_opens(door, client):
    old, generation = config_list(door), door.metrics()['gatehouse_config_generation']
    subprocess.run([program('gatehouse'), 'ech', 'rotate', '--keys-file', door.world.path('ech.yaml')], check=True, stdout=subprocess.DEVNULL)
    new = config_list(door)
    assert base64.b64decode(old) != base64.b64decode(new)
    until(lambda: door.metrics()['gatehouse_config_generation'] > generation, 10, 'the new keys were read')
    for each in (old, new):
        assert ask(door, client, ech=each, name='inner.test')['accepted']
