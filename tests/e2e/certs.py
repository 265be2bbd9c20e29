"""Certificates: the ordinary ones by `gatehouse ca`, those that must be refused by the openssl program."""
import os
import re
import shutil
import subprocess

from world import RELAY_NAME, RELAY_V4, RELAY_V6, program


def quiet(argv, **options):
    done = subprocess.run(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, **options)
    if done.returncode != 0:
        raise AssertionError('%s: exit status %d\n%s' % (' '.join(argv), done.returncode, done.stdout.decode('utf-8', 'replace')))
    return done.stdout.decode('utf-8', 'replace')


class Authority:
    """A CA in a folder: ca.crt and ca.key, NAME.crt and NAME.key."""

    def __init__(self, folder, trust_domain):
        self.folder = folder
        self.trust_domain = trust_domain

    def file(self, name):
        return os.path.join(self.folder, name)

    def init(self):
        if os.access(program('gatehouse'), os.X_OK):
            quiet([program('gatehouse'), 'ca', 'init', '--dir', self.folder, '--trust-domain', self.trust_domain])
        else:
            os.makedirs(self.folder, exist_ok=True)
            self.openssl_init()
        return self

    def issue(self, role, name, *options):
        if os.access(program('gatehouse'), os.X_OK):
            quiet([program('gatehouse'), 'ca', 'issue', role, name, '--dir', self.folder] + list(options))
        else:
            names = [word for flag, word in zip(options, options[1:]) if flag in ('--dns', '--ip')]
            self.odd(name, role=role, names=names)
        return self.file(name + '.crt'), self.file(name + '.key')

    def relay(self):
        return self.issue('relay', 'relay', '--dns', RELAY_NAME, '--ip', RELAY_V4, '--ip', RELAY_V6)

    # ---- by openssl

    def openssl_init(self):
        quiet(['openssl', 'req', '-x509', '-newkey', 'ed25519', '-nodes', '-keyout', self.file('ca.key'), '-out', self.file('ca.crt'),
               '-days', '3650', '-subj', '/CN=' + self.trust_domain, '-addext', 'basicConstraints=critical,CA:TRUE',
               '-addext', 'keyUsage=critical,keyCertSign,cRLSign', '-addext', 'subjectAltName=URI:spiffe://' + self.trust_domain])

    def odd(self, name, role='agent', usage=None, uri=None, names=(), start=None, end=None, out=None):
        """A certificate that `gatehouse ca` would not make. <uri> '' leaves the identity out, start and end are YYYYMMDDhhmmssZ."""
        work = self.file('odd-' + (out or name))
        os.makedirs(work, exist_ok=True)
        if uri is None:
            uri = 'spiffe://%s/%s/%s' % (self.trust_domain, role, name)
        sans = (['URI:' + uri] if uri else []) + [('IP:' if re.fullmatch(r'[0-9.]+|.*:.*', word) else 'DNS:') + word for word in names]
        usage = usage or {'relay': 'serverAuth', 'agent': 'clientAuth'}[role]
        with open(os.path.join(work, 'openssl.cnf'), 'w', encoding='ascii') as file:
            file.write('[ca]\ndefault_ca=own\n[own]\nnew_certs_dir=%s\ndatabase=%s/index\nrand_serial=yes\ndefault_md=default\n'
                       'policy=any\nx509_extensions=leaf\nunique_subject=no\n[any]\ncommonName=supplied\n[leaf]\n'
                       'basicConstraints=critical,CA:FALSE\nkeyUsage=critical,digitalSignature\nextendedKeyUsage=%s\n'
                       'subjectKeyIdentifier=hash\nauthorityKeyIdentifier=keyid\n' % (work, work, usage))
            if sans:
                file.write('subjectAltName=%s\n' % ','.join(sans))
        open(os.path.join(work, 'index'), 'w', encoding='ascii').close()
        cert, key = self.file((out or name) + '.crt'), self.file((out or name) + '.key')
        quiet(['openssl', 'req', '-new', '-newkey', 'ed25519', '-nodes', '-keyout', key, '-out', os.path.join(work, 'request'), '-subj', '/CN=' + name])
        validity = ['-startdate', start, '-enddate', end] if start else ['-days', '30']
        quiet(['openssl', 'ca', '-batch', '-notext', '-config', os.path.join(work, 'openssl.cnf'), '-cert', self.file('ca.crt'),
               '-keyfile', self.file('ca.key'), '-in', os.path.join(work, 'request'), '-out', cert] + validity)
        os.chmod(key, 0o600)
        shutil.rmtree(work)
        return cert, key
