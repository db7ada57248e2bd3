#!/usr/bin/env python3
"""How the gateway's cost grows: with sessions, connections, portals and rules. See README.md in this folder."""

import json
import resource
import secrets
import shutil
import socket
import ssl
import statistics
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "compare"))

from command_line import command_line  # noqa: E402
from measure import closed_loop  # noqa: E402
from processes import SUBJECT_CORE, cores_awake, cpu_nanoseconds, cpu_seconds, free_port, resident_mib, start, stop  # noqa: E402
from processes import whole_resident_mib  # noqa: E402
from subjects import Vestibule, World, ask, cookie_header  # noqa: E402
from workloads import WORKLOADS  # noqa: E402


STARTS = 5
REST = 3


def arguments():
    parser = command_line(__doc__)
    parser.add_argument("--sessions", type=numbers, default=[10_000, 100_000, 1_000_000])
    parser.add_argument("--portals", type=numbers, default=[1, 100, 1_000])
    parser.add_argument("--rules", type=numbers, default=[1, 100, 1_000])
    parser.add_argument("--callbacks", type=int, default=300, help="sign-ins whose callback is timed")
    parser.add_argument("--idle", type=int, default=10_000, help="idle connections")
    parser.add_argument("--active", type=int, default=2_000, help="connections that are used")
    parser.add_argument("--seconds", type=float, default=3)
    return parser.parse_args()


def numbers(text):
    return [int(number) for number in text.split(",")]


def by_sessions(options, folder):
    """Each store apart, by a program that does with it what a gateway does; each step of it is a process of its own."""
    results = []
    for number in options.sessions:
        for cache in [100_000] + ([number] if number > 100_000 else []):
            store, ids = folder / f"sessions-{number}.redb", folder / f"sessions-{number}.ids"
            store.unlink(missing_ok=True)
            key = "vk1_" + secrets.token_urlsafe(32)
            filled = step(options, "fill", store, number, key, min(cache, number), ids)
            # The one before has not closed it.
            crashed = step(options, "open", store, key)
            measured = step(options, "measure", store, key, cache, ids)
            result = {"sessions": measured.pop("sessions"), "cache": measured.pop("cache")}
            result |= filled | {"open_after_crash_ms": crashed.pop("open_ms")} | crashed | measured
            results.append(result)
            show("sessions", result)
            store.unlink()
            ids.unlink()
    return results


def step(options, *arguments):
    command = [options.binaries / "bench_sessions", *arguments]
    done = subprocess.run([*map(str, command)], capture_output=True, text=True, timeout=3600)
    if done.returncode != 0:
        raise RuntimeError(done.stderr)
    return json.loads(done.stdout)


class Gateway:
    """The real program with so many portals and rules, and a store that is not empty."""

    def __init__(self, world, portals=1, rules=4):
        self.world, self.folder = world, world.folder / f"gateway-{portals}-{rules}"
        self.folder.mkdir()
        self.plain, self.tls, self.admin = free_port(), free_port(), free_port()
        # A store can be open in one process at a time.
        self.store = self.folder / "sessions.redb"
        shutil.copy(world.store, self.store)
        config = self.folder / "gateway.yaml"
        self.client = f"vestibule-{portals}-{rules}"
        world.register("oidc", self.client, f"https://localhost:{self.tls}/.vestibule/oidc/acme/callback")
        config.write_text(self.configuration(portals, rules))
        began = time.monotonic()
        self.process = start(
            [world.program("vestibule"), "run", "--config", config],
            SUBJECT_CORE,
            world.logs,
            env={"TOKIO_WORKER_THREADS": "1"},
            stdout=subprocess.DEVNULL,
        )
        world.processes.append(self.process)
        self.ready_ms = self.wait_until_ready(began)
        self.subject = Vestibule("vestibule", self.process, self.plain, self.tls)
        self.subject.origin = f"https://localhost:{self.tls}"

    def wait_until_ready(self, began):
        while time.monotonic() < began + 30:
            if self.process.poll() is not None:
                raise RuntimeError(f"vestibule ended with {self.process.returncode}: see {self.world.folder}/processes.log")
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{self.admin}/readyz", timeout=1).read()
                return (time.monotonic() - began) * 1e3
            except OSError:
                time.sleep(0.002)
        raise RuntimeError("vestibule was not ready after 30 s")

    def configuration(self, portals, rules):
        world = self.world
        text = f"""version: 1
listen:
  https: "127.0.0.1:{self.tls}"
  behind_tls_proxy: "127.0.0.1:{self.plain}"
  admin: "127.0.0.1:{self.admin}"
  trusted_proxies: ["127.0.0.1/32"]
  limits: {{ connections: 20000, idle_time: 10m }}
tls:
  certificates:
    - {{ cert: "{world.certificate}", key: "{world.key}" }}
keys: ["{world.seal}"]
session:
  idle_timeout: 24h
  absolute_timeout: 24h
  store: {{ embedded: {{ path: "{self.store}" }} }}
identity_providers:
  acme:
    oidc:
      issuer: "{world.told['issuer']}"
      client_id: {self.client}
      client_secret: secret
    label: Acme
portals:
"""
        hosts = ["localhost", *(f"portal-{number}.localhost" for number in range(1, portals))]
        for host in hosts:
            text += f"""  - host: {host}
    upstream: "http://{world.backend}"
    sign_in: {{ providers: [acme] }}
    customer_session:
      datacenter: {{ max_age: 4h }}
    directory:
      site_token: {{ token: "{world.told['jsm_token']}" }}
      create_customers: true
    rules:
"""
            count = rules if host == "localhost" else 1
            for number in range(count):
                text += f'      - {{ path: "/some/folder-{number}/**", access: deny }}\n'
        return text

    def sign_in(self):
        self.subject.headers = (cookie_header(self.subject.sign_in(self.world, "oidc")),)

    def stop(self):
        stop(self.process)
        shutil.rmtree(self.folder)


def per_request(world, gateway, seconds):
    workload = WORKLOADS["keepalive_plain"]
    gateway.sign_in()
    workload.check(world, gateway.subject)
    closed_loop(world, workload, gateway.subject, 1)
    return closed_loop(world, workload, gateway.subject, seconds)


def started(world, portals, rules):
    """The last of several starts, and their medians: until ready, and whole resident memory after some seconds of rest."""
    ready, idle = [], []
    for number in range(STARTS):
        gateway = Gateway(world, portals, rules)
        time.sleep(REST)
        ready.append(gateway.ready_ms)
        idle.append(whole_resident_mib(gateway.process.pid))
        if number < STARTS - 1:
            gateway.stop()
    return gateway, statistics.median(ready), statistics.median(idle)


def by_settings(options, world):
    results = []
    wanted = [(number, 1) for number in options.portals] + [(1, number) for number in options.rules]
    for portals, rules in dict.fromkeys(wanted):
        gateway, ready_ms, idle_mib = started(world, portals, rules)
        result = {"portals": portals, "rules": rules, "starts": STARTS, "ready_ms": ready_ms, "idle_mib": idle_mib}
        result |= per_request(world, gateway, options.seconds)
        gateway.stop()
        results.append(result)
        show("settings", result)
    return results


def by_callback(options, world):
    """CPU time of the gateway alone from the OpenID provider's answer to its own, and what comes after that."""
    gateway, taken = Gateway(world), []

    def timed(*request):
        before = cpu_nanoseconds(gateway.process.pid)
        answer = ask(*request)
        time.sleep(0.003)
        after = cpu_nanoseconds(gateway.process.pid)
        taken.append(sum(after.values()) - sum(before.get(thread, 0) for thread in after))
        return answer

    for _ in range(options.callbacks):
        gateway.subject.sign_in(world, "oidc", timed)
    gateway.stop()
    taken.sort()
    result = {"callbacks": len(taken), "cpu_us": statistics.median(taken) / 1e3, "cpu_us_p99": taken[len(taken) * 99 // 100] / 1e3}
    show("callback", result)
    return [result]


def by_connections(options, world):
    """Idle TLS connections, each with its handshake done; then requests beside them over many connections."""
    gateway = Gateway(world, 1, 2)
    gateway.sign_in()
    before = resident_mib(gateway.process.pid)
    context = ssl.create_default_context(cafile=str(world.authority))
    context.set_alpn_protocols(["http/1.1"])
    idle = []
    cpu = cpu_seconds(gateway.process.pid)
    for _ in range(options.idle):
        # Kept open by this list, and read by nobody.
        idle.append(context.wrap_socket(socket.create_connection(("127.0.0.1", gateway.tls)), server_hostname="localhost"))
    handshakes = cpu_seconds(gateway.process.pid) - cpu
    with_idle = resident_mib(gateway.process.pid)
    workload = WORKLOADS["keepalive_plain"]
    workload.check(world, gateway.subject)
    few = closed_loop(world, workload, gateway.subject, options.seconds)
    workload.connections, usual = options.active, workload.connections
    many = closed_loop(world, workload, gateway.subject, options.seconds)
    workload.connections = usual
    result = {
        "idle": options.idle,
        "kib_per_idle": (with_idle - before) * 1024 / options.idle,
        "handshake_cpu_us": handshakes * 1e6 / options.idle,
        "cpu_us_per_request_beside_idle": few["cpu_us_per_request"],
        "active": options.active,
        "cpu_us_per_request_active": many["cpu_us_per_request"],
        "rps_active": many["rps"],
        "mib_active": many["rss_mib"],
    }
    for connection in idle:
        connection.close()
    gateway.stop()
    show("connections", result)
    return [result]


def show(what, result):
    cells = "  ".join(f"{key} {value:,.1f}" if isinstance(value, float) else f"{key} {value:,}" for key, value in result.items())
    print(f"   {what:<12} {cells}", flush=True)


def table(results):
    lines = []
    for what, rows in results.items():
        if not rows:
            continue
        keys = list(rows[0])
        lines += [f"### {what}", "", "| " + " | ".join(keys) + " |", "|" + "---:|" * len(keys)]
        for row in rows:
            cells = (f"{row[key]:,.1f}" if isinstance(row[key], float) else f"{row[key]:,}" for key in keys)
            lines.append("| " + " | ".join(cells) + " |")
        lines.append("")
    return "\n".join(lines)


def main():
    options = arguments()
    # Before anything is started that needs as many.
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    if options.idle and most < options.idle + 2 * options.active + 1_000:
        raise RuntimeError(f"so many connections want more than the {most} files that a process may open")
    options.out.mkdir(parents=True, exist_ok=True)
    results = {}
    folder = options.out.resolve() / "scale"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    with cores_awake():
        results["sessions"] = by_sessions(options, folder) if options.sessions else []
        # The gateways of the rest start with a store as large as the smallest.
        options.sessions = min(options.sessions or [10_000])
        with World(options) as world:
            results["settings"] = by_settings(options, world)
            results["callback"] = by_callback(options, world) if options.callbacks else []
            results["connections"] = by_connections(options, world) if options.idle else []
    (options.out / "scale.json").write_text(json.dumps(results, indent=2) + "\n")
    (options.out / "scale.md").write_text(table(results))
    print(table(results))


if __name__ == "__main__":
    main()
