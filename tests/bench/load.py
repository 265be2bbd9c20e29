"""What is asked of a way between two hosts (bulk TCP, UDP, QUIC, pings), and what that cost the processes in between

The generators (pump.c) are processes of their own, so that their time never counts as the tunnel's; every byte that arrives is compared
with what was meant, and a difference is an error. A result is a dict: bits, packets, seconds, cpu {name: seconds}, and for UDP rate, loss
and late (datagrams that came after one that was sent later).
"""
import json
import os
import re
import statistics

from world import build_folder

PUMP = os.path.join(build_folder(), 'tests', 'bench', 'pump')
LOSS_LIMIT = 0.001
FIRST_RATE = 40e3  # datagrams a second: where the search begins
CLOSE = 1.15       # it ends when the lowest that is too much is not more than this times the highest that is not
PINGS = 150


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


class Meter:
    """CPU seconds of {name: pid} from here on."""

    def __init__(self, pids):
        self.pids = pids
        self.before = {name: cpu_seconds(pid) for name, pid in pids.items()}

    def read(self):
        return {name: cpu_seconds(pid) - self.before[name] for name, pid in self.pids.items()}


class Load:
    """<client> speaks first, <server> has <address>."""
    port = 5300

    def __init__(self, client, server, address):
        self.client = client
        self.server = server
        self.address = address

    def _ends(self, pids, server, client, seconds, program=PUMP):
        """Runs both ends of one measurement; ({server: …, client: …} as they tell it, CPU seconds of <pids>)"""
        Load.port += 1 # nothing of an earlier run is taken for this one's
        words = [server[0], 'listen', self.address, Load.port, *server[1:]]
        listening = self.server.start('pump-%d' % Load.port, program, *words)
        try:
            listening.wait_line('"ready"', 10)
            meter = Meter(pids)
            done = self.client.run(program, client[0], 'connect', self.address, Load.port, *client[1:], timeout=seconds + 40, check=False)
            cpu = meter.read()
            if done.returncode != 0:
                raise AssertionError('%s %s: %s' % (self.client.name, ' '.join(map(str, client)), done.stderr.strip()))
            told = {'client': json.loads(done.stdout.strip().splitlines()[-1]), 'server': listening.wait_line('"over"', 15).data}
            listening.wait_exit(5)
        finally:
            listening.kill()
            listening.file.close()
            self.server.world.daemons.remove(listening)
        for end in told.values():
            if end['wrong']:
                raise AssertionError('what came is not what was sent: %s' % told)
            if end.get('broken'):
                raise AssertionError('a connection broke: %s' % told)
        return told, cpu

    def tcp(self, pids, way, flows, seconds):
        """<way>: up (client to server), down, both."""
        server, client = {'up': ('receive', 'send'), 'down': ('send', 'receive'), 'both': ('both', 'both')}[way]
        told, cpu = self._ends(pids, ('tcp', server, flows, seconds), ('tcp', client, flows, seconds), seconds)
        got = [end for end in told.values() if end['received']]
        return {'bits': 8 * sum(end['received'] for end in got), 'seconds': max([end['seconds'] for end in got] + [0.001]), 'cpu': cpu,
                'flows': [flow for end in got for flow in end['flows']]}

    def quic(self, pids, way, seconds, program):
        """One stream of quic-go's, <program> its peers/quic."""
        server, client = {'up': ('receive', 'send'), 'down': ('send', 'receive')}[way]
        told, cpu = self._ends(pids, ('quic', server, 1, seconds), ('quic', client, 1, seconds), seconds, program)
        got = max(told.values(), key=lambda end: end['received'])
        return {'bits': 8 * got['received'], 'seconds': max(got['seconds'], 0.001), 'cpu': cpu}

    def udp_at(self, pids, way, size, rate, seconds, *more):
        """Datagrams of <size> bytes, <rate> a second."""
        server, client = {'up': ('receive', 'send'), 'down': ('send', 'receive')}[way]
        told, cpu = self._ends(pids, ('udp', server, size, rate, seconds, *more), ('udp', client, size, rate, seconds, *more), seconds)
        sender, receiver = (told['client'], told['server']) if way == 'up' else (told['server'], told['client'])
        return {'bits': 8 * size * receiver['received'], 'packets': receiver['received'], 'seconds': max(sender['seconds'], receiver['seconds'], 0.001),
                'cpu': cpu, 'late': receiver['late'], 'loss': max(1 - receiver['received'] / max(sender['sent'], 1), 0),
                'offered': sender['sent'] / max(sender['seconds'], 0.001)}

    def udp(self, pids, way, size, seconds, *more, around=None, probes=7):
        """At the highest rate found whose loss stays below LOSS_LIMIT; the last try when there is none. <around>: where it was before."""
        best = last = None
        rate, high = around or FIRST_RATE, None
        for _ in range(4 if around else probes):
            last = self.udp_at(pids, way, size, rate, seconds, *more)
            if last['loss'] <= LOSS_LIMIT:
                best = last if not best or last['packets'] / last['seconds'] > best['packets'] / best['seconds'] else best
                if last['offered'] < 0.85 * rate: # the generator has no more
                    break
                low = rate
                rate = (low * high) ** 0.5 if high else rate * (1.25 if around else 2)
            else:
                high = rate
                rate = (low * high) ** 0.5 if best else rate / (1.4 if around else 2.5)
            if best and high and high / low < CLOSE:
                break
        return dict(best or last, rate=rate)

    def pings(self, count=PINGS):
        """Sorted milliseconds of round trips."""
        done = self.client.run('ping', '-n', '-i', '0.01', '-c', count, '-W', 2, self.address, timeout=60, check=False)
        return sorted(float(word) for word in re.findall(r'time=([0-9.]+)', done.stdout))

    def latency(self, loaded):
        """Quantiles of round trips in ms; <loaded>: while an upload takes all that it gets, whose rate is told too."""
        if not loaded:
            return quantiles(self.pings())
        Load.port += 1
        words = ['tcp', 'listen', self.address, Load.port, 'receive', 1, PINGS * 0.01 + 3]
        ends = [self.server.start('pump-%d' % Load.port, PUMP, *words)]
        try:
            ends[0].wait_line('"ready"', 10)
            words[1], words[4] = 'connect', 'send'
            ends.append(self.client.start('pump-%d-c' % Load.port, PUMP, *words))
            self.pings(50) # it takes a while until the queues are what they will be
            times = self.pings()
            told = [end.wait_line('"over"', 30).data for end in ends]
        finally:
            for end in ends:
                end.kill()
                end.file.close()
                self.server.world.daemons.remove(end)
        if any(end['wrong'] or end['broken'] for end in told):
            raise AssertionError('what came is not what was sent: %s' % told)
        return dict(quantiles(times), bits_per_second=8 * told[0]['received'] / max(told[0]['seconds'], 0.001))


def quantiles(times):
    if not times:
        return {'p50': float('nan'), 'p99': float('nan'), 'answered': 0}
    return {'p50': statistics.median(times), 'p99': times[len(times) - 1 - len(times) // 100], 'answered': len(times)}
