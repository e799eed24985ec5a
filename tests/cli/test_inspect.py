"""``aster inspect`` tells by content whether a path is a log, a model or scores."""

import json
from pathlib import Path

import polars as pl
import pytest

from tests.cli.conftest import Aster, Save
from tests.tiny_detector import wave


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
