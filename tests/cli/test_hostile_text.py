"""What a log says of itself never steers the terminal: no name, no cell, by no command."""

import csv
import json
from pathlib import Path

import polars as pl
import pytest

from tests.cli.conftest import FAST, Aster, Save
from tests.tiny_detector import wave

SENSORS = {"s0": "\x1b[31ms0\x1b[2J", "s1": "\u202es1\x9b1A", "s2": "=s2\r\x07\x00"}
UNIT, MACHINE = "\x1b]0;unit\x07", "=HYPERLINK(1)\x1b[8m\x7f"


@pytest.fixture
def hostile(save: Save) -> str:
    log = wave(400, spike=True, unit=MACHINE).rename({**SENSORS, "unit": UNIT})
    label = pl.Series("label", [100 <= row < 106 for row in range(len(log))])
    return save(log.with_columns(label), "log\x1b[1m.parquet")


def test_no_command_passes_control_codes_on(hostile: str, aster: Aster) -> None:
    """Colours, cursor moves, titles and text that runs backwards are ways to lie to an operator."""
    train = ("train", hostile, "--id-col", UNIT, "-o", "m.aster", *FAST)
    score = ("score", hostile, "-m", "m.aster")
    runs = [
        (0, ("inspect", hostile, "--id-col", UNIT)),
        (0, train),
        (2, train),  # exists already
        (0, ("inspect", "m.aster")),
        (0, (*score, "-o", "s.csv")),
        (0, (*score, "-o", "s.parquet")),
        (0, (*score, "--state", "state", "-o", "scores")),
        (0, ("inspect", "s.csv")),
        (0, ("threshold", "s.csv", "-m", "m.aster", "-o", "t.csv")),
        (0, ("eval", hostile, "-m", "m.aster")),
        (3, ("train", hostile, "--id-col", "\x1b[31m", "-o", "n.aster")),
        (2, ("train", "no\x1b[31m.csv")),
        (2, ("score", "--no\x1b[31m")),
        (3, ("score", "s.parquet", "-m", "m.aster")),
        (2, ("score", hostile, "-m", "m.aster", "--debug", "-o", "no\x1b/s.csv")),
    ]
    for code, words in runs:
        for more in ((), ("--json",)):
            if "train" in words and code == 0 and more:
                continue
            ended = aster(*words, *more)
            assert ended.code == code, (words, ended)
            shown = (ended.out + ended.err).replace("\n", "")
            assert shown.isprintable(), (words, shown)
            if more and code == 0:
                json.loads(ended.out or ended.err)
    card = Path("m.aster/README.md").read_text()
    assert card.replace("\n", "").isprintable()


def test_machines_survive_a_spreadsheet_and_the_way_back(hostile: str, aster: Aster) -> None:
    """The id is made text in CSV; thresholds by machine are found by the id that it was."""
    aster("train", hostile, "--id-col", UNIT, "-o", "m.aster", *FAST)
    for flags, start in (((), "'=HYPERLINK(1)"), (("--raw-csv",), "=HYPERLINK(1)")):
        assert aster("score", hostile, "-m", "m.aster", "-o", "s.csv", *flags).code == 0
        with Path("s.csv").open(newline="") as file:
            rows = list(csv.DictReader(file))
        assert all(row[UNIT].startswith(start) for row in rows)
        assert all(float(row["score"]) == float(row["score"]) for row in rows)
        relabelled = aster("threshold", "s.csv", "-m", "m.aster", "-o", "t.parquet", "--json")
        assert relabelled.code == 0
        assert set(pl.read_parquet("t.parquet")[UNIT]) == {MACHINE}
    assert (
        aster("score", hostile, "-m", "m.aster", "--raw-csv", "--state", "s", "-o", "d").code == 2
    )
