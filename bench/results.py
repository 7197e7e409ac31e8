"""From measures to the tables of results.md, the plot, the targets, and the README's section."""

import json
from statistics import median

import artifacts
import cost
import plot
import targets
import transfers
from figures import Figures
from peers import BATCH, PEERS

TITLES = {peer.name: peer.title for peer in PEERS} | {"ansible": "ansible", "old": "Hoist, the earlier build"}
WAYS = {"hoist": "Hoist", "ansible": "Ansible playbook", "stages": "ssh for each stage, git server"}
BEGIN, END = "<!-- bench -->", "<!-- /bench -->"


def write(about, folder, readme):
    """Writes results.json, results.md and the charts to a folder, and the short of it into the README, if given."""
    path = folder / "results.json"
    if path.exists():
        about = joined(json.loads(path.read_text()), about)
    path.write_text(json.dumps(about, indent=1) + "\n")
    figures = Figures(about["measures"])
    (folder / "results.md").write_text(markdown(about, figures))
    charts = {"results.svg": plot.bars(run_rows(figures)), "deployments.svg": plot.bars(host_rows(figures), plot.DEPLOYMENTS)}
    for name, drawing in charts.items():
        if drawing:
            (folder / name).write_text(drawing)
    if readme:
        insert(readme, short(about, figures, [name for name, drawing in charts.items() if drawing]))


def joined(before, now):
    """What was measured before in other parts, if it is of the same commit on the same machine."""
    if any(before.get(key) != now[key] for key in ("commit", "machine", "quick", "rounds")):
        return now
    others = [part for part in before["took"] if part not in now["took"]]
    now["measures"] += [it for it in before["measures"] if it["section"] in others]
    for part, key in (("target", "costs"), ("artifact", "artifacts")):
        now[key] = before[key] if part in others else now[key]
    now["took"] = {part: before["took"][part] for part in others} | now["took"]
    now["notes"] = [note for note in before["notes"] if note[0] in others] + now["notes"]
    return now


def table(head, rows):
    """A table in Markdown; columns after the first are numbers, to the right."""
    lines = ["| " + " | ".join(head) + " |", "| --- |" + " ---: |" * (len(head) - 1)]
    lines += ["| " + " | ".join(str(cell) for cell in row) + " |" for row in rows]
    return "\n".join(lines)


def number(value, digits=2):
    return "–" if value is None else f"{value:.{digits}f}"


def run_rows(figures):
    """Title, wall seconds and CPU ms a host of each tool of part (a), the quickest first."""
    names = figures.tools("run")
    rows = [(TITLES[name], figures.wall("run", name), figures.cpu_ms("run", name)) for name in names]
    return sorted(rows, key=lambda row: row[1])


def run_table(figures, part):
    head = ["tool", "wall, s", "× floor", "client CPU, ms a host", "server CPU, ms a host", "client memory, MiB", "connections a host"]
    rows = []
    for name in sorted(figures.tools(part), key=lambda name: figures.wall(part, name)):
        rows.append(
            [
                TITLES[name],
                number(figures.wall(part, name)),
                number(figures.ratio(part, name, "floor")),
                number(figures.cpu_ms(part, name)),
                number(figures.server_ms(part, name)),
                number(figures.peak_mib(part, name), 1),
                number(figures.connections(part, name)),
            ]
        )
    return table(head, rows)


def deploy_table(figures):
    head = ["deployment", "wall, s", "client CPU, ms a host", "server CPU, ms a host", "client memory, MiB", "connections a host"]
    rows = []
    titles = {"first": "first, all files", "second": "second, one file changed"}
    for part in ("first", "second"):
        for name, title in WAYS.items():
            if name in figures.tools(part):
                cells = [figures.wall(part, name), figures.cpu_ms(part, name), figures.server_ms(part, name)]
                cells += [figures.peak_mib(part, name), figures.connections(part, name)]
                rows.append([f"{title}, {titles[part]}", *(number(cell) for cell in cells)])
    return table(head, rows)


def host_rows(figures):
    """Title, wall ms and CPU ms a host of each way of a second deployment, the quickest first."""
    rows = []
    for part in ("headline second", "second"):
        for name in figures.tools(part):
            hosts = figures.most(part)
            wall = figures.wall(part, name) * 1000 / hosts
            rows.append((f"{WAYS[name].partition(',')[0]}, {hosts} hosts", wall, figures.cpu_ms(part, name)))
    return sorted(rows, key=lambda row: row[1])


def headline_table(figures):
    head = ["deployment", "hosts", "wall, s", "ms a host", "client CPU, ms a host", "targets' CPU, ms a host", "client memory, MiB"]
    titles = {
        "headline first": "Hoist, first, which brings Hoist too",
        "headline second": "Hoist, second, one file changed",
        "headline failed": "Hoist, third: fails on the last host, all are rolled back",
        "headline rollback": "`hoist rollback`",
    }
    rows = []

    def row(title, part, name, hosts):
        wall = figures.wall(part, name, hosts)
        cells = [wall, wall * 1000 / hosts, figures.cpu_ms(part, name, hosts), figures.server_ms(part, name, hosts)]
        cells.append(figures.largest_mib(part, name, hosts) if name == "hoist" else None)
        rows.append([title, hosts, *(number(cell, 1) for cell in cells)])

    for part, title in titles.items():
        for hosts in figures.sizes(part, "hoist"):
            row(title, part, "hoist", hosts)
    for part, title in (("first", "first"), ("second", "second, one file changed")):
        for name in ("ansible", "stages"):
            for hosts in figures.sizes(part, name):
                row(f"{WAYS[name]}, {title}", part, name, hosts)
    return table(head, rows)


def headline_stages(figures):
    """Of the most hosts: the steps that take time."""
    rows = []
    for part, title in (("first", "first"), ("second", "second"), ("failed", "third"), ("rollback", "`hoist rollback`")):
        for stage in figures.stages(f"headline {part}", "hoist"):
            rows.append([f"{title}: {stage}", number(figures.stage(f"headline {part}", "hoist", stage), 1)])
    return table(["step", "s"], rows)


def names_table(figures):
    rows = []
    for name in figures.tools("names"):
        named, plain = figures.wall("names", name), figures.wall("addresses", name)
        cpu = [figures.cpu_ms(part, name) for part in ("addresses", "names")]
        rows.append([TITLES[name], number(plain), number(named), number(named / plain), *(number(value) for value in cpu)])
    head = ["tool", "by address, s", "by name, s", "ratio", "client CPU by address, ms a host", "by name, ms a host"]
    return table(head, rows)


def contact_table(figures):
    head = ["first contact", "hosts", "wall, s", "network, MB a host", "client CPU, ms a host", "targets' CPU, ms a host"]
    rows = []
    for part, title in (("contact", "no limit"), ("contact slow", "100 Mbit/s for all")):
        for name in figures.tools(part):
            cells = [figures.wall(part, name), figures.network_mb(part, name), figures.cpu_ms(part, name)]
            cells.append(figures.server_ms(part, name))
            rows.append([f"{TITLES[name]}, {title}", figures.most(part), *(number(cell) for cell in cells)])
    return table(head, rows)


def bytes_table(figures, part):
    head = ["way", "wall, s", "network, MB a host", "of it from the deploy host", "client CPU, ms a host"]
    head += ["targets' CPU, ms a host", "servers' CPU, ms a host"]
    rows = []
    for name in sorted(figures.tools(part), key=lambda name: figures.wall(part, name)):
        total = figures.network_mb(part, name)
        served = figures.middle(lambda it: it.get("served", 0) / 1e6 / it["hosts"], part, name)
        cells = [figures.wall(part, name), total, total - served]
        cells += [figures.cpu_ms(part, name), figures.server_ms(part, name)]
        cells.append(figures.middle(lambda it: it["other_cpu"] * 1000 / it["hosts"], part, name))
        rows.append([transfers.TITLES[name], *(number(cell) for cell in cells)])
    return table(head, rows)


def compare_table(figures):
    head = ["this build over the earlier one", "hosts", "rounds", "wall", "client CPU", "targets' CPU"]
    titles = {"command": "one command", "contact": "first contact", "first": "first deployment", "second": "second deployment"}
    rows = []
    for name, title in titles.items():
        part = f"compare {name}"
        values = [lambda it: it["wall"], lambda it: it["cpu"], lambda it: it["server_cpu"]]
        ratios = [figures.ratios(part, value) for value in values]
        spread = [f"{median(each):.3f} ({min(each):.2f} to {max(each):.2f})" if each else "–" for each in ratios]
        rows.append([title, figures.most(part), len(ratios[0]), *spread])
    return table(head, rows)


def stage_table(figures):
    rows = []
    for stage in figures.stages("first", "hoist"):
        ours, bare = figures.stage("first", "hoist", stage), figures.stage("first", "floor", stage)
        rows.append([stage, number(ours, 3), number(bare, 3), number(figures.stage_ratio(stage))])
    return table(["stage of the first deployment", "Hoist, s", "the same commands, bare, s", "ratio"], rows)


def growth_table(figures):
    head = ["tool", "hosts", "wall, s", "ms a host", "client CPU, ms a host", "client memory, MiB"]
    rows = []
    for name in figures.tools("growth"):
        for hosts in figures.sizes("growth", name):
            wall = figures.wall("growth", name, hosts)
            cells = [wall, wall * 1000 / hosts, figures.cpu_ms("growth", name, hosts), figures.largest_mib("growth", name, hosts)]
            rows.append([TITLES[name], hosts, *(number(cell) for cell in cells)])
    return table(head, rows)


def held_table(figures):
    head = ["all sessions open", "hosts", "client memory, MiB", "KiB for each host beyond the first"]
    rows = []
    for name, title in (("hoist", "Hoist (probe of a deployment)"), ("floor", "floor: bare libssh2")):
        for hosts in figures.sizes("held", name):
            peak = figures.peak_mib("held", name, hosts)
            rows.append([title, hosts, number(peak), number(figures.kib_a_host(name, hosts), 1)])
    return table(head, rows)


def delay_table(figures):
    head = ["", "hosts", "without delay, s", "with delay, s", "round trips a batch"]
    rows = []
    for name in figures.tools("run far"):
        near, far = figures.wall("run near", name), figures.wall("run far", name)
        hosts = figures.sizes("run far", name)[-1]
        trips = figures.trips(near, far, hosts)
        rows.append([f"{TITLES[name]}: true", hosts, number(near), number(far), number(trips, 1)])
    for tool, title in (("hoist", "Hoist"), ("floor", "the same commands, bare")):
        for part, hosts, stage, near, far in figures.delayed(tool):
            if tool == "hoist" or stage in figures.stages(f"{part} far", "hoist"):
                trips = figures.trips(near, far, hosts)
                rows.append([f"{title}, {part}: {stage}", hosts, number(near, 3), number(far, 3), number(trips, 1)])
    return table(head, rows)


def link(figures):
    """What of a delay's figures is the link's own work."""
    hosts = figures.most("first far")
    near, far = (figures.link_cpu(name, hosts) for name in ("near", "far"))
    if near is None or far is None:
        return ""
    return (
        f" The link is a process on the same processors: of a first deployment to {hosts} hosts it takes {near:.2f} s of CPU "
        f"time without the delay and {far:.2f} s with it, which is in the difference too."
    )


def markdown(about, figures):
    parts = ["# Benchmark", head(about)]
    if about["quick"]:
        parts.append("**A quick run, to see that the benchmark works. These figures are no good.**")
    if figures.tools("run"):
        hosts = figures.most("run")
        parts += [f"## `true` on {hosts} hosts, {BATCH} at once", run_table(figures, "run"), RUN]
    if figures.tools("first"):
        hosts = figures.most("first")
        parts += [f"## A deployment to {hosts} hosts", deploy_table(figures), DEPLOY, stage_table(figures), STAGES]
    if figures.tools("bring"):
        seconds, ms = figures.wall("bring", "hoist"), figures.cpu_ms("bring", "hoist")
        parts.append(
            f"Bringing Hoist itself to hosts that have none of it, once for each build, took {seconds:.2f} s and "
            f"{ms:.1f} ms of client CPU a host. It is not in the figures above, as installing Python for Ansible is not."
        )
    if figures.tools("headline first"):
        hosts = figures.most("headline first")
        parts += [f"## A deployment to {hosts} hosts", headline_table(figures), HEADLINE, headline_stages(figures)]
    if figures.tools("growth"):
        parts += ["## More and more hosts", growth_table(figures), held_table(figures), GROWTH]
    if figures.tools("run far"):
        trip = figures.trip * 1000
        parts += [f"## With {trip:.0f} ms of round trip, {BATCH} hosts at once", delay_table(figures), DELAY + link(figures)]
    if figures.tools("names"):
        parts += [f"## `true` on {figures.most('names')} hosts, by address and by name", names_table(figures), NAMES]
    if figures.tools("contact") or figures.tools("contact slow"):
        parts += ["## The first contact", contact_table(figures), CONTACT]
    for part in ("bytes", "large"):
        if figures.tools(part):
            megabytes = next(it["megabytes"] for it in figures.measures if it["part"] == part)
            parts += [f"## {megabytes} MB that are new to {figures.most(part)} hosts", bytes_table(figures, part)]
    if figures.tools("bytes") or figures.tools("large"):
        parts.append(BYTES)
    for it in figures.of("limited", "hoist"):
        parts.append(
            f"With `transfer_limit` at {it['limit'] / 1e6:.1f} MB a second, {it['rate'] / 1e6:.2f} MB a second crossed the "
            f"network of a deployment to {it['hosts']} hosts, which took {it['wall']:.1f} s."
        )
    if about["artifacts"]:
        parts += ["## An artifact of which one part in a hundred changes", table(artifacts.HEAD, about["artifacts"]), ARTIFACT]
    if figures.tools("compare command"):
        parts += ["## Two builds", compare_table(figures), COMPARE]
    costs = about.get("costs")
    if costs:
        parts += ["## What a deployment costs a target", table(["stage", "CPU, ms", *cost.COLUMNS], cost.table(costs)), COST]
    parts += ["## Targets", table(["target", "measured", "met"], targets.judge(figures, cost.totals(costs or []), about["took"]))]
    took = [[name, f"{seconds:.0f}"] for name, seconds in about["took"].items()]
    parts += ["## How long it took", table(["part", "s"], took)]
    if about["notes"]:
        parts += ["## What went wrong", "\n".join(f"- {note}" for _, note in about["notes"])]
    parts += ["## How it is measured", METHOD, "Versions: " + versions(about) + "."]
    return "\n\n".join(parts) + "\n"


def head(about):
    seconds = sum(about["took"].values())
    return (
        f"Measured by `make bench` on {about['date']}, of commit {about['commit']}, on {about['machine']}. Server and "
        f"clients share that machine. Medians of ROUNDS={about['rounds']} rounds, of deployments two at most; the whole took "
        f"{seconds / 60:.0f} minutes."
    )


def versions(about):
    return "; ".join(f"{name}: {version}" for name, version in about["versions"].items())


def short(about, figures, charts):
    """What the README has of it."""
    parts = [BEGIN, head(about)]
    if figures.tools("headline first"):
        parts += [f"A deployment of four stages to {figures.most('headline first')} hosts:", headline_table(figures)]
    if "deployments.svg" in charts:
        parts.append("![Wall time and client CPU a host of a second deployment](bench/deployments.svg)")
    if "results.svg" in charts:
        parts.append("![Wall time and client CPU of each tool](bench/results.svg)")
    if figures.tools("run"):
        hosts = figures.most("run")
        parts += [f"`true` on {hosts} hosts, {BATCH} at once:", run_table(figures, "run")]
    if figures.tools("first"):
        hosts = figures.most("first")
        parts += [f"A deployment to {hosts} hosts:", deploy_table(figures)]
    parts += ["[bench/results.md](bench/results.md) has the rest, and how it is measured.", END]
    return "\n\n".join(parts)


def insert(readme, text):
    """Puts text where the README has the two marks, or between them."""
    whole = readme.read_text()
    before, mark, rest = whole.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not mark or not end:
        raise SystemExit(f"bench: {readme} has no {BEGIN} … {END}: nothing was put there")
    readme.write_text(before + text + after)


RUN = """The floor makes the same handshakes and runs the same command by a loop over libssh2, the library that Hoist is
linked with, with no policy on top. It has the library read the private key for each host, as is usual; Hoist reads an
Ed25519 key once, and may need less processor time than the floor. `×` is the median over the rounds of one tool's wall
time over the floor's in the same round. The parallel-ssh library checks no host keys; all others do. Of Ansible this is
the least that it can do: no module is copied."""

DEPLOY = f"""Hoist: fetch, config_deploy, promote, finalize, with locks, records and synced disks. The playbook
(bench/playbook.yml): an archive copied and unpacked, a file from a template, two links, a mark; pipelining on,
ControlPersist on, {BATCH} forks, Python on the targets; it is run once, and compared with deployments by Hoist just ahead
and after. With ssh for each stage (bench/stages.sh) the targets fetch from a
git server, as Scap's do; what Scap's own program would cost there in each stage is not in it. Each host is one address
with a `/srv` of its own. The repository is packed, as a clone is: git takes longer to pack what lies loose,
once a run."""

STAGES = """The bare commands are the floor's again: one deployment was recorded, and each stage's request is read by a command
of its own, on sessions that are open already. So the stage's own work on the target is in both; a process of sshd and a
shell, of which a stage of Hoist's needs none, are in the bare commands alone."""

GROWTH = """Of one command client memory is the most that the process had resident, which is that of a batch; open
sessions are measured apart: Hoist's at a probe of all hosts, as a deployment begins with; the floor's with nothing but
the sessions."""

HEADLINE = """Each host is one address with a `/srv` and a home of its own, on the machine that deploys. At first no
host has Hoist, so the first deployment brings it, in the probe. No failure is allowed in the third deployment: the restart
of the service fails on the last host, when all others have been promoted, and all of them are put back and read back.
Client memory is the most that the deployer had resident. The targets' CPU is that of sshd and of all that it has started,
the processes that outlive their session included. The other tools are on fewer hosts, as above."""

NAMES = """The names are asked of a name server on the same machine, which answers at once; the floor looks each name up when
it connects, and Hoist ahead of that."""

CONTACT = """A probe of hosts whose homes are empty, so that Hoist is brought there. The link is a loopback device of its
own, on which packets are counted with their headers, in both directions."""

BYTES = """Every way begins with an empty `/srv`, so that nothing is saved by comparing; of Hoist it is a whole deployment
of a commit or an artifact, in four stages. The files pack to half. The network is a loopback device of its own, on which
packets are counted with their headers, in both directions. The cache is nginx with `proxy_cache`, empty at first, in front
of a server of the repository by plain HTTP; artifacts come from nginx, too. All of them are on the same machine. What the
hosts got from the cache or the object store is not from the deploy host; what the cache got from the server is. rsync and
ssh are started by xargs, for 80 hosts at once. Only Hoist and git unpack what they bring into a new tree, and only Hoist
syncs it to the disk. A host writes up to 1.5 times as much as is new to it, all on one disk and with two processors: that,
and five minutes for all ways, decide how many hosts get 200 MB."""

ARTIFACT = """One host, the median of the rounds, after a first one that brought everything."""

COMPARE = """Each round measures both builds, the other one first each time. Medians of this build's figure over the earlier
build's of the same round, with the least and the most in brackets."""

DELAY = """Both columns are of one network of two namespaces, whose link holds packets back in the one and passes them
on at once in the other. The difference over the round trip, a batch, is how often a batch waits for the network; what
the machine does meanwhile for other hosts hides some of it, so the few hosts are the stricter figure. The hosts' files are in
memory: what a disk takes varies by more than a few round trips. A first probe, not shown, has brought Hoist there. The second
deployment changes one file. The first one's fetch sends all of them, some 200 KB: TCP begins with ten packets, and sends twice
as many after each round trip, so that these and their answer take four. The bare commands are the floor's: what the first
deployment sends, on open sessions, by a command of its own for each stage. That one opens a channel first, which takes
two round trips more."""

COST = """The target's own processes, from the command that sshd starts on; sshd itself is not in it. The second deployment
changes one file, and so does the third, whose service does not restart, so that it is rolled back. Processes are all
that run, Hoist's own and the shell's included. Calls are counted by strace: looks are `stat` and its like, syncs are
`fsync`, `fdatasync` and `syncfs`. CPU time is that of other runs, the median, without strace, as a control group counts
it. The host
has a file system of its own, where it can be mounted, and nothing is removed there before the end: ext4 looks past the
inodes of files that were removed in the last seconds whenever it makes a file, which has doubled the CPU time of a first
deployment."""

METHOD = f"""- One sshd answers on as many addresses as there are hosts, one address a host. `MaxStartups` is 10000, `UsePAM` and
  `UseDNS` are off, `LogLevel` is VERBOSE. All tools use one ed25519 key and one known_hosts; ciphers are each tool's
  own choice; connection sharing is off for one command and on for the playbook. Where hosts have a /srv and a home of
  their own, a small program puts each command into them, which takes it about 1 ms of CPU, whichever tool it is for.
- Tools take turns, and each round begins with another one; those that fork for each host are timed in one
  round. Between two runs the server is waited for until it is idle.
- Wall time is that of the whole command. Client CPU is the user and system time of all its processes (wait4), those that
  leave it behind included. Server CPU is that of the sshd and of what it ran.
- Client memory, where nothing else is said, comes from one more run, which is not timed: the largest sum of PSS over all
  processes, looked at 20 times a second. Tools that fork for each host have 80 processes at most, so 120 hosts are enough
  for theirs. Connections are counted in the server's log.
- The limit of open files is raised to 20000 for all."""
