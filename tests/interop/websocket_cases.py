"""What a WebSocket endpoint is asked, after the list of the Autobahn test suite (groups 1 to 7, 9 and 10), and what RFC 6455 wants in return.

A case is what a client says and what an echo answers: messages, pongs and, at the end, how the connection is closed. Frames are (fin, rsv, opcode,
payload).
"""
import struct
import threading

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10
PROTOCOL_ERROR, BAD_TEXT, NO_CODE = 1002, 1007, 1005


def frame(opcode, payload=b'', fin=True, rsv=0):
    return fin, rsv, opcode, payload


def text(payload, fin=True, rsv=0):
    return frame(TEXT, payload, fin, rsv)


def more(payload, fin=False):
    return frame(CONTINUATION, payload, fin)


def close(code=None, reason=b''):
    return frame(CLOSE, b'' if code is None else struct.pack('!H', code) + reason)


def emit(one, key=b'\x37\xfa\x21\x3d'):
    """As a client sends it."""
    fin, rsv, opcode, payload = one
    head = bytes([fin << 7 | rsv << 4 | opcode])
    if len(payload) < 126:
        head += bytes([0x80 | len(payload)])
    elif len(payload) < 65536:
        head += struct.pack('!BH', 0x80 | 126, len(payload))
    else:
        head += struct.pack('!BQ', 0x80 | 127, len(payload))
    size = len(payload)
    mask = (key * (size // 4 + 1))[:size]
    return head + key + (int.from_bytes(payload, 'big') ^ int.from_bytes(mask, 'big')).to_bytes(size, 'big')


class Case:
    """<says>: ('text', data), ('binary', data), ('pong', data) and perhaps ('close', code) at the end; without one the connection is good
    to the end, and closed by the client. <chop>: bytes that go at a time."""

    def __init__(self, name, sends, says, chop=0):
        self.name, self.sends, self.says, self.chop = name, sends, says, chop

    def __repr__(self):
        return self.name


def cut(data, size):
    return [data[at:at + size] for at in range(0, len(data), size)] or [b'']


def in_frames(opcode, data, size):
    parts = cut(data, size)
    return [frame(opcode if i == 0 else CONTINUATION, part, i == len(parts) - 1) for i, part in enumerate(parts)]


def group1():
    for group, opcode, kind, byte in ((1, TEXT, 'text', b'*'), (2, BINARY, 'binary', b'\xfe')):
        for number, size in enumerate((0, 125, 126, 127, 128, 65535, 65536), 1):
            yield Case('1.%d.%d' % (group, number), [frame(opcode, byte * size)], [(kind, byte * size)])
        yield Case('1.%d.8' % group, [frame(opcode, byte * 65536)], [(kind, byte * 65536)], 997)


def group2():
    pinged = [('Hello, world!', b'Hello, world!'), ('binary', b'\x00\xff\xfe\xfd\xfc\xfb\x00\xff'), ('125', b'\xfe' * 125)]
    yield Case('2.1', [frame(PING)], [('pong', b'')])
    for number, (_, data) in enumerate(pinged, 2):
        yield Case('2.%d' % number, [frame(PING, data)], [('pong', data)])
    yield Case('2.5', [frame(PING, b'\xfe' * 126)], [('close', PROTOCOL_ERROR)])
    yield Case('2.6', [frame(PING, b'\xfe' * 125)], [('pong', b'\xfe' * 125)], 1)
    yield Case('2.7', [frame(PONG)], [])
    yield Case('2.8', [frame(PONG, b'unsolicited')], [])
    yield Case('2.9', [frame(PONG, b'unsolicited'), frame(PING, b'ping')], [('pong', b'ping')])
    ten = [b'payload-%d' % i for i in range(10)]
    for number, chop in ((10, 0), (11, 1)):
        yield Case('2.%d' % number, [frame(PING, data) for data in ten], [('pong', data) for data in ten], chop)


def group3():
    hello = ('text', b'Hello, world!')
    good, ping = text(hello[1]), frame(PING)
    bad = ('close', PROTOCOL_ERROR)
    yield Case('3.1', [text(hello[1], rsv=1)], [bad])
    for number, rsv, chop in ((2, 2, 0), (3, 3, 7), (4, 4, 1)):
        yield Case('3.%d' % number, [good, text(hello[1], rsv=rsv), ping], [hello, bad], chop)
    yield Case('3.5', [frame(BINARY, b'\0\xff\xfe', rsv=5)], [bad])
    yield Case('3.6', [frame(PING, b'Hello, world!', rsv=6)], [bad])
    yield Case('3.7', [frame(CLOSE, rsv=7)], [bad])


def group4():
    hello, bad = ('text', b'Hello, world!'), ('close', PROTOCOL_ERROR)
    for group, first in ((1, 3), (2, 11)):
        for i in range(5):
            sends = [frame(first + i, b'' if i == 0 else b'reserved')]
            if i < 2:
                yield Case('4.%d.%d' % (group, i + 1), sends, [bad])
            else:
                yield Case('4.%d.%d' % (group, i + 1), [text(hello[1])] + sends + [frame(PING)], [hello, bad], 1 if i == 4 else 0)


def group5():
    bad = ('close', PROTOCOL_ERROR)
    whole = ('text', b'fragment1fragment2')
    first, second = text(b'fragment1', fin=False), more(b'fragment2', fin=True)
    ping, pong = frame(PING, b'ping'), ('pong', b'ping')
    yield Case('5.1', [frame(PING, b'fragment1', fin=False), second], [bad])
    yield Case('5.2', [frame(PONG, b'fragment1', fin=False), second], [bad])
    for number, chop in ((3, 0), (4, 5), (5, 1)):
        yield Case('5.%d' % number, [first, second], [whole], chop)
    for number, chop in ((6, 0), (7, 5), (8, 1)):
        yield Case('5.%d' % number, [first, ping, second], [pong, whole], chop)
    for number, fin, chop in ((9, True, 0), (10, True, 5), (11, True, 1), (12, False, 0), (13, False, 5), (14, False, 1)):
        yield Case('5.%d' % number, [more(b'non-continuation payload', fin), text(b'Hello, world!')], [bad], chop)
    yield Case('5.15', [first, second, more(b'fragment3'), text(b'fragment4')], [whole, bad])
    yield Case('5.16', 2 * [more(b'fragment1'), text(b'fragment2', fin=False), more(b'fragment3', fin=True)], [bad])
    yield Case('5.17', 2 * [more(b'fragment1', fin=True), text(b'fragment2', fin=False), more(b'fragment3', fin=True)], [bad])
    yield Case('5.18', [first, text(b'fragment2')], [bad])
    parts = [text(b'fragment1', fin=False), more(b'fragment2'), frame(PING, b'ping1'), more(b'fragment3'), more(b'fragment4'), frame(PING, b'ping2'),
             more(b'fragment5', fin=True)]
    says = [('pong', b'ping1'), ('pong', b'ping2'), ('text', b'fragment1fragment2fragment3fragment4fragment5')]
    yield Case('5.19', parts, says)
    yield Case('5.20', parts, says, 3)


GREEK = b'\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5'
# What UTF-8 is (RFC 3629), and what it is not: group 6.5 to 6.23 of the suite, after Markus Kuhn's list.
VALID = {
    '6.5.1': b'Hello-' + 'µ@ßöäüàá'.encode() + b'-UTF-8!!', '6.6.2': GREEK[:2], '6.6.5': GREEK[:5], '6.6.7': GREEK[:7], '6.6.9': GREEK[:9],
    '6.6.11': GREEK, '6.7.1': b'\x00', '6.7.2': b'\xc2\x80', '6.7.3': b'\xe0\xa0\x80', '6.7.4': b'\xf0\x90\x80\x80', '6.9.1': b'\x7f', '6.9.2': b'\xdf\xbf',
    '6.9.3': b'\xef\xbf\xbf', '6.9.4': b'\xf4\x8f\xbf\xbf', '6.11.1': b'\xed\x9f\xbf', '6.11.2': b'\xee\x80\x80', '6.11.3': b'\xef\xbf\xbd', '6.11.4': b'\xf4\x8f\xbf\xbf',
    '6.22.1': b'\xef\xbf\xbe', '6.22.2': b'\xef\xbf\xbf', '6.22.3': b'\xf0\x9f\xbf\xbe', '6.22.18': b'\xf0\xaf\xbf\xbf', '6.22.34': b'\xf4\x8f\xbf\xbf',
    '6.23.1': b'\xef\xbf\xb9', '6.23.7': b'\xef\xbf\xbf',
}
INVALID = {
    '6.6.1': GREEK[:1], '6.6.3': GREEK[:3], '6.6.4': GREEK[:4], '6.6.8': GREEK[:8], '6.6.10': GREEK[:10], '6.8.1': b'\xf8\x88\x80\x80\x80', '6.8.2': b'\xfc\x84\x80\x80\x80\x80',
    '6.10.1': b'\xf7\xbf\xbf\xbf', '6.10.2': b'\xfb\xbf\xbf\xbf\xbf', '6.10.3': b'\xfd\xbf\xbf\xbf\xbf\xbf', '6.11.5': b'\xf4\x90\x80\x80', '6.12.1': b'\x80', '6.12.2': b'\xbf',
    '6.12.3': b'\x80\xbf', '6.12.8': bytes(range(0x80, 0xc0)), '6.13.1': b'\xc0 \xc1 \xdf ', '6.13.2': b'\xe0 \xef ', '6.13.3': b'\xf0 \xf7 ', '6.14.1': b'\xc0', '6.14.2': b'\xe0\x80',
    '6.14.3': b'\xf0\x80\x80', '6.14.6': b'\xdf', '6.14.7': b'\xef\xbf', '6.14.8': b'\xf7\xbf\xbf', '6.15.1': b'\xc0\xe0\x80\xf0\x80\x80', '6.16.1': b'\xfe', '6.16.2': b'\xff',
    '6.16.3': b'\xfe\xfe\xff\xff', '6.17.1': b'\xc0\xaf', '6.17.2': b'\xe0\x80\xaf', '6.17.3': b'\xf0\x80\x80\xaf', '6.18.1': b'\xc1\xbf', '6.18.2': b'\xe0\x9f\xbf',
    '6.18.3': b'\xf0\x8f\xbf\xbf', '6.19.1': b'\xc0\x80', '6.19.2': b'\xe0\x80\x80', '6.19.3': b'\xf0\x80\x80\x80', '6.20.1': b'\xed\xa0\x80', '6.20.2': b'\xed\xad\xbf', '6.20.3': b'\xed\xae\x80',
    '6.20.5': b'\xed\xb0\x80', '6.20.7': b'\xed\xbf\xbf', '6.21.1': b'\xed\xa0\x80\xed\xb0\x80', '6.21.8': b'\xed\xaf\xbf\xed\xbf\xbf',
}


def group6():
    bad = ('close', BAD_TEXT)
    hello = b'Hello-' + 'µ@ßöäüàá'.encode() + b'-UTF-8!!'
    broken = GREEK + b'\xed\xa0\x80edited'
    yield Case('6.1.1', [text(b'')], [('text', b'')])
    yield Case('6.1.2', [text(b'', fin=False), more(b''), more(b'', fin=True)], [('text', b'')])
    yield Case('6.1.3', [text(b'', fin=False), more(b'middle frame payload'), more(b'', fin=True)], [('text', b'middle frame payload')])
    yield Case('6.2.1', [text(hello)], [('text', hello)])
    yield Case('6.2.2', in_frames(TEXT, hello, 9), [('text', hello)])
    yield Case('6.2.3', in_frames(TEXT, hello, 1), [('text', hello)])
    yield Case('6.2.4', in_frames(TEXT, GREEK, 1), [('text', GREEK)])
    yield Case('6.3.1', [text(broken)], [bad])
    yield Case('6.3.2', in_frames(TEXT, broken, 1), [bad])
    yield Case('6.4.1', [text(GREEK, fin=False), more(b'\xf4\x90\x80\x80'), more(b'edited', fin=True)], [bad])
    yield Case('6.4.3', [text(GREEK + b'\xf4\x90\x80\x80edited')], [bad], 12)
    for name, data in VALID.items():
        yield Case(name, [text(data)], [('text', data)])
    for name, data in INVALID.items():
        yield Case(name, [text(data)], [bad])


def group7():
    bad, end = ('close', PROTOCOL_ERROR), close(1000)
    hello = ('text', b'Hello World!')
    big = ('text', b'*' * (256 << 10))
    yield Case('7.1.1', [text(hello[1]), end], [hello, ('close', 1000)])
    yield Case('7.1.2', [end, end], [('close', 1000)])
    yield Case('7.1.3', [end, frame(PING)], [('close', 1000)])
    yield Case('7.1.4', [end, text(hello[1])], [('close', 1000)])
    yield Case('7.1.5', [text(b'fragment1', fin=False), end, more(b'fragment2', fin=True)], [('close', 1000)])
    yield Case('7.1.6', [text(big[1]), text(hello[1]), end], [big, hello, ('close', 1000)])
    yield Case('7.3.1', [close()], [('close', NO_CODE)])
    yield Case('7.3.2', [frame(CLOSE, b'a')], [bad])
    yield Case('7.3.3', [end], [('close', 1000)])
    yield Case('7.3.4', [close(1000, b'Hello World!')], [('close', 1000)])
    yield Case('7.3.5', [close(1000, b'*' * 123)], [('close', 1000)])
    yield Case('7.3.6', [close(1000, b'*' * 124)], [bad])
    yield Case('7.5.1', [close(1000, GREEK + b'\xed\xa0\x80edited')], [('close', BAD_TEXT)])
    for number, code in enumerate((1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 3000, 3999, 4000, 4999), 1):
        yield Case('7.7.%d' % number, [close(code)], [('close', code)])
    for number, code in enumerate((0, 999, 1004, 1005, 1006, 1016, 1100, 2000, 2999), 1):
        yield Case('7.9.%d' % number, [close(code)], [bad])
    for number, code in enumerate((5000, 65535), 1):
        yield Case('7.13.%d' % number, [close(code)], [bad])


def group9():
    for group, opcode, kind, byte in ((1, TEXT, 'text', b'*'), (2, BINARY, 'binary', b'\xfe')):
        for number, size in enumerate((64 << 10, 256 << 10, 1 << 20, 4 << 20), 1):
            yield Case('9.%d.%d' % (group, number), [frame(opcode, byte * size)], [(kind, byte * size)])
        for number, size in enumerate((64, 256, 1 << 10, 64 << 10), 1):
            yield Case('9.%d.%d' % (group + 2, number), in_frames(opcode, byte * (256 << 10), size), [(kind, byte * (256 << 10))])
        yield Case('9.%d.1' % (group + 4), [frame(opcode, byte * (256 << 10))], [(kind, byte * (256 << 10))], 64)
        for number, size in enumerate((0, 16, 1024), 1):
            yield Case('9.%d.%d' % (group + 6, number), 1000 * [frame(opcode, byte * size)], 1000 * [(kind, byte * size)])


def group10():
    data = b'*' * 65536
    yield Case('10.1.1', in_frames(TEXT, data, 1300), [('text', data)])


GROUPS = {1: group1, 2: group2, 3: group3, 4: group4, 5: group5, 6: group6, 7: group7, 9: group9, 10: group10}


class Connection:
    """What an endpoint says on a socket whose handshake is over."""

    def __init__(self, sock, rest=b''):
        self.sock, self.buffer = sock, bytearray(rest)

    def send(self, frames, chop=0):
        data = b''.join(emit(one) for one in frames)
        try:
            for part in cut(data, chop) if chop else [data]:
                self.sock.sendall(part)
        except OSError:
            pass  # it had said that it would hear no more

    def need(self, size):
        while len(self.buffer) < size:
            try:
                data = self.sock.recv(1 << 18)
            except OSError as error:
                if isinstance(error, TimeoutError):
                    raise
                return False
            if not data:
                return False
            self.buffer += data
        return True

    def frame(self):
        """The next one; None at the end of the stream."""
        if not self.need(2):
            return None
        head, size = 2, self.buffer[1]
        assert size < 128, 'servers do not mask'
        if size >= 126:
            head += 2 if size == 126 else 8
            if not self.need(head):
                return None
            size = int.from_bytes(self.buffer[2:head], 'big')
        if not self.need(head + size):
            return None
        first, payload = self.buffer[0], bytes(self.buffer[head:head + size])
        del self.buffer[:head + size]
        return bool(first >> 7), first >> 4 & 7, first & 15, payload

    def events(self):
        """As a case has them, to the end: ('close', code), then ('end',)."""
        kind, parts = None, []
        while True:
            one = self.frame()
            if one is None:
                yield ('end',)
                return
            fin, rsv, opcode, payload = one
            assert rsv == 0, one
            if opcode == CLOSE:
                yield 'close', struct.unpack('!H', payload[:2])[0] if payload else NO_CODE
            elif opcode in (PING, PONG):
                yield {PING: 'ping', PONG: 'pong'}[opcode], payload
            else:
                kind = kind if opcode == CONTINUATION else {TEXT: 'text', BINARY: 'binary'}[opcode]
                parts.append(payload)
                if fin:
                    yield kind, b''.join(parts)
                    kind, parts = None, []


def play(connection, case, wanted):
    """What it says to the case: all of it, to the end. Who is not closed says that it is there, and is closed by us."""
    closes = wanted and wanted[-1][0] == 'close'


    def say():
        connection.send(case.sends, case.chop)
        if not closes:
            connection.send([frame(PING, b'still there'), close(1000)])

    speaker = threading.Thread(target=say)  # who does not listen to the echo while it speaks may speak for ever
    speaker.start()
    try:
        return list(connection.events())
    finally:
        connection.sock.close()
        speaker.join()


def same(a, b, case, wanted):
    """Who goes on speaking when all was said may lose the end of the answer: what nobody has read any more is answered with a reset."""
    if a == b:
        return True
    shorter, longer = sorted((a[:-1], b[:-1]), key=len)
    return bool(wanted) and wanted[-1][0] == 'close' and (len(case.sends) > 1 or case.chop > 0) and longer[:len(shorter)] == shorter


def expected(wanted):
    closes = wanted and wanted[-1][0] == 'close'
    return list(wanted) + ([] if closes else [('pong', b'still there'), ('close', 1000)]) + [('end',)]
