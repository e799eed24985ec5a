"""Bins keep what stands out, however few they are."""

import math
from collections.abc import Callable

import numpy as np
import polars as pl
import pytest

from aster_cli.errors import DataError, LogFormatError
from aster_cli.logs import Log
from aster_cli.report.bins import bin_rows, binned_log
from tests.report.conftest import START, collected, made_log, made_scores

SPIKES = (slice(1000, 1001), slice(5003, 5007), slice(19_990, 20_000))


@pytest.mark.parametrize("most", [40, 500, 100_000])
def test_no_anomaly_vanishes(most: int) -> None:
    """A single anomalous row among twenty thousand must show, whatever a page can hold."""
    rows = collected(made_scores(20_000, spikes=SPIKES))
    bins = bin_rows(rows, most)
    assert bins.anomalies.sum() == rows.anomalous.sum() == 15
    assert bins.rows.sum() == len(rows)
    for spike, score in zip(SPIKES, (2.0, 3.0, 4.0), strict=True):
        bin_ = np.searchsorted(bins.starts, spike.start, side="right") - 1
        assert bins.anomalies[bin_] > 0
        assert bins.high[bin_] == score
    assert bins.low.min() == rows.score.min()


@pytest.mark.parametrize(
    ("column", "value", "told"),
    [
        ("score", math.inf, "score of inf"),
        ("score", 1e39, "score of 1e"),
        ("status", "fine", "'fine'"),
    ],
)
def test_scores_that_cannot_be_drawn_are_refused(column: str, value: object, told: str) -> None:
    """A scores file can have been through other hands; a page half drawn says nothing of it."""
    odd = pl.when(pl.int_range(pl.len()) == 7).then(pl.lit(value)).otherwise(pl.col(column))
    with pytest.raises(LogFormatError, match=told):
        collected(made_scores(100).with_columns(odd.alias(column)))


def test_a_severity_that_is_no_number_is_none() -> None:
    """It neither warns nor makes its machine the worst."""
    odd = pl.when(pl.int_range(pl.len()) == 7).then(math.nan).otherwise("severity")
    rows = collected(made_scores(100).with_columns(severity=odd))
    assert np.isnan(rows.severity).sum() == 1
    assert len(rows.lanes) == 1


def test_an_event_of_a_nanosecond_clock_has_its_last_row() -> None:
    """Its end is told in microseconds, and so lies before the row that it is the time of."""
    scores = made_scores(100, spikes=(slice(40, 44),))
    fine = pl.col("timestamp").cast(pl.Datetime("ns")) + pl.duration(nanoseconds=789)
    for table in (scores, scores.with_columns(fine)):
        rows = collected(table)
        assert rows.span_of(rows.events[0]) == (0, 40, 44)


def test_bins_are_no_more_than_the_page_can_hold() -> None:
    rows = collected(made_scores(20_000, spikes=SPIKES))
    assert len(bin_rows(rows, 600)) <= 600
    assert len(bin_rows(rows, 20_000)) == 20_000


def test_the_worst_event_is_shown_row_by_row() -> None:
    """Whoever jumps to an event wants to see rows, not averages of hours."""
    rows = collected(made_scores(20_000, spikes=SPIKES))
    bins = bin_rows(rows, 1000)
    worst = bins.starts >= SPIKES[2].start - 100
    assert (bins.rows[worst] == 1).all()
    assert bins.rows.max() > 10


def test_no_bin_holds_rows_of_two_machines_or_of_both_sides_of_a_gap() -> None:
    """A line over a gap, or from one machine to the next, would be made up."""
    a, b = made_scores(3000, unit="a"), made_scores(2000, unit="b")
    late = pl.col("timestamp") + pl.duration(days=1)
    a = a.with_columns(
        pl.when(pl.int_range(pl.len()) >= 1234).then(late).otherwise("timestamp").alias("timestamp")
    )
    rows = collected(pl.concat((a, b)).sort("timestamp", maintain_order=True))
    bins = bin_rows(rows, 30)
    lane = np.searchsorted(rows.bounds, bins.starts, side="right") - 1
    ends = bins.starts + bins.rows
    assert (ends <= rows.bounds[lane + 1]).all()
    first = rows.bounds[rows.lanes.index("a")] + 1234
    assert bins.apart[bins.starts == first].all()
    assert first in bins.starts
    assert bins.apart.sum() == 1


def test_curves_keep_the_lowest_and_the_highest_value(
    opened: Callable[[pl.DataFrame], Log],
) -> None:
    """Of the log's rows, found by machine and time, in whatever batches they come."""
    scores = made_scores(5000, spikes=(slice(700, 702),))
    frame = made_log(scores, "flow", "level")
    rows = collected(scores)
    bins = bin_rows(rows, 100)
    with opened(frame) as log:
        log.batch_rows = 333
        curves = binned_log(rows, bins, log, ["level"])
    values = frame["level"].to_numpy().astype(np.float32)
    assert curves.matched == 5000
    assert (curves.low[:, 0] == np.minimum.reduceat(values, bins.starts)).all()
    assert (curves.high[:, 0] == np.maximum.reduceat(values, bins.starts)).all()


def test_rows_of_other_times_are_no_rows_of_the_scores(
    opened: Callable[[pl.DataFrame], Log],
) -> None:
    scores = made_scores(100)
    later = made_log(scores, "flow").with_columns(pl.col("timestamp") + pl.duration(days=9))
    rows = collected(scores)
    with opened(later) as log, pytest.raises(DataError, match="none of its rows"):
        binned_log(rows, bin_rows(rows, 10), log, ["flow"])


def test_many_machines_share_the_last_lane() -> None:
    """A fleet's page stays small, and the machines that have no lane still show their anomalies."""
    tables = [
        made_scores(10, unit=f"m{number}", spikes=(slice(3, 5),) if number % 50 == 7 else ())
        for number in range(260)
    ]
    rows = collected(*tables)
    assert len(rows.machines) == 260
    assert len(rows.lanes) == 201
    assert rows.lanes[-1] == "60 others"
    assert rows.lanes[0] == "m7"
    assert bin_rows(rows, 50).anomalies.sum() == 12


@pytest.mark.parametrize(
    ("times", "told"),
    [
        (pl.Series([START]), "2024-03-01 00:00"),
        (pl.Series([START]).dt.replace_time_zone("Europe/Berlin"), "2024-03-01 00:00+01:00"),
        (pl.Series([1_709_251_200]), "2024-03-01 00:00 UTC"),
        (pl.Series([START.date()]), "2024-03-01"),
        (pl.Series([17]), "17"),
    ],
)
def test_times_are_told_on_the_logs_own_clock(times: pl.Series, told: str) -> None:
    scores = made_scores(1).with_columns(times.alias("timestamp"))
    clock = collected(scores).clock
    assert clock.text(times[0]) == told
    assert clock.text_at(0.0) == told
