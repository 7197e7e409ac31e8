#!/usr/bin/env python3
"""Prints the figures of two runs of the benchmark beside each other, and what the targets said of each.

    bench/before.py BEFORE [AFTER]      each a results.json, or a commit that has one; AFTER is bench/results.json otherwise

PARTS, by environment, leaves the other parts out. Figures of different machines say nothing, so both are named.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import cost
import targets
from farm import ROOT
from figures import Figures
from results import number, table

RESULTS = ROOT / "bench/results.json"


def loaded(name):
    """Of a file, or of a commit."""
    if Path(name).is_file():
        return json.loads(Path(name).read_text())
    argv = ["git", "-C", ROOT, "show", f"{name}:bench/results.json"]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        sys.exit(f"before: {name}: no such file, and no commit with bench/results.json: {done.stderr.strip()}")
    return json.loads(done.stdout)


def change(one, other):
    return [number(one), number(other), number(other / one) if one and other is not None else "–"]


def measures(before, after, parts):
    """A row for each that either run has: wall time, and CPU of the client and of the targets for a host."""
    both = [Figures(about["measures"]) for about in (before, after)]
    sections = {it["part"]: it["section"] for figures in both for it in figures.measures if not it.get("memory")}
    rows = []
    for part in (part for part, section in sections.items() if not parts or section in parts):
        for tool in dict.fromkeys(tool for figures in both for tool in figures.tools(part)):
            for hosts in sorted({hosts for figures in both for hosts in figures.sizes(part, tool)}):
                row = [f"{part}: {tool}", hosts]
                for value in ("wall", "cpu_ms", "server_ms"):
                    row += change(*(getattr(figures, value)(part, tool, hosts) for figures in both))
                rows.append(row)
    return rows


def judged(before, after):
    """A row for each target that either run was held to."""
    both = []
    for about in (before, after):
        rows = targets.judge(Figures(about["measures"]), cost.totals(about.get("costs") or []), about["took"])
        both.append({title: value for title, value, _ in rows})
    titles = dict.fromkeys([*both[1], *both[0]])
    return [[title, *(values.get(title, "not measured") for values in both)] for title in titles]


def main():
    if not 2 <= len(sys.argv) <= 3:
        sys.exit(__doc__)
    before, after = loaded(sys.argv[1]), loaded(sys.argv[2] if len(sys.argv) > 2 else RESULTS)
    for title, about in (("before", before), ("after", after)):
        print(f"{title}: {about['date']}, commit {about['commit']}, {about['machine']}")
    head = ["measure", "hosts"]
    head += [f"{what}{when}" for what in ("wall, s", "client CPU, ms a host", "targets' CPU, ms a host") for when in (", before", ", after", ", ratio")]
    print("\n" + table(head, measures(before, after, (os.environ.get("PARTS") or "").split())))
    print("\n" + table(["target", "before", "after"], judged(before, after)))


if __name__ == "__main__":
    main()
