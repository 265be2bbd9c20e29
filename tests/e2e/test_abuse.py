"""Peers that mean no good: what they do is counted and bounded, and the others do not notice

Agent 1 is the honest one. In the place of agent 2 is tests/hostile/hostile, with a good certificate, or tests/hostile/flood, with none.
"""
import os
import re
import subprocess
import threading
import time

import pytest

from process import until
from world import RELAY_NAME, RELAY_V4, build_folder, sanitizers

PORT = 4433


def tool(name):
    return os.path.join(build_folder(), 'tests', 'hostile', name)


def hostile(gateway, mode, seconds, host='agent-2', cert='client-2', name='hostile'):
    certs = gateway.certs
    return gateway.world[host].start('%s-%s' % (name, mode), tool('hostile'), mode, seconds, RELAY_V4, PORT, RELAY_NAME,
                                     certs.file(cert + '.crt'), certs.file(cert + '.key'), certs.file('ca.crt'))


def drops(gateway, reason):
    return gateway.metrics()['gatehouse_drops_total{reason="%s"}' % reason]


def resident(gateway):
    """KiB of the relay and its children."""
    total, pids = 0, [gateway.relay.pid]
    for pid in pids:
        try:
            for task in os.listdir('/proc/%d/task' % pid):
                with open('/proc/%d/task/%s/children' % (pid, task), encoding='ascii') as file:
                    pids += [int(word) for word in file.read().split()]
            with open('/proc/%d/status' % pid, encoding='ascii') as file:
                total += int(re.search(r'VmRSS:\s+(\d+)', file.read()).group(1))
        except (OSError, AttributeError):
            continue
    return total


def connected(gateway):
    until(lambda: [session for session in gateway.sessions() if 'client-1' in str(session)], 20, 'agent 1 has a session')
    until(lambda: gateway.world['agent-1'].ping('1.1.1.1', count=1)[0], 10, 'agent 1 is heard')


@pytest.fixture(scope='module')
def honest(gateway):
    gateway.start_relay()
    gateway.start_agent(1)
    yield gateway
    gateway.stop()


# mode -> the counter that must move; what the hostile one is told when its tunnel is ended
MODES = {
    'requests': ('capsule_rate', 0x107),
    'capsules': (None, None),      # skipped, a few nanoseconds each
    'silent': (None, None),        # its answers wait, bounded
    'datagrams': (None, None),     # rules allow them: the network's business
    'fragments': ('fragment_orphan', None), # the table forgets the oldest first pieces, so later ones follow nobody
    'icmp': ('icmp_limit', None),
}


@pytest.mark.parametrize('mode', sorted(MODES))
def test_a_hostile_session_is_bounded_and_slows_nobody(honest, mode):
    reason, code = MODES[mode]
    before = drops(honest, reason) if reason else 0
    memory = resident(honest)
    attacker = hostile(honest, mode, 6)
    until(lambda: len(honest.sessions()) >= 2 or attacker.process.poll() is not None, 5, 'the hostile one has a session')
    received, text = honest.world['agent-1'].ping('1.1.1.1', count=200, interval='0.02', wait=2)
    attacker.wait_exit(20)
    seen = attacker.wait_line('"sent"').data
    print(mode, seen, text.strip().splitlines()[-2:])
    assert received == 200, text
    assert seen['opened'] >= 1 and seen['sent'] > 100
    assert mode != 'silent' or seen['ended'] == 0
    if reason:
        assert until(lambda: drops(honest, reason) - before or None, 3, reason + ' counts') > 0
    if code is not None:
        assert seen['ended'] >= 1 and seen['code'] == code
    assert sanitizers() or resident(honest) - memory < 32 * 1024  # what a sanitizer keeps is not ours to count
    assert honest.relay.process.poll() is None


def test_one_source_has_a_budget_of_handshakes(honest):
    """A certificate that is refused again and again: first answered, then not any more."""
    honest.relay.stop()
    honest.start_relay(relay__handshakes_per_source=2)
    connected(honest)
    honest.certs.odd('stranger', uri='spiffe://elsewhere.example/agent/stranger')
    attackers = [hostile(honest, 'refused', 8, cert='stranger', name='hostile-%d' % number) for number in range(4)]
    received, text = honest.world['agent-1'].ping('1.1.1.1', count=200, interval='0.02', wait=2)
    for attacker in attackers:
        attacker.wait_exit(30)
    assert drops(honest, 'handshake_source') > 0
    assert received == 200, text
    honest.agents[1].stop()
    honest.start_agent(1)  # another source: nobody's budget but its own
    honest.relay.stop()
    honest.start_relay()
    connected(honest)


def test_a_flood_of_handshakes_from_false_addresses_keeps_nobody_out(honest):
    world = honest.world
    for host in ('wan', 'relay'):
        world[host].run('sysctl', '-qw', 'net.ipv4.conf.all.rp_filter=0')
        for device in world[host].run('ls', '/proc/sys/net/ipv4/conf').stdout.split():
            world[host].run('sysctl', '-qw', 'net.ipv4.conf.%s.rp_filter=0' % device, check=False)
    world['relay'].run('ip', 'route', 'replace', '100.64.0.0/10', 'via', '203.0.113.1')  # answers leave, and end there
    world['wan'].run('ip', 'route', 'replace', 'blackhole', '100.64.0.0/10')
    before, memory = honest.metrics(), resident(honest)
    rate = int(os.environ.get('GATEHOUSE_FLOOD', '10000'))
    flood = world['agent-2'].start('flood', tool('flood'), RELAY_V4, PORT, RELAY_NAME, honest.certs.file('ca.crt'), 20000, rate, 10)
    flood.wait_line('"ready"', 60)
    began, peak, engaged = time.monotonic(), [0], []

    def ended(within):
        try:
            return flood.process.wait(within) is not None
        except subprocess.TimeoutExpired:
            return False

    def watch():
        while not ended(0.05):
            peak[0] = max(peak[0], resident(honest))
            if not engaged and honest.metrics()['gatehouse_quic_retries_total'] > before['gatehouse_quic_retries_total']:
                engaged.append(time.monotonic() - began)
    watcher = threading.Thread(target=watch)
    watcher.start()
    legitimate = hostile(honest, 'connect', 9, host='wan', cert='client-1', name='legitimate')
    received, text = world['agent-1'].ping('1.1.1.1', count=300, interval='0.02', wait=2)
    legitimate.wait_exit(30)
    flood.wait_exit(30)
    watcher.join()
    tried, fired = legitimate.wait_line('"opened"').data, flood.wait_line('"sent"').data
    after = honest.metrics()
    moved = {name: after[name] - before[name] for name in after
             if after[name] != before.get(name) and ('quic' in name or 'drops' in name) and 'bytes' not in name}
    print('flood', fired, 'legitimate', tried, 'retry after', engaged, 'resident', memory, peak[0], moved, text.strip().splitlines()[-2:])
    assert fired['handshakes'] > rate * 5
    assert tried['opened'] >= 30 and tried['opened'] >= 0.99 * (tried['opened'] + tried['failed'])
    assert engaged and engaged[0] < 1.0
    assert sanitizers() or peak[0] - memory < 64 * 1024
    assert received >= 297, text  # 99 of 100, as for handshakes
