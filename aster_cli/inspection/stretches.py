"""Stretches of a log that are unlike the rest of it: likely anomalies."""

from collections.abc import Iterator, Sequence
from datetime import datetime

import numpy as np
import polars as pl
from numpy.typing import NDArray

from aster_cli.inspection.sketch import Course
from aster_cli.inspection.values import Finding, LogReport, Suspect
from aster_cli.results import FloatArray

_USUAL = (0.05, 0.95)  # of the stretches' lowest and highest values: a sensor's usual range
_FAR = 1.0  # widths of that range beyond it
_FAR_ALONE = 5.0  # the same, where one sensor only leaves its range
_JOINED = 0.02  # of a course: what lies closer together is one stretch
_TIMES = 2  # a sensor that leaves its range more often does so normally
_SHARE = 0.05  # of a course, at most


def find_suspects(courses: Sequence[Course], sensors: Sequence[str]) -> tuple[Suspect, ...]:
    """Stretches in which a sensor goes far beyond its usual range, once or twice in the whole log.

    One sensor has to go very far, several at once less so. What a sensor does time and again is
    normal, however far it goes.

    Args:
        courses: The machines'.
        sensors: Their sensors' names.
    """
    found = [suspect for course in courses for suspect in _suspects(course, sensors)]
    return tuple(sorted(found, key=lambda suspect: -suspect.times))


def _suspects(course: Course, sensors: Sequence[str]) -> Iterator[Suspect]:
    beyond = _beyond(course)
    far = beyond > _FAR
    alone = beyond.max(axis=1, initial=0.0) > _FAR_ALONE
    for start, stop in _runs((far.sum(axis=1) >= 2) | alone, len(course)):
        farthest: FloatArray = np.max(beyond[start:stop], axis=0)
        order = np.argsort(-farthest, kind="stable")[: int((farthest > _FAR).sum())].tolist()
        yield Suspect(
            machine=course.machine,
            start=course.starts[start],
            end=course.ends[stop - 1],
            rows=(stop - start) * course.rows,
            sensors=tuple(sensors[i] for i in order),
            times=float(farthest[order[0]]),
        )


def _beyond(course: Course) -> FloatArray:
    """How far each sensor leaves its usual range, in widths of it; 0 where it does so normally."""
    beyond = np.zeros_like(course.low)
    for sensor in range(beyond.shape[1]):
        low, high = course.low[:, sensor], course.high[:, sensor]
        known = np.isfinite(low)
        if not known.any():
            continue
        bottom, top = np.quantile(low[known], _USUAL[0]), np.quantile(high[known], _USUAL[1])
        with np.errstate(over="ignore"):
            width = top - bottom
        if not 0 < width < np.inf:
            continue
        with np.errstate(over="ignore"):
            off = np.fmax(high - top, bottom - low) / width
        far = off > _FAR
        if far.mean() <= _SHARE and len(_runs(far, len(course))) <= _TIMES:
            beyond[known, sensor] = np.minimum(off[known], np.finfo(float).max)
    return beyond


def _runs(marked: NDArray[np.bool_], n: int) -> list[tuple[int, int]]:
    """Where stretches start and stop; those close to each other are one."""
    places = np.flatnonzero(marked)
    if not len(places):
        return []
    cuts = np.flatnonzero(np.diff(places) > max(2, _JOINED * n))
    starts = places[np.concatenate(([0], cuts + 1))]
    stops = places[np.concatenate((cuts, [len(places) - 1]))] + 1
    return list(zip(starts.tolist(), stops.tolist(), strict=True))


def describe_suspects(suspects: Sequence[Suspect]) -> tuple[Finding, ...]:
    """One finding for all of them."""
    if not suspects:
        return ()
    many = "1 stretch is" if len(suspects) == 1 else f"{len(suspects):,} stretches are"
    return (Finding("anomalies", f"{many} unlike the rest of the log"),)


def incident_table(report: LogReport) -> pl.DataFrame:
    """The likely anomalies as `aster train --exclude` takes them: start, end and the id columns."""
    rows = []
    for suspect in report.suspects:
        row: dict[str, object] = {
            "start": _as_logged(suspect.start, report),
            "end": _as_logged(suspect.end, report),
            **dict(zip(report.id_cols, suspect.machine, strict=True)),
        }
        # for people only, so an id column of that name goes before it
        rows.append({**row, "sensors": row.get("sensors", ", ".join(suspect.sensors))})
    return pl.DataFrame(rows)


def _as_logged(text: str, report: LogReport) -> str | float:
    """A timestamp as the log has it; epochs are written out in the report."""
    if report.time_kind != "epoch":
        return text
    return datetime.fromisoformat(text.replace(" UTC", "+00:00")).timestamp()
