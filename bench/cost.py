"""What each stage costs one target: processes, CPU, reads, writes, syncs; without sshd and the farm's own wrapper."""

import json
import os
import shutil
import subprocess
from itertools import pairwise
from pathlib import Path
from statistics import median

from deploys import SERVICE, Deployment
from meter import Failed

HERE = Path(__file__).resolve().parent
METER = HERE / "on_target.py"
# The farm's wrapper ends with this: the command of the session, as the host runs it.
COMMAND = 'exec sh -c "$SSH_ORIGINAL_COMMAND"'
READS = {"read", "pread64", "readv", "preadv", "getdents64"}
WRITES = {"write", "pwrite64", "writev", "pwritev", "copy_file_range", "sendfile"}
SYNCS = {"fsync", "fdatasync", "syncfs", "sync", "sync_file_range"}
LOOKS = {"stat", "lstat", "newfstatat", "statx", "readlink", "readlinkat", "access", "faccessat", "faccessat2"}
OPENS = {"open", "openat", "creat"}
KINDS = {"reads": READS, "writes": WRITES, "syncs": SYNCS, "looks": LOOKS, "opens": OPENS}
KIND_OF = {name: kind for kind, names in KINDS.items() for name in names}
TRACED = ["execve", "clone", "clone3", "fork", "vfork", *sorted(set().union(*KINDS.values()))]
CASES = ["first", "second", "rollback"]
ORDER = ["probe", "fetch", "config_deploy", "promote", "finalize", "rollback"]


class Costs:
    """Deployments to one host of a farm whose commands are measured."""

    def __init__(self, tools, farm, folder, files):
        self.farm, self.rounds = farm, 0
        self.site = Deployment(tools, farm, 1, folder, files)
        self.raw = farm.folder / "metered"
        self.host = farm.folder / "hosts" / farm.addresses(1)[0]
        self.disk = Disk(farm.folder / "disk", self.host)

    def measure(self, output, traced):
        """A first deployment, a second of one changed file, and a third that fails and goes back: `{case: {stage: cost}}`.

        traced: calls are counted; else CPU time is measured, which counting would add to.
        """
        self.fresh()
        options = self.site.add_service()
        # A revision that was rolled back is not deployed again, nor one that contains it, without being asked for.
        self.site.git("reset", "-q", "--hard", self.site.second)
        self.rounds += 1
        bad = self.site.change(f"three {self.rounds}")
        cases = {}
        with Metered(self.farm, self.raw, traced):
            for case, revision in zip(CASES, (self.site.first, self.site.second, bad)):
                shutil.rmtree(self.raw, ignore_errors=True)
                self.raw.mkdir()
                if case == "rollback":
                    self.site.break_service(self.farm.addresses(1)[0])
                report = self.site.run_hoist(revision, output, options=options)
                if report["status"] != (1 if case == "rollback" else 0):
                    raise Failed(f"{case}: the deployment ended with status {report['status']}: see {output}")
                cases[case] = self.read()
        return cases

    def fresh(self):
        """A new /srv for the host. The old one is renamed, not removed: ext4 spares the inodes of files that were removed
        in the last seconds, and looks past each of them whenever it makes a file, which would be measured too."""
        srv = self.host / "srv"
        if srv.exists():
            srv.rename(self.host / f"srv-{self.rounds}")
        srv.mkdir(parents=True)

    def read(self):
        """What the meters wrote of one deployment, by stage."""
        stages = {}
        for path in sorted(self.raw.glob("*.json"), key=lambda path: path.stat().st_mtime):
            parts, trace = json.loads(path.read_text()), path.with_suffix(".trace")
            calls = Calls(trace.read_text(errors="replace").splitlines()) if trace.exists() else None
            for (stage, _, before), (_, until, after) in pairwise(parts):
                cost = stages.setdefault(stage, {"cpu": 0})
                cost["cpu"] += (after - before) / 1e9
                for kind, count in (calls.until(until) if calls else {}).items():
                    cost[kind] = cost.get(kind, 0) + count
        return stages

    def down(self):
        self.disk.down()


class Disk:
    """A file system of its own for what the host has, so that nothing that others write or remove is measured."""

    def __init__(self, image, place):
        place.mkdir(parents=True, exist_ok=True)
        self.place, self.why = place, None
        with open(image, "wb") as file:
            file.truncate(4 << 30)
        for command in (["mkfs.ext4", "-q", "-F", image], ["mount", "-o", "loop", image, place]):
            try:
                done = subprocess.run(command, capture_output=True, text=True)
            except OSError as error:
                self.why = str(error)
                return
            if done.returncode != 0:
                self.why = done.stderr.strip()
                return

    def down(self):
        if self.why is None:
            # A session that has not quite ended may still have it.
            subprocess.run(["umount", "--lazy", self.place], check=False)


class Metered:
    """While it lasts, each command of the farm's hosts runs under a meter."""

    def __init__(self, farm, raw, traced):
        self.farm, self.raw, self.mode = farm, raw, ",".join(TRACED) if traced else "cpu"
        self.plain = farm.folder / "plain-wrapper"

    def __enter__(self):
        shutil.copy2(self.farm.wrapper, self.plain)
        script = self.farm.folder / "script"
        meter = f"exec python3 -B {METER} {self.raw}/$$ {self.mode}"
        metered = self.farm.folder / "metered-wrapper"
        metered.write_text(script.read_text().replace(COMMAND, meter))
        metered.chmod(0o755)
        if meter not in metered.read_text():
            raise Failed(f"{script} does not end as is known")
        os.replace(metered, self.farm.wrapper)

    def __exit__(self, *_):
        os.replace(self.plain, self.farm.wrapper)


class Calls:
    """What strace saw, in the order of time: how many processes ran which program, and how many calls of each kind."""

    def __init__(self, lines):
        # PID TIME CALL; what several processes did comes in the order in which it ended.
        split = (line.split(maxsplit=2) for line in lines)
        self.lines = sorted((float(time), pid, call) for pid, time, call in split)
        self.programs, self.begun, self.at = {}, {}, 0
        # The first process was not forked here.
        self.processes = 1

    def until(self, end):
        """What came until then, and was not counted before."""
        counts = dict.fromkeys(["processes", "hoist", "git", "service", *KINDS], 0)
        counts["processes"], self.processes = self.processes, 0
        while self.at < len(self.lines) and self.lines[self.at][0] <= end:
            _, pid, call = self.lines[self.at]
            self.count(counts, pid, call)
            self.at += 1
        return counts

    def count(self, counts, pid, call):
        if call.startswith("<... execve resumed"):
            call = self.begun.pop(pid, "") + call
        name = call.partition("(")[0]
        if name == "execve" and "<unfinished" in call and "resumed" not in call:
            self.begun[pid] = call
        elif name == "execve" and call.endswith(" = 0"):
            counts_as = kind_of_program(call.split('"')[1])
            # A shell that becomes Hoist is one process, as the last that it was.
            before = self.programs.get(pid)
            if before in counts:
                counts[before] -= 1
            self.programs[pid] = counts_as
            if counts_as in counts:
                counts[counts_as] += 1
        elif name in ("clone", "clone3", "fork", "vfork"):
            # Resumed calls are not looked at, so each counts once.
            counts["processes"] += "CLONE_THREAD" not in call
        elif name in KIND_OF:
            counts[KIND_OF[name]] += 1


def kind_of_program(program):
    base = program.rpartition("/")[2]
    return "hoist" if program.endswith("/self/exe") else "service" if base == SERVICE else base


COLUMNS = ["processes", "git", "service", "looks", "opens", "reads", "writes", "syncs"]


def table(costs):
    """Rows for a table: what each stage of each deployment costs, with the medians of the CPU times."""
    rows = []
    for files in sorted({it["files"] for it in costs}):
        of_size = [it for it in costs if it["files"] == files]
        counts = next(it["cases"] for it in of_size if it["counted"])
        timed = [it["cases"] for it in of_size if not it["counted"]]
        for case in CASES:
            total = 0
            for stage in sorted(counts[case], key=ORDER.index):
                cpu = median(it[case][stage]["cpu"] for it in timed) * 1000
                total += cpu
                calls = [counts[case][stage][column] for column in COLUMNS]
                rows.append([f"{files} files, {case}: {stage}", f"{cpu:.1f}", *calls])
            sums = [sum(stage[column] for stage in counts[case].values()) for column in COLUMNS]
            rows.append([f"**{files} files, {case}**", f"**{total:.1f}**", *sums])
    return rows


def totals(costs):
    """CPU milliseconds of each deployment: `{(files, case): ms}`."""
    found = {}
    for files in {it["files"] for it in costs}:
        timed = [it["cases"] for it in costs if it["files"] == files and not it["counted"]]
        for case in CASES:
            found[files, case] = median(sum(stage["cpu"] for stage in it[case].values()) for it in timed) * 1000
    return found
