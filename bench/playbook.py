"""(c) The same deployments by Ansible's playbook, once, beside Hoist's; the round's name keeps them together.

Two parts, each less than five minutes: the second one takes over the hosts of the first, or makes hosts of its own.
"""

import peers
from deploys import Deployment
from settings import DEPLOYED

ROUND = "playbook"


class Play:
    """Hosts for the playbook; `step` is the deployment that they have had by it last."""

    def __init__(self, bench):
        self.farm, self.step = bench.farm(hosts=True), None
        self.farm.fresh(DEPLOYED)
        self.site = Deployment(bench.tools, self.farm, DEPLOYED, bench.folder(self.farm.folder.name + "-play"))
        self.site.share_hoist(bench.output)
        self.site.bring_hoist(bench.output)

    def run(self, bench, step):
        self.step = step
        return self.site.run_ansible(getattr(self.site, step), bench.output)


def is_there(bench):
    if not any(peer.name == "ansible" for peer in bench.wanted()):
        return False
    if not (bench.tools.venv / "parallel-ssh").exists():
        bench.notes.append((bench.section, "The playbook was left out: Ansible is not installed."))
        return False
    return True


def playbook(bench):
    """Hoist's two deployments, then the playbook's first."""
    if not is_there(bench):
        return
    bench.let_go()
    bench.kept = Play(bench)
    bench.both(bench.kept.farm, bench.kept.site, "hoist", ROUND)
    bench.kept.farm.fresh(DEPLOYED)
    bench.note("first", "ansible", ROUND, bench.kept.run(bench, "first"), memory=False)


def again(bench):
    """The playbook's second deployment, then Hoist's two once more."""
    if not is_there(bench):
        return
    if not isinstance(bench.kept, Play) or bench.kept.step != "first":
        bench.let_go()
        bench.kept = Play(bench)
        report = bench.kept.run(bench, "first")
        bench.say(f"  not measured: first deployment, {report['wall']:.0f} s, status {report['status']}")
    bench.note("second", "ansible", ROUND, bench.kept.run(bench, "second"), memory=False)
    bench.both(bench.kept.farm, bench.kept.site, "hoist", ROUND)
    bench.let_go()
