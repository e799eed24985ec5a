"""Critical-difference pictures (Demšar, JMLR 7, 2006, figure 1) as SVG, for light and dark pages.

Methods hang from an axis of mean ranks, the best to the left; a thick line joins those that the
data do not tell apart.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from html import escape

from benchmarks.detection.ranks import groups_within

WIDTH = 800
_MARGIN = 190  # for the names on both sides
_LINE = 20  # between two names
_STEP = 8  # between two thick lines

_STYLE = """
  :root { color: #1f2328; --accent: #b3261e; }
  @media (prefers-color-scheme: dark) { :root { color: #e6edf3; --accent: #ff8a80; } }
  text { font: 13px system-ui, sans-serif; fill: currentColor; }
  .title { font-weight: 600; font-size: 15px; }
  .small { font-size: 11px; }
  path { stroke: currentColor; fill: none; }
  .stem { opacity: 0.6; }
  text.own { fill: var(--accent); font-weight: 600; }
  path.own { stroke: var(--accent); opacity: 1; }
  .group { stroke-width: 4; stroke-linecap: round; }
"""


@dataclass(frozen=True, slots=True)
class Panel:
    """One axis of ranks.

    Attributes:
        title: The metric.
        ranks: Mean ranks by method, two methods at least.
        distance: The critical difference.
    """

    title: str
    ranks: dict[str, float]
    distance: float


def draw(panels: list[Panel]) -> str:
    """The panels, one below another."""
    parts, top = [], 0
    for panel in panels:
        drawn, height = _draw_panel(panel)
        parts.append(f'<g transform="translate(0 {top})">\n{drawn}\n</g>')
        top += height
    body = "\n".join(parts)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {top}" '
        f'width="{WIDTH}" height="{top}" role="img" '
        f'aria-label="Mean ranks and critical difference">\n'
        f"<style>{_STYLE}</style>\n{body}\n</svg>\n"
    )


def _draw_panel(panel: Panel) -> tuple[str, int]:
    """One panel's elements, and its height."""
    last = len(panel.ranks)

    def x(rank: float) -> float:
        return round(_MARGIN + (rank - 1) / (last - 1) * (WIDTH - 2 * _MARGIN), 1)

    groups = groups_within(panel.ranks, panel.distance)
    axis = 76
    names_top = axis + _STEP * len(groups) + 30
    height = names_top + _LINE * ((last + 1) // 2) + 16
    lines = [f'<text class="title" x="12" y="24">{escape(panel.title)}: mean rank</text>']
    end = min(1 + panel.distance, last)
    lines += [
        f'<path d="M{x(1)} 44v8m0 -4H{x(end)}m0 -4v8"/>',
        f'<text class="small" x="{x(end) + 8}" y="52">'
        f"critical difference {panel.distance:.2f}</text>",
        f'<path d="M{x(1)} {axis}H{x(last)}"/>',
    ]
    for rank in range(1, last + 1):
        lines.append(f'<path d="M{x(rank)} {axis}v-5"/>')
        lines.append(
            f'<text class="small" x="{x(rank)}" y="{axis - 9}" text-anchor="middle">{rank}</text>'
        )
    for number, group in enumerate(groups):
        y = axis + 12 + _STEP * number
        left, right = x(panel.ranks[group[0]]) - 3, x(panel.ranks[group[-1]]) + 3
        lines.append(f'<path class="group" d="M{left:.1f} {y}H{right:.1f}"/>')
    lines += _draw_names(panel.ranks, x_of=x, axis=axis, top=names_top)
    return "\n".join(lines), height


def _draw_names(
    ranks: dict[str, float], *, x_of: Callable[[float], float], axis: int, top: int
) -> Iterator[str]:
    """The better half to the left, the best at the top; the others to the right, the worst at it."""
    ordered = sorted(ranks, key=ranks.__getitem__)
    half = (len(ordered) + 1) // 2
    left = [(name, f"{name}  {ranks[name]:.1f}", _MARGIN - 20) for name in ordered[:half]]
    right = [
        (name, f"{ranks[name]:.1f}  {name}", WIDTH - _MARGIN + 20)
        for name in reversed(ordered[half:])
    ]
    for side, anchor, gap in ((left, "end", -6), (right, "start", 6)):
        for place, (name, label, edge) in enumerate(side):
            y, kind = top + _LINE * place, "own" if name == "aster" else "peer"
            yield f'<path class="stem {kind}" d="M{x_of(ranks[name])} {axis}V{y}H{edge}"/>'
            yield (
                f'<text class="{kind}" x="{edge + gap}" y="{y + 4}" text-anchor="{anchor}">'
                f"{escape(label)}</text>"
            )
