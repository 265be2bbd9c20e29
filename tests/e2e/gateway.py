"""The shipped programs in a world, with the configurations of examples/ as they are

What differs from the examples goes in as GATEHOUSE_SECTION_OPTION, as an operator would do it.
"""
import json
import os
import re
import shutil
import signal

from certs import Authority
from process import until
from world import ROOT, program

PROGRAMS = ('gatehoused', 'gatehouse-agent', 'gatehouse')
AGENT_TUN = 'gh-agent0'
RELAY_TUN = 'gh0'


def environment(options):
    """{'relay.pools': '…'} as environment variables."""
    return {'GATEHOUSE_' + key.replace('.', '_').upper(): str(value) for key, value in options.items()}


def missing_programs():
    return [name for name in PROGRAMS if not os.access(program(name), os.X_OK)]


def trust_domain():
    with open(os.path.join(ROOT, 'examples', 'relay.yaml'), encoding='utf-8') as file:
        return re.search(r'^\s*trust_domain:\s*(\S+)', file.read(), re.M).group(1)


def certificates(world):
    """A CA, a relay and two clients."""
    certs = Authority(world.path('certs'), trust_domain()).init()
    certs.relay()
    for number in (1, 2):
        certs.issue('agent', 'client-%d' % number)
    return certs


class Gateway:
    def __init__(self, world, certs=None):
        certs = certs or certificates(world)
        self.world = world
        self.certs = certs
        self.relay = None
        self.agents = {}
        shutil.copytree(os.path.join(ROOT, 'examples'), world.path('examples'), dirs_exist_ok=True)

    def state_dir(self, name):
        path = self.world.path('state', name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        return path

    def policy(self, text):
        """Takes the place of examples/policy.yaml, by renaming."""
        return self.world.write('examples/policy.yaml', text)

    # ---- relay

    def start_relay(self, config='relay.yaml', wait=True, **options):
        # the folders of a test are private to who runs it
        given = {'node.state_dir': self.state_dir('relay'), 'node.user': 'root'}
        given.update({key.replace('__', '.'): value for key, value in options.items()})
        self.world.starts += 1
        self.relay = self.world['relay'].start('relay-%d' % self.world.starts, program('gatehoused'), '-c', self.world.path('examples', config),
                                               env=environment(given))
        if wait:
            self.wait_ready()
        return self.relay

    def get(self, path, unix=False):
        """(status, body) of the admin interface, 0 when nobody answers."""
        argv = ['curl', '-s', '-m', 5, '-w', '\n%{http_code}']
        argv += ['--unix-socket', '/run/gatehouse/admin.sock', 'http://localhost' + path] if unix else ['http://127.0.0.1:8080' + path]
        body, _, status = self.world['relay'].run(*argv, check=False).stdout.rpartition('\n')
        return int(status or 0), body

    def wait_ready(self, timeout=15):
        def ready():
            if self.relay.process.poll() is not None:
                raise AssertionError('the relay ended\n' + self.relay.tail())
            return self.get('/ready')[0] == 200
        until(ready, timeout, '/ready is 200: %s\n%s' % (self.get('/ready'), self.relay.tail()))

    def metrics(self):
        """{'name{labels}': value}"""
        status, body = self.get('/metrics')
        assert status == 200, body
        return {name: float(value) for name, _, value in (line.rpartition(' ') for line in body.splitlines() if line and line[0] != '#')}

    def sessions(self):
        status, body = self.get('/v1/sessions', unix=True)
        assert status == 200, (status, body)
        found = json.loads(body)
        return found['sessions'] if isinstance(found, dict) else found

    # ---- agents

    def start_agent(self, number=1, wait=True, **options):
        given = {'node.state_dir': self.state_dir('agent-%d' % number), 'node.user': 'root'}
        given.update({key.replace('__', '.'): value for key, value in options.items()})
        host = self.world['agent-%d' % number]
        self.world.starts += 1
        agent = host.start('agent-%d-%d' % (number, self.world.starts), program('gatehouse-agent'), 'up', '-c',
                           self.world.path('examples', 'agent-%d.yaml' % number), env=environment(given))
        self.agents[number] = agent
        if wait:
            self.wait_tunnel(number, families=options.get('families', 2))
        return agent

    def wait_tunnel(self, number=1, families=2, timeout=15):
        """Addresses and routes are there: a packet to the internet goes into the TUN device."""
        host, agent = self.world['agent-%d' % number], self.agents[number]

        def up():
            if agent.process.poll() is not None:
                raise AssertionError('the agent ended\n' + agent.tail())
            if len(self.addresses(number)) < families:
                return False
            ways = [host.run('ip', 'route', 'get', target, check=False).stdout for target in ('192.0.2.1', '2001:db8:ffff::1')]
            return sum(AGENT_TUN in way for way in ways) >= families
        until(up, timeout, 'the tunnel of agent %d' % number)
        return self.addresses(number)

    def addresses(self, number=1):
        return self.world['agent-%d' % number].addresses(AGENT_TUN)

    def v4(self, number=1):
        return [address for address in self.addresses(number) if '.' in address][0]

    def v6(self, number=1):
        return [address for address in self.addresses(number) if ':' in address][0]

    def stop(self):
        """Everything, politely; the world would end it anyway."""
        for daemon in list(self.agents.values()) + ([self.relay] if self.relay else []):
            if daemon.process.poll() is None:
                daemon.send(signal.SIGTERM)
        for daemon in list(self.agents.values()) + ([self.relay] if self.relay else []):
            daemon.wait_exit()
        self.agents = {}
        self.relay = None
