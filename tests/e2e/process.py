"""Programs under test: started in a namespace, their lines collected, their ends waited for; never a fixed sleep."""
import collections
import json
import os
import re
import signal
import subprocess
import threading
import time

Line = collections.namedtuple('Line', 'stream text data at')


SANITIZER = re.compile(r'(WARNING|ERROR|FATAL): (Address|Thread|Leak|UndefinedBehavior)Sanitizer|: runtime error: ')


class Timeout(AssertionError):
    pass


def until(predicate, timeout, what, step=0.02):
    """Asks again until <predicate> gives something true, and returns that."""
    deadline = time.monotonic() + timeout
    pause = threading.Event()
    while True:
        value = predicate()
        if value:
            return value
        if time.monotonic() > deadline:
            raise Timeout('not within %g s: %s' % (timeout, what))
        pause.wait(step)


def parse(text):
    """A line of JSON as a dict; anything else is an empty one."""
    if text.startswith('{'):
        try:
            return json.loads(text)
        except ValueError:
            pass
    return {}


class Daemon:
    """A running program. Lines of standard error are its log, those of standard output what it prints (the relay: audit)."""

    def __init__(self, name, argv, log_path, **options):
        self.name = name
        self.argv = argv
        self.lines = []
        self.changed = threading.Condition()
        self.file = open(log_path, 'a', encoding='utf-8')
        self.file.write('== %s: %s\n' % (name, ' '.join(argv)))
        self.process = subprocess.Popen(argv, stdin=options.pop('stdin', subprocess.DEVNULL), stdout=subprocess.PIPE,
                                        stderr=subprocess.PIPE, start_new_session=True, **options)
        self.readers = [threading.Thread(target=self._read, args=(pipe, stream), daemon=True)
                        for pipe, stream in ((self.process.stdout, 'out'), (self.process.stderr, 'err'))]
        self.reading = len(self.readers)
        for reader in self.readers:
            reader.start()

    def _read(self, pipe, stream):
        for raw in pipe:
            text = raw.decode('utf-8', 'replace').rstrip('\n')
            with self.changed:
                self.lines.append(Line(stream, text, parse(text), time.monotonic()))
                self.file.write('%s %s\n' % (stream, text))
                self.file.flush()
                self.changed.notify_all()
        with self.changed:
            self.reading -= 1
            self.changed.notify_all()

    @property
    def pid(self):
        return self.process.pid

    def mark(self):
        """A place in the lines: what comes later is new."""
        with self.changed:
            return len(self.lines)

    def find(self, wanted, since=0, stream=None):
        """Lines that a regular expression or a function of Line picks."""
        match = wanted if callable(wanted) else lambda line, search=re.compile(wanted).search: search(line.text)
        with self.changed:
            lines = self.lines[since:]
        return [line for line in lines if (stream is None or line.stream == stream) and match(line)]

    def wait_line(self, wanted, timeout=10, since=0, stream=None, count=1):
        """The <count>th such line, waited for while the program lives."""
        deadline = time.monotonic() + timeout
        while True:
            with self.changed:
                seen, over = len(self.lines), self.reading == 0
            found = self.find(wanted, since, stream)
            if len(found) >= count:
                return found[count - 1]
            left = deadline - time.monotonic()
            if over or left <= 0:
                raise Timeout('%s: no line %r (%s)\n%s' % (self.name, wanted, 'it ended' if over else 'waited %g s' % timeout, self.tail()))
            with self.changed:
                if len(self.lines) == seen and self.reading:
                    self.changed.wait(left)

    def audit(self, since=0, **fields):
        """Audit records that have these values."""
        return [line.data for line in self.find(lambda line: matches(line.data, fields), since) if 'event_type' in line.data]

    def wait_audit(self, timeout=10, since=0, count=1, **fields):
        return self.wait_line(lambda line: 'event_type' in line.data and matches(line.data, fields), timeout, since, count=count).data

    def tail(self, count=30):
        with self.changed:
            return '\n'.join('%s %s: %s' % (self.name, line.stream, line.text) for line in self.lines[-count:])

    def accusations(self):
        """What the sanitizers of its build said, from the first line on; '' when nothing."""
        with self.changed:
            texts = [line.text for line in self.lines if line.stream == 'err']
        for at, text in enumerate(texts):
            if SANITIZER.search(text):
                return '%s:\n%s' % (self.name, '\n'.join(texts[at:at + 60]))
        return ''

    def send(self, number):
        self.process.send_signal(number)

    def wait_exit(self, timeout=15):
        try:
            code = self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            raise Timeout('%s still runs after %g s\n%s' % (self.name, timeout, self.tail())) from None
        for reader in self.readers:
            reader.join(2)
        return code

    def stop(self, number=signal.SIGTERM, timeout=15):
        """Ends it and gives its exit status (negative: the signal)."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        return self.wait_exit(timeout)

    def kill(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()

    def children(self):
        """Pids of the processes that it started itself."""
        try:
            with open('/proc/%d/task/%d/children' % (self.pid, self.pid), encoding='ascii') as file:
                return [int(word) for word in file.read().split()]
        except OSError:
            return []

    def cpu_seconds(self):
        """User and system time of it and its children, both living."""
        ticks = 0
        for pid in [self.pid] + self.children():
            try:
                with open('/proc/%d/stat' % pid, encoding='ascii') as file:
                    fields = file.read().rsplit(')', 1)[1].split()
            except OSError:
                continue
            ticks += int(fields[11]) + int(fields[12])
        return ticks / os.sysconf('SC_CLK_TCK')


def matches(data, fields):
    return all(data.get(key) == value for key, value in fields.items())
