"""Runs that nobody watches: a structured log, a summary line, metrics, and what a failure leaves."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NoReturn

import polars as pl
import pytest
from prometheus_client.parser import text_string_to_metric_families

from aster_cli.errors import StorageError
from tests.cli.conftest import FAST, Aster, Save
from tests.tiny_detector import interleaved, wave

STEP = ("--state", "state", "-o", "scores")
RECORDS = ("--log-format", "json")
Refused = Callable[..., str]


@pytest.fixture
def log(save: Save) -> str:
    return save(wave(200, spike=True), "log.csv")


def records(text: str) -> list[dict[str, Any]]:
    """Every line of stderr is a record with these four."""
    found = [json.loads(line) for line in text.splitlines()]
    for record in found:
        assert datetime.fromisoformat(record["time"]).tzinfo is not None
        assert record["level"] in ("info", "warning", "error")
        assert record["event"] in ("note", "summary", "error")
    return found


def metrics(file: str = "aster.prom") -> dict[tuple[str, ...], float]:
    """What Prometheus reads: values by name and by what tells them apart."""
    found = {}
    for family in text_string_to_metric_families(Path(file).read_text()):
        for sample in family.samples:
            labels = {k: v for k, v in sample.labels.items() if k not in ("model", "log")}
            found[sample.name.removeprefix("aster_score_"), *labels.values()] = sample.value
    return found


def test_the_structured_log_of_a_run(log: str, model: Path, save: Save, aster: Aster) -> None:
    """A note, what was found, and one line that sums up; nothing that is no record."""
    save(wave(200).with_columns(pl.col("s0") * 1e3 + 1e5, extra=1.0), "odd.csv")
    ended = aster("score", "odd.csv", "-m", model, "-o", "s.csv", *RECORDS, "--exit-code")
    note, *findings, summary = records(ended.err)
    assert note["message"] == "ignored, not known to the model: 'extra'"
    assert {one["level"] for one in findings} == {"warning"}
    assert {key: summary[key] for key in ("event", "command", "model", "log", "exit_code")} == {
        "event": "summary",
        "command": "score",
        "model": "tiny",
        "log": "odd",
        "exit_code": ended.code,
    }
    assert ended.code == 1
    assert summary["rows"] == {"ok": 200}
    assert summary["findings"] == len(findings) == 2
    assert summary["anomalies"] >= summary["events"] == summary["opened"] >= 1
    assert summary["duration_s"] > 0
    assert aster("score", log, "-m", model, "-o", "s.csv", *RECORDS, "-q").err == ""


def test_the_structured_log_of_a_training(log: str, aster: Aster) -> None:
    """It is unattended too."""
    (summary,) = records(aster("train", log, *FAST, *RECORDS).err)
    assert (summary["command"], summary["model"], summary["rows"]) == ("train", "log.aster", 200)


def test_errors_are_records_too(model: Path, aster: Aster) -> None:
    """Whoever ships the log must not need a second parser for bad days."""
    for arguments in (("gone.csv", "-m", model), ("gone.csv", "-m", model, "--no-such-flag")):
        ended = aster("score", *RECORDS, *arguments)
        (record,) = records(ended.err)
        assert (record["level"], record["exit_code"]) == ("error", ended.code) == ("error", 2)
        assert record["error"]


def test_every_command_has_a_structured_log(
    log: str, model: Path, save: Save, aster: Aster
) -> None:
    """One parser reads whatever a plant's jobs call; results stay where they are."""
    labelled = wave(200, spike=True).with_columns(label=(pl.int_range(200) % 97 == 60).cast(int))
    save(labelled, "labelled.csv")
    assert aster("score", log, "-m", model, "-o", "s.parquet", "-q").code == 0
    calls = {
        "threshold": ("s.parquet", "-m", model, "-o", "t.parquet"),
        "eval": ("labelled.csv", "--scores", "s.parquet"),
        "inspect": (log,),
        "report": ("s.parquet", "--logs", log, "-o", "r.html"),
    }
    for command, arguments in calls.items():
        ended = aster(command, *arguments, *RECORDS)
        *notes, summary = records(ended.err)
        assert {note["event"] for note in notes} <= {"note"}
        assert (summary["event"], summary["command"]) == ("summary", command)
        assert (ended.code, summary["exit_code"]) == (0, 0)
        assert summary["duration_s"] > 0


def test_a_log_without_rows_is_a_failure_on_request(
    model: Path, save: Save, refused: Refused, aster: Aster
) -> None:
    """A plant that never stands still: its silence is news. Others have theirs at night."""
    save("time,s0,s1,s2\n", "log.csv")
    for output in (("-o", "s.csv"), STEP):
        flags = ("log.csv", "-m", model, *output)
        assert "log.csv: has no rows" in refused(2, "score", *flags)
        assert "log.csv: has no rows" in refused(5, "score", *flags, "--fail-on-empty")


def test_nothing_new_is_a_failure_on_request(log: str, model: Path, aster: Aster) -> None:
    """With metrics and summary as ever: the run did its work, and found none to do."""
    flags = ("score", log, "-m", model, *STEP, "--fail-on-empty", "--metrics-file", "aster.prom")
    assert aster(*flags).code == 0
    ended = aster(*flags, *RECORDS, "--exit-code", "--fail-on-drift")
    *_, summary = records(ended.err)
    assert (ended.code, summary["exit_code"], summary["rows"]) == (5, 5, {})
    assert metrics()["exit_code",] == 5
    assert aster("score", log, "-m", model, *STEP).code == 0


def test_results_as_json_beside_a_structured_log(log: str, model: Path, aster: Aster) -> None:
    """The one is the result, on stdout; the other is about the run."""
    ended = aster("score", log, "-m", model, "--json", *RECORDS)
    assert json.loads(ended.out)["rows"] == {"ok": 200}
    assert [record["event"] for record in records(ended.err)] == ["summary"]


def test_metrics_tell_what_the_summary_tells(log: str, model: Path, aster: Aster) -> None:
    """They are read by a parser that is not ours."""
    ended = aster(
        "score", log, "-m", model, "-o", "s.csv", "--metrics-file", "aster.prom", *RECORDS
    )
    (summary,) = records(ended.err)
    found = metrics()
    assert found["rows", "ok"] == 200
    assert found["anomalies",] == summary["anomalies"] > 0
    assert found["events",] == found["opened_events",] == summary["events"]
    assert found["lag_seconds",] == pytest.approx(summary["lag_s"], abs=0.001)
    assert found["duration_seconds",] == pytest.approx(summary["duration_s"], abs=0.001)
    assert found["findings", "scale"] == 0
    assert found["ks", "s0"] <= 1
    assert found["exit_code",] == 0
    age = datetime.now(UTC).timestamp() - found["last_run_timestamp_seconds",]
    assert 0 <= age < 3600
    assert 'log="log",model="tiny"' in Path("aster.prom").read_text()
    assert [path.name for path in Path().glob(".*")] == []


def test_the_lag_is_that_of_the_newest_row(fleet_model: Path, save: Save, aster: Aster) -> None:
    """Of the log, and of the machine that lags most, also in a run that brings nothing new."""
    now = datetime.now(UTC).replace(microsecond=0)
    shift = now - timedelta(minutes=30) - wave(1)["time"][0].replace(tzinfo=UTC)
    a, b = wave(31, unit="a"), wave(11, seed=1, unit="b")
    log = interleaved(a, b).with_columns(pl.col("time").dt.replace_time_zone("UTC") + shift)
    save(log, "log.parquet")
    for _ in range(2):
        flags = ("-m", fleet_model, *STEP, "--metrics-file", "aster.prom")
        assert aster("score", "log.parquet", *flags).code == 0
        found = metrics()
        assert found["lag_seconds",] == pytest.approx(0, abs=300)
        assert found["slowest_lag_seconds",] == pytest.approx(1200 + found["lag_seconds",])


def test_times_without_an_offset_are_local(model: Path, save: Save) -> None:
    """A plant's logger writes what its clock on the wall shows."""
    shown = datetime.now(UTC).replace(tzinfo=None, microsecond=0) + timedelta(hours=5)
    shift = shown - wave(100)["time"][-1]
    save(wave(100).with_columns(pl.col("time") + shift), "log.csv")
    command = [sys.executable, "-m", "aster_cli", "score", "log.csv", "-m", str(model)]
    subprocess.run(
        [*command, "-o", "s.csv", "--metrics-file", "aster.prom"],
        env=os.environ | {"TZ": "AST-5"},
        check=True,
        capture_output=True,
    )
    assert metrics()["lag_seconds",] == pytest.approx(0, abs=300)


def test_a_log_that_counts_has_no_lag(save: Save, aster: Aster) -> None:
    """Strokes have no distance from now."""
    counted = wave(200).with_columns(time=pl.int_range(200))
    aster("train", save(counted, "log.csv"), *FAST, "-o", "m.aster")
    aster("score", "log.csv", "-m", "m.aster", "-o", "s.csv", "--metrics-file", "aster.prom")
    assert ("lag_seconds",) not in metrics()
    assert metrics()["rows", "ok"] == 200


def test_a_run_that_fails_leaves_the_metrics_of_the_last_one(
    log: str, model: Path, refused: Refused, aster: Aster
) -> None:
    """Their age tells: whoever watches needs one rule for all failures."""
    flags = ("-m", model, "-o", "s.csv", "--metrics-file", "aster.prom")
    aster("score", log, *flags)
    before = metrics()
    refused(2, "score", "gone.csv", *flags)
    assert metrics() == before


def test_no_metrics_without_a_place(log: str, model: Path, refused: Refused) -> None:
    """Said before any work is done for them, and never over scores, a log or a model: those have
    other names."""
    flags = ("score", log, "-m", model, "-o", "s.csv", "--metrics-file")
    assert "no/such: there is no such directory" in refused(2, *flags, "no/such/aster.prom")
    for taken in ("./s.csv", log, f"{model}/manifest.json"):
        assert "is no name for metrics" in refused(2, *flags, taken)
    assert "cannot be written" in refused(2, *flags, "/proc/aster.prom")


def test_metrics_that_fail_at_the_end_do_not_hide_the_run(
    log: str, model: Path, aster: Aster, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Scores and state are committed by then, and no later run tells of those events again."""

    def full(path: Path, outcome: object) -> NoReturn:
        raise StorageError("no space left on device", where=str(path))

    monkeypatch.setattr("aster_cli.cli.score.write_metrics", full)
    flags = ("-m", model, "-o", "s.csv", "--threshold-method", "fixed", "--threshold", "-100")
    ended = aster("score", log, *flags, "--metrics-file", "aster.prom", "--exit-code")
    assert ended.code == 1
    assert "metrics are not written" in ended.err
    assert Path("s.csv").is_file()
