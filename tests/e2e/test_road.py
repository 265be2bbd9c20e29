"""A road that delays, loses, reorders and goes dark between an agent and the relay (tests/netbox)."""
import json
import os
import time

import pytest

import gateway as gateway_module
from fixtures import OPEN
from process import until
from world import HERE, PYTHON, RELAY_V4, RELAY_V6, WEB_V4

PORT = 5001


@pytest.fixture(scope='module')
def box(world):
    """Between agent 2 and the world; no agent yet."""
    return world.box(2)


@pytest.fixture(autouse=True)
def straight(box):
    """Nothing is spoilt when a test begins."""
    box.clear()


@pytest.fixture(scope='module')
def road(world, box):
    """An agent behind the box; the other end of its flows counts."""
    made = gateway_module.Gateway(world)
    made.policy(OPEN)
    made.box = box
    made.host = world['agent-2']
    made.file_hash = world.serve(16 << 20)
    made.sink = world['internet'].start_peer('sink', 'sink', PORT, world.path('arrivals'))
    made.start_relay()
    made.start_agent(2)
    yield made
    made.stop()


def start_flow(road, rate, seconds, size=1000):
    """UDP through the tunnel; what came is told by flow_of."""
    road.world.starts += 1
    road.mark = road.sink.mark()
    return road.host.start('flow-%d' % road.world.starts, PYTHON, os.path.join(HERE, 'traffic.py'), 'flow', WEB_V4, PORT, size, rate, seconds)


def flow_of(road, timeout=20):
    return road.sink.wait_line('"flow"', timeout, road.mark).data


def download(road):
    answer = road.host.peer('get', 'http://%s/file' % WEB_V4)
    assert answer.get('sha256') == road.file_hash, answer
    return answer['seconds']


def rtts(text):
    return [float(part.split('=')[1].split()[0]) for part in text.split('\n') if 'time=' in part for part in [part[part.index('time='):]]]


# ---- the box itself: before an agent takes the host's traffic into its tunnel

def test_nothing_set_nothing_lost_at_a_gigabit(world, box):
    server = world['relay'].start_peer('fast', 'serve', world.path('fast'), 64 << 20)
    best = 0
    for _ in range(3):
        answer = world['agent-2'].peer('get', 'http://%s/file' % RELAY_V4)
        assert answer['bytes'] == 64 << 20
        best = max(best, answer['bytes'] * 8 / answer['seconds'])
    server.kill()
    stats = box.stats()
    for way in ('up', 'down'):
        assert stats[way]['packets_out'] == stats[way]['packets_in'] > 0
    assert best >= 1e9, 'Gbit/s: %.2f' % (best / 1e9)


def test_what_is_set_is_what_happens(world, box):
    host = world['agent-2']
    box.delay(15)
    received, text = host.ping(RELAY_V4, 10)
    assert received == 10 and 30 <= min(rtts(text)) < 40, text
    box.clear()
    box.loss(0.25, way='up')
    received, _ = host.ping(RELAY_V4, 400, interval='0.002', wait=0.2)
    assert 250 <= received <= 350  # 300 and five standard deviations
    box.clear()
    box.duplicate(1, way='down')
    assert 'DUP!' in host.ping(RELAY_V4, 3)[1]
    box.clear()
    over = box.blackout(0.3)
    assert host.ping(RELAY_V4, 1, wait=0.1)[0] == 0
    until(lambda: time.monotonic() > over, 2, 'the end of the blackout')
    assert host.ping(RELAY_V4, 1)[0] == 1


def test_a_packet_above_the_mtu_vanishes_or_is_told_of(world, box):
    host = world['agent-2']
    for target in (RELAY_V4, RELAY_V6):
        argv = ['ping', '-n', '-M', 'do', '-c', '1', '-W', '1', '-s', '1300', target]
        box.mtu(1300)
        silent = host.run(*argv, check=False).stdout
        assert '100% packet loss' in silent and 'mtu' not in silent
        box.mtu(1300, icmp=True)
        told = host.run(*argv, check=False).stdout
        assert 'mtu = 1300' in told or 'mtu=1300' in told, told
        assert host.ping(target, 1, size=1200)[0] == 1
    for family in ('-4', '-6'):
        host.run('ip', family, 'route', 'flush', 'cache')


def test_a_rate_and_its_queue_are_bounds(world, box):
    """A burst that the queue cannot hold loses what is too much, and what passes comes at the rate."""
    host = world['agent-2']
    sink = world['relay'].start_peer('burst', 'sink', PORT, world.path('burst'))
    box.rate(8e6, 20000, way='up')
    mark = sink.mark()
    host.peer('flow', RELAY_V4, PORT, 972, 5000, 1)  # 40 Mbit/s of 1000 byte packets
    flow = sink.wait_line('"flow"', since=mark).data
    sink.kill()
    assert 950 <= flow['count'] <= 1100, flow['count']
    assert box.stats()['up']['queue_full'] > 3500


# ---- the tunnel over it

def test_the_round_trip_is_the_roads(road):
    road.box.delay(20)
    received, text = road.host.ping(WEB_V4, 10)
    assert received == 10
    assert 40 <= min(rtts(text)) < 48, text


def test_what_the_road_loses_the_tunnel_loses_and_no_more(road):
    """RFC 9221, section 5.2: nobody sends a datagram again."""
    road.box.loss(0.05, way='up')
    start_flow(road, rate=1000, seconds=3)
    flow = flow_of(road)
    assert 0.03 <= 1 - flow['count'] / 3000 <= 0.07, flow['count']
    assert flow['twice'] == 0


def test_reordered_and_doubled_packets_are_each_delivered_once(road):
    road.box.delay(5)
    road.box.reorder(0.05, 3)
    road.box.duplicate(0.05)
    start_flow(road, rate=1000, seconds=2)
    flow = flow_of(road)
    assert flow['count'] >= 1990 and flow['twice'] == 0
    assert flow['late'] > 0  # the box did reorder
    download(road)


def test_a_download_over_two_percent_loss_and_reordering_is_the_file(road):
    road.box.delay(2)
    road.box.loss(0.02)
    road.box.reorder(0.05, 3)
    download(road)


def test_the_tunnel_survives_a_blackout_of_two_seconds(road):
    """Under load, at an RTT of 10 ms. What the time depends on, and how short it must be, is the simulator's affair."""
    road.box.delay(5)
    before = [session['id'] for session in road.sessions()]
    start_flow(road, rate=1000, seconds=6)
    begin = road.box.stats()['up']['packets_in']
    until(lambda: road.box.stats()['up']['packets_in'] - begin > 1000, 5, 'a second of the flow')
    over = road.box.blackout(2)
    flow_of(road)
    later = [at for _, at in json.loads(road.world.read('arrivals')) if at >= over]
    assert later and min(later) - over < 3, 'first packet after %s s' % (later and min(later) - over)
    assert [session['id'] for session in road.sessions()] == before


@pytest.mark.parametrize('size', [1500, 1400, 1362, 1300, 1280])
@pytest.mark.parametrize('how', ['black hole', 'icmp'])
def test_the_tunnel_comes_up_over_a_road_of_this_mtu(road, size, how):
    road.agents[2].stop()
    road.box.mtu(size, icmp=how == 'icmp')
    try:
        road.start_agent(2, families=1)
        download(road)
    finally:
        road.agents[2].stop()
        road.box.clear()
        road.start_agent(2)
