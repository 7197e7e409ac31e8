#!/usr/bin/env python3
"""Measures Hoist beside its peers, and beside the floor, on one sshd that plays all hosts; `make bench` calls it.

Settings, all by environment:
  ROUNDS  how often each is measured (2)            HOSTS  hosts of one command (300)
  PEERS   the tools, by name; unset: all            DEPLOY_HOSTS  hosts of a deployment beside the playbook (80)
  PARTS   what is measured, by name; unset: all but compare; help: lists them
  SIZES   numbers of hosts in growth (300 3000)   HEADLINE_HOSTS  hosts of headline, onward and back (1000)
  MEGABYTES  the size of the artifact, of which 1 % changes (200)
  CHANGED, BYTES_HOSTS  how many megabytes are new in bytes (10), and to how many hosts (HOSTS)
  LARGE, LARGE_HOSTS    the same of large (200 and 10)
  OLD     an earlier build of Hoist, which compare and contact measure beside this one
  QUICK   1: few hosts and one round, to see that it works; its figures are no good
  HOIST, FLOOR  programs to measure in place of dist/hoist, which `make bench` builds, and of the floor, beside which
                is the program `enter`
  OUT     where results.md, results.json and the charts go; the README is changed only when OUT is unset and QUICK is not 1

Parts that were measured before, of the same commit on the same machine, stay in the results until they are measured anew;
before.py prints the figures of two commits beside each other.
It must be root: each host of a deployment has a /srv of its own, and the delay a network of its own.
"""

import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import artifacts
import compare
import contact
import headline
import machine
import named
import peers
import playbook
import results
import transfers
from cost import Costs
from delay import Network
from deploys import Deployment
from farm import ROOT, Farm
from meter import Failed
from settings import DELAY, DEPLOY_ROUNDS, DEPLOYED, HELD, HELD_BY_FORKS, HOSTS, MEGABYTES, OLD, QUICK, ROUNDS, SIZES


class Bench:
    def __init__(self, tools, work):
        self.tools, self.work, self.notes = tools, work, []
        # A note is a part's name and a text. What was measured: of each part a list, and a time in seconds.
        self.measures, self.costs, self.artifacts, self.took = [], [], [], {}
        self.section = None
        self.output = work / "output"
        self.output.touch()
        self.farms = 0
        # Hosts that one part of the headline leaves to the next.
        self.kept = None

    def farm(self, hosts=False, **how):
        """A server; `hosts`: each of its addresses has a home and a /srv of its own."""
        self.farms += 1
        return Farm(self.work / f"farm{self.farms}", self.tools.enter if hosts else None, **how)

    def note(self, part, tool, number, report, **more):
        """Keeps a figure; a run that failed is told and kept apart."""
        report |= {"part": part, "tool": tool, "round": number, "section": self.section, **more}
        cpu = report["cpu"] * 1000 / report["hosts"]
        say(f"  {part:16} {tool:18} {report['hosts']:5} hosts  {report['wall']:7.2f} s  {cpu:7.2f} ms of CPU a host")
        if report["status"] != 0:
            failure = f"{part}: {tool} on {report['hosts']} hosts ended with status {report['status']}"
            say(f"  {failure}: see the end of {self.output}")
            self.notes.append((self.section, failure))
            return
        self.measures.append(report)

    def available(self, farm):
        """The tools that run one command on one host without a fault; the others are named in the results."""
        good = []
        for peer in wanted():
            why = peers.is_there(peer, self.tools)
            if why is None:
                argv, env = peer.call(self.tools, farm, farm.list(1))
                report = farm.measure(1, argv, env, self.output)
                why = f"status {report['status']} on one host" if report["status"] != 0 else None
            if why is None:
                good.append(peer)
                continue
            say(f"{peer.title} is left out: {why}")
            self.notes.append((self.section, f"{peer.title} was left out: {why}."))
        return good

    def on_hosts(self, part, farm, tools, count, rounds, within=(), memory=True):
        """`true` on so many hosts, by each tool in turn; with `memory` one more turn, untimed, for that."""
        for number in range(rounds + memory):
            for_memory = number == rounds
            # Those that start a process for each host take long and differ little: they are timed once.
            once = number > 0 and not for_memory
            turn = [peer for peer in tools if not (once and peer.forks)]
            # Each round begins with another tool.
            shift = number % max(1, len(turn))
            for peer in turn[shift:] + turn[:shift]:
                hosts = min(count, HELD_BY_FORKS) if for_memory and peer.forks else count
                argv, env = peer.call(self.tools, farm, farm.list(hosts))
                report = farm.measure(hosts, [*within, *argv], env, self.output, memory=for_memory)
                self.note(part, peer.name, number, report, memory=for_memory)

    def run(self):
        """(a) One command on many hosts."""
        farm = self.farm()
        try:
            self.on_hosts("run", farm, self.available(farm), HOSTS, ROUNDS)
        finally:
            farm.down()

    def deploy(self):
        """(b) A deployment of four stages, and a second one that changes a file."""
        farm = self.farm(hosts=True)
        try:
            farm.fresh(DEPLOYED)
            site = Deployment(self.tools, farm, DEPLOYED, self.folder("deploy"))
            self.note("bring", "hoist", 0, site.bring_hoist(self.output))
            records = site.record(self.output)
            for number in range(DEPLOY_ROUNDS):
                self.both(farm, site, "hoist", number)
                farm.fresh(DEPLOYED)
                self.note("first", "floor", number, site.replay(records, self.output), memory=False)
            farm.fresh(DEPLOYED)
            report = site.run_hoist(site.first, self.output, memory=True)
            self.note("first", "hoist", DEPLOY_ROUNDS, report, memory=True)
            if not wanted_names() or "xargs" in wanted_names():
                # Once: OpenSSH's client for each host and stage, as Scap does, with a git server.
                with site.git_server():
                    self.both(farm, site, "stages", 0)
        finally:
            farm.down()

    def both(self, farm, site, tool, number):
        """A first and a second deployment by one tool."""
        farm.fresh(site.count)
        way = {"hoist": site.run_hoist, "ansible": site.run_ansible, "stages": site.run_ssh}[tool]
        for part, revision in (("first", site.first), ("second", site.second)):
            self.note(part, tool, number, way(revision, self.output), memory=False)

    def growth(self):
        """(d) Many times the hosts: one command, and sessions that are held open, as in a deployment."""
        farm = self.farm()
        try:
            tools = [peer for peer in peers.PEERS if peer.name in ("hoist", "floor")]
            for number in range(ROUNDS):
                for peer in tools[:: 1 if number % 2 == 0 else -1]:
                    # The few hosts ahead of the many and after them: both see the same machine.
                    for size in [*SIZES, *SIZES[-2::-1]]:
                        argv, env = peer.call(self.tools, farm, farm.list(size))
                        report = farm.measure(size, argv, env, self.output)
                        self.note("growth", peer.name, number, report, memory=False)
            Deployment(self.tools, farm, 1, self.folder("ahead")).bring_hoist(self.output)
            for size in sorted({1, HELD}):
                site = Deployment(self.tools, farm, size, self.folder(f"held{size}"))
                # A probe of all hosts: their sessions are all open at its end, as they are all through a deployment.
                self.note("held", "hoist", 0, site.bring_hoist(self.output, memory=True), memory=True)
                argv = self.tools.floor_on(farm, farm.list(size), "hold", "0.5")
                report = farm.measure(size, argv, self.tools.env(), self.output, memory=True)
                self.note("held", "floor", 0, report, memory=True)
        finally:
            farm.down()

    def delay(self):
        """(e) With and without a delay on the same network: what is more with it are the round trips."""
        for name, delay in (("near", 0), ("far", DELAY)):
            network = Network(delay)
            try:
                farm = self.farm(within=network.server, network=10)
                # How long a disk takes varies by more than a few round trips.
                site_farm = self.farm(hosts=True, within=network.server, network=10, in_memory=True)
                try:
                    trip = network.round_trip(farm.addresses(1)[0], farm.port)
                    say(f"a connection to a host of this network is made in {trip * 1000:.1f} ms")
                    tools = [peer for peer in peers.PEERS if peer.name in ("hoist", "floor")]
                    self.on_hosts(f"run {name}", farm, tools, HOSTS, ROUNDS, within=network.client, memory=False)
                    # On a few the network shows the clearest, and they are quick enough for more rounds; then a full batch.
                    few = min(HOSTS, 8)
                    for count, rounds in {few: 1 if QUICK else 5, DEPLOYED: DEPLOY_ROUNDS}.items():
                        self.deploy_at(name, network, site_farm, count, rounds, trip)
                finally:
                    farm.down()
                    site_farm.down()
            finally:
                network.down()

    def deploy_at(self, name, network, farm, count, rounds, trip):
        farm.fresh(count)
        site = Deployment(self.tools, farm, count, self.folder(f"{name}{count}"))
        site.within = network.client
        site.share_hoist(self.output)
        site.bring_hoist(self.output)
        records = site.record(self.output)
        for number in range(rounds):
            farm.fresh(count)
            self.note(f"first {name}", "floor", number, site.replay(records, self.output), memory=False, trip=trip)
            farm.fresh(count)
            for part, revision in (("first", site.first), ("second", site.second)):
                before = network.cpu()
                report = site.run_hoist(revision, self.output)
                link = network.cpu() - before
                self.note(f"{part} {name}", "hoist", number, report, memory=False, trip=trip, link=link)

    def artifact(self):
        """(e) An artifact of which one part in a hundred changes, by several ways in turn."""
        farm = self.farm(hosts=True)
        try:
            made = artifacts.Artifact(self.tools, farm, self.folder("artifact"), MEGABYTES * 10**6)
            self.artifacts = made.measure(ROUNDS, self.output)
        finally:
            farm.down()

    def target(self):
        """(f) What each stage costs one target, for trees of few files and of many."""
        for files in [200] if QUICK else [200, 10000]:
            farm = self.farm(hosts=True)
            try:
                costs = Costs(self.tools, farm, self.folder(f"target{files}"), files)
                if costs.disk.why:
                    say(f"  the host has no file system of its own: {costs.disk.why}")
                try:
                    costs.site.bring_hoist(self.output)
                    # Calls are counted once, for they are the same each time.
                    for number, counted in [(0, True), *((number, False) for number in range(ROUNDS))]:
                        cases = costs.measure(self.output, counted)
                        say(f"  {files} files: {'calls are counted' if counted else 'CPU time is measured'}")
                        self.costs.append({"files": files, "counted": counted, "cases": cases})
                finally:
                    costs.down()
            finally:
                farm.down()

    def about(self, versions):
        """All that was measured so far, and on what."""
        return {
            "machine": machine.machine(),
            "versions": versions,
            "commit": machine.commit(self.tools.hoist),
            "date": time.strftime("%Y-%m-%d"),
            "rounds": ROUNDS,
            "quick": QUICK,
            "took": dict(self.took),
            "notes": list(self.notes),
            "measures": list(self.measures),
            "costs": self.costs,
            "artifacts": self.artifacts,
        }

    def let_go(self):
        """Ends the hosts that no part wants any more."""
        if self.kept:
            self.kept.farm.down()
        self.kept = None

    @staticmethod
    def say(text):
        say(text)

    @staticmethod
    def wanted():
        return wanted()

    def folder(self, name):
        path = self.work / name
        path.mkdir()
        return path


def end(*_):
    """Ends all that was started, as Ctrl-C does."""
    sys.exit(143)


def say(text):
    print(text, flush=True)


# Name, about how many minutes it takes on two quiet cores with ROUNDS=2, what it measures, and how. All are to take
# less than five, and all but compare together less than 40; the results say how long they took.
PARTS = {
    "run": (3.5, "one command on HOSTS hosts, by every tool", Bench.run),
    "deploy": (2, "a deployment of four stages to DEPLOY_HOSTS hosts, beside bare commands and ssh for each stage", Bench.deploy),
    "playbook": (2.5, "the same first deployment, by Ansible's playbook", playbook.playbook),
    "again": (2.5, "on the same hosts, the second deployment by the playbook", playbook.again),
    "headline": (4.5, "HEADLINE_HOSTS hosts that have no Hoist: first deployment", headline.headline),
    "onward": (2.5, "the same hosts: second deployment, and one that fails and is rolled back", headline.onward),
    "back": (1.5, "the same hosts: `hoist rollback`", headline.back),
    "growth": (3.5, "one command and open sessions on SIZES hosts", Bench.growth),
    "delay": (3, "with and without 50 ms of round trip", Bench.delay),
    "names": (0.5, "hosts by name, from a name server, beside hosts by address", named.names),
    "target": (1, "what each stage costs a target: CPU, processes, calls", Bench.target),
    "contact": (1.5, "hosts without Hoist get it, also over a link of 100 Mbit/s; with OLD by both builds", contact.contact),
    "bytes": (4, "CHANGED megabytes to BYTES_HOSTS hosts, beside rsync; transfer_limit", transfers.transfers),
    "servers": (5, "the same from a git server through a cache, also beside git, and from an object store", transfers.servers),
    "large": (3, "LARGE megabytes to LARGE_HOSTS hosts, by all these ways", transfers.large),
    "artifact": (1, "an artifact of MEGABYTES, of which 1 % changes, to one host", Bench.artifact),
    "compare": (4, "two builds by turns, the other one is OLD; only when it is asked for", compare.compare),
}


# Parts that take over the hosts of the one before.
ON_THE_SAME_HOSTS = ("again", "onward", "back")


def wanted_parts():
    parts = (os.environ.get("PARTS") or "").split()
    if parts == ["help"]:
        print("\n".join(f"  {name:10}{minutes:3} min  {what}" for name, (minutes, what, _) in PARTS.items()))
        sys.exit(0)
    for part in parts:
        if part not in PARTS:
            sys.exit(f"bench: PARTS: there is no part {part}: {', '.join(PARTS)}")
    if "compare" in parts and not OLD:
        sys.exit("bench: PARTS: compare needs OLD, the other build of Hoist")
    return parts or [name for name in PARTS if name != "compare"]


def wanted_names():
    return (os.environ.get("PEERS") or "").split()


def wanted():
    """The tools that PEERS asks for."""
    return peers.chosen(wanted_names())


def built():
    """The program to ship and the floor. `make bench` has built the first; the second is built here, with `enter`."""
    hoist = Path(os.environ.get("HOIST") or ROOT / "dist/hoist").resolve()
    if not hoist.exists():
        sys.exit(f"bench: there is no {hoist}: `make bench` builds it")
    if os.environ.get("FLOOR"):
        return [hoist, Path(os.environ["FLOOR"]).resolve()]
    say("building the floor")
    # It is linked with the same OpenSSL.
    subprocess.run(["tools/static.sh", "--example", "floor", "--example", "enter"], check=True, cwd=ROOT)
    host = subprocess.run(["rustc", "-vV"], check=True, capture_output=True, text=True).stdout
    triple = next(line.partition(": ")[2] for line in host.splitlines() if line.startswith("host: "))
    target = Path(os.environ.get("CARGO_TARGET_DIR") or ROOT / "target") / triple / "release"
    return [hoist, target / "examples/floor"]


def main():
    if sys.argv[1:] in (["-h"], ["--help"]):
        print(__doc__.strip())
        sys.exit(0)
    if sys.argv[1:]:
        sys.exit("bench: it takes no arguments: its settings are environment variables, which --help lists")
    parts = wanted_parts()
    wanted()
    if os.geteuid() != 0:
        sys.exit("bench: it must be root: the hosts have a /srv and a network of their own")
    signal.signal(signal.SIGTERM, end)
    hoist, floor = built()
    # A file for each session, in the server's and the Python library's process too.
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    files = 20000 if hard == resource.RLIM_INFINITY else min(20000, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (files, hard))
    # Quick figures are not for showing.
    shown = not QUICK and not os.environ.get("OUT")
    out = ROOT / "bench" if shown else Path(os.environ.get("OUT") or ROOT / "target/bench")
    if out.exists() and not out.is_dir():
        sys.exit(f"bench: OUT: {out} is no directory")
    work = Path(tempfile.mkdtemp(prefix="hoist-bench-", dir="/tmp"))
    kept = True
    bench = Bench(peers.Tools(hoist, floor, ROOT / "target/bench/venv", work), work)
    try:
        out.mkdir(parents=True, exist_ok=True)
        versions = machine.versions(bench.tools)
        for part in parts:
            say(f"{part}:")
            bench.section, began = part, time.monotonic()
            try:
                if part not in ON_THE_SAME_HOSTS:
                    bench.let_go()
                PARTS[part][2](bench)
            except (OSError, subprocess.CalledProcessError, Failed) as error:
                say(f"  {part}: {error}")
                bench.notes.append((part, f"Part {part} came to an end: {error}."))
            bench.took[part] = time.monotonic() - began
            say(f"  {part} took {bench.took[part]:.0f} s")
            # After each part, so that nothing is lost when a later one is interrupted.
            results.write(bench.about(versions), out, ROOT / "README.md" if shown else None)
        say(f"\n{(out / 'results.md').read_text()}")
        kept = bool(bench.notes)
    finally:
        bench.let_go()
        if kept:
            say(f"what the tools said is in {work}/output")
        else:
            shutil.rmtree(work, ignore_errors=True)


if __name__ == "__main__":
    main()
