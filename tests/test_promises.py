"""What the threshold methods promise, kept on real normal rows that took no part in them.

The window score alone, without the network, is fitted on the first third of a normal log. The rest is
cut into stretches of seven windows, a window apart, which calibrate and are judged in turn: so
both see the same drift, against which no method can promise anything. Neighbouring scores share
windows, so rates are as uncertain as if only one row of a window counted.
"""

import math
import os
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from aster_cli.calibration import ScoreTable
from aster_cli.config import ColumnConfig, TimeConfig
from aster_cli.logs import open_log
from aster_cli.model.neighbours import NormalWindows
from aster_cli.preparation import collect, segments_of
from aster_cli.scaling import SensorScaling
from aster_cli.thresholds import (
    benjamini_hochberg,
    budget_threshold,
    p_values,
    pot_threshold,
)
from aster_cli.windows import TrainingWindows, sliding

DATA = Path(os.environ.get("ASTER_TEST_DATA", Path(__file__).parents[2] / "shared" / "data"))
LOGS = ("SKAB/_anomaly-free", "BATADAL/dataset04", "ASD/omi-*", "SMD/machine-1-*")
ROWS = 20_000  # of a log at most, for time's sake
WINDOW, STRIDE = 32, 8
STRETCH = 7  # windows
BUDGET, FDR = 0.05, 0.1


@dataclass(frozen=True)
class Judged:
    """Scores of a normal log: a table of some stretches, and the others."""

    name: str
    table: ScoreTable
    stretches: list[Any]

    @property
    def rows(self) -> Any:
        return np.concatenate(self.stretches)

    @property
    def effective_rows(self) -> int:
        return len(self.rows) // WINDOW


def window_scores(log: Path) -> Any:
    """The window's evidence for an anomaly, a value a row behind the first third of a log."""
    with open_log([str(log)], ColumnConfig(), TimeConfig()) as opened:
        (series,), _ = collect(opened.batches())
    step = float(np.median(np.diff(series.time[:ROWS])))
    segments = segments_of(series.rows(0, ROWS), 60 * step, "previous")
    values = max(segments, key=lambda segment: len(segment.numbers)).values
    fitted = len(values) // 3
    scaling = SensorScaling.fit([((), values[:fitted])])
    scaled = scaling.scale(values, ()).astype(np.float32)
    normal = NormalWindows.fit(TrainingWindows([scaled[:fitted]], WINDOW))
    windows = sliding(scaled[fitted + WINDOW :], WINDOW)[::STRIDE]
    known = np.concatenate(
        [
            normal.novelty(torch.from_numpy(windows[i : i + 256].copy()))
            .square()
            .reciprocal()
            .numpy()
            for i in range(0, len(windows), 256)
        ]
    )
    covering = WINDOW // STRIDE  # a row's reading is the mean over the windows that cover it
    meets = np.convolve(known, np.full(covering, 1 / covering), "valid")
    return np.repeat(-0.5 * np.log(meets), STRIDE)


@cache
def judged_logs() -> list[Judged]:
    folders = sorted(folder for pattern in LOGS for folder in DATA.glob(pattern))
    if not folders:
        pytest.skip(f"real logs are not at hand: {DATA} has none of {', '.join(LOGS)}")
    judged = []
    for folder in folders:
        scores = window_scores(folder / "train.parquet")
        length = (STRETCH + 1) * WINDOW
        cut = [
            scores[start : start + STRETCH * WINDOW]
            for start in range(0, len(scores) - length + 1, length)
        ]
        table = ScoreTable(np.concatenate(cut[::2]), WINDOW, BUDGET)
        judged.append(Judged(folder.name, table, cut[1::2]))
    return judged


def error_of(rate: float, *counts: float) -> float:
    """The standard error of a rate, or of the difference of two."""
    return math.sqrt(rate * (1.0 - rate) * sum(1.0 / n for n in counts))


@pytest.mark.parametrize("method", [ScoreTable.quantile, pot_threshold])
def test_at_most_the_budget_of_normal_rows_lies_above(method: Any) -> None:
    """The promise of quantile and pot: on each log within three standard errors of its few windows,
    and over all logs, where luck evens out, within one."""
    rates, weights = [], []
    for log in judged_logs():
        rate = (log.rows > method(log.table, BUDGET)).mean()
        assert rate <= BUDGET + 3 * error_of(BUDGET, log.effective_rows), log.name
        rates.append(rate)
        weights.append(log.effective_rows)
    assert 0.0 < np.average(rates, weights=weights) <= BUDGET + error_of(BUDGET, sum(weights))


def test_about_the_budget_of_normal_rows_lies_above_a_budget() -> None:
    """It is no upper bound: over all logs neither more nor less, within three standard errors of
    both the rows that set it and those that are judged."""
    logs = judged_logs()
    effective = [log.effective_rows for log in logs]
    rates = [(log.rows > budget_threshold(log.table, BUDGET)).mean() for log in logs]
    calibrated = sum(log.table.effective_rows for log in logs)
    error = error_of(BUDGET, sum(effective), calibrated)
    assert abs(np.average(rates, weights=effective) - BUDGET) <= 3 * error


def test_conformal_p_values_are_no_smaller_than_chance() -> None:
    """One normal row of twenty has a p-value up to .05: the ground that the rest stands on."""
    logs = judged_logs()
    effective = [log.effective_rows for log in logs]
    calibrated = sum(log.table.effective_rows for log in logs)
    rates = [(p_values(log.table, log.rows) <= 0.05).mean() for log in logs]
    error = error_of(0.05, sum(effective), calibrated)
    assert np.average(rates, weights=effective) <= 0.05 + 3 * error


def test_few_normal_files_have_a_conformal_alarm() -> None:
    """Each judged stretch as a file of its own: all its alarms are false, so at most FDR of the
    files may have any; plus three standard errors, with a log's stretches as so many draws."""
    alarms = [
        benjamini_hochberg(p_values(log.table, stretch), FDR) > 0.0
        for log in judged_logs()
        for stretch in log.stretches
    ]
    assert np.mean(alarms) <= FDR + 3 * error_of(FDR, len(alarms))
