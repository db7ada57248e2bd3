#!/usr/bin/env python3
"""Instructions and allocations of one request in user space, counted by callgrind: of bare Pingora, and of Vestibule with a session; by HTTP/1.1
over one connection, and by HTTP/2 over 16 with 8 streams each, their handshakes among it.

A count has no noise. An allocation is a call of what Rust allocates by; to make a piece of memory larger is one, too."""

import json
import re
import subprocess
from http.client import HTTPConnection

from command_line import command_line, names
from measure import h2load
from subjects import SUBJECTS, World
from workloads import WORKLOADS

COUNTED = ("bare_pingora", "bare_pingora_mimalloc", "vestibule")
BEFORE, TIMES = 300, 1_000
BEFORE_HTTP2, TIMES_HTTP2 = 500, 4_000
# The system's, and mimalloc's as its crate calls them; callgrind adds a number to a function that calls itself.
ALLOCATES = re.compile(r"^(mi_(malloc|zalloc|realloc)_aligned|malloc|calloc|realloc|posix_memalign|aligned_alloc)(@.*|'\d+)?$")


def arguments():
    parser = command_line(__doc__)
    parser.add_argument("--sessions", type=int, default=100_000)
    parser.add_argument("--subjects", type=names, default=list(COUNTED))
    return parser.parse_args()


def instructions(dump):
    return int(re.search(r"^(?:summary|totals): (\d+)", dump, re.MULTILINE).group(1))


def allocations(dump):
    """Calls of the functions that allocate, from whichever function."""
    names, called, total = {}, None, 0
    for line in dump.splitlines():
        if found := re.match(r"(c?fn)=\((\d+)\)(?: (.*))?$", line):
            if found.group(3):
                names[found.group(2)] = found.group(3)
            if found.group(1) == "cfn":
                called = names[found.group(2)]
        elif found := re.match(r"calls=(\d+)", line):
            total += int(found.group(1)) if ALLOCATES.match(called) else 0
    return total


def http1(subject):
    """Asks over one connection, which stays."""
    host, port = subject.address(False).split(":")
    connection = HTTPConnection(host, int(port), timeout=120)
    fields = dict(line.split(": ", 1) for line in (f"Host: {subject.host}", *subject.headers, "Accept-Encoding: identity"))

    def ask(times):
        for _ in range(times):
            connection.request("GET", "/small", headers=fields)
            answer = connection.getresponse()
            if answer.status != 200 or len(answer.read()) != 120:
                raise RuntimeError(f"{subject.name} answers {answer.status}")

    return ask, BEFORE, TIMES


def http2(subject):
    """Asks over new connections."""

    def ask(times):
        h2load(subject.url("/small", True), 300, WORKLOADS["http2"].head(subject), requests=times)

    return ask, BEFORE_HTTP2, TIMES_HTTP2


ASKED = {"keepalive_plain": http1, "http2": http2}


def control(subject, what):
    """Tells callgrind, which writes to its file before this ends."""
    subprocess.run(["callgrind_control", what, str(subject.pid)], check=True, capture_output=True)


def count(options, world, name):
    subject, counts = SUBJECTS[name](world), {}
    for workload, asked in ASKED.items():
        ask, before, times = asked(subject)
        ask(before)  # connected, cached, grown
        control(subject, "--zero")
        ask(times)
        control(subject, "--dump")
        dumps = options.out.glob(f"callgrind.{name}.{subject.pid}.*")
        dump = max(dumps, key=lambda file: file.stat().st_mtime).read_text()
        counts[workload] = {"instructions": instructions(dump) / times, "allocations": allocations(dump) / times}
    return counts


def main():
    options = arguments()
    options.out = options.out.resolve()
    options.out.mkdir(parents=True, exist_ok=True)
    for old in options.out.glob("callgrind.*"):
        old.unlink()
    world = World(options)
    world.started_by = lambda name: ["valgrind", "--tool=callgrind", f"--callgrind-out-file={options.out}/callgrind.{name}.%p"]
    world.patience = 180
    results = {}
    with world:
        for name in options.subjects:
            results[name] = count(options, world, name)
            for workload, counts in results[name].items():
                cells = "  ".join(f"{value:,.1f} {what}" for what, value in counts.items())
                print(f"{name:<24}{workload:<18}{cells}", flush=True)
    (options.out / "count.json").write_text(json.dumps(results, indent=2) + "\n")


if __name__ == "__main__":
    main()
