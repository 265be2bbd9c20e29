"""Paths of several sizes: what is assigned, what gets through, what happens when one shrinks."""
import os

import pytest

from gateway import AGENT_TUN
from process import until
from world import HERE, PYTHON


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


@pytest.mark.parametrize('size, families', [(1362, 2), (1280, 1)])
def test_a_download_over_ipv4_survives_a_path_that_shrinks(boxed, size, families):
    box, host = boxed.box, boxed.world['agent-1']
    box.clear()
    box.rate(16000000, 200000)
    boxed.start_relay()
    try:
        agent = boxed.start_agent(1)
        before = boxed.v4(1)
        download = host.start('download-%d' % size, PYTHON, os.path.join(HERE, 'traffic.py'), 'get', 'http://1.1.1.1/file')
        mark = box.stats()['down']['bytes_out']
        until(lambda: box.stats()['down']['bytes_out'] - mark > 4 << 20, 20, 'a quarter is there')
        box.mtu(size)
        got = download.wait_line('"sha256"', 40).data
        assert got['sha256'] == boxed.file_hash
        until(lambda: len(boxed.addresses(1)) == families, 10, 'what the path carries is assigned')
        assert boxed.v4(1) == before
        until(lambda: boxed.metrics()['gatehouse_quic_black_holes_total'] or None, 5, 'the black hole is counted')
    finally:
        boxed.stop()
        box.clear()
