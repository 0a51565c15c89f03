"""Groups of bars as an SVG picture that can be read on light and on dark ground."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape

from attrs import frozen

WIDTH, PANEL_HEIGHT, LEFT, TOP, BETWEEN = 760, 220, 64, 76, 44
COLOURS = ["#8c8c8c", "#c98a1b", "#3f8fd2", "#7a6fd0", "#1f9d62"]
STYLE = """
  text { font: 13px system-ui, sans-serif; fill: #24292f }
  .title { font-size: 16px; font-weight: 600 }
  .small { font-size: 11px }
  .grid { stroke: #d0d7de }
  .axis { stroke: #57606a }
  @media (prefers-color-scheme: dark) {
    text { fill: #e6edf3 }
    .grid { stroke: #30363d }
    .axis { stroke: #8b949e }
  }
"""


@frozen
class Panel:
    """One diagram: `values` by group, then by series, shown with so many `digits` after the point; `unit` stands beside
    the title."""

    title: str
    unit: str
    values: Mapping[str, Mapping[str, float]]
    digits: int


def picture(title: str, panels: Sequence[Panel], series: Sequence[str]) -> str:
    """The panels below one another, with one legend; bars of a series have one colour."""
    height = TOP + len(panels) * (PANEL_HEIGHT + BETWEEN)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img">',
        f"<title>{escape(title)}</title><style>{STYLE}</style>",
        f'<text class="title" x="16" y="26">{escape(title)}</text>',
    ]
    x = 16
    for name, colour in zip(series, COLOURS, strict=False):
        parts.append(f'<rect x="{x}" y="40" width="12" height="12" rx="2" fill="{colour}"/>')
        parts.append(f'<text x="{x + 18}" y="51">{escape(name)}</text>')
        x += 40 + 8 * len(name)
    for number, panel in enumerate(panels):
        parts += _panel(panel, series, TOP + number * (PANEL_HEIGHT + BETWEEN) + 24)
    return "\n".join([*parts, "</svg>", ""])


def _panel(panel: Panel, series: Sequence[str], top: float) -> list[str]:
    step = _step(max(value for group in panel.values.values() for value in group.values()))
    highest = step * 5
    bottom, right = top + PANEL_HEIGHT - 24, WIDTH - 16
    parts = [f'<text x="16" y="{top - 10:.0f}">{escape(panel.title)}, {escape(panel.unit)}</text>']
    for line in range(6):
        y = bottom - line / 5 * (bottom - top)
        kind = "axis" if line == 0 else "grid"
        parts.append(f'<line class="{kind}" x1="{LEFT}" x2="{right}" y1="{y:.1f}" y2="{y:.1f}"/>')
        parts.append(f'<text class="small" x="{LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{line * step:g}</text>')
    group_width = (right - LEFT) / len(panel.values)
    bar = group_width * 0.8 / len(series)
    for number, (name, values) in enumerate(panel.values.items()):
        start = LEFT + group_width * (number + 0.1)
        for place, (which, colour) in enumerate(zip(series, COLOURS, strict=False)):
            high = values[which] / highest * (bottom - top)
            x, y = start + place * bar, bottom - high
            parts.append(f'<rect x="{x:.1f}" y="{y:.1f}" width="{bar - 3:.1f}" height="{high:.1f}" fill="{colour}"/>')
            middle, label = x + (bar - 3) / 2, f"{values[which]:.{panel.digits}f}"
            parts.append(f'<text class="small" x="{middle:.1f}" y="{y - 4:.1f}" text-anchor="middle">{label}</text>')
        middle = start + group_width * 0.4
        parts.append(f'<text x="{middle:.1f}" y="{bottom + 18:.1f}" text-anchor="middle">{escape(name)}</text>')
    return parts


def _step(highest: float) -> float:
    """A round number that reaches the highest value in five steps, with some room for its label."""
    size = 1e-3
    while True:
        for factor in (1, 1.5, 2, 3, 4, 5, 6, 8):
            if size * factor * 5 >= highest * 1.08:
                return size * factor
        size *= 10
