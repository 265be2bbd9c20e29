"""What is asked of a way between two hosts: bulk TCP by iperf3, UDP by datagrams.py, and what that cost the processes in between

The generators are processes of their own, so that their time never counts as the tunnel's.
"""
import collections
import json
import os
import sys

from process import until

PORT, UDP_PORT = 5300, 5202
DATAGRAMS = os.path.join(os.path.dirname(os.path.abspath(__file__)), 'datagrams.py')
DATAGRAM = 1200
LOSS_LIMIT = 0.005
# Delivered bits, seconds of the transfer, and the CPU seconds of each process meanwhile.
Result = collections.namedtuple('Result', 'bits seconds cpu loss')


def descendants(pid):
    """A process and all that it started, as far as they live."""
    found = [pid]
    for one in found:
        try:
            for task in os.listdir('/proc/%d/task' % one):
                with open('/proc/%d/task/%s/children' % (one, task), encoding='ascii') as file:
                    found += [int(word) for word in file.read().split()]
        except OSError:
            pass
    return found


def cpu_seconds(pid):
    """User and system time of all threads of a process and of what it started."""
    ticks = 0
    for one in descendants(pid):
        try:
            with open('/proc/%d/stat' % one, encoding='ascii') as file:
                fields = file.read().rsplit(')', 1)[1].split()
        except OSError:
            continue
        ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf('SC_CLK_TCK')


class Load:
    """<client> is the host behind the agent, <server> the one behind the relay."""

    def __init__(self, client, server, address):
        self.client = client
        self.server = server
        self.address = address
        self.port = PORT
        server.start('datagrams', sys.executable, DATAGRAMS, 'serve', address, UDP_PORT, DATAGRAM).wait_line('"ready"')

    def _iperf3(self, pids, seconds, *options):
        """iperf3's answer, and the CPU seconds of <pids> ({name: pid}) while it ran."""
        self.port += 1  # a server for each run: the one before may still wait for what a slow tunnel holds
        server = self.server.start('iperf3-%d' % self.port, 'iperf3', '--server', '--one-off', '--bind', self.address, '--port', self.port)
        try:
            until(lambda: self.server.run('ss', '-Hltn', 'sport = %d' % self.port).stdout.strip(), 10, 'iperf3 listens')
            before = {name: cpu_seconds(pid) for name, pid in pids.items()}
            done = self.client.run('iperf3', '--client', self.address, '--port', self.port, '--time', seconds, '--json',
                                   '--connect-timeout', 3000, *options, timeout=seconds + 20, check=False)
            cpu = {name: cpu_seconds(pid) - before[name] for name, pid in pids.items()}
        finally:
            server.kill()
        answer = json.loads(done.stdout) if done.stdout.strip().startswith('{') else {'error': done.stderr.strip()}
        if 'error' in answer:
            raise AssertionError('iperf3: %s' % answer['error'])
        return answer['end'], cpu

    def tcp(self, pids, down, streams, seconds):
        end, cpu = self._iperf3(pids, seconds, '--parallel', streams, *(['--reverse'] if down else []))
        got = end['sum_received']
        return Result(got['bytes'] * 8, got['seconds'] or seconds, cpu, None)

    def udp_at(self, pids, down, rate, seconds):
        """Datagrams at <rate> bit/s."""
        before = {name: cpu_seconds(pid) for name, pid in pids.items()}
        done = self.client.run(sys.executable, DATAGRAMS, 'pull' if down else 'push', self.address, UDP_PORT, DATAGRAM, rate, seconds)
        cpu = {name: cpu_seconds(pid) - before[name] for name, pid in pids.items()}
        told = json.loads(done.stdout)
        loss = 1 - told['received'] / max(told['sent'], 1)
        return Result(told['received'] * DATAGRAM * 8, max(seconds, told['seconds']), cpu, max(loss, 0))

    def udp(self, pids, down, seconds, low=40e6, high=8e9, probes=5):
        """The highest rate found whose loss stays below LOSS_LIMIT; the last try when none does."""
        best = last = None
        for _ in range(probes):
            rate = (low * high) ** 0.5
            last = self.udp_at(pids, down, rate, seconds / 4)
            if last.loss < LOSS_LIMIT and last.bits / last.seconds > 0.9 * rate:
                best = last if not best or last.bits / last.seconds > best.bits / best.seconds else best
                low = rate
            elif last.loss < LOSS_LIMIT: # the generator has no more: that is the highest
                return last
            else:
                high = rate
        return best or last
