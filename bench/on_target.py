"""Runs a session's command for `cost.py`, in the place of the farm's wrapper.

usage: on_target.py NAME CALLS|cpu    writes NAME.json, with the CPU time, and for CALLS NAME.trace
"""

import ctypes
import json
import os
import subprocess
import sys
from pathlib import Path

PR_SET_CHILD_SUBREAPER = 36  # linux/prctl.h


def still_there():
    """Nanoseconds of CPU of what the command has left behind."""
    total = 0
    for pid in Path(f"/proc/self/task/{os.getpid()}/children").read_text().split():
        for stat in Path(f"/proc/{pid}/task").glob("*/schedstat"):
            try:
                total += int(stat.read_text().split()[0])
            except OSError:
                pass
    return total


def main():
    name, mode = sys.argv[1:]
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    argv = ["sh", "-c", os.environ["SSH_ORIGINAL_COMMAND"]]
    if mode != "cpu":
        # It stands beside the command, and stays as long as what that leaves behind.
        argv = ["strace", "-D", "-f", "-qq", "--seccomp-bpf", "-s", "1024", "-o", f"{name}.trace", "-e", f"trace={mode}", *argv]
    child = subprocess.Popen(argv)
    _, status, usage = os.wait4(child.pid, 0)
    nanoseconds = still_there() if mode == "cpu" else 0
    cost = {"cpu": usage.ru_utime + usage.ru_stime + nanoseconds / 1e9, "written": usage.ru_oublock * 512}
    Path(f"{name}.json").write_text(json.dumps(cost))
    sys.exit(os.waitstatus_to_exitcode(status) & 255)


if __name__ == "__main__":
    main()
