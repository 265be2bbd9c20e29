"""A ClientHello in words, and its JA4 (a fingerprint that FoxIO defined: sorted lists, GREASE left out, hashes of twelve digits)."""
import hashlib
import struct

SERVER_NAME, STATUS, GROUPS, FORMATS, SIGNATURES, ALPN, TICKET, VERSIONS, MODES, SHARES = 0, 5, 10, 11, 13, 16, 35, 43, 45, 51
PARAMETERS, ECH = 57, 0xfe0d
# What is in them is another thing each time, or has a row of its own.
VARY = (SERVER_NAME, GROUPS, SIGNATURES, ALPN, VERSIONS, SHARES, PARAMETERS, ECH)


def is_grease(number):
    return number & 0x0f0f == 0x0a0a and number >> 8 == number & 0xff


def numbers(data):
    return list(struct.unpack('!%dH' % (len(data) // 2), data))


def message(flight):
    """The handshake message in a first flight of records."""
    body = b''
    while flight and flight[0] == 22:
        length = struct.unpack('!H', flight[3:5])[0]
        body, flight = body + flight[5:5 + length], flight[5 + length:]
    return body


class Hello:
    def __init__(self, body):
        assert body[0] == 1
        self.legacy = struct.unpack('!H', body[4:6])[0]
        at = 4 + 2 + 32
        self.session = body[at + 1:at + 1 + body[at]]
        at += 1 + body[at]
        length = struct.unpack('!H', body[at:at + 2])[0]
        self.suites = numbers(body[at + 2:at + 2 + length])
        at += 2 + length
        at += 1 + body[at]
        end = at + 2 + struct.unpack('!H', body[at:at + 2])[0]
        at += 2
        self.extensions = []  # as they come
        while at < end:
            kind, length = struct.unpack('!HH', body[at:at + 4])
            self.extensions.append((kind, body[at + 4:at + 4 + length]))
            at += 4 + length
        assert at == end == len(body)
        self.found = dict(self.extensions)

    def list(self, kind, prefix=2):
        return numbers(self.found[kind][prefix:]) if kind in self.found else []

    @property
    def shares(self):
        data, groups = self.found[SHARES][2:], []
        while data:
            group, length = struct.unpack('!HH', data[:4])
            groups.append((group, length))
            data = data[4 + length:]
        return groups

    @property
    def alpn(self):
        data, names = self.found.get(ALPN, b'\0\0')[2:], []
        while data:
            names.append(data[1:1 + data[0]].decode())
            data = data[1 + data[0]:]
        return names


def hexes(values):
    return ['%04x' % value for value in values if not is_grease(value)]


def ja4_parts(hello, quic=False):
    versions = [value for value in hello.list(VERSIONS, 1) if not is_grease(value)]
    version = {0x304: '13', 0x303: '12', 0x302: '11', 0x301: '10'}.get(max(versions) if versions else hello.legacy, '00')
    kinds = hexes(kind for kind, _ in hello.extensions)
    alpn = hello.alpn[0][0] + hello.alpn[0][-1] if hello.alpn else '00'
    head = '%s%s%s%02d%02d%s' % ('q' if quic else 't', version, 'd' if SERVER_NAME in hello.found else 'i', min(len(hexes(hello.suites)), 99),
                                 min(len(kinds), 99), alpn)
    rest = sorted(kind for kind in kinds if int(kind, 16) not in (SERVER_NAME, ALPN))
    signatures = hexes(hello.list(SIGNATURES))
    return head, ','.join(sorted(hexes(hello.suites))), '_'.join([','.join(rest)] + ([','.join(signatures)] if signatures else []))


def ja4_raw(hello, quic=False):
    return '_'.join(ja4_parts(hello, quic))


def ja4(hello, quic=False):
    head, suites, rest = ja4_parts(hello, quic)
    return '_'.join([head] + [hashlib.sha256(part.encode()).hexdigest()[:12] if part else 12 * '0' for part in (suites, rest)])


def words(values):
    return ' '.join('*' if is_grease(value) else '%x' % value for value in values)


def facts(hello, quic=False):
    """What an observer compares, in the words of docs/internals/client-hello.md: numbers in hexadecimal, * for GREASE."""
    kinds = [kind for kind, _ in hello.extensions]
    told = {'JA4': ja4(hello, quic), 'suites': words(hello.suites),
            'extensions': words(sorted(kind for kind in kinds if not is_grease(kind)) + [kind for kind in kinds if is_grease(kind)]),
            'groups': words(hello.list(GROUPS)), 'shares': words(group for group, _ in hello.shares), 'signatures': words(hello.list(SIGNATURES)),
            'versions': words(hello.list(VERSIONS, 1)), 'ALPN': ' '.join(hello.alpn), 'session id': '%d bytes' % len(hello.session)}
    for kind, data in hello.extensions:
        if not is_grease(kind) and kind not in VARY:
            told['in %x' % kind] = data.hex() or 'nothing'
    if ECH in hello.found:
        data = hello.found[ECH]
        told['in ECH'] = 'type %d, KDF %d, %d bytes of key' % (data[0], *struct.unpack('!H', data[1:3]), *struct.unpack('!H', data[6:8]))
    return told


def differences(ours, theirs):
    """{what: (ours, theirs)}; a missing extension is told by the row of extensions."""
    return {what: (ours[what], theirs[what]) for what in ours if what in theirs and ours[what] != theirs[what]}
