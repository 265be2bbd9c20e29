"""gatehoused without any configuration: what it makes, the link that it prints, and that the link is enough to come in."""
import base64
import hashlib
import json
import os
import stat
import subprocess
import urllib.parse

import pytest

import peers
from doorway import OneHost
from gateway import environment
from process import until
from world import program


@pytest.fixture(scope='module')
def client():
    folder, why = peers.build('ech')
    if why:
        pytest.skip(why)
    return os.path.join(folder, 'client')


class Node:
    def __init__(self, world):
        self.world = world
        self.host = world['door']
        self.host.run('ip', 'link', 'add', 'up0', 'type', 'veth', 'peer', 'name', 'up1')
        self.host.run('ip', 'address', 'add', '203.0.113.5/24', 'dev', 'up0')
        self.host.run('ip', 'link', 'set', 'up0', 'up')
        self.host.run('ip', 'link', 'set', 'up1', 'up')
        self.host.run('ip', 'route', 'add', 'default', 'via', '203.0.113.1')
        self.starts = 0

    def start(self, **options):
        given = {'node.state_dir': self.world.path('state'), 'node.run_dir': self.world.path('run'), 'node.user': 'root', 'node.drain_timeout': '1s',
                 'audit.file': self.world.path('audit.log')}
        given.update(options)
        self.starts += 1
        self.daemon = self.host.start('first-%d' % self.starts, program('gatehoused'), env=environment(given))
        until(lambda: self.host.run('curl', '-s', '-o', '/dev/null', '-w', '%{http_code}', 'http://127.0.0.1:8080/ready', check=False).stdout == '200', 15,
              'it is ready\n' + self.daemon.tail())
        return self.daemon.wait_line('^k2v5://', stream='out').text

    def stop(self):
        self.daemon.stop()
        assert self.daemon.accusations() == ''


@pytest.fixture(scope='module')
def node(tmp_path_factory):
    assert not os.path.exists('/etc/gatehouse/gatehouse.yaml'), 'this machine has a configuration'
    with OneHost(tmp_path_factory.mktemp('first')) as world:
        yield Node(world)


def parts(link):
    url = urllib.parse.urlsplit(link)
    return url, {key: values[0] for key, values in urllib.parse.parse_qs(url.query).items()}


def ask(node, client, link, token=None):
    url, query = parts(link)
    ech = base64.b64encode(base64.urlsafe_b64decode(query['ech'] + '=' * (-len(query['ech']) % 4))).decode()
    basic = base64.b64encode(('%s:%s' % (url.username, token or url.password)).encode()).decode()
    done = node.host.run(client, '-connect', '%s:%d' % (query['ip'], url.port), '-ech', ech, '-name', url.hostname, '-tunnel', '-authorization', 'Basic ' + basic)
    return json.loads(done.stdout)


def test_the_first_start_makes_all_and_the_second_says_the_same(node, client):
    link = node.start()
    url, query = parts(link)
    assert url.port == 443 and query['ip'] == '203.0.113.5' and query['hop'] == '10020-10119', link
    assert ask(node, client, link)['status'] == 101
    assert ask(node, client, link, token='wrong')['status'] == 404

    for name in os.listdir(node.world.path('state')):
        assert stat.S_IMODE(os.stat(node.world.path('state', name)).st_mode) & 0o077 == 0, name
    public = subprocess.run('openssl x509 -in %s -pubkey -noout | openssl pkey -pubin -outform DER' % node.world.path('state', 'door.crt'), shell=True, check=True,
                            stdout=subprocess.PIPE).stdout
    pin = 'sha256:' + hashlib.sha256(public).hexdigest()
    assert query['pin'] == pin
    status = node.host.run(program('gatehouse'), 'status', '--socket', node.world.path('run', 'admin.sock')).stdout
    assert 'cert_pin   ' + pin in status
    assert url.password not in node.world.read('state/users')
    dates = subprocess.run(['openssl', 'x509', '-in', node.world.path('state', 'door.crt'), '-noout', '-checkend', str(9 * 365 * 86400)], stdout=subprocess.DEVNULL)
    assert dates.returncode == 0
    node.stop()

    assert node.start() == link
    assert ask(node, client, link)['status'] == 101
    node.stop()


def test_what_was_lost_is_made_again_and_the_token_stays(node, client):
    before, _ = parts(node.start())
    node.stop()
    for name in ('door.crt', 'ech.yaml', 'users'):
        os.remove(node.world.path('state', name))
    link = node.start()
    after, _ = parts(link)
    assert (after.username, after.password, after.hostname) == (before.username, before.password, before.hostname)
    assert ask(node, client, link)['status'] == 101
    node.stop()


def test_a_user_that_is_added_has_what_policy_gives_it(node, client):
    link = node.start()
    users = node.world.path('state', 'users')
    token = json.loads(subprocess.run([program('gatehouse'), 'user', 'add', 'second', '--users-file', users, '--json'], check=True, stdout=subprocess.PIPE).stdout)['token']
    second = link.replace(link[len('k2v5://'):link.index('@')], 'second:' + token)
    until(lambda: ask(node, client, second)['status'] == 101, 10, 'the file was read again')
    told = node.host.run(program('gatehouse'), 'policy', 'explain', node.world.path('state', 'policy.yaml'), '--client', 'first', '--dst', '192.168.1.1', '--protocol', 'tcp',
                         '--port', '80', check=False)
    assert 'deny' in told.stdout.lower(), told
    node.stop()
