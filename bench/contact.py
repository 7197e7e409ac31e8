"""(h) The first contact: hosts that have no Hoist yet get it, and over a slow link too. With OLD, by both builds."""

import settings
from compare import builds
from deploys import Deployment
from wire import Wire

PARTS = (("contact", None), ("contact slow", settings.SLOW_LINK))


def contact(bench):
    for part, rate in PARTS[1:] if settings.QUICK else PARTS:
        wire = Wire(rate)
        try:
            farm = bench.farm(hosts=True, within=wire.within)
            try:
                on_a_wire(bench, part, wire, farm)
            finally:
                farm.down()
        finally:
            wire.down()


def on_a_wire(bench, part, wire, farm):
    for name, tools in builds(bench.tools):
        farm.fresh(settings.DEPLOYED)
        farm.bare(settings.DEPLOYED)
        site = Deployment(tools, farm, settings.DEPLOYED, bench.folder(f"{part}-{name}"))
        site.within = wire.within
        before = Wire.bytes(farm.listener)
        report = site.bring_hoist(bench.output)
        report["network"] = Wire.bytes(farm.listener) - before
        bench.note(part, name, 0, report, memory=False)
