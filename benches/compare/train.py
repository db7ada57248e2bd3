#!/usr/bin/env python3
"""Gives an instrumented program its work to do, a few seconds of each workload, and ends it in order: then it writes down what it did."""

import os
import signal

from command_line import command_line, names
from subjects import SUBJECTS, World
from workloads import WORKLOADS

# Pingora waits minutes for connections at SIGTERM.
ENDS = {"vestibule": signal.SIGTERM}


def arguments():
    parser = command_line(__doc__)
    parser.add_argument("--seconds", type=float, default=3)
    parser.add_argument("--subjects", type=names, default=["vestibule"])
    options = parser.parse_args()
    options.sessions = 2_000
    return options


def train(options, name):
    with World(options) as world:
        world.patience = 180
        subject = SUBJECTS[name](world)
        for workload in WORKLOADS.values():
            if name in workload.subjects:
                workload.check(world, subject)
                workload.load(world, subject, options.seconds)
        os.kill(subject.pid, ENDS.get(name, signal.SIGINT))
        if subject.process.wait(60) != 0:
            raise RuntimeError(f"{name} ended with {subject.process.returncode}")


def main():
    options = arguments()
    options.out.mkdir(parents=True, exist_ok=True)
    for name in options.subjects:
        print(f"== {name}: a few seconds of each workload", flush=True)
        train(options, name)


if __name__ == "__main__":
    main()
