"""The doctor on a relay's host and on an agent's."""
import json
import os

from world import program


def doctor(host, *arguments, name='gatehouse', env=None):
    done = host.run(program(name), 'doctor', '--json', *arguments, check=False, env=env)
    found = json.loads(done.stdout)
    return done.returncode, {row['code']: row for row in found['checks']}


def environment(gateway):
    return {'GATEHOUSE_NODE_STATE_DIR': gateway.world.path('nobody-was-here')}


def test_a_relays_host_is_well_and_its_certificate_is_named(gateway):
    code, rows = doctor(gateway.world['relay'], '--config', gateway.world.path('examples', 'relay.yaml'), env=environment(gateway))
    wrong = [row for row in rows.values() if row['status'] == 'fail']
    assert (code, wrong) == (0, [])
    assert {rows[name]['status'] for name in ('GH-K01', 'GH-K02', 'GH-K04', 'GH-P01', 'GH-C01', 'GH-N01', 'GH-N02', 'GH-F01', 'GH-X01',
                                              'GH-X02', 'GH-X03', 'GH-X04', 'GH-X05')} == {'ok'}, rows
    assert 'relay' in rows['GH-X02']['detail']


def test_an_agent_has_its_own_doctor(gateway):
    code, rows = doctor(gateway.world['agent-1'], '--config', gateway.world.path('examples', 'agent-1.yaml'), name='gatehouse-agent',
                        env=environment(gateway))
    assert code == 0 and rows['GH-X02']['status'] == 'ok' and 'agent client-1' in rows['GH-X02']['detail']
    assert rows['GH-F01']['status'] == 'skip'


def test_a_key_that_others_can_read_is_wrong_until_fixed(gateway):
    config, key = gateway.world.path('examples', 'relay.yaml'), gateway.world.path('certs', 'relay.key')
    os.chmod(key, 0o644)
    code, rows = doctor(gateway.world['relay'], '--config', config, env=environment(gateway))
    assert code == 1 and rows['GH-X05']['status'] == 'fail' and not rows['GH-X05']['fixed']
    code, rows = doctor(gateway.world['relay'], '--config', config, '--fix', env=environment(gateway))
    assert code == 0 and rows['GH-X05']['fixed']
    assert os.stat(key).st_mode & 0o777 == 0o600


def test_an_agents_certificate_is_no_relays(gateway):
    env = dict(environment(gateway), GATEHOUSE_RELAY_CERTIFICATE=gateway.world.path('certs', 'client-1.crt'))
    code, rows = doctor(gateway.world['relay'], '--config', gateway.world.path('examples', 'relay.yaml'), env=env)
    assert code == 1 and rows['GH-X02']['status'] == 'fail'


def test_a_configuration_that_is_wrong_is_shown_with_its_place(gateway):
    path = gateway.world.write('examples/wrong.yaml', 'relay:\n  lissten: "[::]:4433"\n')
    code, rows = doctor(gateway.world['relay'], '--config', path)
    assert code == 1 and 'wrong.yaml:' in rows['GH-C01']['detail']
