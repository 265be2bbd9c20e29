"""Private keys stay with the parent: the child, which talks to the network, never has one."""
import base64
import json
import os
import re
import signal
import subprocess

import pytest

from certs import quiet
from process import until
from world import RESOLVERS, program


def secrets_of(path):
    """What must be found in no memory but the parent's: the secret number of the key, and the text of its file."""
    with open(path, encoding='ascii') as file:
        text = file.read()
    der = base64.b64decode(''.join(line for line in text.splitlines() if not line.startswith('-----')))
    if subprocess.run(['openssl', 'pkey', '-in', path, '-noout', '-text'], check=True, stdout=subprocess.PIPE).stdout.startswith(b'ED25519'):
        secret = der[-32:]
    else:
        at = der.index(b'\x02\x01\x01\x04\x20')  # ECPrivateKey (RFC 5915, section 3)
        secret = der[at + 5:at + 37]
    return {'number': secret, 'number, other end first': secret[::-1], 'text': text.splitlines()[1].encode()[:40]}


def memory_of(pid):
    """Everything readable of a process. Root may look, whatever the process forbids."""
    with open('/proc/%d/maps' % pid, encoding='ascii') as maps, open('/proc/%d/mem' % pid, 'rb', buffering=0) as mem:
        for line in maps:
            found = re.match(r'([0-9a-f]+)-([0-9a-f]+) r', line)
            if not found or '[v' in line:
                continue
            start, end = (int(word, 16) for word in found.groups())
            if end - start > 256 << 20:
                continue
            try:
                mem.seek(start)
                yield mem.read(end - start)
            except (OSError, ValueError):
                pass


def found_in(pid, secrets):
    return sorted({name for part in memory_of(pid) for name, value in secrets.items() if value in part})


def can_look(pid):
    try:
        return sum(len(part) for part in memory_of(pid)) > 1 << 20
    except OSError:
        return False


def only_child(daemon):
    """Besides the one that serves there are short-lived ones: who checks a configuration, who looks up a name."""
    return until(lambda: daemon.children() if len(daemon.children()) == 1 else None, 10, 'one child')[0]


@pytest.fixture(params=['ed25519', 'p256'])
def site(gateway, request):
    gateway.certs.issue('relay', 'relay', '--dns', 'relay.gatehouse.example', '--ip', '203.0.113.2', '--ip', '2001:db8:113::2', '--key', request.param, '--force')
    gateway.certs.issue('agent', 'client-1', '--key', request.param, '--force')
    gateway.start_relay()
    gateway.start_agent(1)
    yield gateway
    gateway.stop()


def test_the_child_never_had_the_key(site):
    assert site.world['agent-1'].ping(RESOLVERS[0], 1)[0] == 1, 'handshakes work with it'
    for daemon, key in ((site.relay, 'relay.key'), (site.agents[1], 'client-1.key')):
        secrets = secrets_of(site.certs.file(key))
        child = only_child(daemon)
        assert can_look(child), 'the memory of another process cannot be read here'
        # the parent has it, so the search finds what is there
        assert any('number' in name for name in found_in(daemon.process.pid, secrets))
        assert found_in(child, secrets) == []
        # a later one is made by a parent that has the key
        mark = daemon.mark()
        os.kill(child, signal.SIGKILL)
        daemon.wait_line(lambda line: line.data.get('message') == 'started', 10, mark)
        child = only_child(daemon)
        assert found_in(child, secrets) == []
        open_files = [os.readlink('/proc/%d/fd/%s' % (child, name)) for name in os.listdir('/proc/%d/fd' % child)]
        assert not [name for name in open_files if name.endswith('.key')], open_files


def last_reload(site, where):
    """What status says of it on the relay, or on the agent."""
    argv = ['gatehouse', 'status'] if where == 'relay' else ['gatehouse-agent', 'status', '-c', site.world.path('examples', 'agent-1.yaml')]
    told = json.loads(site.world[where].run(program(argv[0]), *argv[1:], '--json').stdout)
    return told['config']['last_reload']


def test_a_key_of_another_certificate_is_refused_in_words_and_the_old_one_stays(site):
    mark = site.relay.mark()
    with open(site.certs.file('relay.key'), encoding='ascii') as file:
        good = file.read()
    with open(site.certs.file('client-1.key'), encoding='ascii') as file:
        other = file.read()
    write(site.certs.file('relay.key'), other)
    site.relay.send(signal.SIGHUP)
    site.relay.wait_line(lambda line: "it is not the certificate's" in json.dumps(line.data), 5, mark)
    told = until(lambda: last_reload(site, 'relay'), 5, 'status knows of the reload')
    assert not told['ok'] and 'relay.key' in told['detail'] and "it is not the certificate's" in told['detail'], told
    site.agents[1].stop()
    site.start_agent(1)
    mark = site.relay.mark()
    write(site.certs.file('relay.key'), good)
    site.relay.wait_line(lambda line: line.data.get('message') == 'Configuration reloaded', 5, mark)
    site.agents[1].stop()
    site.start_agent(1)
    assert site.world['agent-1'].ping(RESOLVERS[0], 1)[0] == 1


def test_a_certificate_that_cannot_be_read_is_named_by_status_on_both_ends(site):
    for daemon, where, name in ((site.relay, 'relay', 'relay.crt'), (site.agents[1], 'agent-1', 'client-1.crt')):
        path = site.certs.file(name)
        os.rename(path, path + '.away')
        try:
            told = until(lambda: last_reload(site, where), 10, 'status of the %s knows of the reload' % where)
            assert not told['ok'] and name in told['detail'] and 'No such file' in told['detail'], told
        finally:
            os.rename(path + '.away', path)
        until(lambda: last_reload(site, where)['ok'], 10, 'the file is back')


def test_a_parent_that_stands_still_costs_handshakes_and_stops_no_worker(site):
    """Its signatures are missed by those who come; who is there goes on."""
    host = site.world['agent-1']
    assert host.ping(RESOLVERS[0], 1)[0] == 1
    mark = site.relay.mark()
    site.relay.send(signal.SIGSTOP)
    try:
        newcomer = site.start_agent(2, wait=False)
        newcomer.wait_line(lambda line: line.data.get('message') == 'connection failed', 20)
        # by now a worker has waited for its signature once; the next ones are refused at once
        first = len(newcomer.find(lambda line: line.data.get('message') == 'connection failed'))
        newcomer.wait_line(lambda line: line.data.get('message') == 'connection failed', 20, count=first + 3)
        text = host.run('ping', '-n', '-c', 200, '-i', '0.02', '-W', 1, RESOLVERS[0], check=False).stdout
        assert ' 0% packet loss' in text, text
    finally:
        site.relay.send(signal.SIGCONT)
    site.wait_tunnel(2, timeout=20)
    assert host.ping(RESOLVERS[0], 1)[0] == 1
    assert not site.relay.find('the child was ended', mark)


def write(path, text):
    with open(path + '.new', 'w', encoding='ascii', opener=lambda name, flags: os.open(name, flags, 0o600)) as file:
        file.write(text)
    os.rename(path + '.new', path)


def test_certificate_and_key_may_change_names_together(site):
    """The parent has not heard of the new names: it asks a child of its own first."""
    site.agents[1].stop()
    out = site.world.path('moved')
    quiet([program('gatehouse'), 'ca', 'issue', 'agent', 'client-1', '--dir', site.certs.folder, '--out', out, '--force'])
    own = site.world.read('examples/agent-1.yaml')
    moved = re.sub(r'(certificate|key): *\S*/(client-1\.\w+)', lambda m: '%s: %s/%s' % (m.group(1), out, m.group(2)), own)
    assert moved != own
    site.world.write('examples/agent-1.yaml', own)
    try:
        agent = site.start_agent(1)
        mark = agent.mark()
        site.world.write('examples/agent-1.yaml', moved)
        agent.wait_line(lambda line: line.data.get('message') == 'Configuration reloaded', 10, mark)
        # what the configuration does not name any more is none of the agent's
        mark = agent.mark()
        os.utime(site.certs.file('client-1.crt'))
        os.utime(os.path.join(out, 'client-1.crt'))
        agent.wait_line(lambda line: line.data.get('message') == 'Configuration reloaded', 10, mark)
        mark = agent.mark()
        os.utime(site.certs.file('client-1.crt'))
        # nothing can be waited for that does not come: what comes next is the signal's, not the file's
        agent.send(signal.SIGHUP)
        line = agent.wait_line(lambda line: line.data.get('message') == 'Configuration reloaded', 10, mark)
        assert line.data['cause'] == 'SIGHUP', line.text
        mark = site.relay.mark()
        site.world['relay'].run('curl', '-s', '-X', 'DELETE', '--unix-socket', '/run/gatehouse/admin.sock',
                                'http://localhost/v1/sessions/' + site.sessions()[0]['id'])
        site.relay.wait_audit(since=mark, event_type='connection.open', client_id='client-1', timeout=15)
        until(lambda: site.world['agent-1'].ping(RESOLVERS[0], 1)[0] == 1, 10, 'a ping with the moved key')
    finally:
        site.world.write('examples/agent-1.yaml', own)
