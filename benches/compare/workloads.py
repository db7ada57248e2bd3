"""What is asked of the subjects. The order is that of the results."""

import http.client
import ssl
import time

from measure import h2load, pace, wrk

PERCENTILES = ("p50_us", "p99_us", "p999_us")
IDENTITY = "Accept-Encoding: identity"


class Get:
    """One small or large answer, again and again, over kept connections."""

    has_latency = True

    def __init__(self, path, tls=False, connections=32, headers=(IDENTITY,)):
        self.path, self.tls, self.connections, self.headers = path, tls, connections, headers

    def takes(self, subject):
        return subject.by_tls or not self.tls

    def head(self, subject):
        return [f"Host: {subject.host}", *subject.headers, *self.headers]

    def check(self, world, subject):
        """The answer is the right one, before anything is measured."""
        status, body = fetch(world, subject, self.path, self.tls, self.head(subject))
        if status != 200 or len(body) < 100:
            raise RuntimeError(f"{subject.name} answers {self.path} with {status} and {len(body)} octets")

    def load(self, world, subject, seconds):
        return wrk(subject, subject.url(self.path, self.tls), seconds, self.head(subject), self.connections)

    def pace(self, world, subject, rate, seconds):
        told = pace(
            world, subject.address(self.tls), self.path, self.head(subject), rate, seconds, self.connections, self.tls
        )
        return {key: told[key] for key in PERCENTILES}


class Connect(Get):
    """A TLS connection for each request: a full handshake, or a resumed one."""

    def __init__(self, resumed):
        super().__init__("/small", tls=True, connections=16)
        self.more = ["--reconnect", "resumed" if resumed else "full"]

    def load(self, world, subject, seconds):
        told = pace(
            world, subject.address(True), self.path, self.head(subject), 0, seconds, self.connections, True, self.more
        )
        return told["requests"]

    def pace(self, world, subject, rate, seconds):
        told = pace(
            world,
            subject.address(True),
            self.path,
            self.head(subject),
            rate,
            seconds,
            self.connections,
            True,
            self.more,
        )
        return {key: told[key] for key in PERCENTILES}


class Http2(Get):
    """Small answers over few HTTP/2 connections with several streams each."""

    has_latency = False  # h2load cannot count from the moment at which a request was due

    def __init__(self):
        super().__init__("/small", tls=True)

    def load(self, world, subject, seconds):
        return h2load(subject.url(self.path, True), seconds, self.head(subject))


class Upload(Get):
    """10 MiB sent, a small answer."""

    has_latency = False

    def head(self, subject):
        return [*super().head(subject), f"Origin: {subject.origin}"]

    def check(self, world, subject):
        """By the load itself: it stops at the first answer that is no success."""

    def load(self, world, subject, seconds):
        return wrk(subject, subject.url(self.path), seconds, self.head(subject), 4, world.upload_script)


class Download(Get):
    """10 MiB received."""

    has_latency = False


class Refused(Get):
    """No cookie: sent to sign in, or refused."""

    has_latency = False

    def __init__(self):
        super().__init__("/small")

    def takes(self, subject):
        return subject.guards and subject.refuses_many

    def head(self, subject):
        return [f"Host: {subject.host}", "Accept: text/html", "Sec-Fetch-Mode: navigate", "Sec-Fetch-Dest: document"]

    def check(self, world, subject):
        status, _ = fetch(world, subject, self.path, False, self.head(subject))
        if status not in (302, 303, 401):
            raise RuntimeError(f"{subject.name} does not refuse: {status}")


class SignIn:
    """One whole sign-in after another: to the provider and back, until the page that was asked for."""

    has_latency = False

    def __init__(self, protocol):
        self.protocol = protocol

    def takes(self, subject):
        return self.protocol in subject.signs_in_by

    def check(self, world, subject):
        subject.sign_in(world, self.protocol)

    def load(self, world, subject, seconds):
        done, end = 0, time.monotonic() + seconds
        while time.monotonic() < end:
            subject.sign_in(world, self.protocol)
            done += 1
        return done


def fetch(world, subject, path, tls, headers):
    host, port = subject.address(tls).split(":")
    context = ssl.create_default_context(cafile=str(world.authority)) if tls else None
    if tls:
        connection = http.client.HTTPSConnection("localhost", int(port), context=context, timeout=30)
    else:
        connection = http.client.HTTPConnection(host, int(port), timeout=30)
    fields = dict(header.split(": ", 1) for header in headers)
    connection.request("GET", path, headers=fields)
    answer = connection.getresponse()
    body = answer.read()
    connection.close()
    return answer.status, body


WORKLOADS = {
    "keepalive_plain": Get("/small"),
    "keepalive_tls": Get("/small", tls=True),
    "connect_tls_full": Connect(resumed=False),
    "connect_tls_resumed": Connect(resumed=True),
    "http2": Http2(),
    "rewrite_html": Get("/page.html"),
    "rewrite_html_gzip": Get("/page.html", headers=("Accept-Encoding: gzip",)),
    "search_html": Get("/search.html"),
    "search_html_gzip": Get("/search.html", headers=("Accept-Encoding: gzip",)),
    "pass_html": Get("/fixed.html"),
    "pass_html_gzip": Get("/fixed.html", headers=("Accept-Encoding: gzip",)),
    "download": Download("/download", connections=4),
    "upload": Upload("/upload"),
    "refused": Refused(),
    "sign_in_oidc": SignIn("oidc"),
    "sign_in_saml": SignIn("saml"),
}
