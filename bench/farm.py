"""The server: one sshd that plays all hosts, tests/farm/farm.sh's, and what it saw of a run."""

import os
import subprocess
import time
from pathlib import Path

import meter

ROOT = Path(__file__).resolve().parent.parent
FARM_SH = ROOT / "tests/farm/farm.sh"


class Farm:
    """An sshd. Commands run in a home of their own, with `hosts` in one that has a /srv for each address, too."""

    def __init__(self, folder, hosts=False, within=(), network=127):
        """`within` is put ahead of the command that starts it; `network` is the first byte of its addresses."""
        self.folder, self.network = Path(folder), network
        # More than any tool has open: by default sshd turns connections away from the tenth on that is not logged in.
        options = "MaxStartups 10000"
        if not hosts:
            options += "\nForceCommand none"
        env = os.environ | {"FARM_SSHD_OPTS": options}
        subprocess.run([*within, FARM_SH, "up", self.folder], check=True, env=env)
        self.port = int((self.folder / "port").read_text())
        self.listener = int((self.folder / "sshd.pid").read_text())
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

    def fresh(self, count):
        """Empties the hosts' /srv. Their homes stay."""
        for address in self.addresses(count):
            srv = self.folder / "hosts" / address / "srv"
            subprocess.run(["rm", "-rf", srv], check=True)
            srv.mkdir(parents=True)

    def measure(self, hosts, argv, env, output, **how):
        """`meter.measure`, and of the server: `{connections, server_cpu}`, both for all hosts."""
        log = self.folder / "sshd.log"
        start, cpu = log.stat().st_size, meter.cpu_seconds(self.listener)
        report = meter.measure([str(word) for word in argv], env, output, **how)
        self.settle()
        with open(log, "rb") as file:
            file.seek(start)
            report["connections"] = sum(line.startswith(b"Connection from ") for line in file)
        report["server_cpu"] = meter.cpu_seconds(self.listener) - cpu
        report["hosts"] = hosts
        return report

    def settle(self):
        """Waits until no session is left, so that the next tool begins with a quiet server."""
        until = time.monotonic() + 30
        while meter.children(self.listener) and time.monotonic() < until:
            time.sleep(0.05)

    def down(self):
        subprocess.run([FARM_SH, "down", self.folder], check=False)
