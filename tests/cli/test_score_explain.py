"""``aster score --explain``: a file beside the scores, whole or not at all."""

import os
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from aster_cli import Detector
from aster_cli.logs import EXPLAINED, SENSOR
from tests.cli.conftest import Aster, Save, files_here
from tests.tiny_detector import SENSORS, wave

Refused = Callable[..., str]


@pytest.fixture
def log(save: Save) -> str:
    return save(wave(120, spike=True), "log.parquet")


def test_it_is_written_in_the_format_of_its_name(log: str, model: Path, aster: Aster) -> None:
    """And the same in all of them, whatever the scores are written as."""
    expected = Detector.load(model).explain(log)
    assert len(expected) == 120 * len(SENSORS)
    read: dict[str, Callable[[str], pl.DataFrame]] = {
        "csv": pl.read_csv,
        "parquet": pl.read_parquet,
        "ndjson": pl.read_ndjson,
    }
    for suffix, reader in read.items():
        ended = aster("score", log, "-m", model, "-o", "-", "--explain", f"why.{suffix}")
        assert ended.code == 0
        assert len(ended.out.splitlines()) == 121
        columns = [SENSOR, *EXPLAINED]
        assert_frame_equal(reader(f"why.{suffix}").select(columns), expected.select(columns))


def test_scores_are_the_same_with_it(log: str, model: Path, aster: Aster) -> None:
    """To be explained changes nothing."""
    aster("score", log, "-m", model, "-o", "plain.parquet")
    aster("score", log, "-m", model, "-o", "told.parquet", "--explain", "why.parquet")
    assert Path("plain.parquet").read_bytes() == Path("told.parquet").read_bytes()


def test_a_place_where_it_cannot_go_is_refused_first(
    log: str, model: Path, refused: Refused
) -> None:
    """Before any work is done, naming the file."""
    where = ("score", log, "-m", model, "-o", "scores.parquet", "--explain")
    assert "no name for an explanation" in refused(2, *where, "-")
    assert "no name for an explanation" in refused(2, *where, "why.txt")
    assert "no such directory" in refused(2, *where, "nowhere/why.csv")
    assert "where the scores go" in refused(2, *where, "./scores.parquet")
    assert "is the log itself" in refused(2, *where, log)


def test_a_run_that_fails_leaves_an_older_one(
    log: str, model: Path, save: Save, aster: Aster
) -> None:
    """It is put in place when it is complete."""
    aster("score", log, "-m", model, "-o", "scores.csv", "--explain", "why.csv")
    before = files_here()
    broken = save(wave(120).with_columns(s0=pl.lit(None, pl.Float64)), "broken.parquet")
    ended = aster("score", broken, "-m", model, "-o", "scores.csv", "--explain", "why.csv")
    assert ended.code == 3
    Path(broken).unlink()
    assert files_here() == before


def test_with_a_state_it_is_of_the_rows_of_the_run(
    model: Path, save: Save, aster: Aster, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever keeps all of them names each after its run; the last word on a row counts. A run without
    anything new leaves it as it was."""
    whole = wave(200, spike=True)
    step = ("--state", "state", "-o", "scores")
    for run, rows in enumerate((60, 120, 200)):
        name = save(whole[:rows], f"log{rows}.parquet")
        assert aster("score", name, "-m", model, *step, "--explain", f"why{run}.parquet").code == 0
        part = pl.read_parquet(f"scores/part-0000000{run + 1}.parquet").drop_nulls("score")
        own = pl.read_parquet(f"why{run}.parquet")
        assert own["timestamp"].unique().sort().equals(part["timestamp"].sort())
    told = pl.concat(pl.read_parquet(f"why{run}.parquet") for run in range(3))
    last = told.unique(["timestamp", SENSOR], keep="last", maintain_order=True)
    expected = Detector.load(model).explain("log200.parquet")
    key = ["timestamp", SENSOR]
    assert_frame_equal(last.sort(key), expected.sort(key), check_exact=True)
    before = files_here()
    aster("score", "log200.parquet", "-m", model, *step, "--explain", "why2.parquet")
    assert files_here() == before
    # a disk that is full when it is put in place: the run has not happened
    real = os.replace

    def full(source: str, target: str) -> None:
        if "why" in str(target):
            raise OSError(28, "No space left on device")
        real(source, target)

    monkeypatch.setattr(os, "replace", full)
    longer = save(wave(220, spike=True), "log220.parquet")
    assert aster("score", longer, "-m", model, *step, "--explain", "why3.parquet").code == 2
    monkeypatch.undo()
    assert not Path("why3.parquet").exists()
