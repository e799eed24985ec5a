"""Where an alarm starts: the ways to set a threshold from a machine's held-out scores.

Each is a pure function of a `ScoreTable` and of what is wanted, and each keeps a promise of its own:
``docs/alert-rules.md`` says which. Scores that share a window are not independent, so all of them
count a table as no more than its `effective_rows`. The quantile is the table's own.
"""

import math

import numpy as np
from numpy.typing import NDArray

from aster_cli.calibration import CONFIDENCE, ScoreTable
from aster_cli.config import AlertRule
from aster_cli.results import FloatArray

LARGEST_SHAPE = 0.9
"""Of a tail; from 1 on its mean is infinite, and so is that of its threshold's estimate."""


def frozen_threshold(table: ScoreTable, rule: AlertRule) -> float:
    """The threshold of a machine by any method but `conformal`: it does not depend on a file."""
    match rule.method:
        case "fixed" if rule.threshold is not None:
            return rule.threshold
        case "quantile":
            return table.quantile(rule.alert_budget)
        case "pot":
            return pot_threshold(table, rule.alert_budget)
        case "budget":
            return budget_threshold(table, rule.alert_budget)
    raise ValueError(f"no threshold is frozen by {rule.method}")


def budget_threshold(table: ScoreTable, share: float) -> float:
    """The score that `share` of the held-out rows lie above, without a margin."""
    return float(np.quantile(table.held_out, 1.0 - share))


def pot_threshold(table: ScoreTable, budget: float) -> float:
    """Peaks over threshold: a score that at most `budget` of normal rows lie above, with 95 %.

    Beyond the 90th percentile scores follow a generalised Pareto law (Coles, 2001, section 4.3),
    fitted by probability-weighted moments (Hosking and Wallis, 1987). No tail is taken for lighter
    than an exponential one: few rows make it look bounded too easily. The margin is the delta
    method's (Coles, section 4.3.3) on the logarithm, with exceedances counted as far as they are
    independent.
    """
    empirical = budget_threshold(table, budget)
    excesses = table.held_out[table.held_out > table.tail_start] - table.tail_start
    m = len(excesses)
    above = m / len(table.held_out)
    if not m or budget >= above:
        return empirical
    shape, scale = _fit_tail(excesses)
    scale = max(scale, table.tail_scale * (1.0 - shape))
    far = math.log(above / budget)
    level = scale * _growth(shape, far)
    by_scale = level / scale
    by_shape = scale * _growth_slope(shape, far)
    variance = (
        (1.0 + shape) ** 2 * by_shape**2
        + 2.0 * scale**2 * (1.0 + shape) * by_scale**2
        - 2.0 * scale * (1.0 + shape) * by_shape * by_scale
    ) / max(1.0, above * table.effective_rows)
    margin = math.exp(min(CONFIDENCE * math.sqrt(variance) / level, 50.0))
    return max(empirical, table.tail_start + level * margin)


def p_values(table: ScoreTable, scores: FloatArray) -> FloatArray:
    """Conformal p-values ``(1 + rows at least as high) / (rows + 1)``, in effective rows.

    Args:
        table: The machine's.
        scores: ``(row,)`` none of them NaN.
    """
    n = len(table.held_out)
    return _p_of(table, n - np.searchsorted(table.held_out, scores, side="left"))


def benjamini_hochberg(p: FloatArray, q: float) -> float:
    """The highest p-value that is still a discovery at a false discovery rate of `q`; 0: none is.

    Benjamini and Hochberg (1995); conformal p-values, which share their held-out rows, keep the
    rate too (Bates et al., 2023).
    """
    ranked = np.sort(p)
    passing = np.flatnonzero(ranked <= q * np.arange(1, len(p) + 1) / max(len(p), 1))
    return float(ranked[passing[-1]]) if len(passing) else 0.0


def conformal_threshold(table: ScoreTable, highest_p: float, highest_score: float) -> float:
    """The score above which p-values are at most `highest_p`.

    Where no held-out rows can make one that small, nothing lies above it: neither a held-out score
    nor `highest_score`, the highest that is judged.
    """
    n = len(table.held_out)
    passing = int(np.searchsorted(_p_of(table, np.arange(n)), highest_p, side="right"))
    if not passing:
        return max(float(table.held_out[-1]), highest_score)
    return float(table.held_out[n - passing])


def _p_of(table: ScoreTable, rows_above: NDArray[np.int64]) -> FloatArray:
    """The p-value of a score that so many held-out rows reach."""
    share = rows_above / len(table.held_out)
    p: FloatArray = (1.0 + table.effective_rows * share) / (1.0 + table.effective_rows)
    return p


def _fit_tail(excesses: FloatArray) -> tuple[float, float]:
    """Shape and scale of a generalised Pareto law; the excesses rise."""
    m = len(excesses)
    weights = 1.0 - (np.arange(1, m + 1) - 0.35) / m
    mean, weighted = float(excesses.mean()), float((weights * excesses).mean())
    # the difference is above 0: the weights fall while the excesses rise
    shape = min(max(2.0 - mean / (mean - 2.0 * weighted), 0.0), LARGEST_SHAPE)
    return shape, mean * (1.0 - shape)


def _growth(shape: float, far: float) -> float:
    """A level in scales; `far` is the logarithm of how many times rarer it is than the start."""
    return math.expm1(shape * far) / shape if shape > 0.0 else far


def _growth_slope(shape: float, far: float) -> float:
    """The derivative of `_growth` by the shape."""
    if shape * far < 1e-3:
        return far**2 / 2.0 + shape * far**3 / 3.0
    return (far * math.exp(shape * far) - _growth(shape, far)) / shape
