"""Sensors of a log as charts, each machine by itself."""

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray
from rich.console import Group, RenderableType
from rich.text import Text

from aster_cli.inspection import Course, LogReport, SensorReport, Suspect
from aster_cli.plain import plain
from aster_cli.render.chart import Chart
from aster_cli.render.layout import WARNING, Facts, Indented, Paragraph, head, section
from aster_cli.wording import alike, count, machine_name, moment, share, until

HEIGHT = 10
"""Lines of a chart."""

SUSPECT, GAP, FROZEN = "^", "|", "="
"""What stands under a stretch."""


def sensor_charts(report: LogReport, courses: Sequence[Course]) -> RenderableType:
    """Every sensor of the report over every machine's rows.

    Args:
        report: Of no more sensors than are to be shown.
        courses: Of the same.
    """
    span = until(moment(report.start), moment(report.end))
    parts: list[RenderableType] = [
        head(plain(report.name), [("rows", count(report.rows)), ("span", span)])
    ]
    charts: list[Chart] = []
    for number, sensor in enumerate(report.sensors):
        for course in courses:
            whose = machine_name(course.machine) if report.id_cols else ""
            chart = _chart(number, sensor, course, report.suspects)
            charts.append(chart)
            parts.append(section(plain(sensor.name), chart, about=whose))
        if len(courses) < report.n_machines:
            rest = count(report.n_machines - len(courses), "machine")
            parts.append(Indented(Paragraph(f"… and {rest} more")))
        parts += _facts(sensor)
    legend = {SUSPECT: "unlike the rest of the log", GAP: "a gap", FROZEN: "stands still"}
    used = {mark for chart in charts for mark, marked in chart.marks.items() if marked.any()}
    told = "   ".join(f"{mark} {what}" for mark, what in legend.items() if mark in used)
    if told:
        parts += ["", Text(told, style=WARNING)]
    return Group(*parts)


def _chart(number: int, sensor: SensorReport, course: Course, suspects: Sequence[Suspect]) -> Chart:
    return Chart(
        low=course.low[:, number],
        high=course.high[:, number],
        start=moment(course.starts[0]),
        end=moment(course.ends[-1]),
        marks={
            SUSPECT: _suspect(course, suspects),
            GAP: course.gaps,
            FROZEN: _frozen(course, sensor),
        },
        height=HEIGHT,
    )


def _suspect(course: Course, suspects: Sequence[Suspect]) -> NDArray[np.bool_]:
    """The stretches that are suspect."""
    marked = np.zeros(len(course), dtype=bool)
    for suspect in suspects:
        if suspect.machine == course.machine:
            marked[course.starts.index(suspect.start) : course.ends.index(suspect.end) + 1] = True
    return marked


def _frozen(course: Course, sensor: SensorReport) -> NDArray[np.bool_]:
    """The stretches of its longest standstill, if that is worth a word."""
    marked = np.zeros(len(course), dtype=bool)
    if sensor.still_machine == course.machine and "frozen" in {f.kind for f in sensor.findings}:
        last = sensor.still_from + sensor.longest_still - 1
        marked[sensor.still_from // course.rows : last // course.rows + 1] = True
    return marked


def _facts(sensor: SensorReport) -> Iterator[RenderableType]:
    """Its numbers, and what is suspicious."""
    low, mean, high, std = alike((sensor.min, sensor.mean, sensor.max, sensor.std), sensor.std)
    numbers = f"min {low}, mean {mean}, max {high}, std {std}"
    missing = share(sensor.missing_share) if sensor.missing else None
    yield ""
    yield Indented(Facts([("numbers", numbers), ("missing", missing)]))
    for finding in sensor.findings:
        found = Text.assemble((finding.kind, WARNING), f": {plain(finding.detail)}")
        yield Indented(Paragraph(found))
