"""Seconds against rows on logarithmic axes as SVG, for light and dark pages."""

import math
from html import escape

WIDTH, HEIGHT = 640, 380
_LEFT, _RIGHT, _TOP, _BOTTOM = 60, 150, 36, 44
_LABEL = 15  # least distance of two names

_STYLE = """
  :root { color: #1f2328; --accent: #b3261e; }
  @media (prefers-color-scheme: dark) { :root { color: #e6edf3; --accent: #ff8a80; } }
  text { font: 13px system-ui, sans-serif; fill: currentColor; }
  .title { font-weight: 600; font-size: 15px; }
  .small { font-size: 11px; }
  path { stroke: currentColor; fill: none; opacity: 0.7; }
  path.grid { opacity: 0.15; }
  text.own { fill: var(--accent); font-weight: 600; }
  path.own { stroke: var(--accent); opacity: 1; stroke-width: 2.5; }
"""

Curve = dict[int, float]
"""Seconds by rows."""


def draw(title: str, curves: dict[str, Curve], own: str) -> str:
    """A line for every curve, named at its end; that of `own` is coloured."""
    rows = sorted({size for curve in curves.values() for size in curve})
    seconds = [value for curve in curves.values() for value in curve.values()]
    low, high = math.floor(math.log10(min(seconds))), math.ceil(math.log10(max(seconds)))

    def x(size: float) -> float:
        share = math.log(size / rows[0]) / math.log(rows[-1] / rows[0])
        return _LEFT + share * (WIDTH - _LEFT - _RIGHT)

    def y(value: float) -> float:
        share = (math.log10(value) - low) / (high - low)
        return HEIGHT - _BOTTOM - share * (HEIGHT - _TOP - _BOTTOM)

    parts = [f'<text class="title" x="{_LEFT}" y="18">{escape(title)}</text>']
    for size in rows:
        parts.append(f'<path class="grid" d="M{x(size):.1f} {_TOP}V{HEIGHT - _BOTTOM}"/>')
        parts.append(_text("small", x(size), HEIGHT - _BOTTOM + 16, f"{size:,}", "middle"))
    for power in range(low, high + 1):
        place = y(10.0**power)
        parts.append(f'<path class="grid" d="M{_LEFT} {place:.1f}H{WIDTH - _RIGHT}"/>')
        parts.append(_text("small", _LEFT - 6, place + 4, f"{10.0**power:g} s", "end"))
    parts.append(_text("small", (_LEFT + WIDTH - _RIGHT) / 2, HEIGHT - 8, "rows", "middle"))
    label = -math.inf
    for name, curve in sorted(curves.items(), key=lambda item: y(max(item[1].values()))):
        mark = "own" if name == own else ""
        points = "L".join(f"{x(size):.1f} {y(value):.1f}" for size, value in curve.items())
        label = max(y(curve[max(curve)]) + 4, label + _LABEL)
        parts.append(f'<path class="{mark}" d="M{points}"/>')
        parts.append(_text(mark, WIDTH - _RIGHT + 6, label, name, "start"))
    body = "\n".join(parts)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" '
        f'height="{HEIGHT}" role="img" aria-label="{escape(title)}">\n'
        f"<style>{_STYLE}</style>\n{body}\n</svg>\n"
    )


def _text(mark: str, x: float, y: float, text: str, anchor: str) -> str:
    return (
        f'<text class="{mark}" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(text)}</text>'
    )
