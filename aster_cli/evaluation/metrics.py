"""Honest metrics of row scores against row labels.

Notable:

- **Unscored rows** (NaN: too short a segment, a gap, missing cells) are taken out before anything
  else, as if the log had never had them, and counted.
- **Fixed or oracle.** "Fixed" is the caller's threshold, chosen before the labels were seen;
  "oracle" is the best one for these labels, an upper bound that no user can reach. A row is flagged
  where score > threshold. Names without either word use no threshold or the fixed one.
- **Machines.** Row metrics pool all rows. Events, predicted events, VUS buffers and affiliation
  zones end where a machine's rows end, and are pooled over machines.
- **Undefined is None**, not 0 and not NaN: with one class only, every metric that compares two.
- **Point adjustment** (a label event counts as fully found once one row of it is flagged) lifts
  random scores above real detectors (Kim et al., *Towards a Rigorous Evaluation of Time-Series
  Anomaly Detection*, AAAI 2022). It is computed on request only and says in its name what it is.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from aster_cli.errors import DataError
from aster_cli.evaluation.affiliation import affiliation
from aster_cli.evaluation.runs import BoolArray, IntArray, Runs, find_runs, machine_bounds
from aster_cli.evaluation.vus import Definition, volume_under_surface
from aster_cli.results import FloatArray

_ORACLE_THRESHOLDS = 100


@dataclass(frozen=True, slots=True)
class Metrics:
    """Metrics of one set of scores; None where a metric is undefined or was not asked for.

    Attributes:
        n_rows: Rows with a score; every metric rests on these.
        n_unscored: Rows without a score, left out of every metric.
        n_anomalous: Scored rows labelled anomalous.
        n_events: Label events among the scored rows.
        n_machines: Machines among the scored rows.
        auc_roc: Area under the ROC curve over rows.
        auc_pr: Average precision over rows; random scores get the share of anomalous rows.
        vus_roc: Volume under the range ROC surface, see :mod:`aster_cli.evaluation.vus`.
        vus_pr: Volume under the range PR surface.
        vus_buffer: The longest VUS buffer in rows.
        f1: Standard-F1 over rows at the fixed threshold.
        precision: Share of flagged rows that are anomalous; None where no row is flagged.
        recall: Share of anomalous rows that are flagged.
        f1_oracle: Standard-F1 at the best of all thresholds.
        oracle_threshold: The highest threshold that reaches `f1_oracle`.
        event_f1: Harmonic mean of the next two. Overlap of one row is enough on both sides, so
            read it beside the false-alarm rate: flagging everything is one big, correct event.
        event_precision: Share of predicted events (maximal runs of flagged rows) that overlap a
            label event; None where there is no predicted event.
        event_recall: Share of label events with at least one flagged row.
        affiliation_f1: Affiliation-F1 at the fixed threshold, see
            :mod:`aster_cli.evaluation.affiliation`.
        affiliation_f1_oracle: The best Affiliation-F1 over 100 thresholds that flag from one row
            to all rows, in geometric steps.
        false_alarm_rate: Share of normal rows flagged at the fixed threshold.
        pa_f1_inflated: Point-adjusted F1 at the fixed threshold. Not comparable with any other.
    """

    n_rows: int
    n_unscored: int
    n_anomalous: int
    n_events: int
    n_machines: int
    auc_roc: float | None = None
    auc_pr: float | None = None
    vus_roc: float | None = None
    vus_pr: float | None = None
    vus_buffer: int | None = None
    f1: float | None = None
    precision: float | None = None
    recall: float | None = None
    f1_oracle: float | None = None
    oracle_threshold: float | None = None
    event_f1: float | None = None
    event_precision: float | None = None
    event_recall: float | None = None
    affiliation_f1: float | None = None
    affiliation_f1_oracle: float | None = None
    false_alarm_rate: float | None = None
    pa_f1_inflated: float | None = None

    def to_dict(self) -> dict[str, float | int | None]:
        """Return the metrics under their usual names, the counts last; PA-F1 only if computed."""
        named: dict[str, float | int | None] = {
            "AUC-ROC": self.auc_roc,
            "AUC-PR": self.auc_pr,
            "VUS-ROC": self.vus_roc,
            "VUS-PR": self.vus_pr,
            "Standard-F1 (fixed)": self.f1,
            "Standard-F1 (oracle)": self.f1_oracle,
            "Event-F1": self.event_f1,
            "Affiliation-F1": self.affiliation_f1,
            "Affiliation-F1 (oracle)": self.affiliation_f1_oracle,
            "Precision": self.precision,
            "Recall": self.recall,
            "Event-Precision": self.event_precision,
            "Event-Recall": self.event_recall,
            "False-Alarm-Rate": self.false_alarm_rate,
        }
        if self.pa_f1_inflated is not None:
            named["PA-F1 (inflated)"] = self.pa_f1_inflated
        counts: dict[str, float | int | None] = {
            "oracle_threshold": self.oracle_threshold,
            "vus_buffer": self.vus_buffer,
            "n_rows": self.n_rows,
            "n_unscored": self.n_unscored,
            "n_anomalous": self.n_anomalous,
            "n_events": self.n_events,
            "n_machines": self.n_machines,
        }
        return named | counts


def evaluate(
    labels: NDArray[np.generic],
    scores: FloatArray,
    *,
    threshold: float | FloatArray | None = None,
    groups: NDArray[np.integer] | None = None,
    vus_buffer: int | None = None,
    vus_thresholds: int = 250,
    vus_definition: Definition = "current",
    point_adjusted: bool = False,
) -> Metrics:
    """Compare row scores with row labels.

    Args:
        labels: ``(row,)`` 0 or 1, of any numeric or boolean dtype.
        scores: ``(row,)`` higher is worse, NaN where a row has none.
        threshold: Chosen before the labels were seen: one for all rows or ``(row,)``, as machines
            may have their own. Without it, the metrics at the fixed threshold are None.
        groups: ``(row,)`` machine of each row, in any order; one machine by default. Rows of one
            machine are in time order.
        vus_buffer: Longest VUS buffer in rows; the median length of the label events by default.
        vus_thresholds: Thresholds on the VUS curves.
        vus_definition: Which published form of VUS to follow.
        point_adjusted: Compute the inflated point-adjusted F1 too.

    Raises:
        DataError: A label is neither 0 nor 1, or a score is infinite.
        ValueError: The arrays differ in length, or an option is out of its range.
    """
    _check_arguments(labels, scores, threshold, groups, vus_buffer, vus_thresholds)
    truth = _checked_labels(labels)
    if np.isinf(scores).any():
        row = int(np.flatnonzero(np.isinf(scores))[0])
        raise DataError("a score is infinite", where=f"row {row}", hint="leave such a cell empty")

    is_scored = ~np.isnan(scores)
    order = np.flatnonzero(is_scored)
    machines = np.zeros(len(order), dtype=np.int64)
    if groups is not None:
        # A stable sort brings each machine's rows together and keeps their order in time.
        order = order[np.argsort(groups[order], kind="stable")]
        machines = groups[order].astype(np.int64)
    truth, values = truth[order], np.asarray(scores[order], dtype=np.float64)
    bounds = machine_bounds(machines)
    events = find_runs(truth, bounds)
    n_anomalous = int(truth.sum())
    has_both_classes = 0 < n_anomalous < len(truth)

    found: dict[str, float | int | None] = {}
    if has_both_classes:
        found |= _without_threshold(truth, values)
        buffer = int(np.median(events.lengths)) if vus_buffer is None else vus_buffer
        found["vus_buffer"] = buffer
        found["vus_roc"], found["vus_pr"] = volume_under_surface(
            truth,
            values,
            bounds,
            max_buffer=buffer,
            n_thresholds=vus_thresholds,
            definition=vus_definition,
        )
        found["affiliation_f1_oracle"] = _best_affiliation(values, events, bounds)
    if threshold is not None:
        cut = np.broadcast_to(np.asarray(threshold, dtype=np.float64), scores.shape)[order]
        found |= _at_threshold(truth, values > cut, events, bounds, point_adjusted)
    return Metrics(
        n_rows=len(truth),
        n_unscored=int(len(scores) - len(truth)),
        n_anomalous=n_anomalous,
        n_events=len(events),
        n_machines=len(bounds) - 1,
        **found,  # type: ignore[arg-type]
    )


def _check_arguments(
    labels: NDArray[np.generic],
    scores: FloatArray,
    threshold: float | FloatArray | None,
    groups: NDArray[np.integer] | None,
    vus_buffer: int | None,
    vus_thresholds: int,
) -> None:
    if scores.ndim != 1:
        raise ValueError(f"scores have {scores.ndim} dimensions, not 1")
    per_row = {"labels": labels, "groups": groups}
    if isinstance(threshold, np.ndarray) and threshold.ndim:
        per_row["threshold"] = threshold
    for name, array in per_row.items():
        if array is not None and array.shape != scores.shape:
            raise ValueError(f"{name} have shape {array.shape}, scores {scores.shape}")
    if groups is not None and not np.issubdtype(groups.dtype, np.integer):
        raise ValueError(f"groups are {groups.dtype}, not integers")
    if threshold is not None and np.isnan(threshold).any():
        raise ValueError("threshold is NaN")
    if vus_buffer is not None and vus_buffer < 0:
        raise ValueError(f"vus_buffer is {vus_buffer}, below 0")
    if vus_thresholds < 2:
        raise ValueError(f"vus_thresholds is {vus_thresholds}, below 2")


def _checked_labels(labels: NDArray[np.generic]) -> BoolArray:
    is_valid = (labels == 0) | (labels == 1)
    if not is_valid.all():
        row = int(np.flatnonzero(~is_valid)[0])
        raise DataError(
            f"label {labels[row]} is neither 0 nor 1",
            where=f"label of row {row}",
            hint="write 1 for an anomalous row and 0 for a normal one",
        )
    return np.asarray(labels == 1)


def _without_threshold(truth: BoolArray, values: FloatArray) -> dict[str, float | int | None]:
    from sklearn.metrics import average_precision_score, roc_auc_score

    ranked = np.sort(values)[::-1]
    hits = np.cumsum(truth[np.argsort(-values, kind="stable")])
    # Rows with equal scores are flagged together: only the last of each tie is a real choice.
    is_choice = np.append(ranked[:-1] != ranked[1:], True)
    n_flagged = np.flatnonzero(is_choice) + 1
    f1 = 2 * hits[is_choice] / (n_flagged + truth.sum())
    best = int(np.argmax(f1))
    return {
        "auc_roc": float(roc_auc_score(truth, values)),
        "auc_pr": float(average_precision_score(truth, values)),
        "f1_oracle": float(f1[best]),
        # Just below the lowest flagged score, since a row is flagged where score > threshold.
        "oracle_threshold": float(np.nextafter(ranked[is_choice][best], -np.inf)),
    }


def _at_threshold(
    truth: BoolArray, flags: BoolArray, events: Runs, bounds: IntArray, point_adjusted: bool
) -> dict[str, float | int | None]:
    found: dict[str, float | int | None] = {}
    n_anomalous, n_flagged = int(truth.sum()), int(flags.sum())
    if n_anomalous < len(truth):
        found["false_alarm_rate"] = float(flags[~truth].mean())
    if len(events):
        found["recall"] = float(flags[truth].mean())
        found["event_recall"] = float(events.touching(flags).mean())
    if not 0 < n_anomalous < len(truth):
        return found
    predicted = find_runs(flags, bounds)
    found["f1"] = _row_f1(truth, flags)
    if n_flagged:
        found["precision"] = float(truth[flags].mean())
        found["event_precision"] = float(predicted.touching(truth).mean())
    found["event_f1"] = _harmonic_mean(found.get("event_precision"), found["event_recall"])
    found["affiliation_f1"] = affiliation(events, predicted, bounds).f1
    if point_adjusted:
        is_found = np.repeat(events.touching(flags), events.lengths)
        adjusted = flags.copy()
        adjusted[truth] |= is_found
        found["pa_f1_inflated"] = _row_f1(truth, adjusted)
    return found


def _row_f1(truth: BoolArray, flags: BoolArray) -> float:
    return float(2 * (truth & flags).sum() / (truth.sum() + flags.sum()))


def _harmonic_mean(precision: float | None, recall: float | None) -> float:
    # Nothing flagged, nothing found: precision has no value then, but F1 is 0 by its counts.
    if not precision or not recall:
        return 0.0
    return 2 * precision * recall / (precision + recall)


def _best_affiliation(values: FloatArray, events: Runs, bounds: IntArray) -> float:
    ranks = np.geomspace(1, len(values), _ORACLE_THRESHOLDS).astype(np.int64) - 1
    return max(
        affiliation(events, find_runs(values >= cut, bounds), bounds).f1
        for cut in np.unique(np.sort(values)[::-1][ranks])
    )
