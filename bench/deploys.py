"""A deployment by Hoist, the same by an Ansible playbook, and Hoist's stages again as bare commands."""

import contextlib
import json
import os
import shutil
import subprocess
import time
from pathlib import Path

from meter import Failed
from peers import BATCH, HERE
from session import stages

REPO = "bench/app"
GIT_PORT = 9418
STAGES = ["fetch", "config_deploy", "promote", "finalize"]
SERVICE = "bench-service"
# A tree of 200 files and 800 KB.
FILES, FILE_BYTES = 200, 4096

CONFIG = """[global]
git_repo: bench/app
dsh_targets: targets
batch_size: 80
config_deploy: yes
"""


class Deployment:
    """A repository with two revisions, the second of which changes one file; and the hosts of a farm that get it."""

    def __init__(self, tools, farm, count, folder, files=FILES):
        self.tools, self.farm, self.count, self.folder, self.files = tools, farm, count, folder, files
        self.repo = folder / "app"
        self.within = []
        self.make_repo()

    def git(self, *words):
        return subprocess.run(
            ["git", "-C", self.repo, *words], check=True, capture_output=True, text=True, env=self.tools.env()
        ).stdout.strip()

    def make_repo(self):
        (self.repo / "hoist/templates").mkdir(parents=True)
        (self.repo / "hoist/hoist.cfg").write_text(CONFIG)
        (self.repo / "hoist/targets").write_text("".join(f"{host}\n" for host in self.farm.addresses(self.count)))
        (self.repo / "hoist/config-files.yaml").write_text("/srv/app.conf:\n  template: app.conf.j2\n")
        (self.repo / "hoist/templates/app.conf.j2").write_text("title = {{ title }}\n")
        (self.repo / "hoist/vars.yaml").write_text("title: An application\n")
        # No two lines are alike, and it packs about as well as source does.
        for number in range(self.files):
            path = self.repo / f"src/{number % (self.files // 20)}/file{number}"
            path.parent.mkdir(parents=True, exist_ok=True)
            lines = (f"let value_{number}_{line} = {number * line * 2654435761 % 1000003};\n" for line in range(200))
            path.write_text("".join(lines)[:FILE_BYTES])
        self.git("init", "-q")
        # Whoever deploys from a repository has a name there, and its objects are in packs, as those of a clone are.
        self.git("config", "user.name", "bench")
        self.git("config", "user.email", "bench@localhost")
        self.git("add", ".")
        self.git("commit", "-qm", "one")
        self.git("repack", "-adq")
        self.first = self.git("rev-parse", "HEAD")
        self.second = self.change("two")

    def change(self, name):
        """A revision more, of one changed file."""
        (self.repo / "src/0/file0").write_text(f"changed: {name}\n")
        self.git("commit", "-qam", name)
        return self.git("rev-parse", "HEAD")

    def set(self, key, value):
        """Sets a key of the configuration, in place of the value that it has."""
        path = self.repo / "hoist/hoist.cfg"
        lines = [line for line in path.read_text().splitlines() if not line.startswith(f"{key}:")]
        path.write_text("\n".join([*lines, f"{key}: {value}", ""]))

    def add_service(self):
        """Gives every host a service that does nothing; options for the deployments that restart it."""
        for address in self.farm.addresses(self.count):
            path = self.farm.srv(address) / SERVICE
            # The shell's own words alone: what starts processes would be counted as a cost of the stage.
            path.write_text("#!/bin/sh\nif [ -s /srv/broken ]; then : >/srv/broken; exit 1; fi\n")
            path.chmod(0o755)
        options = {"service_name": "app", "service_command": f"/srv/{SERVICE} {{action}} {{service}}"}
        options |= {"verify_service": "off", "lock_after_rollback": "no"}
        return [word for key, value in options.items() for word in ("-D", f"{key}:{value}")]

    def break_service(self, address):
        """The next restart of the service fails, one time."""
        (self.farm.srv(address) / "broken").write_text("once\n")

    def hoist(self, *words):
        lock = ["-D", f"lock_dir:{self.folder}"]
        return [*self.within, self.tools.hoist, *words, *self.tools.hoist_options(self.farm), *lock]

    def bring_hoist(self, output, **how):
        """A probe of all hosts, which copies Hoist to those that have it not."""
        argv = self.hoist("status", "--format", "json")
        report = self.farm.measure(self.count, argv, self.tools.env(), output, cwd=self.repo, **how)
        # Nothing was deployed there, so what it has to say of the hosts is status 0 or 1.
        report["status"] = 0 if report["status"] in (0, 1) else report["status"]
        return report

    def share_hoist(self, output):
        """Brings Hoist to the first host, and from there to the others by hard links: they stand for hosts that have it."""
        argv = self.hoist("status", "--format", "json", "--limit-hosts", self.farm.addresses(1)[0])
        self.farm.measure(1, argv, self.tools.env(), output, cwd=self.repo)
        [source, *others] = [self.farm.home(address) / ".cache" for address in self.farm.addresses(self.count)]
        if not source.exists():
            raise Failed(f"the first host has got no Hoist: see {output}")
        for folder in others:
            shutil.copytree(source, folder, copy_function=link, dirs_exist_ok=True)

    def run_hoist(self, revision, output, options=(), **how):
        """A deployment."""
        return self.events(self.hoist("deploy", "--yes", "--format", "json", "--rev", revision, *options, "bench"), output, **how)

    def events(self, argv, output, **how):
        """A command that tells of its stages: `stages` is the wall time of each in seconds."""
        start = output.stat().st_size if output.exists() else 0
        report = self.farm.measure(self.count, argv, self.tools.env(), output, cwd=self.repo, **how)
        report["stages"] = {}
        with open(output) as file:
            file.seek(start)
            for line in file:
                try:
                    event = json.loads(line) if line.startswith("{") else {}
                except ValueError as error:
                    raise Failed(f"an event of Hoist's is cut off; is the disk full? See {output}") from error
                if event.get("event") == "step_ended":
                    step = event["step"]
                    name = step["run"] if isinstance(step, dict) else step
                    report["stages"][name] = event["seconds"]
        return report

    def run_ansible(self, revision, output, **how):
        """The playbook. Each run opens connections of its own: masters of another are ended with it."""
        (self.tools.work / "cp").mkdir(exist_ok=True)
        tar = self.folder / f"{revision}.tar.gz"
        # What Hoist does anew in each deployment, namely to make a pack, the playbook does as its first step.
        variables = {"repo": str(self.repo), "revision": revision, "archive": str(tar), "repo_name": REPO}
        inventory = self.tools.inventory(self.farm.list(self.count))
        argv = [self.tools.venv / "bin/ansible-playbook", "-i", inventory, "-f", BATCH, "-e", json.dumps(variables)]
        env = self.tools.ansible_env(self.farm, "-o ControlMaster=auto -o ControlPersist=60s")
        return self.farm.measure(self.count, [*argv, HERE / "playbook.yml"], env, output, **how)

    @contextlib.contextmanager
    def git_server(self):
        """Lets hosts fetch from the repository by git's own protocol."""
        options = ["--export-all", "--listen=127.0.0.1", f"--port={GIT_PORT}", "--max-connections=0", "--reuseaddr"]
        argv = ["git", "daemon", f"--base-path={self.folder}", *options, self.folder]
        # It also complains of the connection that only asks whether it answers.
        server = subprocess.Popen([*self.within, *argv], env=self.tools.env(), stderr=subprocess.DEVNULL)
        try:
            wait_for(server, GIT_PORT, self.within)
            yield server
        finally:
            # Git starts the server as a process of its own, and passes the signal on.
            server.terminate()
            server.wait()

    def run_ssh(self, revision, output, **how):
        """The same four stages with OpenSSH's client for each host and each of them, as Scap has it; nothing is checked."""
        argv = ["sh", HERE / "stages.sh", self.farm.list(self.count), self.farm.ssh_config, BATCH, GIT_PORT, revision]
        return self.farm.measure(self.count, argv, self.tools.env(), output, **how)

    def record(self, output):
        """Deploys once and writes down what every stage was on every host; a folder for `floor … replay`."""
        records = self.folder / "records"
        raw = self.folder / "recording"
        raw.mkdir()
        shutil.copy2(self.farm.wrapper, self.farm.folder / "plain-wrapper")
        recorder = self.farm.folder / "recorder"
        recorder.write_text(
            f"""#!/bin/sh
set -- $SSH_CONNECTION
tee {raw}/$3.$$.input | {self.farm.folder}/plain-wrapper
"""
        )
        recorder.chmod(0o755)
        os.replace(recorder, self.farm.wrapper)
        report = self.run_hoist(self.first, output)
        os.replace(self.farm.folder / "plain-wrapper", self.farm.wrapper)
        if report["status"] != 0:
            raise Failed(f"the deployment that is recorded failed: see {output}")
        for path in raw.glob("*.input"):
            host = path.name.rpartition(".")[0].rpartition(".")[0]
            [hoist] = self.farm.home(host).glob(".cache/hoist/*/hoist")
            for name, request in stages(path):
                # In the order of their names they are replayed.
                stage = records / f"{STAGES.index(name)}-{name}"
                stage.mkdir(parents=True, exist_ok=True)
                (stage / f"{host}.input").write_bytes(request)
                (stage / f"{host}.command").write_text(f"exec {hoist} deploy-local")
        return records

    def replay(self, records, output, **how):
        """The recorded stages as bare commands on open sessions, one stage after the other over all hosts."""
        hosts = self.farm.list(self.count)
        start = output.stat().st_size if output.exists() else 0
        argv = [*self.within, *self.tools.floor_on(self.farm, hosts, "replay", records)]
        report = self.farm.measure(self.count, argv, self.tools.env(), output, **how)
        with open(output) as file:
            file.seek(start)
            parts = (line.split() for line in file if line.count(" ") == 1)
            report["stages"] = {name.partition("-")[2] or name: float(seconds) for name, seconds in parts}
        return report


def link(source, target):
    """A hard link, also where a file is already: some hosts may have got Hoist before."""
    Path(target).unlink(missing_ok=True)
    os.link(source, target)


def wait_for(server, port, within=()):
    """Waits until a server that was started answers on its port."""
    code = f"import socket; socket.create_connection(('127.0.0.1', {port}))"
    until = time.monotonic() + 20
    while subprocess.run([*within, "python3", "-c", code], stderr=subprocess.DEVNULL, check=False).returncode:
        if server.poll() is not None or time.monotonic() > until:
            raise Failed(f"{server.args[len(within)]} does not answer on port {port}")
        time.sleep(0.05)
