"""curl, nghttp and h2load as visitors of the camouflage: a folder, and nginx and Caddy behind camouflage.proxy."""
import hashlib
import os
import re
import shutil

import pytest

from doorway import Doorway, OneHost
from origins import Origin

PORT = 8443
LARGE = 24 << 20
PORTS = {'nginx': 8081, 'caddy': 8082}
VERSIONS = ['--http1.1', '--http2']


@pytest.fixture(scope='module')
def world(tmp_path_factory):
    if not shutil.which('nghttp') or not shutil.which('h2load'):
        pytest.skip('no nghttp and h2load (Debian: nghttp2-client)')
    with OneHost(tmp_path_factory.mktemp('browsing')) as made:
        yield made


@pytest.fixture(scope='module', params=['folder', 'nginx', 'caddy'])
def door(request, world):
    made = Doorway(world)
    made.kind, made.origin = request.param, None
    if made.kind == 'folder':
        made.root = world.path('root')
        os.makedirs(made.root)
        camouflage = 'site: root'
    else:
        made.origin = Origin(world['door'], made.kind, PORTS[made.kind])
        made.root = made.origin.root
        camouflage = 'proxy: "%s"' % made.origin.url
    made.large = os.urandom(LARGE)
    for name, data in (('index.html', b'<title>a site</title>\n' * 50), ('large.bin', made.large), ('empty.txt', b'')):
        with open(os.path.join(made.root, name), 'wb') as file:
            file.write(data)
    if made.origin:
        made.origin.start()
    made.start('listen: ["127.0.0.1:%d"]\ncamouflage: {%s}\n' % (PORT, camouflage))
    yield made
    made.stop()
    if made.origin:
        made.origin.stop()


def curl(door, *words, path='/', check=True):
    return door.host.run('curl', '-sSk', '-m', 60, '--resolve', 'some.test:%d:127.0.0.1' % PORT, *words, 'https://some.test:%d%s' % (PORT, path), timeout=90,
                         check=check)


def sha(data):
    return hashlib.sha256(data).hexdigest()


def saved(door, *words, path):
    """(status, bytes)"""
    to = door.world.path('saved')
    with open(to, 'wb'):  # an answer without a body leaves what was there
        pass
    said = curl(door, '-o', to, '-w', '%{http_code} %{http_version}', *words, path=path).stdout
    with open(to, 'rb') as file:
        return said, file.read()


@pytest.mark.parametrize('version', VERSIONS)
def test_a_large_file_arrives_whole(door, version):
    said, data = saved(door, version, path='/large.bin')
    assert said == '200 ' + {'--http2': '2', '--http1.1': '1.1'}[version] and sha(data) == sha(door.large)


@pytest.mark.parametrize('version', VERSIONS)
def test_a_slow_reader_gets_it_whole(door, version):
    said, data = saved(door, version, '--limit-rate', '16M', path='/large.bin')
    assert said.startswith('200') and sha(data) == sha(door.large)


@pytest.mark.parametrize('version', VERSIONS)
@pytest.mark.parametrize('wish, first, last', [('0-0', 0, 1), ('1000-1999', 1000, 2000), ('-500', LARGE - 500, LARGE), ('%d-' % (LARGE - 7), LARGE - 7, LARGE)])
def test_a_range_is_that_part(door, version, wish, first, last):
    said, data = saved(door, version, '-r', wish, path='/large.bin')
    assert said.startswith('206') and data == door.large[first:last]


@pytest.mark.parametrize('version', VERSIONS)
def test_a_range_behind_the_end_is_none(door, version):
    assert saved(door, version, '-r', '%d-' % LARGE, path='/large.bin')[0].startswith('416')


@pytest.mark.parametrize('version', VERSIONS)
def test_a_download_goes_on_where_it_broke_off(door, version):
    to = door.world.path('part')
    with open(to, 'wb') as file:
        file.write(door.large[:LARGE // 3])
    curl(door, version, '-C', '-', '-o', to, path='/large.bin')
    with open(to, 'rb') as file:
        assert sha(file.read()) == sha(door.large)


@pytest.mark.parametrize('version', VERSIONS)
def test_a_head_has_the_fields_and_no_body(door, version):
    said = curl(door, version, '-I', path='/large.bin').stdout.lower()
    assert ' 200' in said.splitlines()[0] and 'content-length: %d' % LARGE in said
    fields = curl(door, version, '-D', '-', '-o', '/dev/null', path='/large.bin').stdout.lower()

    def names(text):
        return {line.split(':')[0] for line in text.splitlines()[1:] if line}
    assert names(said) == names(fields)


@pytest.mark.parametrize('version', VERSIONS)
def test_what_has_not_changed_is_not_sent_again(door, version):
    tag = re.search(r'(?im)^etag: (.*?)\r?$', curl(door, version, '-I', path='/large.bin').stdout).group(1)
    said, data = saved(door, version, '-H', 'If-None-Match: ' + tag, path='/large.bin')
    assert said.startswith('304') and data == b''


@pytest.mark.parametrize('version', VERSIONS)
def test_empty_files_and_missing_ones(door, version):
    assert saved(door, version, path='/empty.txt') == ('200 ' + {'--http2': '2', '--http1.1': '1.1'}[version], b'')
    assert saved(door, version, path='/missing')[0].startswith('404')


@pytest.mark.parametrize('version', VERSIONS)
def test_many_requests_share_a_connection(door, version):
    said = curl(door, version, '-w', '%{http_code} %{num_connects}\n', '-o', '/dev/null', path='/index.html?[1-300]').stdout.split('\n')[:-1]
    assert len(said) == 300 and all(line.split()[0] == '200' for line in said) and sum(int(line.split()[1]) for line in said) == 1


def upload(door, size):
    data, kept = os.urandom(size), os.path.join(door.root, 'put', 'upload')
    with open(door.world.path('upload'), 'wb') as file:
        file.write(data)
    if os.path.exists(kept):
        os.remove(kept)
    return data, kept


CHUNKED, EXPECT = ['-H', 'Transfer-Encoding: chunked'], ['-H', 'Expect: 100-continue']
REFUSED = {'nginx': '405', 'caddy': '404', 'folder': '405'}


# not an empty body in chunks: curl 7.88 never sends the last one of those
@pytest.mark.parametrize('size, how', [(0, []), (1, []), (1, CHUNKED), (30000, EXPECT), (20 << 20, []), (20 << 20, CHUNKED), (20 << 20, EXPECT)])
def test_an_upload_reaches_the_site_or_is_refused(door, size, how):
    data, kept = upload(door, size)
    words = ['-o', '/dev/null', '-w', '%{http_code}'] + how + ['--upload-file', door.world.path('upload')]
    for version in VERSIONS:
        assert curl(door, version, *words, path='/missing/upload').stdout == REFUSED[door.kind]
        if door.kind != 'nginx':
            continue
        assert curl(door, version, *words, path='/put/upload').stdout == '201'
        with open(kept, 'rb') as file:
            assert sha(file.read()) == sha(data)
        os.remove(kept)


@pytest.mark.parametrize('size', [1, 30000, 20 << 20])
def test_an_upload_of_http2_is_refused_without_an_error(door, size):
    # an early answer with its reset at once is an error to curl 7.88: the test above says that ours is none
    upload(door, size)
    done = door.host.run('nghttp', '-nv', '-d', door.world.path('upload'), 'https://127.0.0.1:%d/missing/upload' % PORT, timeout=60)
    assert len(re.findall(r':status: 40[45]', done.stdout)) == 1 and not re.search(r'error_code=(?!NO_ERROR)', done.stdout), done.stdout[-2000:]


def test_nghttp_reads_it_all(door):
    done = door.host.run('nghttp', '-ns', '-m', 20, 'https://127.0.0.1:%d/index.html' % PORT)
    assert len(re.findall(r' 200 +\S+ /index.html', done.stdout)) == 20, done.stdout
    for words in (['-w', '14', '-W', '14'], ['-p', '1'], ['-H', 'accept-encoding: identity']):
        done = door.host.run('nghttp', *words, 'https://127.0.0.1:%d/index.html' % PORT)
        assert done.stdout.count('<title>a site</title>') == 50, words


@pytest.mark.parametrize('words', [['-m', 30], ['-m', 1], ['--h1']])
def test_h2load_sees_no_failure(door, words):
    # 600 requests at once: a worker serves 1,024 of them, and with chance all connections are one worker's
    done = door.host.run('h2load', '-n', 5000, '-c', 20, *words, 'https://127.0.0.1:%d/index.html' % PORT, timeout=120)
    assert '5000 succeeded, 0 failed, 0 errored, 0 timeout' in done.stdout and '5000 2xx' in done.stdout, done.stdout
