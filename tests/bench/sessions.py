"""What sessions cost: handshakes a CPU-second beside quic-go, added latency, memory of an idle session"""
import re
import statistics

import connect_ip_go
import crowd
import gateway
import load
import peers
from process import until
import world as worlds

IDLE_GOAL = 64.0   # KiB
PINGS = 400


def say(text=''):
    print(text, flush=True)


def crowded(world, sessions):
    """A gateway for that many sessions, nothing started."""
    site = gateway.Gateway(world)
    crowd.addresses(world)
    site.policy(crowd.policy(sessions, '  client-1: { groups: [all] }\n  client-2: { groups: [all] }\n'))
    return site


# ---- handshakes

def handshakes_of(site, pid, seconds):
    before = load.cpu_seconds(pid)
    generator = crowd.Crowd(site, 16, '--handshakes', seconds, '--at-once', 16)
    told = generator.wait('handshakes', seconds + 30)
    cpu = load.cpu_seconds(pid) - before
    generator.daemon.wait_exit(10)
    if told['failed']:
        raise AssertionError('%d handshakes failed: %s' % (told['failed'], told['why']))
    return {'per_second': told['up'] / told['seconds'], 'per_cpu_second': told['up'] / max(cpu, 0.01)}


def handshakes(site, rounds, seconds, alone):
    """Full handshakes with certificates of both sides, closed at once; {side: [result]}"""
    found = {'gatehouse': [], 'quic-go': []}
    peer = None
    if not alone:
        folder, why = peers.build('connect_ip')
        if not folder:
            raise RuntimeError(why)
        peer = connect_ip_go.Peer(site.world, site.certs, folder)
    for _ in range(rounds):
        relay = site.start_relay(relay__pools=crowd.POOLS, relay__retry='never')
        found['gatehouse'].append(handshakes_of(site, relay.pid, seconds))
        site.stop()
        if peer:
            server = peer.server()
            found['quic-go'].append(handshakes_of(site, server.pid, seconds))
            server.kill()
    return {side: rows for side, rows in found.items() if rows}


# ---- latency

def round_trips(host, target, count=PINGS):
    """Sorted milliseconds."""
    done = host.run('ping', '-n', '-i', '0.01', '-c', count, target, timeout=60)
    times = sorted(float(word) for word in re.findall(r'time=([0-9.]+)', done.stdout))
    if len(times) < count * 0.99:
        raise AssertionError('only %d of %d pings were answered' % (len(times), count))
    return times


def quantiles(times):
    return {'p50': statistics.median(times), 'p99': times[len(times) - 1 - len(times) // 100]}


def latency(site, rounds):
    """Round trips between agent-2 and the internet, plain and through the tunnel by turns; what the tunnel adds."""
    world = site.world
    world['relay'].run('sysctl', '-qw', 'net.ipv4.ip_forward=1')
    world['internet'].run('ip', 'route', 'replace', '172.16.2.0/24', 'via', '198.51.100.1')
    world['wan'].run('ip', 'route', 'replace', '198.51.100.0/24', 'via', worlds.RELAY_V4)
    site.start_relay(relay__pools=crowd.POOLS)
    plain, tunnel = [], []
    for _ in range(rounds):
        plain += round_trips(world['agent-2'], worlds.WEB_V4)
        site.start_agent(2)
        tunnel += round_trips(world['agent-2'], worlds.WEB_V4)
        agent = site.agents.pop(2)
        agent.stop()
    site.stop()
    plain, tunnel = quantiles(sorted(plain)), quantiles(sorted(tunnel))
    return {'plain': plain, 'tunnel': tunnel, 'added': {name: tunnel[name] - plain[name] for name in plain}}


# ---- memory

def settled(pid):
    """Anonymous memory of a process, KiB, when it has not moved for longer than a keep-alive takes (10 s)."""
    last = []

    def still():
        last.append(crowd.resident(pid))
        return len(last) > 24 and max(last[-24:]) - min(last[-24:]) <= 128
    until(still, 60, 'memory comes to rest', step=0.5)
    return last[-1]


def memory(site, sessions):
    relay = site.start_relay(relay__pools=crowd.POOLS)
    child = relay.children()[0]
    before = settled(child)
    made = crowd.Crowd(site, sessions)
    up = made.wait('up', 70)
    if up['up'] != sessions or up['failed'] or up['lost']:
        raise AssertionError('sessions did not come up: %s' % up)
    after = settled(child)
    made.end()
    site.stop()
    return {'sessions': sessions, 'empty_kib': before, 'full_kib': after, 'per_session_kib': (after - before) / sessions, 'seconds': up['seconds']}


# ---- all of it

def median_of(rows, name):
    return statistics.median(row[name] for row in rows)


def show(results):
    for side, rows in results.get('handshakes', {}).items():
        say('handshakes    %-12s %8.0f per second %8.0f per CPU-second of the server' % (side, median_of(rows, 'per_second'), median_of(rows, 'per_cpu_second')))
    if 'latency' in results:
        for name in ('p50', 'p99'):
            say('latency %s   plain %.3f ms, tunnel %.3f ms, added %.3f ms' % (name, *(results['latency'][kind][name] for kind in ('plain', 'tunnel', 'added'))))
    if 'memory' in results:
        row = results['memory']
        say('memory        %.1f KiB an idle session: %d KiB resident with %d, %d KiB with none' % (row['per_session_kib'], row['full_kib'], row['sessions'], row['empty_kib']))


def judge(results):
    row = results.get('memory')
    return ['an idle session has %.1f KiB, and not at most %g' % (row['per_session_kib'], IDLE_GOAL)] if row and row['per_session_kib'] > IDLE_GOAL else []


def run(options):
    """{part: result} of the parts that are wanted."""
    results = {}
    with worlds.World() as world:
        try:
            site = crowded(world, 1000)
            if 'handshakes' in options.parts:
                results['handshakes'] = handshakes(site, options.rounds, options.seconds, options.alone)
            if 'memory' in options.parts:
                results['memory'] = memory(site, 1000)
            if 'latency' in options.parts:
                results['latency'] = latency(site, options.rounds)
        except (AssertionError, OSError, RuntimeError, LookupError):
            say(world.report())
            raise
    show(results)
    return results
