"""``--compile``: other kernels, the same detector and the same scores but for rounding."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from safetensors.numpy import load_file

from aster_cli.checkpoint import read_card
from tests.cli.conftest import FAST, Aster, Ended, Save, start
from tests.tiny_detector import wave

has_compiler = pytest.mark.skipif(shutil.which("g++") is None, reason="there is no g++")
TOLERANCE = 1e-4
"""Of scores, relative where they are above 1, and of weights after two steps: in float32."""

Refused = Callable[..., str]


@pytest.fixture(autouse=True)
def kernels(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Kernels go where those of the other tests are: what all begin with takes ten seconds."""
    place = tmp_path_factory.getbasetemp() / "kernels"
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(place))


def run(*args: object, **variables: str) -> Ended:
    """The command in a process of its own: tests check shapes here, and torch cannot see through that."""
    process = start(*args, env=os.environ | variables)
    out, err = process.communicate()
    return Ended(process.returncode, out, err)


@pytest.mark.slow
@has_compiler
def test_scores_are_the_same_but_for_rounding_and_it_is_said(
    model: Path, aster: Aster, save: Save
) -> None:
    """Alarms must not depend on how fast they are found."""
    log = save(wave(300, seed=1, spike=True), "live.parquet")
    assert aster("score", log, "-m", model, "-o", "plain.parquet").code == 0
    ended = run("score", log, "-m", model, "-o", "compiled.parquet", "--compile")
    assert ended.code == 0, ended.err
    (note,) = [line for line in ended.err.splitlines() if line.startswith("note: scored in")]
    assert "1 thread, compiled, not in fp32 on cpu" in note
    plain, compiled = pl.read_parquet("plain.parquet"), pl.read_parquet("compiled.parquet")
    np.testing.assert_allclose(compiled["score"], plain["score"], rtol=TOLERANCE, atol=TOLERANCE)
    assert compiled["is_anomaly"].to_list() == plain["is_anomaly"].to_list()
    assert plain["is_anomaly"].any()


@pytest.mark.slow
@has_compiler
def test_a_compiled_training_comes_to_a_detector_like_any(aster: Aster, save: Save) -> None:
    """It draws the same numbers; and it is calibrated as it will score, which is not compiled."""
    log = save(wave(300), "log.csv")
    assert aster("train", log, *FAST, "-o", "plain.aster").code == 0
    ended = run("train", log, *FAST, "-o", "compiled.aster", "--compile")
    assert ended.code == 0, ended.err
    plain, compiled = (
        load_file(Path(name, "weights.safetensors")) for name in ("plain.aster", "compiled.aster")
    )
    for name, expected in plain.items():
        np.testing.assert_allclose(compiled[name], expected, rtol=0.0, atol=TOLERANCE, err_msg=name)
    card = read_card(Path("compiled.aster"))
    assert card.config.training.compile
    assert "trained in kernels of torch.compile" in card.training.notes
    ended = aster("score", log, "-m", "compiled.aster", "-o", "scores.csv")
    assert (ended.code, "scored in" in ended.err) == (0, False)


@pytest.mark.slow
def test_without_a_compiler_it_is_refused(model: Path, save: Save) -> None:
    """Going on without would be a silent fallback, and going on with it a traceback."""
    log = save(wave(300), "log.csv")
    for args in (
        ("train", log, *FAST, "-o", "m.aster"),
        ("score", log, "-m", model, "-o", "s.csv"),
    ):
        ended = run(*args, "--compile", "-q", CXX="/nowhere/g++")
        assert ended.code == 2
        assert "--compile: torch.compile does not work here (InvalidCxxCompiler" in ended.complaint
        assert "install what is missing" in ended.complaint
    assert [path.name for path in Path().iterdir()] == ["log.csv"]


@pytest.mark.parametrize(
    ("against", "problem"),
    [
        (("--state", "s", "-o", "scores"), "--compile: means nothing with --state"),
        (("--engine", "ray", "-o", "s.csv"), "--compile: is not there with --engine ray"),
    ],
)
def test_runs_that_are_short_are_not_compiled(
    against: tuple[str, ...], problem: str, refused: Refused, save: Save
) -> None:
    """Kernels take longer than such a run."""
    log = save(wave(40), "log.csv")
    assert problem in refused(2, "score", log, "-m", "m.aster", "--compile", *against)
