"""A policy that changes while packets flow."""
import os
import re

from fixtures import OPEN
from world import OTHER_V4

LIMITED = OPEN.replace('everything, type: default, action: allow', 'nothing, type: default, action: deny')


def test_a_flow_that_the_new_policy_denies_ends_within_a_second(site):
    held = site.world['agent-2'].start_peer('hold', 'hold', OTHER_V4, 7)
    held.wait_line('"alive"')
    mark = site.relay.mark()
    site.policy(LIMITED)
    reload = site.relay.wait_line(lambda line: line.data.get('event_type') == 'policy.reload', since=mark)
    over = held.wait_line('"over"', 5)
    # RST and ICMP administratively prohibited tell both ends
    assert over.data['how'] in ('ECONNRESET', 'EHOSTUNREACH', 'EACCES', 'end'), over.data
    assert over.at - reload.at < 1.0
    assert site.relay.wait_audit(since=mark, client_id='client-2', dest_ip=OTHER_V4, message='flow closed')['packets'] > 0
    assert site.world['agent-2'].peer('probe', OTHER_V4, 7)['reached'] is False
    mark = site.relay.mark()
    site.policy(OPEN)
    site.relay.wait_audit(since=mark, event_type='policy.reload')
    assert site.world['agent-2'].peer('probe', OTHER_V4, 7)['reached'] is True


def test_an_idle_flow_is_told_too(site):
    mark = site.relay.mark()
    held = site.world['agent-2'].start_peer('idle', 'idle', OTHER_V4, 7)
    site.relay.wait_audit(since=mark, client_id='client-2', dest_ip=OTHER_V4)
    mark = site.relay.mark()
    site.policy(LIMITED)
    reload = site.relay.wait_line(lambda line: line.data.get('event_type') == 'policy.reload', since=mark)
    over = held.wait_line('"over"', 5)
    assert over.data['how'] == 'ECONNRESET', over.data
    assert over.at - reload.at < 1.0
    mark = site.relay.mark()
    site.policy(OPEN)
    site.relay.wait_audit(since=mark, event_type='policy.reload')


def test_a_bad_file_changes_nothing_and_is_named_with_line_and_column(site):
    mark = site.relay.mark()
    site.policy(OPEN.replace('ip_cidr', 'ip_cdr'))
    site.relay.wait_line(lambda line: line.data.get('level') == 'error' and re.search(r'policy\.yaml:\d+:\d+', line.text), since=mark)
    record = site.relay.wait_audit(since=mark, event_type='policy.reload')
    assert record.get('reason')
    assert site.world['agent-1'].ping('1.1.1.1', 2)[0] == 2
    assert site.world['agent-1'].peer('probe', OTHER_V4, 7)['reached'] is False
    mark = site.relay.mark()
    site.policy(OPEN)
    site.relay.wait_audit(since=mark, event_type='policy.reload')


def test_the_symlink_swap_of_a_mounted_configmap_is_noticed(site):
    """The file is a link into ..data, which is a link to a folder and is replaced by renaming."""
    folder = site.world.path('examples')
    for name, text in (('one', OPEN), ('two', LIMITED)):
        site.world.write('examples/..%s/policy.yaml' % name, text)

    def point(name):
        os.symlink('..' + name, os.path.join(folder, '..data_tmp'))
        os.rename(os.path.join(folder, '..data_tmp'), os.path.join(folder, '..data'))
    point('one')
    mark = site.relay.mark()
    os.symlink('..data/policy.yaml', os.path.join(folder, 'policy.link'))
    os.rename(os.path.join(folder, 'policy.link'), os.path.join(folder, 'policy.yaml'))
    site.relay.wait_audit(since=mark, event_type='policy.reload')
    mark = site.relay.mark()
    point('two')
    site.relay.wait_audit(since=mark, event_type='policy.reload')
    assert site.world['agent-2'].peer('probe', OTHER_V4, 7)['reached'] is False
    mark = site.relay.mark()
    os.unlink(os.path.join(folder, 'policy.yaml'))
    site.policy(OPEN)
    site.relay.wait_audit(since=mark, event_type='policy.reload')


def test_sighup_reads_the_policy_again(site):
    import signal
    mark = site.relay.mark()
    site.relay.send(signal.SIGHUP)
    site.relay.wait_line('[Rr]eloaded', since=mark)
    assert site.world['agent-1'].ping('8.8.8.8', 2)[0] == 2


def test_on_deny_icmp_tells_the_sender(site):
    mark = site.relay.mark()
    site.policy(OPEN.replace('{ id: rest, type: default, action: deny }', '{ id: rest, type: default, action: deny, on_deny: icmp }'))
    site.relay.wait_audit(since=mark, event_type='policy.reload')
    answer = site.world['agent-1'].peer('probe', OTHER_V4, 80, 3)
    assert answer['reached'] is False and answer['error'] in ('EHOSTUNREACH', 'EACCES', 'ENETUNREACH'), answer
    assert answer['seconds'] < 1
    mark = site.relay.mark()
    site.policy(OPEN)
    site.relay.wait_audit(since=mark, event_type='policy.reload')
