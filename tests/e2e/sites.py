"""The sites that a door hides behind: Debian's nginx and Caddy, with certificates of RSA, so that what they send has the same lengths always."""
import os
import subprocess

from process import until

NGINX = '''daemon off;
master_process on;
worker_processes 1;
pid {folder}/nginx.pid;
error_log {folder}/error.log;
user root;
worker_rlimit_nofile 20000;
events {{ worker_connections 16384; }}
http {{
  access_log off;
  client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi; uwsgi_temp_path {folder}/uwsgi;
  scgi_temp_path {folder}/scgi;
  ssl_certificate {certificate}; ssl_certificate_key {key};
  ssl_protocols TLSv1 TLSv1.1 TLSv1.2 TLSv1.3; ssl_prefer_server_ciphers on;
  ssl_session_cache shared:s:1m;
  ssl_early_data on;
  client_header_timeout {wait}ms; client_body_timeout {wait}ms; keepalive_timeout {wait}ms; send_timeout {wait}ms; lingering_timeout {wait}ms;
  server {{ listen 127.0.0.1:{port} ssl http2 backlog=8192; listen 127.0.0.1:{plain}; server_name site.test www.site.test; root {root}; }}
}}
'''

CADDY = '''{{
  admin off
  auto_https off
  default_sni site.test
  servers {{
    protocols {protocols}
    timeouts {{
      read_header {wait}ms
      read_body {wait}ms
      idle {wait}ms
    }}
  }}
}}
https://:{port} {{
  bind 127.0.0.1
  tls {certificate} {key}
  root * {root}
  file_server
}}
'''


class Site:
    WAIT = 1500  # ms of every time-out of the site

    def __init__(self, host, kind, port, wait=WAIT, udp=False):
        """<udp>: HTTP/3 as well, which Caddy has."""
        self.host, self.kind, self.port, self.wait, self.udp = host, kind, port, wait, udp
        self.folder = host.world.path('%s-%d' % (kind, port))
        self.plain_port = port + 20000  # nginx, without TLS
        self.address = ('127.0.0.1', port)
        os.makedirs(os.path.join(self.folder, 'root'))
        with open(os.path.join(self.folder, 'root', 'index.html'), 'w', encoding='ascii') as file:
            file.write('<title>a site</title>\n' * 20)
        with open(os.path.join(self.folder, 'root', 'large'), 'wb') as file:
            file.write(bytes(range(256)) * 12288)
        self.certificate, self.key = self._certificate()
        self.daemon = None

    def _certificate(self):
        path = self.host.world.path('site')
        if not os.path.exists(path + '.crt'):
            subprocess.run(['openssl', 'req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-keyout', path + '.key', '-out', path + '.crt', '-days', '30',
                            '-subj', '/CN=site.test', '-addext', 'subjectAltName=DNS:site.test,DNS:www.site.test'], check=True, stderr=subprocess.DEVNULL)
        return path + '.crt', path + '.key'

    def start(self):
        text = {'nginx': NGINX, 'caddy': CADDY}[self.kind].format(folder=self.folder, certificate=self.certificate, key=self.key, port=self.port,
                                                                 plain=self.plain_port,
                                                                 wait=self.wait, root=os.path.join(self.folder, 'root'), protocols='h1 h2 h3' if self.udp else 'h1 h2')
        config = os.path.join(self.folder, 'config')
        with open(config, 'w', encoding='ascii') as file:
            file.write(text)
        if self.kind == 'nginx':
            argv = ['nginx', '-c', config, '-e', os.path.join(self.folder, 'error.log')]
        else:
            argv = ['caddy', 'run', '--adapter', 'caddyfile', '--config', config]
        home = {'HOME': self.folder, 'XDG_DATA_HOME': self.folder, 'XDG_CONFIG_HOME': self.folder}
        self.host.world.starts += 1
        self.daemon = self.host.start('%s-%d' % (self.kind, self.host.world.starts), *argv, env=home)
        until(lambda: self.host.run('curl', '-sk', '-m', 2, '-o', '/dev/null', 'https://127.0.0.1:%d/' % self.port, check=False).returncode == 0, 15,
              '%s answers\n%s' % (self.kind, self.daemon.tail()))
        return self

    def workers(self):
        """Pids of the processes that hold connections."""
        return self.daemon.children() if self.kind == 'nginx' else [self.daemon.pid]

    def stop(self):
        self.daemon.stop()
