"""QUIC version 1 and HTTP/3 as bytes, of a client that wants to see what a server does and answers no more than it must (RFC 9000, 9001, 9114, 9204).

One handshake with X25519 and AES-128-GCM, one request. The client's share is the curve's base point, so the secret that both share is
the server's share itself.
"""
import hashlib
import hmac
import os
import re
import struct

from sealing import PacketKeys, derive, expand_label, extract, initial_secrets
from tlsbytes import Text, client_hello, extension, mask_dates, mask_handshake

INITIAL, ZERO_RTT, HANDSHAKE, RETRY, ONE_RTT = range(5)
TYPES = ('initial', '0-rtt', 'handshake', 'retry', '1-rtt')
NO_ACK = (0x00, 0x02, 0x03, 0x1c, 0x1d)
# RFC 7541, appendix B: the code is canonical, so that the lengths say all
HUFFMAN = bytes.fromhex(
    '0d171c1c1c1c1c1c1c181e1c1c1e1c1c1c1c1c1c1c1c1e1c1c1c1c1c1c1c1c1c060a0a0c0d06080b0a0a080b080606060505050606060606060607080f060c0a'
    '0d06070707070707070707070707070707070707070707070807080d130d0e060f05060506050606060507070606060506070605050607070707070f0b0e0d1c'
    '14161414161616171617171717171817181816171817171717151617161717181615141616171715171616181516171715151615171617171416161617161617'
    '1a1a1413161716191a1a1a1b1b1a181913151a1b1b1a1b1815151a1a1c1b1b1b14181415161515171616191918181a171a1b1a1a1b1b1b1b1b1c1b1b1b1b1b1a')


def varint(value):
    for size, mark in ((1, 0), (2, 1), (4, 2), (8, 3)):
        if value < 1 << (8 * size - 2):
            return (value | mark << (8 * size - 2)).to_bytes(size, 'big')
    raise ValueError(value)


def take_varint(t):
    first = t.number(1)
    return (first & 0x3f) << 8 * ((1 << (first >> 6)) - 1) | t.number((1 << (first >> 6)) - 1)


def crypto_frame(data, offset=0):
    return b'\x06' + varint(offset) + varint(len(data)) + data


def parameters(scid, more=()):
    """Transport parameters as browsers have them (RFC 9000, section 18.2)."""
    values = [(0x01, varint(30000)), (0x03, varint(1472)), (0x04, varint(1 << 20)), (0x05, varint(1 << 18)), (0x06, varint(1 << 18)), (0x07, varint(1 << 18)),
              (0x08, varint(100)), (0x09, varint(103)), (0x0f, scid)]
    given = dict(values)
    given.update(more)
    return b''.join(varint(kind) + varint(len(value)) + value for kind, value in given.items() if value is not None)


def quic_hello(scid, parameters_more=(), **options):
    """A ClientHello of QUIC; options as of tlsbytes.client_hello."""
    given = dict(versions=(0x0304,), session=b'', protocols=(b'h3',), suites=(0x1301,), groups=(29,), shares=(29,))
    given.update(options)
    given['more'] = extension(57, parameters(scid, parameters_more)) + given.get('more', b'')
    return client_hello(**given)


def long_header(kind, dcid, scid, version=1, token=b''):
    """(first byte, what follows it to the length)"""
    return 0xc0 | kind << 4, struct.pack('!I', version) + bytes([len(dcid)]) + dcid + bytes([len(scid)]) + scid + (
        varint(len(token)) + token if kind == INITIAL else b'')


def initial(frames, dcid, scid=b'', size=1200, number=0, version=1, token=b'', secret=None, first=None):
    """A datagram of one Initial packet, padded to <size>. <secret> and <first> stand in for what is right."""
    own_first, middle = long_header(INITIAL, dcid, scid, version, token)
    frames += bytes(max(0, size - (1 + len(middle) + 2 + 2 + len(frames) + 16)))
    middle += struct.pack('!H', 0x4000 | (2 + len(frames) + 16))
    return PacketKeys(secret or initial_secrets(dcid)[0]).protect(own_first if first is None else first, middle, number, frames)


# ---- what comes ----

def huffman_codes():
    codes, code, last = {}, 0, 0
    for size, symbol in sorted((size, symbol) for symbol, size in enumerate(HUFFMAN)):
        code <<= size - last
        last = size
        codes[size, code] = symbol
        code += 1
    return codes


CODES = huffman_codes()


def huffman(data):
    out, code, size = bytearray(), 0, 0
    for byte in data:
        for bit in range(7, -1, -1):
            code, size = code << 1 | byte >> bit & 1, size + 1
            if (size, code) in CODES:
                out.append(CODES[size, code])
                code = size = 0
    return bytes(out)


def prefixed(t, bits):
    value = t.number(1) & (1 << bits) - 1
    shift = 0
    if value == (1 << bits) - 1:
        while True:
            byte = t.number(1)
            value += (byte & 0x7f) << shift
            shift += 7
            if not byte & 0x80:
                break
    return value


def string(t, bits=7):
    is_huffman = t.data[0] >> bits & 1
    data = t.take(prefixed(t, bits))
    return huffman(data) if is_huffman else data


def fields_of(block):
    """A field section (RFC 9204, section 4.5) as (name, value); what is static stays its number. No dynamic table: we allow none."""
    t, out = Text(block), []
    prefixed(t, 8), prefixed(t, 7)
    while t.data:
        first = t.data[0]
        if first & 0x80:
            out.append((prefixed(t, 6), ''))
        elif first & 0x40:
            out.append((prefixed(t, 4), string(t)))
        elif first & 0x20:
            out.append((string(t, 3), string(t)))
        else:
            raise ValueError('a field of a dynamic table')
    return [('date', '*') if name in (6, b'date') else (name, value) for name, value in out]


def plain(data, bits=7, mark=0):
    if len(data) < (1 << bits) - 1:
        return bytes([mark | len(data)]) + data
    rest, size = len(data) - ((1 << bits) - 1), b''
    while rest >= 0x80:
        size, rest = size + bytes([rest & 0x7f | 0x80]), rest >> 7
    return bytes([mark | (1 << bits) - 1]) + size + bytes([rest]) + data


def field_section(fields):
    return b'\0\0' + b''.join(plain(name, 3, 0x20) + plain(value) for name, value in fields)


def headers_frame(fields):
    block = field_section(fields)
    return b'\1' + varint(len(block)) + block


def get(path=b'/', host=b'site.test', method=b'GET', more=()):
    return headers_frame([(b':method', method), (b':scheme', b'https'), (b':authority', host), (b':path', path)] + list(more))


def reserved(kind):
    """GREASE, of frames, streams and settings (RFC 9114, section 7.2.8)."""
    return kind >= 0x21 and (kind - 0x21) % 0x1f == 0


def frames_of_http(data):
    """[(type, what is in it)], and data behind the last whole one as ('part', its length)."""
    t, out, body = Text(data), [], b''
    try:
        while t.data:
            rest = t.data
            kind, payload = take_varint(t), t.take(take_varint(t))
            if kind == 0:
                body += payload
                continue
            if kind == 4:
                s, settings = Text(payload), []
                while s.data:
                    settings.append((take_varint(s), take_varint(s)))
                payload = tuple(pair for pair in settings if not reserved(pair[0]))
            out.append(('headers', tuple(fields_of(payload))) if kind == 1 else ('reserved',) if reserved(kind) else (kind, payload))
    except ValueError:
        out.append(('part', len(rest)))
    return out + ([('body', len(body), mask_dates(body)[:400], hashlib.sha256(mask_dates(body)).hexdigest()[:16])] if body else [])


RANDOM_PARAMETERS = {0x00: 'its first id', 0x02: 'a reset token', 0x0f: 'an id', 0x10: 'the id of its Retry'}


def mask_parameters(data):
    t, out = Text(data), []
    while t.data:
        kind, value = take_varint(t), t.take(take_varint(t))
        out.append('reserved' if (kind - 27) % 31 == 0 else (kind, len(value), RANDOM_PARAMETERS[kind]) if kind in RANDOM_PARAMETERS else (kind, value.hex()))
    return tuple(out)


def mask_tls(message):
    """Of the messages behind ServerHello, in the order in which they come. The order of the parameters is random on purpose with some."""
    kind, body = message
    if kind == 8:
        t, out = Text(body[2:]), []
        while t.data:
            name, value = t.number(2), t.take(t.number(2))
            out.append((name, tuple(sorted(mask_parameters(value), key=str))) if name == 57 else (name, value.hex()))
        return ('encrypted extensions', tuple(out))
    if kind in (15, 20):
        return (kind, len(body))
    return (kind, len(body), hashlib.sha256(body).hexdigest()[:16]) if isinstance(body, bytes) else message


class Space:
    """Packets of one number space."""

    def __init__(self):
        self.mine, self.theirs = None, None  # keys
        self.number = 0
        self.got, self.owed = set(), False
        self.crypto, self.pieces = b'', {}

    def ack(self):
        """A frame for all that came."""
        ranges, numbers = [], sorted(self.got, reverse=True)
        for number in numbers:
            if ranges and ranges[-1][1] == number + 1:
                ranges[-1][1] = number
            else:
                ranges.append([number, number])
        out = b'\x02' + varint(ranges[0][0]) + varint(0) + varint(len(ranges) - 1) + varint(ranges[0][0] - ranges[0][1])
        for (_, above), (high, low) in zip(ranges, ranges[1:]):
            out += varint(above - high - 2) + varint(high - low)
        return out

    def take_crypto(self, offset, data):
        self.pieces[offset] = max(data, self.pieces.get(offset, b''), key=len)
        while True:
            found = [at for at in self.pieces if at <= len(self.crypto) < at + len(self.pieces[at])]
            if not found:
                return
            self.crypto += self.pieces[found[0]][len(self.crypto) - found[0]:]


class Session:
    """Goes through a handshake, says <request> on a stream, and ends when it is answered. <raw> are datagrams that are sent instead of a first flight of its own."""

    def __init__(self, request=None, raw=None, dcid=None, scid=None, size=1200, token=b'', hello=None, beside=None, streams=(), after=b'', close=True, name=b'site.test',
                 parameters_more=(), patience=None, first=False, follow=True, ordered=True, **options):
        self.request, self.raw, self.beside, self.after, self.extra, self.closes, self.patience = request, raw, beside, after, list(streams), close, patience
        self.ordered = ordered   # the order of fields is not chance
        self.follow = follow     # the handshake; else it is somebody else's
        self.only_first = first  # the first answer is all that is asked for
        self.dcid, self.scid, self.size, self.token = dcid if dcid is not None else os.urandom(8), scid if scid is not None else os.urandom(8), size, token
        self.hello = hello or quic_hello(self.scid, parameters_more, name=name, **options)
        self.spaces = [Space(), None, Space(), None, Space()]
        self._initial_keys()
        self.peer = None      # the server's id
        self.seen = []        # in the order in which it came first
        self.streams = {}     # id -> {offset: data}
        self.ended = set()    # streams
        self.over = self.done = False
        self.transcript = self.hello
        self.early = []       # packets that came before their keys
        self.handshake_secret = None

    def _initial_keys(self):
        mine, theirs = initial_secrets(self.dcid)
        self.spaces[INITIAL].mine, self.spaces[INITIAL].theirs = PacketKeys(mine), PacketKeys(theirs)

    def see(self, *what):
        if what not in self.seen:
            self.seen.append(what)

    def outcome(self):
        """All that should be the same again."""
        out = list(self.seen)
        if self.request is None or any(what[0] == 'close' for what in out):  # it ends as these come
            out = [what for what in out if what[0] not in ('handshake done', 'token', 'another id')]
        for kind in (INITIAL, HANDSHAKE):
            out += [('tls', TYPES[kind], item if isinstance(item[0], str) else mask_tls(item)) for item in mask_handshake(self.spaces[kind].crypto, b'')]
        for number in sorted(self.streams) if self.request is not None else ():
            out.append(self._stream(number))
        return tuple(sorted(set(out), key=str))

    def _stream(self, number):
        data, whole = self.data_of(number), number in self.ended
        if number & 3 == 3 and data:
            t = Text(data)
            kind = take_varint(t)
            return ('stream', 'reserved') if reserved(kind) else ('stream', kind, tuple(frames_of_http(t.data)) if kind == 0 else t.data)
        frames = [(frame[0], tuple(sorted(frame[1], key=str))) if frame[0] == 'headers' and not self.ordered else frame for frame in frames_of_http(data)]
        return ('answer', number, whole, tuple(frames))

    def data_of(self, number):
        out = b''
        for at in sorted(self.streams.get(number, {})):
            piece = self.streams[number][at]
            if at > len(out):
                break
            out += piece[len(out) - at:]
        return out

    # -- out

    def start(self):
        if self.raw is not None:
            return list(self.raw)
        self.spaces[INITIAL].number += 1
        beside = self.beside or b''
        return [initial(crypto_frame(self.hello) + beside, self.dcid, self.scid, self.size, token=self.token)]

    def packet(self, kind, frames):
        space = self.spaces[kind]
        if not space.mine:
            return b''
        frames += bytes(max(0, 4 - len(frames)))
        number, space.number = space.number, space.number + 1
        if kind == ONE_RTT:
            return space.mine.protect(0x40, self.peer, number, frames)
        first, middle = long_header(kind, self.peer or self.dcid, self.scid)
        return space.mine.protect(first, middle + struct.pack('!H', 0x4000 | (2 + len(frames) + 16)), number, frames)

    def answers(self):
        out = b''
        for kind in (INITIAL, HANDSHAKE, ONE_RTT):
            space = self.spaces[kind]
            if space.owed and space.mine and (kind != INITIAL or self.handshake_secret is not None):
                out += self.packet(kind, space.ack())
                space.owed = False
        return [out + (bytes(1200 - len(out)) if out and out[0] & 0xf0 == 0xc0 else b'')] if out else []

    def finished(self):
        """The client's end of the handshake, and the request."""
        key = expand_label(self.client_secret, b'finished', b'', 32)
        verify = hmac.digest(key, hashlib.sha256(self.transcript).digest(), 'sha256')
        frames = crypto_frame(b'\x14\0\0\x20' + verify)
        out = [self.packet(HANDSHAKE, frames)]
        if self.request is not None:
            control = b'\0\x04\0'  # a control stream with no settings
            frames = b'\x0e\x02\0' + varint(len(control)) + control
            for number, data in self.extra:
                frames += b'\x0e' + varint(number) + b'\0' + varint(len(data)) + data
            out.append(self.packet(ONE_RTT, frames + self.after))
            out += [self.packet(ONE_RTT, (b'\x0f' if at + 1000 >= len(self.request) else b'\x0e') + b'\0' + varint(at) + varint(len(self.request[at:at + 1000])) +
                                self.request[at:at + 1000]) for at in range(0, max(1, len(self.request)), 1000)]
        elif self.after:
            out.append(self.packet(ONE_RTT, self.after))
        return out

    # -- in

    def on_datagram(self, data):
        """Datagrams to be sent."""
        if not self.seen:
            self.see('first datagram', len(data))
            self.over = self.only_first
        while data and not self.over:
            data = self._packet(data)
        out = []
        if self.handshake_secret is None:
            self._server_hello()
        if self.handshake_secret is not None and not self.done and self._has_finished():
            out += self.finished()
            early, self.early = self.early, []
            for packet in early:
                self._packet(packet)
        out += self.answers()
        if self.request is not None and 0 in self.ended and ('handshake done',) in self.seen and 3 in self.streams and not self.over:
            self.over = True
            if self.closes:
                out.append(self.packet(ONE_RTT, b'\x1d' + varint(0x100) + b'\0'))
        return out

    def _packet(self, data):
        if data[0] & 0x80:
            return self._long(data)
        space = self.spaces[ONE_RTT]
        opened = space.theirs and space.theirs.unprotect(data, 1 + len(self.scid)) if data[1:1 + len(self.scid)] == self.scid else None
        if opened:
            self._frames(ONE_RTT, opened)
        elif not space.theirs and self.handshake_secret is not None:
            self.early.append(data)
        elif data[1:1 + len(self.scid)] == self.scid:
            self.see('1-rtt')  # and we have no keys
        else:
            self.see('short header', len(data))
        return b''

    def _long(self, data):
        t = Text(data)
        first, version, dcid, scid = t.number(1), t.number(4), None, None
        try:
            dcid, scid = t.take(t.number(1)), t.take(t.number(1))
            ids = ('to', 'us' if dcid == self.scid else len(dcid), 'from', 'what was asked' if scid == self.dcid else len(scid))
            if version == 0:
                versions = [t.number(4) for _ in range(len(t.data) // 4)]
                self.see('version negotiation', ids, tuple(sorted('reserved' if v & 0x0f0f0f0f == 0x0a0a0a0a else '%08x' % v for v in versions)))
                return b''
            kind = first >> 4 & 3
            if kind == RETRY:
                self.see('retry', ids, len(t.data) - 16)
                return b''
            if kind == INITIAL:
                t.take(take_varint(t))
            length = take_varint(t)
            at = len(data) - len(t.data)
            packet = data[:at] + t.take(length)
        except ValueError:
            self.see('malformed', data[:1].hex(), len(data))
            return b''
        space = self.spaces[kind]
        opened = space.theirs.unprotect(packet, at) if space and space.theirs else None
        if opened:
            self.see(TYPES[kind], ids)
            self.peer = scid
            self._frames(kind, opened)
            if kind == INITIAL:
                self._server_hello()
        elif kind == INITIAL or not space:
            self.see('cannot be opened', TYPES[kind], ids)
        return t.data

    def _frames(self, kind, opened):
        space, (_, number, payload) = self.spaces[kind], opened
        space.got.add(number)
        t = Text(payload)
        while t.data:
            frame = take_varint(t)
            space.owed |= frame not in NO_ACK
            self._frame(kind, frame, t)

    def _frame(self, kind, frame, t):
        if frame in (0x00, 0x01):
            return
        if frame in (0x02, 0x03):
            take_varint(t), take_varint(t)
            count = take_varint(t)
            take_varint(t)
            for _ in range(2 * count + 3 * (frame == 0x03)):
                take_varint(t)
        elif frame == 0x06:
            self.spaces[kind].take_crypto(take_varint(t), t.take(take_varint(t)))
        elif 0x08 <= frame <= 0x0f:
            number = take_varint(t)
            offset = take_varint(t) if frame & 4 else 0
            data = t.take(take_varint(t)) if frame & 2 else t.take(len(t.data))
            self.streams.setdefault(number, {})[offset] = data
            if frame & 1:
                self.ended.add(number)
        elif frame in (0x1c, 0x1d):
            code, what = take_varint(t), take_varint(t) if frame == 0x1c else None
            self.see('close', TYPES[kind], frame, code, what, re.sub(rb'\b[0-9a-f]{16}\b', b'ID', t.take(take_varint(t))))
            self.over = True
        elif frame == 0x07:
            self.see('token', len(t.take(take_varint(t))))
        elif frame == 0x18:
            take_varint(t), take_varint(t)
            size = t.number(1)
            t.take(size + 16)
            self.see('another id', size)
        elif frame in (0x04, 0x05):
            self.see('reset' if frame == 4 else 'stop', take_varint(t), take_varint(t))
            if frame == 4:
                take_varint(t)
        elif frame in (0x1a, 0x1b):
            t.take(8)
        elif frame == 0x1e:
            self.see('handshake done')
        elif frame in (0x10, 0x12, 0x13, 0x14, 0x16, 0x17, 0x19):
            take_varint(t)
        elif frame in (0x11, 0x15):
            take_varint(t), take_varint(t)
        else:
            self.see('frame', frame)
            t.take(len(t.data))

    def _server_hello(self):
        space = self.spaces[INITIAL]
        size = 4 + int.from_bytes(space.crypto[1:4], 'big')
        if len(space.crypto) < 4 or len(space.crypto) < size or space.crypto[0] != 2 or self.raw is not None or not self.follow:
            return
        message = space.crypto[:size]
        t = Text(message[4:])
        t.take(34)
        t.take(t.number(1))
        t.take(3)
        t.take(2)
        share = None
        while t.data:
            kind, value = t.number(2), t.take(t.number(2))
            if kind == 51 and len(value) == 36:
                share = value[4:]
        if share is None:  # a HelloRetryRequest: seen, and not followed
            return
        self.transcript += message
        early = extract(bytes(32), bytes(32))
        self.handshake_secret = extract(derive(early, b'derived', b''), share)
        self.client_secret = derive(self.handshake_secret, b'c hs traffic', self.transcript)
        self.spaces[HANDSHAKE].mine = PacketKeys(self.client_secret)
        self.spaces[HANDSHAKE].theirs = PacketKeys(derive(self.handshake_secret, b's hs traffic', self.transcript))

    def _has_finished(self):
        data, at = self.spaces[HANDSHAKE].crypto, 0
        while len(data) >= at + 4:
            size = 4 + int.from_bytes(data[at + 1:at + 4], 'big')
            if len(data) < at + size:
                return False
            at += size
            if data[at - size] == 20:
                self.transcript += data[:at]
                master = extract(derive(self.handshake_secret, b'derived', b''), bytes(32))
                self.spaces[ONE_RTT].mine = PacketKeys(derive(master, b'c ap traffic', self.transcript))
                self.spaces[ONE_RTT].theirs = PacketKeys(derive(master, b's ap traffic', self.transcript))
                self.done = True
                return True
        return False
