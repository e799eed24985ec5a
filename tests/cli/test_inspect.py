"""``aster inspect`` tells by content whether a path is a log, a model or scores."""

import json
import shlex
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest

from tests.cli.conftest import FAST, Aster, Save
from tests.tiny_detector import SENSORS, wave


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_scores_are_told_from_logs_by_their_columns(
    suffix: str, aster: Aster, save: Save, model: Path
) -> None:
    """One command for everything: the suffix alone says nothing."""
    log = save(wave(200), f"log.{suffix}")
    scores = f"scores.{suffix}"
    assert aster("score", log, "-m", model, "-o", scores).code == 0
    as_log = json.loads(aster("inspect", log, "--json").out)
    as_scores = json.loads(aster("inspect", scores, "--json").out)
    assert as_log.keys() != as_scores.keys()
    assert as_log["rows"] == 200
    for path in (log, scores):
        shown = aster("inspect", path)
        assert (shown.code, shown.err) == (0, "")
        assert "200" in shown.out


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_events_of_a_scores_file_are_those_of_scoring(
    suffix: str, model: Path, aster: Aster, save: Save
) -> None:
    """Whoever gets the file next morning reads what the summary said: by how much each sensor is off,
    which way, and whether it goes on; also of a log that was sorted."""
    faulty = pl.int_range(pl.len()) >= 394
    log = wave(400, spike=True).with_columns(
        pl.when(faulty).then(pl.col(sensor) - 6.0).otherwise(sensor).alias(sensor)
        for sensor in SENSORS
    )
    save(pl.concat([log[200:], log[:200]]), "log.parquet")
    call = ("score", "log.parquet", "-m", model, "--sort", "-o", f"s.{suffix}", "--json")
    told = json.loads(aster(*call).out)["events"]
    found = json.loads(aster("inspect", f"s.{suffix}", "--json").out)["events"]
    assert [event["open"] for event in told] == [False, True]
    for event in told:  # the file has shares in single precision
        for part in event["top_sensors"]:
            part["share"] = pytest.approx(part["share"])
    assert all(event["start"][10] == "T" for event in told)
    assert sorted(found, key=lambda event: event["start"]) == told


def test_times_are_written_alike_of_logs_scores_and_models(
    model: Path, aster: Aster, save: Save
) -> None:
    """Whoever joins what two commands say of one log joins by time."""
    log = save(wave(60), "log.parquet")
    assert aster("score", log, "-m", model, "-o", "s.parquet").code == 0
    first = wave(60)["time"][0].isoformat()
    for path in (log, "s.parquet"):
        assert json.loads(aster("inspect", path, "--json").out)["start"] == first
    epochs = save(wave(60).with_columns(pl.col("time").dt.epoch("s")), "epochs.parquet")
    assert json.loads(aster("inspect", epochs, "--json").out)["start"] == f"{first}+00:00"
    assert json.loads(aster("inspect", str(model), "--json").out)["training"]["start"][10] == "T"


def test_control_characters_of_a_log_never_reach_the_terminal(aster: Aster, save: Save) -> None:
    """Looking at a foreign file must not let it write the screen."""
    odd = wave(60).rename({"s1": "s\x1b]0;owned\x07"}).with_columns(unit=pl.lit("u\x1b[2J"))
    shown = aster("inspect", save(odd, "log.parquet"), "--id-col", "unit")
    assert shown.code == 0
    assert all(letter.isprintable() or letter == "\n" for letter in shown.out)
    assert "owned" in shown.out


@pytest.mark.parametrize("name", ["log.dat", "log"])
def test_a_format_can_be_told_where_the_name_does_not(name: str, aster: Aster, save: Save) -> None:
    """The flag is for just this case."""
    text = wave(60).write_csv()
    found = aster("inspect", save(text, name), "--input-format", "csv", "--json")
    assert (found.code, found.err) == (0, "")
    assert json.loads(found.out)["rows"] == 60


def test_incidents_are_written_down_and_excluded(aster: Aster, save: Save) -> None:
    """From a log to a training without its likely anomalies, by copying what is printed."""
    log = wave(400).with_columns(
        s1=pl.when(pl.int_range(400).is_between(200, 210)).then(500.0).otherwise("s1")
    )
    found = aster("inspect", save(log, "log.parquet"), "--incidents", "known.csv", "--json")
    assert (found.code, found.err) == (0, "")
    words = json.loads(found.out)["suggestion"].split()
    assert words == ["aster", "train", "log.parquet", "--exclude", "known.csv"]
    assert aster(*words[1:], *FAST).code == 0
    record = json.loads(Path("log.aster/training.json").read_text())
    assert record["excluded_rows"] == 11


def test_the_command_can_be_pasted_from_a_narrow_screen(aster, save, monkeypatch):
    # A line that ends between a flag and its value is two commands to a shell.
    monkeypatch.setenv("COLUMNS", "60")
    spoiled = wave(300).with_columns(
        (pl.col("s0") * 2).alias(f"twice as much {i}") for i in range(3)
    )
    path = save(spoiled.with_columns(fault=pl.lit(0), Class=pl.lit(1)), "a log.csv")
    shown = aster("inspect", path).out.partition("Train on it")[2].split("\n", 1)[1]
    lines = shown.strip().splitlines()
    assert len(lines) > 2
    assert all(line.endswith(" \\") for line in lines[:-1])
    typed = shlex.split(shown.replace("\\\n", ""))
    assert typed == shlex.split(json.loads(aster("inspect", path, "--json").out)["suggestion"])


def test_no_command_is_recommended_that_must_fail(aster, save):
    # Training would refuse so few rows, and the finding says how many it takes.
    found = aster("inspect", save(wave(50), "short.csv"))
    assert found.code == 0
    assert "Train on it" not in found.out
    assert "at least 64 rows" in " ".join(found.out.split())
    assert "Train on it" in aster("inspect", save(wave(64), "enough.csv")).out


def test_nothing_to_write_down_is_said(aster: Aster, save: Save) -> None:
    """An empty table would be refused by `aster train --exclude`."""
    found = aster("inspect", save(wave(400), "log.parquet"), "--incidents", "known.csv")
    assert found.code == 0
    assert "'known.csv' is not written" in found.err
    assert not Path("known.csv").exists()


@pytest.mark.parametrize("name", ["start", "end", "sensors"])
def test_an_id_column_may_be_called_as_one_of_incidents(
    name: str, aster: Aster, refused: Callable[..., str], save: Save
) -> None:
    """Ends of incidents cannot be told from machines then, and that is said; sensors are a remark."""
    log = wave(400).with_columns(
        s1=pl.when(pl.int_range(400).is_between(200, 210)).then(500.0).otherwise("s1")
    )
    save(log.with_columns(pl.lit("P1").alias(name)), "log.parquet")
    call = ("inspect", "log.parquet", "--id-col", name, "--incidents", "known.csv")
    if name != "sensors":
        assert f"id column '{name}' is called as" in refused(2, *call)
        save("start,end\n2024-03-01,2024-03-01\n", "mine.csv")
        train = ("train", "log.parquet", "--id-col", name, *FAST, "--exclude", "mine.csv")
        assert f"id column '{name}' is called as" in refused(2, *train)
        return
    assert aster(*call).code == 0
    assert pl.read_csv("known.csv")["sensors"].to_list() == ["P1"]
    train = ("train", "log.parquet", "--id-col", name, *FAST, "--exclude", "known.csv")
    assert aster(*train).code == 0
    assert json.loads(Path("log.aster/training.json").read_text())["excluded_rows"] == 11


def test_incidents_never_replace_the_log(save: Save, refused: Callable[..., str]) -> None:
    """A slip of the finger must not cost the log that it is about."""
    log = save(wave(400), "log.csv")
    before = Path(log).read_bytes()
    assert "is the log itself" in refused(2, "inspect", log, "--incidents", log)
    assert "suffix" in refused(2, "inspect", log, "--incidents", "known.txt")
    assert Path(log).read_bytes() == before


def test_one_sensor_is_plotted_and_nothing_else_asked(
    save: Save, refused: Callable[..., str]
) -> None:
    """A survey of the plotted sensor alone would name incidents, and a command, of that one only."""
    log = save(wave(400), "log.csv")
    for flags in (("--incidents", "known.csv"), ("--sensors", "s1")):
        assert "--sensor" in refused(2, "inspect", log, "--sensor", "s0", *flags)


@pytest.mark.parametrize("flag", ["--incidents", "--sensor"])
def test_flags_of_logs_are_of_a_log(flag: str, refused: Callable[..., str], model: Path) -> None:
    """A flag that does nothing is refused."""
    assert flag in refused(2, "inspect", model, flag, "s1")


def test_disorder_is_found_not_refused(aster: Aster, save: Save) -> None:
    """`train` stops at the first such row; whoever inspects wants to know how many there are."""
    log = save(pl.concat([wave(100), wave(100)]), "log.csv")
    assert aster("train", log, *FAST).code == 3
    found = aster("inspect", log, "--json")
    assert (found.code, found.err) == (0, "")
    assert json.loads(found.out)["n_falls"] == 1
    assert aster("inspect", log, "--sort", "--json").code == 3


def test_a_sensor_is_plotted_and_no_other(aster: Aster, save: Save) -> None:
    """In a pipe too, and without an escape code."""
    log = save(wave(300), "log.csv")
    shown = aster("inspect", log, "--sensor", "s1")
    assert (shown.code, shown.err) == (0, "")
    assert "s1" in shown.out
    assert "s0" not in shown.out
    assert any("\u2800" < letter <= "\u28ff" for letter in shown.out)
    both = aster("inspect", log, "--sensor", "s1", "--sensor", "s2", "--json")
    assert [sensor["name"] for sensor in json.loads(both.out)["sensors"]] == ["s1", "s2"]


def test_a_sensor_that_is_none_is_refused(refused: Callable[..., str], save: Save) -> None:
    """The flag is the one that was given, and the nearest names help after a typing error."""
    log = save(wave(300).rename({"s1": "inlet_flow_m3h", "s2": "Flow_return"}), "log.csv")
    told = refused(3, "inspect", log, "--sensor", "flow")
    assert "--sensor 'flow' matches" in told
    assert "did you mean 'inlet_flow_m3h' or 'Flow_return'?" in told
    assert "--sensors" not in told + refused(3, "inspect", log, "--sensor", "time")
    assert "--sensors 'flow' matches" in refused(3, "inspect", log, "--sensors", "flow")
    assert "'inlet_flow_m3h'" in refused(3, "inspect", log, "--sensor", "inlet_fowl")
