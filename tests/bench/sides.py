"""The tunnels that are compared: each is started in the same world, and names its processes

start() gives {'relay': pid, 'agent': pid of agent-2's, 'agent-1': pid}; what two agents need is there when `hub` is true.
"""
import json
import os
import re

import connect_ip_go
import gateway
import peers
from process import until
import wireguard
import world as worlds

HERE = os.path.dirname(os.path.abspath(__file__))
TARGETS = '198.51.100.0/24,9.9.9.9/32'
SMALL = 1280
SESSION_QUEUE = ('queue_full', 'queue_delay')
# Who is compared with whom: with the inner MTU that is usual for it, or with the peer's.
PAIRS = (('gatehouse', 'wireguard-go'), ('gatehouse-1280', 'connect-ip-go'))
ALLOWED = '{ rules: [ { id: out, type: default, action: allow }, { id: in, type: default, action: allow, direction: in } ] }'
POLICY = '''version: "1.0"
metadata: { name: bench, description: two agents that may do everything }
default_action: deny
log: none
clients:
  client-1: %s
  client-2: %s
''' % (ALLOWED, ALLOWED)


class Ours:
    """gatehoused with examples/relay-interop.yaml (networks that know the way back: no NAT), gatehouse-agent with agent-N.yaml.

    The inner MTU is what path MTU discovery finds, as it is for whoever changes nothing.
    """
    name = 'gatehouse'
    mtu = None
    hub = True

    def __init__(self, world, certs):
        self.site = gateway.Gateway(world, certs)
        self.site.policy(POLICY)
        self.world = world

    def start(self):
        pids = {}
        self.site.start_relay('relay-interop.yaml', **({'relay__mtu': self.mtu} if self.mtu else {}))
        for number in (1, 2) if self.hub else (2,):
            pids['agent-1' if number == 1 else 'agent'] = self.site.start_agent(number, **({'agent__mtu': self.mtu} if self.mtu else {})).pid
        if not self.mtu: # the path is measured when the tunnel is up
            until(lambda: self.inner_mtu() > SMALL, 10, 'the inner MTU follows the path')
        return dict(pids, relay=self.site.relay.pid)

    def stop(self):
        self.site.stop()

    def address(self, number):
        return self.site.v4(number)

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


class OursSmall(Ours):
    """The same with connect-ip-go's inner MTU."""
    name = 'gatehouse-1280'
    mtu = SMALL
    hub = False


class ConnectIpGo:
    """connect-ip-go v0.7.0 at both ends."""
    name = 'connect-ip-go'
    hub = False

    def __init__(self, world, certs):
        folder, why = peers.build('connect_ip')
        if not folder:
            raise RuntimeError(why)
        self.world = world
        self.peer = connect_ip_go.Peer(world, certs, folder)

    def start(self):
        self.peer.forwarding()
        self.server = self.peer.server(mtu=SMALL)
        self.client = self.peer.client(mtu=SMALL, route=TARGETS)
        return {'agent': self.client.pid, 'relay': self.server.pid}

    def stop(self):
        self.client.stop()
        self.server.kill()

    def inner_mtu(self):
        return device_mtu(self.world['agent-2'], connect_ip_go.TUN)

    def drops(self):
        return {}


class WireguardGo:
    """wireguard-go at both ends, offloads and MTU (1420) as it chooses them."""
    name = 'wireguard-go'
    hub = True

    def __init__(self, world, _certs):
        folder, why = peers.build('wireguard', HERE, wireguard.PACKAGE)
        if not folder:
            raise RuntimeError(why)
        self.world = world
        self.wireguard = wireguard.Hub(world, folder, (1, 2))

    def start(self):
        made = self.wireguard.start(TARGETS.split(','))
        return {'agent': made['agent-2'].pid, 'agent-1': made['agent-1'].pid, 'relay': made['relay'].pid}

    def stop(self):
        self.wireguard.stop()

    def address(self, number):
        return wireguard.address_of(number)

    def inner_mtu(self):
        return device_mtu(self.world['agent-2'], wireguard.TUN)

    def drops(self):
        return {}


class Plain:
    """No tunnel."""
    name = 'plain veth'
    hub = False

    def __init__(self, world, _certs):
        self.world = world

    def start(self):
        self.world['internet'].run('ip', 'route', 'replace', '172.16.2.0/24', 'via', '198.51.100.1')
        self.world['wan'].run('ip', 'route', 'replace', '198.51.100.0/24', 'via', worlds.RELAY_V4)
        return {}

    def stop(self):
        self.world['internet'].run('ip', 'route', 'delete', '172.16.2.0/24')
        self.world['wan'].run('ip', 'route', 'delete', '198.51.100.0/24')

    def inner_mtu(self):
        return 1500

    def drops(self):
        return {}


KERNEL_DROPS = r'''
grep -E '^(Udp6RcvbufErrors|Udp6SndbufErrors)' /proc/net/snmp6
for device in "$@"; do echo "${device}_tx $(cat /sys/class/net/$device/statistics/tx_dropped 2>/dev/null)"; done
'''
TUNS = {'relay': (gateway.RELAY_TUN, wireguard.TUN, connect_ip_go.TUN), 'agent-2': (gateway.AGENT_TUN, wireguard.TUN, connect_ip_go.TUN)}


def kernel_drops(world):
    """{('kernel', reason): count}: what a program did not take from its outer socket (IPv6) or its TUN device in time"""
    found = {}
    for host, devices in TUNS.items():
        for line in world[host].run('/bin/sh', '-c', KERNEL_DROPS, 'drops', *devices).stdout.splitlines():
            words = line.split()
            if len(words) == 2:
                found['kernel', '%s_%s' % (host, words[0])] = int(words[1])
    return found


KINDS = (Ours, WireguardGo, OursSmall, ConnectIpGo, Plain)


def device_mtu(host, device):
    return host.json('ip', '-j', 'link', 'show', 'dev', device)[0]['mtu']


def moved(before, after):
    """{'relay queue_full': 12}: what counted up."""
    return {' '.join(key): after[key] - before.get(key, 0) for key in sorted(after) if after[key] != before.get(key, 0)}
