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


def place(name, base):
    """(its source, its folder in the cache), the latter by what the former holds."""
    source = os.path.join(base, 'peers', name)
    digest = hashlib.sha256()
    for path in sorted(glob.glob(os.path.join(source, '**'), recursive=True)):
        if os.path.isfile(path):
            with open(path, 'rb') as file:
                digest.update(path[len(source):].encode() + b'\0' + file.read())
    return source, os.path.join(cache(), '%s-%s' % (name, digest.hexdigest()[:16]))


def made(name, folder, argv, part, **options):
    done = subprocess.run(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False, **options)
    if done.returncode != 0:
        shutil.rmtree(part, ignore_errors=True)
        return None, '%s does not build: %s' % (name, ' '.join(done.stdout.decode('utf-8', 'replace').split())[-300:])
    try:
        os.rename(part, folder)
    except OSError:  # somebody else was faster
        shutil.rmtree(part, ignore_errors=True)
    return folder, None


@functools.lru_cache(maxsize=None)
def build(name, base=HERE, packages='./...'):
    """(folder with the peer's programs, None), or (None, why there are none). Its module is <base>/peers/<name>."""
    source, folder = place(name, base)
    if os.path.isdir(folder):
        return folder, None
    if not shutil.which('go'):
        return None, 'no Go to build %s with' % name
    part = '%s.%d' % (folder, os.getpid())
    os.makedirs(part)
    return made(name, folder, ['go', 'build', '-trimpath', '-o', part + '/', packages], part, cwd=source,
                env=dict(os.environ, GOFLAGS='-mod=readonly -buildvcs=false', CGO_ENABLED='0', GOTOOLCHAIN=os.environ.get('GOTOOLCHAIN', 'auto')))


@functools.lru_cache(maxsize=None)
def install(name, base=HERE):
    """The same for a peer of Node.js: its folder as it is, with the packages that its lock file names."""
    source, folder = place(name, base)
    if os.path.isdir(folder):
        return folder, None
    for tool in ('node', 'npm'):
        if not shutil.which(tool):
            return None, 'no %s to run %s with' % (tool, name)
    part = '%s.%d' % (folder, os.getpid())
    os.makedirs(cache(), exist_ok=True)
    shutil.copytree(source, part, ignore=shutil.ignore_patterns('node_modules'))
    return made(name, folder, ['npm', 'ci', '--ignore-scripts', '--no-audit', '--no-fund'], part, cwd=part)
