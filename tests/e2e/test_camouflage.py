"""The camouflage over HTTP in a whole door: a site somewhere else, asked over HTTP/1.1, and what its clients see of that."""
import base64
import hashlib
import os
import ssl
import subprocess

import pytest

from doorway import Doorway, OneHost, receive_all

GUID = '258EAFA5-E914-47DA-95CA-C5AB0DC85B11'  # RFC 6455, section 1.3
KEY = 'dGhlIHNhbXBsZSBub25jZQ=='


def read_head(connection):
    data = b''
    while b'\r\n\r\n' not in data:
        more = connection.recv(65536)
        if not more:
            return None, {}, b''
        data += more
    head, _, rest = data.partition(b'\r\n\r\n')
    lines = head.decode().split('\r\n')
    return lines[0], {k.lower(): v for k, _, v in (line.partition(': ') for line in lines[1:])}, rest


def body_of(connection, fields, data):
    """Of a request; bytes behind it are none of this site's business."""
    if 'content-length' in fields:
        while len(data) < int(fields['content-length']):
            data += connection.recv(65536)
        return data
    if fields.get('transfer-encoding') != 'chunked':
        return b''
    while not data.endswith(b'0\r\n\r\n'):
        data += connection.recv(65536)
    body = b''
    while True:
        size, _, data = data.partition(b'\r\n')
        if int(size, 16) == 0:
            return body
        body, data = body + data[:int(size, 16)], data[int(size, 16) + 2:]


def origin(_, connection):
    while True:
        line, fields, rest = read_head(connection)
        if line is None:
            return
        path = line.split()[1]
        if path == '/socket' and fields.get('upgrade') == 'websocket':
            accept = base64.b64encode(hashlib.sha1((fields['sec-websocket-key'] + GUID).encode()).digest()).decode()
            connection.sendall(('HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n'
                                'Sec-WebSocket-Accept: %s\r\n\r\n' % accept).encode() + rest)
            while True:
                data = connection.recv(65536)
                if not data:
                    return
                connection.sendall(data)
        if path == '/events':  # the second one when the first has been seen: whoever keeps it back waits for ever
            connection.sendall(b'HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: one\n\n')
            if read_go_on(connection):
                connection.sendall(b'data: two\n\n')
            return
        body = body_of(connection, fields, rest)
        said = '%s %s %d %s' % (line, fields.get('host'), len(body), hashlib.sha256(body).hexdigest())
        connection.sendall(('HTTP/1.1 200 OK\r\nServer: origin\r\nContent-Length: %d\r\n\r\n%s' % (len(said), said)).encode())


GO_ON = os.pipe()


def read_go_on(_):
    return os.read(GO_ON[0], 1)


@pytest.fixture(scope='module')
def world(tmp_path_factory):
    with OneHost(tmp_path_factory.mktemp('camouflage')) as made:
        yield made


@pytest.fixture(scope='module')
def door(world):
    made = Doorway(world)
    made.PORT = 9443
    made.origin = made.backend(origin)
    made.text = 'listen: ["127.0.0.1:9443"]\ncamouflage: {proxy: "http://%s"}\n' % made.origin.at
    made.start(made.text)
    yield made
    made.stop()


def browse(door, path, *options):
    return door.host.run('curl', '-sk', '-m', 20, '--resolve', 'some.test:9443:127.0.0.1', *options, 'https://some.test:9443' + path).stdout


def open_tls(door):
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context.wrap_socket(door.connect(), server_hostname='some.test')


@pytest.mark.parametrize('version', ['--http2', '--http1.1'])
def test_requests_and_bodies_reach_the_origin(door, world, version):
    data = os.urandom(900000)
    with open(world.path('upload'), 'wb') as f:
        f.write(data)
    assert browse(door, '/a?b', version).startswith('GET /a?b HTTP/1.1 some.test:9443 0 ')
    for how in (['--data-binary', '@' + world.path('upload')], ['--data-binary', '@' + world.path('upload'), '-H', 'Transfer-Encoding: chunked']):
        said = browse(door, '/up', version, *how)
        assert said == 'POST /up HTTP/1.1 some.test:9443 900000 ' + hashlib.sha256(data).hexdigest()


def test_the_fields_are_the_origins(door):
    assert 'Server: origin' in browse(door, '/', '--http1.1', '-i')


def test_events_arrive_when_they_are_sent(door):
    client = open_tls(door)
    client.settimeout(10)
    client.sendall(b'GET /events HTTP/1.1\r\nHost: some.test\r\n\r\n')
    data = b''
    while b'data: one' not in data:
        data += client.recv(1000)
    os.write(GO_ON[1], b'x')
    while b'data: two' not in data:
        data += client.recv(1000)
    client.close()


def test_a_websocket_goes_through(door):
    client = open_tls(door)
    client.settimeout(10)
    client.sendall(('GET /socket HTTP/1.1\r\nHost: some.test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n'
                    'Sec-WebSocket-Key: %s\r\n\r\n' % KEY).encode())
    line, fields, rest = read_head(client)
    assert line == 'HTTP/1.1 101 Switching Protocols' and fields['sec-websocket-accept'] == 's3pPLMBiTxaQ9kYGzzhZRbK+xOo='
    assert rest == b''
    data = os.urandom(200000)
    client.sendall(data)
    assert receive_all(client, len(data)) == data
    client.close()


def test_what_does_not_parse_meets_a_page(door):
    client = open_tls(door)
    client.sendall(b'GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n')
    line, fields, _ = read_head(client)
    assert line == 'HTTP/1.1 400 Bad Request' and fields['server'] == 'nginx' and fields['content-type'] == 'text/html'
    client.close()


def test_an_origin_that_is_not_there_is_a_bad_gateway(door):
    door.reload(door.text.replace(door.origin.at, '127.0.0.1:1'))
    assert '502 Bad Gateway' in browse(door, '/')
    door.reload(door.text)
    assert browse(door, '/').startswith('GET / HTTP/1.1')


@pytest.fixture(params=['rsa:2048', 'ec'])
def given(world, request):
    """A door with a certificate of the operator's, whose key the parent keeps."""
    kind = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256'] if request.param == 'ec' else ['-newkey', request.param]
    subprocess.run(['openssl', 'req', '-x509', *kind, '-nodes', '-subj', '/CN=some.test', '-addext', 'subjectAltName=DNS:some.test', '-days', '2',
                    '-keyout', world.path('given.key'), '-out', world.path('given.crt')], check=True, stderr=subprocess.DEVNULL)
    made = Doorway(world)
    made.PORT = 9444
    made.start('listen: ["127.0.0.1:9444"]\ncertificate: given.crt\nkey: given.key\n', node__run_dir=world.path('given-run'), node__state_dir=world.path('given-state'),
               admin__listen='127.0.0.1:8081')
    made.kind = request.param.split(':', maxsplit=1)[0]
    yield made
    made.stop()


def test_a_given_certificate_is_good_for_tls_1_2_as_well(given, world):
    sigalgs = {'rsa': ['RSA+SHA256', 'RSA+SHA384', 'RSA+SHA512', 'rsa_pss_rsae_sha256'], 'ec': ['ECDSA+SHA256', 'ECDSA+SHA384', 'ECDSA+SHA512']}[given.kind]
    for version in ('-tls1_2', '-tls1_3'):
        for asked in sigalgs if version == '-tls1_2' else ['RSA-PSS+SHA256:ECDSA+SHA256']:
            said = given.host.run('openssl', 's_client', '-connect', '127.0.0.1:9444', '-servername', 'some.test', '-CAfile', world.path('given.crt'),
                                  '-verify_return_error', '-sigalgs', asked, version, text='').stdout
            assert 'Verify return code: 0 (ok)' in said and version[1:].replace('_', '.').upper().replace('TLS', 'TLSv') in said, (asked, said)
    context = ssl.create_default_context(cafile=world.path('given.crt'))
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    client = context.wrap_socket(given.connect(), server_hostname='some.test')
    client.sendall(b'GET / HTTP/1.1\r\nHost: some.test\r\nConnection: close\r\n\r\n')
    assert receive_all(client, 12) == b'HTTP/1.1 200'
    client.close()
