"""What was expected, in bins: nothing that lies outside its band may vanish in them."""

from collections.abc import Callable

import numpy as np
import polars as pl
import pytest

from aster_cli.config import TimeConfig
from aster_cli.errors import DataError
from aster_cli.logs import Log, open_explained
from aster_cli.report.bins import bin_rows
from aster_cli.report.expected import ExpectedBins
from tests.report.conftest import collected, made_explanation, made_log, made_scores

Opened = Callable[[pl.DataFrame], Log]
SPIKES = (slice(700, 702), slice(1500, 1501))


@pytest.mark.parametrize("most", [20, 10_000])
def test_no_value_outside_its_band_vanishes(most: int, explained: Opened) -> None:
    """The band of a bin holds the bands of all its rows; a row may be outside its own and inside it."""
    scores = made_scores(2000, spikes=SPIKES)
    why = made_explanation(made_log(scores, "flow", "level"))
    level = 50.0 * pl.int_range(pl.len()) * (pl.col("sensor") == "level")
    why = why.with_columns(pl.col("actual", "expected", "low", "high") + level)
    rows = collected(scores)
    bins = bin_rows(rows, most)
    with explained(why) as log:
        found = ExpectedBins(rows, bins, ["level", "flow"], log)
    for place, sensor in enumerate(("level", "flow")):
        own = why.filter(sensor=sensor)
        actual, expected, low, high = own.select("actual", "expected", "low", "high").to_numpy().T
        beyond = np.maximum(np.maximum(actual - high, low - actual), 0.0) / 8.0
        assert beyond.max() > 0.01
        told = (*found.expected(place), *found.band(place), found.outside(place))
        made = (
            *(
                np.minimum.reduceat(expected, bins.starts),
                np.maximum.reduceat(expected, bins.starts),
            ),
            *(np.minimum.reduceat(low, bins.starts), np.maximum.reduceat(high, bins.starts)),
            np.maximum.reduceat(np.minimum(beyond, 1.0), bins.starts),
        )
        for one, other in zip(told, made, strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-5)
        assert ((found.outside(place) > 0) == (made[-1] > 0)).all()


def test_machines_have_what_was_expected_of_them(explained: Opened) -> None:
    a, b = made_scores(300, unit="a"), made_scores(200, unit="b")
    log = pl.concat((made_log(a, "flow"), made_log(b, "flow")))
    why = made_explanation(log).with_columns(
        expected=pl.when(unit="a").then(1.0).otherwise(2.0),
    )
    rows = collected(pl.concat((a, b)))
    bins = bin_rows(rows, 50)
    with explained(why.sort("timestamp", maintain_order=True)) as opened:
        low, high = ExpectedBins(rows, bins, ["flow"], opened).expected(0)
    for unit, value in (("a", 1.0), ("b", 2.0)):
        lane = rows.machines[(unit,)]
        own = slice(int(bins.bounds[lane]), int(bins.bounds[lane + 1]))
        assert (low[own] == value).all()
        assert (high[own] == value).all()


def test_what_was_expected_of_other_rows_is_refused(explained: Opened) -> None:
    scores = made_scores(50)
    rows = collected(scores)
    later = made_log(scores, "flow").with_columns(pl.col("timestamp") + pl.duration(days=9))
    with explained(made_explanation(later)) as log, pytest.raises(DataError, match="none of its"):
        ExpectedBins(rows, bin_rows(rows, 10), ["flow"], log)


def test_other_files_are_no_explanation(opened: Opened) -> None:
    opened(made_explanation(made_log(made_scores(50), "flow")).drop("low"))
    with opened(made_log(made_scores(50), "flow")) as log, pytest.raises(DataError):
        open_explained(str(log.sources[0].path), (), TimeConfig())
    with opened(made_explanation(made_log(made_scores(9), "flow")).drop("low")) as log:
        path = str(log.sources[0].path)
        with pytest.raises(DataError, match="'low'"):
            open_explained(path, (), TimeConfig())
