"""Plays scripts against a TCP port, thousands at a time, and records what can be seen from outside: bytes, how it ended, and when.

A script is a generator over a Probe. It sends, ends or resets, and yields (condition, seconds) to wait until the condition holds, the
peer has ended or the time is over; nothing waits for longer than that.
"""
import errno
import heapq
import os
import random
import select
import socket
import ssl
import time

from doorway import reset
from tlsbytes import mask, mask_dates

AT_ONCE = 0.7  # seconds: what ends later was waited for


class Probe:
    def __init__(self, engine, address, script):
        self.engine = engine
        self.data = bytearray()
        self.end = 'open'     # open, fin, reset, refused, ours
        self.after = ''       # what comes of writing after the peer's end: reset, quiet
        self.text = b''       # what a TLS client read
        self.error = ''       # why it gave up
        self.notes = []       # what the script found
        self.times = {}
        self.lengths = True   # of sealed records: they count
        self.session = b'\x55' * 32
        self.out = b''
        self.said = []        # what it sent, piece by piece
        self.over = self.shut_done = self.want_shut = False
        self.connected = self.sent = self.first = self.ended = None
        self.condition, self.turn, self.end_before = None, 0, None
        self.sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        self.sock.setblocking(False)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.running = script(self)
        self.started = time.monotonic()
        failure = self.sock.connect_ex(address)
        if failure not in (0, errno.EINPROGRESS):
            self._cannot(failure)

    # -- what scripts use

    def send(self, data):
        self.out += data
        self.said.append(data)
        self.sent, self.first = time.monotonic(), None
        self._flush()

    def shut(self):
        """No more will be sent."""
        self.want_shut = True
        self.sent, self.first = time.monotonic(), None
        self._flush()

    def urgent(self, byte):
        try:
            self.sock.send(byte, socket.MSG_OOB)
        except OSError:
            pass

    def reset(self):
        self.end = 'ours'
        reset(self.sock)
        self.over = True

    def note(self, what):
        self.notes.append(what)

    def has(self, count):
        return lambda: len(self.data) >= count

    @property
    def gone(self):
        return self.end != 'open'

    def until_end(self, seconds):
        """To the peer's end; then whether it has closed, or only stopped sending."""
        yield (lambda: False), seconds
        if self.ended is not None:
            self.times['end'] = self.ended - (self.sent or self.connected or self.started)
            self.times['life'] = self.ended - self.started
        if self.end == 'fin' and not self.want_shut:
            self.send(b'\r')
            yield (lambda: self.end == 'reset'), 1.0, 'fin'
            self.after = 'reset' if self.end == 'reset' else 'quiet'
            self.end = 'fin'

    # -- what the engine uses

    def _cannot(self, failure):
        self.end = 'refused' if failure == errno.ECONNREFUSED else os.strerror(failure)
        self.ended = time.monotonic()

    def _flush(self):
        while self.out and self.connected is not None and self.end in ('open', 'fin'):
            try:
                self.out = self.out[self.sock.send(self.out):]
            except BlockingIOError:
                return
            except OSError as failure:
                self._failed(failure)
        if self.want_shut and not self.shut_done and self.connected is not None and self.end in ('open', 'fin'):
            self.shut_done = True
            try:
                self.sock.shutdown(socket.SHUT_WR)
            except OSError as failure:
                self._failed(failure)

    def _failed(self, failure):
        """What came before the reset is still there to be read."""
        if failure.errno not in (errno.ECONNRESET, errno.EPIPE, errno.ENOTCONN):
            raise failure
        try:
            while True:
                piece = self.sock.recv(65536)
                if not piece:
                    break
                self.data += piece
        except OSError:
            pass
        self._end('reset')

    def _end(self, how):
        if self.ended is None:
            self.ended = time.monotonic()
        self.end = how

    def on_ready(self):
        if self.connected is None:
            failure = self.sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            if failure:
                self._cannot(failure)
                return
            try:
                self.sock.getpeername()
            except OSError:
                return
            self.connected = time.monotonic()
            self.times['connect'] = self.connected - self.started
        self._flush()
        if self.end == 'fin' and self.sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
            self._end('reset')  # reading says nothing but that there is no more
        while self.end in ('open', 'fin'):
            try:
                piece = self.sock.recv(65536)
            except BlockingIOError:
                return
            except OSError as failure:
                self._failed(failure)
                return
            if not piece:
                if self.end == 'open':
                    self._end('fin')
                return
            if self.first is None and self.sent is not None:
                self.first = time.monotonic()
                self.times['first'] = self.first - self.sent
            self.data += piece

    def step(self, value):
        """Goes on with the script until it waits again. Gives the seconds, or None at its end."""
        while not self.over:
            try:
                wait = self.running.send(value)
            except StopIteration:
                self.sock.close()
                self.over = True
                break
            self.condition, seconds = wait[:2]
            self.end_before = 'fin' if len(wait) > 2 else 'open'
            if self.condition() or self.end != self.end_before:
                value = bool(self.condition())
                continue
            return seconds
        return None

    def outcome(self):
        """All that should be the same again, in a form that can be compared. That of times is only whether the end was waited for."""
        late = 'end' in self.times and ('late' if self.times['end'] > AT_ONCE else 'at once')
        return (mask(bytes(self.data), self.session, self.lengths), mask_dates(self.text), self.error, tuple(self.notes), self.end, self.after, late)


class Engine:
    """In the thread, and the network, that calls run()."""

    def __init__(self):
        self.epoll = select.epoll()
        self.waiting, self.live = [], {}
        self.number = 0

    def start(self, address, script):
        p = Probe(self, address, script)
        fd = p.sock.fileno()
        self.live[fd] = p
        p.fd = fd
        self.epoll.register(fd, select.EPOLLIN | select.EPOLLOUT | select.EPOLLRDHUP | select.EPOLLET)
        self.step(p, None)
        return p

    def step(self, p, value):
        seconds = p.step(value)
        if p.over:
            self.live.pop(p.fd, None)  # closing took it out of the set
            return
        self.number += 1
        p.turn = self.number
        heapq.heappush(self.waiting, (time.monotonic() + seconds, self.number, p))

    def run(self, jobs, together, pace=0.0):
        """jobs: iterator of (address, script). Gives the probes in their order. <pace>: seconds from one start to the next."""
        probes, more = [], iter(jobs)
        self.next_start = time.monotonic()
        try:
            while more or self.live:
                while more and len(self.live) < together and time.monotonic() >= self.next_start:
                    self.next_start = max(self.next_start + pace, time.monotonic() - pace)
                    job = next(more, None)
                    if job is None:
                        more = None
                        break
                    probes.append(self.start(*job))
                if self.live or more:
                    self.turn(more is not None and len(self.live) < together)
        finally:
            for p in self.live.values():
                p.sock.close()
            self.epoll.close()
        return probes

    def turn(self, starts):
        while self.waiting and (self.waiting[0][2].over or self.waiting[0][1] != self.waiting[0][2].turn):
            heapq.heappop(self.waiting)
        moments = [self.next_start] * starts + [when for when, _, _ in self.waiting[:1]]
        until = min(moments, default=time.monotonic() + 1)
        pause = max(0.0, until - time.monotonic())
        touched = [self.live[fd] for fd, _ in self.epoll.poll(pause) if fd in self.live]
        for p in touched:  # all clocks are read before any script runs
            p.on_ready()
        for p in touched:
            if not p.over and (p.condition() or p.end != p.end_before):
                self.step(p, bool(p.condition()))
        now = time.monotonic()
        while self.waiting and self.waiting[0][0] <= now:
            _, turn, p = heapq.heappop(self.waiting)
            if not p.over and turn == p.turn:
                self.step(p, bool(p.condition()))


def play(jobs, together=256, pace=0.0):
    return Engine().run(jobs, together, pace)


# ---- scripts ----

def say(*pieces, limit, pause=0.0, end=False, urgent=None):
    """Sends the pieces, each when the peer said nothing to the one before for <pause> seconds; then waits for the end."""
    def script(p):
        for i, piece in enumerate(pieces):
            if i:
                have = len(p.data)
                yield p.has(have + 1), pause
                if p.gone:
                    break
            p.send(piece)
        if urgent:
            p.urgent(urgent)
        if end and not p.gone:
            p.shut()
        yield from p.until_end(limit)
    return script


class Tls:
    """A TLS client over a probe."""

    def __init__(self, p, context, name='site.test', session=None):
        self.p, self.at = p, 0
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.object = context.wrap_bio(self.incoming, self.outgoing, server_hostname=name, session=session)
        p.session = None
        self.closed = False

    def _flush(self):
        data = self.outgoing.read()
        if data:
            self.p.send(data)

    def _take(self):
        new = bytes(self.p.data[self.at:])
        self.at += len(new)
        if new:
            self.incoming.write(new)
        return bool(new)

    def _more(self, seconds):
        have = len(self.p.data)
        if have <= self.at and not self.p.gone:
            yield self.p.has(have + 1), seconds
        return self._take()

    def handshake(self, seconds=5):
        while True:
            try:
                self.object.do_handshake()
                self._flush()
                self.p.note(('tls', self.object.version(), self.object.cipher()[0], self.object.selected_alpn_protocol()))
                return True
            except ssl.SSLWantReadError:
                self._flush()
                if not (yield from self._more(seconds)):
                    self.p.error = 'no answer'
                    return False
            except ssl.SSLError as failure:
                self._flush()
                self.p.error = failure.reason or 'ssl'
                return False

    def send(self, data):
        try:
            self.object.write(data)
        except ssl.SSLError as failure:
            self.p.error = failure.reason or 'ssl'
        self._flush()

    def read(self, enough, seconds):
        """Until enough(text), the end, or the time is over. True when it was enough."""
        while not enough(self.p.text):
            try:
                piece = self.object.read(65536)
                if not piece:
                    self._closed()
                    return False
                self.p.text += piece
                continue
            except ssl.SSLWantReadError:
                self._flush()
            except ssl.SSLZeroReturnError:
                self._closed()
                return False
            except ssl.SSLError as failure:
                self.p.error = failure.reason or 'ssl'
                return False
            if not (yield from self._more(seconds)):
                return False
        return True

    def _closed(self):
        self.closed = True
        self.p.note('close_notify')

    def until_end(self, seconds):
        started = self.p.sent
        yield from self.read(lambda text: False, seconds)
        self.p.sent = started
        yield from self.p.until_end(seconds)


def plain_context(version=None, protocols=('http/1.1',), groups=None, ciphers=None):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    if version:
        context.minimum_version = context.maximum_version = version
    if protocols:
        context.set_alpn_protocols(list(protocols))
    if groups:
        context.set_ecdh_curve(groups)
    if ciphers:
        context.set_ciphers(ciphers)
    return context


def session(*steps, limit, context=None, name='site.test', raw=(), lengths=True, answer=1.0, end=False):
    """A TLS session; each step is sent when the one before was answered. <raw> goes onto the socket beside TLS, behind them."""
    def script(p):
        p.lengths = lengths
        tls = Tls(p, context or plain_context(), name)
        if (yield from tls.handshake()):
            for step in steps:
                have = len(p.text)
                tls.send(step)
                yield from tls.read(lambda text, have=have: len(text) > have, answer)
                if p.gone or p.error:
                    break
            for piece in raw:
                if not p.gone:
                    p.send(piece)
            if end and not p.gone:
                p.shut()
        yield from tls.until_end(limit)
    return script


# ---- two targets ----

def compare(doors, sites, scripts, budget, together=256, repeat=48):
    """Plays {name: script} on both, and again where they differ at first. Gives {name: text} of what differs.

    <doors>, <sites>: the addresses of the two.
    """
    names = list(scripts)
    order = [(name, side) for name in names for side in (0, 1)]
    random.Random(1).shuffle(order)
    both = (doors, sites)
    probes = dict(zip(order, play((((both[side]), scripts[name]) for name, side in order), together)))
    unlike = [name for name in names if probes[name, 0].outcome() != probes[name, 1].outcome()]
    again = [(name, side) for name in unlike for side in (0, 1)] * repeat
    random.Random(3).shuffle(again)
    outcomes = {key: [] for key in again}
    for key, p in zip(again, play(((both[side], scripts[name]) for name, side in again), together)):
        outcomes[key].append(p.outcome())
    return {name: 'door: %s\nsite: %s' % (count(outcomes[name, 0]), count(outcomes[name, 1])) for name in unlike
            if budget.outcomes_differ(outcomes[name, 0], outcomes[name, 1])}


def count(outcomes):
    kinds = {}
    for outcome in outcomes:
        kinds[outcome] = kinds.get(outcome, 0) + 1
    return ' | '.join('%d x %s' % (number, str(kind)[:2000]) for kind, number in sorted(kinds.items(), key=lambda pair: -pair[1]))


def times(targets, scripts, key, count_each, together=1000, pace=0.0):
    """Plays each of {name: script} <count_each> times on each of the targets, all mixed. {name: [times of <key>, a list for each target]}"""
    order = [(name, at) for name in scripts for at in range(len(targets))] * count_each
    random.Random(2).shuffle(order)
    found = {name: [[] for _ in targets] for name in scripts}
    for (name, at), p in zip(order, play(((targets[at], scripts[name]) for name, at in order), together, pace)):
        if key in p.times:
            found[name][at].append(p.times[key])
    return found
