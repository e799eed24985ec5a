"""What becomes of a log that is broken, odd or unfit: the table of conditions, row by row."""

import gzip
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import polars as pl
import pytest

from aster_cli.logs import Log
from tests.cli.conftest import FAST, Aster, Save
from tests.tiny_detector import WINDOW, wave

Refused = Callable[..., str]
LATE = 150  # a row that comes after scores have been written


@pytest.fixture(autouse=True)
def in_small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    """Read 32 rows at a time, so that a late fault finds the output begun."""
    monkeypatch.setattr(Log.batches, "__defaults__", (32,))


def csv_with(row: int, change: Callable[[str], str]) -> str:
    """A proper log as text, but for one line."""
    lines = wave(200).write_csv(datetime_format="%Y-%m-%d %H:%M:%S").splitlines()
    lines[row] = change(lines[row])
    return "\n".join(lines) + "\n"


def with_sensor(values: pl.Expr) -> pl.DataFrame:
    return wave(200).with_columns(s1=values)


UNREADABLE: dict[str, tuple[str | bytes, str, str]] = {
    "empty file": ("", "log.csv", "has no rows"),
    "header only": ("time,s0,s1,s2\n", "log.csv", "has no rows"),
    "not the format": ("time,s0\n1,2\n", "log.parquet", "cannot be read as parquet"),
    "not text": ("time,größe\n1,2\n".encode("latin-1"), "log.csv", "is not UTF-8"),
    "cut short": (gzip.compress(csv_with(1, str).encode())[:-20], "log.csv.gz", "cannot be read"),
    "unknown suffix": ("time,s0,s1,s2\n1,2,3,4\n", "log.xyz", "known suffixes"),
    "cell that is no number": (
        csv_with(LATE, lambda line: line.rsplit(",", 1)[0] + ",high"),
        "log.csv",
        f"row {LATE}: 'high' in column 's2' is not a number",
    ),
    "cell that is no time": (
        csv_with(LATE, lambda line: "noon," + line.split(",", 1)[1]),
        "log.csv",
        f"row {LATE}: 'noon' in column 'time' is not a time",
    ),
    "line with a cell too many": (
        csv_with(LATE, lambda line: line + ",0"),
        "log.csv",
        f"line {LATE + 1}: has 5 cells where its header has 4",
    ),
}
"""Content, file name, and what the message must say."""


@pytest.mark.parametrize("condition", UNREADABLE)
@pytest.mark.parametrize("command", ["train", "score", "inspect"])
def test_an_unreadable_log_is_exit_2(
    command: str, condition: str, save: Save, refused: Refused, fleetless: tuple[str, ...]
) -> None:
    """A log that cannot be read is the caller's mistake, not the data's: scripts tell 2 from 3."""
    content, name, said = UNREADABLE[condition]
    more = {"train": FAST, "score": (*fleetless, "-o", "scores.csv"), "inspect": ()}[command]
    assert said in refused(2, command, save(content, name), *more)


@pytest.mark.parametrize("content", ["", "time,s0,s1,s2\n"])
def test_a_file_without_rows_among_others_is_passed_over(
    content: str, save: Save, aster: Aster, fleetless: tuple[str, ...]
) -> None:
    """A log that was just rotated must not stop the scoring of what was moved away; but it is said."""
    save(content, "live.csv")
    save(wave(100), "live-1.csv")
    ended = aster("score", "live.csv", "live-1.csv", *fleetless, "-o", "s.csv", "--json")
    assert ended.code == 0
    assert len(pl.read_csv("s.csv")) == 100
    ended = aster("score", "live*.csv", *fleetless, "-o", "s.csv")
    assert "note: no rows in 'live.csv'; passed over" in ended.err


@pytest.fixture
def fleetless(model: Path) -> tuple[str, ...]:
    """The flag that names a model of one machine."""
    return ("-m", str(model))


@pytest.mark.parametrize("path", ["nowhere.csv", "*.csv", "folder"])
def test_no_file_is_exit_2(path: str, refused: Refused, model: Path) -> None:
    """A typo in a path must never look like an empty log."""
    Path("folder").mkdir()
    assert path in refused(2, "train", path, *FAST)
    assert path in refused(2, "score", path, "-m", model)


def test_no_time_column_is_said_and_rows_count(aster: Aster, save: Save) -> None:
    """A log without time is usable, but the user must know that gaps cannot be seen."""
    log = save(wave(200).drop("time"), "log.csv")
    trained = aster("train", log, *FAST)
    assert trained.code == 0
    assert "no time column found: rows count as time" in trained.err
    scored = aster("score", log, "-m", "log.aster", "-o", "scores.parquet")
    assert scored.code == 0
    assert pl.read_parquet("scores.parquet")["timestamp"].to_list() == list(range(200))


def test_two_time_candidates_are_exit_3_until_one_is_chosen(
    aster: Aster, refused: Refused, save: Save
) -> None:
    """Which clock rules is never guessed."""
    log = save(wave(200).with_columns(logged=pl.col("time") + timedelta(hours=1)), "log.csv")
    complaint = refused(3, "train", log, *FAST)
    assert "'time', 'logged'" in complaint
    assert "--time-col" in complaint
    assert aster("train", log, "--time-col", "logged", *FAST).code == 0


def test_no_usable_sensor_is_exit_3(refused: Refused, save: Save, model: Path) -> None:
    """Without a number there is nothing to learn from or to score."""
    log = save(wave(200).select("time", state=pl.lit("on")), "log.csv")
    assert "no usable sensor" in refused(3, "train", log, *FAST)
    assert "'s0', 's1', 's2'" in refused(3, "score", log, "-m", model)


def test_a_missing_sensor_is_exit_3_and_names_both_sides(
    refused: Refused, save: Save, model: Path
) -> None:
    """A renamed column is found only when the message shows what was expected and what is there."""
    log = save(wave(200).rename({"s1": "pressure"}), "log.csv")
    complaint = refused(3, "score", log, "-m", model, "-o", "scores.csv")
    assert "'s1'" in complaint
    assert "'pressure'" in complaint


def test_a_missing_sensor_may_be_allowed(aster: Aster, save: Save, model: Path) -> None:
    """The explicit way on: said, and the sensor that is not there is never to blame."""
    log = save(wave(200, spike=True).drop("s1"), "log.csv")
    flags = ("-m", model, "--allow-missing-sensors", "-o", "scores.parquet")
    ended = aster("score", log, *flags)
    assert ended.code == 0
    assert "'s1'" in ended.err.splitlines()[0]
    scores = pl.read_parquet("scores.parquet")
    assert scores["status"].unique().to_list() == ["ok"]
    causes = scores["top_sensors"].explode().drop_nulls().struct.unnest()
    blamed = causes.filter(pl.col("share") > 0)["sensor"]
    assert set(blamed) == {"s0", "s2"}


def test_no_sensor_at_all_is_never_allowed(save: Save, refused: Refused, model: Path) -> None:
    """A log of another plant is not a log with gaps."""
    log = save(wave(200).select("time", flow="s0"), "log.csv")
    assert "'s0', 's1', 's2'" in refused(3, "score", log, "-m", model, "--allow-missing-sensors")


def test_a_wrong_dtype_is_exit_3_and_names_both_sides(
    refused: Refused, save: Save, model: Path
) -> None:
    """Text where the model learnt numbers must not become missing cells silently."""
    log = save(with_sensor(pl.lit("high")), "log.parquet")
    complaint = refused(3, "score", log, "-m", model, "-o", "scores.csv")
    assert "'s1' is String where the model expects Float64" in complaint


def test_unknown_columns_are_ignored_and_named_once(aster: Aster, save: Save, model: Path) -> None:
    """A column added later must not stop scoring, nor go unnoticed."""
    log = save(wave(200).with_columns(humidity=1.5).select(pl.all().reverse()), "log.csv")
    ended = aster("score", log, "-m", model, "--sort", "-o", "scores.csv")
    assert ended.code == 0
    assert ended.err.count("humidity") == 1


DISORDER = {
    "duplicate times": (pl.concat([wave(200)[:LATE], wave(200)[LATE - 1 :]]), "--duplicates=mean"),
    "decreasing times": (pl.concat([wave(200)[LATE:], wave(200)[:LATE]]), "--sort"),
}


@pytest.mark.parametrize("condition", DISORDER)
def test_times_that_do_not_rise_are_exit_3_until_told_what_to_do(
    condition: str, aster: Aster, refused: Refused, save: Save, model: Path
) -> None:
    """Repair is never silent; the message names the flags that allow it, and they work."""
    log, way_on = DISORDER[condition]
    name = save(log, "log.csv")
    for command in (("train", *FAST), ("score", "-m", model, "-o", "scores.csv")):
        complaint = refused(3, command[0], name, *command[1:])
        assert way_on.split("=")[0] in complaint
        assert "log.csv, row" in complaint
    assert aster("train", name, way_on, *FAST).code == 0
    assert aster("score", name, "-m", model, way_on, "-o", "scores.parquet").code == 0
    scores = pl.read_parquet("scores.parquet")
    assert scores["timestamp"].to_list() == log["time"].to_list()


@pytest.mark.parametrize("hole", [None, float("nan"), float("inf"), float("-inf")])
def test_a_missing_cell_is_filled_only_for_a_while(
    hole: float | None, aster: Aster, save: Save, model: Path
) -> None:
    """Nulls, NaN and infinities are all a missing cell, and its filling is bounded by max_gap."""
    row = pl.int_range(pl.len())
    lost = (row == 20) | row.is_between(60, 79)
    log = with_sensor(pl.when(lost).then(pl.lit(hole)).otherwise("s1"))
    assert aster("train", save(log, "log.parquet"), *FAST).code == 0
    assert aster("score", "log.parquet", "-m", model, "-o", "scores.parquet").code == 0
    status = pl.read_parquet("scores.parquet")["status"]
    # five periods after the last value, in row 59, cells are missing for good
    assert (status == "missing").arg_true().to_list() == list(range(65, 80))
    assert (status == "ok").sum() == 185


def test_a_sensor_all_missing_is_left_out_of_training_and_said(aster: Aster, save: Save) -> None:
    """A dead column must not stop training, but must not vanish unseen either."""
    ended = aster("train", save(with_sensor(pl.lit(None, pl.Float64)), "log.csv"), *FAST)
    assert ended.code == 0
    assert ended.err.count("'s1' has no value and is left out") == 1
    assert "2 sensors" in ended.err


@pytest.mark.parametrize("hole", [None, float("nan"), float("inf")])
def test_a_sensor_all_missing_when_scoring_is_exit_3(
    hole: float | None, refused: Refused, save: Save, model: Path
) -> None:
    """A sensor that died would otherwise give a file of empty scores and a calm exit code."""
    log = save(with_sensor(pl.lit(hole, pl.Float64)), "log.parquet")
    assert "'s1'" in refused(3, "score", log, "-m", model, "-o", "scores.csv")


def test_a_sensor_with_its_only_value_in_the_last_row_is_scored(
    aster: Aster, save: Save, model: Path
) -> None:
    """What is all missing is known at the end of the log only: nothing may be refused before."""
    row = pl.int_range(pl.len())
    log = save(with_sensor(pl.when(row == 199).then("s1")), "log.parquet")
    assert aster("score", log, "-m", model, "-o", "scores.csv").code == 0


def test_fewer_rows_than_a_window(aster: Aster, refused: Refused, save: Save, model: Path) -> None:
    """Too little to learn from is an error; too little to score is a status, for logs grow."""
    log = save(wave(WINDOW - 1), "log.csv")
    assert f"{WINDOW} rows in a row" in refused(3, "train", log, *FAST)
    assert aster("score", log, "-m", model, "-o", "scores.parquet").code == 0
    scores = pl.read_parquet("scores.parquet")
    assert scores["status"].to_list() == ["short"] * (WINDOW - 1)
    assert scores["score"].null_count() == WINDOW - 1


def test_files_of_different_time_zones_are_exit_3(refused: Refused, save: Save) -> None:
    """Local times and UTC side by side would be hours apart without anyone noticing."""
    save(wave(100), "a.csv")
    later = wave(100).with_columns(pl.col("time") + timedelta(hours=5))
    save(later.write_csv(datetime_format="%Y-%m-%d %H:%M:%S+01:00"), "b.csv")
    complaint = refused(3, "train", "a.csv", "b.csv", *FAST)
    assert "time zone" in complaint
    assert "a.csv" in complaint
    assert "b.csv" in complaint


def test_a_column_of_mixed_offsets_is_exit_2_where_it_is_the_time(
    refused: Refused, save: Save, model: Path
) -> None:
    """Half of the times with an offset, half without: no order of them can be trusted."""
    text = [
        f"2024-03-01T00:{minute:02d}:00{'Z' if minute % 2 else ''},{minute},0.5,1.5"
        for minute in range(60)
    ]
    log = save("\n".join(["time,s0,s1,s2", *text]), "log.csv")
    assert "offset" in refused(2, "train", log, "--time-col", "time", *FAST)
    assert "offset" in refused(2, "score", log, "-m", model)


@pytest.mark.parametrize("label", [2, None])
def test_labels_other_than_0_and_1_are_exit_3(
    label: int | None, refused: Refused, save: Save, model: Path
) -> None:
    """A label column of classes would turn every metric into nonsense."""
    row = pl.int_range(pl.len())
    labels = pl.when(row == LATE).then(label).otherwise(0)
    log = save(wave(200).with_columns(label=labels), "log.csv")
    for command in (("train", *FAST), ("score", "-m", model), ("eval", "-m", model)):
        complaint = refused(
            3, command[0], log, *command[1:], *(("-o", "out.csv") * (command[0] == "score"))
        )
        assert f"row {LATE + 1}" in complaint
        assert "neither 0 nor 1" in complaint


def test_control_characters_of_a_column_name_are_spelled_out(
    refused: Refused, save: Save, model: Path
) -> None:
    """A log is foreign text: its names must not reach the terminal raw."""
    log = save(wave(200).rename({"s1": "s\x1b]0;owned\x07\r1"}), "log.parquet")
    complaint = refused(3, "score", log, "-m", model)
    assert complaint.isprintable()
    assert "x1b" in complaint
