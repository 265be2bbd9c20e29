"""h2spec against the door's own HTTP/2, with Debian's nghttpd as the measure: what that does right, the door does."""
import os
import shutil
import subprocess
import xml.etree.ElementTree as ElementTree

import pytest

import peers
from doorway import Doorway, OneHost
from process import until

NGHTTPD_PORT = 9444


@pytest.fixture(scope='module')
def h2spec():
    folder, why = peers.build('h2spec', packages='github.com/summerwind/h2spec/cmd/h2spec')
    if why:
        pytest.skip(why)
    if not shutil.which('nghttpd'):
        pytest.skip('no nghttpd (Debian: nghttp2-server) to compare with')
    return os.path.join(folder, 'h2spec')


@pytest.fixture(scope='module')
def world(tmp_path_factory):
    with OneHost(tmp_path_factory.mktemp('h2spec')) as made:
        os.makedirs(made.path('root'))
        made.write('root/index.html', '<title>a site</title>\n' * 200)
        yield made


@pytest.fixture(scope='module')
def door(world):
    made = Doorway(world)
    made.start('listen: ["127.0.0.1:8443"]\ncamouflage: {site: root}\n')
    yield made
    made.stop()


@pytest.fixture(scope='module')
def nghttpd(world):
    key, certificate = world.path('nghttpd.key'), world.path('nghttpd.crt')
    subprocess.run(['openssl', 'req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-keyout', key, '-out', certificate,
                    '-days', '30', '-subj', '/CN=nghttpd'], check=True, stderr=subprocess.DEVNULL)
    host = world['door']
    daemon = host.start('nghttpd', 'nghttpd', '-a', '127.0.0.1', '-d', world.path('root'), str(NGHTTPD_PORT), key, certificate)
    until(lambda: host.run('curl', '-sk', '-m', 2, '-o', '/dev/null', 'https://127.0.0.1:%d/' % NGHTTPD_PORT, check=False).returncode == 0, 15,
          'nghttpd answers')
    yield NGHTTPD_PORT
    daemon.stop()


def results(door, h2spec, port, name):
    """{(section, case): None where it passed, else what was met}"""
    report = door.world.path(name + '.xml')
    done = door.host.run(h2spec, '-t', '-k', '-h', '127.0.0.1', '-p', port, '-o', 5, '--strict', '-j', report, timeout=550, check=False)
    assert os.path.exists(report), done.stdout + done.stderr
    told = {}
    for suite in ElementTree.parse(report).getroot().iter('testsuite'):
        for case in suite.iter('testcase'):
            wrong = [part for part in case if part.tag in ('failure', 'error')]
            # the report names a section's cases alike when their titles are
            key = (case.get('package'), case.get('classname'))
            while key in told:
                key += ('again',)
            told[key] = ' '.join(''.join(wrong[0].itertext()).split()) if wrong else None
    return told


def test_no_case_fails_that_nghttpd_passes(door, nghttpd, h2spec):
    theirs, ours = results(door, h2spec, nghttpd, 'nghttpd'), results(door, h2spec, door.PORT, 'door')
    assert set(ours) == set(theirs) and len(ours) >= 140, (len(ours), len(theirs))
    assert sum(wrong is None for wrong in theirs.values()) >= 130, theirs  # a measure that fails measures nothing
    worse = {case: wrong for case, wrong in ours.items() if wrong and not theirs[case]}
    assert not worse, worse
    assert door.get('/ready')[0] == 200 and door.daemon.process.poll() is None
