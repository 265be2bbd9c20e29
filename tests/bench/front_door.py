"""The door beside HAProxy and nginx: connections and Gbit per CPU-second, and what each adds to the first byte

The same backend, client and first flight for all, on the loopback of a network namespace of their own; each proxy has one thread and takes its turn,
round after round; the first round does not count. CPU-seconds are user and system time of the proxy's processes alone. tests/bench/door runs it alone,
tests/bench/run as its part `door`.
"""
import json
import os
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile

from doorway import hello
from process import until
import world as worlds

HERE = os.path.dirname(os.path.abspath(__file__))
SHORT, LONG = 9001, 9002
DOOR, HAPROXY, NGINX = 7001, 7011, 7021  # and the next port leads to LONG
PATH = '%s:/usr/sbin:/sbin' % os.environ.get('PATH', '')
MODULE = '/usr/lib/nginx/modules/ngx_stream_module.so'
NAMES = ('direct', 'gatehouse', 'haproxy', 'nginx')
PORTS = {'direct': SHORT, 'gatehouse': DOOR, 'haproxy': HAPROXY, 'nginx': NGINX}

GATEHOUSE_CONF = '''node: {{workers: 1, state_dir: {folder}/state, run_dir: {folder}/run, user: root}}
admin: {{listen: ["127.0.0.1:8080"]}}
door:
  listen: ["127.0.0.1:7001", "127.0.0.1:7002"]
  local_routes: {{"bench.test:7001": "127.0.0.1:9001", "bench.test:7002": "127.0.0.1:9002"}}
'''

HAPROXY_CONF = '''global
  nbthread 1
  maxconn 6000
defaults
  mode tcp
  timeout connect 5s
  timeout client 60s
  timeout server 60s
  option splice-auto
  option splice-request
  option splice-response
frontend short
  bind 127.0.0.1:7011
  tcp-request inspect-delay 5s
  tcp-request content accept if { req_ssl_hello_type 1 }
  use_backend short if { req_ssl_sni -i bench.test }
frontend long
  bind 127.0.0.1:7012
  tcp-request inspect-delay 5s
  tcp-request content accept if { req_ssl_hello_type 1 }
  use_backend long if { req_ssl_sni -i bench.test }
backend short
  server s 127.0.0.1:9001
backend long
  server s 127.0.0.1:9002
'''

NGINX_CONF = '''load_module /usr/lib/nginx/modules/ngx_stream_module.so;
worker_processes 1;
daemon off;
pid {folder}/nginx.pid;
error_log {folder}/nginx.log;
events {{ worker_connections 6000; multi_accept on; }}
stream {{
  map $ssl_preread_server_name $short {{ bench.test 127.0.0.1:9001; }}
  map $ssl_preread_server_name $long {{ bench.test 127.0.0.1:9002; }}
  server {{ listen 127.0.0.1:7021; ssl_preread on; proxy_pass $short; }}
  server {{ listen 127.0.0.1:7022; ssl_preread on; proxy_pass $long; }}
}}
'''


def descendants(pid):
    found = [pid]
    for each in found:
        try:
            with open('/proc/%d/task/%d/children' % (each, each), encoding='ascii') as file:
                found += [int(word) for word in file.read().split()]
        except OSError:
            pass
    return found


def cpu(process):
    """Seconds of user and system time, now."""
    ticks = 0
    for pid in descendants(process.pid):
        try:
            with open('/proc/%d/stat' % pid, encoding='ascii') as file:
                fields = file.read().rsplit(')', 1)[1].split()
        except OSError:
            continue
        ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf('SC_CLK_TCK')


def resident(process):
    """KiB"""
    total = 0
    for pid in descendants(process.pid):
        with open('/proc/%d/statm' % pid, encoding='ascii') as file:
            total += int(file.read().split()[1]) * os.sysconf('SC_PAGE_SIZE') // 1024
    return total


class Bench:
    def __init__(self, folder, seconds):
        self.folder, self.seconds, self.running, self.proxies = folder, seconds, [], {}
        self.tool = os.path.join(worlds.build_folder(), 'tests', 'bench', 'doorload')
        with open(self.path('hello'), 'wb') as file:
            file.write(hello('bench.test'))

    def path(self, name):
        return os.path.join(self.folder, name)

    def start(self, *argv):
        process = subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=open(self.path('errors'), 'ab'))
        self.running.append(process)
        return process

    def write(self, name, text):
        with open(self.path(name), 'w', encoding='utf-8') as file:
            file.write(text)
        return self.path(name)

    def open(self):
        subprocess.run(['ip', 'link', 'set', 'lo', 'up'], check=True)
        for port, size in ((SHORT, 100), (LONG, 1 << 40)):
            server = subprocess.Popen([self.tool, 'serve', str(port), str(size)], stdout=subprocess.PIPE)
            self.running.append(server)
            assert server.stdout.readline() == b'ready\n'
        self.proxies['gatehouse'] = self.start(worlds.program('gatehoused'), '-c', self.write('door.yaml', GATEHOUSE_CONF.format(folder=self.folder)))
        self.proxies['haproxy'] = self.start('haproxy', '-db', '-f', self.write('haproxy.cfg', HAPROXY_CONF))
        self.proxies['nginx'] = self.start('nginx', '-p', self.folder, '-c', self.write('nginx.conf', NGINX_CONF.format(folder=self.folder)))
        for name in NAMES:
            until(lambda name=name: self.run('latency', name, 10, check=False), 20, '%s answers' % name, 0.1)

    def run(self, verb, name, *words, check=True):
        port = PORTS[name] + (1 if verb == 'bulk' else 0)
        done = subprocess.run([self.tool, verb, '127.0.0.1', str(port), self.path('hello')] + [str(word) for word in words], stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE)
        if check and done.returncode:
            raise RuntimeError('%s %s: %s' % (verb, name, done.stderr.decode()))
        return json.loads(done.stdout) if done.returncode == 0 else None

    def measure(self, verb, name, *words):
        process = self.proxies.get(name)
        before = cpu(process) if process else 0
        told = self.run(verb, name, *words)
        told['cpu'] = cpu(process) - before if process else 0
        return told

    def round(self):
        told = {}
        for name in NAMES:
            rate = self.measure('rate', name, self.seconds, 64)
            bulk = self.measure('bulk', name, self.seconds, 4)
            first = self.run('latency', name, 2000)
            told[name] = {'connections_per_second': rate['connections'] / rate['seconds'], 'gbit_per_second': bulk['bytes'] * 8e-9 / bulk['seconds'],
                          'p50_us': first['p50'], 'p99_us': first['p99'], 'failed': rate['failed'] + bulk['failed']}
            if rate['cpu']:
                told[name].update(connections_per_cpu=rate['connections'] / rate['cpu'], gbit_per_cpu=bulk['bytes'] * 8e-9 / bulk['cpu'],
                                  resident_kib=resident(self.proxies[name]))
        return told

    def close(self):
        for process in reversed(self.running):
            process.send_signal(signal.SIGTERM)
        for process in self.running:
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()


def missing():
    """None, or what the machine lacks."""
    found = [name for name, path in (('haproxy', shutil.which('haproxy', path=PATH)), ('nginx', shutil.which('nginx', path=PATH)),
                                     ('libnginx-mod-stream', os.path.exists(MODULE) and MODULE)) if not path]
    return 'not installed: ' + ' '.join(found) if found else None


def rounds_of(count, seconds):
    """[{name: figures}] of rounds in this network namespace."""
    rounds = []
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(folder, seconds)
        try:
            bench.open()
            for number in range(count):
                print('  door: round %d of %d' % (number + 1, count), file=sys.stderr, flush=True)
                rounds.append(bench.round())
        finally:
            bench.close()
    return rounds


def measure(rounds, seconds):
    """{'rounds': …, 'median': …}, by a process in a namespace of its own; {'why': …} where the peers are not installed."""
    why = missing()
    if why:
        return {'why': why}
    argv = ['unshare', *(worlds.user_namespace() or []), '--net', sys.executable, os.path.join(HERE, 'door'), '--inside', '--rounds', str(rounds), '--seconds', str(seconds)]
    done = subprocess.run(argv, stdout=subprocess.PIPE, check=True, env=dict(os.environ, PATH=PATH))
    told = json.loads(done.stdout)
    counted = told[1:] or told
    return {'rounds': told, 'median': {name: {key: statistics.median([each[name][key] for each in counted]) for key in counted[0][name]} for name in NAMES}}


def lines(found):
    if 'why' in found:
        return ['door: not measured, ' + found['why']]
    out = ['%-21s %-15s %10s %11s %10s %11s %8s %8s %6s' % ('door', '', 'conn/s', 'conn/CPU-s', 'Gbit/s', 'Gbit/CPU-s', 'p50 us', 'p99 us', 'MiB')]
    for name, told in found['median'].items():
        out.append('%-21s %-15s %10.0f %11s %10.2f %11s %8.0f %8.0f %6s' % (
            '', name, told['connections_per_second'], '%.0f' % told['connections_per_cpu'] if 'connections_per_cpu' in told else '-', told['gbit_per_second'],
            '%.2f' % told['gbit_per_cpu'] if 'gbit_per_cpu' in told else '-', told['p50_us'], told['p99_us'],
            '%.1f' % (told['resident_kib'] / 1024) if 'resident_kib' in told else '-'))
    return out


def goals(found):
    if 'why' in found:
        return []
    ours, peer, direct = (found['median'][name] for name in ('gatehouse', 'haproxy', 'direct'))
    return [('door: connections per CPU-second, times HAProxy', ours['connections_per_cpu'] / peer['connections_per_cpu'], 1, 1.3, 1),
            ('door: Gbit per CPU-second of bulk, times HAProxy with splice', ours['gbit_per_cpu'] / peer['gbit_per_cpu'], 0.95, 1.1, 1),
            ('door: wall Gbit/s of bulk, times a direct connection', ours['gbit_per_second'] / direct['gbit_per_second'], 0.75, 0.75, 1),
            ('door: added to the first byte, p50, ms', (ours['p50_us'] - direct['p50_us']) / 1000, 0.2, 0.2, -1)]
