"""The sample data keep what their README promises, so that examples and benchmarks can rely on it."""

import importlib.util
import sys
from datetime import timedelta
from itertools import groupby, pairwise
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal

SAMPLE_DATA = Path(__file__).parents[2] / "sample_data"
PERIOD = timedelta(minutes=5)
MAX_GAP = 5 * PERIOD
MAX_MISSING_RUN = 4
PUMPS = ["P1", "P2", "P3"]
KINDS = {"stuck", "leak", "bearing_wear", "broken_relation", "spike", "drift"}
SHIPPED = ["normal.parquet", "live.csv", "faults.csv"]


def load_simulator() -> ModuleType:
    """The script as a module; `sample_data` is a folder of files, not a package."""
    spec = importlib.util.spec_from_file_location("simulate", SAMPLE_DATA / "simulate.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


simulator = load_simulator()
SENSORS = [sensor.name for sensor in simulator.SENSORS]

Logs = tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame]


@pytest.fixture(scope="module", params=[7, 8])
def logs(request: pytest.FixtureRequest) -> Logs:
    """Normal log, live log and faults of the shipped seed and of another one."""
    sample = simulator.simulate(request.param)
    return sample.normal, sample.live, sample.faults


def read(path: Path) -> pl.DataFrame:
    """A shipped file with the dtypes of the simulator's frames."""
    if path.suffix == ".parquet":
        return pl.read_parquet(path)
    return pl.read_csv(path, try_parse_dates=True, infer_schema_length=None)


def rows_of(event: dict[str, Any], log: pl.DataFrame) -> pl.DataFrame:
    """The rows of one event of the faults table."""
    return log.filter(
        pl.col("pump") == event["pump"],
        pl.col("timestamp").is_between(event["start"], event["end"]),
    )


def test_same_seed_gives_the_same_files_and_another_seed_does_not(tmp_path: Path) -> None:
    """Whoever regenerates the data must get what the documentation talks about."""
    first = simulator.write(simulator.simulate(3), tmp_path / "first")
    again = simulator.write(simulator.simulate(3), tmp_path / "again")
    other = simulator.write(simulator.simulate(4), tmp_path / "other")
    for one, two, three in zip(first, again, other, strict=True):
        assert one.read_bytes() == two.read_bytes()
        assert one.read_bytes() != three.read_bytes()


@pytest.mark.parametrize("name", SHIPPED)
def test_shipped_files_are_what_the_script_writes(name: str, tmp_path: Path) -> None:
    """A change of the script without its files, or the other way round, must not pass unseen."""
    simulator.main(["--output", str(tmp_path)])
    assert_frame_equal(read(SAMPLE_DATA / name), read(tmp_path / name), check_exact=True)


def test_shipped_files_are_small() -> None:
    """They live in the repository, so every clone pays for them."""
    assert sum((SAMPLE_DATA / name).stat().st_size for name in SHIPPED) < 2_000_000


def test_live_csv_reads_back_as_simulated(tmp_path: Path) -> None:
    """Rounding and time format lose nothing on the way through CSV."""
    sample = simulator.simulate(7)
    paths = simulator.write(sample, tmp_path)
    written = dict(zip(SHIPPED, paths, strict=True))
    assert_frame_equal(read(written["live.csv"]), sample.live, check_exact=True)


def test_columns_and_order(logs: Logs) -> None:
    """Training data carry no labels, and both logs agree on sensors and row order."""
    normal, live, _ = logs
    assert normal.columns == ["timestamp", "pump", *SENSORS]
    assert live.columns == ["timestamp", "pump", *SENSORS, "label"]
    for log in (normal, live):
        assert log.schema["timestamp"] == pl.Datetime("us")
        assert all(log.schema[sensor] == pl.Float64 for sensor in SENSORS)
        assert_frame_equal(log, log.sort("timestamp", "pump"))
        assert not log.select("timestamp", "pump").is_duplicated().any()
        assert log["pump"].unique().sort().to_list() == PUMPS
    assert live["timestamp"][0] - normal["timestamp"][-1] == PERIOD


def test_labels_are_the_rows_of_the_faults_table(logs: Logs) -> None:
    """`faults.csv` and `label` are two views of the same events."""
    _, live, faults = logs
    expected = pl.lit(value=False)
    for event in faults.iter_rows(named=True):
        inside = (pl.col("pump") == event["pump"]) & pl.col("timestamp").is_between(
            event["start"], event["end"]
        )
        assert live.filter(inside).height == event["rows"]
        assert live.filter(inside)["label"].to_list() == [1] * event["rows"]
        expected = expected | inside
    assert live.select(expected.cast(pl.Int64)).to_series().to_list() == live["label"].to_list()
    assert faults["rows"].sum() == live["label"].sum()  # no two events overlap


def test_events_are_of_every_kind_and_of_sensible_size(logs: Logs) -> None:
    """A benchmark of few kinds, or of mostly anomalous rows, would prove little."""
    _, live, faults = logs
    assert set(faults["kind"]) == KINDS
    assert set(faults["pump"]) == set(PUMPS)
    assert 10 <= faults.height <= 12
    assert faults.filter(pl.col("kind") == "spike")["rows"].is_between(8, 15).all()
    assert faults.filter(pl.col("kind") != "spike")["rows"].is_between(15, 150).all()
    assert 0.05 <= live["label"].sum() / live.height <= 0.08
    for sensors in faults["sensors"]:
        assert set(sensors.split(";")) <= set(SENSORS)


def test_stuck_sensor_repeats_itself_and_only_it(logs: Logs) -> None:
    """The label of a stuck sensor covers exactly the rows that cannot be trusted."""
    _, live, faults = logs
    for event in faults.filter(pl.col("kind") == "stuck").iter_rows(named=True):
        rows = rows_of(event, live)
        for sensor in SENSORS:
            readings = rows[sensor].drop_nulls().n_unique()
            assert readings == 1 if sensor == event["sensors"] else readings > 5


@pytest.mark.parametrize("pump", PUMPS)
def test_normal_rows_obey_the_physics(logs: Logs, pump: str) -> None:
    """Without relations between the sensors there would be nothing to learn."""
    normal, live, _ = logs
    healthy = pl.concat([normal, live.filter(pl.col("label") == 0).drop("label")])
    head = pl.col("outlet_pressure_bar") - pl.col("inlet_pressure_bar")
    relations = (
        healthy.filter(pl.col("pump") == pump)
        .drop_nulls()
        .select(
            power=pl.corr("power_kw", pl.col("flow_m3h") * head),
            current=pl.corr("motor_current_a", "power_kw"),
            flow=pl.corr("flow_m3h", "speed_rpm"),
            level=pl.corr("tank_level_m", "inlet_pressure_bar"),
        )
    )
    assert min(relations.row(0)) > 0.9


def test_leaking_pump_delivers_less_than_its_speed_promises(logs: Logs) -> None:
    """A fault breaks a relation that the healthy log teaches; otherwise nobody could find it."""
    normal, live, faults = logs
    for event in faults.filter(pl.col("kind") == "leak").iter_rows(named=True):
        healthy = normal.filter(pl.col("pump") == event["pump"]).drop_nulls()
        leaking = rows_of(event, live).drop_nulls()
        speed, flow = healthy["speed_rpm"].to_numpy(), healthy["flow_m3h"].to_numpy()
        curve = np.polynomial.Polynomial.fit(speed, flow, deg=2)
        lost = np.mean(curve(leaking["speed_rpm"].to_numpy()) - leaking["flow_m3h"].to_numpy())
        assert lost > 2 * np.std(flow - curve(speed))


def test_bearing_wear_shows_in_vibration_and_temperature(logs: Logs) -> None:
    """Two sensors must agree on it, or it could be mistaken for a faulty sensor."""
    faults = logs[2].filter(pl.col("kind") == "bearing_wear")
    for sensors in faults["sensors"]:
        assert set(sensors.split(";")) == {"bearing_temp_c", "vibration_mm_s"}


def test_gaps(logs: Logs) -> None:
    """Every pump has a gap that ends a segment in either log; otherwise the period is exact."""
    for log in logs[:2]:
        for pump in PUMPS:
            times = log.filter(pl.col("pump") == pump)["timestamp"].to_list()
            steps = [later - earlier for earlier, later in pairwise(times)]
            gaps = [step for step in steps if step != PERIOD]
            assert 1 <= len(gaps) <= 2
            assert all(MAX_GAP < gap <= timedelta(hours=2) for gap in gaps)


def test_missing_cells_are_few_short_and_never_first(logs: Logs) -> None:
    """Every missing cell can be filled from a recent reading of its own segment."""
    for log in logs[:2]:
        missing_share = np.mean(log.select(pl.col(SENSORS).is_null()).to_numpy())
        assert 0 < missing_share < 0.01
        for pump in PUMPS:
            rows = log.filter(pl.col("pump") == pump)
            starts = rows.filter((pl.col("timestamp").diff() > MAX_GAP).fill_null(value=True))
            assert starts.height >= 2
            assert starts.drop_nulls().height == starts.height
            for sensor in SENSORS:
                runs = groupby(rows[sensor].is_null())
                lengths = [len(list(cells)) for is_missing, cells in runs if is_missing]
                assert all(length <= MAX_MISSING_RUN for length in lengths)


def test_readme_names_every_column_and_kind() -> None:
    """The README is the only place where the units are written down."""
    text = (SAMPLE_DATA / "README.md").read_text(encoding="utf-8")
    for name in ["timestamp", "pump", *SENSORS, "label", *sorted(KINDS), *SHIPPED]:
        assert f"`{name}`" in text
