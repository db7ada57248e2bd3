#!/usr/bin/env python3
"""Vestibule beside its peers, in one run: see README.md in this folder."""

import contextlib
import json
import os
import statistics
import sys
import time

from command_line import command_line, names
from measure import closed_loop, fixed_rate
from processes import OTHER_CORE, SUBJECT_CORE, cores_awake, stolen_seconds
from report import write_report
from subjects import SUBJECTS, World
from workloads import WORKLOADS

OURS = "vestibule"
WARM_UP = 1.0


def arguments():
    parser = command_line(__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=5)
    parser.add_argument("--sessions", type=int, default=100_000)
    parser.add_argument("--workloads", type=names, default=list(WORKLOADS))
    parser.add_argument("--subjects", type=names, default=list(SUBJECTS))
    parser.add_argument("--rate", type=int, help="requests/s of the second half; half of what the slowest managed, unless told")
    parser.add_argument("--no-latency", action="store_true", help="leave out the second half, at a fixed rate")
    parser.add_argument("--let-cores-sleep", action="store_true", help="as they do when nobody asks them not to")
    return parser.parse_args()


def median_of(samples):
    return {key: statistics.median(sample[key] for sample in samples) for key in samples[0]}


def spread_of(samples):
    """Least and most of each figure."""
    return {key: [min(sample[key] for sample in samples), max(sample[key] for sample in samples)] for key in samples[0]}


def ratios_of(rounds):
    """Vestibule beside each other subject within each round, where what all suffer alike falls out: median, least, most."""
    found = {}
    for name in rounds if OURS in rounds else ():
        if name != OURS:
            found[name] = {}
            for key in rounds[OURS][0]:
                pairs = zip(rounds[OURS], rounds[name], strict=True)
                ratios = [ours[key] / theirs[key] for ours, theirs in pairs if theirs[key]]
                if ratios:
                    found[name][key] = [statistics.median(ratios), min(ratios), max(ratios)]
    return found


def alternating(options, taking_part, measure):
    """The samples of each subject; each round begins with the next one, so that none always follows the same other."""
    samples = {name: [] for name in taking_part}
    order = list(taking_part.items())
    for number in range(options.rounds):
        turn = number % len(order)
        for name, subject in order[turn:] + order[:turn]:
            samples[name].append(measure(subject))
    return samples


def expected_seconds(options):
    """How long the measurements take, without what is started and checked before."""
    each = min(WARM_UP, options.seconds) + options.rounds * max(1, options.seconds) * (1 if options.no_latency else 2)
    return each * sum(name in WORKLOADS[workload].subjects for workload in options.workloads for name in options.subjects)


def run(options):
    """Results, and what is kept beside them: spreads, ratios, rates and stolen time."""
    options.out.mkdir(parents=True, exist_ok=True)
    results, beside = {}, {}
    with World(options) as world:
        subjects = {name: world.start(name) for name in options.subjects}
        for name in options.workloads:
            workload = WORKLOADS[name]
            taking_part = {key: subject for key, subject in subjects.items() if key in workload.subjects}
            print(f"== {name}: {', '.join(taking_part)}", flush=True)
            if taking_part:
                results[name], beside[name] = measured(options, world, workload, taking_part)
                tell(results[name], beside[name])
    return results, beside


def measured(options, world, workload, taking_part):
    for subject in taking_part.values():
        workload.check(world, subject)
        closed_loop(world, workload, subject, min(WARM_UP, options.seconds))
    stolen, began = stolen_seconds(SUBJECT_CORE), time.monotonic()
    samples = alternating(options, taking_part, lambda subject: closed_loop(world, workload, subject, options.seconds))
    result = {name: median_of(found) for name, found in samples.items()}
    spread = {name: spread_of(found) for name, found in samples.items()}
    ratios, rate = ratios_of(samples), None
    if not options.no_latency:
        rate = options.rate or max(1, int(min(entry["rps"] for entry in result.values()) / 2))
        samples = alternating(
            options, taking_part, lambda subject: fixed_rate(world, workload, subject, rate, options.seconds)
        )
        for name, found in samples.items():
            result[name] |= median_of(found)
            spread[name] |= spread_of(found)
        for name, found in ratios_of(samples).items():
            ratios[name] |= found
    stolen = (stolen_seconds(SUBJECT_CORE) - stolen) / (time.monotonic() - began)
    return result, {"rate": rate, "stolen_share": stolen, "spread": spread, "ratios": ratios}


def tell(result, beside):
    if beside["rate"]:
        print(f"   latency at {beside['rate']} requests/s", flush=True)
    for name, entry in result.items():
        cells = "  ".join(f"{what} {value:,.1f}" for what, value in entry.items())
        print(f"   {name:<22} {cells}", flush=True)
    for name, ratios in beside["ratios"].items():
        shown = (key for key in ("cpu_us_per_request", "rps", "p99_us") if key in ratios)
        cells = "  ".join(f"{key} {ratios[key][0]:.2f}x ({ratios[key][1]:.2f} to {ratios[key][2]:.2f})" for key in shown)
        print(f"   {OURS} beside {name}: {cells}", flush=True)
    if beside["stolen_share"] > 0.01:
        print(f"   note: {beside['stolen_share']:.0%} of the subject's core was taken by other machines", flush=True)


def main():
    options = arguments()
    unknown = [name for name in options.workloads if name not in WORKLOADS]
    unknown += [name for name in options.subjects if name not in SUBJECTS]
    if unknown:
        sys.exit(f"not known: {', '.join(unknown)}")
    # Sign-ins are driven from here: on the client's core, as all other clients.
    os.sched_setaffinity(0, {OTHER_CORE})
    print(f"== about {expected_seconds(options) / 60:.0f} minutes, and what it takes to start", flush=True)
    began = time.monotonic()
    with contextlib.nullcontext(False) if options.let_cores_sleep else cores_awake() as awake:
        results, beside = run(options)
    (options.out / "compare.json").write_text(json.dumps(results, indent=2) + "\n")
    (options.out / "compare-spread.json").write_text(json.dumps(beside, indent=2) + "\n")
    write_report(options, results, beside, time.monotonic() - began, awake)


if __name__ == "__main__":
    main()
