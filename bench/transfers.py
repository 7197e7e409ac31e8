"""(j) Megabytes that are new to many hosts, by Hoist, by rsync, from a git server through a cache, and from an object store."""

import contextlib
import os
import random
import subprocess
import threading
import time

import meter
import settings
from deploys import Deployment, wait_for
from peers import BATCH
from wire import Wire

FILES = 100
WEB = 8080
# The same cache twice, so that each way finds its own empty.
CACHE_HOIST, CACHE_GIT = 8081, 8082
# The object store, which is also the one server with the repository, for git's plain HTTP; and the cache in front of it.
NGINX = """user root;
worker_processes 2;
error_log {folder}/nginx.log;
pid {folder}/nginx.pid;
events {{ worker_connections 4096; }}
http {{
    access_log off;
    sendfile on;
    server {{ listen 127.0.0.1:{web}; location / {{ root {folder}/web; }} }}
    proxy_cache_path {folder}/cache keys_zone=git:10m max_size=4g;
    log_format cache "$upstream_cache_status $bytes_sent";
    server {{
        listen 127.0.0.1:{hoist};
        listen 127.0.0.1:{git};
        access_log {folder}/cache.log cache;
        location / {{
            proxy_pass http://127.0.0.1:{web};
            proxy_cache git;
            proxy_cache_key $server_port$uri;
            proxy_cache_valid 200 404 1m;
            proxy_cache_lock on;
        }}
    }}
}}
"""
TITLES = {
    "hoist": "Hoist, a commit through SSH",
    "server": "Hoist, a commit from a git server's cache",
    "store": "Hoist, an artifact that hosts download",
    "cache": "ssh + git clone from a git server's cache",
    "rsync": "rsync",
}
BY_SSH, BY_SERVERS = ["hoist", "rsync"], ["server", "cache", "store"]


def transfers(bench):
    on_a_wire(bench, "bytes", settings.CHANGED, settings.BYTES_HOSTS, BY_SSH)


def servers(bench):
    """A part of its own for the time that it takes; the figures stand beside those of the part before."""
    on_a_wire(bench, "bytes", settings.CHANGED, settings.BYTES_HOSTS, BY_SERVERS)


def large(bench):
    on_a_wire(bench, "large", settings.LARGE, settings.LARGE_HOSTS, [*BY_SSH, *BY_SERVERS])


def on_a_wire(bench, part, megabytes, count, names):
    wire = Wire()
    try:
        farm = bench.farm(hosts=True, within=wire.within)
        try:
            farm.fresh(count)
            with Transfers(bench, farm, wire, megabytes, count) as ways:
                ways.measure(part, names)
                if part == "bytes" and names is BY_SSH:
                    ways.limited()
        finally:
            farm.down()
    finally:
        wire.down()


class Transfers:
    """A repository with large files; servers that have it, too."""

    def __init__(self, bench, farm, wire, megabytes, count):
        self.bench, self.farm, self.wire, self.megabytes, self.count = bench, farm, wire, megabytes, count
        self.folder = bench.folder(f"{farm.folder.name}-bytes")
        self.site = Deployment(bench.tools, farm, self.count, self.folder)
        self.store = Deployment(bench.tools, farm, self.count, bench.folder(f"{farm.folder.name}-store"))
        self.store.set("git_repo", "bench/store")
        self.site.within = self.store.within = wire.within
        self.random, self.servers = random.Random(1), []
        self.web = self.folder / "web"
        (self.web / "bench").mkdir(parents=True)
        (self.web / "bench/app").symlink_to(self.site.repo)
        self.fill()

    def __enter__(self):
        (self.folder / "nginx.conf").write_text(NGINX.format(folder=self.folder, web=WEB, hoist=CACHE_HOIST, git=CACHE_GIT))
        argv = ["nginx", "-p", self.folder, "-e", self.folder / "nginx.log", "-c", self.folder / "nginx.conf"]
        within = self.wire.within
        self.stack = contextlib.ExitStack()
        with contextlib.ExitStack() as stack:
            web = subprocess.Popen([*within, *argv, "-g", "daemon off;"], env=self.bench.tools.env())
            stack.callback(web.wait)
            stack.callback(web.terminate)
            wait_for(web, WEB, within)
            self.servers = [web]
            self.stack = stack.pop_all()
        return self

    def __exit__(self, *_):
        self.stack.close()

    def server_cpu(self):
        """Of nginx, with what it has started."""
        pids = [pid for server in self.servers for pid in (server.pid, *meter.below(server.pid))]
        return sum(meter.cpu_seconds(pid) for pid in pids)

    def cached(self):
        """The bytes that the cache has sent to hosts."""
        log = self.folder / "cache.log"
        return sum(int(line.split()[1]) for line in log.read_text().splitlines()) if log.exists() else 0

    def fill(self):
        """The files pack to about half, as programs do."""
        size = self.megabytes * 10**6 // FILES
        for number in range(FILES):
            path = self.site.repo / f"large/{number % 10}/file{number}"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(self.random.randbytes(size // 2) + b"another line of text\n" * (size // 42))
        self.site.git("add", ".")
        self.site.git("commit", "-qm", "large files")
        # As a server's repository is after a while. It also writes what clients of plain HTTP need.
        self.site.git("repack", "-adq")
        self.site.git("update-server-info")
        self.revision = self.site.git("rev-parse", "HEAD")
        self.archive = self.web / "large.tar.zst"
        tar = f"git -C '{self.site.repo}' archive HEAD | zstd -q -3 -o '{self.archive}'"
        subprocess.run(["sh", "-c", tar], check=True, env=self.bench.tools.env())
        digest = subprocess.run(["sha256sum", self.archive], check=True, capture_output=True, text=True)
        self.digest = digest.stdout.split()[0]

    def on_each(self, command):
        """A command for each host, `{}` in it, as many at once as Hoist has."""
        hosts = self.farm.list(self.count)
        return [*self.wire.within, "xargs", "-a", hosts, "-P", BATCH, "-I{}", *command]

    def clone(self, url):
        command = f"git clone -q --no-checkout {url} /srv/git && cd /srv/git && git checkout -q --detach {self.revision}"
        return self.on_each(["ssh", "-n", "-F", self.farm.ssh_config, "{}", command])

    def ways(self):
        url = f"http://127.0.0.1:{WEB}/{self.archive.name}#sha256={self.digest}"
        server = ["-D", "git_scheme:http", "-D", f"git_server:127.0.0.1:{CACHE_HOIST}"]
        app = self.site.repo
        rsync = ["rsync", "-a", "--exclude=.git", "-e", f"ssh -F {self.farm.ssh_config}", f"{app}/", "{}:/srv/rsync/"]
        return {
            "hoist": self.site.hoist("deploy", "--yes", "--rev", self.revision),
            "server": self.site.hoist("deploy", "--yes", "--rev", self.revision, *server),
            "store": self.store.hoist("deploy", "--yes", "--artifact", url),
            "cache": self.clone(f"http://127.0.0.1:{CACHE_GIT}/bench/app/.git"),
            "rsync": self.on_each(rsync),
        }

    def run(self, argv, count, repo):
        """What a command takes on hosts whose /srv is empty: disk space for more than one way is not there."""
        self.farm.fresh(self.count)
        os.sync()
        before, cpu, cached = Wire.bytes(self.farm.listener), self.server_cpu(), self.cached()
        report = self.farm.measure(count, argv, self.bench.tools.env(), self.bench.output, cwd=repo)
        report["network"] = Wire.bytes(self.farm.listener) - before
        report["other_cpu"] = self.server_cpu() - cpu
        report["served"] = self.cached() - cached
        return report

    def measure(self, part, names):
        """Each way once; Hoist itself is there before."""
        self.site.share_hoist(self.bench.output)
        self.site.bring_hoist(self.bench.output)
        ways = self.ways()
        for name in names:
            report = self.run(ways[name], self.count, self.store.repo if name == "store" else self.site.repo)
            if name == "store":
                report["served"] = self.archive.stat().st_size * self.count
            self.bench.note(part, name, 0, report, memory=False, megabytes=self.megabytes)

    def limited(self):
        """Hoist once more with `transfer_limit`: bytes a second of all sessions together."""
        count, limit = min(self.count, 40), settings.LIMIT
        hosts = ["--limit-hosts", ",".join(self.farm.addresses(count))]
        argv = self.site.hoist("deploy", "--yes", "--rev", self.revision, "-D", f"transfer_limit:{limit}", *hosts)
        seen, ended = [], threading.Event()

        def watch():
            while not ended.wait(0.05):
                seen.append((time.monotonic(), Wire.bytes(self.farm.listener)))

        watcher = threading.Thread(target=watch)
        watcher.start()
        try:
            report = self.run(argv, count, self.site.repo)
        finally:
            ended.set()
            watcher.join()
        # Without the beginning and the end, where hosts connect or are done already.
        first, total = seen[0][1], seen[-1][1] - seen[0][1]
        middle = [(when, so_far) for when, so_far in seen if 0.1 * total < so_far - first < 0.9 * total]
        (began, start), (until, end) = middle[0], middle[-1]
        report |= {"limit": limit, "rate": (end - start) / (until - began)}
        self.bench.note("limited", "hoist", 0, report, memory=False)
