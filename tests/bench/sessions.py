"""What sessions cost: handshakes a CPU-second beside quic-go, traffic of many at a time, memory of one that is idle or busy"""
import statistics
import subprocess
import threading
import time

import connect_ip_go
import crowd
import gateway
import load
import peers
from process import until
import world as worlds

PARTS = ('handshakes', 'swarm', 'memory')
CROWDS = (1, 10, 100, 1000)
SIZE, ECHO_PORT = 1200, 7000
UNDER_WAY = 1000  # datagrams of all sessions
BUSY_RATE, BUSY_SECONDS, IDLE_SECONDS = 5000, 4, 20 # idle: two keep-alives of each, or it is chance how many fall into it


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


def proportional(pid):
    """KiB that a process and all that it started have in memory; a page that several share counts by its part."""
    total = 0
    for one in load.descendants(pid):
        with open('/proc/%d/smaps_rollup' % one, encoding='ascii') as file:
            total += sum(int(line.split()[1]) for line in file if line.startswith('Pss:'))
    return total


def memory(site, sessions):
    relay = site.start_relay(relay__pools=crowd.POOLS)
    child = relay.children()[0]
    before, start_kib = settled(child), proportional(relay.pid)
    made = crowd.Crowd(site, sessions)
    up = made.wait('up', 70)
    if up['up'] != sessions or up['failed'] or up['lost']:
        raise AssertionError('sessions did not come up: %s' % up)
    after = settled(child)
    cpu, start = load.cpu_seconds(relay.pid), time.monotonic()
    threading.Event().wait(IDLE_SECONDS)
    idle = (load.cpu_seconds(relay.pid) - cpu) / (time.monotonic() - start)
    made.load(BUSY_RATE)
    busy, start = 0, time.monotonic()
    while time.monotonic() - start < BUSY_SECONDS:
        threading.Event().wait(0.1)
        busy = max(busy, crowd.resident(child))
    told = made.stop_load()
    made.end()
    site.stop()
    if told['wrong']:
        raise AssertionError('what came back is not what was sent: %s' % told)
    return {'sessions': sessions, 'start_kib': start_kib, 'empty_kib': before, 'full_kib': after, 'per_session_kib': (after - before) / sessions, 'seconds': up['seconds'],
            'idle_core_percent': 100 * idle, 'busy_kib': busy, 'per_busy_session_kib': (busy - before) / sessions,
            'echoes': told['answered'], 'unanswered': told['sent'] - told['answered']}


# ---- traffic of many

def risen(site, count, **options):
    """A relay without NAT, and sessions on it that are up."""
    relay = site.start_relay('relay-interop.yaml', relay__pools=crowd.POOLS, **options)
    made = crowd.Crowd(site, count)
    up = made.wait('up', 70)
    if up['up'] != count or up['failed'] or up['lost']:
        raise AssertionError('sessions did not come up: %s' % up)
    return relay, made


def swarm(site, count, seconds, ready=lambda pid: None):
    """<count> sessions send datagrams that come back, as many under way as UNDER_WAY for all together. <ready> is told of the relay before."""
    relay, made = risen(site, count)
    ready(relay.pid)
    before = site.metrics()
    cpu = load.cpu_seconds(relay.pid)
    told = made.say('flood %d %d %d %g' % (ECHO_PORT, SIZE, max(UNDER_WAY // count, 1), seconds), 'flooded', seconds + 15)
    cpu = load.cpu_seconds(relay.pid) - cpu
    after = site.metrics()
    made.end()
    site.stop()
    if told['wrong']:
        raise AssertionError('what came back is not what was sent: %s' % told)
    packets = told['pushed'] + told['returned']
    return {'sessions': count, 'gbit_per_second': 8 * SIZE * packets / 1e9 / told['seconds'], 'gbit_per_cpu_second': 8 * SIZE * packets / 1e9 / max(cpu, 0.01),
            'packets_per_cpu_second': packets / max(cpu, 0.01), 'loss': 1 - told['returned'] / max(told['pushed'], 1),
            'least_of_mean': told['least'] * count / max(told['returned'], 1), 'most_of_mean': told['most'] * count / max(told['returned'], 1),
            'drops': {name.split('"')[1]: int(after[name] - before.get(name, 0)) for name in after
                      if name.startswith('gatehouse_drops_total') and after[name] != before.get(name, 0)}}


def echoing(world):
    """What swarms send to."""
    world['relay'].run('sysctl', '-qw', 'net.ipv4.ip_forward=1')
    world['internet'].run('ip', 'route', 'replace', '10.100.0.0/16', 'via', '198.51.100.1')
    world['internet'].start('echo', load.PUMP, 'echo', worlds.WEB_V4, ECHO_PORT, stdin=subprocess.PIPE).wait_line('"ready"')


def swarms(site, rounds, seconds):
    """{sessions: [result of a round]}"""
    found = {}
    echoing(site.world)
    for _ in range(rounds):
        for count in CROWDS:
            found.setdefault(count, []).append(swarm(site, count, seconds))
            say('  ' + swarm_line(found[count][-1]))
    return found


def swarm_line(row):
    drops = '  dropped: ' + ', '.join('%s %d' % item for item in row['drops'].items()) if row['drops'] else ''
    return '%-21s %-15s %.2f Gbit/s both ways together; per CPU-second of the relay %.2f Gbit, %.0f thousand packets; loss %.3f %%; least and most of a session %.2f and %.2f of the mean%s' % (
        'swarm of %d' % row['sessions'], 'gatehouse', row['gbit_per_second'], row['gbit_per_cpu_second'], row['packets_per_cpu_second'] / 1e3, 100 * row['loss'],
        row['least_of_mean'], row['most_of_mean'], drops)


# ---- all of it

def median_of(rows, name):
    return statistics.median(row[name] for row in rows)


def lines(results):
    """The table of what sessions cost."""
    out = [''] if results else []
    for side, rows in results.get('handshakes', {}).items():
        out.append('%-21s %-15s %8.0f per second, %.0f per CPU-second of the server' % ('handshakes', side, median_of(rows, 'per_second'), median_of(rows, 'per_cpu_second')))
    for rows in results.get('swarm', {}).values():
        out.append(swarm_line(sorted(rows, key=lambda row: row['gbit_per_cpu_second'])[len(rows) // 2]))
    if 'memory' in results:
        row = results['memory']
        out.append('%-21s %-15s %.1f KiB an idle session: %d KiB resident with %d, %d KiB with none' % (
            'memory', 'gatehouse', row['per_session_kib'], row['full_kib'], row['sessions'], row['empty_kib']))
        out.append('%-21s %-15s %.1f MiB at start, both processes' % ('', '', row['start_kib'] / 1024))
        out.append('%-21s %-15s %.1f KiB a busy session, of %d that share %d echoes a second; %.2f %% of a core while they are idle' % (
            '', '', row['per_busy_session_kib'], row['sessions'], BUSY_RATE, row['idle_core_percent']))
    return out


def run(options):
    """{part: result} of the parts that are wanted."""
    results = {}
    with worlds.World() as world:
        try:
            site = crowded(world, 1000)
            if 'handshakes' in options.parts:
                say('handshakes')
                results['handshakes'] = handshakes(site, min(options.rounds, 3), options.seconds, options.alone)
            if 'swarm' in options.parts:
                say('swarms')
                results['swarm'] = swarms(site, min(options.rounds, 3), options.seconds)
            if 'memory' in options.parts:
                say('memory')
                results['memory'] = memory(site, 1000)
        except Exception:
            say(world.report())
            raise
    return results
