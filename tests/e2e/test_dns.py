"""Nameservers that a relay tells of (draft-ietf-masque-connect-ip-dns)."""
import json

import pytest

from process import until
from world import program


@pytest.fixture
def site(gateway):
    yield gateway
    gateway.stop()


def status(site):
    """What the agent says, {} before it says anything."""
    return json.loads(site.world['agent-1'].run(program('gatehouse-agent'), 'status', '--json', '-c',
                                                site.world.path('examples', 'agent-1.yaml'), check=False).stdout or '{}')


def test_nameservers_are_told_and_written_only_where_they_are_wanted(site):
    """The file lives as long as the agent, and holds what is reached through the tunnel."""
    path = '/run/gatehouse/agent-1/resolv.conf'
    host = site.world['agent-1']
    site.start_relay(relay__dns='9.9.9.9, 10.66.0.53', relay__dns_search='corp.example', relay__pref64='64:ff9b::/96',
                     relay__routes='9.9.9.0/24, 1.1.1.0/24, 2001:db8::/32')
    agent = site.start_agent(1, wait=False)
    until(lambda: status(site).get('pref64') == ['64:ff9b::/96'], 15, 'the relay has told')
    told = status(site)['dns']
    assert not told['used']
    assert [server['addresses'] for server in told['configurations'][0]['nameservers']] == [['9.9.9.9'], ['10.66.0.53']]
    assert told['configurations'][0]['domains'] == [''] and told['configurations'][0]['search'] == ['corp.example']
    assert host.run('cat', path, check=False).returncode != 0
    screen = host.run(program('gatehouse-agent'), 'status', '-c', site.world.path('examples', 'agent-1.yaml'), check=False).stdout
    assert 'dns        9.9.9.9 10.66.0.53 for all names, ignored' in screen and 'nat64      64:ff9b::/96' in screen
    assert agent.stop() == 0

    agent = site.start_agent(1, wait=False, agent__dns='accept')
    until(lambda: 'nameserver' in host.run('cat', path, check=False).stdout, 15, 'the file is written')
    lines = host.run('cat', path).stdout.split('\n')
    assert [line for line in lines if line and line[0] != '#'] == ['search corp.example', 'nameserver 9.9.9.9']
    assert status(site)['dns']['used']
    assert agent.stop() == 0
    assert host.run('cat', path, check=False).returncode != 0, 'nothing is left'
