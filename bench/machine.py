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


def commit(root):
    """The commit that is checked out, and whether what is measured differs from it: the results themselves do not count."""

    def git(*arguments):
        done = subprocess.run(["git", "-C", root, *arguments], capture_output=True, text=True, check=False)
        return done.stdout.strip()

    changed = git("status", "--porcelain", "--untracked-files=no", "--", "src", "build.rs", "Cargo.toml", "Cargo.lock")
    return (git("rev-parse", "--short=12", "HEAD") or "?") + ("-dirty" if changed else "")


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
