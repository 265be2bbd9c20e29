"""Same as without, for those who know even the tunnel's name and lack only what authenticates: above TLS a door with a tunnel answers as one that has none.

Go's crypto/tls opens both doors of tests/e2e/test_same_tunnel.py by ECH; what TLS itself shows to them, another certificate and the wish for theirs, is what the name is worth.
"""
import base64
import json
import os

import pytest

import peers
from doorway import OneHost
from sameness import Budget, ks_test, quantiles
from test_same_tunnel import SLOWER, Stand

BUDGET = Budget()
ANSWER_TOLERANCE = 0.002 * SLOWER
COUNT = 14
TIMED = ('page', 'connect-ip', 'connect')


def built(name):
    folder, why = peers.build(name)
    if why:
        pytest.fail(why)
    return os.path.join(folder, 'client')


@pytest.fixture(scope='module', params=['site', 'proxy'])
def stand(request, tmp_path_factory):
    with OneHost(tmp_path_factory.mktemp('inside-' + request.param)) as world:
        os.chmod(world.folder, 0o755)
        made = Stand(world, request.param, slow_users=False)
        made.certs.odd('old', start='20200101000000Z', end='20200201000000Z')
        made.certs.odd('server', role='relay')
        made.certs.odd('nameless', uri='')
        yield made
        made.close()


def basic(who, token):
    return 'Basic ' + base64.b64encode((who + ':' + token).encode()).decode()


def strangers(stand):
    """What they show, as options of the peers."""
    path = stand.world.path
    return {'nothing': [], 'a certificate of another CA': ['-certificate', path('others', 'client-1')], 'an old certificate': ['-certificate', path('certs', 'old')],
            'the certificate of a relay': ['-certificate', path('certs', 'server')], 'a certificate without an identity': ['-certificate', path('certs', 'nameless')],
            'a wrong token': ['-authorization', basic('client-1', 'wrong')], 'the token of nobody': ['-authorization', basic('nobody', stand.token)],
            'a token in another scheme': ['-authorization', 'Digest ' + stand.token], 'noise': ['-authorization', 'Basic !']}


def ask(door, program, stand, *words):
    argv = [program, '-connect', '127.0.0.1:%d' % door.PORT, '-ech', base64.b64encode(stand.config_list).decode(), '-name', 'inner.test', *words]
    return json.loads(door.host.run(*argv, timeout=120).stdout)


@pytest.mark.parametrize('alpn', ['http/1.1', 'h2'])
def test_answers_and_their_times_are_the_camouflages(stand, alpn):
    client = built('tunnel')
    for who, words in strangers(stand).items():
        a, b = (ask(door, client, stand, '-alpn', alpn, '-ask', str(COUNT), *words) for door in (stand.door, stand.plain))
        assert set(a) == set(b) and len(a) == 7
        for kind in a:
            assert a[kind]['answers'] == b[kind]['answers'], (who, kind)
            assert len(a[kind]['answers']) == 1 and a[kind]['answers'][0]['error'] == '', (who, kind, a[kind]['answers'])
            assert kind not in TIMED or not BUDGET.times_differ(a[kind]['seconds'], b[kind]['seconds'], ANSWER_TOLERANCE), '%s, %s\n%s\n%s\np %.2g' % (
                who, kind, quantiles(a[kind]['seconds']), quantiles(b[kind]['seconds']), ks_test(a[kind]['seconds'], b[kind]['seconds'], ANSWER_TOLERANCE))


def test_and_over_http3(stand):
    client = built('quic')
    for who, words in strangers(stand).items():
        for more in ([], ['-tunnel']):
            if '-authorization' in words and not more:
                continue
            a, b = (ask(door, client, stand, *words, *more) for door in (stand.door, stand.plain))
            for told in (a, b):
                assert told['accepted'], (who, told)
                for of_tls in ('subject', 'asked', 'rejected', 'retry'):
                    told.pop(of_tls, None)
            assert a == b, (who, more)


def test_who_has_what_it_takes_gets_a_tunnel(stand):
    """The same questions, so that the likeness above is no accident."""
    for words in (['-certificate', stand.world.path('certs', 'client-1')], ['-authorization', basic('client-1', stand.token)]):
        for alpn, status in (('http/1.1', 101), ('h2', 200)):
            told = ask(stand.door, built('tunnel'), stand, '-alpn', alpn, '-ask', '1', *words)
            assert told['connect-ip']['answers'][0]['status'] == status, (words, told)
        told = ask(stand.door, built('quic'), stand, '-tunnel', *words)
        assert told['status'] == 200 and told['capsule'] in (1, 3), told
