"""Metrics beside those of baselines, with what they rest on."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Protocol, runtime_checkable

from rich.console import Group, RenderableType
from rich.text import Text

from aster_cli.plain import plain
from aster_cli.render.layout import HEADING, QUIET, WARNING, Cell, Column, table, title
from aster_cli.wording import NOTHING, count, share

Values = Mapping[str, float | int | None]


@runtime_checkable
class Metrics(Protocol):
    """What is shown of `aster_cli.evaluation.metrics.Metrics`, which lives next door."""

    @property
    def n_rows(self) -> int:
        """Rows with a score."""

    @property
    def n_unscored(self) -> int:
        """Rows without one."""

    @property
    def n_anomalous(self) -> int:
        """Rows labelled anomalous."""

    @property
    def n_events(self) -> int:
        """Label events."""

    @property
    def n_machines(self) -> int:
        """Machines."""

    def to_dict(self) -> dict[str, float | int | None]:
        """Return the metrics under their usual names."""


# each metric's name in `Metrics.to_dict`, and its column's title
_RANKING = {"AUC-PR": "AUC-PR", "AUC-ROC": "AUC-ROC", "VUS-PR": "VUS-PR", "VUS-ROC": "VUS-ROC"}
_FIXED = {
    "Standard-F1 (fixed)": "Standard-\nF1",
    "Precision": "Precision",
    "Recall": "Recall",
    "Event-Recall": "Event-\nRecall",
    "Event-F1": "Event-\nF1",
    "Affiliation-F1": "Affil.-\nF1",  # short: the block fits into 80 columns
    "False-Alarm-Rate": "False\nalarms",
}
_ORACLE = {"Standard-F1 (oracle)": "Standard-\nF1", "Affiliation-F1 (oracle)": "Affiliation-\nF1"}
_INFLATED = {"PA-F1 (inflated)": "PA-F1"}

_FALSE_ALARMS = "False-Alarm-Rate"
_BLOCKS = (
    ("Without a threshold", "how well scores rank; random scores have AUC-ROC 0.5", _RANKING),
    ("Fixed threshold", "chosen before the labels were seen: what a user gets", _FIXED),
    ("Oracle threshold", "the best one for these labels: a bound that no user reaches", _ORACLE),
    ("Point-adjusted", "inflated: lifts random scores above detectors; compare nothing", _INFLATED),
)


def metrics_table(results: Mapping[str, Metrics], *, name: str = "") -> RenderableType:
    """Metrics of several detectors on the same labelled rows, the best of each in bold.

    Args:
        results: By detector, in the order in which they are shown.
        name: Of what was evaluated.
    """
    found = {plain(detector): metrics.to_dict() for detector, metrics in results.items()}
    widest = max(map(len, found))
    parts: list[RenderableType] = list(_head(next(iter(results.values())), name))
    for heading, about, metrics in _BLOCKS:
        present = [
            m for m in metrics if any(values.get(m) is not None for values in found.values())
        ]
        if not present:
            continue
        columns = [
            Column("".ljust(widest), style=WARNING if metrics is _INFLATED else ""),
            *(Column(metrics[metric], "right") for metric in present),
        ]
        best = {metric: _best(metric, found.values()) for metric in present}
        rows = (
            [detector, *(_cell(metric, values.get(metric), best[metric]) for metric in present)]
            for detector, values in found.items()
        )
        parts += [
            "",
            Text.assemble((heading, HEADING), (f"  {about}", QUIET)),
            table(columns, rows),
        ]
    return Group(*parts)


def _head(first: Metrics, name: str) -> Iterator[RenderableType]:
    """What all the numbers rest on."""
    anomalous = share(first.n_anomalous / first.n_rows if first.n_rows else None)
    yield title(plain(name) or "Evaluation")
    machines = f" of {count(first.n_machines, 'machine')}" if first.n_machines > 1 else ""
    yield Text(
        f"  {count(first.n_rows, 'row')}{machines}, {count(first.n_anomalous)} anomalous "
        f"({anomalous}) in {count(first.n_events, 'event')}"
    )
    if first.n_unscored:
        yield Text(f"  {count(first.n_unscored, 'row')} without a score left out", style=QUIET)


def _best(metric: str, everyone: Iterable[Values]) -> float | None:
    known = [value for values in everyone if (value := values.get(metric)) is not None]
    if len(known) < 2:
        return None
    return min(known) if metric == _FALSE_ALARMS else max(known)


def _cell(metric: str, value: float | None, best: float | None) -> Cell:
    if value is None:
        return NOTHING
    shown = share(value) if metric == _FALSE_ALARMS else f"{value:.3f}"
    return Text(shown, style=HEADING if value == best else "")
