"""Packets watched as they pass, and what the workers recorded."""
import json
import signal

import pytest

from process import until
from world import program


@pytest.fixture(scope='module')
def up(gateway):
    gateway.world.serve(1 << 20)
    gateway.start_relay()
    gateway.start_agent(1)
    yield gateway
    gateway.stop()


def watching(up):
    """The relay's own log says that somebody began to watch."""
    return len(up.relay.find(lambda line: line.data.get('verb') == 'trace'))


def trace(up, *arguments):
    before = watching(up)
    daemon = up.world['relay'].start('trace-%d' % before, program('gatehouse'), 'trace', *arguments)
    until(lambda: watching(up) > before, 10, 'the trace is on')
    return daemon


def test_a_denied_packet_names_its_rule_and_those_that_did_not_decide(up):
    daemon = trace(up, '--client', 'client-1', '--to', '9.9.9.9:7', '--proto', 'udp', '--count', '1', '--json')
    up.world['agent-1'].peer('flows', '9.9.9.9', 30000, 1, check=False)
    assert daemon.wait_exit() == 0
    packet = daemon.lines[0].data
    assert packet['verdict'] == 'drop' and packet['drop'] == 'policy' and packet['flow'] is None
    assert packet['policy']['rule'] == 'rest' and packet['policy']['action'] == 'deny'
    assert [row['id'] for row in packet['policy']['before']] == ['resolvers', 'colleague']
    assert packet['client_id'] == 'client-1' and packet['dst'] == '9.9.9.9' and packet['dst_port'] == 7 and packet['protocol'] == 17
    assert packet['src'] == up.v4(1) and packet['worker'] in (0, 1) and packet['mtu'] > 1200 and packet['path'] in ('172.16.1.2', '2001:db8:1::2')


def test_both_ways_of_an_allowed_flow_are_shown_with_its_counts(up):
    daemon = trace(up, '--client', 'client-1', '--to', '1.1.1.1', '--count', '4', '--json')
    assert up.world['agent-1'].ping('8.8.8.8', 1)[0] == 1
    assert up.world['agent-1'].ping('1.1.1.1', 2)[0] == 2
    assert daemon.wait_exit() == 0
    packets = [line.data for line in daemon.lines]
    assert [packet['direction'] for packet in packets] == ['out', 'in', 'out', 'in']
    assert all(packet['verdict'] == 'pass' and packet['policy']['rule'] == 'resolvers' for packet in packets)
    assert [packet['next'] for packet in packets] == ['network', 'tunnel'] * 2
    assert packets[1]['queue'] == 'queued' and packets[3]['flow']['packets_in'] == 2
    assert len({packet['flow']['number'] for packet in packets}) == 1


def test_it_ends_with_an_interrupt_and_leaves_no_watch(up):
    for _ in range(6):  # more than may watch at a time
        daemon = trace(up, '--to', '2001:db8::/32')
        daemon.send(signal.SIGINT)
        assert daemon.wait_exit() == 0


def test_it_ends_when_nobody_reads_it_any_more_and_leaves_no_watch(up):
    for _ in range(6):
        before = watching(up)
        reader = up.world['relay'].start('pipe-%d' % before, 'sh', '-c', '%s trace --to 1.1.1.1 --json | head -n 1' % program('gatehouse'))
        until(lambda: watching(up) > before, 10, 'the trace is on')
        up.world['agent-1'].ping('1.1.1.1', 1)
        reader.wait_line('verdict')
        ping = up.world['agent-1'].start('ping-%d' % before, 'ping', '-n', '-i', '0.1', '1.1.1.1')
        assert reader.wait_exit() == 0
        ping.send(signal.SIGINT)
        ping.wait_exit()


def test_the_flight_recorder_tells_of_handshakes_sessions_and_decisions(up):
    up.world['agent-1'].peer('flows', '9.9.9.9', 31000, 1, check=False)
    done = up.world['relay'].run(program('gatehouse'), 'trace', '--recorded', '1000', '--json').stdout
    events = [json.loads(line) for line in done.splitlines()]
    kinds = {row['event'] for row in events}
    assert {'handshake', 'session_open', 'decision', 'drop', 'flow_open'} <= kinds, kinds
    assert any(row['event'] == 'decision' and row['text'].startswith('policy 9.9.9.9 udp') for row in events)
    session = up.sessions()[0]['id']
    assert any(row['event'] == 'session_open' and row['session_id'] == session for row in events)
    mark = up.relay.mark()
    up.relay.send(signal.SIGQUIT)
    up.relay.wait_line(lambda line: line.data.get('what') == 'end', since=mark)
    lines = up.relay.find(lambda line: line.data.get('what') == 'trace', since=mark)
    assert {row['worker'] for row in (line.data for line in lines)} <= {0, 1}
    assert any('session_open' in line.data['events'] for line in lines)


def test_a_stranger_may_not_watch(up):
    assert up.get('/v1/trace')[0] == 403
