"""Users with tokens at the door, and first flights that come twice: Go's crypto/tls as the client."""
import base64
import json
import os
import re
import socket
import subprocess
import threading
import urllib.parse

import pytest

import peers
from certs import Authority
from doorway import Doorway, OneHost, inside, named, receive_all
from process import until
from test_ech import CONFIG, DOMAIN, config_list
from world import ROOT, program

ARGON = '$argon2id$v=19$m=256,t=2,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4'  # "password"


@pytest.fixture(scope='module')
def client():
    folder, why = peers.build('ech')
    if why:
        pytest.skip(why)
    return os.path.join(folder, 'client')


def user(door, *words, **options):
    return subprocess.run([program('gatehouse'), 'user', *words, '--users-file', door.world.path('users')], check=True, stdout=subprocess.PIPE, text=True, **options)


@pytest.fixture(scope='module')
def door(tmp_path_factory):
    with OneHost(tmp_path_factory.mktemp('token')) as world:
        certs = Authority(world.path('certs'), DOMAIN).init()
        certs.issue('relay', 'relay', '--dns', 'relay.test')
        with open(os.path.join(ROOT, 'examples', 'policy.yaml'), encoding='utf-8') as file:
            world.write('policy.yaml', file.read())
        made = Doorway(world)
        subprocess.run([program('gatehouse'), 'ech', 'generate', '--public-name', 'cover.test', '--keys-file', world.path('ech.yaml')], check=True,
                       stdout=subprocess.DEVNULL)
        world.write('users', '# by hand\nslow:' + ARGON + '\n')
        made.token = json.loads(user(made, 'add', 'client-1', '--json').stdout)['token']
        made.a, made.site = made.backend(named('a', world.folder)), made.backend(named('site', world.folder))
        made.text = CONFIG.format(a=made.a.at, site=made.site.at) + '  auth: {users_file: users}\n'
        made.start(made.text)
        yield made
        made.stop()


def words_for(door, authorization, *more):
    return ['-connect', '127.0.0.1:%d' % door.PORT, '-ech', config_list(door), '-name', 'inner.test', '-tunnel', '-authorization', authorization, *more]


def ask(door, client, authorization, *more):
    return json.loads(door.host.run(client, *words_for(door, authorization, *more)).stdout)


def basic(who, token, scheme='Basic'):
    return scheme + ' ' + base64.b64encode((who + ':' + token).encode()).decode()


@pytest.mark.parametrize('scheme', ['Basic', 'Bearer'])
def test_a_users_token_is_as_good_as_a_certificate(door, client, scheme):
    told = ask(door, client, basic('client-1', door.token, scheme))
    assert told['status'] == 101 and told['accepted'], told
    door.daemon.wait_audit(event_type='auth.success', client_id='client-1', message='token accepted')


def test_a_password_is_verified_and_remembered(door, client):
    before = door.metrics()['gatehouse_door_tokens_total{result="accepted"}']
    for _ in range(3):
        told = ask(door, client, basic('slow', 'password'))
        assert told['status'] == 101, told
    assert door.metrics()['gatehouse_door_tokens_total{result="accepted"}'] == before + 3


def test_a_wrong_token_meets_what_strangers_meet(door, client):
    stranger = ask(door, client, '')
    assert stranger['status'] == 404
    stranger['head'].pop('Date', None)
    for wrong in (basic('client-1', 'wrong'), basic('slow', 'wrong'), basic('nobody', door.token), 'Basic !', 'Bearer ' + door.token, 'Digest x'):
        told = ask(door, client, wrong)
        told['head'].pop('Date', None)
        assert told == stranger, wrong
    door.daemon.wait_audit(event_type='auth.fail', client_id='nobody', message='token refused')


def test_who_is_taken_from_the_file_is_cut_off(door, client):
    token = json.loads(user(door, 'add', 'guest', '--json').stdout)['token']
    until(lambda: ask(door, client, basic('guest', token))['status'] == 101, 10, 'the file was read again')
    process = door.host.start('guest', client, *words_for(door, basic('guest', token), '-hold'))
    assert json.loads(process.wait_line('"accepted"').text)['status'] == 101
    user(door, 'del', 'guest')
    process.wait_line('^ended$')
    door.daemon.wait_audit(event_type='auth.fail', client_id='guest', reason="the user's token is no longer in the file of users")
    assert ask(door, client, basic('guest', token))['status'] == 404


def test_a_bad_file_changes_nothing(door, client):
    path = door.world.path('users')
    with open(path, encoding='utf-8') as file:
        good = file.read()
    with open(path, 'a', encoding='utf-8') as file:
        file.write('broken\n')
    door.daemon.wait_line('users:%d:1: a line must be' % (good.count('\n') + 1))
    assert ask(door, client, basic('client-1', door.token))['status'] == 101
    door.world.write('users', good)


def checker(backend, connection):
    """Knows one user; says nothing at all about one more."""
    data = b''
    while True:
        while b'\r\n\r\n' not in data:
            more = connection.recv(65536)
            if not more:
                return
            data += more
        head, _, data = data.partition(b'\r\n\r\n')
        length = int(re.search(rb'(?i)content-length: (\d+)', head).group(1))
        while len(data) < length:
            data += connection.recv(65536)
        body, data = data[:length], data[length:]
        backend.asked.append((head.split(b'\r\n')[0].decode(), urllib.parse.parse_qs(body.decode(), strict_parsing=True)))
        who = {key: value[0] for key, value in backend.asked[-1][1].items()}
        if who['user'] == 'silent':
            connection.recv(1)
            return
        status = {('caller', SECRET): '200 OK', ('broken', SECRET): '500 Internal Server Error'}.get((who['user'], who['token']), '401 Unauthorized')
        connection.sendall(('HTTP/1.1 %s\r\nContent-Length: 2\r\n\r\nok' % status).encode())


SECRET = 'tr&e=+%/ 100'


@pytest.fixture
def callback(door):
    backend = door.backend(checker)
    backend.asked = []
    door.reload(door.text.replace('auth: {', 'auth: {callback: "http://%s/check?door=1", callback_timeout: 300ms, callback_cache_refused: 0s, ' % backend.at))
    yield backend
    door.reload(door.text)


def test_somebody_else_may_know_a_token(door, client, callback):
    for _ in range(3):
        told = ask(door, client, basic('caller', SECRET))
        assert told['status'] == 101 and told['accepted'], told
    assert callback.asked == [('POST /check?door=1 HTTP/1.1', {'user': ['caller'], 'token': [SECRET]})], 'and is not asked again for a while'
    door.daemon.wait_audit(event_type='auth.success', client_id='caller', message='token accepted')
    assert ask(door, client, basic('client-1', door.token))['status'] == 101
    assert len(callback.asked) == 1, 'the file knows its own'


def test_whatever_is_no_yes_meets_what_strangers_meet(door, client, callback):
    stranger = ask(door, client, '')
    stranger['head'].pop('Date', None)
    before = door.metrics()
    for n, wrong in enumerate((basic('caller', 'wrong'), basic('client-1', 'wrong'), basic('nobody', SECRET), basic('broken', SECRET), basic('silent', SECRET))):
        told = ask(door, client, wrong)
        told['head'].pop('Date', None)
        assert told == stranger
        assert len(callback.asked) == n + 1, 'one that the file knows costs the same as one that it does not'
    after = door.metrics()
    grown = {result: after['gatehouse_door_tokens_total{result="%s"}' % result] - before.get('gatehouse_door_tokens_total{result="%s"}' % result, 0)
             for result in ('refused', 'unanswered')}
    assert grown == {'refused': 3, 'unanswered': 2}
    door.daemon.wait_audit(event_type='auth.fail', client_id='silent', reason='the callback did not answer')
    for secret in (SECRET, urllib.parse.quote(SECRET), 'tr%26e'):
        assert not door.daemon.find(re.escape(secret)), 'a token is written nowhere'


class Tap:
    """A way to the door that keeps what the client said."""

    def __init__(self, door):
        self.said = b''
        self.door = door
        self.socket = inside(door.host, lambda: socket.create_server(('127.0.0.1', 0)))
        self.port = self.socket.getsockname()[1]
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self):
        client, _ = self.socket.accept()
        server = self.door.connect()
        threading.Thread(target=self._copy, args=(server, client), daemon=True).start()
        while True:
            data = client.recv(65536)
            if not data:
                return server.shutdown(socket.SHUT_WR)
            self.said += data
            server.sendall(data)

    @staticmethod
    def _copy(source, sink):
        while True:
            data = source.recv(65536)
            if not data:
                return
            sink.sendall(data)


def first_record(flight):
    return flight[:5 + int.from_bytes(flight[3:5], 'big')]


def captured(door, client):
    tap = Tap(door)
    words = words_for(door, basic('client-1', door.token))
    words[1] = '127.0.0.1:%d' % tap.port
    assert json.loads(door.host.run(client, *words).stdout)['status'] == 101
    return first_record(tap.said)


def meets_the_site(door, flight):
    """The site reads what was sent, and its answer comes back."""
    before = len(door.site.seen)
    sock = door.connect()
    sock.sendall(flight)
    answer = receive_all(sock, 5)  # the site's own TLS
    sock.close()
    return len(door.site.seen) == before + 1 and answer[0] in (0x15, 0x16)


def test_a_flight_that_comes_again_meets_the_site_also_after_a_restart(door, client):
    flight = captured(door, client)
    replays = door.metrics()['gatehouse_door_replays_total']
    assert meets_the_site(door, flight)
    assert door.metrics()['gatehouse_door_replays_total'] == replays + 1
    path = os.path.join(door.state_dir, 'door.replay')
    taken = door.metrics()['gatehouse_door_connections_total{way="tunnel"}']
    until(lambda: os.path.exists(path) and os.path.getsize(path) == 24 * taken, 10, 'all are kept')
    door.lose_child()
    assert meets_the_site(door, flight)
    assert ask(door, client, basic('client-1', door.token))['status'] == 101
