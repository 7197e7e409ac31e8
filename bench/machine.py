"""What the figures were measured on, and with."""

import os
import platform
import shutil
import subprocess


def machine():
    """The processor, how many of it, the memory and the kernel, in a line."""
    model = lookup("/proc/cpuinfo", "model name") or platform.machine()
    memory = int((lookup("/proc/meminfo", "MemTotal") or "0").split()[0]) // 1024 // 1024
    return f"{model}, {os.cpu_count()} cores, {memory} GiB of memory, Linux {platform.release()}"


def commit(hoist):
    """The commit that a program was built from, as it says itself, `-dirty` behind it where its source differed from that."""
    told = subprocess.run([hoist, "--version"], check=True, capture_output=True, text=True).stdout
    return told.partition("(")[2].partition(")")[0] or "?"


def lookup(path, key):
    with open(path) as file:
        for line in file:
            name, _, value = line.partition(":")
            if name.strip() == key:
                return value.strip()
    return None


def versions(tools):
    """Each tool that is there, with its version in its own words."""
    python = tools.venv / "bin/python"
    code = "import importlib.metadata as m; print(m.version('parallel-ssh'))"
    asked = {
        "Hoist": [tools.hoist, "version"],
        "OpenSSH": ["ssh", "-V"],
        "xargs": ["xargs", "--version"],
        "pdsh": ["pdsh", "-V"],
        "pssh": ["parallel-ssh", "--version"],
        "clush": ["clush", "--version"],
        "Ansible": [tools.venv / "bin/ansible", "--version"],
        "parallel-ssh (library)": [python, "-c", code],
        "Python": ["python3", "--version"],
    }
    found = {}
    for name, argv in asked.items():
        if shutil.which(argv[0]):
            done = subprocess.run(argv, capture_output=True, text=True, env=tools.env(), check=False)
            lines = (done.stdout or done.stderr).splitlines()
            found[name] = lines[0].strip() if done.returncode == 0 and lines else "?"
    return found
