"""Processes of the benchmark: started on their own core, watched through /proc, ended with the run."""

import contextlib
import os
import signal
import socket
import struct
import subprocess
import time
from pathlib import Path

TICKS = os.sysconf("SC_CLK_TCK")
CORES = sorted(os.sched_getaffinity(0))
# The subject has a core of its own; the backend and the client share the other.
SUBJECT_CORE = CORES[0]
OTHER_CORE = CORES[-1]


@contextlib.contextmanager
def cores_awake():
    """Asks that idle cores poll and do not sleep (PM QoS for CPU latency); gives whether it could ask, which takes root.

    To wake a core that sleeps costs its waker an interrupt between cores, which on a virtual machine is dear. The client and the
    backend sleep the more often the longer they wait for a subject."""
    latency = Path("/dev/cpu_dma_latency")
    asked = None
    with contextlib.suppress(OSError):
        if latency.is_char_device():
            opened = latency.open("r+b", buffering=0)
            opened.write(struct.pack("i", 0))
            asked = opened
    try:
        yield asked is not None
    finally:
        if asked:
            asked.close()


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_for_port(port, process, seconds=30):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if process.poll() is not None:
            raise RuntimeError(f"{process.args[0]} ended with {process.returncode} before it listened")
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except OSError:
            time.sleep(0.02)
    raise RuntimeError(f"{process.args[0]} does not listen at port {port}")


def start(command, core, log, env=None, **options):
    """Starts a program on one core; its output goes to the file `log`, unless `options` say otherwise."""
    options.setdefault("stdout", log)
    return subprocess.Popen(
        ["taskset", "-c", str(core), *map(str, command)],
        stderr=log,
        env=os.environ | (env or {}),
        start_new_session=True,
        **options,
    )


def stop(process):
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGTERM)
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def family(pid):
    """A process and all its descendants: nginx and Apache serve in children."""
    found, waiting = [], [pid]
    while waiting:
        parent = waiting.pop()
        found.append(parent)
        try:
            for thread in os.listdir(f"/proc/{parent}/task"):
                with open(f"/proc/{parent}/task/{thread}/children") as children:
                    waiting += map(int, children.read().split())
        except OSError:
            continue
    return found


def cpu_seconds(pid):
    """User and system time of the whole family so far: of all that live, and of their children that have ended."""
    ticks = 0
    for member in family(pid):
        try:
            with open(f"/proc/{member}/stat") as stat:
                fields = stat.read().rsplit(")", 1)[1].split()
        except OSError:
            continue
        ticks += sum(map(int, fields[11:15]))
    return ticks / TICKS


def cpu_nanoseconds(pid):
    """Time on a core of each thread of one process so far; exact for those that sleep."""
    times = {}
    for thread in os.listdir(f"/proc/{pid}/task"):
        with contextlib.suppress(OSError), open(f"/proc/{pid}/task/{thread}/schedstat") as stat:
            times[thread] = int(stat.read().split()[0])
    return times


def stolen_seconds(core):
    """Time for which the core was another machine's, though something here wanted to run (of a virtual machine)."""
    with open("/proc/stat") as stat:
        fields = next(line.split() for line in stat if line.startswith(f"cpu{core} "))
    return int(fields[8]) / TICKS


def whole_resident_mib(pid):
    """Memory of one process, with all that it shares with others (RSS)."""
    with open(f"/proc/{pid}/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmRSS:")) / 1024


def resident_mib(pid):
    """Memory of the whole family; what several share counts once (PSS)."""
    kib = 0
    for member in family(pid):
        try:
            with open(f"/proc/{member}/smaps_rollup") as rollup:
                kib += next(int(line.split()[1]) for line in rollup if line.startswith("Pss:"))
        except (OSError, StopIteration):
            continue
    return kib / 1024
