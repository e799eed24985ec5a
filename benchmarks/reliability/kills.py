"""`kill -9` of `train` and `score` at every write point, or at random ones and at any time; then once more.

Done again, a run has to end as if it had never been killed.
"""

import random
import shutil
import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

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

Kill = Callable[[Ended], dict[str, Any]]
"""When to kill a run, as arguments of `aster`, from how it usually ends."""

Check = Callable[[Path], None]


def run(
    folder: Path, *, train: int, score: int, every: bool, only: str, seed: int
) -> dict[str, object]:
    """Kill so many runs of either command, or one at every write point of theirs.

    Of those drawn half die at a write point, half at a random time; a third of them are killed once
    more when they are done again.

    Raises:
        DamagedError: A run done again does not equal the undisturbed one, or something was half-written.
    """
    draw = random.Random(seed)
    base = set_up(folder / "base")
    found: Counter[str] = Counter()
    scorings = _scorings(base, folder, found)
    trainings = _trainings(base, folder, found)
    if every:
        for trial in (one for one in (*scorings, *trainings) if one.name.startswith(only)):
            for point in range(trial.usual.points):
                require(bool(trial.run([_at(point)])), f"{trial.name} came to no point {point}")
            sys.stderr.write(f"{trial.name}: {trial.usual.points} write points\n")
    else:
        for trials, kills in ((scorings, score), (trainings, train)):
            met: Counter[str] = Counter()
            while sum(met.values()) < kills:
                again = draw.random() < 1 / 3
                met += draw.choice(trials).run([_drawn(draw) for _ in range(1 + again)])
    return {"kills": dict(found)}


def _at(point: int) -> Kill:
    return lambda usual: {"kill_at": point}


def _drawn(draw: random.Random) -> Kill:
    """At a write point, or at any time."""
    if draw.random() < 0.5:
        return lambda usual: {"kill_at": draw.randrange(usual.points)}
    return lambda usual: {"kill_after": draw.random() * usual.seconds}


@dataclass(frozen=True, slots=True)
class _Trial:
    """A run that is killed, again and again.

    Attributes:
        name: What it is called in the figures.
        arguments: Of the command.
        before: The folder as the run finds it.
        usual: How it ends undisturbed.
        require_whole: Refuses what a killed run must not have left.
        require_done: Refuses what a run that was done again must not have left.
        folder: Where it is tried.
        found: Takes the figures.
    """

    name: str
    arguments: tuple[object, ...]
    before: Path
    usual: Ended
    require_whole: Check
    require_done: Check
    folder: Path
    found: Counter[str]

    def run(self, kills: list[Kill]) -> Counter[str]:
        """Kill it so often, then do it again; returns the kills that were in time."""
        place = copied(self.before, self.folder)
        met: Counter[str] = Counter()
        for kill in kills:
            when = kill(self.usual)
            ended = aster(place, *self.arguments, **when)
            if ended.code == KILLED:
                how = "at a write point" if "kill_at" in when else "at a random time"
                met[f"{self.name} killed {how}"] += 1
            else:
                require(ended.code == 0, f"{self.name} ended with {ended.code}: {ended.err}")
                self.found[f"{self.name} ended before"] += 1
            self.require_whole(place)
        ended = aster(place, *self.arguments)
        require(ended.code == 0, f"done again {self.name} ended with {ended.code}: {ended.err}")
        require("Traceback" not in ended.err, ended.err)
        self.require_done(place)
        self.found.update(met)
        self.found[f"{self.name} done again"] += 1
        shutil.rmtree(place)
        return met


def _scorings(base: Path, folder: Path, found: Counter[str]) -> list[_Trial]:
    """A scoring in one go, and the steps of one with a state, one after the other."""
    name, place = "score -o FILE", folder / "trial"
    arguments = ("score", "log0.csv", "-m", "m.aster", "-o", "scores.csv", "-q")
    before = copied(base, folder / "before")
    usual = aster(base, *arguments)
    require(usual.code == 0, usual.err)
    found[f"write points of {name}"] = usual.points
    whole, done = _of_file((base / "scores.csv").read_bytes())
    trials = [_Trial(name, arguments, before, usual, whole, done, place, found)]
    for step in range(len(ROWS)):
        before = copied(base, folder / f"before{step}")
        usual = aster(base, *score_step(step))
        require(usual.code == 0, usual.err)
        found["write points of score"] += usual.points
        old, new = parts_in(before / "scores"), parts_in(base / "scores")
        whole, done = _of_parts(old, new)
        trials.append(_Trial("score", score_step(step), before, usual, whole, done, place, found))
    return trials


def _of_file(scores: bytes) -> tuple[Check, Check]:
    def whole(place: Path) -> None:
        file = place / "scores.csv"
        require(not file.exists() or file.read_bytes() == scores, "scores.csv is half-written")

    def done(place: Path) -> None:
        require((place / "scores.csv").read_bytes() == scores, "other scores")
        require(not list(place.glob(".scores.csv.*")), "a hidden file is left")

    return whole, done


def _of_parts(old: dict[str, str], new: dict[str, str]) -> tuple[Check, Check]:
    def whole(place: Path) -> None:
        for name, part in parts_in(place / "scores").items():
            if name in old or name in new:
                require(part in (old.get(name), new.get(name)), f"{name} is half-written")
            else:  # one that a compaction was about to take in; Polars is not to run before a fork
                ended = (place / "scores" / name).read_bytes().endswith(b"PAR1")
                require(ended, f"{name} is half-written")

    def done(place: Path) -> None:
        require(parts_in(place / "scores") == new, "other scores")
        left = {path.name for path in (*(place / "scores").iterdir(), *(place / "state").iterdir())}
        require(left == {*new, "_dataset.json", "lock", "state.safetensors"}, str(left))

    return whole, done


def _trainings(base: Path, folder: Path, found: Counter[str]) -> list[_Trial]:
    """A training of a new model, one that replaces a model, and one with a detector a machine."""
    start = folder / "untrained"
    start.mkdir()
    for name in KEPT - {"m.aster"}:
        if (base / name).is_dir():
            shutil.copytree(base / name, start / name)
        else:
            shutil.copy(base / name, start / name)
    older = copied(start, folder / "older")
    require(aster(older, *TRAIN, "--seed", 1).code == 0, "the older model was not trained")
    trials = []
    for name, before, arguments in (
        ("train", start, TRAIN),
        ("train over a model", older, (*TRAIN, "--steps", 1)),
        ("train --per-id", start, (*TRAIN, "--steps", 1, "--per-id")),
    ):
        undisturbed = copied(before, folder / "undisturbed")
        usual = aster(undisturbed, *arguments)
        require(usual.code == 0, usual.err)
        found[f"write points of {name}"] = usual.points
        old, new = files_of(before / "m.aster"), files_of(undisturbed / "m.aster")
        require(old != new, "two seeds gave the same model")
        whole, done = _of_model(old, new)
        place = folder / "trial"
        trials.append(_Trial(name, arguments, before, usual, whole, done, place, found))
    return trials


def _of_model(old: dict[str, str], new: dict[str, str]) -> tuple[Check, Check]:
    def whole(place: Path) -> None:
        require(files_of(place / "m.aster") in (old, new), "the model is half-written")

    def done(place: Path) -> None:
        require(files_of(place / "m.aster") == new, "another model")
        left = {path.name for path in place.iterdir()}
        require(left == KEPT, f"left behind: {left - KEPT}")

    return whole, done
