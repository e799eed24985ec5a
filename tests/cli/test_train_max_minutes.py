"""``aster train --max-minutes``: a whole model in time, and a word about it."""

from collections.abc import Callable
from pathlib import Path

import pytest

from aster_cli.checkpoint import read_card
from tests.cli.conftest import FAST, Aster, Save
from tests.tiny_detector import interleaved, wave

AT_ONCE = ("--max-minutes", 1e-9)
Refused = Callable[..., str]


def test_out_of_time_the_model_is_whole_and_says_so(save: Save, aster: Aster) -> None:
    """Time is over before the first step: the model scores, and whoever reads it knows."""
    log = save(wave(400), "log.csv")
    ended = aster("train", log, "-o", "m.aster", *FAST, "--steps", 30, *AT_ONCE)
    assert ended.code == 0
    note = "time was over in fit at step 1 of 30 and refit at step 1 of 12: the best weights so far"
    assert note in " ".join(ended.err.split())
    (told,) = read_card(Path("m.aster")).training.notes
    assert told.startswith(note)
    assert note in " ".join(aster("inspect", "m.aster").out.split())
    assert aster("score", log, "-m", "m.aster", "-o", "scores.parquet").code == 0


def test_machines_without_time_are_left_to_the_pooled_one(save: Save, aster: Aster) -> None:
    """A fleet must not go on for hours because every machine takes its one step."""
    log = save(interleaved(wave(250, unit="a"), wave(250, seed=1, unit="b")), "log.csv")
    flags = ("--id-col", "unit", *FAST, "--steps", 30, "--per-id", "-o", "m.aster", *AT_ONCE)
    assert aster("train", log, *flags).code == 0
    card = read_card(Path("m.aster"))
    assert not card.manifest.detectors
    note = "no time was left for a detector of its own, served by the pooled one: 'a', 'b'"
    assert note in card.training.notes


@pytest.mark.parametrize("minutes", [0, -1, "nan"])
def test_no_minutes_are_refused(minutes: object, refused: Refused, save: Save) -> None:
    """Before the log is read."""
    save(wave(250), "log.csv")
    complaint = refused(2, "train", "log.csv", *FAST, "--max-minutes", minutes)
    assert "--max-minutes" in complaint
