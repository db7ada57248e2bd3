"""Loads: as much as goes through (closed loop), and a fixed rate for latencies."""

import json
import re
import subprocess
import time

from processes import OTHER_CORE, cpu_seconds, resident_mib

PERCENTILES = ("p50_us", "p99_us", "p999_us")


def on_other_core(command, timeout):
    done = subprocess.run(
        ["taskset", "-c", str(OTHER_CORE), *map(str, command)], capture_output=True, text=True, timeout=timeout
    )
    if done.returncode != 0:
        raise RuntimeError(f"{command[0]} failed: {done.stderr or done.stdout}")
    return done.stdout


def closed_loop(world, workload, subject, seconds):
    """One round: requests/s, CPU per request of the subject's processes, and their memory."""
    cpu, began = cpu_seconds(subject.pid), time.monotonic()
    requests = workload.load(world, subject, seconds)
    took, cpu = time.monotonic() - began, cpu_seconds(subject.pid) - cpu
    if requests == 0:
        raise RuntimeError(f"{subject.name} answered nothing")
    return {
        "rps": requests / took,
        "cpu_us_per_request": cpu * 1e6 / requests,
        "rss_mib": resident_mib(subject.pid),
    }


def fixed_rate(world, workload, subject, rate, seconds):
    """One round at a fixed rate: latencies from the moment at which each request was due."""
    return workload.pace(world, subject, rate, seconds)


def wrk(subject, url, seconds, headers, connections=32, script=None):
    command = ["wrk", "-t1", f"-c{connections}", f"-d{max(1, round(seconds))}s"]
    for header in headers:
        command += ["-H", header]
    if script:
        command += ["-s", script]
    out = on_other_core([*command, url], seconds + 60)
    bad = re.search(r"Non-2xx or 3xx responses: (\d+)", out) or re.search(r"Socket errors: (.*)", out)
    if bad and not re.fullmatch(r"connect 0, read 0, write 0, timeout 0", bad.group(1)):
        raise RuntimeError(f"{subject.name}: {bad.group(0)}\n{out}")
    return int(re.search(r"(\d+) requests in", out).group(1))


def h2load(url, seconds, headers, connections=16, streams=8, requests=None):
    """For `seconds`, or as many as `requests`, which may take `seconds`."""
    command = ["h2load", f"-c{connections}", f"-m{streams}", "-t1", f"-n{requests}" if requests else f"-D{max(1, round(seconds))}"]
    for header in headers:
        # HTTP/2 says the host once (RFC 9113 section 8.3.1).
        command += ["-H", header.replace("Host: ", ":authority: ")]
    out = on_other_core([*command, url], seconds + 60)
    counts = re.search(r"(\d+) succeeded, (\d+) failed, (\d+) errored", out)
    if not counts or counts.group(2) != "0" or counts.group(3) != "0":
        raise RuntimeError(out)
    return int(counts.group(1))


def pace(world, address, path, headers, rate, seconds, connections=32, tls=False, more=()):
    """What `pace` tells; it fails by itself at the first answer that is not as it should be."""
    command = [world.program("pace"), address, path, "--connections", connections]
    command += ["--rate", rate, "--seconds", max(1, round(seconds)), *more]
    for header in headers:
        command += ["--header", header]
    if tls:
        command += ["--tls", world.authority, "localhost"]
    told = json.loads(on_other_core(command, seconds + 120))
    if "--reconnect" in more:
        resumed = told["resumed"] / max(1, told["requests"])
        if resumed < 0.95 if "resumed" in more else resumed > 0:
            raise RuntimeError(f"{address}: {resumed:.1%} of the handshakes were resumed")
    return told
