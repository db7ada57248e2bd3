"""The table of a run: for the terminal, and docs/benchmarks.md's figures."""

import platform
import subprocess
from datetime import datetime, timezone


def version(*command):
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10)
        return (done.stdout + done.stderr).strip().splitlines()[0]
    except (OSError, IndexError):
        return "?"


def processor():
    with open("/proc/cpuinfo") as info:
        return next((line.split(":", 1)[1].strip() for line in info if line.startswith("model name")), "?")


def table(results, spreads):
    lines = []
    for workload, subjects in results.items():
        lines += [f"### `{workload}`", ""]
        lines += ["| subject | requests/s | CPU µs per request | (least to most) | p50 µs | p99 µs | p99.9 µs | MiB |"]
        lines += ["|---|---:|---:|---:|---:|---:|---:|---:|"]
        for name, entry in subjects.items():
            least, most = spreads[workload][name]["cpu_us_per_request"]
            times = " | ".join(f"{entry[key]:,.0f}" if key in entry else "–" for key in ("p50_us", "p99_us", "p999_us"))
            lines.append(
                f"| {name} | {entry['rps']:,.0f} | {entry['cpu_us_per_request']:,.1f} | {least:,.1f} to {most:,.1f} "
                f"| {times} | {entry['rss_mib']:,.0f} |"
            )
        lines.append("")
    return "\n".join(lines)


def write_report(options, results, spreads, seconds):
    text = (
        f"Measured {datetime.now(timezone.utc):%Y-%m-%d} in one run of {seconds / 60:.0f} minutes: {options.rounds} rounds of "
        f"{options.seconds:g} s for each subject, alternating; medians. {processor()}, one core for the subject, one for "
        f"backend and client; Linux {platform.release()}; {version('nginx', '-v')}; {version('apache2', '-v')}; "
        f"{options.sessions:,} sessions in the store.\n\n"
    )
    text += table(results, spreads)
    (options.out / "compare.md").write_text(text)
    print(text)
