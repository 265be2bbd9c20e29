"""What rules cost: the first packet of a flow with 1 to 100,000 of them (policy_cost.c), and the relay under new flows with 1 and with 10,000"""
import json
import os
import random
import statistics
import subprocess

import crowd
import load
import sessions
import world as worlds

PROGRAM = os.path.join(worlds.build_folder(), 'tests', 'bench', 'policy_cost')
MANY = 10000
NEW_FLOWS = 1000 # a second, of the figure to reach
SESSIONS, RATE = 20, 6000 # each echo of the load is a flow of its own
GROUP = '  all: { rules: [ { id: all, type: default, action: allow } ] }'


def alone():
    """[{shape, rules, evaluate_ns, first_ns, other_ns, same_ns, compile_seconds}] of the matcher and the engine without anything around them"""
    done = subprocess.run([PROGRAM], stdout=subprocess.PIPE, encoding='utf-8', timeout=120, check=True)
    return [json.loads(line) for line in done.stdout.splitlines()]


def policy(count):
    """Everybody may do everything; <count> rules, some of them around the target's address, come first and decide nothing else."""
    dice = random.Random(1)
    rules = []
    for number in range(count - 1):
        bits = dice.randint(8, 32)
        base = int.from_bytes(bytes(map(int, worlds.WEB_V4.split('.'))), 'big') if number % 16 == 0 else 0x0a000000 | dice.getrandbits(24)
        address = base & ~((1 << (32 - bits)) - 1)
        port = dice.randint(1, 65000)
        rules.append('{ id: r%d, type: ip_cidr, action: deny, destinations: [%s/%d], protocol: %s, ports: ["%d-%d"] }' % (
            number, '.'.join(str(byte) for byte in address.to_bytes(4, 'big')), bits, dice.choice(('tcp', 'udp')), port, port + dice.randint(0, 200)))
    text = crowd.policy(SESSIONS, '  client-1: { groups: [all] }\n  client-2: { groups: [all] }\n')
    return text.replace(GROUP, '  all:\n    rules:\n' + ''.join('      - %s\n' % rule for rule in rules) + '      - { id: all, type: default, action: allow }')


def in_relay(rounds, seconds):
    """{rules: [microseconds of the relay's CPU for a new flow of two packets]}; the two take turns"""
    found = {1: [], MANY: []}
    with worlds.World() as world:
        try:
            site = sessions.crowded(world, SESSIONS)
            world['relay'].run('sysctl', '-qw', 'net.ipv4.ip_forward=1')
            world['internet'].run('ip', 'route', 'replace', '10.100.0.0/16', 'via', '198.51.100.1')
            for _ in range(rounds):
                for count in found:
                    site.policy(policy(count))
                    relay = site.start_relay('relay-interop.yaml', relay__pools=crowd.POOLS)
                    made = crowd.Crowd(site, SESSIONS, '--flows')
                    up = made.wait('up', 70)
                    if up['up'] != SESSIONS:
                        raise AssertionError('sessions did not come up: %s' % up)
                    made.load(RATE)
                    before, cpu = opened(site), load.cpu_seconds(relay.pid)
                    sessions.threading.Event().wait(seconds)
                    cpu, flows = load.cpu_seconds(relay.pid) - cpu, opened(site) - before
                    told = made.stop_load()
                    made.end()
                    site.stop()
                    if told['wrong']:
                        raise AssertionError('what came back is not what was sent: %s' % told)
                    found[count].append(1e6 * cpu / max(flows, 1))
                    sessions.say('  %-21s %-15s %6.2f us of the relay for a new flow of two packets, %.0f a second' % (
                        'new flows', '%d rules' % count, found[count][-1], flows / seconds))
        except Exception:
            sessions.say(world.report())
            raise
    return found


def opened(site):
    return site.metrics().get('gatehouse_relay_flows_total{event="opened"}', 0)


def measure(rounds, seconds):
    return {'alone': alone(), 'relay': in_relay(rounds, seconds)}


def added(found, rules=MANY):
    """Nanoseconds that so many rules add to a first packet, in the worst shape."""
    first = {(row['shape'], row['rules']): row['first_ns'] for row in found['alone']}
    return max(first[shape, rules] - first[shape, 1] for shape, count in first if count == rules)


def share(found):
    """Percent that MANY rules add to what the relay spends on NEW_FLOWS a second when these are all that it carries: with anything more, it is less"""
    return 100 * added(found) / 1e3 / statistics.median(found['relay'][1])


def lines(found):
    out = ['%-21s %-15s %12s %14s %12s %12s %12s' % ('rules, ns', '', 'rules alone', 'first packet', 'in turn', 'in a row', 'compiling')]
    for row in found['alone']:
        out.append('%-21s %-15d %12.0f %14.0f %12.0f %12.0f %10.0f ms' % (
            row['shape'], row['rules'], row['evaluate_ns'], row['first_ns'], row['other_ns'], row['same_ns'], 1e3 * row['compile_seconds']))
    for count, values in found['relay'].items():
        values = sorted(values)
        out.append('%-21s %-15s %6.2f us (%.2f-%.2f) of the relay for a new flow of two packets' % (
            'new flows', '%d rule%s' % (count, 's' if count > 1 else ''), statistics.median(values), values[0], values[-1]))
    out.append('%-21s %-15s %6.3f %% of a core at %d new flows a second; %.2f %% of what the relay spends on those flows alone' % (
        '', '%d rules add' % MANY, added(found) * NEW_FLOWS / 1e7, NEW_FLOWS, share(found)))
    return out


def goals(found):
    return [('percent of a core that %d rules cost at %d new flows a second' % (MANY, NEW_FLOWS), added(found) * NEW_FLOWS / 1e7, 1, 1, -1)]
