"""However a log is cut into runs, its final rows are those of a single one."""

import itertools
import json
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any, get_args

import msgspec
import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from aster_cli import Detector
from aster_cli import lanes as lanes_room
from aster_cli.config import MissingPolicy
from aster_cli.errors import DataError
from aster_cli.incremental import RunSummary
from aster_cli.logs import SCORE_DTYPES, Log, open_log
from aster_cli.results import Snapshot
from aster_cli.state import State, StateDirectory
from tests.tiny_detector import START, WINDOW, interleaved, tiny_fleet_model, tiny_model, wave

MINUTE = 60.0
POLICIES: tuple[MissingPolicy, ...] = get_args(MissingPolicy)


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Detector:
    """The shared detector of machines ``a`` and ``b``."""
    return Detector.load(tiny_fleet_model(tmp_path_factory.getbasetemp()))


@pytest.fixture(scope="module")
def one(tmp_path_factory: pytest.TempPathFactory) -> Detector:
    """The shared detector of one machine, with a language model."""
    return Detector.load(tiny_model(tmp_path_factory.getbasetemp()))


class Runs:
    """A log scored in runs, with the state on disk in between."""

    def __init__(self, detector: Detector, folder: Path, *, delay: float = 0.0) -> None:
        self.detector, self.folder, self.delay = detector, folder, delay
        self.home = StateDirectory(folder / "state")
        self.home.path.mkdir()
        self.parts: list[pl.DataFrame] = []

    def give(self, log: pl.DataFrame) -> RunSummary:
        """One run."""
        path = self.folder / "log.parquet"
        log.write_parquet(path)
        made = self.detector.checkpoint
        state = self.home.read() or State(self.detector.model_id)
        with open_log(
            [str(path)], made.config.columns, made.config.time, expected=made.schema.log
        ) as opened:
            scorer = self.detector.incremental_scorer(opened, state.lanes, delay=self.delay)
            tables = list(scorer.tables())
        if tables:
            self.parts.append(pl.concat(tables))
        assert scorer.changed or not tables
        self.home.write(replace(state, lanes=scorer.lanes()))
        return scorer.summary

    @property
    def scores(self) -> pl.DataFrame:
        """What a reader of the parts sees."""
        joined = pl.concat(self.parts)
        key = [name for name in joined.columns if name not in SCORE_DTYPES]
        return joined.unique(key, keep="last", maintain_order=True)

    @property
    def final(self) -> pl.DataFrame:
        """All final rows that any run wrote."""
        return pl.concat(self.parts).filter(pl.col("status") != "provisional")


def in_order(scores: pl.DataFrame) -> pl.DataFrame:
    return scores.sort([name for name in ("unit", "timestamp") if name in scores.columns])


def require_same(runs: Runs, whole: pl.DataFrame) -> None:
    """The runs' final rows are the single run's, once each; the others are as if the log ended."""
    seen, whole = in_order(runs.scores), in_order(whole)
    assert_frame_equal(seen.drop("status"), whole.drop("status"), check_exact=True)
    final = seen["status"] != "provisional"
    assert seen["status"].filter(final).to_list() == whole["status"].filter(final).to_list()
    assert len(runs.final) == final.sum()


@st.composite
def arrivals(draw: st.DrawFn) -> tuple[pl.DataFrame, float]:
    """Rows of three machines with jitter, gaps and holes in the order they came; and the delay."""
    rng = np.random.default_rng(draw(st.integers(0, 2**16)))
    delay = draw(st.sampled_from([0.0, 3.0, 10.0]))
    lateness = draw(st.sampled_from([0.0, 0.5, 1.5]))  # in delays; beyond 1 rows are lost
    logs = []
    for number, unit in enumerate(("a", "b", "new")):
        rows = draw(st.integers(0 if number else 1, 70))
        log = wave(max(rows, 1), seed=number, unit=unit).head(rows)
        steps = rng.choice([1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 2.5, 5.0, 9.0], rows)
        minutes = np.cumsum(steps) + draw(st.sampled_from([0, 40]))
        values = log.select("s0", "s1", "s2").to_numpy(writable=True)
        values[rng.random(values.shape) < draw(st.sampled_from([0.0, 0.15]))] = np.nan
        if rows > 30:
            values[20:26] += 6.0
        came = minutes + rng.random(rows) * lateness * delay * (rng.random(rows) < 0.3)
        logs.append(
            pl.DataFrame(
                {
                    "time": [START + timedelta(minutes=float(minute)) for minute in minutes],
                    **{f"s{i}": values[:, i] for i in range(3)},
                    "unit": [unit] * rows,
                    "came": came,
                },
                schema={**log.schema, "came": pl.Float64},
            )
        )
    return pl.concat(logs).sort("came", maintain_order=True).drop("came"), delay


def lost(log: pl.DataFrame, delay: float) -> list[bool]:
    """Which rows come too late, by the rule as the manual has it."""
    newest: dict[str, Any] = {}
    late = []
    for time, unit in log.select("time", "unit").iter_rows():
        late.append(unit in newest and time <= newest[unit] - timedelta(minutes=delay))
        newest[unit] = max(newest.get(unit, time), time)
    return late


@pytest.mark.parametrize("policy", POLICIES)
@settings(max_examples=12)
@given(data=st.data(), arrived=arrivals())
def test_the_runs_final_rows_are_those_of_a_single_one(
    policy: MissingPolicy, data: st.DataObject, arrived: Any, fleet: Detector
) -> None:
    """Cuts, gaps, holes, late rows, machines that appear late, logs that grow, rotate or overlap:
    nothing of it may change a bit of a row that was called final, or a row's name of its event."""
    log, delay = arrived
    made = fleet.checkpoint
    time = msgspec.structs.replace(made.config.time, missing=policy)
    config = msgspec.structs.replace(made.config, time=time)
    detector = Detector(replace(made, config=config), fleet.model_id)
    cuts = data.draw(st.lists(st.integers(1, max(1, len(log) - 1)), max_size=5, unique=True))
    overlap = data.draw(st.sampled_from([0, 7, len(log)]))
    with tempfile.TemporaryDirectory() as folder:
        runs = Runs(detector, Path(folder), delay=delay * MINUTE)
        late = 0
        for start, stop in itertools.pairwise(sorted({0, *cuts, len(log)})):
            late += runs.give(log[max(start - overlap, 0) : stop]).late
        too_late = lost(log, delay)
        assert late == sum(too_late)
        kept = log.filter(~pl.Series(too_late)).sort("time", maintain_order=True)
        path = Path(folder, "whole.parquet")
        kept.write_parquet(path)
        require_same(runs, detector.score(path))


def test_rows_of_a_batch_and_rows_of_a_run_are_the_same(
    fleet: Detector, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A first run over years comes in many batches, and late rows reach across their borders."""
    log = interleaved(wave(120, spike=True, unit="a"), wave(90, seed=1, unit="b"))
    shuffled = log.with_columns(came=pl.int_range(pl.len()) + pl.Series(np.arange(210) * 7 % 12))
    shuffled = shuffled.sort("came", maintain_order=True).drop("came")
    monkeypatch.setattr(Log.as_found, "__defaults__", (9,))
    runs = Runs(fleet, tmp_path, delay=12 * MINUTE)
    assert runs.give(shuffled).late == 0
    log.write_parquet(tmp_path / "whole.parquet")
    require_same(runs, fleet.score(tmp_path / "whole.parquet"))


def test_a_row_in_time_is_taken_in_and_one_too_late_is_counted_once(
    one: Detector, tmp_path: Path
) -> None:
    """By hand: with a delay of five minutes, row 40 may come right after row 44, not after 45."""
    log = wave(60)
    order = [*range(30), *range(31, 40), 41, 42, 43, 44, 40, 45, *range(46, 51)]
    runs = Runs(one, tmp_path, delay=5 * MINUTE)
    assert runs.give(log[order]).late == 0
    summary = runs.give(log[[30, 51]])
    assert (summary.late, summary.late_machines, summary.known) == (1, [()], 0)
    summary = runs.give(log[[*order, 30, 51]])  # the file that has grown has it still
    assert (summary.late, summary.known, summary.rows) == (0, len(order) + 2, {})
    left = [*range(30), *range(31, 52)]
    log[left].write_parquet(tmp_path / "whole.parquet")
    require_same(runs, one.score(tmp_path / "whole.parquet"))


def test_the_same_step_twice_adds_nothing(one: Detector, tmp_path: Path) -> None:
    """Cron does not ask whether there is anything new."""
    runs = Runs(one, tmp_path, delay=3 * MINUTE)
    runs.give(wave(60))
    before = (runs.home.path / "state.safetensors").read_bytes()
    summary = runs.give(wave(60))
    assert (len(runs.parts), summary.known, summary.rows) == (1, 60, {})
    assert (runs.home.path / "state.safetensors").read_bytes() == before


def test_rows_wait_as_provisional_until_they_are_a_window(one: Detector, tmp_path: Path) -> None:
    """A log that has only begun is not short: it may be long tomorrow."""
    runs = Runs(one, tmp_path)
    runs.give(wave(WINDOW - 1))
    assert runs.scores["status"].to_list() == ["provisional"] * (WINDOW - 1)
    assert runs.scores["score"].null_count() == WINDOW - 1
    runs.give(wave(3 * WINDOW))
    assert runs.scores["status"][0] == "ok"
    assert runs.scores["score"].null_count() == 0


def test_a_sensor_that_is_silent_is_a_status_not_an_error(one: Detector, tmp_path: Path) -> None:
    """It may only be out of order for an hour; the run after it must find its state."""
    runs = Runs(one, tmp_path)
    runs.give(wave(30).with_columns(s1=pl.lit(None, pl.Float64)))
    assert runs.scores["status"].to_list() == ["missing"] * 30
    runs.give(wave(60)[30:])
    assert "ok" in runs.scores["status"].tail(30)


def test_a_gap_makes_final_what_came_before_it(one: Detector, tmp_path: Path) -> None:
    """Nothing can follow on a row that a gap has cut off, so nobody needs to wait."""
    log = wave(40)
    later = wave(60)[40:].with_columns(pl.col("time") + timedelta(hours=3))
    runs = Runs(one, tmp_path)
    runs.give(log)
    assert "provisional" in runs.scores["status"]
    runs.give(pl.concat((log, later[:3])))
    assert runs.scores["status"].to_list() == ["ok"] * 40 + ["provisional"] * 3


def test_what_is_kept_is_bounded(
    one: Detector, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It runs for years: the state must not grow with the log."""
    monkeypatch.setattr(lanes_room, "SETTLED", 32)
    runs = Runs(one, tmp_path, delay=4 * MINUTE)
    log = wave(400)
    sizes = []
    for stop in range(50, 401, 50):
        runs.give(log[max(stop - 60, 0) : stop])
        sizes.append((runs.home.path / "state.safetensors").stat().st_size)
    assert max(sizes[3:]) < 1.02 * sizes[2]
    # older than all that is kept: it can only be known
    assert runs.give(log).known == 400
    log.write_parquet(tmp_path / "whole.parquet")
    require_same(runs, one.score(tmp_path / "whole.parquet"))


def test_an_event_is_told_of_once(one: Detector, tmp_path: Path) -> None:
    """Who is called at night is called once for an event, however long it lasts."""
    log = wave(200, spike=True)
    runs = Runs(one, tmp_path)
    told = [runs.give(log[:stop]).opened for stop in (90, 102, 104, 106, 200)]
    named = runs.scores["event_id"].drop_nulls().unique(maintain_order=True).to_list()
    assert named
    assert set(named) <= set(itertools.chain(*told))
    assert not told[0]
    assert not told[-1]
    assert len(set(itertools.chain(*told))) == len(list(itertools.chain(*told)))


def test_a_log_without_time_has_to_be_the_one_that_grows(one: Detector, tmp_path: Path) -> None:
    """Its rows are known by their number; a rotated file would be passed over in silence."""
    log = wave(80).drop("time")
    path = tmp_path / "normal.parquet"
    wave(300).drop("time").write_parquet(path)
    detector = Detector.fit(path, one.checkpoint.config)
    runs = Runs(detector, tmp_path)
    runs.give(log[:50])
    with pytest.raises(DataError, match="30 rows, and 50 have been scored"):
        runs.give(log[50:])
    runs.give(log)
    log.write_parquet(path)
    require_same(runs, detector.score(path))


def test_keys_of_another_dtype_are_refused(one: Detector, tmp_path: Path) -> None:
    """Days that begin without a fraction must not end up as two kinds of time in one dataset."""
    runs = Runs(one, tmp_path)
    runs.give(wave(40))
    with pytest.raises(DataError, match=r"'timestamp' is Datetime.*'ms'"):
        runs.give(wave(60).with_columns(pl.col("time").dt.cast_time_unit("ms")))


def lanes_of(state: State | None) -> Iterator[Snapshot]:
    assert state is not None
    yield from state.lanes


def test_machines_that_bring_nothing_stay_as_they_are(fleet: Detector, tmp_path: Path) -> None:
    """A pump that is silent for a month is not written again every five minutes."""
    runs = Runs(fleet, tmp_path)
    runs.give(interleaved(wave(40, unit="a"), wave(40, seed=1, unit="b")))
    runs.give(wave(60, unit="a"))
    assert runs.parts[1]["unit"].unique().to_list() == ["a"]
    assert [lane["entered"] for lane in lanes_of(runs.home.read())] == [60, 40]
    assert json.dumps([lane["machine"] for lane in lanes_of(runs.home.read())]) == '[["a"], ["b"]]'
