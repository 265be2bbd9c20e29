"""What the programs change on the machine, and how it is put back whatever happens."""
import os
import signal
import time

import pytest

from process import until
from world import RESOLVERS

STAGES = ['ready', 'goaway', 'sessions', 'policy', 'addresses', 'audit', 'tun']


@pytest.fixture(scope='module')
def pristine(gateway):
    """How the machines were before anything ran."""
    gateway.file_hash = gateway.world.serve(1 << 20)
    return {name: gateway.world[name].state() for name in ('relay', 'agent-1')}


@pytest.fixture
def running(gateway, pristine):
    gateway.start_relay()
    gateway.start_agent(1)
    yield gateway
    gateway.stop()


def settled(host):
    """The state once the path has been measured: until then the device has IPv6's smallest MTU."""
    def measured():
        state = host.state()
        return state if not any('"mtu": 1280' in row for row in state['addr']) else None
    return until(measured, 10, 'the MTU of the path')


def work(gateway):
    assert gateway.world['agent-1'].ping(RESOLVERS[0], 3)[0] == 3


def test_a_drain_lets_go_in_order_and_puts_everything_back(running, pristine):
    work(running)
    mark = running.relay.mark()
    start = time.monotonic()
    assert running.relay.stop() == 0
    assert time.monotonic() - start < 6, 'drain_timeout is 3 s'
    stages = [line.data.get('stage') for line in running.relay.find(lambda line: line.data.get('message') == 'drain', mark)]
    assert stages == STAGES
    assert running.world['relay'].state() == pristine['relay']
    assert running.agents[1].stop() == 0
    assert running.world['agent-1'].state() == pristine['agent-1']


def test_ready_is_false_while_draining(running):
    running.relay.send(signal.SIGTERM)
    running.relay.wait_line(lambda line: line.data.get('stage') == 'ready')
    assert running.get('/ready')[0] in (503, 0)
    assert running.relay.wait_exit() == 0


def test_a_second_sigterm_ends_at_once(running):
    running.relay.send(signal.SIGTERM)
    running.relay.wait_line(lambda line: line.data.get('stage') == 'ready')
    start = time.monotonic()
    running.relay.send(signal.SIGTERM)
    running.relay.wait_exit()
    assert time.monotonic() - start < 2


def test_the_relays_child_may_be_killed(running):
    before = running.world['relay'].state()
    child = running.relay.children()
    assert len(child) == 1
    start = time.monotonic()
    os.kill(child[0], signal.SIGKILL)
    # an agent that sends is back within two seconds
    until(lambda: running.world['agent-1'].ping(RESOLVERS[0], 1)[0] == 1, 10, 'a ping after the child was killed')
    assert time.monotonic() - start < 3
    assert running.relay.children() != child
    running.wait_ready()
    assert running.world['relay'].state() == before


def test_the_relays_parent_may_be_killed(running, pristine):
    before = running.world['relay'].state()
    running.relay.send(signal.SIGKILL)
    running.relay.wait_exit()
    running.start_relay()
    assert running.world['relay'].state() == before
    until(lambda: running.world['agent-1'].ping(RESOLVERS[0], 1)[0] == 1, 10, 'a ping through the new relay')
    running.relay.stop()
    assert running.world['relay'].state() == pristine['relay']


def test_the_agents_child_may_be_killed(running):
    before = settled(running.world['agent-1'])
    os.kill(running.agents[1].children()[0], signal.SIGKILL)
    until(lambda: running.world['agent-1'].ping(RESOLVERS[0], 1)[0] == 1, 10, 'a ping after the child was killed')
    assert settled(running.world['agent-1']) == before


def test_the_agents_parent_may_be_killed(running, pristine):
    before = settled(running.world['agent-1'])
    running.agents[1].send(signal.SIGKILL)
    running.agents[1].wait_exit()
    running.start_agent(1)
    assert settled(running.world['agent-1']) == before
    work(running)
    running.agents[1].stop()
    assert running.world['agent-1'].state() == pristine['agent-1']


def test_cleanup_puts_back_what_a_killed_agent_left(running, pristine):
    from world import program
    agent = running.agents[1]
    agent.send(signal.SIGKILL)
    agent.wait_exit()
    running.world['agent-1'].run(program('gatehouse-agent'), 'cleanup', '-c', running.world.path('examples', 'agent-1.yaml'),
                                 env={'GATEHOUSE_NODE_STATE_DIR': running.state_dir('agent-1')})
    assert running.world['agent-1'].state() == pristine['agent-1']
