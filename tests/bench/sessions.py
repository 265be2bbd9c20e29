"""What sessions cost: handshakes a CPU-second beside quic-go, memory of an idle session"""
import statistics

import connect_ip_go
import crowd
import gateway
import load
import peers
from process import until
import world as worlds

PARTS = ('handshakes', 'memory')


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


def lines(results):
    """The table of what sessions cost."""
    out = [''] if results else []
    for side, rows in results.get('handshakes', {}).items():
        out.append('%-18s %-15s %8.0f per second, %.0f per CPU-second of the server' % ('handshakes', side, median_of(rows, 'per_second'), median_of(rows, 'per_cpu_second')))
    if 'memory' in results:
        row = results['memory']
        out.append('%-18s %-15s %.1f KiB an idle session: %d KiB resident with %d, %d KiB with none' % (
            'memory', 'gatehouse', row['per_session_kib'], row['full_kib'], row['sessions'], row['empty_kib']))
    return out


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
        except (AssertionError, OSError, RuntimeError, LookupError):
            say(world.report())
            raise
    return results
