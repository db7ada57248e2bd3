"""What all programs of the benchmarks are told on their command line."""

import argparse
from pathlib import Path


def command_line(description):
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--binaries", type=Path, required=True, help="folder of the optimised programs")
    parser.add_argument("--world", type=Path, required=True, help="the bench_world program")
    parser.add_argument("--out", type=Path, default=Path("target/bench"))
    return parser


def names(text):
    return text.split(",")
