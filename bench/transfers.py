"""(j) Megabytes that change on many hosts, by Hoist, by rsync, by scp, from a git server, and from an object store."""

import contextlib
import random
import subprocess

import meter
import settings
from deploys import GIT_PORT, Deployment, wait_for
from peers import BATCH
from wire import Wire

FILES = 100
WEB = 8080
NGINX = """user root;
worker_processes 2;
error_log {folder}/nginx.log;
pid {folder}/nginx.pid;
events {{ worker_connections 4096; }}
http {{
    access_log off;
    sendfile on;
    server {{ listen 127.0.0.1:{port}; location / {{ root {folder}/web; }} }}
}}
"""
TITLES = {
    "hoist": "Hoist, a commit",
    "store": "Hoist, an artifact that hosts download",
    "git": "ssh + git fetch from a git server",
    "rsync": "rsync",
    "scp": "scp",
}


def transfers(bench):
    wire = Wire()
    try:
        farm = bench.farm(hosts=True, within=wire.within)
        try:
            farm.fresh(settings.BYTES_HOSTS)
            with Transfers(bench, farm, wire) as ways:
                ways.measure()
        finally:
            farm.down()
    finally:
        wire.down()


class Transfers:
    """A repository whose large files change all at once; servers that have it, too."""

    def __init__(self, bench, farm, wire):
        self.bench, self.farm, self.wire, self.count = bench, farm, wire, settings.BYTES_HOSTS
        self.folder = bench.folder("bytes")
        self.site = Deployment(bench.tools, farm, self.count, self.folder)
        self.store = Deployment(bench.tools, farm, self.count, bench.folder("store"))
        self.store.set("git_repo", "bench/store")
        self.site.within = self.store.within = wire.within
        self.random, self.servers = random.Random(1), []
        self.web = self.folder / "web"
        self.web.mkdir()

    def __enter__(self):
        (self.folder / "nginx.conf").write_text(NGINX.format(folder=self.folder, port=WEB))
        argv = ["nginx", "-p", self.folder, "-e", self.folder / "nginx.log", "-c", self.folder / "nginx.conf"]
        within = self.wire.within
        self.stack = contextlib.ExitStack()
        with contextlib.ExitStack() as stack:
            web = subprocess.Popen([*within, *argv, "-g", "daemon off;"], env=self.bench.tools.env())
            stack.callback(web.wait)
            stack.callback(web.terminate)
            wait_for(web, WEB, within)
            self.servers = [web, stack.enter_context(self.site.git_server())]
            self.stack = stack.pop_all()
        return self

    def __exit__(self, *_):
        self.stack.close()

    def server_cpu(self):
        """Of the git server and the object store, with what they have started."""
        pids = [pid for server in self.servers for pid in (server.pid, *meter.below(server.pid))]
        return sum(meter.cpu_seconds(pid) for pid in pids)

    def change(self, turn):
        """Fills the files anew; they pack to about half, as programs do."""
        size = settings.CHANGED * 10**6 // FILES
        for number in range(FILES):
            path = self.site.repo / f"large/{number % 10}/file{number}"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(self.random.randbytes(size // 2) + b"another line of text\n" * (size // 42))
        self.site.git("add", ".")
        self.site.git("commit", "-qm", f"bytes {turn}")
        self.archive = self.web / f"{turn}.tar.zst"
        tar = f"git -C '{self.site.repo}' archive HEAD | zstd -q -3 -o '{self.archive}'"
        subprocess.run(["sh", "-c", tar], check=True, env=self.bench.tools.env())
        digest = subprocess.run(["sha256sum", self.archive], check=True, capture_output=True, text=True)
        self.digest = digest.stdout.split()[0]
        return self.site.git("rev-parse", "HEAD")

    def on_each(self, command):
        """A command for each host, `{}` in it, as many at once as Hoist has."""
        hosts = self.farm.list(self.count)
        return [*self.wire.within, "xargs", "-a", hosts, "-P", BATCH, "-I{}", *command]

    def ways(self, revision):
        ssh = ["ssh", "-n", "-F", self.farm.ssh_config]
        fetch = f"""[ -e /srv/git ] || git clone -q --no-checkout git://127.0.0.1:{GIT_PORT}/app /srv/git
            cd /srv/git && git fetch -q origin && git checkout -q --detach {revision}"""
        url = f"http://127.0.0.1:{WEB}/{self.archive.name}#sha256={self.digest}"
        app = self.site.repo
        rsync = ["rsync", "-a", "--delete", "--exclude=.git", "-e", f"ssh -F {self.farm.ssh_config}", f"{app}/", "{}:/srv/rsync/"]
        # By its own protocol: the hosts have no server for SFTP.
        scp = ["scp", "-O", "-q", "-r", "-F", self.farm.ssh_config, app / "large", "{}:/srv"]
        return {
            "hoist": self.site.hoist("deploy", "--yes", "--rev", revision),
            "store": self.store.hoist("deploy", "--yes", "--artifact", url),
            "git": self.on_each([*ssh, "{}", fetch]),
            "rsync": self.on_each(rsync),
            "scp": self.on_each(scp),
        }

    def measure(self):
        """One round, after a first one, in which hosts get everything and which is not looked at."""
        for turn in range(2):
            ways = list(self.ways(self.change(turn)).items())
            for name, argv in ways[turn % len(ways) :] + ways[: turn % len(ways)]:
                before, cpu = Wire.bytes(self.farm.listener), self.server_cpu()
                env, output = self.bench.tools.env(), self.bench.output
                report = self.farm.measure(self.count, argv, env, output, cwd=self.site.repo if name != "store" else self.store.repo)
                report["network"] = Wire.bytes(self.farm.listener) - before
                report["other_cpu"] = self.server_cpu() - cpu
                if name == "store":
                    report["served"] = self.archive.stat().st_size * self.count
                if turn > 0 or report["status"] != 0:
                    self.bench.note("bytes", name, turn, report, memory=False)
