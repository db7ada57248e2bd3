"""The subjects: the same backend, each with one core and one worker thread."""

import html
import json
import os
import re
import secrets
import shutil
import signal
import subprocess
import sys
import urllib.parse
import urllib.request
from http.client import HTTPConnection
from pathlib import Path

from processes import OTHER_CORE, SUBJECT_CORE, free_port, start, stop, wait_for_port

HERE = Path(__file__).parent
PERSON = "ana"


class Subject:
    """A program that serves the backend, plainly and by TLS."""

    rewrites = False
    headers = ()
    origin = "https://localhost"
    host = "localhost"

    def __init__(self, name, process, plain, tls):
        self.name, self.process, self.ports = name, process, {False: plain, True: tls}

    @property
    def pid(self):
        return self.process.pid

    def address(self, tls):
        return f"127.0.0.1:{self.ports[tls]}"

    def url(self, path, tls=False):
        return f"https://localhost:{self.ports[True]}{path}" if tls else f"http://{self.address(False)}{path}"

    def check(self, world):
        """It does for a request what it is measured for; whoever does more than to pass it on says what."""


class Vestibule(Subject):
    rewrites = True

    def check(self, world):
        """The customer session goes to the backend, and the visitor's session does not."""
        cookies = dict(pair.split("=", 1) for pair in self.headers[0].removeprefix("Cookie: ").split("; "))
        told = ask(self.address(False), "/told", dict(cookies), "localhost")
        if told.status != 200 or "JSESSIONID=" not in told.body or any(value in told.body for value in cookies.values()):
            raise RuntimeError(f"vestibule: the backend was told {told.body!r}")

    def sign_in(self, world, protocol, at_callback=None):
        """From the page that was asked for to the provider and back; gives the session's cookies.

        `at_callback` is asked instead of `ask` when the answer of the OpenID provider arrives."""
        if protocol == "saml":
            return sign_in_by_saml(self, "saml.localhost")
        cookies = {}
        answer = ask(self.address(False), "/small", cookies, "localhost")
        provider = urllib.parse.urlsplit(answer.location)
        at_provider = ask(provider.netloc, f"{provider.path}?{provider.query}&login_hint={PERSON}", {}, provider.netloc)
        callback = urllib.parse.urlsplit(at_provider.location)
        answer = (at_callback or ask)(self.address(False), f"{callback.path}?{callback.query}", cookies, "localhost")
        page = ask(self.address(False), answer.location, cookies, "localhost")
        if page.status != 200:
            raise RuntimeError(f"vestibule: the sign-in ended in {page.status}")
        return cookies


class ApacheOpenidc(Subject):
    def sign_in(self, world, _protocol):
        cookies = {}
        at, host = self.address(False), f"localhost:{self.ports[False]}"
        answer = ask(at, "/small", cookies, host)
        provider = urllib.parse.urlsplit(answer.location)
        at_provider = ask(provider.netloc, f"{provider.path}?{provider.query}&login_hint={PERSON}", {}, provider.netloc)
        callback = urllib.parse.urlsplit(at_provider.location)
        answer = ask(at, f"{callback.path}?{callback.query}", cookies, host)
        page = ask(at, urllib.parse.urlsplit(answer.location).path, cookies, host)
        if page.status != 200:
            raise RuntimeError(f"apache_openidc: the sign-in ended in {page.status}")
        return cookies


class ApacheMellon(Subject):
    def sign_in(self, world, _protocol):
        return sign_in_by_saml(self, f"localhost:{self.ports[False]}")


def sign_in_by_saml(subject, host):
    """From the page that was asked for to the provider, back with its form, and on to the page."""
    cookies, target, at = {}, "/small", subject.address(False)
    for _ in range(3):
        answer = ask(at, target, cookies, host)
        provider = urllib.parse.urlsplit(answer.location)
        target = f"{provider.path}?{provider.query}"
        if provider.netloc not in (host, at):
            break
    at_provider = ask(provider.netloc, target, {}, provider.netloc)
    action = html.unescape(re.search(r'action="([^"]+)"', at_provider.body).group(1))
    fields = {
        re.search(r'name="([^"]+)"', tag).group(1): html.unescape(re.search(r'value="([^"]*)"', tag).group(1))
        for tag in re.findall(r"<input [^>]*>", at_provider.body)
        if 'name="' in tag and 'value="' in tag
    }
    answer = ask(at, urllib.parse.urlsplit(action).path, cookies, host, urllib.parse.urlencode(fields))
    for _ in range(3):
        if not answer.location:
            break
        answer = ask(at, urllib.parse.urlsplit(answer.location).path, cookies, host)
    if answer.status != 200 or len(answer.body) != 120:
        raise RuntimeError(f"{subject.name}: the sign-in ended in {answer.status}")
    return cookies


class Answer:
    def __init__(self, status, location, body):
        self.status, self.location, self.body = status, location, body


def ask(address, target, cookies, host, form=None):
    """One request as a browser's navigation, without TLS; keeps the cookies that it gets."""
    name, port = address.split(":")
    connection = HTTPConnection(name, int(port), timeout=30)
    fields = {"Host": host, "Accept": "text/html", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}
    fields["User-Agent"] = "Mozilla/5.0"
    if cookies:
        fields["Cookie"] = "; ".join(f"{key}={value}" for key, value in cookies.items())
    if form is not None:
        fields |= {"Content-Type": "application/x-www-form-urlencoded", "Sec-Fetch-Site": "cross-site"}
    connection.request("GET" if form is None else "POST", target, body=form, headers=fields)
    answer = connection.getresponse()
    body = answer.read().decode("utf-8", "replace")
    connection.close()
    for line in answer.headers.get_all("Set-Cookie") or []:
        key, value = line.split(";", 1)[0].split("=", 1)
        if value:
            cookies[key] = value
        else:
            cookies.pop(key, None)
    return Answer(answer.status, answer.headers.get("Location") or "", body)


def cookie_header(cookies):
    return "Cookie: " + "; ".join(f"{key}={value}" for key, value in cookies.items())


class World:
    """The backend, the provider and the look-alike around the subjects; everything ends with it."""

    def __init__(self, options):
        self.options = options
        self.folder = options.out.resolve() / "run"
        self.processes, self.logs = [], None
        self.patience = 30  # seconds until a subject has to listen
        self.agreed = {}  # what all subjects have to have in common

    def __enter__(self):
        # Whoever ends the run ends what it has started.
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
        try:
            self.start_outside()
        except BaseException:
            self.__exit__()
            raise
        return self

    def start_outside(self):
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True)
        self.logs = open(self.folder / "processes.log", "w")
        subprocess.run([self.options.world, "certificates", self.folder], check=True)
        self.authority = self.folder / "demo-ca.pem"
        self.certificate, self.key = self.folder / "localhost.pem", self.folder / "localhost.key"
        self.backend_port, self.backend_tls_port = free_port(), free_port()
        self.backend = f"127.0.0.1:{self.backend_port}"
        self.seal = "vk1_" + secrets.token_urlsafe(32)
        self.store = self.folder / "sessions.redb"
        print(f"== filling the store with {self.options.sessions:,} sessions", flush=True)
        self.outside = start(
            [self.options.world, self.store, self.options.sessions, self.seal, f"http://{self.backend}", self.folder],
            OTHER_CORE,
            self.logs,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.processes.append(self.outside)
        self.told = json.loads(self.outside.stdout.readline())
        self.upload_script = self.folder / "upload.lua"
        self.upload_script.write_text(
            'wrk.method = "POST"\nwrk.body = string.rep("x", 10485760)\n'
            'wrk.headers["Content-Type"] = "application/octet-stream"\n'
        )
        self.start_backend()

    def __exit__(self, *_):
        for process in reversed(self.processes):
            stop(process)
        if self.logs:
            self.logs.close()

    def program(self, name):
        return self.options.binaries / name

    def command(self, name, *arguments):
        """How a subject of ours is started."""
        return [*self.started_by(name), self.program(name), *arguments]

    def started_by(self, _name):
        """Nothing, unless somebody counts what the subject does: by a program that then starts it."""
        return []

    def launch(self, command, port, core=SUBJECT_CORE, env=None):
        process = start(command, core, self.logs, env)
        self.processes.append(process)
        wait_for_port(port, process, self.patience)
        return process

    def register(self, protocol, name, address):
        """Tells a provider of a relying party: where its answers go."""
        self.outside.stdin.write(f"{protocol} {name} {address}\n")
        self.outside.stdin.flush()
        self.outside.stdout.readline()

    def nginx(self, name, servers, core):
        folder = self.folder / name
        (folder / "temp").mkdir(parents=True)
        temps = "".join(
            f"  {kind}_temp_path {folder}/temp/{kind};\n"
            for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        )
        (folder / "nginx.conf").write_text(
            # Else its workers, started by root, may not read files below a closed home.
            f"{'user root;' if os.geteuid() == 0 else ''}\nworker_processes 1;\ndaemon off;\npid {folder}/nginx.pid;\nerror_log {folder}/error.log warn;\n"
            "events { worker_connections 4096; }\n"
            "http {\n  keepalive_requests 1000000000;\n  client_max_body_size 20m;\n  sendfile on;\n"
            f"  types {{ text/html html; }}\n{temps}{servers}}}\n"
        )
        return ["nginx", "-p", folder, "-c", folder / "nginx.conf"]

    def start_backend(self):
        files = self.folder / "files"
        files.mkdir()
        (files / "small").write_text("x" * 120)
        (files / "download").write_bytes(os.urandom(1024) * 10_240)
        line = f'<li><a href="http://{self.backend}/browse/HELP-{{}}">HELP-{{}}</a> <span>{{}}</span></li>\n'
        filler = "a portal page has a lot of text and few addresses of its own; "
        page = "<!doctype html><title>Requests</title><ul>\n"
        number = 0
        while len(page) < 64 * 1024:
            number += 1
            page += line.format(number, number, filler * 16)
        page = page[: 64 * 1024]
        # The same without an address in it, and the same that nobody may change.
        pages = {"page.html": page, "search.html": page.replace(self.backend, "jira.example:80"), "fixed.html": page}
        for name, text in pages.items():
            (files / name).write_text(text)
            subprocess.run(["gzip", "-k", "-9", files / name], check=True)
        servers = (
            f"  upstream jsm {{ server {self.told['jsm']}; keepalive 16; }}\n"
            f"  server {{\n    listen 127.0.0.1:{self.backend_port} backlog=4096;\n"
            f"    listen 127.0.0.1:{self.backend_tls_port} ssl http2 backlog=4096;\n"
            f"    ssl_certificate {self.certificate};\n    ssl_certificate_key {self.key};\n    access_log off;\n"
            "    ssl_protocols TLSv1.2 TLSv1.3;\n"
            f"    root {files};\n    gzip_static on;\n    default_type application/octet-stream;\n"
            "    location = /small { }\n    location = /page.html { }\n    location = /search.html { }\n"
            "    location = /provider.json { }\n"
            "    location = /fixed.html { add_header Cache-Control no-transform; }\n"
            "    location = /download { gzip_static off; }\n"
            # What came, for the check that a subject sends what it should.
            '    location = /told { default_type text/plain; return 200 "Cookie: $http_cookie"; }\n'
            f"    location = /upload {{ proxy_pass http://{self.told['upload']}; proxy_request_buffering off;"
            " proxy_http_version 1.1; }\n"
            '    location / { proxy_pass http://jsm; proxy_http_version 1.1; proxy_set_header Connection "";'
            f" proxy_set_header Host {self.backend}; }}\n"
            "  }\n"
        )
        self.backend_process = self.launch(
            self.nginx("backend", servers, OTHER_CORE), self.backend_port, core=OTHER_CORE
        )

    def start(self, name):
        return SUBJECTS[name](self)


def direct(world):
    return Subject("direct", world.backend_process, world.backend_port, world.backend_tls_port)


def bare_pingora(world, name="bare_pingora"):
    plain, tls = free_port(), free_port()
    addresses = [world.backend, f"127.0.0.1:{plain}", f"127.0.0.1:{tls}"]
    process = world.launch(world.command(name, *addresses, world.certificate, world.key), plain)
    return Subject(name, process, plain, tls)


def bare_pingora_mimalloc(world):
    return bare_pingora(world, "bare_pingora_mimalloc")


def nginx(world):
    plain, tls = free_port(), free_port()
    servers = (
        f"  upstream backend {{ server {world.backend}; keepalive 512; keepalive_requests 1000000000; }}\n"
        f"  server {{\n    listen 127.0.0.1:{plain} backlog=4096;\n    listen 127.0.0.1:{tls} ssl http2 backlog=4096;\n"
        f"    ssl_certificate {world.certificate};\n    ssl_certificate_key {world.key};\n"
        "    ssl_protocols TLSv1.2 TLSv1.3;\n    ssl_session_cache shared:tls:10m;\n"
        # As Vestibule does: log lines leave 20 times a second, and what a slow client does not take waits at the backend.
        f"    access_log {world.folder}/nginx-access.log combined buffer=64k flush=50ms;\n    proxy_max_temp_file_size 0;\n"
        '    location / { proxy_pass http://backend; proxy_http_version 1.1; proxy_set_header Connection "";'
        " proxy_request_buffering off; proxy_set_header Host $host; }\n  }\n"
    )
    process = world.launch(world.nginx("nginx", servers, SUBJECT_CORE), plain)
    return Subject("nginx", process, plain, tls)


def vestibule(world):
    plain, tls, admin = free_port(), free_port(), free_port()
    config = world.folder / "gateway.yaml"
    config.write_text(
        f"""version: 1
listen:
  https: "127.0.0.1:{tls}"
  behind_tls_proxy: "127.0.0.1:{plain}"
  admin: "127.0.0.1:{admin}"
  trusted_proxies: ["127.0.0.1/32"]
tls:
  certificates:
    - {{ cert: "{world.certificate}", key: "{world.key}" }}
keys: ["{world.seal}"]
session:
  idle_timeout: 24h
  absolute_timeout: 24h
  store: {{ embedded: {{ path: "{world.store}" }} }}
identity_providers:
  acme:
    oidc:
      issuer: "{world.told['issuer']}"
      client_id: vestibule
      client_secret: secret
    label: Acme
    email_domains: [acme.example]
  globex:
    saml:
      metadata: "{world.told['saml']}"
      signing_key: {{ file: "{world.folder}/saml-peers.key" }}
      certificate: {{ file: "{world.folder}/saml-peers.pem" }}
    label: Globex
    email_domains: [globex.com]
portals:
  - host: saml.localhost
    upstream: "http://{world.backend}"
    sign_in: {{ providers: [globex] }}
    customer_session:
      datacenter: {{ max_age: 4h }}
    directory:
      site_token: {{ token: "{world.told['jsm_token']}" }}
      create_customers: true
  - host: localhost
    upstream: "http://{world.backend}"
    sign_in: {{ providers: [acme] }}
    admission:
      email_domains: {{ allow: [acme.example] }}
      blocked_people: [bob@acme.example]
    customer_session:
      datacenter: {{ max_age: 4h }}
    directory:
      site_token: {{ token: "{world.told['jsm_token']}" }}
      create_customers: true
    rules:
      - {{ path: "/servicedesk/customer/kb/**", access: public }}
      - {{ path: "/s/**", access: public }}
      - {{ path: "/rest/api/**", access: deny }}
      - {{ path: "/secure/admin/**", access: deny }}
"""
    )
    world.register("oidc", "vestibule", f"https://localhost:{tls}/.vestibule/oidc/acme/callback")
    at_saml = f"https://saml.localhost:{tls}/.vestibule/saml/globex"
    world.register("saml", f"{at_saml}/metadata", f"{at_saml}/acs")
    log = open(world.folder / "vestibule-access.log", "w")
    process = start(
        world.command("vestibule", "run", "--config", config),
        SUBJECT_CORE,
        world.logs,
        env={"TOKIO_WORKER_THREADS": "1"},
        stdout=log,
    )
    world.processes.append(process)
    wait_for_port(plain, process, world.patience)
    subject = Vestibule("vestibule", process, plain, tls)
    subject.origin = f"https://localhost:{tls}"
    subject.headers = (cookie_header(subject.sign_in(world, "oidc")),)
    return subject


def apache(world, name, modules, lines, plain, tls, env=None):
    folder = world.folder / name
    folder.mkdir()
    loads = ["mpm_event", "authn_core", "authz_core", "authz_user", "proxy", "proxy_http", "ssl", "http2", "log_config"]
    loads += ["socache_shmcb", "headers", *modules]
    built_in = subprocess.run(["apache2", "-l"], capture_output=True, text=True, check=True).stdout
    text = "".join(
        f"LoadModule {module}_module /usr/lib/apache2/modules/mod_{module}.so\n"
        for module in loads
        if f"mod_{module}.c" not in built_in
    )
    text += (
        f"ServerName localhost\nServerRoot {folder}\nPidFile {folder}/apache.pid\nDefaultRuntimeDir {folder}\n"
        f"ErrorLog {folder}/error.log\nLogLevel warn\nUser www-data\nGroup www-data\n"
        'LogFormat "%h %l %u %t \\"%r\\" %>s %b" common\n'
        f"CustomLog {folder}/access.log common\nBufferedLogs On\n"
        f"Listen 127.0.0.1:{plain}\nListen 127.0.0.1:{tls}\n"
        "StartServers 1\nServerLimit 1\nThreadsPerChild 64\nMaxRequestWorkers 64\nMinSpareThreads 1\nMaxSpareThreads 64\n"
        "MaxConnectionsPerChild 0\nKeepAlive On\nMaxKeepAliveRequests 0\nKeepAliveTimeout 60\n"
        "SSLSessionCache shmcb:ssl(512000)\nProtocols h2 http/1.1\n"
        # In the main server: both hosts share one configuration, and with it one cache of sessions.
        f"{lines}<VirtualHost 127.0.0.1:{plain}>\n</VirtualHost>\n"
        f"<VirtualHost 127.0.0.1:{tls}>\nSSLEngine on\nSSLCertificateFile {world.certificate}\n"
        f"SSLCertificateKeyFile {world.key}\n</VirtualHost>\n"
    )
    (folder / "apache.conf").write_text(text)
    for path in (world.folder, *world.folder.parents):
        if path != Path("/") and not os.stat(path).st_mode & 0o001:
            print(f"   note: {path} is closed to www-data", flush=True)
    return world.launch(["apache2", "-DFOREGROUND", "-f", folder / "apache.conf"], plain, env=env)


def apache_openidc(world):
    plain, tls = free_port(), free_port()
    callback = f"http://localhost:{plain}/oidc/callback"
    metadata = f"{world.told['issuer']}/.well-known/openid-configuration"
    provider = json.loads(urllib.request.urlopen(metadata, timeout=30).read())
    # Else it would ask there at each sign-in and keep all claims twice, which Vestibule does not here. (Endpoints can be set
    # one by one only when they are by TLS.)
    provider.pop("userinfo_endpoint", None)
    (world.folder / "files" / "provider.json").write_text(json.dumps(provider))
    lines = (
        f"OIDCProviderMetadataURL http://{world.backend}/provider.json\n"
        "OIDCProviderTokenEndpointAuth client_secret_basic\n"
        f"OIDCClientID apache\nOIDCClientSecret secret\nOIDCRedirectURI {callback}\n"
        f"OIDCCryptoPassphrase {secrets.token_hex(16)}\nOIDCSessionType server-cache\nOIDCCacheType shm\n"
        "OIDCPKCEMethod S256\nOIDCScope \"openid email profile\"\nOIDCSessionInactivityTimeout 86400\nOIDCCookieSameSite On\n"
        "<Location />\nAuthType openid-connect\nRequire valid-user\n</Location>\n"
        f"ProxyPass /oidc !\nProxyPass / http://{world.backend}/ keepalive=On\n"
    )
    world.register("oidc", "apache", callback)
    process = apache(world, "apache_openidc", ["auth_openidc"], lines, plain, tls)
    subject = ApacheOpenidc("apache_openidc", process, plain, tls)
    subject.headers = (cookie_header(subject.sign_in(world, "oidc")),)
    return subject


def service_provider(at, certificate):
    """Metadata of a SAML service provider below the address `at`."""
    certificate = "".join(certificate.split("-----")[2].split())
    return (
        f'<EntityDescriptor entityID="{at}/metadata" xmlns="urn:oasis:names:tc:SAML:2.0:metadata">\n'
        '<SPSSODescriptor AuthnRequestsSigned="true" WantAssertionsSigned="true"'
        ' protocolSupportEnumeration="urn:oasis:names:tc:SAML:2.0:protocol">\n'
        '<KeyDescriptor use="signing"><KeyInfo xmlns="http://www.w3.org/2000/09/xmldsig#"><X509Data>'
        f"<X509Certificate>{certificate}</X509Certificate></X509Data></KeyInfo></KeyDescriptor>\n"
        '<AssertionConsumerService index="0" isDefault="true" Binding="urn:oasis:names:tc:SAML:2.0:bindings:HTTP-POST"'
        f' Location="{at}/postResponse"/>\n</SPSSODescriptor></EntityDescriptor>\n'
    )


def apache_mellon(world):
    plain, tls = free_port(), free_port()
    metadata = world.folder / "saml-provider.xml"
    metadata.write_bytes(urllib.request.urlopen(world.told["saml"], timeout=30).read())
    at = f"http://localhost:{plain}/mellon"
    # Metadata in a file, as its guide has it: what it makes up itself, it makes anew for each request without a session.
    ours = world.folder / "saml-peer.xml"
    ours.write_text(service_provider(at, (world.folder / "saml-peers.pem").read_text()))
    lines = (
        f"MellonLockFile {world.folder}/mellon.lock\n"
        "<Location />\nAuthType Mellon\nMellonEnable auth\nRequire valid-user\nMellonSecureCookie Off\n"
        f"MellonEndpointPath /mellon\nMellonSPMetadataFile {ours}\n"
        f"MellonSPPrivateKeyFile {world.folder}/saml-peers.key\nMellonSPCertFile {world.folder}/saml-peers.pem\n"
        f"MellonIdPMetadataFile {metadata}\nMellonSessionLength 86400\n</Location>\n"
        f"ProxyPass /mellon !\nProxyPass / http://{world.backend}/ keepalive=On\n"
    )
    world.register("saml", f"{at}/metadata", f"{at}/postResponse")
    # For each request without a session its XML library reads all authorities that the system trusts, which takes a tenth of a
    # second, and needs none of them: here there is one.
    env = {"SSL_CERT_FILE": str(world.authority), "SSL_CERT_DIR": str(world.folder)}
    process = apache(world, "apache_mellon", ["auth_mellon"], lines, plain, tls, env)
    subject = ApacheMellon("apache_mellon", process, plain, tls)
    subject.headers = (cookie_header(subject.sign_in(world, "saml")),)
    return subject


SUBJECTS = {
    "direct": direct,
    "bare_pingora": bare_pingora,
    "bare_pingora_mimalloc": bare_pingora_mimalloc,
    "nginx": nginx,
    "apache_openidc": apache_openidc,
    "apache_mellon": apache_mellon,
    "vestibule": vestibule,
}
