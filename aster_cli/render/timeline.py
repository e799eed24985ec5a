"""Scores over a log's rows: how severe they are, and which sensors they are of."""

from collections.abc import Iterator

from rich.cells import cell_len, set_cell_size
from rich.console import Group, RenderableType
from rich.text import Text

from aster_cli.inspection import SensorCourse, Timeline
from aster_cli.plain import plain
from aster_cli.render.layout import QUIET, ByWidth, section
from aster_cli.render.severity import severity_text
from aster_cli.sparklines import LEVELS, MISSING, fit
from aster_cli.wording import moment, shorten

_NAME = 22  # columns of the longest name
_MOST_SENSORS = 6


def timeline_section(timeline: Timeline | None) -> Iterator[RenderableType]:
    """Anomalies over the rows: the highest severity of each stretch, so that none vanishes."""
    if timeline is None:
        return
    legend = f"{LEVELS[0]} normal  {LEVELS[2]} to {LEVELS[-1]} anomalous"
    legend += f"  {MISSING} not scored" if None in timeline.severity else ""
    yield section("Over the rows", ByWidth(lambda width: _timeline(timeline, width)), about=legend)


def _timeline(timeline: Timeline, width: int) -> RenderableType:
    """The severity, and below it the sensors that have the largest parts in what is anomalous."""
    sensors = timeline.sensors[:_MOST_SENSORS]
    names = ["severity", *(shorten(plain(one.sensor), _NAME) for one in sensors)]
    margin = max(map(cell_len, names)) + 2
    room = min(width - margin, len(timeline.severity))
    lines = [_severity(timeline, room), *(_shares(one, timeline, room) for one in sensors)]
    rows = [
        Text.assemble((set_cell_size(name, margin), QUIET), line)
        for name, line in zip(names, lines, strict=True)
    ]
    start, end = moment(timeline.start), moment(timeline.end)
    ends = Text(" " * margin + start + end.rjust(room - len(start)), style=QUIET)
    return Group(*rows, ends)


def _severity(timeline: Timeline, width: int) -> Text:
    line = Text()
    severities = fit(timeline.severity, width, max)
    for severity, anomalies in zip(severities, _anomalies(timeline, width), strict=True):
        if anomalies:
            part = min(max(((severity or 0.0) - 90.0) / 10.0, 0.0), 0.999)
            level = LEVELS[2 + int(part * (len(LEVELS) - 2))]
            line.append(level, style=severity_text(severity).style)
        else:
            line.append(MISSING if severity is None else LEVELS[0], style=QUIET)
    return line


def _shares(one: SensorCourse, timeline: Timeline, width: int) -> Text:
    """A sensor's share of what is anomalous; the baseline where nothing is."""
    line = Text()
    shares = fit(one.share, width, max)
    for share, anomalies in zip(shares, _anomalies(timeline, width), strict=True):
        if anomalies and share:
            line.append(LEVELS[min(1 + int(share * (len(LEVELS) - 1)), len(LEVELS) - 1)])
        else:
            line.append(LEVELS[0], style=QUIET)
    return line


def _anomalies(timeline: Timeline, width: int) -> list[float]:
    """The anomalous rows of each character."""
    return [rows or 0.0 for rows in fit([float(n) for n in timeline.anomalies], width, sum)]
