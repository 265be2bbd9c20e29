#!/usr/bin/python3
"""A client of SOCKS 5 (RFC 1928, 1929) of our own, for what curl does not do. Every answer is one line of JSON.

    socks.py ask PROXY HOST PORT [USER PASSWORD]     the reply to CONNECT, a number
    socks.py half PROXY HOST PORT SIZE               SIZE bytes to an echo, then the end: what comes back after it
    socks.py idle PROXY HOST PORT                    a tunnel on which nothing is said; says when it is there, and how it ends
    socks.py talk PROXY HOST PORT                    lines of standard input to an echo, one by one
    socks.py slow PROXY HOST PORT SIZE COUNT         COUNT tunnels to an echo that are fed and not read; then one more that is used
    socks.py udp PROXY HOST PORT SIZE COUNT          COUNT datagrams to an echo through UDP ASSOCIATE: how many came back, from whom
    socks.py many PROXY HOST PORT COUNT              COUNT tunnels at once, a byte through each
    socks.py raw PROXY HEX                           what is answered to these bytes, in hex, until the end

PROXY is ADDRESS:PORT, HOST a name or an address.
"""
import hashlib
import ipaddress
import json
import os
import select
import socket
import struct
import sys
import threading


def say(**fields):
    print(json.dumps(fields), flush=True)


def address(host, port):
    try:
        ip = ipaddress.ip_address(host)
    except ValueError:
        return b'\x03' + bytes([len(host)]) + host.encode() + struct.pack('!H', port)
    return (b'\x01' if ip.version == 4 else b'\x04') + ip.packed + struct.pack('!H', port)


def take(sock, count):
    data = b''
    while len(data) < count:
        piece = sock.recv(count - len(data))
        if not piece:
            raise EOFError('the proxy closed')
        data += piece
    return data


def take_address(kind, data):
    """(host, port, rest)"""
    if kind == 3:
        length = data[0]
        return data[1:1 + length].decode(), struct.unpack('!H', data[1 + length:3 + length])[0], data[3 + length:]
    size = 4 if kind == 1 else 16
    return str(ipaddress.ip_address(data[:size])), struct.unpack('!H', data[size:size + 2])[0], data[size + 2:]


def greet(proxy, user=None, password=None):
    host, port = proxy.rsplit(':', 1)
    sock = socket.create_connection((host.strip('[]'), int(port)), 15)
    sock.sendall(b'\x05\x01' + (b'\x02' if user else b'\x00'))
    version, method = take(sock, 2)
    if version != 5 or method == 255:
        raise PermissionError('method %d' % method)
    if method == 2:
        sock.sendall(b'\x01' + bytes([len(user)]) + user.encode() + bytes([len(password)]) + password.encode())
        if take(sock, 2) != b'\x01\x00':
            raise PermissionError('password')
    return sock


def ask(sock, command, host, port):
    """(reply, bound address, bound port)"""
    sock.sendall(b'\x05' + bytes([command]) + b'\x00' + address(host, port))
    _, reply, _, kind = take(sock, 4)
    size = {1: 4, 4: 16}.get(kind)
    bound = take(sock, (size or take(sock, 1)[0]) + 2)
    return reply, str(ipaddress.ip_address(bound[:-2])) if size else bound[:-2].decode(), struct.unpack('!H', bound[-2:])[0]


def connect(proxy, host, port):
    sock = greet(proxy)
    reply = ask(sock, 1, host, port)[0]
    if reply:
        raise ConnectionError('reply %d' % reply)
    return sock


def verb_ask(proxy, host, port, user=None, password=None):
    try:
        say(reply=ask(greet(proxy, user, password), 1, host, int(port))[0])
    except (PermissionError, EOFError) as error:
        say(error=str(error))


def pour(sock, data, end=True):
    sock.sendall(data)
    if end:
        sock.shutdown(socket.SHUT_WR)


def verb_half(proxy, host, port, size):
    data = os.urandom(int(size))
    sock = connect(proxy, host, int(port))
    sender = threading.Thread(target=pour, args=(sock, data), daemon=True)
    sender.start()
    digest, count = hashlib.sha256(), 0
    piece = sock.recv(65536)
    while piece:
        digest.update(piece)
        count += len(piece)
        piece = sock.recv(65536)
    say(bytes=count, same=digest.hexdigest() == hashlib.sha256(data).hexdigest())


def verb_idle(proxy, host, port):
    sock = connect(proxy, host, int(port))
    sock.settimeout(None)
    say(open=True)
    try:
        say(ended='closed' if not sock.recv(1) else 'bytes')
    except ConnectionError as error:
        say(ended=type(error).__name__)


def verb_talk(proxy, host, port):
    sock = connect(proxy, host, int(port))
    say(open=True)
    for line in sys.stdin:
        sock.sendall(line.encode())
        say(back=take(sock, len(line)).decode().rstrip('\n'))


def fill(sock, size):
    """Sends until <size> bytes went or nobody takes more."""
    sock.setblocking(False)
    sent = 0
    while sent < size and select.select([], [sock], [], 0.2)[1]:
        try:
            sent += sock.send(bytes(65536))
        except BlockingIOError:
            pass
    return sent


def verb_slow(proxy, host, port, size, count):
    stuck = [connect(proxy, host, int(port)) for _ in range(int(count))]
    sent = [fill(sock, int(size)) for sock in stuck]
    sock = connect(proxy, host, int(port))
    sock.settimeout(10)
    data = os.urandom(300000)
    threading.Thread(target=pour, args=(sock, data), daemon=True).start()
    say(stuck=sent, same=take(sock, len(data)) == data)


def verb_udp(proxy, host, port, size, count):
    size, count = int(size), int(count)
    control = greet(proxy)
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.bind(('127.0.0.1', 0))
    sock.settimeout(5)
    reply, bound, at = ask(control, 3, '0.0.0.0', 0)
    if reply:
        say(reply=reply)
        return
    got, source = 0, None
    for number in range(count):
        payload = struct.pack('!Q', number) + os.urandom(size - 8)
        sock.sendto(b'\x00\x00\x00' + address(host, int(port)) + payload, (bound, at))
        try:
            answer = sock.recv(65536)
        except socket.timeout:
            continue
        name, source_port, rest = take_address(answer[3], answer[4:])
        got += answer[:3] == b'\x00\x00\x00' and rest == payload
        source = '%s:%d' % (name, source_port)
    control.close()
    sock.settimeout(5)
    try:  # the association is over with its connection: an ICMP error says so in the end
        for _ in range(500):
            sock.connect((bound, at))
            sock.send(b'\x00\x00\x00' + address(host, int(port)) + b'after')
            if select.select([sock], [], [], 0.01)[0]:
                sock.recv(65536)
        over = False
    except ConnectionRefusedError:
        over = True
    say(same=got, source=source, over=over)


def verb_many(proxy, host, port, count):
    socks = [greet(proxy) for _ in range(int(count))]
    for sock in socks:
        sock.sendall(b'\x05\x01\x00' + address(host, int(port)))
    replies = [take(sock, 10)[1] for sock in socks]
    for sock in socks:
        sock.sendall(b'x')
    say(replies=sorted(set(replies)), same=all(take(sock, 1) == b'x' for sock in socks))


def verb_raw(proxy, text):
    host, port = proxy.rsplit(':', 1)
    sock = socket.create_connection((host, int(port)), 15)
    sock.sendall(bytes.fromhex(text))
    answer = b''
    try:
        piece = sock.recv(4096)
        while piece:
            answer += piece
            piece = sock.recv(4096)
    except ConnectionResetError:
        pass
    say(answer=answer.hex())


if __name__ == '__main__':
    globals()['verb_' + sys.argv[1]](*sys.argv[2:])
