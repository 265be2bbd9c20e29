"""A thousand reloads while packets flow: nothing is dropped, nothing is kept."""
import http.client
import json
import signal
import socket
import time

import crowd
from world import RELAY_NAME, RELAY_V4, RELAY_V6, WEB_V4, sanitizers

RELOADS = 1000
SESSIONS = 40
GROWTH = 512  # KiB, from the 200th reload to the last: less than a KiB for each


class Admin(http.client.HTTPConnection):
    """The relay's unix socket, seen through the process that holds its namespaces."""

    def __init__(self, host):
        super().__init__('localhost', timeout=20)
        self.path = '/proc/%d/root/run/gatehouse/admin.sock' % host.keeper.pid

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)

    def reload(self):
        """The new generation; asks again while another reload, of a file that changed, is under way."""
        while True:
            self.request('POST', '/v1/reload', headers={'Content-Length': '0'})
            answer = self.getresponse()
            text = answer.read()
            if answer.status == 200:
                return json.loads(text)['generation']
            assert answer.status == 409, (answer.status, text)


def variants(gateway, sessions=SESSIONS):
    """What the files are by turns: certificate, key and level of the log; the policy."""
    relay = gateway.world.read('examples/relay.yaml')
    gateway.certs.issue('relay', 'other', '--dns', RELAY_NAME, '--ip', RELAY_V4, '--ip', RELAY_V6)
    other = relay.replace('certs/relay.', 'certs/other.').replace('level: info', 'level: warn')
    assert other.count('other') == 2 and 'warn' in other
    agents = '  client-1: { groups: [all] }\n  client-2: { groups: [all] }\n'
    return {'examples/relay.yaml': [relay, other],
            'examples/policy.yaml': [crowd.policy(sessions, agents), crowd.policy(sessions, agents + '  nobody: { groups: [all] }\n')]}


def test_a_thousand_reloads_under_load_drop_nothing(gateway):
    crowd.addresses(gateway.world)
    files = variants(gateway)
    gateway.policy(files['examples/policy.yaml'][0])
    gateway.world.serve(1 << 16)
    relay = gateway.start_relay(relay__pools=crowd.POOLS)
    gateway.start_agent(2)
    hold = gateway.world['agent-2'].start_peer('hold', 'hold', WEB_V4, 7)
    made = crowd.Crowd(gateway, SESSIONS)
    assert made.wait('up', 30)['up'] == SESSIONS
    made.load(200, 1)
    admin, child = Admin(gateway.world['relay']), relay.children()[0]
    start, first, drops = time.monotonic(), admin.reload(), gateway.metrics()
    early = None
    for number in range(1, RELOADS):
        if number % 10 == 0:
            for name, texts in files.items():
                gateway.world.write(name, texts[number // 10 % 2])
        generation = admin.reload()
        if number == RELOADS // 5:
            early = crowd.writable(child), crowd.writable(relay.pid)
    took = time.monotonic() - start
    assert generation - first >= RELOADS - 1
    late = crowd.writable(child), crowd.writable(relay.pid)
    told = made.stop_load()
    assert told['answered'] == told['sent'] > 100 and told['failed'] == told['lost'] == 0, (told, took)
    assert told['up'] >= took / 2, told  # sessions that were opened meanwhile, with either certificate
    after = gateway.metrics()
    moved = {name: after[name] - drops.get(name, 0) for name in after if 'drops_total' in name and after[name] != drops.get(name, 0)}
    # an echo's answer may come for a session that the generator has just ended: while it still has its address, after that was taken back, or
    # when the next session of the same identity has it, which knows no such flow
    late_answers = {'gatehouse_drops_total{reason="%s"}' % why for why in ('no_session', 'no_route', 'no_flow')}
    assert set(moved) <= late_answers and sum(moved.values()) < told['up'], moved
    assert hold.process.poll() is None and relay.children()[0] == child
    if not sanitizers():  # what they keep for themselves is not ours to count
        for before, now in zip(early, late):
            assert now <= before + GROWTH, (early, late)
    hold.stop(signal.SIGKILL)
    assert made.end() == 0
    gateway.stop()
