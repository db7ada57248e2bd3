"""The table of a run: for the terminal, and docs/benchmarks.md's figures."""

import os
import platform
import re
import subprocess
from datetime import datetime, timezone
from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGES = "nginx apache2 libapache2-mod-auth-openidc libapache2-mod-auth-mellon wrk nghttp2-client libssl3 libssl3t64".split()
TIMES = ("p50_us", "p99_us", "p999_us")
COMPARED = {"cpu_us_per_request": "CPU", "rps": "requests/s", "p99_us": "p99"}


def version(*command):
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10, cwd=ROOT)
        return done.stdout.splitlines()[0]
    except (OSError, IndexError):
        return "?"


def processor():
    with open("/proc/cpuinfo") as info:
        return next((line.split(":", 1)[1].strip() for line in info if line.startswith("model name")), "?")


def versions():
    """Of what was measured, and of what measured it."""
    lock = (ROOT / "Cargo.lock").read_text()
    pingora = re.search(r'name = "pingora"\nversion = "(.+)"', lock).group(1)
    command = ["dpkg-query", "-W", "-f=${db:Status-Abbrev}${Package} ${Version}\\n", *PACKAGES]
    told = subprocess.run(command, capture_output=True, text=True).stdout  # names that are not known are no matter
    packages = [line.removeprefix("ii ").strip() for line in told.splitlines() if line.startswith("ii ")]
    commit = version("git", "describe", "--always", "--dirty")
    return ", ".join([f"commit {commit}", version("rustc", "--version"), f"Pingora {pingora}", *packages])


def machine():
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    virtual = version("systemd-detect-virt")
    return f"{processor()}, {os.cpu_count()} cores, {memory:.0f} GiB, virtualisation: {virtual}, Linux {platform.release()}"


def spread(pair, digits=0):
    return f"{pair[0]:,.{digits}f} to {pair[1]:,.{digits}f}"


def table(results, beside):
    lines = []
    for workload, subjects in results.items():
        told = beside[workload]
        rate = f", latencies at {told['rate']:,} requests/s" if told["rate"] else ""
        lines += [f"### `{workload}`{rate}", ""]
        lines += ["| subject | requests/s | least to most | core used | CPU µs per request | least to most | p50 µs | p99 µs | least to most | p99.9 µs | MiB |"]
        lines += ["|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|"]
        for name, entry in subjects.items():
            spreads = told["spread"][name]
            p50, p99, p999 = (f"{entry[key]:,.0f}" if key in entry else "–" for key in TIMES)
            cells = [name, f"{entry['rps']:,.0f}", spread(spreads["rps"])]
            cells += [f"{entry['rps'] * entry['cpu_us_per_request'] / 1e4:.0f} %", f"{entry['cpu_us_per_request']:,.1f}"]
            cells += [spread(spreads["cpu_us_per_request"], 1), p50, p99]
            cells.append(spread(spreads["p99_us"]) if "p99_us" in spreads else "–")
            lines.append("| " + " | ".join([*cells, p999, f"{entry['rss_mib']:,.0f}"]) + " |")
        lines.append("")
        if told["ratios"]:
            lines += ["| Vestibule beside, within each round | " + " | ".join(COMPARED.values()) + " |", "|---|---:|---:|---:|"]
        for name, ratios in told["ratios"].items():
            shown = (ratios.get(key) for key in COMPARED)
            cells = (f"{ratio[0]:.2f} ({ratio[1]:.2f} to {ratio[2]:.2f})" if ratio else "–" for ratio in shown)
            lines.append(f"| {name} | " + " | ".join(cells) + " |")
        lines.append("")
        if told["stolen_share"] > 0.01:
            lines += [f"{told['stolen_share']:.0%} of the subject's core was taken by other machines meanwhile.", ""]
    return "\n".join(lines)


def write_report(options, results, beside, seconds, awake):
    text = (
        f"Measured {datetime.now(timezone.utc):%Y-%m-%d} in one run of {seconds / 60:.0f} minutes: {options.rounds} rounds of "
        f"{options.seconds:g} s for each subject, alternating; medians. {machine()}; one core for the subject, one for "
        f"backend and client; idle cores {'kept awake' if awake else 'slept'}. {options.sessions:,} sessions in the store. {versions()}.\n\n"
    )
    text += table(results, beside)
    (options.out / "compare.md").write_text(text)
    print(text)
