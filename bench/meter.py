"""What a command costs: wall time, and the CPU time and memory of the whole tree of its processes."""

import ctypes
import json
import os
import resource
import signal
import subprocess
import time
import traceback

PR_SET_CHILD_SUBREAPER = 36  # linux/prctl.h
SAMPLE_SECONDS = 0.05


class Failed(Exception):
    """A part of the benchmark that cannot go on; the others can."""


def measure(argv, env, output, memory=False, cwd=None, timeout=900):
    """Runs a command, its output going to the file `output`, and returns `{status, wall, cpu, peak_kib, largest_kib}`.

    wall: seconds from start to end of the command itself.
    cpu: user and system seconds of all its processes. A process of its own stands above the command and inherits what
    leaves the tree, such as the masters of ControlPersist; those are ended when the command has ended, and count too.
    peak_kib: only with `memory`, where the tree is looked at 20 times a second, which costs time: the largest sum of
    PSS, that is a page shared by n processes counts a nth in each.
    largest_kib: the most memory that any one process had resident, as the kernel has kept it.
    """
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.close(reader)
            report = stand_above(argv, env, output, memory, cwd, timeout)
            os.write(writer, json.dumps(report).encode())
        except Exception:
            traceback.print_exc()
        finally:
            # Also when it was interrupted: nothing goes on without us.
            end_all()
            os._exit(0)
    os.close(writer)
    try:
        with os.fdopen(reader) as pipe:
            text = pipe.read()
    except BaseException:
        os.kill(child, signal.SIGTERM)
        raise
    finally:
        os.waitpid(child, 0)
    if not text:
        raise Failed(f"{argv[0]} could not be measured: see {output}")
    return json.loads(text)


def stand_above(argv, env, output, memory, cwd, timeout):
    become_subreaper()
    peak = 0
    with open(output, "ab") as file:
        began = time.monotonic()
        try:
            command = subprocess.Popen(
                argv, env=env, cwd=cwd, stdin=subprocess.DEVNULL, stdout=file, stderr=file, start_new_session=True
            )
        except OSError as error:
            file.write(f"{argv[0]}: {error}\n".encode())
            return {"status": 127, "wall": 0, "cpu": 0, "peak_kib": 0, "largest_kib": 0}
        if memory:
            while command.poll() is None:
                peak = max(peak, sum(pss_kib(pid) for pid in below(os.getpid())))
                if time.monotonic() - began > timeout:
                    os.killpg(command.pid, signal.SIGKILL)
                time.sleep(SAMPLE_SECONDS)
        else:
            try:
                command.wait(timeout)
            except subprocess.TimeoutExpired:
                os.killpg(command.pid, signal.SIGKILL)
                command.wait()
        wall = time.monotonic() - began
    end_all()
    spent = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu, largest = spent.ru_utime + spent.ru_stime, spent.ru_maxrss
    return {"status": command.returncode, "wall": wall, "cpu": cpu, "peak_kib": peak, "largest_kib": largest}


def become_subreaper():
    """Makes this process the parent of descendants whose own parent has ended."""
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def end_all():
    """Ends what the command has left behind, and waits for it, so that its CPU time is counted."""
    for _ in range(200):
        for pid in below(os.getpid()):
            try:
                os.kill(pid, signal.SIGTERM)
            except ProcessLookupError:
                pass
        try:
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        except ChildProcessError:
            return
        time.sleep(0.02)


def children(pid):
    """The processes that any thread of a process has started."""
    found = []
    try:
        for thread in os.listdir(f"/proc/{pid}/task"):
            with open(f"/proc/{pid}/task/{thread}/children") as file:
                found += [int(child) for child in file.read().split()]
    except (FileNotFoundError, ProcessLookupError):
        pass
    return found


def below(pid):
    """All processes below a process."""
    found = []
    for child in children(pid):
        found += [child, *below(child)]
    return found


def pss_kib(pid):
    try:
        with open(f"/proc/{pid}/smaps_rollup") as file:
            for line in file:
                if line.startswith("Pss:"):
                    return int(line.split()[1])
    except OSError:
        pass
    return 0


def cpu_seconds(pid):
    """What a process and all its ended and awaited descendants have used (proc(5): utime, stime, cutime, cstime)."""
    with open(f"/proc/{pid}/stat") as file:
        fields = file.read().rpartition(")")[2].split()
    return sum(int(field) for field in fields[11:15]) / os.sysconf("SC_CLK_TCK")
