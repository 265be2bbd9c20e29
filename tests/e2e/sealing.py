"""Sealing and opening by the libcrypto that Python's own ssl module is linked with: what QUIC (RFC 9001) and Encrypted ClientHello (RFC 9849, by RFC 9180) need."""
import ctypes
import ctypes.util
import functools
import hashlib
import hmac
import os
import struct

X25519 = 1034  # NID
GET_TAG, SET_TAG = 0x10, 0x11
TAG = 16


def library():
    lib = ctypes.CDLL(ctypes.util.find_library('crypto'))
    for name in ('EVP_CIPHER_CTX_new', 'EVP_aes_128_gcm', 'EVP_aes_128_ecb', 'EVP_PKEY_new_raw_private_key', 'EVP_PKEY_new_raw_public_key', 'EVP_PKEY_CTX_new'):
        getattr(lib, name).restype = ctypes.c_void_p
    return lib


LIB = library()


def good(value):
    if not value or value < 0:
        raise ValueError('libcrypto refuses')
    return value


class Cipher:
    """One key. Not for two threads at a time."""

    def __init__(self, kind, key):
        self.key, self.kind = key, getattr(LIB, kind)()
        self.seals, self.opens = self._context('Encrypt'), self._context('Decrypt')

    def _context(self, way):
        context = ctypes.c_void_p(good(LIB.EVP_CIPHER_CTX_new()))
        good(getattr(LIB, 'EVP_%sInit_ex' % way)(context, ctypes.c_void_p(self.kind), None, self.key, None))
        LIB.EVP_CIPHER_CTX_set_padding(context, 0)
        return context

    def __del__(self):
        for context in (self.seals, self.opens):
            LIB.EVP_CIPHER_CTX_free(context)

    def block(self, data):
        """AES of one block."""
        out, count = ctypes.create_string_buffer(32), ctypes.c_int()
        good(LIB.EVP_EncryptUpdate(self.seals, out, ctypes.byref(count), data, len(data)))
        return out.raw[:count.value]

    def seal(self, nonce, header, data):
        out, count, tag = ctypes.create_string_buffer(len(data) + 16), ctypes.c_int(), ctypes.create_string_buffer(TAG)
        good(LIB.EVP_EncryptInit_ex(self.seals, None, None, None, nonce))
        good(LIB.EVP_EncryptUpdate(self.seals, None, ctypes.byref(count), header, len(header)))
        good(LIB.EVP_EncryptUpdate(self.seals, out, ctypes.byref(count), data, len(data)))
        good(LIB.EVP_EncryptFinal_ex(self.seals, ctypes.create_string_buffer(16), ctypes.byref(ctypes.c_int())))
        good(LIB.EVP_CIPHER_CTX_ctrl(self.seals, GET_TAG, TAG, tag))
        return out.raw[:len(data)] + tag.raw

    def open(self, nonce, header, sealed):
        """None: somebody else's."""
        if len(sealed) < TAG:
            return None
        data, out, count = sealed[:-TAG], ctypes.create_string_buffer(len(sealed) + 16), ctypes.c_int()
        good(LIB.EVP_DecryptInit_ex(self.opens, None, None, None, nonce))
        good(LIB.EVP_DecryptUpdate(self.opens, None, ctypes.byref(count), header, len(header)))
        good(LIB.EVP_DecryptUpdate(self.opens, out, ctypes.byref(count), data, len(data)))
        good(LIB.EVP_CIPHER_CTX_ctrl(self.opens, SET_TAG, TAG, sealed[-TAG:]))
        if LIB.EVP_DecryptFinal_ex(self.opens, ctypes.create_string_buffer(16), ctypes.byref(ctypes.c_int())) <= 0:
            return None
        return out.raw[:len(data)]


def aes_gcm(key):
    return Cipher('EVP_aes_128_gcm', key)


def aes(key):
    return Cipher('EVP_aes_128_ecb', key)


def x25519(private, public=None):
    """The product of the two, or without <public> the public half of <private>."""
    own = ctypes.c_void_p(good(LIB.EVP_PKEY_new_raw_private_key(X25519, None, private, 32)))
    out, count = ctypes.create_string_buffer(32), ctypes.c_size_t(32)
    if public is None:
        good(LIB.EVP_PKEY_get_raw_public_key(own, out, ctypes.byref(count)))
    else:
        other = ctypes.c_void_p(good(LIB.EVP_PKEY_new_raw_public_key(X25519, None, public, 32)))
        context = ctypes.c_void_p(good(LIB.EVP_PKEY_CTX_new(own, None)))
        good(LIB.EVP_PKEY_derive_init(context))
        good(LIB.EVP_PKEY_derive_set_peer(context, other))
        good(LIB.EVP_PKEY_derive(context, out, ctypes.byref(count)))
        LIB.EVP_PKEY_CTX_free(context)
        LIB.EVP_PKEY_free(other)
    LIB.EVP_PKEY_free(own)
    return out.raw


# ---- HKDF with SHA-256 (RFC 5869; RFC 8446, section 7.1) ----

def extract(salt, secret):
    return hmac.digest(salt or bytes(32), secret, 'sha256')


def expand(secret, info, length):
    out, last = b'', b''
    while len(out) < length:
        last = hmac.digest(secret, last + info + bytes([len(out) // 32 + 1]), 'sha256')
        out += last
    return out[:length]


def expand_label(secret, label, context, length):
    label = b'tls13 ' + label
    return expand(secret, struct.pack('!HB', length, len(label)) + label + bytes([len(context)]) + context, length)


def derive(secret, label, messages):
    return expand_label(secret, label, hashlib.sha256(messages).digest(), 32)


# ---- HPKE, base mode, DHKEM(X25519, HKDF-SHA256), HKDF-SHA256, AES-128-GCM (RFC 9180) ----

KEM = b'KEM\x00\x20'
HPKE = b'HPKE\x00\x20\x00\x01\x00\x01'


def labeled_extract(suite, salt, label, secret):
    return extract(salt, b'HPKE-v1' + suite + label + secret)


def labeled_expand(suite, secret, label, info, length):
    return expand(secret, struct.pack('!H', length) + b'HPKE-v1' + suite + label + info, length)


class Sender:
    """Who seals for a public key: <enc> goes along."""

    def __init__(self, public, info, private=None):
        private = private or os.urandom(32)
        self.enc = x25519(private)
        secret = labeled_extract(KEM, b'', b'eae_prk', x25519(private, public))
        shared = labeled_expand(KEM, secret, b'shared_secret', self.enc + public, 32)
        context = b'\0' + labeled_extract(HPKE, b'', b'psk_id_hash', b'') + labeled_extract(HPKE, b'', b'info_hash', info)
        secret = labeled_extract(HPKE, shared, b'secret', b'')
        self.cipher = aes_gcm(labeled_expand(HPKE, secret, b'key', context, 16))
        self.nonce = labeled_expand(HPKE, secret, b'base_nonce', context, 12)
        self.sequence = 0

    def seal(self, header, data):
        nonce = bytes(a ^ b for a, b in zip(self.nonce, self.sequence.to_bytes(12, 'big')))
        self.sequence += 1
        return self.cipher.seal(nonce, header, data)


# ---- keys of QUIC (RFC 9001, section 5) ----

SALTS = {1: bytes.fromhex('38762cf7f55934b34d179ae6a4c80cadccbb7f0a')}


class PacketKeys:
    def __init__(self, secret):
        self.cipher = aes_gcm(expand_label(secret, b'quic key', b'', 16))
        self.iv = expand_label(secret, b'quic iv', b'', 12)
        self.header = aes(expand_label(secret, b'quic hp', b'', 16))

    def nonce(self, number):
        return bytes(a ^ b for a, b in zip(self.iv, number.to_bytes(12, 'big')))

    def protect(self, first, middle, number, payload):
        """A packet: its first byte without the length of the number, what is between, two bytes of number, the sealed payload."""
        header = bytes([first | 1]) + middle + struct.pack('!H', number & 0xffff)
        sealed = self.cipher.seal(self.nonce(number), header, payload)
        mask = self.header.block(sealed[2:18])
        first = header[0] ^ mask[0] & (0x0f if first & 0x80 else 0x1f)
        return bytes([first]) + middle + bytes(a ^ b for a, b in zip(header[-2:], mask[1:3])) + sealed

    def unprotect(self, packet, at):
        """(first byte, number, payload) of a packet whose number begins at <at>; None when it is somebody else's."""
        if len(packet) < at + 20:
            return None
        mask = self.header.block(packet[at + 4:at + 20])
        first = packet[0] ^ mask[0] & (0x0f if packet[0] & 0x80 else 0x1f)
        size = (first & 3) + 1
        number = bytes(a ^ b for a, b in zip(packet[at:at + size], mask[1:1 + size]))
        header = bytes([first]) + packet[1:at] + number
        number = int.from_bytes(number, 'big')  # none of ours has more than its first bytes hold
        payload = self.cipher.open(self.nonce(number), header, packet[at + size:])
        return None if payload is None else (first, number, payload)


@functools.lru_cache(maxsize=256)
def initial_secrets(dcid):
    common = extract(SALTS[1], dcid)
    return expand_label(common, b'client in', b'', 32), expand_label(common, b'server in', b'', 32)
