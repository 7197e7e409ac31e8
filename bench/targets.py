"""What the figures are held to."""

from peers import PEERS

# Named in `figures.stages` and not of a deployment's work: the first contact, and the locks.
NOT_STAGES = ("probe", "hold", "release")


def judge(figures, costs, took):
    """Rows of target, measured value, and whether it is met. `took`: the seconds of each part."""
    rows = []

    def at_most(title, value, limit, digits=2):
        if value is None:
            rows.append([title, "not measured", "–"])
        else:
            rows.append([title, f"{value:.{digits}f}", "yes" if round(value, digits) <= limit else "**no**"])

    cpu = figures.cpu_ms("run", "hoist")
    at_most("`hoist run`: client CPU at most 1.2 ms a host", cpu, 1.2)
    forks = [figures.cpu_ms("run", peer.name) for peer in PEERS if peer.forks]
    best = min((value for value in forks if value is not None), default=None)
    share = cpu / best if cpu is not None and best else None
    at_most("`hoist run`: client CPU at most 1/20 (0.05) of the best peer that forks ssh", share, 0.05, 3)
    at_most("`hoist run`: wall time at most that of the floor", figures.ratio("run", "hoist", "floor"), 1)
    for part in ("first", "second"):
        at_most(f"{part} deployment: client CPU at most 4 ms a host", figures.cpu_ms(part, "hoist"), 4)
        at_most(f"{part} deployment: one connection a host", figures.connections(part, "hoist"), 1)
        share = figures.ratio(part, "hoist", "ansible")
        at_most(f"{part} deployment: wall time at most 1/25 (0.04) of the playbook's", share, 0.04, 3)
    for stage in (stage for stage in figures.stages("first", "hoist") if stage not in NOT_STAGES):
        at_most(f"{stage}: at most 1.5 × the time of the bare commands", figures.stage_ratio(stage), 1.5)
    most = max(figures.sizes("held", "hoist"), default=0)
    at_most("memory for each open host beyond the first at most 90 KiB", figures.kib_a_host("hoist", most), 90, 1)
    at_most("memory for each host more of a deployment at most 90 KiB", figures.open_kib(), 90, 1)
    at_most("time a host of the most hosts at most 1.1 × that of 300", figures.growth(), 1.1)
    at_most("a rollback of all hosts takes no longer than the promote that it undoes", back(figures), 1)
    for part, hosts, stage, near, far in figures.delayed():
        if stage not in NOT_STAGES:
            most = 4 if stage == "fetch" else 3
            title = f"{part} {stage} on {hosts} hosts with delay: at most {most} round trips a batch beyond its work"
            at_most(title, figures.trips(near, far, hosts), most, 1)
    if costs:
        for case in ("first", "second", "rollback"):
            at_most(f"{case} deployment of 200 files: CPU of the target at most 60 ms", costs.get((200, case)), 60, 1)
    for it in figures.of("limited", "hoist"):
        title = "`transfer_limit`: bytes a second of all sessions, with headers, at most 1.05 × the limit"
        at_most(title, it["rate"] / it["limit"], 1.05)
    minutes = [seconds / 60 for part, seconds in took.items() if part != "compare"]
    at_most("the benchmark itself: minutes of the longest part at most 5", max(minutes, default=None), 5, 1)
    at_most("the benchmark itself: minutes of all parts at most 40", sum(minutes) if minutes else None, 40, 1)
    return rows


def back(figures):
    promote, rollback = (figures.stage("headline failed", "hoist", stage) for stage in ("promote", "rollback"))
    return rollback / promote if promote and rollback else None
