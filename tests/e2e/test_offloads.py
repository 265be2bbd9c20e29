"""Payloads arrive as they were, with every offload on and off on both sides."""
import pytest

from world import WEB_V4, WEB_V6

COMBINATIONS = [(True, True), (False, False), (True, False), (False, True)]


@pytest.fixture(scope='module', params=COMBINATIONS, ids=lambda on: 'tun-%s-udp-%s' % tuple('on' if x else 'off' for x in on))
def tunnel(gateway, request):
    if not getattr(gateway, 'file_hash', None):
        gateway.file_hash = gateway.world.serve(16 << 20)
    tun, udp = ('true' if on else 'false' for on in request.param)
    gateway.start_relay(relay__offload_tun=tun, relay__offload_udp=udp)
    gateway.start_agent(2, agent__offload_tun=tun, agent__offload_udp=udp)
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
