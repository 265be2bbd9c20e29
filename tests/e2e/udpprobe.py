"""What is asked of a door over UDP, and of the site behind it; many clients at a time, each from an address of its own."""
import os
import random
import select
import socket
import time

from probe import count
from quicbytes import HANDSHAKE, INITIAL, RETRY, ZERO_RTT, Session, crypto_frame, get, headers_frame, initial, long_header, quic_hello, varint
from sealing import initial_secrets
from tlsbytes import X25519, extension, grease_ech
from udpaddress import some_address

QUIET = 0.35  # seconds without a word after which nothing more is waited for
LATE = 2.0    # where an answer is due


class Player:
    """In the network of whoever calls play()."""

    def __init__(self, source=some_address):
        self.epoll, self.source = select.epoll(), source
        self.live = {}

    def start(self, address, session):
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        sock.bind((self.source(), 0))
        sock.connect(address)
        sock.setblocking(False)
        self.live[sock.fileno()] = (sock, session)
        session.began = session.last = time.monotonic()
        session.first_at = None
        self.epoll.register(sock.fileno(), select.EPOLLIN)
        self.send(sock, session, session.start())

    @staticmethod
    def send(sock, session, datagrams):
        for datagram in datagrams:
            try:
                sock.send(datagram)
            except ConnectionRefusedError:
                session.see('refused')

    def read(self, sock, session):
        while not session.over:
            try:
                data = sock.recv(65536)
            except BlockingIOError:
                return
            except ConnectionRefusedError:
                session.see('refused')
                continue
            session.last = time.monotonic()
            session.first_at = session.first_at or session.last - session.began
            self.send(sock, session, session.on_datagram(data))

    def expire(self):
        now = time.monotonic()
        for fd, (sock, session) in list(self.live.items()):
            if session.over or now - session.last > (session.patience or QUIET):
                self.epoll.unregister(fd)
                sock.close()
                del self.live[fd]

    def play(self, jobs, together):
        sessions, more = [], iter(jobs)
        while True:
            while more and len(self.live) < together:
                job = next(more, None)
                if job is None:
                    more = None
                    break
                sessions.append(job[1])
                self.start(*job)
            if not self.live and not more:
                break
            for fd, _ in self.epoll.poll(0.02):
                self.read(*self.live[fd])
            self.expire()
        self.epoll.close()
        return sessions


def play(jobs, together=48, source=some_address):
    """jobs: (address, session). Gives the sessions in their order."""
    return Player(source).play(jobs, together)


def compare(doors, sites, scripts, budget, together=48, repeat=20):
    """As probe.compare; {name: function that makes a session}."""
    both, names = (doors, sites), list(scripts)
    order = [(name, side) for name in names for side in (0, 1)]
    random.Random(1).shuffle(order)
    seen = dict(zip(order, (session.outcome() for session in play([(both[side], scripts[name]()) for name, side in order], together))))
    unlike = [name for name in names if seen[name, 0] != seen[name, 1]]
    again = [(name, side) for name in unlike for side in (0, 1)] * repeat
    random.Random(3).shuffle(again)
    outcomes = {key: [] for key in again}
    for key, session in zip(again, play([(both[side], scripts[name]()) for name, side in again], together)):
        outcomes[key].append(session.outcome())
    return {name: 'door: %s\nsite: %s' % (count(outcomes[name, 0]), count(outcomes[name, 1])) for name in unlike
            if budget.outcomes_differ(outcomes[name, 0], outcomes[name, 1])}


def differences(found):
    return '\n\n'.join('%s\n%s' % item for item in list(found.items())[:8]) + ('\n%d in all' % len(found) if found else '')


# ---- datagrams that are no handshake of ours ----

def noise(length, seed=0):
    return random.Random('u%d.%d' % (length, seed)).randbytes(length)


def other_version(version, size=1200, dcid=8, scid=8):
    head = b'\xc5' + version.to_bytes(4, 'big') + bytes([dcid]) + noise(dcid) + bytes([scid]) + noise(scid, 1)
    return head + noise(max(0, size - len(head)), 2)


def said(*datagrams, dcid=None, scid=None):
    """A session that says them and listens."""
    return lambda: Session(raw=datagrams, dcid=dcid, scid=scid)


def sealed(frames, dcid=8, scid=8, **options):
    def make():
        to, of = os.urandom(dcid), os.urandom(scid)
        return Session(raw=[initial(frames(of) if callable(frames) else frames, to, of, **options)], dcid=to, scid=of)
    return make


def of_hello(**options):
    """Frames of a ClientHello, whoever it is for."""
    return lambda scid: crypto_frame(quic_hello(scid, name=b'site.test', **options))


def versions():
    """Other versions than there are; what is asked for in RFC 8999 and RFC 9000, section 6."""
    made = {'version %08x' % version: said(other_version(version)) for version in (0x1a2a3a4a, 0x00000000, 0x6b3343cf, 0xff00001d, 0xff000020, 0x51303530, 0x00000002, 0xfaceb002)}
    made.update({'version unknown, %d bytes' % size: said(other_version(0x1a2a3a4a, size)) for size in (8, 20, 100, 1000, 1199, 1201, 1252, 1452, 4000)})
    made.update({'version unknown, ids of %d and %d' % (dcid, scid): said(other_version(0x1a2a3a4a, 1200, dcid, scid))
                 for dcid, scid in ((0, 0), (1, 0), (4, 4), (7, 7), (20, 20), (21, 8), (8, 21), (60, 0), (255, 255))})
    return made


def first_packets():
    """Initial packets that are as they should be but for one thing."""
    made = {'hello of %d bytes' % size: sealed(of_hello(), size=size) for size in (0, 600, 1100, 1199, 1200, 1201, 1232, 1252, 1350, 1452, 1472, 1500, 4000)}
    made.update({'id of %d' % size: sealed(of_hello(), dcid=size) for size in range(21)})
    made.update({'own id of %d' % size: sealed(of_hello(), scid=size) for size in range(21)})
    made.update({
        'a token of nobody': sealed(of_hello(), token=noise(50)), 'a short token': sealed(of_hello(), token=b'\0'), 'a long token': sealed(of_hello(), token=noise(500)),
        'reserved bits': sealed(of_hello(), first=0xcc), 'without the fixed bit': sealed(of_hello(), first=0x80), 'sealed for another': sealed(of_hello(), secret=initial_secrets(b'another1')[0]),
        'as a server seals': sealed(of_hello(), secret=None, first=0xc0), 'number of 7': sealed(of_hello(), number=7), 'number of 60000': sealed(of_hello(), number=60000),
        'nothing': sealed(b''), 'a ping': sealed(b'\1'), 'an acknowledgement': sealed(b'\x02\0\0\0\0'), 'an unknown frame': sealed(b'\x3f'), 'a stream': sealed(b'\x08\0abc'),
        'a close': sealed(b'\x1c\0\0\0'), 'a close of the application': sealed(b'\x1d\0\0'), 'a new id': sealed(b'\x18\1\0\x08' + bytes(24)),
        'handshake done': sealed(b'\x1e'), 'a token frame': sealed(b'\x07\1a'), 'a hello of noise': sealed(crypto_frame(noise(300))),
        'a hello that is another message': sealed(crypto_frame(b'\x02\0\0\x02ab')), 'far behind its beginning': sealed(lambda scid: crypto_frame(quic_hello(scid, name=b'site.test'), 5000)),
        'behind its beginning': sealed(lambda scid: crypto_frame(quic_hello(scid, name=b'site.test')[1:], 1)), 'half a hello': sealed(lambda scid: crypto_frame(quic_hello(scid)[:100])),
        'a hello in pieces': sealed(lambda scid: pieces_of(quic_hello(scid, name=b'site.test'), 40)), 'a hello in pieces backwards': sealed(lambda scid: pieces_of(quic_hello(scid, name=b'site.test'), 40, True)),
        'a hello twice': sealed(lambda scid: crypto_frame(quic_hello(b'12345678', name=b'site.test')) * 2), 'a hello and a ping': sealed(lambda scid: crypto_frame(quic_hello(scid, name=b'site.test')) + b'\1'),
        'a hello and noise': sealed(lambda scid: crypto_frame(quic_hello(scid, name=b'site.test')) + b'\xff' * 20),
    })
    return made


def pieces_of(message, size, backwards=False):
    parts = [crypto_frame(message[at:at + size], at) for at in range(0, len(message), size)]
    return b''.join(parts[::-1] if backwards else parts)


def later_packets():
    """Types that nothing can come before, connections that nobody has, and noise."""
    made = {}
    for kind, name in ((ZERO_RTT, '0-rtt'), (HANDSHAKE, 'handshake'), (RETRY, 'retry')):
        for size in (50, 1200, 1400):
            first, middle = long_header(kind, noise(8), noise(8, 1))
            head = bytes([first | 1]) + middle + (varint(size) if kind != RETRY else b'')
            made['%s of %d' % (name, size)] = said(head + noise(size, 5))
    for size in (1, 2, 10, 20, 21, 22, 40, 41, 42, 43, 60, 100, 500, 1200, 1472):
        made['short header of %d' % size] = said(bytes([0x40 | noise(1, 9)[0] & 0x3f]) + noise(size - 1, 3))
    for size in (1, 2, 5, 6, 7, 15, 16, 25, 50, 100, 300, 800, 1199, 1200, 1300, 1472):
        made['noise of %d' % size] = said(noise(size))
        made['noise of %d behind a long header' % size] = said(b'\xc0\0\0\0\1\x08' + noise(size))
    made.update({'zeroes': said(bytes(1200)), 'ones': said(b'\xff' * 1200), 'http': said(b'GET / HTTP/1.1\r\n\r\n'), 'dns': said(bytes.fromhex('123401000001000000000000') + b'\4site\4test\0\0\1\0\1'),
                 'stun': said(bytes.fromhex('000100002112a442') + bytes(12)), 'dtls': said(bytes.fromhex('16feff0000000000000000') + b'\0\x30' + bytes(48)), 'wireguard': said(b'\1\0\0\0' + noise(144)),
                 'snmp': said(bytes.fromhex('302602010104067075626c6963a019')), 'ntp': said(b'\x1b' + bytes(47)), 'gquic': said(b'\x0d' + noise(8) + b'Q043\1' + noise(1180))})

    def beside(more):
        def make():
            to, of = os.urandom(8), os.urandom(8)
            return Session(raw=[initial(of_hello()(of), to, of), more(to, of)], dcid=to, scid=of)
        return make

    def zero_rtt(to, of):
        first, middle = long_header(ZERO_RTT, to, of)
        return bytes([first | 1]) + middle + varint(600) + noise(600)
    made['0-rtt behind a hello'] = beside(zero_rtt)
    made['noise behind a hello'] = beside(lambda to, of: noise(1200))
    made['a short header behind a hello'] = beside(lambda to, of: b'\x40' + to + noise(60))
    made['two datagrams'] = lambda: two_datagrams(False)
    made['two datagrams, the second one first'] = lambda: two_datagrams(True)
    made['half a flight'] = lambda: two_datagrams(False, 1)
    made['the other half'] = lambda: two_datagrams(True, 1)
    return made


def two_datagrams(backwards, sent=2):
    to, of = os.urandom(8), os.urandom(8)
    hello = quic_hello(of, name=b'site.test', more=extension(21, bytes(1000)))
    parts = [initial(crypto_frame(hello[:900]), to, of, number=0), initial(crypto_frame(hello[900:], 900), to, of, number=1)]
    return Session(raw=parts[::-1 if backwards else 1][:sent], dcid=to, scid=of)


def hellos(**more):
    """Handshakes that a server has something to say to. Those that come through say nothing more, and are closed."""
    def shake(**options):
        return lambda: Session(after=b'\x1d' + varint(0x100) + b'\0', **dict(more, **options))
    made = {
        'plain': shake(), 'no name': shake(name=None), 'another name': shake(name=b'other.test'), 'no protocol': shake(protocols=()), 'h2': shake(protocols=(b'h2',)),
        'hq': shake(protocols=(b'hq-interop',)), 'h3 among others': shake(protocols=(b'h2', b'h3', b'http/1.1')), 'suites': shake(suites=(0x1301, 0x1302, 0x1303)),
        'no common suite': shake(suites=(0x1399,)), 'tls 1.2': shake(versions=(0x0303,)), 'no version': shake(versions=()), 'p-256': shake(groups=(23,), shares=(23,)),
        'asked again': shake(groups=(24, 23), shares=()), 'no common group': shake(groups=(256,), shares=()), 'bad share': shake(shares=((X25519, b'short'),)),
        'session id': shake(session=b'\x55' * 32), 'grease ech': shake(more=grease_ech()), 'no common signature': shake(signatures=(0x0203,)),
        'no parameters': shake(hello=hello_without_parameters()), 'no own id': shake(parameters_more=[(0x0f, None)]), 'another id': shake(parameters_more=[(0x0f, b'wrong')]),
        'a parameter of servers': shake(parameters_more=[(0x00, b'12345678')]), 'payload of 1000': shake(parameters_more=[(0x03, varint(1000))]),
        'exponent of 30': shake(parameters_more=[(0x0a, varint(30))]), 'ids of 1': shake(parameters_more=[(0x0e, varint(1))]), 'streams without end': shake(parameters_more=[(0x08, varint(1 << 61))]),
        'datagrams': shake(parameters_more=[(0x20, varint(65535))]), 'unknown parameter': shake(parameters_more=[(0x4242, b'abc')]), 'no windows': shake(parameters_more=[(0x04, varint(0)), (0x07, varint(0))]),
        'early data': shake(more=extension(42, b'')),
    }
    return made


def hello_without_parameters():
    from tlsbytes import client_hello
    return client_hello(name=b'site.test', versions=(0x0304,), session=b'', protocols=(b'h3',), suites=(0x1301,), groups=(29,), shares=(29,))


def requests(**more):
    """HTTP/3: what a site is asked, well and badly (RFC 9114)."""
    def ask(request, **options):
        return lambda: Session(request, patience=LATE, **dict(more, **options))

    def odd(request, **options):
        """Where it is not sure that there is an answer."""
        return lambda: Session(request, patience=0.5, **dict(more, **options))
    body = b'\0' + varint(5) + b'hello'
    made = {
        'get': ask(get()), 'not found': ask(get(b'/nothing')), 'head': ask(get(method=b'HEAD')), 'post': ask(get(method=b'POST', more=[(b'content-length', b'5')]) + body),
        'post without a length': ask(get(method=b'POST') + body), 'put': ask(get(method=b'PUT') + body), 'options': ask(get(b'*', method=b'OPTIONS')), 'trace': ask(get(method=b'TRACE')),
        'unknown method': ask(get(method=b'BREW')), 'another host': ask(get(host=b'other.test')), 'range': ask(get(more=[(b'range', b'bytes=3-9')])), 'up': ask(get(b'/../../etc/passwd')),
        'bad escape': ask(get(b'/%zz')), 'query': ask(get(b'/?a=b')), 'long target': ask(get(b'/' + b'a' * 3000)), 'many fields': ask(get(more=[(b'x-%d' % i, b'a') for i in range(150)])),
        'long field': ask(get(more=[(b'x', b'a' * 7000)])), 'token': ask(get(more=[(b'authorization', b'Bearer wrong')])), 'not modified': ask(get(more=[(b'if-none-match', b'*')])),
        'tunnel': odd(headers_frame([(b':method', b'CONNECT'), (b':protocol', b'connect-ip'), (b':scheme', b'https'), (b':authority', b'site.test'),
                                     (b':path', b'/.well-known/masque/ip/*/*/'), (b'capsule-protocol', b'?1')])),
        'tunnel with a token': odd(headers_frame([(b':method', b'CONNECT'), (b':protocol', b'connect-ip'), (b':scheme', b'https'), (b':authority', b'site.test'),
                                                  (b':path', b'/.well-known/masque/ip/*/*/'), (b'authorization', b'Basic dXNlcjp3cm9uZw==')])),
        'websocket': odd(headers_frame([(b':method', b'CONNECT'), (b':protocol', b'websocket'), (b':scheme', b'https'), (b':authority', b'site.test'), (b':path', b'/')])),
        'connect': odd(headers_frame([(b':method', b'CONNECT'), (b':authority', b'a.test:443')])),
        'no path': odd(headers_frame([(b':method', b'GET'), (b':scheme', b'https'), (b':authority', b'site.test')])),
        'no authority': odd(headers_frame([(b':method', b'GET'), (b':scheme', b'https'), (b':path', b'/')])), 'upper case': odd(get(more=[(b'X-Upper', b'a')])),
        'a field of a connection': odd(get(more=[(b'connection', b'close')])), 'a pseudo field twice': odd(get(more=[(b':path', b'/')])), 'an unknown pseudo field': odd(get(more=[(b':odd', b'a')])),
        'a body first': odd(body + get()), 'an unknown frame': ask(b'\x40\x42\1a' + get()), 'a frame of http/2': odd(b'\2\0' + get()), 'settings on it': odd(b'\4\0' + get()),
        'a length that lies': odd(get(method=b'POST', more=[(b'content-length', b'9')]) + body), 'broken fields': odd(b'\1\3\0\0\xff'), 'a dynamic field': odd(b'\1\3\2\0\x80'),
        'nothing': odd(b''), 'trailers': ask(get(method=b'POST') + body + headers_frame([(b'x-end', b'1')])), 'a push': odd(get() + b'\5\1\0'),
        'two control streams': odd(get(), streams=[(6, b'\0\4\0')]), 'a push stream': odd(get(), streams=[(6, b'\1\0')]), 'an unknown stream': ask(get(), streams=[(6, b'\x40\x42abc')]),
        'a stream of servers': odd(get(), after=b'\x0a\3\1a'), 'too many streams': odd(get(), after=b'\x0a' + varint(4 * 100000) + b'\1a'), 'a datagram': odd(get(), after=b'\x30\0'),
        'handshake done': odd(get(), after=b'\x1e'), 'an unknown frame of quic': odd(get(), after=b'\x40\xff'), 'a path challenge': ask(get(), after=b'\x1a12345678'),
    }
    return made
