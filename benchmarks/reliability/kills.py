"""`kill -9` at write points and at random times of `train` and `score`; then the run is done again."""

import random
import shutil
from collections import Counter
from pathlib import Path

from benchmarks.reliability.processes import KILLED, Ended, aster
from benchmarks.reliability.scenes import (
    ROWS,
    TRAIN,
    copied,
    files_of,
    parts_in,
    require,
    score_step,
    set_up,
)

KEPT = {"llm", "log.csv", "m.aster", *(f"log{step}.csv" for step in range(len(ROWS)))}


def run(folder: Path, *, train: int, score: int, seed: int) -> dict[str, object]:
    """Kill so many runs of either command.

    Half of them die at a write point, half at a random time; a third of those are killed once more
    when they are done again.

    Raises:
        DamagedError: A run done again does not equal the undisturbed one, or something was half-written.
    """
    draw = random.Random(seed)
    base = set_up(folder / "base")
    found: Counter[str] = Counter()
    _kill_scores(base, folder, score, draw, found)
    _kill_trainings(base, folder, train, draw, found)
    return {"kills": dict(found)}


def _killed(
    folder: Path,
    arguments: tuple[object, ...],
    usual: Ended,
    draw: random.Random,
    found: Counter[str],
) -> None:
    """Run and kill; it may have ended before."""
    command = str(arguments[0])
    if draw.random() < 0.5:
        ended = aster(folder, *arguments, kill_at=draw.randrange(usual.points))
        how = "at a write point"
    else:
        ended = aster(folder, *arguments, kill_after=draw.random() * usual.seconds)
        how = "at a random time"
    if ended.code == KILLED:
        found[f"{command} killed {how}"] += 1
    else:
        require(ended.code == 0, f"{command} ended with {ended.code}: {ended.err}")
        found[f"{command} ended before"] += 1


def _again(folder: Path, arguments: tuple[object, ...], found: Counter[str]) -> None:
    """The same run once more, undisturbed."""
    ended = aster(folder, *arguments)
    found[f"{arguments[0]} done again"] += 1
    require(ended.code == 0, f"done again it ended with {ended.code}: {ended.err}")
    require("Traceback" not in ended.err, ended.err)


def _kill_scores(
    base: Path, folder: Path, kills: int, draw: random.Random, found: Counter[str]
) -> None:
    before, after, usual = [], [], []
    for step in range(len(ROWS)):
        before.append(copied(base, folder / f"before{step}"))
        usual.append(aster(base, *score_step(step)))
        require(usual[-1].code == 0, usual[-1].err)
        after.append(parts_in(base / "scores"))
    whole = aster(base, "score", f"log{len(ROWS) - 1}.csv", "-m", "m.aster", "-o", "whole.parquet")
    require(whole.code == 0, whole.err)
    found["write points of score"] = sum(ended.points for ended in usual)
    while (
        sum(found[f"score killed {how}"] for how in ("at a write point", "at a random time"))
        < kills
    ):
        step = draw.randrange(len(ROWS))
        trial = copied(before[step], folder / "trial")
        old = parts_in(trial / "scores")
        for _ in range(1 + (draw.random() < 1 / 3)):
            _killed(trial, score_step(step), usual[step], draw, found)
            for name, part in parts_in(trial / "scores").items():
                require(part in (old.get(name), after[step].get(name)), f"{name} is half-written")
        _again(trial, score_step(step), found)
        require(parts_in(trial / "scores") == after[step], f"other scores after step {step}")
        left = {path.name for path in (*(trial / "scores").iterdir(), *(trial / "state").iterdir())}
        require(left == {*after[step], "_dataset.json", "lock", "state.safetensors"}, str(left))
    shutil.rmtree(folder / "trial", ignore_errors=True)


def _kill_trainings(
    base: Path, folder: Path, kills: int, draw: random.Random, found: Counter[str]
) -> None:
    start = folder / "untrained"
    start.mkdir()
    for name in KEPT - {"m.aster"}:
        if (base / name).is_dir():
            shutil.copytree(base / name, start / name)
        else:
            shutil.copy(base / name, start / name)
    shutil.rmtree(folder / "undisturbed", ignore_errors=True)
    undisturbed = copied(start, folder / "undisturbed")
    usual = aster(undisturbed, *TRAIN)
    require(usual.code == 0, usual.err)
    expected = files_of(undisturbed / "m.aster")
    older = copied(start, folder / "older")
    require(aster(older, *TRAIN, "--seed", 1).code == 0, "the older model was not trained")
    old = files_of(older / "m.aster")
    require(old != expected, "two seeds gave the same model")
    found["write points of train"] = usual.points
    while (
        sum(found[f"train killed {how}"] for how in ("at a write point", "at a random time"))
        < kills
    ):
        replaces = draw.random() < 0.5
        trial = copied(older if replaces else start, folder / "trial")
        allowed = (old, expected) if replaces else ({}, expected)
        for _ in range(1 + (draw.random() < 1 / 3)):
            _killed(trial, TRAIN, usual, draw, found)
            require(files_of(trial / "m.aster") in allowed, "the model is half-written")
        _again(trial, TRAIN, found)
        require(files_of(trial / "m.aster") == expected, "another model")
        left = {path.name for path in trial.iterdir()}
        require(left == KEPT, f"left behind: {left - KEPT}")
    shutil.rmtree(folder / "trial", ignore_errors=True)
