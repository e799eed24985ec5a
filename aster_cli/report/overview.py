"""What scoring found, in words and tables: the head of the page, its events, machines and times."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from aster_cli.inspection import SensorPart
from aster_cli.plain import plain
from aster_cli.render.severity import SEVERITIES, severity_number
from aster_cli.report.rows import STATUSES, ReportRows
from aster_cli.report.tables import Table, table
from aster_cli.results import Event, SensorShare
from aster_cli.wording import (
    DIRECTIONS,
    NOTHING,
    count,
    departure,
    duration,
    length,
    machine_name,
    number,
    share,
    until,
)

_STRETCHES = 40


def severity_word(severity: float) -> str:
    """The word of a severity."""
    return next((word for least, word, _ in SEVERITIES if severity >= least), "low")


def departure_text(part: SensorShare) -> str:
    """Where a sensor stood in an event: ``12.1, expected 19.5, 38 % below``."""
    if not part.direction:
        return departure(part)
    return f"{number(part.actual)}, expected {number(part.expected)}, {departure(part)}"


def own_part_text(part: SensorShare) -> str:
    """A sensor's part in an event, and where it stood."""
    return f"{share(part.share)} of this event: {departure_text(part)}"


def part_text(part: SensorPart) -> str:
    """A sensor's part in all events, and where it mostly stood."""
    direction = DIRECTIONS.get(part.direction)
    return ", ".join(filter(None, (f"{share(part.share)} of all events", direction)))


def when(rows: ReportRows, event: Event) -> str:
    """An event's stretch of time."""
    return until(rows.clock.text(event.start), rows.clock.text(event.end))


def named(rows: ReportRows, event: Event) -> str:
    """An event by its machine, where it has one, and its stretch of time."""
    who = f"{machine_name(event.machine)}, " if event.machine else ""
    return f"{who}{when(rows, event)}"


def verdict(rows: ReportRows) -> str:
    """The page in two sentences."""
    n_machines = len(rows.machines)
    among = f" of {count(n_machines, 'machine')}" if n_machines > 1 else ""
    if not rows.events:
        return f"No anomaly in {count(len(rows), 'row')}{among}."
    worst = max(rows.events, key=lambda event: event.severity)
    leading = ""
    if worst.top_sensors:
        first = worst.top_sensors[0]
        leading = f", {plain(first.sensor)} {departure_text(first)}"
    return (
        f"{count(len(rows.events), 'event')} in {count(len(rows), 'row')}{among}. The worst: "
        f"{named(rows, worst)}, severity {severity_number(worst.severity)}{leading}."
    )


def tiles(rows: ReportRows, noun: str) -> list[dict[str, str]]:
    """The numbers at the top."""
    scored = int((~np.isnan(rows.score)).sum())
    anomalous = int(rows.anomalous.sum())
    still_open = sum(event.open for event in rows.events)
    worst = max((event.severity for event in rows.events), default=None)
    span = length(float(rows.time.max()), in_seconds=rows.clock.in_seconds, noun=noun)
    found = [
        (
            "worst severity",
            severity_number(worst),
            "no event" if worst is None else severity_word(worst),
        ),
        ("events", count(len(rows.events)), f"{still_open} still open" if still_open else ""),
        (
            "anomalous rows",
            count(anomalous),
            f"{share(anomalous / scored)} of scored rows" if scored else "",
        ),
        (
            "rows",
            count(len(rows)),
            "all scored" if scored == len(rows) else f"{count(scored)} scored",
        ),
        (
            "span",
            span,
            until(rows.clock.text(rows.start), rows.clock.text(rows.end)),
        ),
    ]
    if rows.id_cols:
        ids = f"by {', '.join(map(plain, rows.id_cols))}"
        found.append(("machines", count(len(rows.machines)), ids))
    return [{"name": name, "value": value, "about": about} for name, value, about in found]


def event_rows(rows: ReportRows, events: Sequence[Event], noun: str) -> list[dict[str, Any]]:
    """Events as the table shows them."""
    places = {event.event_id: place for place, event in enumerate(events)}
    found = []
    for event in events:
        start, end = rows.ends_of(event)
        text = duration(event.duration_s)
        if not rows.clock.in_seconds:
            text = length(end - start, in_seconds=False, noun=noun)
        found.append(
            {
                "severity": event.severity,
                "severity_text": severity_number(event.severity),
                "word": severity_word(event.severity),
                "machine": machine_name(event.machine),
                "when": when(rows, event),
                "at": start,
                "open": event.open,
                "length": end - start,
                "length_text": text,
                "rows": event.n_rows,
                "rows_text": count(event.n_rows),
                "peak": rows.clock.text(event.peak_time),
                "sensors": [
                    {
                        "name": plain(part.sensor),
                        "departure": departure_text(part),
                        "share": share(part.share),
                    }
                    for part in event.top_sensors[:3]
                ],
                "similar": [
                    {"place": places[name], "name": named(rows, events[places[name]])}
                    for name in event.similar
                    if name in places
                ],
                "label": "",
            }
        )
    return found


def timeline_table(rows: ReportRows, texts: Sequence[str]) -> Table:
    """The timeline in equal stretches of time.

    Args:
        rows: All rows.
        texts: Where the stretches start, in words; as many as there are stretches.
    """
    last = float(rows.time.max()) or 1.0
    n = len(texts)
    place = np.minimum((rows.time / last * n).astype(np.int64), n - 1)
    total = np.bincount(place, minlength=n)
    anomalies = np.bincount(place, weights=rows.anomalous, minlength=n)
    severity = np.full(n, -np.inf)
    np.fmax.at(severity, place, rows.severity)
    score = np.full(n, -np.inf)
    np.fmax.at(score, place, rows.score)

    def known(value: float) -> float | None:
        return float(value) if np.isfinite(value) else None

    return table(
        "The timeline in equal stretches of time",
        ("from", "#rows", "#anomalous", "#highest score", "#highest severity"),
        [
            (
                texts[i],
                count(int(total[i])),
                count(int(anomalies[i])),
                number(known(score[i])),
                severity_number(known(severity[i])),
            )
            for i in range(n)
            if total[i]
        ],
    )


def stretch_starts(rows: ReportRows) -> list[float]:
    """Where the stretches of the timeline's table start, as distances."""
    n = min(_STRETCHES, len(rows))
    return [float(rows.time.max()) * i / n for i in range(n)]


def machine_table(rows: ReportRows) -> Table | None:
    """How each machine came out, where there are several."""
    if len(rows.machines) < 2:
        return None
    by_lane: dict[int, int] = {}
    for event in rows.events:
        lane = rows.machines[event.machine]
        by_lane[lane] = by_lane.get(lane, 0) + 1
    found = []
    for lane, name in enumerate(rows.lanes):
        own = slice(int(rows.bounds[lane]), int(rows.bounds[lane + 1]))
        severity, threshold = rows.severity[own], rows.threshold[own]
        known = threshold[~np.isnan(threshold)]
        found.append(
            (
                name,
                severity_number(
                    float(np.nanmax(severity)) if not np.isnan(severity).all() else None
                ),
                count(by_lane.get(lane, 0)),
                count(int(rows.anomalous[own].sum())),
                count(own.stop - own.start),
                number(float(known[-1])) if len(known) else NOTHING,
            )
        )
    columns = ("machine", "#severity", "#events", "#anomalous rows", "#rows", "#threshold")
    return table("Machines, the most severe first", columns, found)


def repeats_text(rows: ReportRows) -> str:
    """Where times repeat within a machine; empty where they do not."""
    if not rows.repeats:
        return ""
    first = rows.clock.text(rows.first_repeat)
    return f"{count(rows.repeats, 'row')}, from {first} on; drawn one upon the other"


def status_counts(rows: ReportRows) -> list[tuple[str, int]]:
    """How many rows have which status."""
    counts = np.bincount(rows.status, minlength=len(STATUSES)).tolist()
    return [(status, n) for status, n in zip(STATUSES, counts, strict=True) if n]
