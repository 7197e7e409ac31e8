"""The server: one sshd that plays all hosts, tests/farm/farm.sh's, and what it saw of a run."""

import contextlib
import os
import shutil
import subprocess
import time
from pathlib import Path

import meter

ROOT = Path(__file__).resolve().parent.parent
FARM_SH = ROOT / "tests/farm/farm.sh"


class Farm:
    """An sshd. Commands run in a home of their own, with `hosts` in one that has a /srv for each address, too."""

    listeners = set()
    # CPU seconds of processes that had left their session, and ended.
    adopted = 0.0

    def __init__(self, folder, enter=None, within=(), network=127, in_memory=False):
        """`enter`: the program of enter.rs, by which a command runs in a home of its own, with the /srv of its host; none:
        where the server is. `within` is put ahead of the command that starts it; `network` is the first byte of its addresses.
        in_memory: the hosts' homes and /srv are on no disk.
        """
        self.folder, self.network, self.in_memory = Path(folder), network, in_memory
        if in_memory:
            # Ahead of the server, which may have a view of mounts of its own.
            (self.folder / "hosts").mkdir(parents=True)
            subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4g", "hoist-bench", self.folder / "hosts"], check=True)
        # More than any tool has open: by default sshd turns connections away from the tenth on that is not logged in.
        options = "MaxStartups 10000"
        if enter is None:
            options += "\nForceCommand none"
        env = os.environ | {"FARM_SSHD_OPTS": options}
        # What leaves its session is handed over to this process.
        meter.become_subreaper()
        subprocess.run([*within, FARM_SH, "up", self.folder], check=True, env=env)
        self.wrapper = self.folder / "wrapper"
        if enter is not None:
            # The farm's own, a script, is kept for whoever changes it.
            self.wrapper.rename(self.folder / "script")
            shutil.copy2(enter, self.wrapper)
        self.port = int((self.folder / "port").read_text())
        self.listener = int((self.folder / "sshd.pid").read_text())
        Farm.listeners.add(self.listener)
        self.key, self.known_hosts = self.folder / "id", self.folder / "known_hosts"
        if network != 127:
            known = self.known_hosts.read_text()
            self.known_hosts.write_text(known.replace("[127.", f"[{network}."))
        self.ssh_config = self.folder / "ssh_config"
        self.ssh_config.write_text(
            f"""Host *
    User root
    Port {self.port}
    IdentityFile {self.key}
    IdentitiesOnly yes
    UserKnownHostsFile {self.known_hosts}
    GlobalKnownHostsFile /dev/null
    StrictHostKeyChecking yes
    BatchMode yes
    LogLevel ERROR
"""
        )

    def addresses(self, count):
        return [f"{self.network}.20.{place // 250}.{place % 250 + 1}" for place in range(count)]

    def list(self, count):
        """A file with so many hosts, one a line."""
        path = self.folder / f"hosts-{count}"
        path.write_text("".join(f"{address}\n" for address in self.addresses(count)))
        return path

    def srv(self, address):
        return self.folder / "hosts" / address / "srv"

    def home(self, address):
        return self.folder / "hosts" / address / "home"

    def fresh(self, count):
        """Empties the hosts' /srv. Their homes stay."""
        for address in self.addresses(count):
            subprocess.run(["rm", "-rf", self.srv(address)], check=True)
            self.srv(address).mkdir(parents=True)

    def bare(self, count):
        """Empties the hosts' homes, where Hoist itself is."""
        for address in self.addresses(count):
            subprocess.run(["rm", "-rf", self.home(address)], check=True)

    def measure(self, hosts, argv, env, output, **how):
        """`meter.measure`, and of the server: `{connections, server_cpu}`, both for all hosts.

        Processes that have left their session count as well, once they have ended.
        """
        log = self.folder / "sshd.log"
        start, cpu = log.stat().st_size, self.cpu_seconds()
        report = meter.measure([str(word) for word in argv], env, output, **how)
        self.settle()
        with open(log, "rb") as file:
            file.seek(start)
            report["connections"] = sum(line.startswith(b"Connection from ") for line in file)
        report["server_cpu"] = self.cpu_seconds() - cpu
        report["hosts"] = hosts
        return report

    def cpu_seconds(self):
        """Of the server and of all that it has started, whoever their parent is by now."""
        for pid in meter.children(os.getpid()):
            if pid not in Farm.listeners:
                with contextlib.suppress(ChildProcessError):
                    ended, _, usage = os.wait4(pid, os.WNOHANG)
                    Farm.adopted += usage.ru_utime + usage.ru_stime if ended else 0
        return meter.cpu_seconds(self.listener) + Farm.adopted

    def settle(self):
        """Waits until no session is left, so that the next tool begins with a quiet server."""
        until = time.monotonic() + 30
        while meter.children(self.listener) and time.monotonic() < until:
            time.sleep(0.05)

    def down(self):
        subprocess.run([FARM_SH, "down", self.folder], check=False)
        Farm.listeners.discard(self.listener)
        if self.in_memory:
            subprocess.run(["umount", "--lazy", self.folder / "hosts"], check=False)
        # A thousand hosts with a copy of Hoist each take more than 10 GB.
        subprocess.run(["rm", "-rf", self.folder / "hosts"], check=False)
