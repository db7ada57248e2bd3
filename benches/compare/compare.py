#!/usr/bin/env python3
"""Vestibule beside its peers, in one run: see README.md in this folder."""

import argparse
import json
import statistics
import sys
import time
from pathlib import Path

from measure import closed_loop, fixed_rate
from report import write_report
from subjects import SUBJECTS, World
from workloads import WORKLOADS


def arguments():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--binaries", type=Path, required=True, help="folder of the optimised programs")
    parser.add_argument("--world", type=Path, required=True, help="the bench_world program")
    parser.add_argument("--out", type=Path, default=Path("target/bench"))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=5)
    parser.add_argument("--sessions", type=int, default=100_000)
    parser.add_argument("--workloads", type=lambda text: text.split(","), default=list(WORKLOADS))
    parser.add_argument("--subjects", type=lambda text: text.split(","), default=list(SUBJECTS))
    parser.add_argument("--no-latency", action="store_true", help="leave out the second half, at a fixed rate")
    return parser.parse_args()


def median_of(samples):
    keys = samples[0].keys()
    return {key: statistics.median(sample[key] for sample in samples) for key in keys}


def run(options):
    options.out.mkdir(parents=True, exist_ok=True)
    results, spreads = {}, {}
    with World(options) as world:
        subjects = {name: world.start(name) for name in options.subjects}
        for name in options.workloads:
            workload = WORKLOADS[name]
            taking_part = {key: subject for key, subject in subjects.items() if key in workload.subjects}
            print(f"== {name}: {', '.join(taking_part)}", flush=True)
            for subject in taking_part.values():
                workload.check(world, subject)
                closed_loop(world, workload, subject, min(1.0, options.seconds))
            rounds = {key: [] for key in taking_part}
            for _ in range(options.rounds):
                for key, subject in taking_part.items():
                    rounds[key].append(closed_loop(world, workload, subject, options.seconds))
            result = {key: median_of(samples) for key, samples in rounds.items()}
            spreads[name] = {
                key: {
                    what: [min(sample[what] for sample in samples), max(sample[what] for sample in samples)]
                    for what in ("rps", "cpu_us_per_request")
                }
                for key, samples in rounds.items()
            }
            if not options.no_latency:
                rate = max(1, int(min(entry["rps"] for entry in result.values()) / 2))
                latencies = {key: [] for key in taking_part}
                for _ in range(options.rounds):
                    for key, subject in taking_part.items():
                        latencies[key].append(fixed_rate(world, workload, subject, rate, options.seconds))
                for key, samples in latencies.items():
                    result[key] |= median_of(samples)
                print(f"   latency at {rate} requests/s", flush=True)
            results[name] = result
            for key, entry in result.items():
                cells = "  ".join(f"{what} {value:,.1f}" for what, value in entry.items())
                print(f"   {key:<16} {cells}", flush=True)
    return results, spreads


def main():
    options = arguments()
    unknown = [name for name in options.workloads if name not in WORKLOADS]
    unknown += [name for name in options.subjects if name not in SUBJECTS]
    if unknown:
        sys.exit(f"not known: {', '.join(unknown)}")
    began = time.monotonic()
    results, spreads = run(options)
    (options.out / "compare.json").write_text(json.dumps(results, indent=2) + "\n")
    write_report(options, results, spreads, time.monotonic() - began)


if __name__ == "__main__":
    main()
