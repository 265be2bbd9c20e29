"""What is asked of a door and of the site behind it: one table of scripts for each property (tests/e2e/test_same.py names them)."""
import random
import ssl
import struct

from probe import Tls, plain_context, say, session
from tlsbytes import (CHANGE_CIPHER_SPEC, ECH, P256, P384, SUITES, X25519, X25519MLKEM768, alpn, as_records_at, client_hello, extension, grease_ech, hello,
                      record, records, server_name, u16, u24)

WAIT = 1.5               # seconds of the sites' time-outs
LIMIT = WAIT + 2.5       # when an end that was not seen will not come
SHORT = 0.6              # an answer is there long before
HOST = b'Host: site.test\r\n'
GET = b'GET / HTTP/1.1\r\n' + HOST + b'\r\n'


def noise(length, seed=0):
    return random.Random('%d.%d' % (length, seed)).randbytes(length)


def first(*pieces, pause=0.25, patience=8, rest=0.2):
    """What comes first is all that is asked for: the rest is other rows'."""
    def script(p):
        for piece in pieces[:-1]:
            p.send(piece)
            yield p.has(1), pause
        if not p.gone:
            p.send(pieces[-1])
            yield p.has(1), patience
            yield (lambda: False), rest
        p.note(p.end)
        p.reset()
    return script


def versions_and_suites():
    made = {'default': hello(), 'tls 1.3 alone': hello(versions=(0x0304,)), 'tls 1.2': hello(versions=()), 'grease version': hello(versions=(0x3a3a, 0x0304))}
    for suite in SUITES + (0x1304, 0x009e, 0xcca8, 0x000a, 0x1305, 0xc0ac):
        made['suite %04x' % suite] = hello(suites=(suite,))
        made['tls 1.2 suite %04x' % suite] = hello(suites=(suite,), versions=())
    made['suites backwards'] = hello(suites=SUITES[::-1])
    made['tls 1.2 suites backwards'] = hello(suites=SUITES[::-1], versions=())
    for group in (X25519, P256, P384, 25, 30, 256, X25519MLKEM768):
        shares = (group,) if group in (X25519, P256, P384) else ()
        made['group %d' % group] = hello(groups=(group,), shares=shares)
        made['tls 1.2 group %d' % group] = hello(groups=(group,), versions=())
    for signature in (0x0401, 0x0403, 0x0501, 0x0601, 0x0804, 0x0805, 0x0806, 0x0807, 0x0201):
        made['signature %04x' % signature] = hello(signatures=(signature,))
        made['tls 1.2 signature %04x' % signature] = hello(signatures=(signature,), versions=())
    for names in ((), (b'h2',), (b'http/1.1',), (b'http/1.1', b'h2'), (b'foo',), (b'http/1.0',), (b'acme-tls/1',), (b'spdy/3', b'h2'), (b'h3',)):
        made['alpn %s' % (names,)] = hello(protocols=names)
        made['tls 1.2 alpn %s' % (names,)] = hello(protocols=names, versions=())
    for name in (None, b'www.site.test', b'SITE.TEST', b'site.test.', b'other.test', b'x.site.test', b'localhost', b'192.0.2.1', b'xn--bcher-kva.test', b'a' * 250):
        made['name %s' % name] = hello(name=name)
        made['tls 1.2 name %s' % name] = hello(name=name, versions=())
    # ten that differ in everything, as fingerprinting scanners send them
    made.update({'scan %d' % i: scan(i) for i in range(10)})
    return {name: first(flight) for name, flight in made.items()}


def scan(number):
    shuffle = random.Random(number)
    suites = list(SUITES)
    shuffle.shuffle(suites)
    if number % 3 == 0:
        suites.insert(0, 0x0a0a)
    return hello(suites=suites[:8 + number], versions=((), (0x0304, 0x0303), (0x0303, 0x0304), (0x0304, 0x0303, 0x0302))[number % 4],
                 legacy=(0x0303, 0x0301, 0x0302)[number % 3], protocols=((b'h2',), (), (b'http/1.1',))[number % 3],
                 groups=((X25519, P256), (P256, X25519), (P384, P256, X25519))[number % 3])


def tickets(limit=LIMIT):
    """Whole sessions: what is negotiated, how many tickets come and how long they are."""
    made = {}
    for name, context in (('tls 1.3', plain_context(ssl.TLSVersion.TLSv1_3)), ('tls 1.2', plain_context(ssl.TLSVersion.TLSv1_2)),
                          ('p-384', plain_context(groups='secp384r1')), ('no protocol', plain_context(protocols=())),
                          ('chacha', plain_context(ssl.TLSVersion.TLSv1_2, ciphers='ECDHE-RSA-CHACHA20-POLY1305'))):
        made['session ' + name] = session(GET, context=context, limit=SHORT)
        made['session and close ' + name] = session(b'GET / HTTP/1.1\r\n' + HOST + b'Connection: close\r\n\r\n', context=context, limit=limit)
        made['resumed ' + name] = resumed(context)
    return made


def resumed(context):
    """The second of two connections takes up the session of the first, by a TLS of its own each."""
    state = {}

    def script(p):
        tls = Tls(p, context, session=state.get('session'))
        if (yield from tls.handshake()):
            tls.send(GET)
            yield from tls.read(lambda text: b'</title>' in text, 2)
            p.note(('resumed', tls.object.session_reused))
            state['session'] = tls.object.session
    return script


def alerts(limit=LIMIT):
    whole = client_hello()
    made = {
        'tls 1.0': hello(versions=(), legacy=0x0301), 'tls 1.1': hello(versions=(), legacy=0x0302), 'ssl 3': hello(versions=(), legacy=0x0300),
        'tls 1.1 in versions': hello(versions=(0x0302,)), 'unknown version': hello(versions=(0x0399,)), 'legacy 0x0304': hello(versions=(), legacy=0x0304),
        'no name': hello(name=None), 'unknown name': hello(name=b'nobody.test'), 'no common suite': hello(suites=(0x00ff, 0x1399)),
        'no common group': hello(groups=(25, 30), shares=()), 'no common signature': hello(signatures=(0x0203,)), 'no suites': hello(suites=()),
        'no extensions': hello(raw_extensions=b''), 'compression missing': hello(compression=b''), 'compression': hello(compression=b'\1'),
        'fallback scsv': hello(versions=(), legacy=0x0302, suites=(0x5600,) + SUITES),
        'empty session': hello(session=b''), 'session of 33': hello(session=bytes(33)), 'duplicate extension': hello(more=server_name(b'site.test')),
        'duplicate unknown': hello(more=extension(0x4444, b'') * 2), 'empty name': hello(name=b''), 'name of zeroes': hello(name=b'\0\0\0'),
        'name list empty': hello(name=None, more=extension(0, b'')), 'two names': hello(name=None, more=extension(0, u16((b'\0' + u16(b'a.test')) * 2))),
        'bad key share': hello(shares=((X25519, b'short'),)), 'point not on curve': hello(groups=(P256,), shares=((P256, b'\x04' + bytes(64)),)),
        'zero x25519': hello(shares=((X25519, bytes(32)),)), 'share twice': hello(shares=(X25519, X25519)),
        'psk not last': hello(more=extension(41, u16(u16(b'id') + bytes(4)) + u16(b'\x20' + bytes(32))) + extension(0x5555, b'')),
        'psk': hello(more=extension(41, u16(u16(b'id') + bytes(4)) + u16(b'\x20' + bytes(32)))), 'cookie': hello(more=extension(44, u16(b'cookie'))),
        'ocsp v2': hello(more=extension(17, bytes(9))), 'alpn empty': hello(protocols=(), more=extension(16, b'')),
        'alpn lies': hello(protocols=(), more=extension(16, u16(b'\x09h2'))), 'alpn empty name': hello(protocols=(), more=alpn([b''])),
        'extensions lie': records(whole[:-1]), 'length lies long': records(b'\x01' + (len(whole) + 50).to_bytes(3, 'big') + whole[4:]),
        'length lies short': records(b'\x01' + (len(whole) - 54).to_bytes(3, 'big') + whole[4:]), 'bytes behind': records(whole + b'more'),
        'two hellos': records(whole + whole), 'a server hello': records(b'\x02' + whole[1:]), 'finished': records(b'\x14\0\0\x0c' + bytes(12)),
        'hello request': records(b'\0\0\0\0'), 'huge length': records(b'\x01\xff\xff\xff' + bytes(200)), 'too long': records(b'\x01\x02\x01\x50' + bytes(200)),
        'empty message': records(b'\x01\0\0\0'), 'unknown message': records(b'\x77\0\0\x04abcd'),
    }
    for version in (0x0000, 0x0200, 0x0299, 0x0300, 0x0302, 0x0303, 0x0304, 0x03ff, 0x0400, 0x0505, 0xffff):
        made['record version %04x' % version] = records(whole, version=version)
        made['header version %04x' % version] = records(whole, version=version)[:5]
    for length in (16384, 16385, 16640, 16641, 18432, 18433, 65535):
        made['record of %d' % length] = record(whole + bytes(200), length=length)
        made['record of %d, all of it' % length] = record(whole.ljust(length, b'\0'), length=length)
        made['header of %d' % length] = record(length=length)
    for kind in (0, 19, 20, 21, 23, 24, 25, 64, 128, 255):
        made['content type %d' % kind] = records(whole, kind=kind)
        made['content type %d, header' % kind] = records(whole, kind=kind)[:5]
    made.update({
        'zero length': record(), 'zero length and hello': record() + hello(), 'zero length 40 times': record() * 40, 'zero length of alert': record(kind=21),
        'zero length in hello': records(whole[:100]) + record() + records(whole[100:]), 'alert first': record(b'\x02\x28', 21), 'close first': record(b'\x01\0', 21),
        'warning first': record(b'\x01\x70', 21) + hello(), 'ccs first': CHANGE_CIPHER_SPEC + hello(), 'ccs alone': CHANGE_CIPHER_SPEC, 'ccs in hello':
        records(whole[:100]) + CHANGE_CIPHER_SPEC + records(whole[100:]), 'data first': record(b'hello', 23), 'heartbeat': record(b'\x01\x40\0' + bytes(16), 24),
        'hello and alert': hello() + record(b'\x02\x28', 21), 'hello and close': hello() + record(b'\x01\0', 21), 'hello and garbage': hello() + noise(500),
        'hello and http': hello() + GET, 'hello and much garbage': hello() + noise(100000), 'hello twice': hello() * 2,
        'http': GET, 'http 1.0': b'GET / HTTP/1.0\r\n\r\n', 'http 0.9': b'GET /\r\n', 'http post': b'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello',
        'http broken': b'GET\r\n\r\n', 'http connect': b'CONNECT a.test:443 HTTP/1.1\r\nHost: a.test\r\n\r\n', 'h2 preface': b'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n',
        'http long': b'GET /' + b'a' * 20000 + b' HTTP/1.1\r\n\r\n', 'proxy v1': b'PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n', 'websocket': b'GET / HTTP/1.1\r\nUpgrade: websocket\r\n',
        'proxy v2': bytes.fromhex('0d0a0d0a000d0a515549540a21110000'), 'ssl 2': bytes.fromhex('802e0103010015000000100000040100800000') + bytes(29),
        'ssl 2 hello': bytes.fromhex('802b01030100120000001000002f00003500000a0100800700c0') + bytes(19), 'ssh': b'SSH-2.0-OpenSSH_9.2\r\n', 'smtp': b'EHLO a.test\r\n',
        'stun': bytes.fromhex('000100002112a442') + bytes(12), 'turn channel': bytes.fromhex('40000004') + b'abcd', 's7': bytes.fromhex('0300001611e00000000100c0010ac1020100c2020102'),
        'modbus': bytes.fromhex('000000000005002b0e0100'), 'rdp': bytes.fromhex('030000130ee000000000000100080003000000'), 'dns': bytes.fromhex('001d000001000001') + bytes(21),
        'socks 5': b'\x05\x01\x00', 'socks 4': b'\x04\x01\x00\x50\x7f\0\0\x01\0', 'mysql': b'\x03\0\0\0\x1b', 'ldap': bytes.fromhex('300c020101600702010304008000'),
        'smb': b'\0\0\0\x2f\xffSMB' + bytes(43), 'redis': b'*1\r\n$4\r\nPING\r\n', 'postgres': struct.pack('!II', 8, 80877103), 'openvpn': b'\0\x0e\x38' + bytes(13),
        'newlines': b'\n' * 64, 'zeroes': bytes(64), 'ones': b'\xff' * 64, 'telnet': b'\xff\xfb\x01',
    })
    return {name: say(flight, limit=limit) for name, flight in made.items()}


def garbage(lengths, limit=LIMIT):
    return {'garbage of %d' % length: say(noise(length), limit=limit) for length in lengths}


def mutated(count, limit=LIMIT):
    """Hellos with a few bytes changed: each goes wrong in its own way."""
    made, whole = {}, hello()
    for i in range(count):
        change = random.Random(i)
        flight = bytearray(whole)
        for _ in range(change.randint(1, 3)):
            flight[change.randrange(len(flight))] = change.randrange(256)
        made['mutation %d' % i] = say(bytes(flight), limit=limit)
    return made


STALLS = {
    'nothing': b'', 'one byte of a record': b'\x16', 'one letter': b'G', 'a zero': b'\0', 'one byte with the high bit': b'\x80', 'three bytes': hello()[:3],
    'a header': hello()[:5], 'a header and one byte': hello()[:6], 'half a hello': hello()[:150], 'a hello but one byte': hello()[:-1], 'half a request': GET[:10],
    'one record of two': records(client_hello(), 100)[:105],
}


def stalls(limit=LIMIT):
    return {name: say(*([flight] if flight else []), limit=limit) for name, flight in STALLS.items()}


def bytes_through(limit=LIMIT):
    big = records(client_hello(more=extension(21, bytes(3000))))
    retry = client_hello(groups=(25, P384, P256), shares=())
    second = client_hello(groups=(25, P384, P256), shares=(P256,))
    return {
        'hello retry request': first(records(retry)), 'hello retry request and on': say(records(retry), CHANGE_CIPHER_SPEC + records(second), pause=1.0, limit=limit),
        'hello retry request, again the same': say(records(retry), records(retry), pause=1.0, limit=limit),
        'change cipher spec behind the hello': say(hello() + CHANGE_CIPHER_SPEC, limit=limit), 'change cipher spec, later': say(hello(), CHANGE_CIPHER_SPEC, pause=1.0, limit=limit),
        'early data that no one can read': say(hello(more=extension(42, b'')) + record(noise(300), 23), limit=limit),
        'much early data': say(hello(more=extension(42, b'')) + record(noise(16000), 23) * 3, limit=limit), 'padding': first(big),
        'large file': session(b'GET /large HTTP/1.1\r\n' + HOST + b'Connection: close\r\n\r\n', limit=limit + 10),
        'large file, tls 1.2': session(b'GET /large HTTP/1.1\r\n' + HOST + b'Connection: close\r\n\r\n', context=plain_context(ssl.TLSVersion.TLSv1_2), limit=limit + 10),
    }


def split(limit=LIMIT):
    """Two segments at every offset, two records at every offset, and other ways to cut a hello."""
    flight, message = hello(), client_hello()
    made = {'segments at %d' % at: first(flight[:at], flight[at:]) for at in range(1, len(flight))}
    made.update({'records at %d' % at: first(as_records_at(message, at)) for at in range(1, len(message))})
    made.update({'records of %d' % size: first(records(message, size)) for size in (1, 2, 3, 4, 5, 7, 16, 50, 64, 128, 255, 256)})
    made['byte by byte'] = first(*[flight[i:i + 1] for i in range(len(flight))], pause=0.0)
    for size in (9000, 16000, 17000, 40000, 60000, 65000):
        made['hello of %d' % size] = say(records(client_hello(more=extension(0x7777, bytes(size)))), limit=limit)
    for size in (65500, 65536, 70000, 131000, 140000):  # as much as a message can say of itself
        made['message of %d' % size] = say(records(b'\x01' + u24(bytes(size))), limit=limit)
    post_quantum = dict(groups=(X25519MLKEM768, X25519, P256), shares=((X25519MLKEM768, noise(1216)), X25519))
    made['post-quantum'] = first(hello(**post_quantum))
    made['post-quantum in two segments'] = first(hello(**post_quantum)[:1400], hello(**post_quantum)[1400:])
    made['post-quantum alone'] = first(hello(groups=(X25519MLKEM768,), shares=((X25519MLKEM768, noise(1216)),)))
    made['hello and early data in one segment'] = say(hello(more=extension(42, b'')) + record(noise(200), 23), limit=limit)
    made['urgent byte behind the hello'] = say(hello(), limit=limit, urgent=b'!')
    made['urgent byte before anything'] = say(limit=limit, urgent=b'!')
    return made


def half_closes(limit=LIMIT):
    made = {'half-close after ' + name: say(*([flight] if flight else []), limit=limit, end=True) for name, flight in STALLS.items()}
    made['half-close after a hello'] = say(hello(), limit=limit, end=True)
    made['half-close after the answer'] = say(hello(), b'', pause=0.5, limit=limit, end=True)
    made['half-close after garbage'] = say(noise(100), limit=limit, end=True)
    made['half-close after http'] = say(GET, limit=limit, end=True)
    made['half-close after a request'] = session(GET, limit=limit, end=True)
    made['half-close before the answer'] = session(GET, answer=0, limit=limit, end=True)
    made['half-close before the large answer'] = session(b'GET /large HTTP/1.1\r\n' + HOST + b'\r\n', answer=0, limit=limit + 10, end=True)
    made['half-close within a session'] = session(limit=limit, end=True)
    made['the site closes'] = session(b'GET / HTTP/1.1\r\n' + HOST + b'Connection: close\r\n\r\n', limit=limit)
    made['the site closes, and we go on'] = session(b'GET / HTTP/1.1\r\n' + HOST + b'Connection: close\r\n\r\n', GET, GET, limit=limit)
    return made


def floods(limit=LIMIT):
    made = {}
    beside = {
        'ccs': [CHANGE_CIPHER_SPEC], 'ccs 40 times': [CHANGE_CIPHER_SPEC * 40], 'ccs 2000 times': [CHANGE_CIPHER_SPEC * 2000], 'ccs of two bytes': [record(b'\1\1', 20)],
        'empty data': [record(kind=23)], 'empty data 100 times': [record(kind=23) * 100], 'empty handshake': [record(kind=22)], 'warning': [record(b'\x01\x5a', 21)],
        'warnings': [record(b'\x01\x5a', 21) * 20], 'plain close': [record(b'\x01\0', 21)], 'fatal alert': [record(b'\x02\x28', 21)], 'data that cannot be opened': [record(noise(64), 23)],
        'a hello again': [hello()], 'a record too long': [record(noise(16700), 23)], 'a header too long': [record(kind=23, length=20000)], 'a record cut short': [record(noise(20), 23, length=100)],
        'garbage': [noise(300)], 'unknown type': [record(b'abc', 99)],
    }
    for version, name in ((ssl.TLSVersion.TLSv1_3, 'tls 1.3'), (ssl.TLSVersion.TLSv1_2, 'tls 1.2')):
        for what, raw in beside.items():
            made['%s, behind a handshake: %s' % (name, what)] = session(raw=raw, context=plain_context(version), limit=limit)
            made['%s, behind a request: %s' % (name, what)] = session(GET, raw=raw, context=plain_context(version), limit=limit)
    for what, raw in beside.items():
        made['after the hello: ' + what] = say(hello(), *raw, pause=0.5, limit=limit)
    return made


def http_limits(limit=LIMIT):
    """Long headers and bodies, and requests that stall."""
    made = {}
    for size in (1000, 8000, 8192, 16000, 33000, 70000, 1100000):
        made['header of %d' % size] = session(b'GET / HTTP/1.1\r\n' + HOST + b'X: ' + b'a' * size + b'\r\n\r\n', limit=limit)
        made['target of %d' % size] = session(b'GET /' + b'a' * size + b' HTTP/1.1\r\n' + HOST + b'\r\n', limit=limit)
    for count in (100, 1000, 10000):
        made['%d headers' % count] = session(b'GET / HTTP/1.1\r\n' + HOST + b'X: a\r\n' * count + b'\r\n', limit=limit)
    made['body too long'] = session(b'POST / HTTP/1.1\r\n' + HOST + b'Content-Length: 20000000\r\n\r\n' + bytes(1000), limit=limit)
    made['body'] = session(b'POST / HTTP/1.1\r\n' + HOST + b'Content-Length: 5\r\n\r\nhello', limit=limit)
    made['body that never comes'] = session(b'POST / HTTP/1.1\r\n' + HOST + b'Content-Length: 50\r\n\r\nhello', limit=limit)
    made['body in chunks'] = session(b'POST / HTTP/1.1\r\n' + HOST + b'Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n', limit=limit)
    made['chunk that is none'] = session(b'POST / HTTP/1.1\r\n' + HOST + b'Transfer-Encoding: chunked\r\n\r\nzz\r\n', limit=limit)
    made['expectation'] = session(b'POST / HTTP/1.1\r\n' + HOST + b'Expect: 100-continue\r\nContent-Length: 5\r\n\r\n', b'hello', limit=limit)
    made['half a request'] = session(GET[:20], limit=limit)
    made['half a header'] = session(GET[:-3], limit=limit)
    made['two requests'] = session(GET + GET, limit=limit)
    return made


FRAME_SETTINGS = bytes.fromhex('000000040000000000')
PREFACE = b'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'


def http_broken(limit=LIMIT):
    requests = {
        'no version': b'GET /\r\n\r\n', 'version 1.2': b'GET / HTTP/1.2\r\n' + HOST + b'\r\n', 'version 2.0': b'GET / HTTP/2.0\r\n' + HOST + b'\r\n', 'version 9': b'GET / HTTP/9\r\n\r\n',
        'no host': b'GET / HTTP/1.1\r\n\r\n', 'two hosts': b'GET / HTTP/1.1\r\n' + HOST + HOST + b'\r\n', 'another host': b'GET / HTTP/1.1\r\nHost: other.test\r\n\r\n',
        'empty host': b'GET / HTTP/1.1\r\nHost: \r\n\r\n', 'odd host': b'GET / HTTP/1.1\r\nHost: a b\r\n\r\n', 'connect': b'CONNECT site.test:443 HTTP/1.1\r\n' + HOST + b'\r\n',
        'absolute': b'GET http://site.test/ HTTP/1.1\r\n' + HOST + b'\r\n', 'absolute elsewhere': b'GET https://other.test/ HTTP/1.1\r\n' + HOST + b'\r\n', 'star': b'OPTIONS * HTTP/1.1\r\n' + HOST + b'\r\n',
        'trace': b'TRACE / HTTP/1.1\r\n' + HOST + b'\r\n', 'unknown method': b'BREW / HTTP/1.1\r\n' + HOST + b'\r\n', 'lower case': b'get / HTTP/1.1\r\n' + HOST + b'\r\n',
        'head': b'HEAD / HTTP/1.1\r\n' + HOST + b'\r\n', 'not found': b'GET /nothing HTTP/1.1\r\n' + HOST + b'\r\n', 'up': b'GET /../../etc/passwd HTTP/1.1\r\n' + HOST + b'\r\n',
        'space in target': b'GET /a b HTTP/1.1\r\n' + HOST + b'\r\n', 'nul in target': b'GET /\0 HTTP/1.1\r\n' + HOST + b'\r\n', 'bad escape': b'GET /%zz HTTP/1.1\r\n' + HOST + b'\r\n',
        'no colon': b'GET / HTTP/1.1\r\n' + HOST + b'nonsense\r\n\r\n', 'space before colon': b'GET / HTTP/1.1\r\n' + HOST + b'X : a\r\n\r\n', 'folded': b'GET / HTTP/1.1\r\n' + HOST + b'X: a\r\n b\r\n\r\n',
        'nul in header': b'GET / HTTP/1.1\r\n' + HOST + b'X: \0\r\n\r\n', 'newlines alone': b'GET / HTTP/1.1\n' + HOST.replace(b'\r', b'') + b'\n', 'newlines first': b'\r\n\r\n' + GET,
        'two lengths': b'POST / HTTP/1.1\r\n' + HOST + b'Content-Length: 1\r\nContent-Length: 2\r\n\r\na', 'bad length': b'POST / HTTP/1.1\r\n' + HOST + b'Content-Length: -1\r\n\r\n',
        'length and chunks': b'POST / HTTP/1.1\r\n' + HOST + b'Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n', 'unknown coding': b'POST / HTTP/1.1\r\n' + HOST + b'Transfer-Encoding: odd\r\n\r\n',
        'range': b'GET / HTTP/1.1\r\n' + HOST + b'Range: bytes=5-3\r\n\r\n', 'upgrade h2c': b'GET / HTTP/1.1\r\n' + HOST + b'Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n\r\n',
        'websocket': b'GET / HTTP/1.1\r\n' + HOST + b'Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n',
        'masque': b'GET /.well-known/masque/ip/*/*/ HTTP/1.1\r\n' + HOST + b'Connection: Upgrade\r\nUpgrade: connect-ip\r\nCapsule-Protocol: ?1\r\n\r\n',
        'token': b'GET / HTTP/1.1\r\n' + HOST + b'Authorization: Bearer wrong\r\n\r\n', 'proxy token': b'CONNECT a.test:443 HTTP/1.1\r\nHost: a.test:443\r\nProxy-Authorization: Basic dTp0\r\n\r\n',
        'garbage': noise(200), 'h2 preface on h1': PREFACE + FRAME_SETTINGS,
    }
    made = {name: session(request, limit=limit) for name, request in requests.items()}
    h2 = plain_context(protocols=('h2', 'http/1.1'))
    frames = {
        'settings': PREFACE + FRAME_SETTINGS, 'preface': PREFACE, 'nothing': b'', 'bad preface': b'PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n', 'h1 on h2': GET,
        'ping': PREFACE + FRAME_SETTINGS + bytes.fromhex('000008060000000000') + b'12345678', 'ping of 7': PREFACE + FRAME_SETTINGS + bytes.fromhex('000007060000000000') + b'1234567',
        'data on 0': PREFACE + FRAME_SETTINGS + bytes.fromhex('000001000000000000') + b'a', 'unknown frame': PREFACE + FRAME_SETTINGS + bytes.fromhex('0000014f0000000000') + b'a',
        'frame too long': PREFACE + FRAME_SETTINGS + bytes.fromhex('ffffff000000000001'), 'window of 0': PREFACE + FRAME_SETTINGS + bytes.fromhex('00000408000000000000000000'),
        'push promise': PREFACE + FRAME_SETTINGS + bytes.fromhex('00000405050000000100000002'), 'even stream': PREFACE + FRAME_SETTINGS + bytes.fromhex('00000101050000000282'),
        'broken headers': PREFACE + FRAME_SETTINGS + bytes.fromhex('000001010500000001ff'), 'settings of 5': PREFACE + bytes.fromhex('000005040000000000') + bytes(5),
        'extended connect': PREFACE + FRAME_SETTINGS + bytes.fromhex('000004010400000001') + b'\x02\x07CO',
    }
    for name, flight in frames.items():
        made['h2 ' + name] = session(*([flight] if flight else []), context=h2, limit=limit)
    return made


def encrypted_hellos(limit=LIMIT):
    retry = dict(groups=(P384, P256), shares=())
    made = {
        'grease': first(hello(more=grease_ech())), 'grease, another id': first(hello(more=grease_ech(config_id=0))), 'grease, chacha': first(hello(more=grease_ech(aead=3))),
        'grease, long': first(hello(more=grease_ech(payload=noise(400)))), 'unknown suite': first(hello(more=grease_ech(kdf=0x7777))), 'retry': first(hello(more=grease_ech(), **retry)),
        'retry, and on': say(hello(more=grease_ech(), **retry), hello(more=grease_ech(enc=b''), groups=(P384, P256), shares=(P256,)), pause=1.0, limit=limit),
        'retry, other ech': say(hello(more=grease_ech(), **retry), hello(more=grease_ech(config_id=9), groups=(P384, P256), shares=(P256,)), pause=1.0, limit=limit),
        'inner type': say(hello(more=extension(ECH, b'\x01')), limit=limit), 'unknown type': say(hello(more=extension(ECH, b'\x02')), limit=limit),
        'empty': say(hello(more=extension(ECH, b'')), limit=limit), 'cut': say(hello(more=extension(ECH, b'\0\0\x01\0\x01\x05\0\x20abc')), limit=limit),
        'no payload': say(hello(more=grease_ech(payload=b'')), limit=limit), 'twice': say(hello(more=grease_ech() * 2), limit=limit),
        'outer extensions': say(hello(more=extension(0xfd00, b'\x02\0\x33')), limit=limit), 'tls 1.2': first(hello(versions=(), more=grease_ech())),
    }
    for name in (None, b'public.test', b'other.test'):
        made['grease for %s' % name] = first(hello(name=name, more=grease_ech()))
    return made
