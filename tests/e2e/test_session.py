"""A session is one instance of an identity: who takes over, who goes on, and when it ends."""
import time

import pytest

from process import until
from world import OTHER_V4, RESOLVERS


@pytest.fixture
def site(gateway):
    gateway.start_relay()
    yield gateway
    gateway.stop()


def test_of_two_agents_with_one_certificate_the_newer_stays_and_the_older_says_why_and_ends_with_5(site):
    first = site.start_agent(1)
    mark = site.relay.mark()
    second = site.start_agent(2, agent__certificate=site.certs.file('client-1.crt'), agent__key=site.certs.file('client-1.key'))
    assert first.wait_exit(10) == 5
    assert first.find('another agent with the same identity has taken over')
    closed = site.relay.wait_audit(since=mark, event_type='connection.close', client_id='client-1')
    assert closed['reason'] == 'taken_over'
    assert site.world['agent-2'].ping(RESOLVERS[0], 3)[0] == 3
    assert second.process.poll() is None
    taken = [line for line in site.relay.find(lambda line: line.data.get('reason') == 'taken_over' and 'event_type' in line.data, mark)]
    assert len(taken) == 1, 'exactly one take-over'


def test_a_session_ends_within_a_second_of_its_certificates_end(site):
    """Idle or not: nothing has to be sent for it."""
    end = time.time() + 6
    start, stop = (time.strftime('%Y%m%d%H%M%SZ', time.gmtime(at)) for at in (end - 3600, end))
    certificate, key = site.certs.odd('client-2', start=start, end=stop, out='short')
    agent = site.start_agent(2, agent__certificate=certificate, agent__key=key)
    assert site.world['agent-2'].ping(OTHER_V4, 1)[0] == 1
    mark = site.relay.mark()
    closed = site.relay.wait_audit(since=mark, event_type='connection.close', client_id='client-2', timeout=10)
    assert closed['reason'] == 'certificate_expired'
    assert -1 <= time.time() - int(end) <= 2.2
    agent.wait_line('the certificate is no longer valid', 3)
    assert site.world['agent-2'].ping(OTHER_V4, 1, wait=0.5)[0] == 0


def test_a_kicked_agent_is_told_and_comes_back(site):
    agent = site.start_agent(1)
    mark = agent.mark()
    session = site.sessions()[0]['id']
    site.world['relay'].run('curl', '-s', '-X', 'DELETE', '--unix-socket', '/run/gatehouse/admin.sock', 'http://localhost/v1/sessions/' + session)
    agent.wait_line('an operator ended the session', 5, mark)
    until(lambda: site.sessions() and site.sessions()[0]['id'] != session, 10, 'a new session')
