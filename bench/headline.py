"""(g) A thousand hosts: a first deployment, one that changes a file, one that fails and goes back, and a way back.

Three parts, each less than five minutes: one takes over the hosts of the one before, or else makes hosts of its own.
"""

import settings
from deploys import Deployment


class Thousand:
    """Hosts with a service, and revisions for them; `step` is the deployment that they have had last."""

    def __init__(self, bench, count):
        self.bench, self.count, self.step = bench, count, None
        bench.say(f"  {count} hosts")
        self.farm = bench.farm(hosts=True)
        self.farm.fresh(count)
        self.site = Deployment(bench.tools, self.farm, count, bench.folder(self.farm.folder.name + "-site"))
        self.options = self.site.add_service()
        self.bad = self.site.change("three")

    def deploy(self, step):
        self.step = step
        return self.site.run_hoist(getattr(self.site, step), self.bench.output, self.options)

    def note(self, name, report, expected=0):
        report["status"] = 0 if report["status"] == expected else report["status"] or 1
        self.bench.note(f"headline {name}", "hoist", 0, report, memory=False)


def headline(bench):
    bench.let_go()
    # A tenth of the hosts first: the difference is what each host adds to the memory.
    few = Thousand(bench, max(1, settings.THOUSAND // 10))
    try:
        # Targets have no Hoist yet: the probe brings it.
        few.note("first", few.deploy("first"))
        few.note("second", few.deploy("second"))
    finally:
        few.farm.down()
    bench.kept = Thousand(bench, settings.THOUSAND)
    bench.kept.note("first", bench.kept.deploy("first"))


def onward(bench):
    hosts = taken_over(bench, ["first"])
    hosts.note("second", hosts.deploy("second"))
    # The restart fails on the last host, and no failure is allowed: all of them have been promoted by then.
    hosts.site.break_service(hosts.farm.addresses(hosts.count)[-1])
    hosts.note("failed", hosts.site.run_hoist(hosts.bad, bench.output, hosts.options), expected=1)


def back(bench):
    hosts = taken_over(bench, ["first", "second"])
    argv = hosts.site.hoist("rollback", "--yes", "--format", "json", *hosts.options)
    hosts.note("rollback", hosts.site.events(argv, bench.output))
    bench.let_go()


def taken_over(bench, steps):
    """Hosts that have had those deployments: those of the part before, or others, which get them without being measured."""
    if not isinstance(bench.kept, Thousand) or bench.kept.step != steps[-1]:
        bench.let_go()
        bench.kept = Thousand(bench, settings.THOUSAND)
        bench.kept.site.share_hoist(bench.output)
        for step in steps:
            report = bench.kept.deploy(step)
            bench.say(f"  not measured: {step} deployment, {report['wall']:.0f} s, status {report['status']}")
    return bench.kept
