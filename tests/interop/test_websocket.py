"""WebSockets and events through the door to nginx and Caddy: ws and gorilla as clients and as echoes behind the site."""
import json
import os
import threading

import pytest

import peers
from doorway import Doorway, OneHost
from origins import Origin

PORTS = {'nginx': 8081, 'caddy': 8082}


@pytest.fixture(scope='module')
def programs():
    go, why = peers.build('websocket')
    node, otherwise = peers.install('ws')
    if why or otherwise:
        pytest.skip(why or otherwise)
    return {'gorilla': ([os.path.join(go, 'client')], [os.path.join(go, 'server')]),
            'ws': (['node', os.path.join(node, 'client.js')], ['node', os.path.join(node, 'server.js')])}


class Events:
    """Says one event, and the next when the test has seen it: whoever keeps something back waits for ever."""

    def __init__(self):
        self.seen = threading.Semaphore(0)

    def __call__(self, _, connection):
        connection.settimeout(20)
        while b'\r\n\r\n' not in connection.recv(65536):
            pass
        connection.sendall(b'HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nCache-Control: no-cache\r\nConnection: close\r\n\r\n')
        for number in range(20):
            connection.sendall(b'id: %d\ndata: event %d\n\n' % (number, number))
            if not self.seen.acquire(timeout=20):
                break
        connection.close()


@pytest.fixture(scope='module')
def world(tmp_path_factory):
    with OneHost(tmp_path_factory.mktemp('websocket')) as made:
        yield made


@pytest.fixture(scope='module')
def echoes(world, programs):
    """Path to HOST:PORT of each echo."""
    ports = {}
    for name, (_, argv) in programs.items():
        daemon = world['door'].start('echo-' + name, *argv)
        ports['/to-' + name] = '127.0.0.1:' + daemon.wait_line('^listening ', 20).text.split()[1]
    return ports


@pytest.fixture(scope='module', params=['nginx', 'caddy'])
def door(request, world, echoes):
    made = Doorway(world)
    made.events = Events()
    places = dict(echoes)
    places['/events'] = made.backend(made.events).at
    made.kind = request.param
    origin = Origin(world['door'], made.kind, PORTS[made.kind], places)
    with open(os.path.join(origin.root, 'index.html'), 'w', encoding='ascii') as file:
        file.write('a site\n')
    origin.start()
    made.start('listen: ["127.0.0.1:8443"]\ncamouflage: {proxy: "%s"}\n' % origin.url)
    yield made
    made.stop()
    origin.stop()


def run(door, programs, client, to, *version):
    argv = list(programs[client][0]) + list(version) + ['wss://some.test/to-' + to, '127.0.0.1:%d' % door.PORT]
    done = door.host.run(*argv, timeout=90, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize('to', ['ws', 'gorilla'])
@pytest.mark.parametrize('client', ['ws', 'gorilla'])
def test_a_websocket_of_http1(door, programs, client, to):
    told = run(door, programs, client, to, *(['h1'] if client == 'ws' else []))
    assert told['same'] == 16 and told['many'] == 2000 and told['pongs'] == 1 and told.get('fragments', 3) == 3, told
    assert told['ends'] == [4001, 4002, 1006] and told['protocol'] == 'echo.test' and 'permessage-deflate' in told['extensions'], told


@pytest.mark.parametrize('to', ['ws', 'gorilla'])
def test_a_websocket_of_http2(door, programs, to):
    told = run(door, programs, 'ws', to, 'h2')
    assert told['extended'] and 'accept' not in told, told
    assert told['same'] == 16 and told['many'] == 2000 and told['pongs'] == 1 and told['fragments'] == 3, told
    assert told['ends'] == [4001, 4002, 1006] and told['protocol'] == 'echo.test', told


@pytest.mark.parametrize('version', ['--http1.1', '--http2'])
def test_events_arrive_one_by_one(door, version):
    daemon = door.host.start('curl' + version, 'curl', '-skN', '-m', '60', version, 'https://127.0.0.1:%d/events' % door.PORT)
    for number in range(20):
        daemon.wait_line('^data: event %d$' % number, 20)
        door.events.seen.release()
    assert daemon.wait_exit() == 0, daemon.tail()
