"""What an upload that takes all it gets does to a ping beside it, over a road with a bottleneck (tests/netbox) at a round trip of 1 ms"""
import statistics

import gateway
import load
import sessions
import sides
import world as worlds

ONE_WAY = 0.5    # ms
MOST = 10        # ms above idle
# Mbit/s of the bottleneck, its queue in times of rate and round trip
ROADS = ((20, 1), (20, 4), (100, 1), (100, 4), (400, 1), (400, 4))
LEAST_QUEUE = 8 * 1500 # no router has less


def measure(rounds):
    """{road: {'idle': [quantiles], 'loaded': [quantiles], 'plain': [quantiles]}}; plain: loaded, outside the tunnel"""
    found = {}
    with worlds.World() as world:
        try:
            box = world.box(2)
            side = sides.Ours(world, gateway.certificates(world))
            world['internet'].run('ip', 'route', 'replace', '10.100.0.0/24', 'via', '198.51.100.1')
            world['relay'].run('sysctl', '-qw', 'net.ipv4.ip_forward=1', 'net.ipv6.conf.all.forwarding=1')
            side.start()
            generator = load.Load(world['agent-2'], world['internet'], worlds.WEB_V4)
            plain = load.Load(world['agent-2'], world['relay'], worlds.RELAY_V4)
            for _ in range(rounds):
                for mbit, queue in ROADS:
                    name = 'upload %d Mbit/s, %d BDP' % (mbit, queue)
                    bytes_ = max(mbit * 1e6 / 8 * 2 * ONE_WAY / 1e3 * queue, LEAST_QUEUE)
                    box.clear()
                    box.set('both', delay=ONE_WAY, rate=mbit * 1e6, queue=int(bytes_))
                    row = found.setdefault(name, {'idle': [], 'loaded': [], 'plain': []})
                    row['idle'].append(generator.latency(False))
                    before = {**side.drops(), **sides.kernel_drops(world)}
                    row['loaded'].append(generator.latency(True))
                    row['loaded'][-1]['drops'] = sides.moved(before, {**side.drops(), **sides.kernel_drops(world)})
                    row['plain'].append(plain.latency(True))
                    sessions.say('  ' + line_of(name, {key: [values[-1]] for key, values in row.items()}))
            side.stop()
        except Exception:
            sessions.say(world.report())
            raise
    return found


def median(rows, key):
    return statistics.median(row[key] for row in rows)


def line_of(name, row):
    idle, loaded, plain = row['idle'], row['loaded'], row['plain']
    drops = {}
    for result in loaded:
        for reason, count in result['drops'].items():
            drops[reason] = drops.get(reason, 0) + count
    text = '%-26s idle p50 %.2f ms; beside it p50 %.2f, p99 %.2f ms, %.1f Mbit/s; without a tunnel p50 %.2f, p99 %.2f ms, %.1f Mbit/s' % (
        name, median(idle, 'p50'), *[number for rows in (loaded, plain)
                                     for number in (median(rows, 'p50'), median(rows, 'p99'), median(rows, 'bits_per_second') / 1e6)])
    return text + ('  dropped: ' + ', '.join('%s %d' % item for item in drops.items()) if drops else '')


def lines(found):
    return [line_of(name, row) for name, row in found.items()]


def goals(found):
    worst = max(median(row['loaded'], 'p50') - median(row['idle'], 'p50') for row in found.values())
    return [('added by a saturating upload at an RTT of 1 ms, p50, ms', worst, MOST, MOST, -1)]
