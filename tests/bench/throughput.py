"""Rounds in which the tunnels take turns in the same namespaces: TCP, UDP, agent to agent, latency"""
import os
import time

import gateway
import load
import peers
import sides
import world as worlds

# name -> (kind, way, flows or size of a UDP payload; None: what fills the inner MTU, more words for the generator)
MEASURES = {}
for _flows in (1, 4, 32):
    for _way in ('down', 'up', 'both'):
        MEASURES['tcp %s x%d' % (_way, _flows)] = ('tcp', _way, _flows, ())
for _size in (64, 512, 1200, None):
    for _way in ('down', 'up'):
        MEASURES['udp %s %s' % (_way, _size or 'full')] = ('udp', _way, _size, ())
for _way in ('down', 'up'):
    MEASURES['udp %s 1200 gso' % _way] = ('udp', _way, 1200, ('gso',))
    # the same number for everybody: what a packet costs when it is not many that come at once
    MEASURES['udp %s 1200 at 20k' % _way] = ('udp-at', _way, 1200, (20e3,))
for _way in ('down', 'up'):
    MEASURES['quic %s' % _way] = ('quic', _way, 1, ())
MEASURES.update({'hub tcp x1': ('hub-tcp', 'up', 1, ()), 'hub udp 1200': ('hub-udp', 'up', 1200, ()),
                 'latency idle': ('latency', False, 0, ()), 'latency loaded': ('latency', True, 0, ())})
QUICK = ('tcp down x1', 'tcp up x1', 'udp down 1200', 'hub tcp x1', 'latency idle')
# What is asked of those who are there for one comparison, or as a measure of the machine.
FEW = {'gatehouse-1280': ('tcp down x1', 'tcp up x1', 'udp down 1200', 'udp up 1200'),
       'connect-ip-go': ('tcp down x1', 'tcp up x1', 'udp down 1200', 'udp up 1200'),
       'plain veth': ('tcp down x1', 'tcp up x1', 'udp down 64', 'udp up 1200', 'latency idle', 'latency loaded')}


def say(text=''):
    print(text, flush=True)


def program_of(peer, name):
    folder, why = peers.build(peer, sides.HERE)
    if not folder:
        raise RuntimeError(why)
    return os.path.join(folder, name)


def wanted(options, side):
    """Measures for a tunnel, in the table's order."""
    names = [name for name in MEASURES if not options.only or any(word in name for word in options.only.split(','))]
    if options.quick and not options.only:
        names = [name for name in names if name in QUICK]
    return [name for name in names if name in FEW.get(side.name, MEASURES) and (side.hub or not name.startswith('hub'))]


class Throughput:
    def __init__(self, options):
        self.options = options
        self.results = {}  # {side: {measure: [result of a round]}}
        self.mtus = {}
        self.rates = {}    # (side, measure) -> the UDP rate of the round before
        self.rounds = 0

    def measure(self, side, name, pids):
        kind, way, amount, more = MEASURES[name]
        generator = self.generator
        if kind.startswith('hub'):
            generator = load.Load(self.world['agent-1'], self.world['agent-2'], side.address(2))
        else:
            pids = {who: pid for who, pid in pids.items() if who != 'agent-1'}
        if kind == 'latency':
            return generator.latency(way)
        if kind.endswith('tcp'):
            return generator.tcp(pids, way, amount, self.options.seconds)
        if kind == 'udp-at':
            return generator.udp_at(pids, way, amount, *more, self.options.seconds / 2)
        if kind == 'quic':
            return generator.quic(pids, way, self.options.seconds, self.quic)
        size = amount or self.mtus[side.name] - 28
        result = generator.udp(pids, way, size, max(self.options.seconds / 3, 0.5), *more, around=self.rates.get((side.name, name)))
        self.rates[side.name, name] = result['packets'] / result['seconds'] if result['loss'] <= load.LOSS_LIMIT else result['rate']
        return result

    def drops(self, side):
        return {**side.drops(), **sides.kernel_drops(self.world)}

    def turn(self, side):
        """One round of one tunnel."""
        names = wanted(self.options, side)
        if not names:
            return
        pids = side.start()
        try:
            self.mtus[side.name] = side.inner_mtu()
            for name in names:
                before = self.drops(side)
                result = self.measure(side, name, pids)
                result['drops'] = sides.moved(before, self.drops(side))
                self.results.setdefault(side.name, {}).setdefault(name, []).append(result)
                say('  %-15s %-21s %s' % (side.name, name, line_of(result)))
        finally:
            side.stop()

    def run(self):
        """Until the rounds are over, or the time is."""
        options = self.options
        with worlds.World() as world:
            self.world = world
            try:
                certs = gateway.certificates(world)
                kinds = [kind for kind in sides.KINDS if not options.alone or kind in (sides.Ours, sides.Plain)]
                made = [kind(world, certs) for kind in kinds if not options.sides or kind.name in options.sides.split(',')]
                for pool in ('10.100.0.0/24', '10.101.0.0/24', '10.102.0.0/24'):
                    world['internet'].run('ip', 'route', 'replace', pool, 'via', '198.51.100.1')
                world['relay'].run('sysctl', '-qw', 'net.ipv4.ip_forward=1', 'net.ipv6.conf.all.forwarding=1')
                self.quic = program_of('quic', 'quic')
                self.generator = load.Load(world['agent-2'], world['internet'], worlds.WEB_V4)
                longest, began = 0, time.monotonic()
                for number in range(options.rounds):
                    if time.monotonic() + longest > options.until:
                        say('no time for another round')
                        break
                    say('round %d of %d%s' % (number + 1, options.rounds, ', which does not count' if number == 0 and options.rounds > 1 else ''))
                    for side in made:
                        self.turn(side)
                    self.rounds += 1
                    longest, began = max(longest, time.monotonic() - began), time.monotonic()
            except Exception:
                say(world.report())
                raise


def line_of(result):
    """A result in a line, as it comes."""
    if 'p50' in result:
        return 'p50 %.3f ms  p99 %.3f ms  (%d answers)' % (result['p50'], result['p99'], result['answered'])
    text = '%6.2f Gbit/s' % (result['bits'] / 1e9 / result['seconds'])
    cost = ''.join('  %s %.2f' % (who, result['bits'] / 1e9 / cpu) for who, cpu in sorted(result['cpu'].items()) if cpu > 0)
    text += '  per CPU-second:' + cost if cost else ''
    if 'packets' in result:
        text += '  %.0f kpps, loss %.3f %%' % (result['packets'] / 1e3 / result['seconds'], 100 * result['loss'])
    if result.get('drops'):
        text += '  drops: ' + ', '.join('%s %d' % item for item in result['drops'].items())
    return text
