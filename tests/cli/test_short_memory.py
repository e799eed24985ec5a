"""A GPU whose memory is short: smaller pieces, the same work, and a word about it."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from polars.testing import assert_frame_equal

from aster_cli.logs import read_scores
from aster_cli.model.aster import AsterNetwork
from tests.cli.conftest import FAST, Aster, Save
from tests.tiny_detector import wave

Limit = Callable[[str, int], None]


@pytest.fixture
def limit(monkeypatch: pytest.MonkeyPatch) -> Limit:
    """Let a method of the network fail, as CUDA does, on more than so many windows."""

    def install(name: str, holds: int) -> None:
        method = getattr(AsterNetwork, name)

        def limited(self, window, *others):
            if len(window) > holds and (self.training or name == "forward"):
                raise torch.OutOfMemoryError("CUDA out of memory")
            return method(self, window, *others)

        monkeypatch.setattr(AsterNetwork, name, limited)

    return install


def test_scoring_goes_on_in_smaller_batches_and_says_so_once(
    model: Path, save: Save, aster: Aster, limit: Limit
) -> None:
    """The batch shape is recorded because bits depend on it: whoever compares bits has to know."""
    log = save(wave(400), "log.csv")
    ended = aster("score", log, "-m", model, "-o", "whole.parquet")
    assert "as the model was calibrated" not in ended.err
    limit("forward", 10)
    ended = aster("score", log, "-m", model, "-o", "pieces.parquet")
    assert ended.code == 0
    (note,) = [line for line in ended.err.splitlines() if "as the model was calibrated" in line]
    assert note.startswith("note: scored in fp32 on cpu, 8 windows a batch, 1 thread, not in fp32 ")
    whole, pieces = map(read_scores, ("whole.parquet", "pieces.parquet"))
    assert_frame_equal(pieces, whole, rel_tol=1e-4)
    ended = aster("score", log, "-m", model, "--state", "state", "-o", "scores")
    assert ended.err.count("as the model was calibrated") == 1


def test_training_goes_on_in_smaller_pieces_and_the_model_says_so(
    save: Save, aster: Aster, limit: Limit
) -> None:
    """Trained elsewhere, the same call gives other weights: whoever asks why finds it in the card."""
    log = save(wave(400), "log.csv")
    limit("compare", 8)
    ended = aster("train", log, "-o", "m.aster", *FAST)
    assert ended.code == 0
    note = "the memory of cpu does not hold the 32 windows of a step: they were taken 8 at a time"
    assert ended.err.count(note) == 1
    assert note in " ".join(aster("inspect", "m.aster").out.split())
