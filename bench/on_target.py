"""Runs a session's command for `cost.py`, in the place of the farm's wrapper.

usage: on_target.py NAME CALLS|cpu    writes NAME.json: what was asked, `[stage, time, nanoseconds of CPU until then]`,
                                      and for CALLS NAME.trace
"""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

from session import Requests

CGROUP_1, CGROUP_2 = Path("/sys/fs/cgroup/cpuacct"), Path("/sys/fs/cgroup")


class Group:
    """A control group for the command and all that it starts, which counts their CPU time exactly."""

    def __init__(self, name):
        self.old = CGROUP_1.is_dir()
        self.path = (CGROUP_1 if self.old else CGROUP_2) / f"hoist-bench-{name}"
        # One may be left of a process with the same id, which something still was in.
        self.path.mkdir(exist_ok=True)
        self.before = self.counted()

    def enter(self):
        (self.path / "cgroup.procs").write_text("0")

    def nanoseconds(self):
        return self.counted() - self.before

    def counted(self):
        if self.old:
            return int((self.path / "cpuacct.usage").read_text())
        usage = next(line for line in (self.path / "cpu.stat").read_text().splitlines() if line.startswith("usage_usec"))
        return int(usage.split()[1]) * 1000

    def remove(self):
        try:
            self.path.rmdir()
        except OSError:
            # What watches a lease may still be there.
            pass


def main():
    name, mode = sys.argv[1:]
    group = Group(Path(name).name)
    argv = ["sh", "-c", os.environ["SSH_ORIGINAL_COMMAND"]]
    if mode != "cpu":
        # It stands beside the command, and stays as long as what that leaves behind.
        options = ["-D", "-f", "-qq", "-ttt", "--seccomp-bpf", "-s", "1024", "-o", f"{name}.trace"]
        argv = ["strace", *options, "-e", f"trace={mode}", *argv]
    parts = [["probe", time.time(), 0]]
    requests = Requests(lambda stage, _: parts.append([stage, time.time(), group.nanoseconds()]))
    child = subprocess.Popen(argv, stdin=subprocess.PIPE, preexec_fn=group.enter)
    while data := os.read(0, 1 << 16):
        child.stdin.write(requests.feed(data))
        child.stdin.flush()
    child.stdin.close()
    status = child.wait()
    parts.append(["end", time.time(), group.nanoseconds()])
    Path(f"{name}.json").write_text(json.dumps(parts))
    group.remove()
    sys.exit(status & 255)


if __name__ == "__main__":
    main()
