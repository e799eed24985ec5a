"""What `aster inspect` says of a log and of scores must be true, however the rows arrive."""

import subprocess
import sys
from datetime import datetime, timedelta
from pathlib import Path

import msgspec
import numpy as np
import polars as pl
import pytest

from aster_cli.config import ColumnConfig, TimeConfig
from aster_cli.inspection import (
    BUCKETS,
    LogReport,
    ScoreTimeline,
    SensorReport,
    inspect_log,
    inspect_scores,
    steps,
)
from aster_cli.logs import SCORE_DTYPES, open_log

ROWS = 600
START = datetime(2025, 3, 1)


def inspect(
    frame: pl.DataFrame, folder: Path, *ids: str, batch_rows: int = 8192, max_gap: float = 5.0
) -> LogReport:
    """Write a log and look at it."""
    path = folder / "log.parquet"
    frame.write_parquet(path)
    columns, time = ColumnConfig(id_cols=ids), TimeConfig(max_gap=max_gap)
    with open_log([str(path)], columns, time) as log:
        return inspect_log(
            log, paths=["log.parquet"], columns=columns, time=time, batch_rows=batch_rows
        )


@pytest.fixture
def two_machines() -> pl.DataFrame:
    """Two machines, one starting later, with holes, gaps, a stuck sensor and labels."""
    draw = np.random.default_rng(5)
    minutes = np.arange(ROWS)
    minutes[200:] += 30
    minutes[450:] += 7
    parts = []
    for i, name in enumerate(("B", "A")):
        flow = draw.normal(100 + 10 * i, 3, ROWS)
        flow[draw.random(ROWS) < 0.1] = np.nan
        stuck = draw.normal(size=ROWS).round(3)
        if name == "A":
            stuck[300:380] = 7.5
        parts.append(
            pl.DataFrame(
                {
                    "timestamp": [START + timedelta(minutes=int(m) + i) for m in minutes],
                    "machine": name,
                    "flow": flow,
                    "stuck": stuck,
                    "flag": draw.random(ROWS) < 0.3,
                    "label": (minutes > 500).astype(int),
                }
            )
        )
    return pl.concat(parts).sort("timestamp", maintain_order=True)


def test_rows_and_machines(two_machines: pl.DataFrame, tmp_path: Path) -> None:
    report = inspect(two_machines, tmp_path, "machine")
    assert report.rows == 2 * ROWS
    assert report.n_machines == 2
    spans = two_machines.group_by("machine").agg(
        pl.len(), pl.col("timestamp").min().alias("start"), pl.col("timestamp").max().alias("end")
    )
    assert {(m.machine[0], m.rows, m.start, m.end) for m in report.machines} == {
        (name, rows, str(start), str(end)) for name, rows, start, end in spans.iter_rows()
    }
    assert report.start == str(two_machines["timestamp"].min())
    assert report.end == str(two_machines["timestamp"].max())
    assert report.labelled_rows == two_machines["label"].sum()


def test_numbers_are_those_of_polars(two_machines: pl.DataFrame, tmp_path: Path) -> None:
    """The streamed moments equal those of the whole column."""
    report = inspect(two_machines, tmp_path, "machine", batch_rows=77)
    for sensor in report.sensors:
        column = two_machines[sensor.name].cast(pl.Float64).fill_nan(None)
        assert sensor.missing == column.null_count()
        assert (sensor.min, sensor.max) == (column.min(), column.max())
        assert sensor.mean == pytest.approx(column.mean())
        assert sensor.std == pytest.approx(column.std())
    assert report.missing_cells == sum(sensor.missing for sensor in report.sensors)
    assert report.missing_share == report.missing_cells / (3 * 2 * ROWS)


def test_steps(two_machines: pl.DataFrame, tmp_path: Path) -> None:
    """The period is the median step within machines; a gap is longer than five of them."""
    report = inspect(two_machines, tmp_path, "machine")
    assert (report.period, report.period_exact) == (60.0, True)
    assert report.period_steps == 2 * (ROWS - 1)
    assert report.n_gaps == 4
    assert [gap.periods for gap in report.longest_gaps] == [31, 31, 8, 8]
    first = report.longest_gaps[0]
    assert first.start == str(START + timedelta(minutes=199))
    assert first.end == str(START + timedelta(minutes=230))
    assert first.machine == ("B",)
    assert report.irregular_share == 4 / (2 * (ROWS - 1))


def test_a_step_of_just_five_periods_is_no_gap(tmp_path: Path) -> None:
    """The rule is that of training and scoring, also for counters in floats."""
    time = np.cumsum([0.0] + [0.1] * 20 + [0.5] + [0.1] * 20)
    report = inspect(pl.DataFrame({"time": time, "x": time}), tmp_path)
    assert (report.n_gaps, report.in_seconds) == (0, False)
    assert inspect(pl.DataFrame({"time": time, "x": time}), tmp_path, max_gap=4.0).n_gaps == 1


def test_the_period_of_a_long_log_is_that_of_its_first_steps(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Memory is bounded, and the report says what the median rests on."""
    monkeypatch.setattr(steps, "MEDIAN_STEPS", 100)
    time = np.cumsum([2] * 150 + [30] * 5 + [1] * 1000)
    frame = pl.DataFrame({"step": time, "x": np.sin(time)})
    for batch_rows in (64, 8192):
        report = inspect(frame, tmp_path, batch_rows=batch_rows)
        assert (report.period, report.period_steps, report.period_exact) == (2.0, 100, False)
        assert report.n_gaps == 5


@pytest.mark.parametrize("batch_rows", [1, 7, 100, 1000])
def test_batches_do_not_matter(two_machines: pl.DataFrame, tmp_path: Path, batch_rows: int) -> None:
    """Counts, places and findings are exactly the same; moments to rounding."""

    def rounded(sensor: SensorReport) -> SensorReport:
        def cut(value: float | None) -> float | None:
            return None if value is None else float(f"{value:.9g}")

        return msgspec.structs.replace(
            sensor,
            mean=cut(sensor.mean),
            std=cut(sensor.std),
            sparkline=tuple(map(cut, sensor.sparkline)),
        )

    def comparable(report: LogReport) -> LogReport:
        return msgspec.structs.replace(report, sensors=tuple(map(rounded, report.sensors)))

    whole = inspect(two_machines, tmp_path, "machine")
    cut = inspect(two_machines, tmp_path, "machine", batch_rows=batch_rows)
    assert comparable(cut) == comparable(whole)


def test_sparklines_are_means_of_equal_stretches(tmp_path: Path) -> None:
    """A stretch without a value has no mean."""
    x = np.arange(ROWS, dtype=float)
    x[5:10] = np.nan
    report = inspect(pl.DataFrame({"step": range(ROWS), "x": x}), tmp_path, batch_rows=13)
    wide = ROWS // BUCKETS
    expected = [np.arange(i, i + wide).mean() for i in range(0, ROWS, wide)]
    assert list(report.sensors[0].sparkline) == [expected[0], None, *expected[2:]]


def test_a_log_of_fewer_rows_than_stretches(tmp_path: Path) -> None:
    """Stretches without rows are empty."""
    report = inspect(pl.DataFrame({"step": [0], "x": [1.5]}), tmp_path)
    assert report.period is None
    assert report.sensors[0].std is None
    assert [value for value in report.sensors[0].sparkline if value is not None] == [1.5]
    assert len(report.sensors[0].sparkline) == BUCKETS


def kinds(report: LogReport) -> dict[str, list[str]]:
    return {s.name: [finding.kind for finding in s.findings] for s in report.sensors}


def test_planted_cases_are_found(tmp_path: Path) -> None:
    """Each kind of suspicious sensor once, and none among ordinary ones."""
    draw = np.random.default_rng(1)
    n = 2000
    noise = draw.normal(size=(n, 4)).round(2)
    frozen = noise[:, 0].copy()
    frozen[1200:1260] = 0.37
    rare = np.zeros(n)
    rare[[500, 900]] = 1.0
    holes = noise[:, 1].copy()
    holes[draw.random(n) < 0.7] = np.nan
    columns = {
        "step": np.arange(n),
        "ordinary": noise[:, 2],
        "frozen": frozen,
        "constant": np.full(n, 4.5),
        "rare": rare,
        "odometer": np.cumsum(draw.integers(0, 3, n)),
        "holes": holes,
        "dead": np.full(n, np.nan),
        "twin_of_ordinary": noise[:, 2],
        "nearly_ordinary": noise[:, 2] + (np.arange(n) == n - 1),
        "switch": (np.arange(n) // 400) % 2,
        "fault": (draw.random(n) < 0.2).astype(int),
        "unit": np.arange(n) // 500 % 3,
        "fine": noise[:, 3],
    }
    report = inspect(pl.DataFrame(columns), tmp_path, batch_rows=300)
    assert kinds(report) == {
        "ordinary": [],
        "frozen": ["frozen"],
        "constant": ["constant"],
        "rare": ["almost constant"],
        "odometer": ["counter"],
        "holes": ["mostly missing"],
        "dead": ["all missing"],
        "twin_of_ordinary": ["duplicate"],
        "nearly_ordinary": [],
        "switch": [],
        "fault": ["label"],
        "unit": ["id"],
        "fine": [],
    }
    frozen_report = report.sensors[1]
    assert frozen_report.longest_still == 60
    assert frozen_report.findings[0].detail == "stands at 0.37 for 60 rows until 1259"
    assert report.suggestion == (
        "aster train log.parquet --exclude-cols odometer --exclude-cols holes "
        "--exclude-cols twin_of_ordinary --exclude-cols fault --exclude-cols unit"
    )


def test_a_standstill_is_one_machines(two_machines: pl.DataFrame, tmp_path: Path) -> None:
    """Rows of other machines in between do not end it, and the place names the machine."""
    report = inspect(two_machines, tmp_path, "machine")
    stuck = report.sensors[1]
    assert (stuck.longest_still, stuck.still_machine, stuck.still_from) == (80, ("A",), 300)
    end = START + timedelta(minutes=379 + 30 + 1)
    assert stuck.findings[0].detail == f"stands at 7.5 for 80 rows until {end} (A)"


def test_a_counter_that_starts_anew_on_each_machine_is_one(tmp_path: Path) -> None:
    """What falls from one machine's row to another's does not fall."""
    frame = pl.DataFrame(
        {
            "step": [i for i in range(50) for _ in "ab"],
            "machine": ["a", "b"] * 50,
            "hours": [i + 1000.0 * (name == "b") for i in range(50) for name in "ab"],
        }
    )
    assert kinds(inspect(frame, tmp_path, "machine")) == {"hours": ["counter"]}


def test_the_sample_is_even_whatever_the_pattern(tmp_path: Path) -> None:
    """Sampling each k-th row of interleaved machines would see one machine only."""
    n = 3 * 20_000
    values = np.tile([0.0, 1.0, 2.0], n // 3) + np.random.default_rng(0).integers(0, 2, n)
    report = inspect(pl.DataFrame({"step": range(n), "x": values}), tmp_path)
    assert kinds(report) == {"x": []}


def test_huge_values_do_not_break_anything(tmp_path: Path) -> None:
    """Where a moment overflows there is none; JSON has no infinity."""
    frame = pl.DataFrame({"step": range(100), "x": [1e308, -1e308] * 50, "y": [1e-320] * 100})
    report = inspect(frame, tmp_path)
    assert report.sensors[0].max == 1e308
    assert report.sensors[0].std is None
    msgspec.json.encode(report.to_dict())


def test_epochs_are_written_out(tmp_path: Path) -> None:
    """Nobody reads seconds since 1970."""
    frame = pl.DataFrame({"timestamp": range(1_740_787_200, 1_740_787_260), "x": range(60)})
    report = inspect(frame, tmp_path)
    assert (report.start, report.time_kind) == ("2025-03-01 00:00:00 UTC", "epoch")


def test_the_suggestion_can_be_typed(two_machines: pl.DataFrame, tmp_path: Path) -> None:
    """Names with blanks are quoted for the shell, and flags are carried over."""
    path = tmp_path / "log.parquet"
    two_machines.rename({"machine": "the machine"}).write_parquet(path)
    columns = ColumnConfig(id_cols=("the machine",), exclude_cols=("flag",))
    with open_log([str(path)], columns, TimeConfig()) as log:
        report = inspect_log(log, paths=["my log.parquet"], columns=columns)
    assert report.suggestion == (
        "aster train 'my log.parquet' --id-col 'the machine' --exclude-cols flag"
    )


def test_a_log_report_becomes_json(two_machines: pl.DataFrame, tmp_path: Path) -> None:
    plain = inspect(two_machines, tmp_path, "machine").to_dict()
    read = msgspec.json.decode(msgspec.json.encode(plain))
    assert read["machines"][0]["machine"] == ["B"]
    assert read["sensors"][1]["findings"][0]["kind"] == "frozen"


@pytest.fixture
def scores() -> pl.DataFrame:
    """Twelve rows of two machines; machine a has two events, b none."""

    def top(*parts: tuple[str, float, float]) -> list[dict[str, object]]:
        return [
            {
                "sensor": name,
                "share": share,
                "direction": np.sign(excess),
                "actual": 10.0 + excess,
                "expected": 10.0,
            }
            for name, share, excess in parts
        ]

    cases = [
        (0.1, 10.0, "ok", None, None, None),
        (2.5, 93.0, "ok", "e1", top(("flow", 0.75, 4), ("heat", 0.25, -1)), 16.0),
        (4.0, 97.5, "ok", "e1", top(("flow", 0.625, -2), ("heat", 0.375, -3)), 8.0),
        (0.2, 20.0, "ok", None, None, None),
        (None, None, "missing", None, None, None),
        (3.0, 95.0, "ok", "e2", top(("flow", 1.0, -1)), 7.0),
    ]
    rows: list[tuple[object, ...]] = []
    for i, (score, severity, *causes) in enumerate(cases):
        stamp = START + timedelta(minutes=10 * i)
        rows += [
            (stamp, "a", score, severity, 2.0, causes[1] is not None, *causes, "m1"),
            (stamp, "b", 0.5, 50.0, 1.5, False, "ok", None, None, None, "m1"),
        ]
    schema = {"timestamp": pl.Datetime("us"), "machine": pl.String(), **SCORE_DTYPES}
    return pl.DataFrame(rows, schema=schema, orient="row")


@pytest.mark.parametrize("suffix", ["parquet", "csv"])
def test_scores(scores: pl.DataFrame, tmp_path: Path, suffix: str) -> None:
    """Events, machines and sensors follow from the rows, in any format."""
    path = tmp_path / f"scores.{suffix}"
    if suffix == "csv":
        from aster_cli.logs import open_writer

        with open_writer(str(path)) as writer:
            writer.write(scores)
    else:
        scores.write_parquet(path)
    report = inspect_scores(path)
    assert report.rows == {"ok": 11, "missing": 1}
    assert (report.anomalies, report.model_ids, report.id_cols) == (3, ("m1",), ("machine",))
    first, second = report.events
    assert (first.event_id, first.machine, first.n_rows) == ("e1", ("a",), 2)
    assert (first.start, first.end) == (
        START + timedelta(minutes=10),
        START + timedelta(minutes=20),
    )
    assert (first.duration_s, first.peak_score, first.severity) == (600.0, 4.0, 97.5)
    assert first.peak_time == first.end
    # by hand: evidence 12 and 4, then 5 and 3, so the roots of summed squares are 13 and 5
    assert [(p.sensor, p.direction) for p in first.top_sensors] == [("flow", 1), ("heat", -1)]
    # of the row that lies farthest from what was expected
    assert [(p.actual, p.expected) for p in first.top_sensors] == [(14.0, 10.0), (7.0, 10.0)]
    assert [p.share for p in first.top_sensors] == pytest.approx([13 / 18, 5 / 18])
    assert second.duration_s == 0.0
    assert [(m.machine, m.rows, m.anomalies, m.events, m.threshold) for m in report.machines] == [
        (("a",), 6, 3, 2, 2.0),
        (("b",), 6, 0, 0, 1.5),
    ]
    flow, heat = report.worst_sensors
    assert flow.share == pytest.approx((2 * 13 / 18 + 1.0) / 3)
    assert flow.share + heat.share == pytest.approx(1.0)
    assert (flow.leads, heat.leads) == (2, 0)
    assert (flow.direction, heat.direction) == (1, -1)
    # the machine's last row with a score is of the second event
    assert [event.open for event in report.events] == [False, True]
    msgspec.json.encode(report.to_dict())


def test_scores_without_ids_events_or_clock(scores: pl.DataFrame, tmp_path: Path) -> None:
    """Row numbers have no duration, and a quiet log no events."""
    path = tmp_path / "scores.parquet"
    bare = (
        scores.filter(pl.col("machine") == "a")
        .drop("machine")
        .with_columns(pl.int_range(6).alias("timestamp"))
    )
    bare.write_parquet(path)
    assert [event.duration_s for event in inspect_scores(path).events] == [None, None]
    bare.filter(~pl.col("is_anomaly")).write_parquet(path)
    report = inspect_scores(path)
    assert (report.events, report.worst_sensors, report.anomalies) == ((), (), 0)
    assert report.machines[0].machine == ()


@pytest.mark.parametrize("size", [1, 5, 12])
def test_no_anomaly_vanishes_from_a_timeline(scores: pl.DataFrame, size: int) -> None:
    """However tables are cut, each anomalous row is counted, and the worst severity is shown."""
    timeline = ScoreTimeline(len(scores))
    for table in scores.iter_slices(size):
        timeline.take(table)
    made = timeline.timeline()
    assert sum(made.anomalies) == 3
    assert max(s for s in made.severity if s is not None) == 97.5
    assert (made.start, made.end) == (str(START), str(START + timedelta(minutes=50)))


def test_inspecting_needs_no_torch() -> None:
    """A look at a log is to take a blink, not seconds."""
    code = (
        "import sys, aster_cli.inspection, aster_cli.render.logs, aster_cli.render.model, "
        "aster_cli.render.scores, aster_cli.render.evaluation, aster_cli.render.training, "
        "aster_cli.render.progress, aster_cli.render.backbones; "
        "sys.exit(sum(name in sys.modules for name in ('torch', 'transformers', 'sklearn')))"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize("size", [1, 5, 12])
def test_a_timeline_tells_which_sensors_when(scores: pl.DataFrame, size: int) -> None:
    """However the rows come: each sensor's mean share of the anomalous rows of a stretch."""
    watched = ScoreTimeline(len(scores))
    for batch in scores.iter_slices(size):
        watched.take(batch)
    timeline = watched.timeline()
    flow, heat = timeline.sensors
    assert (flow.sensor, heat.sensor) == ("flow", "heat")
    places = [place for place, rows in enumerate(timeline.anomalies) if rows]
    assert [flow.share[place] for place in places] == pytest.approx([0.75, 0.625, 1.0])
    assert [heat.share[place] for place in places] == pytest.approx([0.25, 0.375, 0.0])
    assert sum(share is not None for share in flow.share) == 3
