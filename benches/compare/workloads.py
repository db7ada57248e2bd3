"""What is asked of the subjects. The order is that of the results."""

import gzip
import http.client
import itertools
import math
import ssl
import time
from concurrent.futures import ThreadPoolExecutor

from measure import PERCENTILES, h2load, pace, wrk

IDENTITY = "Accept-Encoding: identity"
GZIP = "Accept-Encoding: gzip"
# What a browser sends with a script's request besides, of the length that it has; no coding, so that the answer is the same.
OF_A_BROWSER = (
    "User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36",
    "Accept: application/json, text/javascript, */*; q=0.01",
    "Accept-Language: en-GB,en-US;q=0.9,en;q=0.8,de;q=0.7",
    'sec-ch-ua: "Chromium";v="142", "Google Chrome";v="142", "Not_A Brand";v="99"',
    "sec-ch-ua-mobile: ?0",
    'sec-ch-ua-platform: "Linux"',
    "Sec-Fetch-Dest: empty",
    "Sec-Fetch-Mode: cors",
    "Sec-Fetch-Site: same-origin",
    "X-Requested-With: XMLHttpRequest",
    "Cache-Control: no-cache",
    "Pragma: no-cache",
)
PEERS = ("direct", "bare_pingora", "nginx", "apache_openidc", "apache_mellon", "vestibule")
WITH_OUR_ALLOCATOR = (*PEERS, "bare_pingora_mimalloc")
GUARDS = ("apache_openidc", "apache_mellon", "vestibule")
# What searching a page costs is a question to Vestibule alone.
OURS = ("bare_pingora", "vestibule")


class Get:
    """One small or large answer, again and again, over kept connections."""

    def __init__(self, path, tls=False, connections=32, headers=(IDENTITY,), subjects=PEERS, more=()):
        """`more` are options of `pace`."""
        self.path, self.tls, self.connections, self.headers = path, tls, connections, headers
        self.subjects, self.more = subjects, more

    def head(self, subject):
        return [f"Host: {subject.host}", *subject.headers, *self.headers]

    def check(self, world, subject):
        """The answer is the right one, before anything is measured; gives its body."""
        subject.check(world)
        status, body, tls = fetch(world, subject, self.path, self.tls, self.head(subject))
        if self.tls and tls != world.agreed.setdefault("tls", tls):
            raise RuntimeError(f"{subject.name} speaks {tls}, others {world.agreed['tls']}")
        if status != 200 or len(body) < 100:
            raise RuntimeError(f"{subject.name} answers {self.path} with {status} and {len(body)} octets")
        return body

    def load(self, world, subject, seconds):
        return wrk(subject, subject.url(self.path, self.tls), seconds, self.head(subject), self.connections)

    def pace(self, world, subject, rate, seconds):
        told = self.paced(world, subject, rate, seconds)
        return {key: told[key] for key in PERCENTILES}

    def paced(self, world, subject, rate, seconds):
        at, head = subject.address(self.tls), self.head(subject)
        return pace(world, at, self.path, head, rate, seconds, self.connections, self.tls, self.more)


class Browser(Get):
    """The same with the fields that a browser sends."""

    def head(self, subject):
        return [*super().head(subject), f"Referer: {subject.origin}/servicedesk/customer/portal/1", *OF_A_BROWSER]


class Page(Get):
    """64 KiB of HTML; as it comes from the backend, it may have the backend's address in it."""

    def __init__(self, path, encoding, may_change, subjects=PEERS):
        super().__init__(path, headers=(encoding,), subjects=subjects)
        self.encoding, self.may_change = encoding, may_change

    def check(self, world, subject):
        """Who rewrites leaves no address of the backend; all others, and all pages that nobody may change, stay as they were."""
        body = super().check(world, subject)
        if (body[:2] == b"\x1f\x8b") != (self.encoding == GZIP):
            raise RuntimeError(f"{subject.name}: {self.path} is not in the coding that was asked for")
        body = gzip.decompress(body) if self.encoding == GZIP else body
        before = (world.folder / "files" / self.path.removeprefix("/")).read_bytes()
        if self.may_change and subject.rewrites:
            before = before.replace(f"http://{world.backend}".encode(), subject.origin.encode())
        if body != before:
            raise RuntimeError(f"{subject.name}: {self.path} is not as it should be")


class Connect(Get):
    """A TLS connection for each request: a full handshake, or a resumed one."""

    def __init__(self, resumed):
        super().__init__("/small", tls=True, connections=16, more=["--reconnect", "resumed" if resumed else "full"])

    def load(self, world, subject, seconds):
        return self.paced(world, subject, 0, seconds)["requests"]


class Http2(Get):
    """Small answers over few HTTP/2 connections with several streams each."""

    def __init__(self, **options):
        super().__init__("/small", tls=True, connections=16, more=["--http2"], **options)

    def load(self, world, subject, seconds):
        return h2load(subject.url(self.path, True), seconds, self.head(subject), self.connections)


class Upload(Get):
    """10 MiB sent, a small answer."""

    def __init__(self):
        super().__init__("/upload", connections=4, more=["--body", 10_485_760])

    def head(self, subject):
        return [*super().head(subject), f"Origin: {subject.origin}"]

    def check(self, world, subject):
        """By the load itself: it stops at the first answer that is no success."""

    def load(self, world, subject, seconds):
        return wrk(subject, subject.url(self.path), seconds, self.head(subject), self.connections, world.upload_script)


class Refused(Get):
    """No cookie: sent to sign in, or refused."""

    def __init__(self):
        super().__init__("/small", subjects=GUARDS, more=["--status", "302,303,401"])

    def head(self, subject):
        return [f"Host: {subject.host}", "Accept: text/html", "Sec-Fetch-Mode: navigate", "Sec-Fetch-Dest: document"]

    def check(self, world, subject):
        status, _, _ = fetch(world, subject, self.path, False, self.head(subject))
        if status not in (302, 303, 401):
            raise RuntimeError(f"{subject.name} does not refuse: {status}")


class SignIn:
    """One whole sign-in after another: to the provider and back, until the page that was asked for."""

    def __init__(self, protocol, subjects):
        self.protocol, self.subjects = protocol, subjects

    def check(self, world, subject):
        subject.sign_in(world, self.protocol)

    def load(self, world, subject, seconds):
        done, end = 0, time.monotonic() + seconds
        while time.monotonic() < end:
            subject.sign_in(world, self.protocol)
            done += 1
        return done

    def pace(self, world, subject, rate, seconds):
        """Each at its own moment, and counted from there; the time of the provider and of this client is part of it."""
        numbers, taken = itertools.count(), []
        begin = time.monotonic() + 0.05

        def work():
            while (number := next(numbers)) < rate * seconds:
                due = begin + number / rate
                time.sleep(max(0.0, due - time.monotonic()))
                subject.sign_in(world, self.protocol)
                taken.append((time.monotonic() - due) * 1e6)

        with ThreadPoolExecutor(8) as pool:
            for done in [pool.submit(work) for _ in range(8)]:
                done.result()
        taken.sort()
        shares = zip(PERCENTILES, (0.5, 0.99, 0.999), strict=True)
        return {key: taken[math.ceil(len(taken) * share) - 1] for key, share in shares}


def fetch(world, subject, path, tls, headers):
    """Status, body, and what TLS was agreed on."""
    host, port = subject.address(tls).split(":")
    context = ssl.create_default_context(cafile=str(world.authority)) if tls else None
    if tls:
        connection = http.client.HTTPSConnection("localhost", int(port), context=context, timeout=30)
    else:
        connection = http.client.HTTPConnection(host, int(port), timeout=30)
    fields = dict(header.split(": ", 1) for header in headers)
    connection.request("GET", path, headers=fields)
    agreed = (connection.sock.version(), connection.sock.cipher()[0]) if tls else None
    answer = connection.getresponse()
    body = answer.read()
    connection.close()
    return answer.status, body, agreed


WORKLOADS = {
    "keepalive_plain": Get("/small", subjects=WITH_OUR_ALLOCATOR),
    "keepalive_tls": Get("/small", tls=True, subjects=WITH_OUR_ALLOCATOR),
    "keepalive_browser": Browser("/small", subjects=WITH_OUR_ALLOCATOR),
    "connect_tls_full": Connect(resumed=False),
    "connect_tls_resumed": Connect(resumed=True),
    "http2": Http2(subjects=WITH_OUR_ALLOCATOR),
    "rewrite_html": Page("/page.html", IDENTITY, may_change=True),
    "rewrite_html_gzip": Page("/page.html", GZIP, may_change=True),
    "search_html": Page("/search.html", IDENTITY, may_change=True, subjects=OURS),
    "search_html_gzip": Page("/search.html", GZIP, may_change=True, subjects=OURS),
    "pass_html": Page("/fixed.html", IDENTITY, may_change=False, subjects=OURS),
    "pass_html_gzip": Page("/fixed.html", GZIP, may_change=False, subjects=OURS),
    "download": Get("/download", connections=4),
    "upload": Upload(),
    "refused": Refused(),
    "sign_in_oidc": SignIn("oidc", ("apache_openidc", "vestibule")),
    "sign_in_saml": SignIn("saml", ("apache_mellon", "vestibule")),
}
