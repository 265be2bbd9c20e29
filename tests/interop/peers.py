"""Builds the independent peers, each from its pinned versions, into the cache; never into the tree."""
import functools
import glob
import hashlib
import os
import shutil
import subprocess

HERE = os.path.dirname(os.path.abspath(__file__))


def cache():
    base = os.environ.get('GATEHOUSE_CACHE') or os.path.join(os.environ.get('XDG_CACHE_HOME') or os.path.expanduser('~/.cache'), 'gatehouse')
    return os.path.join(base, 'peers')


@functools.lru_cache(maxsize=None)
def build(name, base=HERE, packages='./...'):
    """(folder with the peer's programs, None), or (None, why there are none). Its module is <base>/peers/<name>."""
    source = os.path.join(base, 'peers', name)
    digest = hashlib.sha256()
    for path in sorted(glob.glob(os.path.join(source, '**'), recursive=True)):
        if os.path.isfile(path):
            with open(path, 'rb') as file:
                digest.update(path[len(source):].encode() + b'\0' + file.read())
    folder = os.path.join(cache(), '%s-%s' % (name, digest.hexdigest()[:16]))
    if os.path.isdir(folder):
        return folder, None
    if not shutil.which('go'):
        return None, 'no Go to build %s with' % name
    part = '%s.%d' % (folder, os.getpid())
    os.makedirs(part)
    done = subprocess.run(['go', 'build', '-trimpath', '-o', part + '/', packages], cwd=source, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, env=dict(os.environ, GOFLAGS='-mod=readonly -buildvcs=false', CGO_ENABLED='0',
                                                             GOTOOLCHAIN=os.environ.get('GOTOOLCHAIN', 'auto')))
    if done.returncode != 0:
        shutil.rmtree(part, ignore_errors=True)
        return None, '%s does not build: %s' % (name, ' '.join(done.stdout.decode('utf-8', 'replace').split())[-300:])
    try:
        os.rename(part, folder)
    except OSError:  # somebody else was faster
        shutil.rmtree(part, ignore_errors=True)
    return folder, None
