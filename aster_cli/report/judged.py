"""Scores against labels: metrics beside those of baselines, curves, and every labelled event."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from aster_cli.evaluation.comparison import Truth
from aster_cli.evaluation.curves import Curves, curves
from aster_cli.evaluation.hits import LabelledEvent, labelled_events
from aster_cli.evaluation.metrics import Metrics
from aster_cli.plain import plain
from aster_cli.report.rows import ReportRows
from aster_cli.report.tables import table
from aster_cli.results import Event, FloatArray
from aster_cli.wording import NOTHING, count, length, number, share, until

_MOST_EVENTS = 500
_CURVE_ROWS = 21  # of the table that stands in for the curves
_METRICS = {
    "AUC-PR": "ranking",
    "AUC-ROC": "ranking",
    "VUS-PR": "ranking",
    "VUS-ROC": "ranking",
    "Precision": "fixed threshold",
    "Recall": "fixed threshold",
    "Standard-F1 (fixed)": "fixed threshold",
    "Event-Recall": "fixed threshold",
    "Event-Precision": "fixed threshold",
    "Event-F1": "fixed threshold",
    "Affiliation-F1": "fixed threshold",
    "False-Alarm-Rate": "fixed threshold",
    "Standard-F1 (oracle)": "threshold chosen with the labels: out of reach",
    "Affiliation-F1 (oracle)": "threshold chosen with the labels: out of reach",
    "PA-F1 (inflated)": "comparable with nothing",
}


@dataclass(frozen=True, slots=True)
class Judged:
    """What the labels say of scores.

    Attributes:
        metrics: By name, that of the detector first.
        curves: By name; only of those that have any.
        events: The labelled events.
        labels: ``(row,)`` 0 or 1, in the order of the scores table.
    """

    metrics: Mapping[str, Metrics]
    curves: Mapping[str, Curves]
    events: tuple[LabelledEvent, ...]
    labels: NDArray[np.bool_]

    @classmethod
    def of(
        cls,
        truth: Truth,
        metrics: Mapping[str, Metrics],
        scores: Mapping[str, FloatArray],
        threshold: FloatArray,
    ) -> Self:
        """Judge scores.

        Args:
            truth: The labels.
            metrics: By name, the detector first.
            scores: ``(row,)`` by the same names.
            threshold: ``(row,)`` the detector's.
        """
        drawn = {name: curves(truth.labels, values) for name, values in scores.items()}
        detector = next(iter(scores.values()))
        return cls(
            metrics,
            {name: found for name, found in drawn.items() if found is not None},
            labelled_events(truth, detector, threshold),
            truth.labels == 1,
        )


def curve_data(judged: Judged) -> list[dict[str, Any]]:
    """The curves as charts need them."""
    return [
        {"name": plain(name), "roc": one.roc, "pr": one.pr} for name, one in judged.curves.items()
    ]


def label_data(judged: Judged, rows: ReportRows) -> list[dict[str, Any]]:
    """Where labelled events lie on the timeline."""
    place = rows.places()
    found = []
    for event in judged.events:
        start, end = int(place[event.first]), int(place[event.last])
        lane = int(np.searchsorted(rows.bounds, start, side="right")) - 1
        found.append(
            {"machine": lane, "start": float(rows.time[start]), "end": float(rows.time[end])}
        )
    return found


def remarks(judged: Judged, rows: ReportRows, events: Sequence[Event]) -> list[str]:
    """Of every event of the scores, whether its rows are labelled."""
    labels = judged.labels[rows.order]
    texts = []
    for event in events:
        _, start, stop = rows.span_of(event)
        texts.append("labelled" if labels[start:stop].any() else "not labelled")
    return texts


def judged_parts(judged: Judged, rows: ReportRows, noun: str) -> dict[str, Any]:
    """The section on labels."""
    own = next(iter(judged.metrics.values()))
    met = sum(event.flagged > 0 for event in judged.events)
    total = len(judged.events)
    shown = sorted(judged.events, key=lambda event: (event.flagged > 0, -event.rows))[:_MOST_EVENTS]
    return {
        "about": (
            f"{count(own.n_anomalous)} of {count(own.n_rows, 'row')} with a score are labelled "
            f"anomalous, in {count(own.n_events, 'event')}. The threshold was chosen before any "
            "label was seen. Random scores show what a metric gives for nothing."
        ),
        "metrics": _metrics(judged.metrics),
        "names": [plain(name) for name in judged.curves],
        "pr_label": _areas("Precision over recall", judged, "AUC-PR"),
        "roc_label": _areas("Share found over false alarms", judged, "AUC-ROC"),
        "curves": _curve_table(judged),
        "found": f"{met} of {total} met" if total else "none",
        "hits": _hits(shown, rows, noun),
        "more": f"{count(total - len(shown))} more, all met" if total > len(shown) else "",
    }


def _metrics(metrics: Mapping[str, Metrics]) -> Any:
    named = {name: one.to_dict() for name, one in metrics.items()}
    rows = [
        (metric, kind, *(_value(values.get(metric)) for values in named.values()))
        for metric, kind in _METRICS.items()
        if any(values.get(metric) is not None for values in named.values())
    ]
    columns = ("metric", "kind", *(f"#{plain(name)}" for name in named))
    return table("Metrics, beside those of baselines", columns, rows)


def _value(value: float | None) -> str:
    return NOTHING if value is None else f"{value:.3f}"


def _areas(title: str, judged: Judged, metric: str) -> str:
    areas = [
        f"{plain(name)} {_value(one.to_dict()[metric])}" for name, one in judged.metrics.items()
    ]
    return f"{title}. {metric}: {', '.join(areas)}"


def _curve_table(judged: Judged) -> Any:
    """Both curves at even steps of their x axes."""
    steps = np.linspace(0.0, 1.0, _CURVE_ROWS)
    names = [plain(name) for name in judged.curves]
    rows = []
    for step in steps.tolist():
        cells = [share(step)]
        for one in judged.curves.values():
            recall, precision = np.array(one.pr).T
            reached = recall >= step - 1e-12
            cells.append(_value(float(precision[reached].max())) if reached.any() else NOTHING)
        for one in judged.curves.values():
            alarms, found = np.array(one.roc).T
            cells.append(_value(float(found[alarms <= step + 1e-12].max())))
        rows.append(cells)
    return table(
        "Precision and recall, and the ROC curve",
        (
            "#share",
            *(f"#{name}: precision at that recall" for name in names),
            *(f"#{name}: found at that share of false alarms" for name in names),
        ),
        rows,
    )


def _hits(
    events: Sequence[LabelledEvent], rows: ReportRows, noun: str
) -> list[dict[str, str | float | bool]]:
    """Labelled events as the table shows them."""
    place = rows.places()
    found: list[dict[str, str | float | bool]] = []
    for event in events:
        start, end = int(place[event.first]), int(place[event.last])
        lane = int(np.searchsorted(rows.bounds, start, side="right")) - 1
        first = "missed"
        if event.first_flagged is not None:
            after = float(rows.time[int(place[event.first_flagged])] - rows.time[start])
            late = length(after, in_seconds=rows.clock.in_seconds, noun=noun)
            first = f"{late} after its start" if after else "at its start"
        times = [float(rows.time[i]) for i in (start, end)]
        found.append(
            {
                "lane": lane,
                "machine": rows.lanes[lane],
                "start": times[0],
                "end": times[1],
                "when": until(*map(rows.clock.text_at, times)),
                "rows": count(event.rows),
                "flagged": count(event.flagged),
                "met": event.first_flagged is not None,
                "first": first,
                "highest": number(event.highest),
            }
        )
    return found
