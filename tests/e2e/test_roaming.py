"""An agent that changes its networks under a download: the session and the inner TCP connection stay the same."""
import os
import threading

import pytest

import gateway as gateway_module
from fixtures import OPEN
from process import until
from world import HERE, PYTHON, RELAY_NAME, RELAY_V4, RELAY_V6, WEB_V4

SIZE = 200 << 20
HOME4, OTHER4, HOME6 = '172.16.2.2', '172.16.2.77', '2001:db8:2::2'


class Road:
    """The agent's side of the cable, through a box that makes the download last."""

    def __init__(self, site, box):
        self.site, self.box, self.host = site, box, site.world['agent-2']

    def carried(self):
        found = [session for session in self.site.sessions() if session['client_id'] == 'client-2']
        return found[0]['tx_bytes'] if found else 0

    def flows(self, within):
        """Packets arrive again."""
        start = self.carried()
        until(lambda: self.carried() > start + (1 << 20), within, 'a megabyte more')

    def peer(self):
        return [session['peer']['address'] for session in self.site.sessions() if session['client_id'] == 'client-2'][0]

    def drop4(self, address):
        self.host.run('ip', 'address', 'delete', address + '/24', 'dev', 'eth0')

    def add4(self, address):
        self.host.run('ip', 'address', 'add', address + '/24', 'dev', 'eth0')
        self.host.run('ip', 'route', 'replace', 'default', 'via', '172.16.2.1')

    def drop6(self):
        self.host.run('ip', 'address', 'delete', HOME6 + '/64', 'dev', 'eth0')
        self.host.run('ip', '-6', 'route', 'delete', 'default', 'via', '2001:db8:2::1', check=False)

    def add6(self):
        self.host.run('ip', 'address', 'add', HOME6 + '/64', 'dev', 'eth0', 'nodad')
        self.host.run('ip', '-6', 'route', 'replace', 'default', 'via', '2001:db8:2::1')

    def rebind(self):
        """A NAT on the way gives another source port: the middle of the network forgets, and nobody is told."""
        self.site.world['wan'].run('nft', '-f', '-', text='''table ip roam {
            chain post {
                type nat hook postrouting priority 100
                ip saddr 172.16.2.0/24 udp dport 4433 masquerade to :20000-20999
            }
        }''')


@pytest.fixture(scope='module')
def place(world):
    """The box on the road of agent 2, and what both tests share."""
    site = gateway_module.Gateway(world)
    site.policy(OPEN)
    site.file_hash = world.serve(SIZE)
    return Road(site, world.box(2))


@pytest.fixture
def road(place):
    place.host.run('ip', 'address', 'flush', 'dev', 'eth0', 'scope', 'global')
    place.add4(HOME4)
    place.add6()
    place.box.clear()
    place.site.world['wan'].run('nft', 'flush', 'ruleset')
    place.site.start_relay()
    yield place
    place.site.stop()


def pause(seconds):
    """How long something lasts that the test is about."""
    threading.Event().wait(seconds)


def test_five_changes_of_network_under_one_download(road):
    site = road.site
    road.drop6()
    site.start_agent(2)
    road.box.rate(100_000_000, 400_000)
    mark = site.relay.mark()
    get = road.host.start('roaming-get', PYTHON, os.path.join(HERE, 'traffic.py'), 'get', 'http://%s/file' % WEB_V4)
    road.flows(5)

    road.rebind()  # 1: another source port, by a NAT
    road.flows(5)
    road.drop4(HOME4)  # 2: another address
    road.add4(OTHER4)
    road.flows(5)
    road.add6()  # 3: IPv4 is gone, IPv6 is there
    road.drop4(OTHER4)
    road.flows(6)
    assert ':' in road.peer()
    road.drop6()  # 4: nothing at all for three seconds, then an address again
    pause(3)
    road.add4(HOME4)
    road.flows(6)
    road.add6()  # 5: and over to IPv6 once more
    road.drop4(HOME4)
    road.flows(6)

    answer = get.wait_line('"sha256"', 60).data
    assert answer['bytes'] == SIZE and answer['sha256'] == site.file_hash
    opened = [data for data in site.relay.audit(since=mark, client_id='client-2', dest_ip=WEB_V4, protocol='tcp') if data['message'] == 'flow opened']
    assert len(opened) == 1, 'one inner TCP connection'
    assert not site.relay.audit(since=mark, event_type='connection.close', client_id='client-2')
    assert not site.relay.audit(since=mark, event_type='connection.open', client_id='client-2')


def test_a_dead_path_is_left_within_seconds(road):
    """IPv6 packets vanish on the way and nobody says so: the session goes on over IPv4."""
    site = road.site
    site.start_agent(2)
    assert ':' in road.peer()
    mark = site.relay.mark()
    session = site.sessions()[0]['id']
    site.world['wan'].run('nft', '-f', '-', text='''table ip6 hole {
            chain forward {
                type filter hook forward priority 0
                udp dport 4433 drop
                udp sport 4433 drop
            }
        }''')
    until(lambda: road.host.ping('9.9.9.9', 1, wait=0.3)[0] == 1, 5, 'a ping over another path')
    assert '.' in road.peer()
    assert [one['id'] for one in site.sessions()] == [session]
    assert not site.relay.audit(since=mark, event_type='connection.close')


# ---- several relays

def test_an_agent_takes_the_next_relay_and_returns_to_the_first(road):
    """The first of its relays is not there: the second serves. When the first comes, the agent goes back to it."""
    site = road.site
    site.relay.stop()
    second = 'https://%s:4433' % RELAY_V4
    agent = site.start_agent(2, wait=False, agent__relay='https://[%s]:4455 %s' % (RELAY_V6, second), agent__server_name=RELAY_NAME,
                             agent__return_after='1s', agent__reconnect_max='1s')
    mark = agent.mark()
    site.start_relay()
    site.wait_tunnel(2)
    assert road.peer() == HOME4
    assert road.host.ping('9.9.9.9', 2)[0] == 2
    # the same relay, at its other address: what the agent prefers is there now
    site.relay.stop()
    site.start_relay(relay__listen='[::]:4455 0.0.0.0:4433')
    agent.wait_line(r'"relay":"%s"' % RELAY_V6, 20, mark)
    until(lambda: ':' in (road.peer() if site.sessions() else ''), 20, 'the agent is at its first relay')
    until(lambda: road.host.ping('9.9.9.9', 1, wait=0.5)[0] == 1, 10, 'a ping over the first relay')
