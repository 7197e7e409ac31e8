"""A bar chart as SVG: readable on a light page and on a dark one."""

from html import escape

ROW, LEFT, PANEL, GAP, TOP = 26, 190, 270, 70, 40
STYLE = """<style>
  text { font: 13px system-ui, sans-serif; fill: #57606a }
  .head { font-weight: 600 }
  .bar { fill: #8c959f }
  .hoist { fill: #1f883d }
  @media (prefers-color-scheme: dark) {
    text { fill: #c9d1d9 }
    .bar { fill: #6e7681 }
    .hoist { fill: #3fb950 }
  }
</style>"""


ONE_COMMAND = (("wall time", "s"), ("client CPU a host", "ms"))
DEPLOYMENTS = (("wall time a host", "ms"), ("client CPU a host", "ms"))


def bars(rows, panels=ONE_COMMAND):
    """Rows of a title and a number for each of two panels, on linear scales from 0. None without rows."""
    if not rows:
        return None
    width, height = LEFT + 2 * (PANEL + GAP), TOP + ROW * len(rows) + 10
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
        'role="img" aria-label="Wall time and client CPU time of each tool">',
        STYLE,
    ]
    for place, (title, *_) in enumerate(rows):
        parts.append(f'<text x="{LEFT - 10}" y="{middle(place)}" text-anchor="end">{escape(title)}</text>')
    for panel, (head, unit) in enumerate(panels, start=1):
        left = LEFT + (panel - 1) * (PANEL + GAP)
        longest = max(row[panel] for row in rows) or 1
        parts.append(f'<text class="head" x="{left}" y="22">{head}</text>')
        for place, row in enumerate(rows):
            length = max(1, PANEL * row[panel] / longest)
            kind = "hoist" if row[0].startswith("Hoist") else "bar"
            y = TOP + place * ROW
            parts.append(f'<rect class="{kind}" x="{left}" y="{y}" width="{length:.1f}" height="{ROW - 8}" rx="2"/>')
            parts.append(f'<text x="{left + length + 6:.1f}" y="{middle(place)}">{row[panel]:.1f} {unit}</text>')
    return "\n".join([*parts, "</svg>", ""])


def middle(place):
    """The base line of a row's text."""
    return TOP + place * ROW + 14
