"""An artifact of which one part in a hundred changes, brought to a host by Hoist, by rsync, and by a plain copy."""

import os
import random
import socket
import subprocess
import threading
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from meter import Failed

FILES = 400
CHANGED = FILES // 100
CONFIG = """[global]
git_repo: bench/artifact
dsh_targets: targets
"""
HEAD = ["", "wall, s", "sent to the host, MB", "written there, MB"]


class Counter:
    """Passes connections on to a port of this machine and counts what goes there."""

    def __init__(self, port):
        self.to, self.bytes = port, 0
        self.listener = socket.create_server(("0.0.0.0", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            client, _ = self.listener.accept()
            # The address that was called says which host is meant.
            server = socket.create_connection((client.getsockname()[0], self.to))
            for pair in ((client, server, True), (server, client, False)):
                threading.Thread(target=self.copy, args=pair, daemon=True).start()

    def copy(self, source, sink, counts):
        try:
            while data := source.recv(1 << 18):
                self.bytes += len(data) if counts else 0
                sink.sendall(data)
            sink.shutdown(socket.SHUT_WR)
        except OSError:
            pass


class Web(ThreadingHTTPServer):
    """Serves files on 127.0.0.1, which is every host here as well."""

    def __init__(self, folder):
        class Handler(SimpleHTTPRequestHandler):
            def __init__(self, *rest):
                super().__init__(*rest, directory=folder)

            def log_message(self, *_):
                pass

        super().__init__(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.serve_forever, daemon=True).start()


class Artifact:
    """The files, and what brings them to a host each. `bytes_all`: how large they are together."""

    def __init__(self, tools, farm, folder, bytes_all):
        self.tools, self.farm, self.folder = tools, farm, folder
        self.app, self.repo, self.web = folder / "app", folder / "repo", folder / "web"
        self.size = bytes_all // FILES
        self.random = random.Random(1)
        self.app.mkdir()
        self.web.mkdir()
        for number in range(FILES):
            self.fill(number)
        self.counter = Counter(farm.port)
        self.server = Web(str(self.web))
        config = farm.ssh_config.read_text().replace(f"Port {farm.port}", f"Port {self.counter.port}")
        self.ssh_config = folder / "ssh_config"
        self.ssh_config.write_text(config.replace("StrictHostKeyChecking yes", "StrictHostKeyChecking no"))
        (self.repo / "hoist").mkdir(parents=True)
        (self.repo / "hoist/hoist.cfg").write_text(CONFIG)
        (self.repo / "hoist/targets").write_text("".join(f"{host}\n" for host in farm.addresses(4)))
        for words in (["init", "-q"], ["add", "."], ["-c", "user.name=b", "-c", "user.email=b@b", "commit", "-qm", "b"]):
            subprocess.run(["git", "-C", self.repo, *words], check=True, env=tools.env())

    def fill(self, number):
        """Packs to about half, as programs do."""
        path = self.app / f"{number % 20}/file{number}"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(self.random.randbytes(self.size // 2) + b"another line of text\n" * (self.size // 42))

    def change(self, turn):
        for place in range(CHANGED):
            self.fill((turn * CHANGED + place) % FILES)
        archive = self.web / f"{turn}.tar.zst"
        tar = f"tar -C '{self.app}' --sort=name -cf - . | zstd -q -3 -o '{archive}'"
        subprocess.run(["sh", "-c", tar], check=True)
        return archive

    def hoist(self, host, artifact):
        options = ["-D", "ssh_config:none", "-D", "ssh_user:root", "-D", f"ssh_port:{self.counter.port}"]
        options += ["-D", f"identity_file:{self.farm.key}", "-D", "host_key_checking:accept-new"]
        options += ["-D", f"lock_dir:{self.folder}", "-D", f"known_hosts:{self.folder}/known_hosts"]
        return [self.tools.hoist, "deploy", "--yes", "-l", host, "--artifact", artifact, *options, "bench"]

    def ways(self, archive):
        """Title, command, and the bytes that the host gets by another way than SSH, of each."""
        session, url, rsync, copy = self.farm.addresses(4)
        digest = subprocess.run(["sha256sum", archive], check=True, capture_output=True, text=True).stdout.split()[0]
        link = f"http://127.0.0.1:{self.server.server_port}/{archive.name}#sha256={digest}"
        ssh = f"ssh -F {self.ssh_config}"
        plain = f"tar -C '{self.app}' -cf - . | {ssh} {copy} 'rm -rf /srv/copy && mkdir /srv/copy && tar -C /srv/copy -xf -'"
        return [
            ("Hoist, a directory", self.hoist(session, self.app), 0),
            ("Hoist, a URL", self.hoist(url, link), archive.stat().st_size),
            ("rsync", ["rsync", "-a", "--delete", "-e", ssh, f"{self.app}/", f"{rsync}:/srv/rsync/"], 0),
            ("tar over ssh", ["sh", "-c", plain], 0),
        ]

    def written(self):
        """What the server's processes have given to disks so far, those that have ended."""
        lines = Path(f"/proc/{self.farm.listener}/io").read_text().splitlines()
        return int(next(line for line in lines if line.startswith("write_bytes")).split()[1])

    def measure(self, rounds, output):
        """Rows of a table, after a first round that is not in it: then every host has everything."""
        figures = {}
        for turn in range(rounds + 1):
            ways = self.ways(self.change(turn))
            for title, argv, other in ways[turn % len(ways) :] + ways[: turn % len(ways)]:
                sent, written = self.counter.bytes, self.written()
                report = self.farm.measure(1, argv, self.tools.env(), output, cwd=self.repo)
                if report["status"] != 0:
                    raise Failed(f"{title} ended with status {report['status']}: see {output}")
                row = (report["wall"], self.counter.bytes - sent + other, self.written() - written)
                if turn > 0:
                    figures.setdefault(title, []).append(row)
        rows = []
        for title, measured in figures.items():
            middle = [sorted(column)[len(column) // 2] for column in zip(*measured)]
            rows.append([title, f"{middle[0]:.2f}", f"{middle[1] / 1e6:.1f}", f"{middle[2] / 1e6:.1f}"])
        return sorted(rows)
