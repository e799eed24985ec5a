"""A log scored in thousands of runs with faults in them, in one process and as whole processes."""

import csv
import os
import random
import resource
import shutil
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import polars as pl

from aster_cli import Detector
from aster_cli.cli.resuming import Resumption, resume
from aster_cli.cli.showing import Journal
from aster_cli.config import AlertRule, ColumnConfig, DetectorConfig, ModelConfig, TrainingConfig
from aster_cli.errors import StorageError
from aster_cli.logs import open_log, read_scores
from aster_cli.logs.dataset import parts_of
from benchmarks.reliability.scenes import log_row, require, write_log, write_rows
from tests.tiny_backbone import write_tiny_backbone

MACHINES = ("a", "b", "new")  # training has not seen the last
DELAY = 10  # minutes
MINUTES = 3  # of a run, at most
GAP = 12  # minutes
LONGEST = MINUTES + GAP
PAIRS = 60  # of runs, with the old state and with a new one
CALLS = ("replace", "fsync", "unlink", "ftruncate", "open", "mkdir")
FAULTS = 0.3  # of the runs
COMPACTED = 100  # runs from one compaction to the next

Row = list[object]


class KilledError(BaseException):
    """Stands for a process that is no more."""


def run(folder: Path, *, runs: int, processes: int, seed: int) -> dict[str, object]:
    """Score a growing log in so many runs, of which some are processes of their own.

    Rows come jittered by up to the delay, some of them twice, after gaps, and far too late.

    Raises:
        DamagedError: The rows are not those of a single run, or a run takes more as time goes on.
    """
    draw = random.Random(seed)
    folder.mkdir(parents=True, exist_ok=True)
    detector = _train(folder)
    whole_processes = set(draw.sample(range(runs), processes))
    met: Counter[str] = Counter()
    taken = 0
    write_rows(folder / "taken.csv", ())  # not in memory, which is measured
    seconds, memory = [], []
    for number, (rows, kept) in enumerate(_deliveries(draw, runs)):
        write_rows(folder / "live.csv", rows)
        taken += len(kept)
        write_rows(folder / "taken.csv", kept, more=True)
        compact = number % COMPACTED == COMPACTED - 1
        if number in whole_processes:
            _as_process(folder, compact, draw, met)
            continue
        begun = time.process_time()
        _in_process(folder, detector, compact, draw, met)
        seconds.append(time.process_time() - begun)
        memory.append(_resident())
    lost, doubled, different = _compared(folder, detector)
    require((lost, doubled, different) == (0, 0, 0), f"{lost} lost, {doubled} doubled")
    settled = len(seconds) // 10  # caches and allocators fill first
    return {
        "runs": runs,
        "faults": dict(met),
        "rows": taken,
        "lost": lost,
        "doubled": doubled,
        "different": different,
        "cpu_ms_a_run_by_tenth": [round(1e3 * ms, 1) for ms in _by_tenth(seconds)],
        "cpu_to_that_of_a_new_state": round(_to_new(folder, detector, LONGEST * runs), 3),
        "mb_by_tenth": [round(mb / 1e6, 1) for mb in _by_tenth(memory)],
        "ms_a_thousand_runs_more": round(1e6 * _slope(seconds[settled:]), 1),
        "mb_a_thousand_runs_more": round(1e-3 * _slope(memory[settled:]), 1),
        "mb_highest": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3, 1),
    }


def _train(folder: Path) -> Detector:
    write_tiny_backbone(folder / "llm")
    write_log(folder / "log.csv", 200, machines=MACHINES[:2])
    config = DetectorConfig(
        columns=ColumnConfig(id_cols=("unit",)),
        model=ModelConfig(window_size=8, backbone=str(folder / "llm"), backbone_layers=2),
        training=TrainingConfig(steps=4, precision="fp32"),
    )
    detector = Detector.fit(folder / "log.csv", config)
    detector.save(folder / "m.aster", force=True)
    return Detector.load(folder / "m.aster")


def _deliveries(draw: random.Random, runs: int) -> Iterator[tuple[list[Row], list[Row]]]:
    """What each run is given, and what of it counts: rows that come too late do not."""
    minute = 0
    held: list[tuple[int, Row]] = []
    too_late: list[tuple[int, Row]] = []
    before: list[Row] = []
    for number in range(runs):
        gap = not held and draw.random() < 0.05  # it ends windows
        for step in range(draw.randint(1, MINUTES)):
            minute += GAP if gap and step == 0 else 1
            held += [(minute, log_row(minute, machine)) for machine in MACHINES]
        # a row comes while none can have come that is the delay younger, in whatever order
        oldest = minute - DELAY + MINUTES
        everything = number in (0, runs - 1) or draw.random() < 0.1
        due = [item for item in held if everything or item[0] <= oldest or draw.random() < 0.7]
        held = [item for item in held if item not in due]
        draw.shuffle(due)
        if len(due) > 1 and draw.random() < 0.03:
            too_late.append(due.pop())
        rows = [row for _, row in due]
        extra = draw.sample(before, min(len(before), 2)) if not rows or draw.random() < 0.2 else []
        stale = [item for item in too_late if item[0] < minute - 3 * DELAY]
        too_late = [item for item in too_late if item not in stale]
        yield rows + extra + [row for _, row in stale], rows
        before = (before + rows)[-6:]


def _asked(folder: Path, compact: bool) -> Resumption:
    model = folder / "m.aster"
    return Resumption(
        model=model,
        model_id=_model_id(model),
        state=folder / "state",
        target=folder / "scores",
        delay=DELAY * 60.0,
        rescore=False,
        compact=compact,
        device="cpu",
        rule=AlertRule(),
    )


def _model_id(model: Path) -> str:
    from aster_cli.checkpoint import read_card

    return read_card(model).manifest.model_id


def _in_process(
    folder: Path,
    detector: Detector,
    compact: bool,
    draw: random.Random,
    met: Counter[str],
    *,
    faults: float = FAULTS,
) -> None:
    made = detector.checkpoint
    open_it = partial(
        open_log,
        [str(folder / "live.csv")],
        made.config.columns,
        made.config.time,
        expected=made.schema.log,
    )
    asked = _asked(folder, compact)
    journal = Journal("text", no_color=True, quiet=True, json=False)
    # the one thing that is not as in a process: the model is read once
    with patch.object(Detector, "load", lambda path: detector):
        while draw.random() < faults:
            error: BaseException
            kind = draw.choice(("killed", "disk full", "input/output error"))
            match kind:
                case "killed":
                    error = KilledError()
                case "disk full":
                    error = OSError(28, "No space left on device")
                case _:
                    error = OSError(5, "Input/output error")
            with _failing(draw.randrange(14), error):
                try:
                    resume(asked, open_it, journal)
                    met["ended before the fault"] += 1
                    return
                except (KilledError, StorageError, OSError):
                    met[kind] += 1
        resume(asked, open_it, journal)


@contextmanager
def _failing(at: int, error: BaseException) -> Iterator[None]:
    """Let a call that changes files fail, the one of this number; a killed process does no more."""
    calls = 0

    def counted(real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **more: Any) -> Any:
            nonlocal calls
            calls += 1
            if calls == at + 1 or (calls > at and isinstance(error, KilledError)):
                raise error
            return real(*args, **more)

        return call

    with ExitStack() as patches:
        for name in CALLS:
            patches.enter_context(patch.object(os, name, counted(getattr(os, name))))
        yield


def _as_process(folder: Path, compact: bool, draw: random.Random, met: Counter[str]) -> None:
    """A run as cron has it; now and then one that is killed, and the one after it."""
    command = [
        sys.executable, "-m", "aster_cli", "score", "live.csv", "-m", "m.aster", "--state", "state",
        "-o", "scores", "--delay", f"{DELAY}min", "-q", *(("--compact",) if compact else ()),
    ]  # fmt: skip
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    if draw.random() < FAULTS:
        process = subprocess.Popen(command, cwd=folder, env=environment)
        try:
            process.wait(draw.uniform(1.0, 8.0))
            met["process ended before it was killed"] += 1
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            met["process killed"] += 1
    subprocess.run(command, cwd=folder, env=environment, check=True)


def _to_new(folder: Path, detector: Detector, begin: int) -> float:
    """The processor time of a run with the old state, as a share of one with a new state.

    Both score the same new rows in turn, so what else the machine does weighs on both.

    Args:
        folder: Of the soak.
        detector: Its detector.
        begin: The minute of the first of these rows.
    """
    new = folder / "new"
    new.mkdir()
    shutil.copytree(folder / "m.aster", new / "m.aster")
    taken: dict[Path, list[float]] = {folder: [], new: []}
    for minute in range(begin, begin + 2 * PAIRS, 2):
        rows = [log_row(minute + more, machine) for more in range(2) for machine in MACHINES]
        for place, seconds in taken.items():
            write_rows(place / "live.csv", rows)
            begun = time.process_time()
            _in_process(place, detector, False, random.Random(0), Counter(), faults=0.0)
            seconds.append(time.process_time() - begun)
    old, fresh = (np.median(seconds[PAIRS // 4 :]) for seconds in taken.values())
    return float(old / fresh)


def _by_tenth(values: Sequence[float]) -> list[float]:
    """The median of every tenth of the runs."""
    return [float(np.median(tenth)) for tenth in np.array_split(np.asarray(values), 10)]


def _slope(values: Sequence[float]) -> float:
    """How much a value grows from one run to the next: the median of the slopes of all its pairs.

    Theil and Sen's, which a few slow runs do not move; 0 where there are no two.
    """
    if len(values) < 2:
        return 0.0
    first, second = np.triu_indices(len(values), k=1)
    rises = np.asarray(values, float)
    return float(np.median((rises[second] - rises[first]) / (second - first)))


def _resident() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize()


def _compared(folder: Path, detector: Detector) -> tuple[int, int, int]:
    """Rows that are missing, final twice, or other than in a single run over all of them."""
    whole_log = folder / "whole.csv"
    with (folder / "taken.csv").open(newline="") as file:
        _, *taken = csv.reader(file)
    write_rows(whole_log, sorted(taken, key=lambda row: (row[0], row[1])))
    whole = detector.score(whole_log).drop("status")
    found = read_scores(str(folder / "scores")).drop("status")
    written = pl.concat(map(pl.read_parquet, parts_of(folder / "scores")))
    final = written.filter(pl.col("status") != "provisional")
    key = ["timestamp", "unit"]
    whole, found = whole.sort(key), found.sort(key)
    lost = len(whole.join(found, on=key, how="anti"))
    doubled = len(final) - len(final.unique(key))
    same = len(whole) == len(found) and whole.equals(found)
    return lost, doubled, 0 if same else _differing(whole, found, key)


def _differing(whole: pl.DataFrame, found: pl.DataFrame, key: list[str]) -> int:
    joined = whole.join(found, on=key, suffix="_now")
    return len(joined.filter(~pl.col("score").eq_missing(pl.col("score_now")))) or 1
