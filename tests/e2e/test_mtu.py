"""Paths of several sizes: what is assigned, what gets through, what happens when one shrinks."""
import pytest

from gateway import AGENT_TUN
from process import until


def device_mtu(gateway):
    return gateway.world['agent-1'].json('ip', '-j', 'link', 'show', 'dev', AGENT_TUN)[0]['mtu']


@pytest.fixture(scope='module')
def boxed(gateway):
    gateway.file_hash = gateway.world.serve(16 << 20)
    gateway.box = gateway.world.box(1)
    yield gateway


@pytest.mark.parametrize('size, families, inner', [(1280, 1, 1166), (1300, 1, 1166), (1362, 2, 1280), (1500, 2, 1400)])
def test_ipv6_is_assigned_where_it_fits(boxed, size, families, inner):
    boxed.box.clear()
    boxed.box.mtu(size)
    boxed.start_relay()
    try:
        agent = boxed.start_agent(1, families=families, wait=False)
        boxed.wait_tunnel(1, families=families)
        assert len(boxed.addresses(1)) == families
        if families == 1:
            assert ':' not in boxed.addresses(1)[0]
            boxed.relay.wait_line(lambda line: 'too narrow for IPv6' in str(line.data.get('message')))
            agent.wait_line(lambda line: 'refused an address' in str(line.data.get('message')))
        got = boxed.world['agent-1'].peer('get', 'http://%s/file' % '1.1.1.1')
        assert got['sha256'] == boxed.file_hash
    finally:
        boxed.stop()
        boxed.box.clear()
