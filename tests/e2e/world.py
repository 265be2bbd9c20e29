"""A small world of network namespaces

    agent-1 ──┐                                                  ┌── internet: web server, echo,
              ├── wan ── relay (relay.gatehouse.example, NAT) ───┘   1.1.1.1 8.8.8.8 9.9.9.9, the same for IPv6
    agent-2 ──┘

Each host has a network and a mount namespace of its own, with a private /run and /etc/hosts. A host is held by a keeper
that ends every process in its namespace when this process closes its pipe or dies, so nothing stays behind. Root makes the
namespaces as they are; anybody else makes a user namespace first.

World.box puts a road that can be spoilt in the place of the cable between an agent and wan.
"""
import functools
import json
import os
import shutil
import subprocess
import sys
import tempfile

from process import Daemon, until

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
PYTHON = sys.executable
RELAY_NAME = 'relay.gatehouse.example'
RELAY_V4, RELAY_V6 = '203.0.113.2', '2001:db8:113::2'
WEB_V4, WEB_V6 = '198.51.100.10', '2001:db8:100::10'
# What client-1 reaches by examples/policy.yaml, and what it does not.
RESOLVERS = ('1.1.1.1', '8.8.8.8')
OTHER_V4, OTHER_V6 = '9.9.9.9', '2606:4700::1111'
INTERNET = RESOLVERS + (OTHER_V4, OTHER_V6)

KEEPER = r'''
import os, signal, sys
own = os.stat("/proc/self/ns/net").st_ino
print("ready", flush=True)
while os.read(0, 4096):
    pass
found = True
while found:
    found = False
    for name in os.listdir("/proc"):
        if not name.isdigit() or int(name) == os.getpid():
            continue
        try:
            if os.stat("/proc/%s/ns/net" % name).st_ino != own:
                continue
            with open("/proc/%s/stat" % name) as file:
                if file.read().rsplit(")", 1)[1].split()[0] == "Z":
                    continue
            os.kill(int(name), signal.SIGKILL)
            found = True
        except OSError:
            pass
'''

PRIVATE = r'''
set -e
mount -t tmpfs -o mode=755 run /run
mount --bind "$1" /etc/hosts
mount -t sysfs sys /sys 2>/dev/null || true
ip link set lo up
exec "$2" -c "$3"
'''


def search_path():
    """The system's folders are not in everybody's PATH."""
    return os.pathsep.join([os.environ.get('PATH', ''), '/usr/sbin', '/sbin', '/usr/lib/go-1.23/bin', '/usr/local/go/bin'])


os.environ['PATH'] = search_path()

# program -> Debian package that has it
NEEDED = {'ip': 'iproute2', 'nft': 'nftables', 'unshare': 'util-linux', 'nsenter': 'util-linux', 'ping': 'iputils-ping',
          'sysctl': 'procps', 'mount': 'mount', 'curl': 'curl'}


def missing_packages():
    return sorted({package for program, package in NEEDED.items() if not shutil.which(program)})


def works(argv):
    return subprocess.run(argv, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode == 0


@functools.lru_cache(maxsize=None)
def user_namespace():
    """[] when this user may make namespaces as they are, else how unshare makes a user namespace; None: not at all."""
    if os.geteuid() == 0 and works(['unshare', '--net', '--mount', 'true']):
        return []
    for options in (['--user', '--map-root-user', '--map-auto'], ['--user', '--map-root-user']):
        if works(['unshare'] + options + ['--net', '--mount', 'true']):
            return options
    return None


def why_not():
    """None, or what this machine lacks."""
    missing = missing_packages()
    if missing:
        return 'missing packages: ' + ' '.join(missing)
    if user_namespace() is None:
        return 'neither root nor allowed to make user namespaces'
    if not os.access('/dev/net/tun', os.R_OK | os.W_OK):
        return '/dev/net/tun cannot be opened by this user'
    return None


def build_folder():
    folder = os.environ.get('GATEHOUSE_BUILD', 'build')
    return folder if os.path.isabs(folder) else os.path.join(ROOT, folder)


def sanitizers():
    """What the programs are built with: {'address', 'undefined'}, {'thread'}, or nothing."""
    with open(os.path.join(build_folder(), 'meson-info', 'intro-buildoptions.json'), encoding='utf-8') as file:
        value = [option['value'] for option in json.load(file) if option['name'] == 'b_sanitize'][0]
    words = value if isinstance(value, list) else value.split(',')
    return set(words) - {'none', ''}


def program(name):
    return os.path.join(build_folder(), 'src', 'bin', name)


class Keeper:
    """A process that holds namespaces until its standard input ends."""

    def __init__(self, argv):
        self.process = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True)
        line = self.process.stdout.readline()
        if line != b'ready\n':
            raise RuntimeError('a namespace cannot be made: %s' % (line + self.process.stderr.read()).decode('utf-8', 'replace'))
        self.pid = self.process.pid

    def close(self):
        self.process.stdin.close()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process.stdout.close()
        self.process.stderr.close()


class Host:
    def __init__(self, world, name):
        self.world = world
        self.name = name
        argv = ['unshare', '--net', '--mount', '/bin/sh', '-c', PRIVATE, 'keeper', world.hosts_file, PYTHON, KEEPER]
        self.keeper = Keeper(world.enter + argv)
        user = ['--user', '--preserve-credentials'] if world.users else []
        self.enter = ['nsenter', '--target', str(self.keeper.pid)] + user + ['--net', '--mount', '--']

    def run(self, *argv, timeout=30, check=True, text=None, env=None):
        """Runs to the end; what it wrote is in stdout and stderr."""
        done = subprocess.run(self.enter + [str(word) for word in argv], input=text, stdin=None if text is not None else subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=timeout, encoding='utf-8', errors='replace',
                              env=dict(os.environ, **env) if env else None)
        if check and done.returncode != 0:
            raise AssertionError('%s: %s: exit status %d\n%s%s' % (self.name, ' '.join(map(str, argv)), done.returncode, done.stdout, done.stderr))
        return done

    def json(self, *argv):
        text = self.run(*argv).stdout
        return json.loads(text) if text.strip() else []

    def start(self, name, *argv, env=None, **options):
        daemon = Daemon(name, self.enter + [str(word) for word in argv], os.path.join(self.world.folder, 'logs', name + '.log'),
                        env=dict(os.environ, **(env or {})), **options)
        self.world.daemons.append(daemon)
        return daemon

    def peer(self, *arguments, timeout=60, check=True):
        """Runs a verb of traffic.py here; its answer is one line of JSON."""
        done = self.run(PYTHON, os.path.join(HERE, 'traffic.py'), *arguments, timeout=timeout, check=check)
        return json.loads(done.stdout.strip().splitlines()[-1]) if done.stdout.strip() else {'error': done.stderr}

    def start_peer(self, name, *arguments):
        daemon = self.start(name, PYTHON, os.path.join(HERE, 'traffic.py'), *arguments)
        daemon.wait_line('"ready"')
        return daemon

    def ping(self, target, count=3, size=None, interval='0.05', wait=1):
        """(received, what ping printed); <wait> seconds for the last answer"""
        argv = ['ping', '-n', '-c', count, '-i', interval, '-W', wait] + (['-s', size] if size is not None else []) + [target]
        done = self.run(*argv, check=False)
        received = [line for line in done.stdout.splitlines() if 'received' in line]
        return (int(received[0].split(',')[1].split()[0]) if received else 0), done.stdout

    def addresses(self, device):
        """Addresses of global scope as text, [] without such a device."""
        done = self.run('ip', '-j', 'address', 'show', 'dev', device, check=False)
        if done.returncode != 0 or not done.stdout.strip():
            return []
        return [info['local'] for link in json.loads(done.stdout) for info in link.get('addr_info', []) if info.get('scope') == 'global']

    def state(self):
        """All that Gatehouse may change here, in a form that can be compared."""
        def stable(entries):
            # lifetimes and indices of devices differ without anybody's doing, and so do the kernel's own link-local addresses
            drop = ('ifindex', 'link_index', 'valid_life_time', 'preferred_life_time', 'cache', 'expires', 'age', 'used', 'addr_info')
            rows = []
            for entry in entries:
                if str(entry.get('dst', '')).startswith(('fe80:', 'ff00:')):
                    continue
                row = {key: value for key, value in entry.items() if key not in drop}
                row['addresses'] = sorted('%s/%s' % (info.get('local'), info.get('prefixlen')) for info in entry.get('addr_info', [])
                                          if info.get('scope') != 'link')
                rows.append(json.dumps(row, sort_keys=True))
            return sorted(rows)
        views = {}
        for family in ('-4', '-6'):
            views['route ' + family] = stable(self.json('ip', '-j', family, 'route', 'show', 'table', 'all'))
            views['rule ' + family] = stable(self.json('ip', '-j', family, 'rule', 'show'))
        views['addr'] = stable(self.json('ip', '-j', 'address', 'show'))
        views['nft'] = self.run('nft', 'list', 'ruleset').stdout
        views['sysctl'] = self.run('sysctl', '-a', '--pattern', r'^net\.ipv[46]\.(ip_forward|conf\.(all|default|[a-z0-9]+)\.(forwarding|src_valid_mark|rp_filter|accept_ra))$').stdout
        return views


class World:
    HOSTS = ('agent-1', 'agent-2', 'wan', 'relay', 'internet')

    def __init__(self, folder=None):
        self.own_folder = folder is None
        self.folder = str(folder) if folder else tempfile.mkdtemp(prefix='gatehouse-')
        os.makedirs(os.path.join(self.folder, 'logs'), exist_ok=True)
        self.hosts = {}
        self.daemons = []
        self.boxes = []
        self.users = None
        self.enter = []
        self.links = 0
        self.starts = 0

    def __enter__(self):
        try:
            self._build()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *unused):
        self.close()

    def __getitem__(self, name):
        return self.hosts[name]

    def path(self, *parts):
        return os.path.join(self.folder, *parts)

    def write(self, name, text):
        """Writes a file of the world's folder by renaming over what is there."""
        path = self.path(name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path + '.new', 'w', encoding='utf-8') as file:
            file.write(text)
        os.rename(path + '.new', path)
        return path

    def read(self, name):
        with open(self.path(name), encoding='utf-8') as file:
            return file.read()

    def _build(self):
        options = user_namespace()
        if options is None:
            raise RuntimeError(why_not())
        if options:
            self.users = Keeper(['unshare'] + options + [PYTHON, '-c', 'import sys; print("ready", flush=True); sys.stdin.read()'])
            self.enter = ['nsenter', '--target', str(self.users.pid), '--user', '--preserve-credentials', '--']
        self.hosts_file = self.write('hosts', '127.0.0.1 localhost\n::1 localhost\n%s %s\n%s %s\n' % (RELAY_V4, RELAY_NAME, RELAY_V6, RELAY_NAME))
        for name in self.HOSTS:
            self.hosts[name] = Host(self, name)
        for name in self.HOSTS:
            # Addresses are to be there at once and stay alone.
            self[name].run('sysctl', '-qw', 'net.ipv6.conf.all.accept_dad=0', 'net.ipv6.conf.default.accept_dad=0',
                           'net.ipv6.conf.default.accept_ra=0', 'net.ipv6.conf.all.accept_ra=0')
        self.link('agent-1', 'eth0', ['172.16.1.2/24', '2001:db8:1::2/64'], 'wan', 'agent1', ['172.16.1.1/24', '2001:db8:1::1/64'])
        self.link('agent-2', 'eth0', ['172.16.2.2/24', '2001:db8:2::2/64'], 'wan', 'agent2', ['172.16.2.1/24', '2001:db8:2::1/64'])
        self.link('relay', 'wan0', [RELAY_V4 + '/24', RELAY_V6 + '/64'], 'wan', 'relay', ['203.0.113.1/24', '2001:db8:113::1/64'])
        self.link('relay', 'inet0', ['198.51.100.1/24', '2001:db8:100::1/64'], 'internet', 'eth0', [WEB_V4 + '/24', WEB_V6 + '/64'])
        for number in (1, 2):
            agent = self['agent-%d' % number]
            agent.run('ip', 'route', 'add', 'default', 'via', '172.16.%d.1' % number)
            agent.run('ip', '-6', 'route', 'add', 'default', 'via', '2001:db8:%d::1' % number)
            self['relay'].run('ip', 'route', 'add', '172.16.%d.0/24' % number, 'via', '203.0.113.1')
            self['relay'].run('ip', '-6', 'route', 'add', '2001:db8:%d::/64' % number, 'via', '2001:db8:113::1')
        self['relay'].run('ip', 'route', 'add', 'default', 'via', WEB_V4)
        self['relay'].run('ip', '-6', 'route', 'add', 'default', 'via', WEB_V6)
        self['wan'].run('sysctl', '-qw', 'net.ipv4.ip_forward=1', 'net.ipv6.conf.all.forwarding=1')
        for address in INTERNET:
            self['internet'].run('ip', 'address', 'add', address, 'dev', 'lo')

    def link(self, a, a_device, a_addresses, b, b_device, b_addresses):
        """A cable between two hosts, with fixed neighbours: nobody waits for their discovery."""
        self.links += 1
        ends = ((a, a_device, a_addresses, '02:00:00:00:%02x:01' % self.links), (b, b_device, b_addresses, '02:00:00:00:%02x:02' % self.links))
        self[a].run('ip', 'link', 'add', a_device, 'address', ends[0][3], 'type', 'veth', 'peer', 'name', b_device,
                    'address', ends[1][3], 'netns', self[b].keeper.pid)
        for (host, device, addresses, _), (_, _, others, other_mac) in (ends, ends[::-1]):
            lines = ['address add %s dev %s%s' % (address, device, ' nodad' if ':' in address else '') for address in addresses]
            lines += ['link set %s up' % device]
            lines += ['neighbour replace %s lladdr %s dev %s nud permanent' % (other.split('/')[0], other_mac, device) for other in others]
            self[host].run('ip', '-batch', '-', text='\n'.join(lines) + '\n')

    def box(self, number=1, seed=1):
        """A netbox in the place of the cable between an agent and wan; before the agent is started."""
        return Box(self, number, seed)

    def serve(self, size=8 << 20):
        """Web server (port 80, /file of <size> bytes) and echo (TCP and UDP port 7) on the internet; gives the file's SHA-256."""
        server = self['internet'].start('internet', PYTHON, os.path.join(HERE, 'traffic.py'), 'serve', self.path('file'), size)
        return server.wait_line('"ready"', 20).data['sha256']

    def close(self):
        for daemon in reversed(self.daemons):
            if daemon.process.poll() is None and daemon.argv[0] == 'nsenter':
                daemon.kill()
        for box in self.boxes:
            box.kill()
            box.file.close()
        self.boxes = []
        for host in self.hosts.values():
            host.keeper.close()
        if self.users:
            self.users.close()
        accusations = [text for text in (daemon.accusations() for daemon in self.daemons) if text]
        for daemon in self.daemons:
            daemon.file.close()
        self.daemons = []
        self.hosts = {}
        self.users = None
        if self.own_folder:
            shutil.rmtree(self.folder, ignore_errors=True)
        if accusations:
            raise AssertionError('a sanitizer spoke up\n' + '\n'.join(accusations))

    def report(self):
        """The last lines of everybody, for a failed test."""
        return '\n'.join(daemon.tail(40) for daemon in self.daemons)


class Box:
    """tests/netbox between an agent and the rest of the world. "up" is what the agent sends."""

    def __init__(self, world, number, seed):
        agent, wan = world['agent-%d' % number], world['wan']
        agent.run('ip', 'link', 'delete', 'eth0')
        self.world, self.agent, self.wan, self.number = world, agent, wan, number
        program = os.path.join(build_folder(), 'tests', 'netbox', 'netbox')
        ends = ['%d:eth0' % agent.keeper.pid, '%d:agent%d' % (wan.keeper.pid, number)]
        self.daemon = Daemon('netbox-%d' % number, world.enter + ['unshare', '--net', '--', program, '--seed', str(seed)] + ends,
                             os.path.join(world.folder, 'logs', 'netbox-%d.log' % number), stdin=subprocess.PIPE)
        world.boxes.append(self.daemon)
        self.daemon.wait_line('"ready"')
        for host, device, own in ((agent, 'eth0', 2), (wan, 'agent%d' % number, 1)):
            host.run('ip', '-batch', '-', text='address add 172.16.{0}.{1}/24 dev {2}\naddress add 2001:db8:{0}::{1}/64 dev {2} nodad\n'
                     'link set {2} txqueuelen 10000 up\n'.format(number, own, device))
        agent.run('ip', 'route', 'add', 'default', 'via', '172.16.%d.1' % number)
        agent.run('ip', '-6', 'route', 'add', 'default', 'via', '2001:db8:%d::1' % number)

    def command(self, *words):
        mark = self.daemon.mark()
        self.daemon.process.stdin.write((' '.join(map(str, words)) + '\n').encode())
        self.daemon.process.stdin.flush()
        answer = self.daemon.wait_line('"ok"', since=mark).data
        assert answer['ok'], (words, answer)
        return answer

    def set(self, way='both', **settings):
        self.command('set', way, *['%s=%s' % pair for pair in settings.items()])

    def clear(self, way='both'):
        self.command('clear', way)

    def delay(self, milliseconds, jitter=0, way='both'):
        """One way."""
        self.set(way, delay=milliseconds, jitter=jitter)

    def loss(self, chance, way='both', burst=0, burst_length=1):
        self.set(way, loss=chance, burst=burst, burst_length=burst_length)

    def reorder(self, chance, milliseconds, way='both'):
        self.set(way, reorder=chance, reorder_delay=milliseconds)

    def duplicate(self, chance, way='both'):
        self.set(way, duplicate=chance)

    def rate(self, bits_per_second, queue_bytes, way='both'):
        self.set(way, rate=bits_per_second, queue=queue_bytes)

    def mtu(self, size, icmp=False, way='both'):
        """What is larger vanishes; with <icmp>, its sender is told."""
        self.set(way, mtu=size, icmp=int(icmp))

    def device_mtu(self, size):
        """That of both ends, as a link of that kind would have it."""
        self.agent.run('ip', 'link', 'set', 'eth0', 'mtu', size)
        self.wan.run('ip', 'link', 'set', 'agent%d' % self.number, 'mtu', size)

    def blackout(self, seconds, way='both'):
        """Gives its end, in seconds of CLOCK_MONOTONIC."""
        return self.command('blackout', way, seconds)['until']

    def stats(self):
        return self.command('stats')

    def close(self):
        self.daemon.process.stdin.close()
        self.daemon.wait_exit()


__all__ = ['Box', 'World', 'Host', 'Daemon', 'until', 'program', 'build_folder', 'sanitizers', 'why_not']
