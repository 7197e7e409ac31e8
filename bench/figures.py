"""Medians and ratios of measures."""

from statistics import median

from peers import BATCH


class Figures:
    """Measures, asked by part, tool and number of hosts; without a number the largest there is. None: not measured."""

    def __init__(self, measures):
        self.measures = measures

    def of(self, part, tool, hosts=None, memory=False):
        asked = (part, tool, memory)
        found = [it for it in self.measures if (it["part"], it["tool"], it.get("memory", False)) == asked]
        hosts = hosts or max((it["hosts"] for it in found), default=0)
        return [it for it in found if it["hosts"] == hosts]

    def tools(self, part):
        return list(dict.fromkeys(it["tool"] for it in self.measures if it["part"] == part))

    def sizes(self, part, tool):
        return sorted({it["hosts"] for it in self.measures if (it["part"], it["tool"]) == (part, tool)})

    def most(self, part):
        """The most hosts of a part."""
        return max((it["hosts"] for it in self.measures if it["part"] == part), default=0)

    def middle(self, value, *which):
        values = [it for it in map(value, self.of(*which)) if it is not None]
        return median(values) if values else None

    def wall(self, *which):
        return self.middle(lambda it: it["wall"], *which)

    def cpu_ms(self, *which):
        return self.middle(lambda it: it["cpu"] * 1000 / it["hosts"], *which)

    def server_ms(self, *which):
        return self.middle(lambda it: it["server_cpu"] * 1000 / it["hosts"], *which)

    def largest_mib(self, *which):
        return self.middle(lambda it: it["largest_kib"] / 1024, *which)

    def network_mb(self, *which):
        """A host."""
        return self.middle(lambda it: it["network"] / 1e6 / it["hosts"], *which)

    def connections(self, *which):
        return self.middle(lambda it: it["connections"] / it["hosts"], *which)

    def peak_mib(self, part, tool, hosts=None):
        peaks = [it["peak_kib"] / 1024 for it in self.of(part, tool, hosts, memory=True)]
        return max(peaks) if peaks else None

    def kib_a_host(self, tool, hosts):
        """What each host beyond the first adds to the memory while all sessions are open."""
        one, all_of_them = self.peak_mib("held", tool, 1), self.peak_mib("held", tool, hosts)
        if one is None or all_of_them is None or hosts < 2:
            return None
        return (all_of_them - one) * 1024 / (hosts - 1)

    def ratio(self, part, tool, other):
        """The median over the rounds of one tool's wall time over another's of the same round."""
        walls = {it["round"]: it["wall"] for it in self.of(part, other)}
        ratios = [it["wall"] / walls[it["round"]] for it in self.of(part, tool) if it["round"] in walls]
        return median(ratios) if ratios else None

    def ratios(self, part, value, tool="hoist", other="old"):
        """Of each round: a value of one tool over that of another."""
        others = {it["round"]: value(it) for it in self.of(part, other)}
        pairs = [(value(it), others.get(it["round"])) for it in self.of(part, tool)]
        return [ours / theirs for ours, theirs in pairs if theirs]

    def growth(self, few=300):
        """The median over the rounds of a host's time among the most hosts, over a host's time among few."""
        walls = [{}, {}]
        for place, hosts in enumerate((few, self.most("growth"))):
            for it in self.of("growth", "hoist", hosts):
                walls[place].setdefault(it["round"], []).append(it["wall"] / hosts)
        ratios = [median(many) / median(walls[0][number]) for number, many in walls[1].items() if number in walls[0]]
        return median(ratios) if ratios and self.most("growth") > few else None

    def open_kib(self):
        """What each host more adds to the memory of a deployment of four stages."""
        few, many = (self.of("headline second", "hoist", hosts) for hosts in self.ends("headline second"))
        if not few or not many or few[0]["hosts"] == many[0]["hosts"]:
            return None
        return (many[0]["largest_kib"] - few[0]["largest_kib"]) / (many[0]["hosts"] - few[0]["hosts"])

    def ends(self, part):
        sizes = self.sizes(part, "hoist") or [1]
        return sizes[0], sizes[-1]

    def stages(self, part, tool):
        """The steps that both a run has and that are worth a line."""
        return list(dict.fromkeys(stage for it in self.of(part, tool) for stage in it["stages"]))

    def stage(self, part, tool, stage, hosts=None):
        seconds = [it["stages"][stage] for it in self.of(part, tool, hosts) if stage in it["stages"]]
        return median(seconds) if seconds else None

    def stage_ratio(self, stage):
        bare = {it["round"]: it["stages"].get(stage) for it in self.of("first", "floor")}
        ours = [(it["stages"].get(stage), bare.get(it["round"])) for it in self.of("first", "hoist")]
        ratios = [one / other for one, other in ours if one and other]
        return median(ratios) if ratios else None

    @property
    def trip(self):
        """The delay of a round trip in seconds: connecting with it, less connecting without it."""
        trips = [[it["trip"] for it in self.measures if it["part"] == f"first {name}"] for name in ("near", "far")]
        return min(trips[1]) - min(trips[0]) if all(trips) else None

    def delayed(self, tool="hoist"):
        """Each stage of the deployments with a delay: `(part, hosts, stage, seconds without it, seconds with it)`."""
        for hosts in self.sizes("first far", tool):
            for part in ("first", "second"):
                for stage in self.stages(f"{part} far", tool):
                    near, far = (self.stage(f"{part} {name}", tool, stage, hosts) for name in ("near", "far"))
                    yield part, hosts, stage, near, far

    def link_cpu(self, name, hosts):
        """Seconds of CPU time that the link takes for a first deployment; `name` is `near` or `far`."""
        return self.middle(lambda it: it.get("link"), f"first {name}", "hoist", hosts)

    def trips(self, near, far, hosts):
        """Round trips a batch."""
        if near is None or far is None or not self.trip:
            return None
        batches = -(-hosts // BATCH)
        return (far - near) / self.trip / batches
