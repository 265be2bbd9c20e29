"""Two workers of the relay beside one: Gbit per CPU-second, and what had to be given from one to the other"""
import statistics

import crowd
import gateway
import load
import sessions
import sides
import world as worlds

LEAST = 0.85
SWARM, FLOWS = 100, 4
# What is asked of each: (name, which way). `hub` is agent-1 to agent-2, whose sessions may live on different workers.
WORKS = (('swarm of %d' % SWARM, None), ('tcp down x%d' % FLOWS, 'down'), ('tcp up x%d' % FLOWS, 'up'), ('hub tcp x%d' % FLOWS, 'up'))


def handed_over(metrics):
    return int(metrics.get('gatehouse_relay_handed_over_total', 0))


def result_of(gbit, cpu, before, after, agents=1):
    drops = {name.split('"')[1]: int(after[name] - before.get(name, 0)) for name in after
             if name.startswith('gatehouse_drops_total') and after[name] != before.get(name, 0)}
    carried = sum(after[name] - before.get(name, 0) for name in after if name.startswith('gatehouse_relay_packets_total'))
    return {'gbit_per_cpu_second': gbit / max(cpu, 0.01), 'handed_over': handed_over(after) - handed_over(before), 'drops': drops,
            'packets': int(carried / agents)} # what goes from one agent to another passes both sessions


def of_swarm(site, count, seconds):
    """Many sessions, which the kernel spreads over the workers' sockets."""
    relay, made = sessions.risen(site, SWARM, node__workers=count)
    before, cpu = site.metrics(), load.cpu_seconds(relay.pid)
    told = made.say('flood %d %d %d %g' % (sessions.ECHO_PORT, sessions.SIZE, sessions.UNDER_WAY // SWARM, seconds), 'flooded', seconds + 15)
    cpu, after = load.cpu_seconds(relay.pid) - cpu, site.metrics()
    made.end()
    site.stop()
    if told['wrong']:
        raise AssertionError('what came back is not what was sent: %s' % told)
    packets = told['pushed'] + told['returned']
    return result_of(8 * sessions.SIZE * packets / 1e9, cpu, before, after)


def of_tcp(site, count, way, hub, seconds):
    """One agent and a host behind the relay, or two agents."""
    relay = site.start_relay('relay-interop.yaml', relay__pools=crowd.POOLS, node__workers=count)
    for number in (1, 2) if hub else (2,):
        site.start_agent(number)
    world = site.world
    ends = (world['agent-1'], world['agent-2'], site.v4(2)) if hub else (world['agent-2'], world['internet'], worlds.WEB_V4)
    generator = load.Load(*ends)
    generator.tcp({}, way, FLOWS, 0.5) # the path is measured, windows are open
    before = site.metrics()
    told = generator.tcp({'relay': relay.pid}, way, FLOWS, seconds)
    after = site.metrics()
    site.stop()
    return result_of(told['bits'] / 1e9, told['cpu']['relay'], before, after, 2 if hub else 1)


def measure(rounds, seconds):
    """{work: {workers: [result of a round]}}; one and two take turns"""
    found = {name: {1: [], 2: []} for name, _ in WORKS}
    with worlds.World() as world:
        try:
            site = sessions.crowded(world, SWARM)
            site.policy(crowd.policy(SWARM, '  client-1: %s\n  client-2: %s\n' % (sides.ALLOWED, sides.ALLOWED)))
            sessions.echoing(world)
            for _ in range(rounds):
                for name, way in WORKS:
                    for count in (1, 2):
                        row = of_tcp(site, count, way, name.startswith('hub'), seconds) if way else of_swarm(site, count, seconds)
                        found[name][count].append(row)
                        sessions.say('  ' + line_of(name, count, [row]))
        except Exception:
            sessions.say(world.report())
            raise
    return found


def median(rows):
    return statistics.median(row['gbit_per_cpu_second'] for row in rows)


def line_of(name, count, rows):
    given, packets = sum(row['handed_over'] for row in rows), sum(row['packets'] for row in rows)
    drops = {}
    for row in rows:
        for reason, number in row['drops'].items():
            drops[reason] = drops.get(reason, 0) + number
    return '%-21s %-15s %6.2f Gbit per CPU-second of the relay; %d of %d packets handed over (%.1f %%)%s' % (
        name, '%d worker%s' % (count, 's' if count > 1 else ''), median(rows), given, packets, 100 * given / max(packets, 1),
        '  dropped: ' + ', '.join('%s %d' % item for item in drops.items()) if drops else '')


def lines(found):
    out = []
    for name, rows in found.items():
        out += [line_of(name, count, rows[count]) for count in (1, 2)]
        out.append('%-21s %-15s %6.2f' % ('', '2 / 1', median(rows[2]) / median(rows[1])))
    return out


def goals(found):
    return [('%s: 2 workers, times 1, Gbit per CPU-second of the relay' % name, median(rows[2]) / median(rows[1]), LEAST, 1, 1) for name, rows in found.items()]
