"""What the page's charts are drawn from, as JSON: plain values, and arrays as base64."""

import base64
import json
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aster_cli.plain import plain
from aster_cli.report.bins import Bins, CurveBins
from aster_cli.report.expected import ExpectedBins
from aster_cli.report.rows import ReportRows
from aster_cli.results import Event

_BARS = 60
_MOST_THRESHOLDS = 50


def embedded(value: Any) -> str:
    """JSON that can stand in a ``script`` element: no text in it can end that, or open another."""
    text = json.dumps(value, ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    for letter in "<>&":
        text = text.replace(letter, f"\\u{ord(letter):04x}")
    return text


def encoded(array: NDArray[Any], dtype: str) -> str:
    """An array in the byte order that browsers read."""
    return base64.b64encode(np.ascontiguousarray(array.astype(f"<{dtype}")).tobytes()).decode()


def curve(low: NDArray[Any], high: NDArray[Any]) -> dict[str, str | None]:
    """Lowest and highest values; only one of them where they are the same."""
    same = bool(np.array_equal(low, high, equal_nan=True))
    return {"low": encoded(low, "f4"), "high": None if same else encoded(high, "f4")}


def bin_data(bins: Bins) -> dict[str, Any]:
    """All bins, lane after lane."""
    return {
        "time": encoded(bins.time, "f8"),
        "apart": encoded(bins.apart, "u1"),
        "rows": encoded(bins.rows, "u4"),
        "anomalies": encoded(bins.anomalies, "u4"),
        "score": curve(bins.low, bins.high),
        "severity": encoded(bins.severity, "f4"),
    }


def clock_data(rows: ReportRows, noun: str) -> dict[str, Any]:
    """The clock, and the usual step between two rows of one lane."""
    clock = rows.clock
    steps = np.diff(rows.time)
    inner = np.ones(len(steps), dtype=np.bool_)
    inner[rows.bounds[1:-1] - 1] = False
    steps = steps[inner & (steps > 0)]
    return {
        "kind": clock.kind,
        "in_seconds": clock.in_seconds,
        "zone": clock.zone,
        "origin": clock.origin / 1e6 if clock.in_seconds else clock.origin,
        "step": float(np.median(steps)) if len(steps) else 1.0,
        "noun": noun,
    }


def lane_data(rows: ReportRows, bins: Bins) -> list[dict[str, Any]]:
    """Every lane: its name, where it starts and ends, its bins, and its last threshold."""
    found = []
    for lane, name in enumerate(rows.lanes):
        first, last = int(rows.bounds[lane]), int(rows.bounds[lane + 1])
        thresholds = rows.threshold[first:last]
        known = thresholds[~np.isnan(thresholds)]
        found.append(
            {
                "name": name,
                "start": float(rows.time[first]),
                "end": float(rows.time[last - 1]),
                "bins": [int(bins.bounds[lane]), int(bins.bounds[lane + 1])],
                "threshold": float(known[-1]) if len(known) else None,
            }
        )
    return found


def event_data(
    rows: ReportRows, events: Sequence[Event], parts: Sequence[Sequence[str]], names: Sequence[str]
) -> list[dict[str, Any]]:
    """Events as the charts need them.

    Args:
        rows: What they are events of.
        events: In the order of the table.
        parts: What is said of each event's sensors.
        names: The sensors that have a panel.
    """
    places = {name: place for place, name in enumerate(names)}
    found = []
    for event, texts in zip(events, parts, strict=True):
        start, end = rows.ends_of(event)
        found.append(
            {
                "machine": rows.machines[event.machine],
                "start": start,
                "end": end,
                "severity": event.severity,
                "sensors": [
                    {"place": places[one.sensor], "text": text}
                    for one, text in zip(event.top_sensors, texts, strict=True)
                    if one.sensor in places
                ],
            }
        )
    return found


def sensor_data(
    names: Sequence[str], parts: Sequence[str], values: CurveBins, expected: ExpectedBins | None
) -> list[dict[str, Any]]:
    """Every panel: its sensor, what part that has in all events, its values, and the expected ones."""
    return [
        {
            "name": plain(name),
            "part": part,
            "place": place,
            "curve": curve(values.low[:, place], values.high[:, place]),
            "expected": None
            if expected is None
            else {
                "curve": curve(*expected.expected(place)),
                "band": curve(*expected.band(place)),
                "outside": encoded(expected.outside(place), "f4"),
            },
        }
        for place, (name, part) in enumerate(zip(names, parts, strict=True))
    ]


def distribution(rows: ReportRows) -> dict[str, Any] | None:
    """How many rows have which score, in equal steps; None where no row has one."""
    known = ~np.isnan(rows.score)
    if not known.any():
        return None
    scores, flagged = rows.score[known].astype(np.float64), rows.anomalous[known]
    thresholds = np.unique(rows.threshold[~np.isnan(rows.threshold)]).astype(np.float64)
    ends = np.concatenate((scores, thresholds))
    low, high = float(ends.min()), float(ends.max())
    edges = np.linspace(low, high if high > low else low + 1.0, _BARS + 1)
    return {
        "edges": edges.tolist(),
        "normal": np.histogram(scores[~flagged], edges)[0].tolist(),
        "anomalous": np.histogram(scores[flagged], edges)[0].tolist(),
        "thresholds": thresholds[:_MOST_THRESHOLDS].tolist(),
    }
