"""The chain of audit records: over files, restarts and kills; what was done to a copy is found."""
import glob
import hashlib
import hmac
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import tempfile

import pytest

from process import until
from world import RESOLVERS, program


def gatehouse(*argv, check=True, **options):
    return subprocess.run([program('gatehouse'), 'audit'] + [str(word) for word in argv], capture_output=True, text=True, check=check, **options)


class Chain:
    """A relay that writes a chain to audit.log, and the operator's key."""

    def __init__(self, gateway, name):
        self.gateway = gateway
        self.folder = gateway.world.path(name)
        os.makedirs(self.folder, mode=0o755)
        self.log = os.path.join(self.folder, 'audit.log')
        self.key = os.path.join(self.folder, 'audit.key')
        self.state = os.path.join(self.folder, 'state')

    def init(self, *more):
        self.begun = json.loads(gatehouse('init', '--state', self.state, '--out', self.key, '--json', *more).stdout)

    def start(self, **options):
        given = {'audit__file': self.log, 'audit__chain': 'true', 'node__state_dir': self.state}
        given.update(options)
        return self.gateway.start_relay(**given)

    def start_example(self):
        return self.gateway.start_relay('relay-audited.yaml', audit__file=self.log, node__state_dir=self.state)

    def files(self):
        return sorted(glob.glob(self.log + '*'))

    def verify(self, *more, files=None, key=None):
        """(exit code, what was found)"""
        done = gatehouse('verify', *(files or self.files()), '--key', key or self.key, '--json', *more, check=False)
        assert done.returncode in (0, 1), done.stderr
        return done.returncode, json.loads(done.stdout)

    def records(self, path=None):
        with open(path or self.log, encoding='utf-8') as file:
            return [json.loads(line) for line in file if line.startswith('{') and line.endswith('}\n')]

    def reasons(self, path=None):
        return [record['reason'] for record in self.records(path) if record['event_type'] == 'audit.checkpoint']

    def wait_reason(self, reason, path=None):
        until(lambda: os.path.exists(path or self.log) and reason in self.reasons(path), 10, 'a checkpoint %s' % reason)


@pytest.fixture
def chain(gateway, request):
    made = Chain(gateway, re.sub(r'\W', '-', request.node.name))
    yield made
    if gateway.relay:
        gateway.stop()


def work(gateway):
    assert gateway.world['agent-1'].ping(RESOLVERS[0], 2)[0] == 2
    gateway.world['agent-1'].peer('probe', '9.9.9.9', 80)


def tampered(chain, change):
    """Verifies a copy whose lines went through <change>."""
    copy = os.path.join(chain.folder, 'copy')
    shutil.copy(chain.log, copy)
    with open(copy, encoding='utf-8') as file:
        lines = file.readlines()
    change(lines)
    with open(copy, 'w', encoding='utf-8') as file:
        file.writelines(lines)
    code, found = chain.verify(files=[copy])
    return code, [(row['kind'], row['line'], row['seq']) for row in found['findings']]


def check_independently(chain):
    """The chain by Python's hmac: K' = SHA-256(K), mac = HMAC-SHA256(K, the line up to its number)."""
    with open(chain.key, encoding='ascii') as file:
        key, number = bytes.fromhex(file.read().split()[-1]), 0
    checked = 0
    for path in (chain.log + '.1', chain.log):
        with open(path, encoding='utf-8') as file:
            for line in file:
                found = re.fullmatch(r'(.*,"seq":(\d+)),"chain":"([0-9a-f]{64})"}\n', line)
                if not found:
                    continue  # torn by a kill
                covered, seq, mac = found.groups()
                while number < int(seq):
                    key, number = hashlib.sha256(key).digest(), number + 1
                assert hmac.new(key, covered.encode(), hashlib.sha256).hexdigest() == mac
                checked += 1
    assert checked == len(chain.records(chain.log + '.1')) + len(chain.records())


def test_a_relay_that_was_restarted_killed_and_rotated_wrote_one_good_sequence(chain, gateway):
    chain.init()
    relay = chain.start()
    gateway.start_agent(1)
    work(gateway)
    # logrotate: moved away, then HUP
    os.rename(chain.log, chain.log + '.1')
    relay.send(signal.SIGHUP)
    chain.wait_reason('continue')
    assert chain.reasons(chain.log + '.1')[-1] == 'rotate'
    work(gateway)
    # the child is killed and started again by its parent, while the agent sends
    os.kill(relay.children()[0], signal.SIGKILL)
    chain.wait_reason('resume')
    until(lambda: gateway.world['agent-1'].ping(RESOLVERS[0], 1)[0] == 1, 10, 'a ping after the child was killed')
    # all of it is killed
    relay.send(signal.SIGKILL)
    relay.wait_exit()
    chain.start()
    until(lambda: gateway.world['agent-1'].ping(RESOLVERS[0], 1)[0] == 1, 10, 'a ping through the new relay')
    code, found = chain.verify('--complete', '--state', os.path.join(chain.state, 'audit.chain'))
    assert code == 0 and found['end'] == 'open', found
    # the agent's farewell is in, then a clean end and another run
    gateway.stop()
    chain.start()
    gateway.stop()
    code, found = chain.verify('--complete')
    assert code == 0, found
    assert (found['good'], found['first'], found['end'], found['findings']) == (True, 0, 'stopped', [])
    assert [row['kind'] for row in found['notes'] if row['kind'] != 'torn'] == ['crash', 'crash']
    assert found['chain'] == chain.begun['chain']
    check_independently(chain)
    assert chain.reasons(chain.log + '.1')[0] == 'begin'
    reasons = chain.reasons()
    assert [reason for reason in reasons if reason != 'time'] == ['continue', 'resume', 'resume', 'stop', 'start', 'stop']
    assert [record['seq'] for record in chain.records()] == sorted({record['seq'] for record in chain.records()})


def test_what_was_done_to_a_file_is_named(chain, gateway):
    chain.init()
    chain.start()
    gateway.start_agent(1)
    work(gateway)
    gateway.stop()
    assert chain.verify('--complete')[0] == 0
    last = len(chain.records()) - 1
    assert last >= 6

    def swap(lines):
        lines[2], lines[3] = lines[3], lines[2]

    def change(lines):
        lines[2] = lines[2].replace('"level":"info"', '"level":"warn"')

    def insert(lines):
        lines.insert(4, lines[4].replace('client-1', 'client-2'))

    def cut(lines):
        del lines[last - 1:]

    assert tampered(chain, lambda lines: None) == (0, [])
    assert tampered(chain, change) == (1, [('changed', 3, 2)])
    assert tampered(chain, lambda lines: lines.pop(3)) == (1, [('missing', 4, 3)])
    assert tampered(chain, swap) == (1, [('moved', 4, 2)])
    assert tampered(chain, insert)[1][0][:2] == ('inserted', 5)
    copy = os.path.join(chain.folder, 'copy')
    assert tampered(chain, cut) == (0, []), 'a node that runs could be here'
    code, found = chain.verify('--state', os.path.join(chain.state, 'audit.chain'), files=[copy])
    assert (code, [(row['kind'], row['seq'], row['last']) for row in found['findings']]) == (1, [('tail', last - 1, last)])
    code, found = chain.verify('--at', '2199-01-01T00:00:00Z', files=[copy])
    assert (code, [row['kind'] for row in found['findings']]) == (1, ['tail'])


def test_records_of_a_request_carry_its_id(chain, gateway):
    chain.init()
    chain.start()
    gateway.start_agent(1)
    work(gateway)
    gateway.stop()
    records = [record for record in chain.records() if record.get('client_id') == 'client-1']
    of_session = [record for record in records if record['event_type'] in ('connection.open', 'connection.close', 'acl.allow', 'acl.deny')]
    assert {record['event_type'] for record in of_session} == {'connection.open', 'connection.close', 'acl.allow', 'acl.deny'}
    assert len({record['request_id'] for record in of_session}) == 1
    assert re.fullmatch(r'[0-9a-f]{16}-0', of_session[0]['request_id'])
    assert all(record['session_id'] for record in of_session)
    assert not any('request_id' in record for record in records if record['event_type'] == 'auth.success')


def test_without_a_chain_in_the_state_folder_the_relay_says_what_to_do(chain, gateway):
    relay = chain.start(wait=False)
    assert relay.wait_exit() == 1
    assert relay.find(lambda line: 'gatehouse audit init' in line.text)
    gateway.relay = None


def test_a_node_seals_its_first_key_and_only_the_private_key_verifies(chain, gateway):
    pair = gateway.world.path('certs', 'auditor')
    gatehouse('keygen', '--out', pair)
    relay = chain.start_example()
    name = relay.wait_line(lambda line: 'audit chain begins' in line.text).data['chain_id']
    gateway.stop()
    sealed = os.path.join(chain.state, 'audit.sealed')
    code, found = chain.verify('--unseal', pair + '.key', key=sealed)
    assert (code, found['chain']) == (0, name)
    assert gatehouse('verify', chain.log, '--key', sealed, check=False).returncode == 2
    gatehouse('keygen', '--out', pair + '-2')
    assert gatehouse('verify', chain.log, '--key', sealed, '--unseal', pair + '-2.key', check=False).returncode == 2


def test_the_text_form_and_standard_output(chain, gateway):
    chain.init()
    relay = chain.start(audit__file='-', audit__format='text')
    gateway.start_agent(1)
    work(gateway)
    gateway.stop()
    lines = ''.join(line.text + '\n' for line in relay.lines if line.stream == 'out')
    assert re.search(r'^\S+Z info acl\.allow message="flow opened" client_id=client-1 .* request_id=\S+', lines, re.M), lines
    done = gatehouse('verify', '-', '--key', chain.key, input=lines, check=False)
    assert done.returncode == 0, done.stdout


def test_the_journal_gets_records_that_verify(chain, gateway):
    """A socket where the journal's is, in the relay's own /run."""
    chain.init()
    host = gateway.world['relay']
    host.run('mkdir', '-p', '/run/systemd/journal')
    path = '/proc/%d/root/run/systemd/journal/socket' % host.keeper.pid
    journal = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    journal.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
    journal.bind(path)
    os.chmod(path, 0o666)
    try:
        chain.start(audit__sink='journald')
        gateway.start_agent(1)
        work(gateway)
        gateway.stop()
        journal.setblocking(False)
        lines = []
        while True:
            try:
                fields = dict(row.split('=', 1) for row in journal.recv(65536).decode().splitlines())
            except BlockingIOError:
                break
            assert fields['SYSLOG_IDENTIFIER'] == 'gatehouse-audit'
            record = json.loads(fields['MESSAGE'])
            assert fields['PRIORITY'] == {'info': '6', 'warn': '4', 'error': '3'}[record['level']]
            lines.append(fields['MESSAGE'] + '\n')
        assert any('acl.deny' in line for line in lines)
        done = gatehouse('verify', '-', '--key', chain.key, '--complete', input=''.join(lines), check=False)
        assert done.returncode == 0, done.stdout
    finally:
        journal.close()
        os.unlink(path)


def test_a_full_disk_holds_no_packet_up_and_the_losses_are_a_record(chain, gateway):
    chain.init()
    host = gateway.world['relay']
    small = '/run/small'
    host.run('mkdir', '-p', small)
    host.run('mount', '-t', 'tmpfs', '-o', 'size=16k', 'small', small)
    relay = chain.start(audit__file=small + '/audit.log', audit__buffer=64, relay__pools='10.100.0.0/24')
    gateway.start_agent(2, families=1)
    try:
        def lost():
            gateway.world['agent-2'].peer('flows', RESOLVERS[0], 20000, 200, check=False)
            return gateway.metrics()['gatehouse_drops_total{reason="audit_lost"}'] > 0
        until(lost, 30, 'records are lost')
        assert gateway.world['agent-2'].ping(RESOLVERS[0], 5)[0] == 5
        # the operator makes room: the file is moved away and opened anew, elsewhere
        host.run('mount', '-o', 'remount,size=4m', small)
        host.run('cp', small + '/audit.log', small + '/audit.log.1')
        gateway.stop()
        assert relay.process.returncode == 0
        log = host.run('cat', small + '/audit.log').stdout
        done = gatehouse('verify', '-', '--key', chain.key, '--complete', '--json', input=log, check=False)
        assert done.returncode == 0, done.stdout
        losses = [json.loads(line) for line in log.splitlines() if '"audit_lost"' in line]
        assert losses and sum(record['lost'] for record in losses) > 0
    finally:
        if gateway.relay:
            gateway.stop()
        host.run('umount', '-l', small, check=False)


@pytest.mark.skipif(os.geteuid() != 0, reason='only root can become somebody else')
def test_the_chain_goes_on_when_the_node_becomes_somebody_else(chain, gateway):
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o711)
        chain.state = folder + '/state'
        chain.init()
        for user in ('root', 'nobody', 'root'):
            relay = chain.start(node__user=user)
            os.kill(relay.children()[0], signal.SIGKILL)  # the next child takes the state up without the parent's help
            until(lambda: chain.reasons()[-1] == 'resume', 10, 'the next child')
            gateway.wait_ready()
            gateway.stop()
        code, found = chain.verify('--complete', '--state', chain.state + '/audit.chain')
        assert code == 0 and found['end'] == 'stopped', found
        assert chain.reasons() == ['begin', 'resume', 'stop', 'start', 'resume', 'stop', 'start', 'resume', 'stop']


def test_help_has_an_example():
    text = gatehouse('--help').stdout
    assert 'gatehouse audit verify' in text and 'exit codes' in text
    assert gatehouse('verify', check=False).returncode == 2
    assert gatehouse('verify', '/nonexistent', '--key', '/nonexistent', check=False).returncode == 2
