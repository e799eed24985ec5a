"""From log rows to score rows: one for one, in order, the same bits however the rows arrive."""

from collections.abc import Iterator
from datetime import timedelta
from itertools import pairwise
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch
from polars.testing import assert_frame_equal
from torch import Tensor

from aster_cli import Detector
from aster_cli.calibration import evidence
from aster_cli.config import ColumnConfig, ModelConfig, TimeConfig
from aster_cli.errors import DataError
from aster_cli.logs import Log, open_log
from aster_cli.model.aster import build_network
from aster_cli.model.neighbours import REMOTENESS_SHARE, NormalWindows
from aster_cli.model.whitening import Whitening
from aster_cli.reading import READINGS, WindowReader
from aster_cli.results import LogBatch
from aster_cli.scaling import ScalingTable, SensorScaling
from aster_cli.scoring import LogScorer
from aster_cli.streams import MachineStream
from tests import tiny_network as tiny
from tests.tiny_detector import (
    WINDOW,
    interleaved,
    tiny_config,
    tiny_fleet_model,
    tiny_model,
    wave,
)


@pytest.fixture
def one(tmp_path_factory: pytest.TempPathFactory) -> Detector:
    """The shared detector of one machine, with a language model."""
    return Detector.load(tiny_model(tmp_path_factory.getbasetemp()))


@pytest.fixture
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Detector:
    """The shared detector of machines ``a`` and ``b``."""
    return Detector.load(tiny_fleet_model(tmp_path_factory.getbasetemp()))


def written(log: pl.DataFrame, folder: Path, name: str = "log.parquet") -> Path:
    log.write_parquet(folder / name)
    return folder / name


def ragged_log() -> pl.DataFrame:
    """Interleaved machines with a gap, holes, a machine of few rows and one never seen before."""
    a = wave(150, seed=2, spike=True, unit="a")
    a = a.with_columns(
        pl.when(pl.int_range(pl.len()) >= 60)
        .then(pl.col("time") + timedelta(hours=2))
        .otherwise("time")
    )
    row = pl.int_range(pl.len())
    b = wave(150, seed=3, unit="b").with_columns(
        s1=pl.when(row.is_between(40, 70) | (row % 13 == 0)).then(None).otherwise("s1")
    )
    few = wave(WINDOW - 1, seed=4, unit="few")
    new = wave(60, seed=5, unit="new").with_columns(pl.col("time") + timedelta(minutes=30))
    return interleaved(a, b, few, new)


def read_by(rows: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """From here on, logs are read this many rows at a time."""
    monkeypatch.setattr(Log.batches, "__defaults__", (rows,))


def test_one_row_out_for_every_row_in_and_in_order(fleet: Detector, tmp_path: Path) -> None:
    """Whoever joins scores to the log by row must never be one row off."""
    log = ragged_log()
    scores = fleet.score(written(log, tmp_path))
    expected = log.select(timestamp="time", unit="unit")
    assert_frame_equal(scores.select("timestamp", "unit"), expected)


def test_every_kind_of_row_has_its_status(fleet: Detector, tmp_path: Path) -> None:
    """Why a row has no score is data, not a log message."""
    scores = fleet.score(written(ragged_log(), tmp_path))
    status = {unit: scores.filter(unit=unit)["status"] for unit in ("a", "b", "few", "new")}
    assert status["a"].unique().to_list() == ["ok"]
    # nothing comes before row 0; the last value is in row 38, and it bridges five rows
    missing = (status["b"] == "missing").arg_true().to_list()
    assert missing == [0, *range(44, 71)]
    assert status["few"].to_list() == ["short"] * (WINDOW - 1)
    assert status["new"].unique().to_list() == ["ok"]


def test_a_segment_shorter_than_a_window_is_a_gap(one: Detector, tmp_path: Path) -> None:
    """An island of rows between two silences cannot be judged, and is not left out."""
    step = pl.int_range(pl.len())
    island = pl.when(step >= 40).then(60).otherwise(0) + pl.when(step >= 45).then(60).otherwise(0)
    log = wave(100).with_columns(pl.col("time") + pl.duration(minutes=island))
    status = one.score(written(log, tmp_path))["status"].to_list()
    assert status == ["ok"] * 40 + ["gap"] * 5 + ["ok"] * 55


def test_only_scored_rows_have_a_score(fleet: Detector, tmp_path: Path) -> None:
    """A zero where there is no score would be read as: normal."""
    scores = fleet.score(written(ragged_log(), tmp_path))
    scored = scores["status"] == "ok"
    for column in ("score", "severity"):
        assert scores[column].is_null().to_list() == (~scored).to_list()
    assert scores["threshold"].null_count() == 0
    assert not scores.filter(~scored)["is_anomaly"].any()
    assert scores["severity"].drop_nulls().is_between(0.0, 100.0).all()


def test_an_anomaly_is_a_score_above_the_threshold(one: Detector, tmp_path: Path) -> None:
    """Nothing else decides, so that another threshold can be put on the same scores."""
    scores = one.score(written(wave(200, seed=4, spike=True), tmp_path))
    assert (scores["is_anomaly"] == (scores["score"] > scores["threshold"])).all()
    assert 0 < scores["is_anomaly"].sum() < 200
    assert scores["model_id"].unique().to_list() == [one.model_id]


def test_anomalous_rows_and_only_they_name_sensors_and_event(
    fleet: Detector, tmp_path: Path
) -> None:
    """Shares are parts of one row's cause: they sum to 1, the largest first."""
    scores = fleet.score(written(ragged_log(), tmp_path))
    odd = scores.filter("is_anomaly")
    assert len(odd) > 0
    for column in ("top_sensors", "event_id"):
        assert scores[column].is_not_null().to_list() == scores["is_anomaly"].to_list()
    for causes in odd["top_sensors"].to_list():
        shares = [cause["share"] for cause in causes]
        assert sum(shares) == pytest.approx(1.0, abs=1e-6)
        assert shares == sorted(shares, reverse=True)
        assert {cause["direction"] for cause in causes} <= {-1, 0, 1}


def test_events_are_the_rows_that_bear_their_name(fleet: Detector, tmp_path: Path) -> None:
    """An event is of one machine, and the summary counts what the rows show."""
    with open_log(
        [str(written(ragged_log(), tmp_path))],
        ColumnConfig(id_cols=("unit",)),
        TimeConfig(),
        expected=fleet.checkpoint.schema.log,
    ) as log:
        scorer = fleet.scorer(log)
        scores = pl.concat(scorer.tables())
    named = scores.filter(pl.col("event_id").is_not_null())
    assert sorted(event.event_id for event in scorer.summary.events) == sorted(
        named["event_id"].unique()
    )
    for event in scorer.summary.events:
        rows = named.filter(event_id=event.event_id)
        assert rows["unit"].unique().to_list() == list(event.machine)
        assert (rows["timestamp"][0], rows["timestamp"][-1]) == (event.start, event.end)
        assert len(rows) == event.n_rows
        assert rows["score"].max() == event.peak_score
        assert rows["severity"].max() == pytest.approx(event.severity, rel=1e-6)
    assert scorer.summary.anomalies == len(named)
    counts = scores["status"].value_counts().rows()
    assert sorted(scorer.summary.rows.items()) == sorted(counts)


@pytest.mark.parametrize("rows", [7, 64, 200])
def test_how_the_log_is_cut_does_not_change_a_bit(
    rows: int, one: Detector, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rows that arrive one by one and rows that arrive by the million are the same rows."""
    log = written(wave(200, seed=4, spike=True), tmp_path)
    whole = one.score(log)
    read_by(rows, monkeypatch)
    assert_frame_equal(one.score(log), whole, check_exact=True)


@pytest.mark.parametrize("rows", [11, 100])
def test_how_a_ragged_log_is_cut_does_not_change_a_bit(
    rows: int, fleet: Detector, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Gaps, holes and the ends of machines fall on batch borders as well."""
    log = written(ragged_log(), tmp_path)
    whole = fleet.score(log)
    read_by(rows, monkeypatch)
    assert_frame_equal(fleet.score(log), whole, check_exact=True)


def test_other_machines_in_the_log_do_not_change_a_bit(fleet: Detector, tmp_path: Path) -> None:
    """A pump's score is its own affair, also where its windows share a batch with others'."""
    log = ragged_log()
    together = fleet.score(written(log, tmp_path))
    for unit in ("a", "b", "few", "new"):
        alone = fleet.score(written(log.filter(unit=unit), tmp_path, f"{unit}.parquet"))
        assert_frame_equal(together.filter(unit=unit), alone, check_exact=True)


def test_several_files_score_as_one(one: Detector, tmp_path: Path) -> None:
    """A segment does not end where a file does."""
    log = wave(200, seed=4, spike=True)
    whole = one.score(written(log, tmp_path))
    parts = [
        written(log[start:stop], tmp_path, f"{start:03}.parquet")
        for start, stop in pairwise((0, 3, 103, 200))
    ]
    assert_frame_equal(one.score(parts), whole, check_exact=True)


def test_times_that_were_shifted_score_the_same(one: Detector, tmp_path: Path) -> None:
    """Only steps count: a detector has no calendar."""
    log = wave(200, seed=4, spike=True)
    later = log.with_columns(pl.col("time") + timedelta(days=1000))
    scores, moved = (
        one.score(written(frame, tmp_path)).select("score", "status", "is_anomaly")
        for frame in (log, later)
    )
    assert_frame_equal(moved, scores, check_exact=True)


def scored_with(
    detector: Detector, log: pl.DataFrame, folder: Path, **time: object
) -> pl.DataFrame:
    settings = TimeConfig(**time)  # type: ignore[arg-type]
    path = written(log, folder)
    expected = detector.checkpoint.schema.log
    with open_log([str(path)], ColumnConfig(), settings, expected=expected) as opened:
        return pl.concat(detector.scorer(opened).tables())


def test_a_sorted_log_is_answered_in_its_own_order(one: Detector, tmp_path: Path) -> None:
    """--sort is for judging; the answer still lines up with the file, row by row."""
    log = wave(200, seed=4, spike=True)
    shuffled = log.with_row_index("row").sample(fraction=1.0, shuffle=True, seed=2)
    scores = scored_with(one, shuffled.drop("row"), tmp_path, sort=True)
    assert_frame_equal(scores, one.score(written(log, tmp_path))[shuffled["row"].to_list()])


@pytest.mark.parametrize("policy", ["first", "last"])
def test_merged_rows_all_get_the_score_of_the_row_that_counts(
    policy: str, one: Detector, tmp_path: Path
) -> None:
    """Two readings of one time become one row for the detector, and two in the answer."""
    log = wave(200, seed=4)
    other = log.with_columns(pl.col("s0", "s1", "s2") + 9.0)[100:103]
    twice = pl.concat([log[:103], other, log[103:]]).sort("time", maintain_order=True)
    counts = log
    if policy == "last":
        counts = pl.concat([log[:100], other, log[103:]])
    scores = scored_with(one, twice, tmp_path, duplicates=policy)
    assert scores["timestamp"].to_list() == twice["time"].to_list()
    merged = scores.unique("timestamp", maintain_order=True)
    assert_frame_equal(merged, one.score(written(counts, tmp_path)), check_exact=True)
    assert all(scores[row].equals(scores[row + 1]) for row in (100, 102, 104))


def test_a_sensor_without_any_value_is_refused_at_the_end(
    one: Detector, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Tables stream out meanwhile; whoever writes them keeps them only if the end is reached."""
    read_by(32, monkeypatch)
    path = written(wave(200).with_columns(s1=pl.lit(None, pl.Float64)), tmp_path)
    expected = one.checkpoint.schema.log
    with open_log([str(path)], ColumnConfig(), TimeConfig(), expected=expected) as log:
        tables = one.scorer(log).tables()
        assert set(next(tables)["status"]) == {"missing"}
        with pytest.raises(DataError, match="'s1'"):
            list(tables)


def test_what_waits_does_not_grow_with_the_log(
    one: Detector, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A year of rows must score in the memory of a day."""
    waiting: list[int] = []
    open_batches = Log.batches

    def watched(self: Log) -> Iterator[LogBatch]:
        for batch in open_batches(self, 20):
            yield batch
            waiting.append(len(scorer._waiting))

    monkeypatch.setattr(Log, "batches", watched)
    path = written(wave(800), tmp_path)
    expected = one.checkpoint.schema.log
    with open_log([str(path)], ColumnConfig(), TimeConfig(), expected=expected) as log:
        scorer: LogScorer = one.scorer(log)
        rows = [len(table) for table in scorer.tables()]
    assert len(waiting) == 40
    # a window of 8 rows reaches from one batch of 20 into the next, never into a third
    assert max(waiting) <= 2
    assert rows == [20] * 40


def test_a_machine_that_has_ended_holds_nothing_back(
    fleet: Detector, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A pump that is taken out of service must not keep the whole plant's rows in memory."""
    waiting: list[int] = []
    open_batches = Log.batches

    def watched(self: Log) -> Iterator[LogBatch]:
        for batch in open_batches(self, 20):
            yield batch
            waiting.append(len(scorer._waiting))

    monkeypatch.setattr(Log, "batches", watched)
    gone = wave(13, seed=6, unit="gone")
    path = written(interleaved(wave(400, unit="a"), gone), tmp_path)
    columns = ColumnConfig(id_cols=("unit",))
    expected = fleet.checkpoint.schema.log
    with open_log([str(path)], columns, TimeConfig(), expected=expected) as log:
        scorer: LogScorer = fleet.scorer(log)
        assert sum(len(table) for table in scorer.tables()) == 413
    assert max(waiting) <= 2


def test_a_machine_that_training_never_saw_is_told(tmp_path: Path) -> None:
    """Its scores rest on other machines' scaling, which whoever gets the alarm must know."""
    known = interleaved(wave(400, unit="a"), wave(400, seed=1, unit="b"))
    fleet = Detector.fit(written(known, tmp_path, "known.parquet"), tiny_config(id_cols=("unit",)))
    log = interleaved(wave(60, unit="a"), wave(60, seed=1, unit="new"))
    made = fleet.checkpoint
    path = str(written(log, tmp_path))
    with open_log(
        [path], made.config.columns, made.config.time, expected=made.schema.log
    ) as opened:
        scorer = fleet.scorer(opened)
        pl.concat(scorer.tables())
    assert scorer.summary.unknown_machines == [("new",)]


CPU = torch.device("cpu")


def at_rest() -> NormalWindows:
    """Normal is zero in every element, and a novelty is in scaled units."""
    stored = torch.zeros(4, tiny.WINDOW_SIZE, tiny.N_SENSORS)
    return NormalWindows(stored, Whitening.plain(tiny.WINDOW_SIZE, tiny.N_SENSORS))


def test_a_token_says_at_most_what_its_window_says(monkeypatch: pytest.MonkeyPatch) -> None:
    """By hand: the logits' mean is 1, so 4 and 2 become 1 while -3 stays. A single token is too
    small a unit to raise an alarm, but it may hold its own rows down, so that a normal row beside
    an anomaly is not blamed for it."""
    network = tiny.tiny_network().eval()

    def judge(window: Tensor, novelty: Tensor) -> Tensor:
        return torch.tensor([4.0, -3.0, 1.0, 2.0]).expand(len(window), -1)

    monkeypatch.setattr(network, "forward", judge)
    read = WindowReader(network, at_rest(), CPU, 4).read(tiny.tiny_windows(2).numpy(), tiny.KNEES)
    by_hand = np.repeat([1.0, -3.0, 1.0, 1.0], tiny.PATCH_SIZE)
    np.testing.assert_array_equal(read.rows["classifier"], [by_hand, by_hand])


def test_a_window_reads_as_more_familiar_where_normal_ones_are_remote() -> None:
    """By hand: all elements are one away, so a familiarity of 1 becomes the allowance."""
    rest = at_rest()
    stored = rest.windows.view(-1, tiny.WINDOW_SIZE, tiny.N_SENSORS)
    remote = NormalWindows(stored, rest.whitening, torch.full((4,), 16.0))
    windows = np.ones((2, tiny.WINDOW_SIZE, tiny.N_SENSORS), dtype=np.float32)
    for normal, expected in ((rest, 1.0), (remote, 16.0**REMOTENESS_SHARE)):
        read = WindowReader(tiny.tiny_network().eval(), normal, CPU, 4).read(windows, tiny.KNEES)
        np.testing.assert_allclose(read.rows["window"], expected, rtol=1e-5)


def test_a_windows_place_in_the_batch_does_not_change_a_bit() -> None:
    """In another run a window meets others, and lies elsewhere among them: at the edges of a matrix
    product as well as inside. Its readings are its own."""
    size, sensors, places = 24, 7, 64
    torch.manual_seed(0)
    config = ModelConfig(window_size=size, latent_width=16, backbone="none")
    network = build_network(config, sensors, None).eval()
    normal = NormalWindows(
        torch.randn(500, size, sensors), Whitening.fit(torch.randn(300, size, sensors))
    )
    reader = WindowReader(network, normal, CPU, places)
    one = torch.randn(1, size, sensors).numpy()
    knees = np.ones(sensors, dtype=np.float32)
    alone = reader.read(one, knees)
    others = torch.randn(places, size, sensors).numpy()
    for place in (0, 1, 7, 31, 62, 63):
        windows = others.copy()
        windows[place] = one[0]
        read = reader.read(windows, knees)
        for name in READINGS:
            np.testing.assert_array_equal(read.rows[name][place], alone.rows[name][0])
        np.testing.assert_array_equal(read.expected[place], alone.expected[0])
        np.testing.assert_array_equal(read.departures[place], alone.departures[0])


def test_a_batch_that_memory_does_not_hold_is_halved_and_scoring_goes_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Every window is read once and in its place, as a reader of the smaller shape reads it."""
    network, normal = tiny.tiny_network().eval(), tiny.tiny_normal()
    windows = tiny.tiny_windows(11).numpy()
    expected = WindowReader(network, normal, CPU, 4).read(windows, tiny.KNEES)
    forward, tried = network.forward, []

    def limited(window: Tensor, novelty: Tensor) -> Tensor:
        tried.append(len(window))
        if len(window) > 4:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return forward(window, novelty)

    monkeypatch.setattr(network, "forward", limited)
    reader = WindowReader(network, normal, CPU, 16)
    read = reader.read(windows, tiny.KNEES)
    assert tried == [16, 8, 4, 4, 4]
    assert reader.batch_windows == reader.against(normal).batch_windows == 4
    for name in READINGS:
        np.testing.assert_array_equal(read.rows[name], expected.rows[name])
    np.testing.assert_array_equal(read.expected, expected.expected)


def test_a_reader_against_other_windows_is_the_same_network() -> None:
    """Calibration reads a block against the others' windows. The network must stay what it is, and
    so must the reader that it was made from."""
    network, normal, windows = tiny.tiny_network().eval(), tiny.tiny_normal(), tiny.tiny_windows(6)
    reader = WindowReader(network, normal, CPU, 4)
    before = reader.read(windows.numpy(), tiny.KNEES)
    other = NormalWindows(tiny.tiny_windows(20, seed=3) + 2.0, normal.whitening)
    read = reader.against(other).read(windows.numpy(), tiny.KNEES)
    fresh = WindowReader(network, other, CPU, 4).read(windows.numpy(), tiny.KNEES)
    after = reader.read(windows.numpy(), tiny.KNEES)
    for name in READINGS:  # the classifier sees the novelty too
        np.testing.assert_array_equal(read.rows[name], fresh.rows[name])
        np.testing.assert_array_equal(after.rows[name], before.rows[name])
        assert not np.allclose(read.rows[name], before.rows[name])
    np.testing.assert_array_equal(read.expected, fresh.expected)


def test_a_sensor_departs_by_its_farthest_row_around_in_standard_deviations() -> None:
    """By hand: whatever is normal is zero, so an element is its own residual, and nothing is
    whitened. With a knee of 1, asinh(300) is 300 standard deviations: in scaled units it is but 6.4,
    and two sensors that are 300 and 3 off would look much alike. A row in n that is off by d swings by
    d less nine tenths of d / n, and four rows of 16 away it is 1 / e of that."""
    reader = WindowReader(tiny.tiny_network().eval(), at_rest(), CPU, 4)
    window, size = np.zeros((1, 16, tiny.N_SENSORS), dtype=np.float32), 16
    window[0, 5, 0], window[0, 2, 1] = np.arcsinh([300.0, -3.0])
    departures = reader.read(window, tiny.KNEES).departures[0]
    swung = np.sqrt(1.0 - 0.9 / size)
    away = np.exp(-np.abs(np.arange(size)[:, None] - [5, 2]) / 4.0)
    np.testing.assert_allclose(departures[:, :2], swung * away * [300.0**2, 9.0], rtol=1e-4)
    assert not departures[:, 2].any()
    knees = np.array([1.0, 0.5, 1.0], dtype=np.float32)
    of_lower_knee = (0.5 * np.sinh(2.0 * np.arcsinh(3.0))) ** 2
    departures = reader.read(window, knees).departures[0]
    np.testing.assert_allclose(departures[2, 1], swung * of_lower_knee, rtol=1e-4)


def test_what_stands_off_departs_too_but_less_than_what_swings() -> None:
    """By hand: 4 off in all rows swings by 0.4 only, and the root of 4 · 0.4 times 4 is 5.06. A sensor
    that is stuck where it should not be must not be left out."""
    reader = WindowReader(tiny.tiny_network().eval(), at_rest(), CPU, 4)
    window = np.zeros((1, tiny.WINDOW_SIZE, tiny.N_SENSORS), dtype=np.float32)
    window[0, :, 0] = np.arcsinh(4.0)
    window[0, ::2, 1], window[0, 1::2, 1] = np.arcsinh([4.0, -4.0])
    departures = reader.read(window, tiny.KNEES).departures[0]
    np.testing.assert_allclose(departures[:, 0], 4.0 * np.sqrt(1.6), rtol=1e-4)
    np.testing.assert_allclose(departures[:, 1], 16.0, rtol=1e-4)


def test_the_largest_float_in_a_log_departs_by_no_infinity() -> None:
    """A broken sensor says 1e308 now and then; a share of infinity over infinity is none."""
    reader = WindowReader(tiny.tiny_network().eval(), tiny.tiny_normal(), CPU, 4)
    windows = np.full((1, tiny.WINDOW_SIZE, tiny.N_SENSORS), 2000.0, dtype=np.float32)
    assert np.isfinite(reader.read(windows, tiny.KNEES).departures).all()


def test_an_anomaly_does_not_spread_to_the_rows_beside_it() -> None:
    """Rows 40 to 71 are a hundred away from normal, all others one. Windows of 16 start every fourth
    row, so one of the four windows over row 39, and over row 72, knows nothing of the anomaly: the
    row's evidence is at most log 4 over 2. Row 40 lies in windows of which a quarter or more of the
    rows is odd: at least log 50. A mean of novelties would put both rows within log 2."""
    sensors, size, stride = tiny.N_SENSORS, tiny.WINDOW_SIZE, tiny.PATCH_SIZE
    plain = ScalingTable((0.0,) * sensors, (1.0,) * sensors, (1e9,) * sensors)
    stream = MachineStream(
        (),
        scaling=SensorScaling(plain),
        n_sensors=sensors,
        size=size,
        stride=stride,
        longest=1.0,
        missing="previous",
        readings=READINGS,
    )
    reader = WindowReader(tiny.tiny_network().eval(), at_rest(), CPU, 64)
    values = np.ones((112, sensors))
    values[40:72] = 100.0
    numbers = np.arange(112)
    decided = stream.take_in(reader.read(stream.push(numbers, numbers, values), tiny.KNEES))
    decided += stream.take_in(reader.read(stream.finish(), tiny.KNEES))
    rows = {name: np.concatenate([part.readings[name] for part in decided]) for name in READINGS}
    said = evidence(rows)["window"]
    assert len(said) == 112
    inside = np.zeros(112, dtype=bool)
    inside[40:72] = True
    assert said[~inside].max() <= 0.5 * np.log(4.0) + 1e-6
    assert said[inside].min() >= np.log(50.0) - 1e-3
