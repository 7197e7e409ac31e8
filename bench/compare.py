"""Two builds of Hoist, by turns: OLD names the earlier one."""

import copy

import peers
import settings
from deploys import Deployment


def builds(tools):
    """Name and tools of each build that there is: the one measured, and the earlier one."""
    found = [("hoist", tools)]
    if settings.OLD:
        old = copy.copy(tools)
        old.hoist, old.offer = settings.OLD, None
        found.append(("old", old))
    return found


def compare(bench):
    farm, plain = bench.farm(hosts=True), bench.farm()
    try:
        sites = []
        for name, tools in builds(bench.tools):
            sites.append((name, tools, Deployment(tools, farm, settings.DEPLOYED, bench.folder(f"compare-{name}"))))
        for number in range(settings.COMPARE_ROUNDS):
            for name, tools, site in sites[:: 1 if number % 2 == 0 else -1]:
                argv, env = peers.hoist(tools, plain, plain.list(settings.HOSTS))
                report = plain.measure(settings.HOSTS, argv, env, bench.output)
                bench.note("compare command", name, number, report, memory=False)
                farm.fresh(site.count)
                farm.bare(site.count)
                bench.note("compare contact", name, number, site.bring_hoist(bench.output), memory=False)
                for part, revision in (("first", site.first), ("second", site.second)):
                    report = site.run_hoist(revision, bench.output)
                    bench.note(f"compare {part}", name, number, report, memory=False)
    finally:
        farm.down()
        plain.down()
