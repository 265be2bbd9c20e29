#!/usr/bin/python3
"""UDP datagrams of one size at a rate, counted at both ends; the receiving socket is deep, so that what is lost was lost on the way.

    datagrams.py serve ADDRESS PORT SIZE
    datagrams.py push|pull ADDRESS PORT SIZE RATE SECONDS    RATE in bit/s; one line of JSON: sent, received, seconds

The side behind the agent speaks first in both directions, as policy wants it.
"""
import json
import socket
import sys
import time

DEEP = 32 << 20
BURST = 32
TICK = 0.0002  # seconds: how often the sender looks how many are due
SO_RCVBUFFORCE, SO_SNDBUFFORCE = 33, 32
# First byte of a datagram.
DATA, PULL, OVER, COUNT = b'd', b'p', b'o', b'c'


def udp():
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    for force, usual in ((SO_RCVBUFFORCE, socket.SO_RCVBUF), (SO_SNDBUFFORCE, socket.SO_SNDBUF)):
        try:
            sock.setsockopt(socket.SOL_SOCKET, force, DEEP)
        except OSError:
            sock.setsockopt(socket.SOL_SOCKET, usual, DEEP)
    return sock


def say(sock, data):
    try:
        sock.send(data)
    except ConnectionRefusedError: # the other side has gone: its word on an earlier datagram
        pass


def send(sock, size, rate, seconds):
    """Sends to whom the socket is connected; how many."""
    block = DATA * size
    per_second = rate / 8 / size
    sent = 0
    start = time.monotonic()
    while True:
        elapsed = time.monotonic() - start
        if elapsed >= seconds:
            return sent
        due = min(int(elapsed * per_second) - sent, BURST)
        if due <= 0:
            time.sleep(TICK)
        for _ in range(due):
            say(sock, block)
        sent += max(due, 0)


def count(sock, wait):
    """(datagrams until the other side is over, its own count or None, seconds from first to last)"""
    buffer = bytearray(2048)
    got, first, last = 0, 0, 0
    sock.settimeout(wait)
    try:
        while True:
            sock.recv_into(buffer)
            if buffer[:1] == DATA:
                if not got:
                    first = time.monotonic()
                got += 1
                if not got & 63:
                    last = time.monotonic()
            elif buffer[:1] == OVER:
                return got, int(bytes(buffer[1:17])), max(last - first, 0.001)
    except (TimeoutError, ConnectionRefusedError):
        return got, None, max(last - first, 0.001)


def end(sock, sent):
    """Says it is over, until the other side has heard it: its count, None when it never answers."""
    sock.settimeout(0.1)
    for _ in range(50):
        say(sock, OVER + b'%016d' % sent)
        try:
            while True:
                answer = sock.recv(2048)
                if answer[:1] == COUNT:
                    return json.loads(answer[1:])
        except TimeoutError:
            pass
        except ConnectionRefusedError:
            return None
    return None


def listen(address, port):
    sock = udp()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.bind((address, port))
    return sock


def serve(address, port, size):
    sock = listen(address, port)
    print(json.dumps({'state': 'ready'}), flush=True)
    while True:
        data, peer = sock.recvfrom(2048)
        while data[:1] not in (PULL, DATA):
            data, peer = sock.recvfrom(2048)
        sock.connect(peer) # for this run: nothing of another one is counted
        if data[:1] == PULL:
            asked = json.loads(data[1:])
            end(sock, send(sock, size, asked['rate'], asked['seconds']))
        else:
            got, sent, seconds = count(sock, 5)
            if sent is not None:
                for _ in range(3):
                    say(sock, COUNT + json.dumps({'received': got + 1, 'seconds': seconds}).encode())
        # before the old one is gone: nobody shall find the port closed
        fresh = listen(address, port)
        sock.close()
        sock = fresh


def push(address, port, size, rate, seconds):
    sock = udp()
    sock.connect((address, port))
    sent = send(sock, size, rate, seconds)
    answer = end(sock, sent) or {'received': 0, 'seconds': seconds}
    return {'sent': sent, **answer}


def pull(address, port, size, rate, seconds):
    sock = udp()
    sock.connect((address, port))
    say(sock, PULL + json.dumps({'rate': rate, 'seconds': seconds}).encode())
    got, sent, taken = count(sock, 5)
    for _ in range(3):
        say(sock, COUNT + b'{}')
    return {'sent': sent or int(rate * seconds / 8 / size), 'received': got, 'seconds': taken}


def main():
    verb, address, port, size = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
    if verb == 'serve':
        serve(address, port, size)
    print(json.dumps({'push': push, 'pull': pull}[verb](address, port, size, float(sys.argv[5]), float(sys.argv[6]))), flush=True)


if __name__ == '__main__':
    main()
