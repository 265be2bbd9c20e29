"""What stands behind camouflage.proxy: Debian's nginx and Caddy over plain HTTP, with echoes of WebSockets and a stream of events behind them."""
import os

from process import until

NGINX = '''daemon off;
worker_processes 1;
pid {folder}/nginx.pid;
error_log {folder}/error.log;
user root;
events {{ worker_connections 1024; }}
http {{
  access_log off;
  client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi; uwsgi_temp_path {folder}/uwsgi;
  scgi_temp_path {folder}/scgi;
  client_max_body_size 100m;
  keepalive_requests 100000;
  server {{
    listen 127.0.0.1:{port};
    root {root};
    location /put/ {{ dav_methods PUT; }}
{places}  }}
}}
'''
NGINX_PLACE = '''    location {path} {{
      proxy_pass http://{to};
      proxy_http_version 1.1;
      proxy_set_header Upgrade $http_upgrade;
      proxy_set_header Connection $http_connection;
      proxy_buffering off;
    }}
'''
CADDY = '''{{
  admin off
  auto_https off
}}
http://:{port} {{
  bind 127.0.0.1
{places}  root * {root}
  file_server
}}
'''
CADDY_PLACE = '''  reverse_proxy {path} {to}
'''


class Origin:
    """<places>: path to HOST:PORT."""

    def __init__(self, host, kind, port, places=None):
        self.host, self.kind, self.port = host, kind, port
        self.folder = host.world.path('origin-%s' % kind)
        self.root = os.path.join(self.folder, 'root')
        os.makedirs(os.path.join(self.root, 'put'))
        page, place = {'nginx': (NGINX, NGINX_PLACE), 'caddy': (CADDY, CADDY_PLACE)}[kind]
        self.config = page.format(folder=self.folder, port=port, root=self.root,
                                  places=''.join(place.format(path=path, to=to) for path, to in (places or {}).items()))
        self.daemon = None

    @property
    def url(self):
        return 'http://127.0.0.1:%d' % self.port

    def start(self):
        path = os.path.join(self.folder, 'config')
        with open(path, 'w', encoding='ascii') as file:
            file.write(self.config)
        if self.kind == 'nginx':
            argv = ['nginx', '-c', path, '-e', os.path.join(self.folder, 'error.log')]
        else:
            argv = ['caddy', 'run', '--adapter', 'caddyfile', '--config', path]
        home = {'HOME': self.folder, 'XDG_DATA_HOME': self.folder, 'XDG_CONFIG_HOME': self.folder}
        self.daemon = self.host.start(self.kind, *argv, env=home)
        until(lambda: self.host.run('curl', '-s', '-m', 2, '-o', '/dev/null', self.url + '/', check=False).returncode == 0, 20,
              '%s answers\n%s' % (self.kind, self.daemon.tail()))
        return self

    def stop(self):
        self.daemon.stop()
