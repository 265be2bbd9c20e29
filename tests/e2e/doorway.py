"""A door on a host of its own, with backends and clients that are sockets of this process in that host's network."""
import ctypes
import os
import signal
import socket
import ssl
import struct
import subprocess
import threading

from gateway import environment
from process import until
from world import Host, World, program

CLONE_NEWNET = 0x40000000
LIBC = ctypes.CDLL(None, use_errno=True)
LOCAL = '127.0.0.1'


class OneHost(World):
    """A world of one host with a loopback."""
    HOSTS = ('door',)

    def _build(self):
        assert os.geteuid() == 0, 'the tests of the door enter a network namespace: run them as root'
        self.hosts_file = self.write('hosts', '127.0.0.1 localhost\n::1 localhost\n')
        self.hosts['door'] = Host(self, 'door')


def inside(host, function, *arguments):
    """Runs it in a thread in the host's network; threads that it starts are there, too."""
    result = []

    def run():
        with open('/proc/%d/ns/net' % host.keeper.pid, 'rb') as file:
            if LIBC.setns(file.fileno(), CLONE_NEWNET) < 0:
                raise OSError(ctypes.get_errno(), 'setns')
        try:
            result.append((function(*arguments), None))
        except BaseException as error:  # for the caller
            result.append((None, error))

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    value, error = result[0]
    if error:
        raise error
    return value


def reset(sock):
    """Closes with a reset."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack('ii', 1, 0))
    sock.close()


class Backend:
    """Listens; a thread for each connection runs <serve>(backend, socket). <seen> are its connections in their order."""

    def __init__(self, host, serve, address=LOCAL, port=0):
        self.socket = inside(host, lambda: socket.create_server((address, port), backlog=4096))
        self.port = self.socket.getsockname()[1]
        self.serve = serve
        self.seen = []
        self.changed = threading.Condition()
        self.thread = threading.Thread(target=self._accept, daemon=True)
        self.thread.start()

    @property
    def at(self):
        return '%s:%d' % (LOCAL, self.port)

    def _accept(self):
        while True:
            try:
                connection, _ = self.socket.accept()
            except OSError:
                return
            with self.changed:
                self.seen.append(connection)
                self.changed.notify_all()
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection):
        try:
            self.serve(self, connection)
        except OSError:
            pass

    def wait_seen(self, count, timeout=10):
        with self.changed:
            assert self.changed.wait_for(lambda: len(self.seen) >= count, timeout), 'connection %d did not come' % count
            return self.seen[count - 1]

    def close(self):
        self.socket.shutdown(socket.SHUT_RDWR)
        self.socket.close()


def named(name, folder):
    """A TLS server that says its name and repeats what it is sent, until the client ends."""
    path = os.path.join(folder, name)
    subprocess.run(['openssl', 'req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-keyout', path + '.key',
                    '-out', path + '.crt', '-days', '30', '-subj', '/CN=' + name], check=True, stderr=subprocess.DEVNULL)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(path + '.crt', path + '.key')

    def serve(_, connection):
        with context.wrap_socket(connection, server_side=True) as tls:
            tls.sendall(name.encode() + b'\n')
            while True:
                data = tls.recv(65536)
                if not data:
                    return
                tls.sendall(data)
    return serve


def raw(_, connection):
    """Leaves the connection to the test."""


def hello(name, alpn=(), padding=0):
    """The first flight of an ordinary client."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    if alpn or padding:
        # an ALPN list is what makes a hello long without any private extension
        context.set_alpn_protocols(list(alpn) + ['x%03d%s' % (i, 'y' * 240) for i in range(padding // 245)])
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = context.wrap_bio(incoming, outgoing, server_hostname=name)
    try:
        tls.do_handshake()
    except ssl.SSLWantReadError:
        pass
    return outgoing.read()


def as_records(flight, size):
    """The same handshake message in records of <size> bytes."""
    body = b''
    while flight:
        length = struct.unpack('!H', flight[3:5])[0]
        body += flight[5:5 + length]
        flight = flight[5 + length:]
    return b''.join(b'\x16\x03\x01' + struct.pack('!H', len(body[i:i + size])) + body[i:i + size] for i in range(0, len(body), size))


def receive_all(sock, count):
    data = b''
    while len(data) < count:
        piece = sock.recv(count - len(data))
        if not piece:
            break
        data += piece
    return data


class Doorway:
    PORT = 8443

    def __init__(self, world):
        self.world = world
        self.host = world['door']
        self.daemon = None
        self.backends = []
        self.config = 'door-%x.yaml' % id(self)

    def backend(self, serve=raw, address=LOCAL):
        backend = Backend(self.host, serve, address)
        self.backends.append(backend)
        return backend

    def configure(self, text):
        return self.world.write(self.config, text)

    @property
    def state_dir(self):
        return self.world.path('state')

    def lose_child(self):
        """The process that does the work is killed; another one takes its place."""
        with open('/proc/%d/task/%d/children' % (self.daemon.pid, self.daemon.pid), encoding='ascii') as file:
            child = int(file.read().split()[0])
        since = self.daemon.mark()
        os.kill(child, signal.SIGKILL)
        self.daemon.wait_line('"started"', since=since)
        until(lambda: self.get('/ready')[0] == 200, 15, 'the door is ready again')

    def start(self, text, **options):
        given = {'node.state_dir': self.world.path('state'), 'node.user': 'root', 'node.workers': 2, 'node.drain_timeout': '1s'}
        given.update({key.replace('__', '.'): value for key, value in options.items()})
        self.world.starts += 1
        self.daemon = self.host.start('door-%d' % self.world.starts, program('gatehoused'), '-c', self.configure(text), env=environment(given))
        self.admin = given.get('admin.listen', '127.0.0.1:8080')
        until(lambda: self.get('/ready')[0] == 200, 15, 'the door is ready\n' + self.daemon.tail())
        return self.daemon

    def get(self, path):
        argv = ['curl', '-s', '-m', 5, '-w', '\n%{http_code}', 'http://' + self.admin + path]
        body, _, status = self.host.run(*argv, check=False).stdout.rpartition('\n')
        return int(status or 0), body

    def metrics(self):
        status, body = self.get('/metrics')
        assert status == 200, body
        return {name: float(value) for name, _, value in (line.rpartition(' ') for line in body.splitlines() if line and line[0] != '#')}

    def connect(self, port=None):
        sock = inside(self.host, lambda: socket.create_connection((LOCAL, port or self.PORT), timeout=10))
        sock.settimeout(10)
        return sock

    def ask(self, name, alpn=(), data=b'', port=None):
        """(who answered, what came back)"""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        if alpn:
            context.set_alpn_protocols(alpn)
        with context.wrap_socket(self.connect(port), server_hostname=name) as tls:
            who = b''
            while not who.endswith(b'\n'):
                piece = tls.recv(100)
                assert piece, 'the connection ended'
                who += piece
            tls.sendall(data)
            back = b''
            while len(back) < len(data):
                back += tls.recv(65536)
        return who.decode().strip(), back

    def reload(self, text):
        generation = self.metrics()['gatehouse_config_generation']
        self.configure(text)
        until(lambda: self.metrics()['gatehouse_config_generation'] > generation, 10, 'the reload counts\n' + self.daemon.tail())

    def stop(self):
        if self.daemon:
            self.daemon.stop()
            assert self.daemon.accusations() == ''
            self.daemon = None
        for backend in self.backends:
            backend.close()
        self.backends = []
