#!/usr/bin/python3
"""Traffic in a namespace: servers on the internet, clients on the agents. Every answer is one line of JSON.

    traffic.py serve FILE SIZE             web on port 80, echo on TCP and UDP port 7; makes FILE
    traffic.py tls ADDRESS PORT CERTIFICATE TEXT        a web site of one page; CERTIFICATE.crt and CERTIFICATE.key
    traffic.py listen PORT                 echo on TCP and UDP port PORT alone
    traffic.py get URL                     download: bytes, seconds, sha256
    traffic.py bulk ADDRESS SIZE           TCP echo of SIZE bytes: sha256 of both ways
    traffic.py udp ADDRESS SIZE COUNT      UDP echo of COUNT datagrams: how many came back as they were, and how many otherwise
    traffic.py flows ADDRESS FIRST COUNT   one UDP datagram and its echo for each of COUNT source ports
    traffic.py probe ADDRESS PORT [SECONDS]     can a TCP connection be made
    traffic.py hold ADDRESS PORT           a TCP connection with an echo every 50 ms; says when and how it ends
    traffic.py sink PORT FILE              counts what `flow` sends, a line for each; FILE gets when each datagram came
    traffic.py flow ADDRESS PORT SIZE RATE SECONDS      UDP at RATE datagrams per second, numbered and timed
    traffic.py idle ADDRESS PORT           a TCP connection on which nothing is said
"""
import errno
import hashlib
import http.client
import http.server
import json
import os
import random
import select
import socket
import socketserver
import ssl
import struct
import sys
import threading
import time
import urllib.parse


END = (1 << 64) - 1  # the number that ends a flow
OVER = b'over'  # what the sink answers to it


def say(**fields):
    print(json.dumps(fields), flush=True)


def family_of(address):
    return socket.AF_INET6 if ':' in address else socket.AF_INET


def tcp(address, port, timeout):
    sock = socket.socket(family_of(address), socket.SOCK_STREAM)
    sock.settimeout(timeout)
    sock.connect((address, port))
    return sock


# ---- servers

class Web(http.server.BaseHTTPRequestHandler):
    protocol_version = 'HTTP/1.1'
    path_of_file = None

    def do_GET(self):
        if self.path == '/file':
            with open(self.path_of_file, 'rb') as file:
                self.send_response(200)
                self.send_header('Content-Length', str(os.fstat(file.fileno()).st_size))
                self.end_headers()
                self.wfile.flush()
                self.connection.sendfile(file)
            return
        body = (self.client_address[0] + '\n').encode()  # who is asking, as seen from here
        self.send_response(200)
        self.send_header('Content-Length', str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *unused):
        pass


class WebServer(http.server.ThreadingHTTPServer):
    address_family = socket.AF_INET6  # both families
    request_queue_size = 128

    def server_bind(self):
        """Without asking a resolver, which is not there, for a name."""
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = self.server_address[:2]


def listening(kind, port):
    sock = socket.socket(socket.AF_INET6, kind)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
    sock.bind(('::', port))
    if kind == socket.SOCK_STREAM:
        sock.listen(128)
    else:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
    return sock


IP_PKTINFO = getattr(socket, 'IP_PKTINFO', 8)
PKTINFOS = ((socket.IPPROTO_IPV6, socket.IPV6_PKTINFO),)


def echo_udp(sock):
    """Answers from the address that was asked."""
    sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVPKTINFO, 1)
    while True:
        data, control, _, peer = sock.recvmsg(65535, 256)
        sock_control = [item for item in control if item[:2] in PKTINFOS]
        # the address alone: the way back is the routing's business
        sock_control = [(level, kind, value[:16] + b'\0\0\0\0') for level, kind, value in sock_control]
        try:
            sock.sendmsg([data], sock_control, 0, peer)
        except OSError:
            pass


def echo_stream(sock):
    with sock:
        try:
            while True:
                data = sock.recv(1 << 18)
                if not data:
                    break
                sock.sendall(data)
            sock.shutdown(socket.SHUT_WR)
        except OSError:
            pass


def echo_tcp(sock):
    while True:
        client, _ = sock.accept()
        threading.Thread(target=echo_stream, args=(client,), daemon=True).start()


def start_echo(port):
    for kind, serve in ((socket.SOCK_STREAM, echo_tcp), (socket.SOCK_DGRAM, echo_udp)):
        threading.Thread(target=serve, args=(listening(kind, port),), daemon=True).start()


def verb_serve(path, size):
    digest = hashlib.sha256()
    source = random.Random(int(size))
    with open(path, 'wb') as file:
        left = int(size)
        while left:
            block = source.randbytes(min(left, 1 << 20))
            digest.update(block)
            file.write(block)
            left -= len(block)
    Web.path_of_file = path
    server = WebServer(('::', 80), Web)
    start_echo(7)
    say(state='ready', sha256=digest.hexdigest())
    server.serve_forever()


def verb_tls(address, port, certificate, text):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate + '.crt', certificate + '.key')
    server = socket.create_server((address, int(port)))
    say(state='ready')
    while True:
        connection, _ = server.accept()
        with context.wrap_socket(connection, server_side=True) as tls:
            tls.recv(65536)
            tls.sendall(b'HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: %d\r\n\r\n%s' % (len(text), text.encode()))


def verb_listen(port):
    start_echo(int(port))
    say(state='ready')
    threading.Event().wait()


# ---- clients

def verb_get(url):
    parts = urllib.parse.urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname, parts.port or 80, timeout=10)
    start = time.monotonic()
    connection.request('GET', parts.path or '/')
    answer = connection.getresponse()
    digest = hashlib.sha256()
    count = 0
    block = b''
    while True:
        block = answer.read(1 << 18)
        if not block:
            break
        count += len(block)
        last = block
        digest.update(block)
    say(status=answer.status, bytes=count, seconds=time.monotonic() - start, sha256=digest.hexdigest(),
        text=last.decode('utf-8', 'replace').strip() if count < 1024 else '')


def verb_bulk(address, size):
    data = random.Random(int(size)).randbytes(int(size))
    back = hashlib.sha256()
    count = 0
    start = time.monotonic()
    with tcp(address, 7, 10) as sock:
        def send():
            rest = memoryview(data)
            while rest:  # the time-out is for each step: that of sendall is for all of it
                rest = rest[sock.send(rest):]
            sock.shutdown(socket.SHUT_WR)
        sender = threading.Thread(target=send, daemon=True)
        sender.start()
        while True:
            block = sock.recv(1 << 18)
            if not block:
                break
            count += len(block)
            back.update(block)
        sender.join(10)
    say(bytes=count, seconds=time.monotonic() - start, sent=hashlib.sha256(data).hexdigest(), received=back.hexdigest())


def learn_mtu(sock):
    """The first full-sized answer may be lost: Packet Too Big teaches the echo the MTU of the way back (RFC 8201, section 4)."""
    sock.settimeout(0.3)
    for _ in range(5):
        try:
            sock.send(bytes(1452))
            sock.recv(65535)
            break
        except OSError:
            pass
    sock.settimeout(2)


def verb_udp(address, size, count):
    source = random.Random(7)
    same = wrong = 0
    sock = socket.socket(family_of(address), socket.SOCK_DGRAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
    sock.settimeout(2)
    if family_of(address) == socket.AF_INET:
        sock.setsockopt(socket.IPPROTO_IP, 10, 0)  # IP_MTU_DISCOVER, IP_PMTUDISC_DONT: may be fragmented on the way
    sock.connect((address, 7))
    learn_mtu(sock)
    for _ in range(int(count)):
        data = source.randbytes(int(size))
        try:
            sock.send(data)
            if hashlib.sha256(sock.recv(65535)).digest() == hashlib.sha256(data).digest():
                same += 1
            else:
                wrong += 1
        except OSError as error:
            say(state='error', error=errno.errorcode.get(error.errno, str(error)))
    say(sent=int(count), same=same, wrong=wrong)


def verb_flows(address, first, count):
    """A source port each, at most 64 open at a time."""
    first, count = int(first), int(count)
    answered = 0
    for start in range(first, first + count, 64):
        waiting = {}
        for port in range(start, min(start + 64, first + count)):
            sock = socket.socket(family_of(address), socket.SOCK_DGRAM)
            sock.bind(('', port))
            sock.setblocking(False)
            sock.sendto(b'%05d' % port, (address, 7))
            waiting[sock] = port
        deadline = time.monotonic() + 3
        while waiting and time.monotonic() < deadline:
            for sock in select.select(list(waiting), [], [], 0.2)[0]:
                if sock.recv(64) == b'%05d' % waiting[sock]:
                    answered += 1
                    sock.close()
                    del waiting[sock]
        for sock in waiting:
            sock.close()
    say(sent=count, answered=answered)


def verb_probe(address, port, seconds='1'):
    start = time.monotonic()
    try:
        with tcp(address, int(port), float(seconds)):
            say(reached=True, seconds=time.monotonic() - start)
    except OSError as error:
        say(reached=False, seconds=time.monotonic() - start,
            error='timeout' if isinstance(error, TimeoutError) and not error.errno else errno.errorcode.get(error.errno, str(error)))


def verb_hold(address, port):
    sock = tcp(address, int(port), 5)
    say(state='ready', local=sock.getsockname()[0])
    poller = select.poll()
    poller.register(sock, select.POLLIN)
    how, echoes = 'end', 0
    try:
        while True:
            sock.send(b'x')
            if not poller.poll(10000):  # a lost path, and the pause of TCP after it
                how = 'silence'
                break
            if not sock.recv(4096):
                break
            echoes += 1
            if echoes == 1:
                say(state='alive')
            poller.modify(sock, select.POLLIN | select.POLLHUP)
            poller.poll(50)
    except OSError as error:
        how = errno.errorcode.get(error.errno, str(error))
    say(state='over', how=how, echoes=echoes)


def verb_flow(address, port, size, rate, seconds, together='1'):
    """Each datagram: its number, and when it was due (CLOCK_MONOTONIC); a number of ones for the end. <together> of them at a time."""
    together = int(together)
    rate, seconds, pad = float(rate), float(seconds), bytes(int(size) - 16)
    sock = socket.socket(family_of(address), socket.SOCK_DGRAM)
    sock.connect((address, int(port)))
    start = time.monotonic()
    number = failed = 0
    while number < rate * seconds:
        due = start + number // together * together / rate
        now = time.monotonic()
        if due > now:
            time.sleep(due - now)
            continue
        try:
            sock.send(struct.pack('!Qd', number, due) + pad)
        except OSError:
            failed += 1
        number += 1
    sock.settimeout(0.05)
    for _ in range(40):  # until the sink says that it heard
        try:
            sock.send(struct.pack('!Qd', END, 0))
            if sock.recv(16) == OVER:
                break
        except OSError:
            pass
    say(sent=number, failed=failed)


def verb_knock(address, port, seconds):
    """Datagrams for so long, each from a socket of its own and from one that was there before; the errors that were met."""
    end, sent, errors = time.monotonic() + float(seconds), 0, {}
    old = None
    while time.monotonic() < end:
        sock = socket.socket(family_of(address), socket.SOCK_DGRAM)
        for one in (sock, old):
            try:
                if one is sock:
                    sock.connect((address, int(port)))
                if one:
                    one.send(b'knock')
                    sent += 1
            except OSError as error:
                name = errno.errorcode.get(error.errno, str(error))
                errors[name] = errors.get(name, 0) + 1
        if old is None and sent:
            old = sock
            say(state='began')
        else:
            sock.close()
        select.select([old] if old else [], [], [], 0.005)
    say(state='over', sent=sent, errors=errors)


def verb_sink(port, path):
    """How many datagrams of a flow came, how many twice, and how many behind a later one; FILE: [[number, CLOCK_MONOTONIC], …]"""
    sock = listening(socket.SOCK_DGRAM, int(port))
    say(state='ready')
    arrivals, twice, late, last = {}, 0, 0, -1
    over = set()  # senders whose flow has ended: what comes of it later, its other ends above all, belongs to no other flow
    while True:
        data, sender = sock.recvfrom(65535)
        now = time.monotonic()
        number, _ = struct.unpack_from('!Qd', data)
        if number == END:
            sock.sendto(OVER, sender)
        if sender in over:
            continue
        if number == END:
            over.add(sender)
            if arrivals:
                with open(path, 'w', encoding='ascii') as file:
                    json.dump(list(arrivals.items()), file)
                say(state='flow', count=len(arrivals), twice=twice, late=late)
            arrivals, twice, late, last = {}, 0, 0, -1
            continue
        if number in arrivals:
            twice += 1
            continue
        late += number < last
        last = number
        arrivals[number] = now


def verb_idle(address, port):
    sock = tcp(address, int(port), 5)
    sock.settimeout(30)
    say(state='ready')
    how = 'end'
    try:
        sock.recv(1)
    except OSError as error:
        how = errno.errorcode.get(error.errno, str(error))
    say(state='over', how=how)


def main():
    verb = globals().get('verb_' + sys.argv[1]) if len(sys.argv) > 1 else None
    if not verb:
        sys.exit(__doc__)
    try:
        verb(*sys.argv[2:])
    except OSError as error:
        say(state='error', error=errno.errorcode.get(error.errno, str(error)))
        sys.exit(1)


main()
