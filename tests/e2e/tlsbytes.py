"""TLS as bytes: ClientHellos of any kind, and what a server answered with all masked that is random by design."""
import re
import struct

from sealing import TAG, Sender

X25519, P256, P384, X25519MLKEM768 = 29, 23, 24, 4588
# a share must be a point of the curve, and the generator is one
P256_POINT = bytes.fromhex('046b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c296'
                           '4fe342e2fe1a7f9b8ee7eb4a7c0f9e162bce33576b315ececbb6406837bf51f5')
P384_POINT = bytes.fromhex('04aa87ca22be8b05378eb1c71ef320ad746e1d3b628ba79b9859f741e082542a385502f25dbf55296c3a545e3872760ab7'
                           '3617de4a96262c6f5d9e98bf9292dc29f8f41dbd289a147ce9da3113b5f0b8c00a60b1ce1d7e819d7a431d7c90ea0e5f')
POINTS = {X25519: b'\x09' + bytes(31), P256: P256_POINT, P384: P384_POINT}
SUITES = (0x1301, 0x1302, 0x1303, 0xc02b, 0xc02f, 0xc02c, 0xc030, 0xcca9, 0xcca8, 0xc013, 0xc014, 0x009c, 0x009d, 0x002f, 0x0035)
SIGNATURES = (0x0403, 0x0804, 0x0401, 0x0503, 0x0805, 0x0501, 0x0806, 0x0601)
RETRY_RANDOM = bytes.fromhex('cf21ad74e59a6111be1d8c021e65b891c2a211167abb8c5e079e09e2c8a8339c')
ECH = 0xfe0d


def u8(data):
    return struct.pack('!B', len(data)) + data


def u16(data):
    return struct.pack('!H', len(data)) + data


def u24(data):
    return struct.pack('!I', len(data))[1:] + data


def words(values):
    return b''.join(struct.pack('!H', value) for value in values)


def extension(kind, data):
    return struct.pack('!H', kind) + u16(data)


def server_name(name):
    return extension(0, u16(b'\0' + u16(name)))


def alpn(names):
    return extension(16, u16(b''.join(u8(name) for name in names)))


def key_share(shares):
    return extension(51, u16(b''.join(struct.pack('!H', group) + u16(key) for group, key in shares)))


def grease_ech(config_id=0x5a, kdf=1, aead=1, enc=bytes(range(32)), payload=bytes(range(144))):
    return extension(ECH, b'\0' + struct.pack('!HHB', kdf, aead, config_id) + u16(enc) + u16(payload))


def client_hello(name=b'site.test', versions=(0x0304, 0x0303), legacy=0x0303, suites=SUITES, groups=(X25519, P256, P384), shares=(X25519,),
                 signatures=SIGNATURES, protocols=(b'h2', b'http/1.1'), session=b'\x55' * 32, compression=b'\0', more=b'', raw_extensions=None,
                 random=bytes(range(32))):
    """One handshake message. <more> are further extensions; <raw_extensions> replace all."""
    parts = b''
    if name is not None:
        parts += server_name(name)
    parts += extension(23, b'') + extension(0xff01, b'\0') + extension(10, u16(words(groups))) + extension(11, b'\x01\0') + extension(35, b'')
    if protocols:
        parts += alpn(protocols)
    parts += extension(5, b'\x01\0\0\0\0') + extension(13, u16(words(signatures)))
    if versions and max(versions) >= 0x0304:
        parts += key_share([share if isinstance(share, tuple) else (share, POINTS[share]) for share in shares])
        parts += extension(45, b'\x01\x01') + extension(43, u8(words(versions)))
    parts += more
    if raw_extensions is not None:
        parts = raw_extensions
    return b'\x01' + u24(struct.pack('!H', legacy) + random + u8(session) + u16(words(suites)) + u8(compression) + u16(parts))


def records(message, size=16384, version=0x0301, kind=22):
    return b''.join(struct.pack('!BHH', kind, version, len(message[i:i + size])) + message[i:i + size] for i in range(0, len(message), size))


def as_records_at(message, at):
    """In two records, cut at <at>."""
    return records(message[:at]) + records(message[at:])


def record(content=b'', kind=22, version=0x0303, length=None):
    return struct.pack('!BHH', kind, version, len(content) if length is None else length) + content


def hello(**options):
    return records(client_hello(**options))


CHANGE_CIPHER_SPEC = record(b'\x01', 20)

# ---- what a server said ----


class Text:
    """A span that is taken apart; short is an error."""

    def __init__(self, data):
        self.data = data

    def take(self, count):
        if len(self.data) < count:
            raise ValueError('short')
        taken, self.data = self.data[:count], self.data[count:]
        return taken

    def number(self, size):
        return int.from_bytes(self.take(size), 'big')


def mask_extension(kind, data):
    if kind == 51 and len(data) > 4:
        return (kind, data[:4], len(data))  # the group stays, the key goes
    return (kind, data)


def mask_server_hello(body, known_session):
    t = Text(body)
    version, random, session = t.number(2), t.take(32), t.take(t.number(1))
    rest = (t.number(2), t.number(1))
    seen = []
    if t.data:
        t = Text(t.take(t.number(2)))
        while t.data:
            kind = t.number(2)
            seen.append(mask_extension(kind, t.take(t.number(2))))
    return ('hello_retry_request' if random == RETRY_RANDOM else 'server_hello', version, random[24:] if random[24:31] == b'DOWNGRD' else '',
            'echo' if session == known_session else len(session), rest, tuple(seen))


def mask_message(kind, body, known_session):
    if kind == 2:
        return mask_server_hello(body, known_session)
    if kind == 12:  # ServerKeyExchange: key and signature are new each time
        return ('key_exchange', body[:3], len(body))
    if kind == 4:
        return ('ticket', len(body))
    return (kind, body)


def mask_dates(data):
    return re.sub(rb'(?m)^(Date: )[^\r\n]*', rb'\1*', data)


def is_record(data):
    return len(data) >= 5 and 20 <= data[0] <= 24 and data[1] == 3 and int.from_bytes(data[3:5], 'big') <= 18432


def mask_handshake(gathered, known_session):
    out = []
    while len(gathered) >= 4 and len(gathered) >= 4 + int.from_bytes(gathered[1:4], 'big'):
        length = int.from_bytes(gathered[1:4], 'big')
        try:
            out.append(mask_message(gathered[0], gathered[4:4 + length], known_session))
        except ValueError:
            out.append(('odd', gathered[:4 + length]))
        gathered = gathered[4 + length:]
    return out + ([('part', gathered)] if gathered else [])


def mask(data, session=b'\x55' * 32, lengths=True):
    """Records and messages with what is random masked; sealed ones are their kind and length. Text that is no TLS stays, but for dates."""
    if not data:
        return ()
    if not is_record(data):
        return (mask_dates(data),)
    out, sealed = [], False
    while is_record(data):
        kind, length = data[0], int.from_bytes(data[3:5], 'big')
        content, whole = data[5:5 + length], len(data) >= 5 + length
        header = (kind, data[1:3])
        data = data[5 + length:]
        if not whole:
            out.append(('cut', header, length, len(content)))
        elif kind == 22 and not sealed:
            out.append((header, length, tuple(mask_handshake(content, session))))
        elif kind == 21 and len(content) == 2:
            out.append((header, content))
        elif kind == 20:
            sealed = True
            out.append((header, content))
        else:
            out.append((header, length if lengths else '*'))
    return tuple(out) + ((('rest', data),) if data else ())


# ---- a hello that is sealed with an ECHConfig (RFC 9849, sections 4 to 6) ----

class EchConfig:
    """The first of an ECHConfigList."""

    def __init__(self, config_list):
        self.config = config_list[2:2 + 4 + int.from_bytes(config_list[4:6], 'big')]
        t = Text(self.config[4:])
        self.config_id, _, self.public = t.number(1), t.number(2), t.take(t.number(2))
        t.take(t.number(2))
        self.most = t.number(1)
        self.public_name = t.take(t.number(1))

    def hello(self, name, outer=None, damage=False, padding=0, **options):
        """A ClientHello for <name>, in one for <outer> or the public name; <options> are of both. <damage>: it cannot be opened."""
        sender = Sender(self.public, b'tls ech\0' + self.config)
        inner_options = dict(options, versions=(0x0304,), session=b'', random=b'\x77' * 32, more=extension(ECH, b'\1') + options.get('more', b''))
        inner = client_hello(name=name, **inner_options)[4:]
        inner += bytes(max(0, self.most - len(name or b'')) + padding)
        inner += bytes(-len(inner) % 32)
        empty = bytes(len(inner) + TAG)

        def whole(payload):
            ech = grease_ech(config_id=self.config_id, enc=sender.enc, payload=payload)
            return client_hello(name=outer or self.public_name, **dict(options, more=ech + options.get('more', b'')))
        sealed = sender.seal(whole(empty)[4:], inner)
        return whole(sealed[:-1] + bytes([sealed[-1] ^ damage]))
