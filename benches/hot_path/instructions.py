#!/usr/bin/env python3
"""Counts the instructions of each step of an authenticated request, and tells what has changed since the committed counts.

    instructions.py [--release] [--write]

Unoptimised, as the tests are built, unless told --release; --write commits the counts to instructions.json."""

import argparse
import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).parent
BASELINE = HERE / "instructions.json"
TIMES = 100


def build(release):
    command = ["cargo", "build", "--locked", "--bench", "instructions", "--message-format=json"]
    built = subprocess.run(command + ["--release"] * release, cwd=HERE.parent.parent, stdout=subprocess.PIPE, text=True, check=True)
    for line in built.stdout.splitlines():
        message = json.loads(line)
        if message.get("target", {}).get("name") == "instructions" and message.get("executable"):
            return message["executable"]
    sys.exit("instructions.py: cargo built no program")


def count(program):
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "callgrind.out"
        command = ["valgrind", "--tool=callgrind", f"--callgrind-out-file={out}", "--toggle-collect=instructions::step_*", program]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode != 0:
            sys.exit(done.stderr)
        told = subprocess.run(
            ["callgrind_annotate", "--inclusive=yes", "--threshold=100", out], capture_output=True, text=True, check=True
        ).stdout
    counts = {}
    for line in told.splitlines():
        found = re.match(r"\s*([\d,]+) .*instructions::step_(\w+)", line)
        if found:
            total = int(found.group(1).replace(",", ""))
            counts[found.group(2)] = max(counts.get(found.group(2), 0), total // TIMES)
    return dict(sorted(counts.items()))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--release", action="store_true")
    parser.add_argument("--write", action="store_true")
    options = parser.parse_args()
    profile = "release" if options.release else "dev"
    kept = json.loads(BASELINE.read_text()) if BASELINE.exists() else {}
    counts = count(build(options.release))
    if len(counts) != 7:
        sys.exit(f"instructions.py: counted {list(counts)}")
    print(f"{'instructions (' + profile + ')':<28}{'now':>10}{'before':>10}{'change':>9}")
    for step, now in counts.items():
        before = kept.get(profile, {}).get(step)
        change = f"{100 * (now - before) / before:+.1f} %" if before else "new"
        print(f"{step:<28}{now:>10,}{before or 0:>10,}{change:>9}")
    if options.write:
        kept[profile] = counts
        BASELINE.write_text(json.dumps(kept, indent=2, sort_keys=True) + "\n")


if __name__ == "__main__":
    main()
