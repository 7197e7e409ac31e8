"""(g) A thousand hosts: a first deployment, one that changes a file, one that fails and goes back, and a way back."""

import settings
from deploys import Deployment


def headline(bench):
    # A tenth of the hosts first: the difference is what each host adds to the memory.
    sizes = {settings.THOUSAND} if settings.QUICK else {max(1, settings.THOUSAND // 10), settings.THOUSAND}
    for count in sorted(sizes):
        bench.say(f"  {count} hosts")
        farm = bench.farm(hosts=True)
        try:
            on_so_many(bench, farm, count)
        finally:
            farm.down()


def on_so_many(bench, farm, count):
    farm.fresh(count)
    site = Deployment(bench.tools, farm, count, bench.folder(f"headline{count}"))
    options = site.add_service()
    bad = site.change("three")

    def step(name, report, expected=0):
        report["status"] = 0 if report["status"] == expected else report["status"] or 1
        bench.note(f"headline {name}", "hoist", 0, report, memory=False)

    # Targets have no Hoist yet: the probe brings it.
    step("first", site.run_hoist(site.first, bench.output, options))
    step("second", site.run_hoist(site.second, bench.output, options))
    if count != settings.THOUSAND:
        return
    # The restart fails on the last host, and no failure is allowed: all of them have been promoted by then.
    site.break_service(farm.addresses(count)[-1])
    step("failed", site.run_hoist(bad, bench.output, options), expected=1)
    step("rollback", site.events(site.hoist("rollback", "--yes", "--format", "json", *options), bench.output))
