"""OpenSSH through the agent's proxy: ssh and scp with nc as ProxyCommand, HTTP CONNECT and SOCKS 5, to a real sshd behind the relay"""
import hashlib
import os
import shutil
import subprocess
import tempfile

import pytest

import gateway as gateway_module
from process import until
from world import WEB_V4, program

PROXY = '127.0.0.1:1080'
PORT = 2222
SIZE = 16 << 20
POLICY = '''version: "1.0"
default_action: deny
clients:
  client-1: { rules: [ { id: ssh, type: ip_cidr, action: allow, destinations: [%s/32], protocol: tcp, ports: [%d] } ] }
''' % (WEB_V4, PORT)
SSHD = '''Port %d
ListenAddress %s
HostKey {folder}/host
PidFile {folder}/pid
AuthorizedKeysFile {folder}/user.pub
PasswordAuthentication no
KbdInteractiveAuthentication no
UsePAM no
StrictModes no
PermitRootLogin yes
Subsystem sftp internal-sftp
''' % (PORT, WEB_V4)


class Place:
    def __init__(self, world):
        self.world, self.host = world, world['agent-1']
        self.folder = tempfile.mkdtemp(prefix='gatehouse-ssh-')
        self.keys()
        self.site = gateway_module.Gateway(world, gateway_module.certificates(world))
        self.site.policy(POLICY)
        self.site.start_relay(relay__proxy='connect')
        world['internet'].run('mkdir', '-p', '/run/sshd')
        self.sshd = world['internet'].start('sshd', shutil.which('sshd') or '/usr/sbin/sshd', '-D', '-e', '-f', self.write('sshd_config', SSHD.format(folder=self.folder)))
        self.sshd.wait_line('Server listening')
        self.agent = self.host.start('agent', program('gatehouse-agent'), 'up', '--mode', 'proxy', '-c', world.path('examples', 'agent-1.yaml'),
                                     env=gateway_module.environment({'node.user': 'root', 'node.state_dir': self.site.state_dir('agent-1')}))
        self.agent.wait_line('"connected"')

    def write(self, name, text):
        path = os.path.join(self.folder, name)
        with open(path, 'w', encoding='utf-8') as file:
            file.write(text)
        return path

    def keys(self):
        for name in ('host', 'user'):
            subprocess.run(['ssh-keygen', '-q', '-t', 'ed25519', '-N', '', '-f', os.path.join(self.folder, name)], check=True)
        with open(os.path.join(self.folder, 'host.pub'), encoding='ascii') as file:
            self.write('known', '[%s]:%d %s' % (WEB_V4, PORT, file.read()))

    def options(self, protocol):
        return ['-F', 'none', '-i', os.path.join(self.folder, 'user'), '-o', 'UserKnownHostsFile=' + os.path.join(self.folder, 'known'),
                '-o', 'StrictHostKeyChecking=yes', '-o', 'BatchMode=yes', '-o', 'ProxyCommand=nc -X %s -x %s %%h %%p' % (protocol, PROXY)]

    def close(self):
        self.agent.stop()
        self.sshd.stop()
        self.site.stop()
        shutil.rmtree(self.folder)


@pytest.fixture(scope='module')
def place(world):
    missing = [name for name in ('ssh', 'scp', 'ssh-keygen', 'nc', 'sshd') if not shutil.which(name)]
    if missing:
        pytest.fail('missing: %s (openssh-client openssh-server netcat-openbsd)' % ' '.join(missing))
    made = Place(world)
    yield made
    made.close()


@pytest.mark.parametrize('protocol', ('connect', '5'))
def test_ssh_runs_a_command(place, protocol):
    done = place.host.run('ssh', *place.options(protocol), '-p', PORT, 'root@' + WEB_V4, 'echo "$SSH_CLIENT"; cat', text='and back\n')
    client, back = done.stdout.splitlines()
    assert client.split()[0] == '198.51.100.1', 'who asks is the relay'
    assert back == 'and back'


@pytest.mark.parametrize('protocol', ('connect', '5'))
def test_scp_carries_a_file_there_and_back(place, protocol):
    data = os.urandom(SIZE)
    there, back = os.path.join(place.folder, 'there'), os.path.join(place.folder, 'back')
    with open(os.path.join(place.folder, 'data'), 'wb') as file:
        file.write(data)
    remote = 'root@%s:%s' % (WEB_V4, there)
    place.host.run('scp', '-q', *place.options(protocol), '-P', PORT, file.name, remote, timeout=120)
    place.host.run('scp', '-q', *place.options(protocol), '-P', PORT, remote, back, timeout=120)
    for path in (there, back):
        with open(path, 'rb') as file:
            assert hashlib.sha256(file.read()).digest() == hashlib.sha256(data).digest()
        os.unlink(path)


def test_what_policy_denies_is_denied(place):
    done = place.host.run('ssh', *place.options('5'), '-p', 22, 'root@' + WEB_V4, 'true', check=False)
    assert done.returncode == 255
    refused = until(lambda: place.site.relay.audit(client_id='client-1', dest_port=22, event_type='acl.deny'), 5, 'a record of the refusal')
    assert refused[0]['dest_ip'] == WEB_V4
