"""What scores mean: learnt from normal rows at training time, and frozen then.

The network gives every row several readings in units of their own. Calibration puts them on one
scale, sets the threshold, and turns scores into a severity from 0 to 100. Nothing here ever sees a
label or a row that is being scored.
"""

import math
from collections.abc import Mapping

import msgspec
import numpy as np

from aster_cli.results import FloatArray, MachineId

ENOUGH_ROWS = 1000
"""Effective normal rows from which the empirical quantile stands without a margin."""

CLASSIFIER_WEIGHT = 0.1
"""Of the classifier in the joint score, beside the window score's 1."""

SMALLEST_SPREAD = 0.05
"""Of evidence, all of it logarithms: a few alike rows are no reason to call every other one far out."""

TAIL = 0.1
"""The share of normal scores that a tail model describes."""

CONFIDENCE = 1.645
"""Standard normal quantile of a one-sided 95 % bound."""


class ReadingScale(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where a reading lies on normal rows: its median, and from there to its 99th percentile."""

    centre: float
    spread: float

    @classmethod
    def fit(cls, held_out: FloatArray) -> "ReadingScale":
        """Fit on normal rows that the network can be asked about honestly."""
        centre, high = np.quantile(held_out, (0.5, 0.99)).tolist()
        return cls(centre, max(high - centre, SMALLEST_SPREAD))

    def apply(self, reading: FloatArray) -> FloatArray:
        """In spreads above the centre."""
        return (reading - self.centre) / self.spread


class ScoreTable:
    """Held-out scores of one machine (or of all), and what follows from them.

    Args:
        held_out: Scores of normal rows, held out or read against other stretches of time, in any
            order.
        window_size: Rows that one window joins; scores nearer than that are not independent.
        alert_budget: The share of normal rows that may lie above the threshold.
    """

    def __init__(self, held_out: FloatArray, window_size: int, alert_budget: float) -> None:
        self.held_out = np.sort(held_out)
        self.effective_rows = max(1, len(held_out) // window_size)
        self.tail_start = float(np.quantile(self.held_out, 1.0 - TAIL))
        excesses = self.held_out[self.held_out > self.tail_start] - self.tail_start
        # an all but constant score has no tail of its own
        smallest = 1e-6 * max(1.0, abs(self.tail_start))
        self.tail_scale = max(float(excesses.mean()) if len(excesses) else 0.0, smallest)
        self.threshold = self.quantile(alert_budget)

    def quantile(self, budget: float) -> float:
        """The quantile that leaves `budget` above it, with a margin where rows are few.

        The margin: beyond the 90th percentile scores are taken as exponential (peaks over
        threshold with shape 0; Coles, 2001, section 4.2), whose mean excess is replaced by its
        one-sided 95 % upper bound for as many exceedances as are effectively independent.
        """
        empirical = float(np.quantile(self.held_out, 1.0 - budget))
        if self.effective_rows >= ENOUGH_ROWS:
            return empirical
        exceedances = max(1.0, TAIL * self.effective_rows)
        upper = self.tail_scale * (1.0 + CONFIDENCE / math.sqrt(exceedances))
        return max(empirical, self.tail_start + upper * math.log(TAIL / min(budget, TAIL)))

    def severity(self, scores: FloatArray) -> FloatArray:
        """0 to 90 by percentile of these rows; strictly rising from 90 to 100 above the highest.

        Above it, severity is ``90 + 10 x / (1 + x)`` of the excess in tail scales: a hyperbola
        still tells huge scores apart where an exponential has rounded to 100.
        """
        n = len(self.held_out)
        ranks = np.linspace(0.0, 1.0, n) if n > 1 else np.ones(1)
        # interpolation may round beyond the next rank, which the next score would then contradict
        following = np.searchsorted(self.held_out, scores, side="right").clip(max=n - 1)
        percentile = np.minimum(np.interp(scores, self.held_out, ranks), ranks[following])
        excess = np.maximum(scores - self.held_out[-1], 0.0) / self.tail_scale
        severity: FloatArray = 90.0 * percentile + 10.0 * excess / (1.0 + excess)
        return severity


class Calibration:
    """Readings to scores, and score tables by machine with a pooled one for all others."""

    def __init__(
        self,
        readings: Mapping[str, ReadingScale],
        pooled: ScoreTable,
        machines: Mapping[MachineId, ScoreTable] | None = None,
    ) -> None:
        self.readings = dict(readings)
        self.pooled = pooled
        self.machines = dict(machines or {})

    def table(self, machine: MachineId) -> ScoreTable:
        """The machine's own table, or the pooled one."""
        return self.machines.get(machine, self.pooled)


def evidence(readings: Mapping[str, FloatArray]) -> dict[str, FloatArray]:
    """What speaks for an anomaly, from the means over the windows that cover a row.

    The window's reading is a familiarity, the inverse of squared novelty where it is, and its evidence is minus
    half its logarithm. So the mean over windows is one that a single familiar window holds down,
    which keeps the edges of an anomaly where they are.
    """
    return {**readings, "window": -0.5 * np.log(readings["window"])}


def join_readings(
    readings: Mapping[str, FloatArray], scales: Mapping[str, ReadingScale]
) -> FloatArray:
    """The score of every row, ``u_window + 0.1 log(1 + max(u_classifier, 0))``.

    Each ``u`` is evidence in spreads above its centre; the window's is a logarithm already. So
    neither's huge excess silences the other, and both keep their rank. The window score ranks all
    rows; the classifier adds where it sees more than it does on normal rows. That it finds a row
    *more* normal than usual is no evidence: on drifting logs it says so of rows that lie far from
    everything seen.
    """
    spreads = {name: scales[name].apply(values) for name, values in evidence(readings).items()}
    excess = np.maximum(spreads["classifier"], 0.0)
    return spreads["window"] + CLASSIFIER_WEIGHT * np.log1p(excess)
