"""Expected beside actual: a row for every scored row and sensor, in the sensor's own units."""

from collections.abc import Iterator
from datetime import timedelta
from itertools import pairwise
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal

from aster_cli import Detector
from aster_cli.errors import DataError
from aster_cli.logs import EXPLAINED, SENSOR, open_frame, open_log
from aster_cli.results import Snapshot
from tests.tiny_detector import (
    SENSORS,
    interleaved,
    tiny_config,
    tiny_fleet_model,
    tiny_model,
    wave,
)


@pytest.fixture(scope="module")
def detector(tmp_path_factory: pytest.TempPathFactory) -> Detector:
    return Detector.load(tiny_model(tmp_path_factory.getbasetemp()))


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Detector:
    return Detector.load(tiny_fleet_model(tmp_path_factory.getbasetemp()))


def test_every_scored_row_has_every_sensor(detector: Detector) -> None:
    """In the log's order and with its values; a row without a score has nothing to be expected of."""
    log = wave(160, seed=4, spike=True).with_columns(
        s1=pl.when(pl.int_range(160).is_between(50, 60)).then(None).otherwise("s1")
    )
    scores, explained = detector.score(log), detector.explain(log)
    assert explained.columns == ["timestamp", SENSOR, *EXPLAINED]
    scored = scores.filter(pl.col("score").is_not_null())["timestamp"]
    assert 0 < len(scored) < len(log)
    long = log.unpivot(index="time", variable_name=SENSOR, value_name="actual")
    expected = scored.to_frame().join(
        pl.DataFrame({SENSOR: SENSORS}), how="cross", maintain_order="left_right"
    )
    assert_frame_equal(explained.select("timestamp", SENSOR), expected)
    met = explained.join(long, left_on=["timestamp", SENSOR], right_on=["time", SENSOR])
    known = met.drop_nulls("actual_right")
    np.testing.assert_allclose(known["actual"], known["actual_right"], atol=2e-6)
    assert explained.select(pl.col("expected").is_between("low", "high").all()).item()


def test_an_event_says_what_the_explanation_says(detector: Detector) -> None:
    """Its sensors' values are those of the row where each is farthest from what is expected."""
    log = wave(160, seed=4, spike=True)
    with open_frame(log, detector.checkpoint.config.columns, detector.checkpoint.config.time) as it:
        tables: list[pl.DataFrame] = []
        scorer = detector.scorer(it, on_explained=tables.append)
        scores = pl.concat(scorer.tables())
    explained = pl.concat(tables)
    (event,) = scorer.summary.events
    rows = scores.filter(pl.col("event_id") == event.event_id).select("timestamp")
    for top in event.top_sensors:
        own = explained.filter(pl.col(SENSOR) == top.sensor).join(rows, on="timestamp")
        farthest = own[(own["actual"] - own["expected"]).abs().arg_max() or 0]
        assert top.actual == pytest.approx(farthest["actual"][0], rel=1e-4, abs=1e-5)
        assert top.expected == pytest.approx(farthest["expected"][0], rel=1e-4, abs=1e-5)
        assert not farthest.select(pl.col("actual").is_between("low", "high")).item()


def test_values_have_no_digits_that_are_none_of_theirs(detector: Detector) -> None:
    """They went through single precision: 21.37 must not come out as 21.370000839."""
    log = wave(80, seed=4).with_columns(pl.col(SENSORS).round(3))
    explained = detector.explain(log)
    assert explained.select((pl.col("actual").round(3) == pl.col("actual")).all()).item()


def test_a_sensor_that_the_log_lacks_is_not_explained(detector: Detector, tmp_path: Path) -> None:
    """Nothing was measured; what stands in for it is not the log's."""
    made = detector.checkpoint
    wave(80).drop("s1").write_parquet(tmp_path / "log.parquet")
    log = open_log(
        [str(tmp_path / "log.parquet")],
        made.config.columns,
        made.config.time,
        expected=made.schema.log,
        allow_missing_sensors=True,
    )
    assert set(detector.explain(log)[SENSOR]) == {"s0", "s2"}


def test_a_log_without_a_score_has_an_empty_explanation(detector: Detector) -> None:
    """It still has its columns, so that what reads it does not fail."""
    explained = detector.explain(wave(5))
    assert explained.is_empty()
    assert explained.schema == detector.explain(wave(20)).schema


def test_machines_are_explained_by_themselves(fleet: Detector) -> None:
    """Whether a log holds one or both: by their own scaling, with their ids."""
    a, b = wave(60, unit="a"), wave(60, seed=1, unit="b")
    both = fleet.explain(interleaved(a, b))
    for name, log in (("a", a), ("b", b)):
        assert_frame_equal(both.filter(unit=name), fleet.explain(log), check_exact=True)


def test_an_id_called_like_a_column_of_it_is_refused() -> None:
    """Else one of the two would be lost."""
    log = wave(300).with_columns(low=pl.lit("x"))
    detector = Detector.fit(log, tiny_config(id_cols=("low",)))
    with pytest.raises(DataError, match="id column 'low'"):
        detector.explain(log)


def in_runs(detector: Detector, log: pl.DataFrame, ends: list[int]) -> Iterator[pl.DataFrame]:
    """What each run tells, the state going from one to the next."""
    made, lanes = detector.checkpoint, list[Snapshot]()
    for start, stop in pairwise([0, *ends]):
        tables: list[pl.DataFrame] = []
        with open_frame(log[start:stop], made.config.columns, made.config.time) as it:
            scorer = detector.incremental_scorer(it, lanes, on_explained=tables.append)
            for _ in scorer.tables():
                pass
            lanes = scorer.lanes()
        yield pl.concat(tables)


def test_runs_explain_as_one_does(detector: Detector) -> None:
    """However a log is cut: of rows that come again the last word counts, as with scores."""
    log = wave(160, seed=4, spike=True)
    log = log.with_columns(
        time=pl.col("time")
        + pl.when(pl.int_range(160) > 70).then(timedelta(days=1)).otherwise(timedelta())
    )
    told = pl.concat(in_runs(detector, log, [50, 90, 103, 160]))
    last = told.unique(["timestamp", SENSOR], keep="last", maintain_order=True)
    assert len(last) < len(told)
    assert_frame_equal(
        last.sort("timestamp", SENSOR),
        detector.explain(log).sort("timestamp", SENSOR),
        check_exact=True,
    )
