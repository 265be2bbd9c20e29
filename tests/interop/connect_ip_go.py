"""connect-ip-go's client and server in a world."""
import os

from world import RELAY_NAME

URL = 'https://%s:4433/.well-known/masque/ip/%%2A/%%2A/' % RELAY_NAME
POOL_V4, POOL_V6 = '10.101.0.0/24', 'fd00:101::/64'
TUN = 'cip0'


def authority_of(certs, name):
    return ['-cert', certs.file(name + '.crt'), '-key', certs.file(name + '.key')] if name else []


class Peer:
    def __init__(self, world, certs, folder):
        self.world = world
        self.certs = certs
        self.folder = folder
        self.starts = 0

    def start(self, host, program, arguments, wait):
        self.starts += 1
        daemon = self.world[host].start('connect-ip-go-%s-%d' % (program, self.starts), os.path.join(self.folder, program),
                                        '-url', URL, '-ca', self.certs.file('ca.crt'), *arguments)
        if wait:
            daemon.wait_line('"ready"', 15)
        return daemon

    def server(self, certificate='relay', wait=True, **options):
        return self.start('relay', 'server', authority_of(self.certs, certificate) + flags(options), wait)

    def client(self, number=2, certificate='client-2', wait=True, **options):
        return self.start('agent-%d' % number, 'client', authority_of(self.certs, certificate) + flags(options), wait)

    def routed(self):
        """The internet knows the way to the pools, and the relay's host forwards: for servers without NAT."""
        for pool, gateway in ((POOL_V4, '198.51.100.1'), (POOL_V6, '2001:db8:100::1'), ('10.100.0.0/24', '198.51.100.1'),
                              ('fd00:100::/64', '2001:db8:100::1')):
            self.world['internet'].run('ip', 'route', 'replace', pool, 'via', gateway)

    def forwarding(self):
        self.world['relay'].run('sysctl', '-qw', 'net.ipv4.ip_forward=1', 'net.ipv6.conf.all.forwarding=1')


def flags(options):
    return ['-%s=%s' % (name, value) for name, value in options.items()]


def event(name, **fields):
    """Picks a line of the peer."""
    return lambda line: line.data.get('event') == name and all(line.data.get(key) == value for key, value in fields.items())
