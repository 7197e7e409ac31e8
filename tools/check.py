#!/usr/bin/env python3
"""Builds all test programs and runs them, three at a time: python3 tools/check.py [PROGRAM...]

`cargo test` runs one program after the other and stops at the first that fails. Most of these tests wait for other
processes, and each program ends with its slowest test alone, so the processors would be idle for a third of the time.

What a program prints is shown when it has ended, with its name and the time that it took. One that does not end is
killed, with its processes, and what these were is shown. CARGO names the cargo to use, RUST_TEST_THREADS how many tests
of a program run at a time. The status is 1 if a program fails.

The tests make and remove some 100,000 files at a time, which costs a disk's file system a third of all their CPU time.
Where there is room they get a /tmp in memory that nobody else sees; IN_MEMORY=no leaves them the machine's.
"""

import json
import os
import pathlib
import signal
import subprocess
import sys
import tempfile
import threading
import time

AT_A_TIME = 3
CARGO = os.environ.get("CARGO", "cargo")
# These take longest: what is started last should be short.
FIRST = ["faults", "local", "bench", "scap3", "git", "manual", "quick_start", "gates", "install", "start_up_files",
         "python"]
# What the files may take in memory, and what has to be free: they take half a GiB on two processors.
SIZE, NEEDED = "6g", 8 << 30
# Seconds within which a program has to end: the longest takes 5 minutes on two slow processors, 10 beside other work.
LIMIT = 1800


def build():
    """The test programs: name, path."""
    command = [CARGO, "test", "--locked", "--no-run", "--message-format=json-render-diagnostics"]
    built = subprocess.run(command, stdout=subprocess.PIPE, text=True)
    if built.returncode:
        sys.exit(built.returncode)
    messages = [json.loads(line) for line in built.stdout.splitlines() if line.startswith("{")]
    programs = {}
    for message in messages:
        if message.get("reason") == "compiler-artifact" and message["profile"]["test"] and message.get("executable"):
            # The library and the program have one name.
            kind = message["target"]["kind"][0]
            name = message["target"]["name"] if kind == "test" else f"{message['target']['name']} ({kind})"
            programs[name] = message["executable"]
    return programs


def run(path, environment):
    """Status, output and seconds of a test program."""
    began = time.monotonic()
    # To a file: the end of a pipe would not come before that of the last process that a test has left behind.
    with tempfile.TemporaryFile() as output:
        program = subprocess.Popen([path], stdin=subprocess.DEVNULL, stdout=output, stderr=output, env=environment)
        try:
            program.wait(LIMIT)
        except subprocess.TimeoutExpired:
            end(program.pid, output)
            program.wait()
        output.seek(0)
        return program.returncode, output.read(), time.monotonic() - began


def end(pid, output):
    """Kills a program that does not end, with its processes, and writes to its output what these were."""
    command = ["ps", "-ww", "-e", "-o", "pid=,ppid=,etimes=,stat=,wchan=,args="]
    listed = subprocess.run(command, stdout=subprocess.PIPE, text=True, errors="replace").stdout.splitlines(True)
    parents = {int(line.split()[0]): int(line.split()[1]) for line in listed}
    family = [pid]
    for parent in family:
        family += [process for process, its_parent in parents.items() if its_parent == parent]
    told = [line for line in listed if int(line.split()[0]) in family]
    output.seek(0, os.SEEK_END)
    output.write(f"\ncheck.py: killed after {LIMIT} s, with these processes:\n{''.join(told)}".encode())
    output.flush()
    for process in family:
        try:
            os.kill(process, signal.SIGKILL)
        except ProcessLookupError:
            pass


def memory():
    """Bytes of memory that can still be had."""
    fields = dict(line.split(":") for line in open("/proc/meminfo"))
    free = [int(fields["MemAvailable"].split()[0]) * 1024]
    # In a container, its control group may have less.
    for limit, used in (("memory.max", "memory.current"),
                        ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes")):
        try:
            group = pathlib.Path("/sys/fs/cgroup")
            free.append(int((group / limit).read_text()) - int((group / used).read_text()))
        except (OSError, ValueError):
            pass
    return min(free)


def go_on_in_memory(root):
    """Runs this program anew with a /tmp in memory, if that can be and hides nothing that it needs."""
    if os.environ.pop("IN_MEMORY", "yes") == "no" or os.environ.get("TMPDIR", "/tmp") != "/tmp" or os.geteuid() != 0:
        return
    needed = [str(root), sys.executable]
    for name in "CARGO_HOME", "CARGO_TARGET_DIR", "HOME", "PATH", "RUSTUP_HOME":
        needed += os.environ.get(name, "/").split(":")
    if any(pathlib.Path("/tmp") in pathlib.Path(path).resolve().parents for path in needed) or memory() < NEEDED:
        return
    mount = f"mount -t tmpfs -o size={SIZE},mode=1777 hoist-check /tmp"
    among_themselves = ["unshare", "--mount", "--propagation", "private", "sh", "-c"]
    if subprocess.run([*among_themselves, mount], stderr=subprocess.DEVNULL).returncode == 0:
        print("The tests' files are in memory (IN_MEMORY=no leaves them on the disk).", flush=True)
        again = [*among_themselves, f'{mount} && exec "$@"', "sh", sys.executable, *sys.argv]
        os.execvpe(again[0], again, dict(os.environ, IN_MEMORY="no"))


def main():
    root = pathlib.Path(__file__).resolve().parent.parent
    os.chdir(root)
    go_on_in_memory(root)
    # Tests send interrupts, which the processes of a shell's background ignore, and their children after them.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    environment = dict(os.environ, CARGO_MANIFEST_DIR=str(root))
    environment.setdefault("RUST_TEST_THREADS", str((os.cpu_count() or 1) + 1))
    programs = build()
    unknown = [name for name in sys.argv[1:] if name not in programs]
    if unknown:
        sys.exit(f"check.py: there is no test program {unknown[0]}; there are {', '.join(sorted(programs))}")
    wanted = sys.argv[1:] or sorted(programs, key=lambda name: (FIRST + [name]).index(name))
    failed, times, lock = [], [], threading.Lock()

    def work(names):
        while True:
            with lock:
                if not names:
                    return
                name = names.pop(0)
            status, output, seconds = run(programs[name], environment)
            with lock:
                times.append((seconds, name))
                if status:
                    failed.append(name)
                sys.stdout.write(f"     Ran {name} in {seconds:.0f} s, status {status}\n")
                sys.stdout.flush()
                sys.stdout.buffer.write(output)
                sys.stdout.buffer.flush()

    workers = [threading.Thread(target=work, args=(wanted,), daemon=True) for _ in range(AT_A_TIME)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    slowest = ", ".join(f"{name} {seconds:.0f} s" for seconds, name in sorted(times, reverse=True)[:8])
    print(f"{len(times)} test programs ran; the slowest: {slowest}")
    if failed:
        sys.exit(f"failed: {' '.join(sorted(failed))}")


main()
