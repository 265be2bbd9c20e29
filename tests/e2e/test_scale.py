"""A thousand sessions: real handshakes, own certificates, a packet each way through each of them."""
import crowd
from process import until

SESSIONS = 1000


def test_a_thousand_sessions_come_up_and_are_answered_within_60_s(gateway):
    crowd.addresses(gateway.world)
    gateway.policy(crowd.policy(SESSIONS))
    gateway.start_relay(relay__pools=crowd.POOLS)
    made = crowd.Crowd(gateway, SESSIONS, '--seconds', 60)
    up = made.wait('up', 70)
    assert (up['up'], up['failed'], up['lost']) == (SESSIONS, 0, 0), up
    assert up['answered'] >= SESSIONS and up['seconds'] < 60, up
    assert len(gateway.sessions()) == SESSIONS
    assert gateway.metrics()['gatehouse_relay_sessions'] == SESSIONS
    assert made.end() == 0
    until(lambda: not gateway.sessions(), 5, 'no session is left')
    assert gateway.metrics()['gatehouse_relay_sessions'] == 0
    gateway.stop()
