"""What would spoil a training is found before anyone trains, and sane logs are left in peace."""

import re
import shlex
from collections import Counter
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from aster_cli.config import ColumnConfig, TimeConfig
from aster_cli.inspection import ADVICE, LogReport, incident_table, inspect_log, sketch, survey
from aster_cli.inspection.sketch import Sketch
from aster_cli.logs import open_log, read_incidents
from aster_cli.results import FloatArray
from benchmarks.detection.entities import DATA, find_entities

ROWS = 2000
START = datetime(2025, 3, 1)

Course = Callable[[], FloatArray]


def log_of(**columns: object) -> pl.DataFrame:
    """Two ordinary sensors at a steady clock, and what is planted beside or in place of them."""
    draw = np.random.default_rng(7)
    phase = np.arange(ROWS) / 144 * 2 * np.pi
    ordinary = {
        "time": [START + timedelta(minutes=10 * i) for i in range(ROWS)],
        "flow": 100 + 10 * np.sin(phase) + draw.normal(size=ROWS),
        "heat": 60 + 5 * np.cos(phase) + draw.normal(size=ROWS),
    }
    return pl.DataFrame(ordinary | columns)


def look(
    frame: pl.DataFrame,
    folder: Path,
    columns: ColumnConfig | None = None,
    time: TimeConfig | None = None,
    **more: object,
) -> LogReport:
    path = folder / "log.parquet"
    frame.write_parquet(path)
    columns, time = columns or ColumnConfig(), time or TimeConfig()
    with open_log([str(path)], columns, time) as log:
        return inspect_log(log, paths=["log.parquet"], columns=columns, time=time, **more)  # type: ignore[arg-type]


def found(report: LogReport) -> dict[str, str]:
    """Every finding's kind and detail; those of sensors begin with the sensor's name."""
    own = {finding.kind: finding.detail for finding in report.findings}
    for sensor in report.sensors:
        own |= {finding.kind: f"{sensor.name}: {finding.detail}" for finding in sensor.findings}
    return {str(kind): detail for kind, detail in own.items()}


def noise(seed: int = 0) -> FloatArray:
    return np.random.default_rng(seed).normal(size=ROWS)


def test_an_ordinary_log_is_left_in_peace(tmp_path: Path) -> None:
    """The cases below say something only if nothing is found without them."""
    report = look(log_of(), tmp_path)
    assert found(report) == {}
    assert report.suggestion == "aster train log.parquet"


def test_a_clipped_sensor(tmp_path: Path) -> None:
    """What piles up at a bound is cut off there; what rests at zero, or jumps between levels, is not."""
    wide = 50 + 10 * noise()
    report = look(
        log_of(
            clipped=np.minimum(wide, 62.0),
            resting=np.maximum(10 * noise(1), 0.0),
            levels=np.round(3 * noise(2)),
        ),
        tmp_path,
    )
    share = float((wide >= 62).mean())
    assert found(report) == {
        "clipped": f"clipped: {100 * share:.1f} % of the rows lie on its highest, 62"
    }


def test_a_sensor_that_is_clipped_at_both_ends(tmp_path: Path) -> None:
    """Neither pile hides the other; told once, for it is one finding."""
    wide = 50 + 10 * noise()
    low, high = 100 * (wide <= 40).mean(), 100 * (wide >= 62).mean()
    report = look(
        log_of(both=np.clip(wide, 40, 62), valve=np.clip(5 * noise(1), 0, 4).round()), tmp_path
    )
    assert found(report) == {
        "clipped": f"both: {low:.1f} % of the rows lie on its lowest, 40; "
        f"{high:.1f} % of the rows lie on its highest, 62"
    }
    assert [len(sensor.findings) for sensor in report.sensors] == [0, 0, 1, 0]


def test_two_sensors_alike(tmp_path: Path) -> None:
    """In another unit a sensor is the same; a relative of it is not."""
    celsius = 20 + 3 * noise()
    frame = log_of(celsius=celsius, fahrenheit=1.8 * celsius + 32, near=celsius + 0.1 * noise(1))
    report = look(frame, tmp_path)
    assert found(report) == {"duplicate": "fahrenheit: moves exactly as 'celsius' does"}
    assert report.suggestion == "aster train log.parquet --exclude-cols fahrenheit"


def wave(seed: int = 0) -> FloatArray:
    """A sensor between 20 and 30 that goes up and down once a day."""
    return 25 + 4 * np.sin(np.arange(ROWS) / 144 * 2 * np.pi) + 0.3 * noise(seed)


def drawn(seed: int = 0) -> FloatArray:
    """A sensor between 20 and 30, however it was a row before."""
    return np.random.default_rng(seed).uniform(20, 30, ROWS)


@pytest.mark.parametrize("holes", [0.0, 0.3, 0.9])
def test_two_sensors_alike_where_both_have_values(holes: float, tmp_path: Path) -> None:
    """Neither holes of their own nor those of others hide it; the one with fewer values is left out."""
    draw = np.random.default_rng(3)
    celsius = 20 + 3 * noise()
    other = np.where(draw.random(ROWS) < holes, np.nan, 1.8 * celsius + 32)
    rare = np.where(draw.random(ROWS) < 0.985, np.nan, noise(1))
    report = look(log_of(fahrenheit=other, celsius=celsius, rare=rare), tmp_path)
    fewer, more = ("fahrenheit", "celsius") if holes else ("celsius", "fahrenheit")
    assert found(report)["duplicate"] == f"{fewer}: moves exactly as {more!r} does"
    assert {"rare", fewer} == set(shlex.split(str(report.suggestion))) & {"rare", fewer, more}


def test_few_rows_in_common_make_no_twins(tmp_path: Path) -> None:
    """Over a handful of rows, or of levels, much moves together."""
    first, second = noise(), noise(1)
    second[500:540] = 2 * first[500:540]
    first[540:], second[:500] = np.nan, np.nan
    assert "duplicate" not in found(look(log_of(first=first, second=second), tmp_path))


@pytest.mark.parametrize("back", [False, True], ids=["for good", "and back"])
@pytest.mark.parametrize("course", [wave, drawn])
@pytest.mark.parametrize(
    ("ratio", "offset", "said"),
    [
        (1000.0, 0.0, r"about ([\d,.]+) times"),
        (14.504, 0.0, r"about ([\d,.]+) times"),
        (1 / 6.895, 0.0, r"about 1/([\d,.]+) of"),
        (3.2808, 0.0, r"about ([\d,.]+) times"),
        (1 / 1.609, 0.0, r"about 1/([\d,.]+) of"),
        (1.8, 32.0, "Fahrenheit in place of Celsius"),
        (1 / 1.8, -32 / 1.8, "Celsius in place of Fahrenheit"),
        (1.0, 273.15, "Kelvin in place of Celsius"),
    ],
    ids=["mm", "psi", "kPa to psi", "ft", "mph", "Fahrenheit", "Celsius", "Kelvin"],
)
def test_a_unit_jump(
    ratio: float, offset: float, said: str, course: Course, back: bool, tmp_path: Path
) -> None:
    """However near the units lie to each other, as long as the sensor's range tells them apart."""
    other = np.zeros(ROWS, dtype=bool)
    other[1200 : 1500 if back else None] = True
    frame = log_of(level=np.where(other, ratio * course() + offset, course()))
    report = look(frame, tmp_path)
    kinds = found(report)
    assert kinds.keys() == {"unit jump"}
    start, end = (f"{frame['time'][row]:%Y-%m-%d %H:%M}" for row in (1200, 1500))
    until = f"until {end}" if back else "on"
    told = re.match(f"level: from {start} {until} {said}", kinds["unit jump"])
    assert told is not None
    for number in told.groups():
        assert float(number.replace(",", "")) == pytest.approx(max(ratio, 1 / ratio), rel=0.05)
    assert str(report.suggestion).endswith("--exclude-cols level")


def test_two_rows_are_no_unit(tmp_path: Path) -> None:
    """Of so short a part no row is clear of its edges: nothing can be told, and nothing is warned of."""
    level = np.random.default_rng(0).uniform(20.0, 21.0, 40)
    level[20:22] *= 5.0
    frame = pl.DataFrame({"time": range(40), "level": level, "other": level[::-1] + 1.0})
    assert "unit jump" not in found(look(frame, tmp_path))


def test_a_level_that_changes_by_itself_is_no_unit_jump(tmp_path: Path) -> None:
    """It keeps its spread, drifts, comes and goes, or is the same again elsewhere."""
    late = np.arange(ROWS) >= 1200
    report = look(
        log_of(
            shifted=wave() + 20 * late,
            doubled=wave() + 25 * late,
            noisier=25 + 0.3 * noise() * (1 + 3 * late),
            louder=wave() + 80 * late + 5 * noise(1) * late,
            drifting=wave() * np.linspace(1, 5, ROWS),
            started=wave() * np.clip(np.linspace(-3, 6, ROWS), 1, 4),
            shifts=wave() * (1 + (np.arange(ROWS) // 250) % 2),
            near_kelvin=25 + 0.3 * noise() + 250 * late,
        ),
        tmp_path,
    )
    assert found(report) == {}


@pytest.mark.parametrize(
    ("name", "values", "kind"),
    [
        ("is_anomaly", np.arange(ROWS) % 50 == 0, "label"),
        ("pumpFault", (np.arange(ROWS) % 50 == 0).astype(int), "label"),
        ("fault_kind", np.arange(ROWS) // 100 % 7, "label"),
        ("Class", np.arange(ROWS) % 50 // 49 * 2, "label"),
        ("deviceid", np.random.default_rng(0).integers(7000, 7500, ROWS), "id"),
        ("unit_nr", np.arange(ROWS) // 700, "id"),
    ],
)
def test_a_column_that_leaks(
    name: str,
    values: FloatArray,
    kind: str,
    tmp_path: Path,
) -> None:
    """A detector that sees the answer learns nothing else."""
    report = look(log_of(**{name: values}), tmp_path)
    assert list(found(report)) == [kind]
    assert report.suggestion == f"aster train log.parquet --exclude-cols {name}"


def test_a_column_that_will_leak(tmp_path: Path) -> None:
    """A normal log has no fault, and one machine's has one id: what is scored later has others."""
    report = look(log_of(fault=np.zeros(ROWS), deviceid=np.full(ROWS, 7)), tmp_path)
    kinds = [[finding.kind for finding in sensor.findings] for sensor in report.sensors]
    assert kinds == [[], [], ["constant", "label"], ["constant", "id"]]
    command = "aster train log.parquet --exclude-cols fault --exclude-cols deviceid"
    assert report.suggestion == command


def test_a_counter_that_starts_anew(tmp_path: Path) -> None:
    """Operating hours fall when a device is replaced, and are a counter all the same."""
    hours = np.concatenate((np.arange(1500.0), np.arange(500.0)))
    report = look(log_of(hours=hours), tmp_path)
    assert found(report) == {"counter": "hours: rises, and starts anew once"}


def test_a_clock_that_falls_and_stands_still(tmp_path: Path) -> None:
    """`train` would stop at the first such row: here all are counted, and the flags are named."""
    frame = log_of()
    order = [*range(500), 499, *range(510, 520), *range(500, 510), *range(520, ROWS)]
    report = look(frame[order], tmp_path)
    assert (report.n_falls, report.n_repeats) == (1, 1)
    first = f"first at {frame['time'][499]} ({tmp_path / 'log.parquet'}, row 501)"
    assert found(report) == {"clock": f"time falls once and stands still once, {first}"}
    assert report.suggestion == "aster train log.parquet --sort --duplicates last"
    assert (report.start, report.end) == (str(frame["time"][0]), str(frame["time"][-1]))
    arranged = TimeConfig(sort=True, duplicates="last")
    assert found(look(frame[order], tmp_path, time=arranged)) == {}


def test_the_end_of_summer_time(tmp_path: Path) -> None:
    """The most common clock trouble has its own word."""
    frame = log_of()
    local = frame["time"].to_list()
    local = local[:1000] + [time - timedelta(hours=1) for time in local[1000:]]
    detail = found(look(frame.with_columns(time=pl.Series(local)), tmp_path))["clock"]
    assert detail.startswith("time falls once")
    assert "summer time" in detail


def test_an_uneven_clock_and_a_clock_that_was_set(tmp_path: Path) -> None:
    """Rows count as evenly spaced, so a clock that is not is worth a word."""
    minutes = np.cumsum(np.random.default_rng(0).choice([1, 1, 1, 3], ROWS))
    times = [START + timedelta(minutes=int(m)) for m in minutes]
    assert (
        "% of the steps are not one period long"
        in found(look(log_of(time=times), tmp_path))["clock"]
    )
    started = [datetime(1970, 1, 1) + timedelta(minutes=i) for i in range(5)]
    frame = log_of().with_columns(
        time=pl.concat([pl.Series(started), log_of()["time"][5:].cast(pl.Datetime("us"))])
    )
    assert "% of the whole span" in found(look(frame, tmp_path))["clock"]


def test_machines_in_one_log_without_an_id(tmp_path: Path) -> None:
    """The column that mends the clock is named, and the command has it."""
    log = log_of()
    mixed = pl.concat([log.with_columns(rack=pl.lit(name)) for name in ("a", "b", "c")])
    report = look(mixed.sort("time", maintain_order=True), tmp_path)
    assert found(report).keys() == {"machines"}
    assert "'rack'" in found(report)["machines"]
    assert report.suggestion == "aster train log.parquet --id-col rack"
    assert found(look(mixed, tmp_path, ColumnConfig(id_cols=("rack",)))) == {}


def test_gaps_between_which_no_window_fits(tmp_path: Path) -> None:
    """A few gaps are usual; a gap every fifty rows is not."""
    frame = log_of()
    few = frame.filter(pl.int_range(ROWS) % 500 >= 10)
    many = frame.filter(pl.int_range(ROWS) % 50 >= 10)
    assert found(look(few, tmp_path)) == {}
    assert found(look(many, tmp_path)) == {"gaps": "39 gaps, one every 40 rows"}


def test_a_log_too_short_to_train_on(tmp_path: Path) -> None:
    """`train` would say so only after reading it."""
    short = look(log_of().head(60), tmp_path)
    assert found(short) == {"too short": "60 rows"}
    assert short.suggestion is None  # a command that must fail is no advice


def test_likely_anomalies(tmp_path: Path) -> None:
    """Once far out is unlike the rest; time and again far out is what the machine does."""
    flow = log_of()["flow"].to_numpy().copy()
    flow[700:720] += 400
    bursts = noise()
    bursts[::150] += 60
    frame = log_of(flow=flow, bursts=bursts)
    report = look(frame, tmp_path)
    assert found(report) == {"anomalies": "1 stretch is unlike the rest of the log"}
    (suspect,) = report.suspects
    assert suspect.sensors == ("flow",)
    width = report.rows // 1024 + 1
    start, end = (frame["time"].to_list().index(_time(t)) for t in (suspect.start, suspect.end))
    assert 700 - width < start <= 700
    assert 719 <= end < 719 + width


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text)


@pytest.mark.parametrize("clock", ["datetime", "zoned", "epoch", "counter", "rows"])
def test_incidents_are_what_train_excludes(clock: str, tmp_path: Path) -> None:
    """What is written down must be read as the same rows, whatever the log's clock."""
    flow = log_of()["flow"].to_numpy().copy()
    flow[700:720] += 400
    frame = log_of(flow=flow)
    time = {
        "datetime": pl.col("time"),
        "zoned": pl.col("time").dt.replace_time_zone("UTC"),
        "epoch": pl.col("time").dt.epoch("s"),
        "counter": pl.int_range(pl.len()).alias("time"),
        "rows": None,
    }[clock]
    frame = frame.drop("time") if time is None else frame.with_columns(time)
    frame = pl.concat([frame.with_columns(unit=pl.lit(name)) for name in ("a", "b")])
    ids = ColumnConfig(id_cols=("unit",))
    report = look(frame, tmp_path, ids, incidents="known.csv")
    assert "--exclude known.csv" in str(report.suggestion)
    incident_table(report).write_csv(tmp_path / "known.csv")
    with open_log([str(tmp_path / "log.parquet")], ids, TimeConfig()) as log:
        known = read_incidents(str(tmp_path / "known.csv"), log.schema)
        (whole,) = log.batches(10_000)
    assert {incident.ids["unit"] for incident in known} == {"a", "b"}
    for incident in known:
        inside = (whole.time >= incident.start) & (whole.time <= incident.end)
        inside &= frame["unit"].to_numpy() == incident.ids["unit"]
        assert set(np.flatnonzero(flow > 300)) <= set(np.flatnonzero(inside) % ROWS)
        assert inside.sum() < 30


def test_memory_is_bounded(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """However long a log and however many its machines, courses keep their number of stretches."""
    monkeypatch.setattr(sketch, "STRETCHES", 64)
    frame = pl.concat([log_of().with_columns(unit=pl.lit(f"{i:02}")) for i in range(20)])
    frame.write_parquet(tmp_path / "log.parquet")
    followed = Sketch(2, "datetime", stretches=64, machines=3)
    with open_log(
        [str(tmp_path / "log.parquet")], ColumnConfig(id_cols=("unit",)), TimeConfig()
    ) as log:
        for batch in log.batches(777):
            followed.take(batch)
    courses = followed.courses()
    assert [course.machine for course in courses] == [("00",), ("01",), ("02",)]
    assert [(len(course), course.rows) for course in courses] == [(63, 32)] * 3
    flow = log_of()["flow"].to_numpy()
    assert courses[1].mean[3, 0] == pytest.approx(flow[96:128].mean())
    assert courses[1].high[62, 0] == flow[62 * 32 :].max()
    assert courses[1].starts[3] == str(log_of()["time"][96])
    assert courses[1].ends[62] == str(log_of()["time"][ROWS - 1])


@pytest.mark.parametrize("batch_rows", [7, 8192])
def test_courses_know_their_gaps(batch_rows: int, tmp_path: Path) -> None:
    """At the first row after it, whatever batches and other machines its rows come in."""
    log = log_of().with_columns(unit=pl.lit("a"))
    torn = log.with_columns(unit=pl.lit("b")).filter(~pl.int_range(ROWS).is_between(300, 310))
    path = tmp_path / "log.parquet"
    pl.concat([log, torn]).sort("time", maintain_order=True).write_parquet(path)
    columns = ColumnConfig(id_cols=("unit",))
    with open_log([str(path)], columns, TimeConfig()) as opened:
        _, courses = survey(opened, columns=columns, batch_rows=batch_rows)
    assert [np.flatnonzero(course.gaps).tolist() for course in courses] == [[], [300 // 2]]


def test_every_kind_has_its_advice_in_json(tmp_path: Path) -> None:
    """A script must not need the terminal to know what to do."""
    plain = look(log_of(dead=np.full(ROWS, 1.0)).head(60), tmp_path).to_dict()
    (whole,) = plain["findings"]
    assert whole["advice"] == ADVICE["too short"]
    assert plain["sensors"][2]["findings"][0]["advice"] == ADVICE["constant"]


@pytest.mark.skipif(not DATA.is_dir(), reason="no real logs: set ASTER_TEST_DATA")
def test_real_logs_are_calm() -> None:
    """Who cries wolf on each log is switched off.

    Counted over the training parts of all real logs; standing duplicates and constants are true.
    """
    kinds: Counter[str] = Counter()
    logs = find_entities(DATA)
    for entity in logs:
        with open_log([str(entity.train)], ColumnConfig(), TimeConfig()) as log:
            report = inspect_log(log)
        own = {str(finding.kind) for finding in report.findings}
        own |= {str(finding.kind) for sensor in report.sensors for finding in sensor.findings}
        kinds.update(own)
        assert len(own - {"constant", "almost constant"}) <= 3
        assert report.suggestion is not None
        assert shlex.split(report.suggestion)[:2] == ["aster", "train"]
    assert not kinds.keys() & {"clock", "gaps", "machines", "label", "id", "counter", "clipped"}
    assert not kinds.keys() & {"unit jump", "mostly missing", "all missing", "too short"}
    assert kinds["anomalies"] <= len(logs) / 8
    assert kinds["frozen"] <= len(logs) / 5
