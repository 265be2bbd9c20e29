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


def start_download(boxed):
    """A download that has begun: a quarter is there."""
    boxed.box.rate(16000000, 200000)
    download = boxed.world['agent-1'].start('download-%d' % boxed.world.starts, PYTHON, os.path.join(HERE, 'traffic.py'), 'get', 'http://1.1.1.1/file')
    mark = boxed.box.stats()['down']['bytes_out']
    until(lambda: boxed.box.stats()['down']['bytes_out'] - mark > 4 << 20, 20, 'a quarter is there')
    return download


def test_a_download_goes_on_when_the_path_shrinks_and_ipv6_still_fits(boxed):
    boxed.box.clear()
    boxed.start_relay()
    try:
        boxed.start_agent(1)
        # segments of full size: who sends them hears of the smaller path from the relay
        until(lambda: device_mtu(boxed) > 1400, 10, 'the path is measured')
        download = start_download(boxed)
        boxed.box.mtu(1362)
        assert download.wait_line('"sha256"', 40).data['sha256'] == boxed.file_hash
        assert len(boxed.addresses(1)) == 2
    finally:
        boxed.stop()
        boxed.box.clear()


def test_a_path_that_shrinks_below_costs_ipv6_and_nothing_else(boxed):
    """The tunnel is aborted; the next one is of the same session, with the same IPv4 address alone."""
    boxed.box.clear()
    boxed.start_relay()
    try:
        boxed.start_agent(1)
        before, session = boxed.v4(1), boxed.sessions()[0]['id']
        start_download(boxed)
        boxed.box.mtu(1280)
        boxed.relay.wait_line(lambda line: 'became too narrow' in str(line.data.get('message')), 20)
        until(lambda: boxed.addresses(1) == [before], 20, 'IPv4 alone is assigned')
        assert [row['id'] for row in boxed.sessions()] == [session]
        until(lambda: boxed.metrics()['gatehouse_quic_black_holes_total'] or None, 5, 'the black hole is counted')
        got = boxed.world['agent-1'].peer('get', 'http://1.1.1.1/file')
        assert got['sha256'] == boxed.file_hash
    finally:
        boxed.stop()
        boxed.box.clear()
