"""Many sessions at a time: tests/bench/swarm with certificates of the test's CA, from a hundred addresses of agent-1."""
import os
import subprocess

from world import RELAY_NAME, RELAY_V4, WEB_V4, build_folder

PROGRAM = os.path.join(build_folder(), 'tests', 'bench', 'swarm', 'swarm')
FROM, ADDRESSES = '172.16.1.100', 100
POOLS = '10.100.0.0/16, fd00:100::/64'


def policy(count, more=''):
    """Clients load-0, load-1, … may do everything; <more> are further lines of clients."""
    lines = ['version: "1.0"', 'metadata: { name: crowd, description: many }', 'default_action: deny', 'log: none', 'groups:',
             '  all: { rules: [ { id: all, type: default, action: allow } ] }', 'clients:']
    lines += ['  load-%d: { groups: [all] }' % number for number in range(count)]
    return '\n'.join(lines) + '\n' + more


def addresses(world):
    """The sources; once in a world."""
    text = ''.join('address add 172.16.1.%d/24 dev eth0\n' % (100 + number) for number in range(ADDRESSES))
    world['agent-1'].run('ip', '-batch', '-', text=text)


class Crowd:
    """A running generator. Its answers are dicts."""

    def __init__(self, gateway, count, *options, port=4433):
        self.gateway = gateway
        self.count = count
        certs = gateway.certs
        gateway.world.starts += 1
        self.daemon = gateway.world['agent-1'].start(
            'load-%d' % gateway.world.starts, PROGRAM, '--relay', '%s:%d' % (RELAY_V4, port), '--name', RELAY_NAME, '--ca', certs.file('ca.crt'),
            '--ca-key', certs.file('ca.key'), '--count', count, '--from', FROM, '--addresses', ADDRESSES, '--target', WEB_V4, *options,
            stdin=subprocess.PIPE)

    def wait(self, state, timeout, since=0):
        return self.daemon.wait_line(lambda line: line.data.get('state') == state, timeout, since).data

    def say(self, words, state, timeout=15):
        mark = self.daemon.mark()
        self.daemon.process.stdin.write((words + '\n').encode())
        self.daemon.process.stdin.flush()
        return self.wait(state, timeout, mark)

    def load(self, rate, churn=0):
        return self.say('load %g %g' % (rate, churn), 'loading')

    def stop_load(self):
        return self.say('stop', 'loaded')

    def end(self):
        """Closes every session; the exit status."""
        self.daemon.process.stdin.close()
        return self.daemon.wait_exit(30)


def status(pid):
    with open('/proc/%d/status' % pid, encoding='ascii') as file:
        return dict(line.split(':', 1) for line in file if ':' in line)


def resident(pid):
    """KiB that a process has in memory by itself: without pages of files that it maps."""
    return int(status(pid)['RssAnon'].split()[0])


def writable(pid):
    """KiB of its own that a process has reserved. A ring that fills for the first time does not count, what malloc had to get does."""
    return int(status(pid)['VmData'].split()[0])
