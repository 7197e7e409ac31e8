"""The tools, and how each is told to run `true` on many hosts. Every one has its best documented flags for that.

All use the same key, server and known_hosts; ciphers are each tool's own choice. Sharing of connections is off for those
that call OpenSSH's client: there is one command a host, and a master process for each would only cost.
"""

import os
import shutil
import sys
from pathlib import Path

import algorithms

HERE = Path(__file__).resolve().parent
COMMAND = "true"
# At once; also the fanout, forks or pool size of every peer.
BATCH = 80


class Tools:
    """Where everything is; `hoist`, `floor` and `enter` beside it are programs, `venv` has what comes from PyPI."""

    def __init__(self, hoist, floor, venv, work):
        self.hoist, self.floor, self.venv, self.work = hoist, floor, Path(venv), Path(work)
        self.enter = Path(floor).with_name("enter")
        # What Hoist offers, once it was asked.
        self.offer = None
        self.home = self.work / "home"
        self.home.mkdir()
        # The operator's /etc/hoist.cfg is none of this.
        self.no_config = self.work / "no.cfg"
        self.no_config.touch()
        self.ansible_config = self.work / "ansible.cfg"
        self.ansible_config.touch()

    def env(self, **more):
        """What every tool runs with: nothing of the operator's own settings, agent or git."""
        return {"HOME": str(self.home), "PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8", "USER": "root"} | {
            "HOIST_GLOBAL_CONFIG": str(self.no_config),
            **more,
        }

    def hoist_options(self, farm):
        """As `-D` options, so that every command is complete as it stands."""
        options = {"ssh_config": "none", "ssh_user": "root", "ssh_port": farm.port}
        options |= {"identity_file": farm.key, "known_hosts": farm.known_hosts}
        return [word for key, value in options.items() for word in ("-D", f"{key}:{value}")]

    def ansible_env(self, farm, ssh_args):
        """Ansible's settings: pipelining, no facts unless asked for, and no warnings about localhost."""
        return self.env(
            ANSIBLE_CONFIG=str(self.ansible_config),
            ANSIBLE_FORKS=str(BATCH),
            ANSIBLE_PIPELINING="True",
            ANSIBLE_GATHERING="explicit",
            ANSIBLE_SSH_ARGS=f"-F {farm.ssh_config} {ssh_args}",
            # A path of a socket has 108 bytes at most.
            ANSIBLE_SSH_CONTROL_PATH_DIR=str(self.work / "cp"),
            # Looking for Python on every target would cost it another round trip.
            ANSIBLE_PYTHON_INTERPRETER="/usr/bin/python3",
            ANSIBLE_LOCALHOST_WARNING="False",
        )

    def floor_on(self, farm, hosts, *mode):
        """The floor's command line; it offers the algorithms that Hoist does."""
        if self.offer is None:
            keys = ["ssh_config:none", "ssh_port:%PORT%", f"identity_file:{farm.key}", f"known_hosts:{farm.known_hosts}"]
            options = [word for key in keys for word in ("-D", key)]
            argv = [self.hoist, "run", "--hosts", "127.0.0.1", *options, "--", COMMAND]
            self.offer = algorithms.offered(argv, self.env(), self.work / "output")
        return [self.floor, farm.port, farm.key, self.offer, BATCH, hosts, *mode]

    def inventory(self, hosts):
        """Ansible takes a file of names as an inventory; the name has to be free of dashes and dots to be safe."""
        path = self.work / f"inventory{hosts.name.replace('-', '')}"
        path.write_text(hosts.read_text())
        return path


class Peer:
    """A tool. `forks`: it starts OpenSSH's client for each host. `call(tools, farm, hosts)` gives argv and env."""

    def __init__(self, name, title, forks, call):
        self.name, self.title, self.forks, self.call = name, title, forks, call


def hoist(tools, farm, hosts):
    options = tools.hoist_options(farm)
    return [tools.hoist, "run", "--hosts", hosts, "--batch", BATCH, *options, "--", COMMAND], tools.env()


def hoist_ssh_config(tools, farm, hosts):
    """The user's own ~/.ssh/config says how the hosts are reached, in one Host block for all and one for some."""
    home = tools.work / "home-ssh-config"
    (home / ".ssh").mkdir(parents=True, exist_ok=True)
    some = f"Host {farm.network}.20.*.1\n    ServerAliveInterval 30\n"
    (home / ".ssh/config").write_text(some + farm.ssh_config.read_text())
    options = ["-D", f"ssh_config:{home}/.ssh/config"]
    argv = [tools.hoist, "run", "--hosts", hosts, "--batch", BATCH, *options, "--", COMMAND]
    return argv, tools.env(HOME=str(home))


def floor(tools, farm, hosts):
    return tools.floor_on(farm, hosts, "run", COMMAND), tools.env()


def xargs(tools, farm, hosts):
    return ["xargs", "-a", hosts, "-P", BATCH, "-I{}", "ssh", "-n", "-F", farm.ssh_config, "{}", COMMAND], tools.env()


def pdsh(tools, farm, hosts):
    env = tools.env(PDSH_SSH_ARGS_APPEND=f"-F {farm.ssh_config}")
    return ["pdsh", "-S", "-R", "ssh", "-f", BATCH, "-w", f"^{hosts}", COMMAND], env


def pssh(tools, farm, hosts):
    return ["parallel-ssh", "-h", hosts, "-p", BATCH, "-t", 0, "-x", f"-F {farm.ssh_config}", COMMAND], tools.env()


def clush(tools, farm, hosts):
    return ["clush", "-S", "-f", BATCH, "--hostfile", hosts, "-o", f"-F {farm.ssh_config}", COMMAND], tools.env()


def ansible(tools, farm, hosts):
    argv = [tools.venv / "bin/ansible", "-i", tools.inventory(hosts), "-f", BATCH, "-m", "raw", "-a", COMMAND, "all"]
    return argv, tools.ansible_env(farm, "-o ControlMaster=no")


def library(tools, farm, hosts):
    python = tools.venv / "bin/python"
    return [python, HERE / "library.py", hosts, farm.port, farm.key, BATCH, COMMAND], tools.env()


PEERS = [
    Peer("hoist", "Hoist", False, hoist),
    Peer("hoist-ssh-config", "Hoist with ssh -G", False, hoist_ssh_config),
    Peer("floor", "floor: bare libssh2", False, floor),
    Peer("library", "parallel-ssh (library)", False, library),
    Peer("xargs", "xargs + ssh", True, xargs),
    Peer("pdsh", "pdsh", True, pdsh),
    Peer("pssh", "pssh", True, pssh),
    Peer("clush", "clush", True, clush),
    Peer("ansible", "ansible -m raw", True, ansible),
]


def chosen(names):
    """The tools of those names, the floor always among them; all for no names."""
    known = {peer.name: peer for peer in PEERS}
    for name in names:
        if name not in known:
            sys.exit(f"bench: PEERS: there is no {name}: {', '.join(known)}")
    return [peer for peer in PEERS if not names or peer.name in names or peer.name == "floor"]


def is_there(peer, tools):
    """Why a tool cannot be tried, or None."""
    program = {"xargs": "ssh", "pssh": "parallel-ssh"}.get(peer.name, peer.name)
    if peer.name in ("hoist", "hoist-ssh-config", "floor"):
        return None
    if peer.name in ("ansible", "library"):
        there = (tools.venv / "parallel-ssh").exists()
    else:
        there = shutil.which(program)
    return None if there else f"{program} is not installed: bench/needs.sh installs it"
