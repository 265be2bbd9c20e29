"""The tunnels that are compared: each is started in the same world, has the same inner MTU, and names its processes"""
import json
import re

import connect_ip_go
import gateway
import peers
import world as worlds

TARGETS = '198.51.100.0/24,9.9.9.9/32'
SESSION_QUEUE = ('queue_full', 'queue_delay')


class Ours:
    """gatehoused with examples/relay-interop.yaml (networks that know the way back: no NAT), gatehouse-agent with agent-2.yaml."""
    name = 'gatehouse'

    def __init__(self, world, certs, mtu):
        self.mtu = mtu
        self.site = gateway.Gateway(world, certs)
        self.world = world

    def start(self):
        self.site.start_relay('relay-interop.yaml', relay__mtu=self.mtu)
        self.agent = self.site.start_agent(2, agent__mtu=self.mtu)
        return {'agent': self.agent.pid, 'relay': self.site.relay.pid}

    def stop(self):
        self.site.stop()

    def inner_mtu(self):
        return device_mtu(self.world['agent-2'], gateway.AGENT_TUN)

    def drops(self):
        """{('relay', reason): count}, of both programs"""
        found = {}
        for name, value in self.site.metrics().items():
            match = re.fullmatch(r'gatehouse_drops_total\{reason="(\w+)"\}', name)
            if match:
                found['relay', match.group(1)] = int(value)
        done = self.world['agent-2'].run(worlds.program('gatehouse-agent'), 'status', '--json', '-c', self.world.path('examples', 'agent-2.yaml'))
        for reason, value in json.loads(done.stdout).get('drops', {}).items():
            found['agent', reason] = value
        return found


class ConnectIpGo:
    """connect-ip-go v0.7.0 at both ends."""
    name = 'connect-ip-go'

    def __init__(self, world, certs, mtu):
        folder, why = peers.build('connect_ip')
        if not folder:
            raise RuntimeError(why)
        self.mtu = mtu
        self.world = world
        self.peer = connect_ip_go.Peer(world, certs, folder)

    def start(self):
        self.peer.forwarding()
        self.server = self.peer.server(mtu=self.mtu)
        self.client = self.peer.client(mtu=self.mtu, route=TARGETS)
        return {'agent': self.client.pid, 'relay': self.server.pid}

    def stop(self):
        self.client.stop()
        self.server.kill()

    def inner_mtu(self):
        return device_mtu(self.world['agent-2'], connect_ip_go.TUN)

    def drops(self):
        return {}


def device_mtu(host, device):
    return host.json('ip', '-j', 'link', 'show', 'dev', device)[0]['mtu']


def moved(before, after):
    """{'relay queue_full': 12}: what counted up."""
    return {' '.join(key): after[key] - before.get(key, 0) for key in sorted(after) if after[key] != before.get(key, 0)}
