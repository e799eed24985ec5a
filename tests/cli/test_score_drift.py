"""``aster score`` says when a log is not what the model was trained on."""

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from tests.cli.conftest import Aster, Save
from tests.tiny_detector import START, interleaved, wave

STEP = ("--state", "state", "-o", "scores")


def kelvin(rows: int = 200) -> pl.DataFrame:
    """The log, with one sensor in another unit."""
    return wave(rows).with_columns(pl.col("s0") + 273.15)


def kinds(found: Any) -> set[tuple[str, str | None]]:
    return {(one["kind"], one["sensor"]) for one in found["findings"]}


def test_a_log_like_the_training_log_ends_calmly(model: Path, save: Save, aster: Aster) -> None:
    """Who asks for exit 6 must not get it for nothing."""
    found = aster("score", save(wave(250, seed=5), "log.csv"), "-m", model, "--json")
    assert json.loads(found.out)["findings"] == []
    ended = aster("score", "log.csv", "-m", model, "-o", "s.csv", "--fail-on-drift")
    assert ended.code == 0
    assert "note" not in ended.err


def test_another_unit_is_said_and_fails_on_request(model: Path, save: Save, aster: Aster) -> None:
    """Scores of such a log are complete, and worth little."""
    log = save(kelvin(), "log.csv")
    ended = aster("score", log, "-m", model, "-o", "s.csv")
    assert ended.code == 0
    (note,) = [line for line in ended.err.splitlines() if "farther" in line]
    assert note.startswith("note: sensor s0: 100 % of 100 values lie farther")
    assert note.endswith("have its units changed? (2024-03-01 00:00 \N{EN DASH} 03:19)")
    asked = aster("score", log, "-m", model, "-o", "t.csv", "--fail-on-drift", "--exit-code")
    assert asked.code == 6
    assert Path("t.csv").read_bytes() == Path("s.csv").read_bytes()
    assert aster("score", log, "-m", model, "-o", "s.csv", "--fail-on-drift", "-q").err == ""


def test_findings_and_distances_as_json(model: Path, save: Save, aster: Aster) -> None:
    """For whoever watches many machines."""
    log = save(kelvin(), "log.csv")
    found = json.loads(aster("score", log, "-m", model, "--json").out)
    assert kinds(found) == {("scale", "s0"), ("drift", "s0")}
    (drift,) = [one for one in found["findings"] if one["kind"] == "drift"]
    assert drift["value"] == pytest.approx(1.0)
    assert drift["psi"] > 8.0
    assert (drift["machine"], drift["start"]) == ([], START.isoformat())
    by_sensor = {one["sensor"]: one for one in found["distances"]}
    assert set(by_sensor) == {"s0", "s1", "s2"}
    assert by_sensor["s0"]["ks"] == drift["value"]
    assert by_sensor["s1"]["ks"] < 0.4
    assert by_sensor["s1"]["end"] == (START + timedelta(minutes=199)).isoformat()


def test_a_frozen_sensor_and_another_period_are_said(model: Path, save: Save, aster: Aster) -> None:
    """One note each, with what was and what is."""
    still = wave(200).with_columns(s1=pl.lit(0.5))
    save(still, "still.csv")
    err = aster("score", "still.csv", "-m", model, "-o", "s.csv").err
    assert "sensor s1 is frozen: 200 values one and the same" in err
    slow = wave(200).with_columns(pl.col("time") + (pl.col("time") - START))
    save(slow, "slow.csv")
    ended = aster("score", "slow.csv", "-m", model, "-o", "s.csv", "--fail-on-drift")
    assert ended.code == 6
    assert "rows come every 2 min or so, in training every 1 min" in ended.err


def test_runs_of_a_few_rows_find_what_one_run_finds(model: Path, save: Save, aster: Aster) -> None:
    """From cron each run sees a handful of rows: what is counted of them is carried on."""
    log = kelvin(230).with_columns(s2=pl.lit(0.1))
    codes, seen = [], set()
    for stop in range(5, 231, 25):
        ended = aster("score", save(log[:stop], "log.csv"), "-m", model, *STEP, "--json")
        seen |= kinds(json.loads(ended.out))
        codes.append(aster("score", "log.csv", "-m", model, "-o", "w.csv", "--fail-on-drift").code)
    whole = json.loads(aster("score", save(log, "log.csv"), "-m", model, "--json").out)
    assert seen == kinds(whole) == {("scale", "s0"), ("drift", "s0"), ("frozen", "s2")}
    assert codes == [0, *[6] * 9]


def test_a_run_without_news_has_none_of_drift_either(model: Path, save: Save, aster: Aster) -> None:
    """A machine that is off would fail every run for ever."""
    log = save(kelvin(), "log.csv")
    assert aster("score", log, "-m", model, *STEP, "--fail-on-drift").code == 6
    assert aster("score", log, "-m", model, *STEP, "--fail-on-drift").code == 0


def test_each_machine_is_compared_with_itself(fleet_model: Path, save: Save, aster: Aster) -> None:
    """What is usual of one machine may be unheard of in another."""
    a, b = wave(200, unit="a"), wave(200, seed=1, unit="b")
    log = save(interleaved(a, b.with_columns(pl.col("s0") * 100.0 + 90.0)), "log.csv")
    ended = aster("score", log, "-m", fleet_model, "-o", "s.csv")
    lines = [line for line in ended.err.splitlines() if line.startswith("note: ")]
    assert lines
    assert all("of b" in line for line in lines)
    found = json.loads(aster("score", log, "-m", fleet_model, "--json").out)
    assert {tuple(one["machine"]) for one in found["distances"]} == {("a",), ("b",)}


def test_many_findings_are_cut_short(fleet_model: Path, save: Save, aster: Aster) -> None:
    """Ten lines are read; the rest is in the JSON."""
    logs = [
        wave(200, unit=unit).with_columns(pl.col("s0", "s1", "s2") + 1e4) for unit in ("a", "b")
    ]
    ended = aster("score", save(interleaved(*logs), "log.csv"), "-m", fleet_model, "-o", "s.csv")
    notes = [line for line in ended.err.splitlines() if line.startswith("note: ")]
    assert len(notes) == 11
    assert notes[-1] == "note: and 2 findings more; --json tells all"
