"""Packets watched as they pass, and what the workers recorded."""
import json
import os
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
    assert up.world['agent-1'].ping('1.1.1.1', 1)[0] == 1
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


def recorded(up, *words):
    """What the agent's recorder has."""
    done = up.world['agent-1'].run(program('gatehouse-agent'), 'trace', '-c', up.world.path('examples', 'agent-1.yaml'), '--json', *words)
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_the_agents_flight_recorder_tells_of_states_connections_paths_and_drops(up):
    host, agent = up.world['agent-1'], up.agents[1]
    assert host.ping('1.1.1.1', 1)[0] == 1
    events = recorded(up)
    story = [(row['event'], row['text']) for row in events if row['event'] in ('state', 'connect', 'handshake', 'session_open')]
    relay = [text for event, text in story if event == 'connect'][0]
    assert [entry for entry in story if entry[0] == 'state'][:4] == [('state', word) for word in ('resolving', 'connecting', 'requesting', 'assigning')]
    assert ('handshake', 'accepted ' + relay) in story and ('session_open', relay) in story and ('state', 'up') in story
    assert {row['connection'] for row in events if row['event'] in ('handshake', 'session_open')} == {1}
    stamps = [row['at_ns'] for row in events if row['worker'] == 0]
    assert stamps == sorted(stamps) and {row['worker'] for row in events} <= {0, 1}
    # a session that the relay ends
    kicked = up.world['relay'].run(program('gatehouse'), 'sessions', 'kick', up.sessions()[0]['id'], check=False)
    assert kicked.returncode == 0, kicked
    until(lambda: host.ping('1.1.1.1', 1)[0] == 1, 10, 'the agent is back')
    late = recorded(up)
    assert any(row['event'] == 'session_close' and row['text'] == 'lost' and row['connection'] == 1 for row in late), late
    assert ('state', 'waiting') in [(row['event'], row['text']) for row in late]
    assert [row['connection'] for row in late if row['event'] == 'session_open'] == [1, 2]
    assert len(recorded(up, '--recorded', '3')) <= 6
    text = host.run(program('gatehouse-agent'), 'trace', '-c', up.world.path('examples', 'agent-1.yaml')).stdout
    assert ' worker 0 2 ' in ' '.join(text.split()) and 'session_open ' + relay in text
    bad = host.run(program('gatehouse-agent'), 'trace', '-c', up.world.path('examples', 'agent-1.yaml'), '--recorded', '0', check=False)
    assert bad.returncode == 1 and 'from 1 to 65536' in bad.stderr
    # and on SIGQUIT
    mark = agent.mark()
    agent.send(signal.SIGQUIT)
    agent.wait_line(lambda line: line.data.get('what') == 'end', since=mark)
    lines = agent.find(lambda line: line.data.get('what') == 'trace', since=mark)
    assert any('session_open 1 ' in line.data['events'] and 'state ' in line.data['events'] for line in lines), [line.text for line in lines]


def test_a_full_recorder_is_told_whole(up):
    """65,536 events of a worker: packets that find no room, each a drop."""
    host, agent = up.world['agent-1'], up.agents[1]
    up.relay.send(signal.SIGSTOP)
    try:
        for pid in up.relay.children():
            os.kill(pid, signal.SIGSTOP)
        for _ in range(10):
            host.peer('flow', '9.9.9.9', 9, 64, 40000, 2)
            events = recorded(up, '--recorded', '65536')
            if max(sum(row['worker'] == worker for row in events) for worker in (0, 1)) == 65536:
                break
        else:
            raise AssertionError('%d events alone' % len(events))
    finally:
        for pid in up.relay.children():
            os.kill(pid, signal.SIGCONT)
        up.relay.send(signal.SIGCONT)
    assert any(row['event'] == 'drop' and row['text'].startswith('queue_full ') for row in events), events[-3:]
    assert agent.process.poll() is None
    until(lambda: host.ping('1.1.1.1', 1)[0] == 1, 20, 'the tunnel is back')


def test_a_stranger_may_not_watch(up):
    assert up.get('/v1/trace')[0] == 403
