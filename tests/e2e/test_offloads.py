"""Payloads arrive as they were, with every offload on and off on both sides."""
import pytest

from gateway import RELAY_TUN
from world import WEB_V4, WEB_V6

COMBINATIONS = [(True, True), (False, False), (True, False), (False, True)]


@pytest.fixture(scope='module', params=COMBINATIONS, ids=lambda on: 'tun-%s-udp-%s' % tuple('on' if x else 'off' for x in on))
def tunnel(gateway, request):
    serving = getattr(gateway, 'file_hash', None)
    if not serving:
        gateway.file_hash = gateway.world.serve(16 << 20)
    tun, udp = ('true' if on else 'false' for on in request.param)
    gateway.start_relay(relay__offload_tun=tun, relay__offload_udp=udp)
    gateway.start_agent(2, agent__offload_tun=tun, agent__offload_udp=udp)
    if not serving:
        for address in (WEB_V4, WEB_V6): # the answers teach the web server's host the path's MTU, at the price of the first
            gateway.world['agent-2'].peer('udp', address, 1440, 1)
    yield gateway
    gateway.stop()


@pytest.mark.parametrize('address, size', [(WEB_V4, 65507), (WEB_V6, 65487)])
def test_datagrams_of_64_kib(tunnel, address, size):
    answer = tunnel.world['agent-2'].peer('udp', address, size, 20)
    assert (answer['sent'], answer['same']) == (20, 20)


@pytest.mark.parametrize('address', [WEB_V4, WEB_V6])
def test_datagrams_of_every_size_class(tunnel, address):
    for size in (0, 1, 100, 1199, 1200, 1252, 1300, 1472, 2000, 9000, 33333):
        answer = tunnel.world['agent-2'].peer('udp', address, size, 3)
        assert answer['same'] == 3, size


@pytest.mark.parametrize('address', [WEB_V4, WEB_V6])
def test_bulk_tcp_both_ways_at_once(tunnel, address):
    answer = tunnel.world['agent-2'].peer('bulk', address, 16 << 20)
    assert answer['bytes'] == 16 << 20 and answer['sent'] == answer['received']


def test_download(tunnel):
    assert tunnel.world['agent-2'].peer('get', 'http://%s/file' % WEB_V4)['sha256'] == tunnel.file_hash


def drops(gateway):
    return {name: value for name, value in gateway.metrics().items() if name.startswith('gatehouse_drops_total')}


def test_bulk_tcp_moves_no_drop_counter_but_the_session_queues(tunnel):
    before = drops(tunnel)
    assert before
    for address in (WEB_V4, WEB_V6):
        tunnel.world['agent-2'].peer('bulk', address, 16 << 20)
    moved = {name for name, value in drops(tunnel).items() if value != before[name]}
    assert moved <= {'gatehouse_drops_total{reason="queue_full"}', 'gatehouse_drops_total{reason="queue_delay"}'}


def test_the_relays_device_takes_what_other_devices_hand_on_whole(tunnel):
    """A lower limit makes the kernel cut every larger packet that it forwards, before the relay can."""
    relay = tunnel.world['relay']
    link, = relay.json('ip', '-j', '-d', 'link', 'show', 'dev', RELAY_TUN)
    other, = relay.json('ip', '-j', '-d', 'link', 'show', 'dev', 'inet0')
    assert link['gso_max_size'] >= other['gso_max_size']
