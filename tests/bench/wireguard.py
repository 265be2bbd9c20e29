"""wireguard-go in a world: the relay's host is the hub, agents are its peers; configured through the UAPI socket, no wg program"""
import os
import secrets

import world as worlds
from process import until

TUN, PORT = 'wgg0', 51820
POOL, HUB = '10.102.0.0/24', '10.102.0.250'
PACKAGE = 'golang.zx2c4.com/wireguard'
PRIME = 2**255 - 19

# Runs in the host, whose /run is its own: a question on standard input, the answer on standard output.
ASK = r'''
import socket, sys
sock = socket.socket(socket.AF_UNIX)
sock.settimeout(5)
sock.connect('/var/run/wireguard/%s.sock' % sys.argv[1])
sock.sendall(sys.stdin.buffer.read())
answer = b''
while not answer.endswith(b'\n\n'):
    more = sock.recv(65536)
    if not more:
        break
    answer += more
sys.stdout.write(answer.decode())
'''


def x25519(scalar, point=(9).to_bytes(32, 'little')):
    """RFC 7748. Not in constant time: for keys that live as long as a measurement."""
    k = (int.from_bytes(scalar, 'little') & ((1 << 254) - 8)) | 1 << 254
    u = int.from_bytes(point, 'little') & ((1 << 255) - 1)
    x2, z2, x3, z3, swapped = 1, 0, u, 1, 0
    for bit in range(254, -1, -1):
        now = k >> bit & 1
        if now != swapped:
            x2, z2, x3, z3, swapped = x3, z3, x2, z2, now
        a, b, c, d = x2 + z2, x2 - z2, x3 + z3, x3 - z3
        da, cb, aa, bb = d * a, c * b, a * a, b * b
        x3, z3 = (da + cb) ** 2 % PRIME, u * (da - cb) ** 2 % PRIME
        x2, z2 = aa * bb % PRIME, (aa - bb) * (aa + 121665 * (aa - bb)) % PRIME
    if swapped:
        x2, z2 = x3, z3
    return (x2 * pow(z2, PRIME - 2, PRIME) % PRIME).to_bytes(32, 'little')


class Key:
    def __init__(self):
        private = secrets.token_bytes(32)
        self.private, self.public = private.hex(), x25519(private).hex()


def address_of(number):
    return '10.102.0.%d' % number


class Hub:
    """One wireguard-go on the relay's host, one on each agent's; MTU as wireguard-go sets it (1420), outside IPv6 as for ours."""

    def __init__(self, world, folder, agents=(2,)):
        self.world = world
        self.program = os.path.join(folder, 'wireguard')
        self.keys = {name: Key() for name in ['relay'] + ['agent-%d' % number for number in agents]}
        self.agents = agents
        self.daemons = {}

    def _start(self, host, address):
        self.world.starts += 1
        daemon = self.world[host].start('wireguard-go-%d' % self.world.starts, self.program, '-f', TUN, env={'LOG_LEVEL': 'error'})
        self.daemons[host] = daemon
        until(lambda: self.ask(host, 'get=1\n\n', check=False).endswith('errno=0\n\n'), 10, 'wireguard-go on %s answers' % host)
        self.world[host].run('ip', 'address', 'add', address, 'dev', TUN)

    def ask(self, host, question, check=True):
        return self.world[host].run(worlds.PYTHON, '-c', ASK, TUN, text=question, check=check).stdout

    def tell(self, host, *pairs):
        answer = self.ask(host, 'set=1\n' + ''.join('%s=%s\n' % pair for pair in pairs) + '\n')
        if answer.strip() != 'errno=0':
            raise AssertionError('wireguard-go on %s: %s' % (host, answer.strip()))

    def start(self, routes):
        """{host: process}; <routes> go into the tunnel at the agents."""
        self._start('relay', HUB + '/24')
        self.world['relay'].run('ip', 'link', 'set', TUN, 'up')
        self.tell('relay', ('private_key', self.keys['relay'].private), ('listen_port', PORT))
        for number in self.agents:
            name = 'agent-%d' % number
            self.tell('relay', ('public_key', self.keys[name].public), ('allowed_ip', address_of(number) + '/32'))
            self._start(name, address_of(number) + '/32')
            self.tell(name, ('private_key', self.keys[name].private), ('public_key', self.keys['relay'].public),
                      ('endpoint', '[%s]:%d' % (worlds.RELAY_V6, PORT)), ('allowed_ip', '0.0.0.0/0'), ('persistent_keepalive_interval', 25))
            self.world[name].run('ip', 'link', 'set', TUN, 'up')
            for route in (POOL,) + tuple(routes):
                self.world[name].run('ip', 'route', 'replace', route, 'dev', TUN)
            until(lambda name=name: self.world[name].ping(HUB, 1)[0], 10, 'wireguard-go of %s reaches the hub' % name)
        return self.daemons

    def stop(self):
        for daemon in self.daemons.values():
            if daemon.process.poll() is None:
                daemon.stop()
        self.daemons = {}
