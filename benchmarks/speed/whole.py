"""All of `aster score`, sensors blamed, beside the network alone on the same windows.

Both run in one process, in turn. What a log of two windows takes is taken off the command's time: reading
the model, and whatever else is done once.
"""

import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from statistics import median

import numpy as np
import torch

from aster_cli import Detector
from aster_cli.assembly import Blueprint, Trained
from aster_cli.cli import app
from aster_cli.windows import sliding, window_starts
from benchmarks.speed.calls import call
from benchmarks.speed.logs import waves, write_log

ROWS, SENSORS = 20_000, 8


def measure_whole(folder: Path, rounds: int = 3) -> str:
    """Score, and pass the same windows through the network; return a sentence in Markdown."""
    torch.set_num_threads(1)
    train = write_log(folder / "train.parquet", 4000, SENSORS)
    model = folder / "whole.aster"
    call("-m", "aster_cli", "train", train, "-o", model, "--steps", 20, "-q")
    log = write_log(folder / "live.parquet", ROWS, SENSORS, seed=1)
    few = write_log(folder / "few.parquet", 64, SENSORS, seed=1)
    detector = Detector.load(model)
    alone = _forward(detector)
    taken = []
    for _ in range(rounds + 1):
        start = _seconds(lambda: _score(few, model))
        taken.append((_seconds(lambda: _score(log, model)) - start, _seconds(alone)))
    whole, bare = (median(column) for column in zip(*taken[1:], strict=True))
    schema, scoring = detector.checkpoint.schema, detector.checkpoint.scoring
    return (
        f"All of `aster score` on {ROWS:,} rows, start apart, takes **{whole / bare:.2f} times** as "
        f"long as the network alone on the same windows ({whole:.1f} s, {bare:.1f} s; {scoring.precision}, "
        f"windows of {schema.window_size} rows, stride {schema.stride})."
    )


def _score(log: Path, model: Path) -> None:
    where = str(log.with_suffix(".scores.parquet"))
    with suppress(SystemExit):  # the code is 0, or the scores would not be there
        app(["score", str(log), "-m", str(model), "-o", where, "-q"])
    if not Path(where).is_file():
        raise SystemExit("`aster score` has failed")


def _seconds(do: Callable[[], object]) -> float:
    since = time.process_time()
    do()
    return time.process_time() - since


def _forward(detector: Detector) -> Callable[[], None]:
    """The network over the windows that scoring takes, in the same batches and precision."""
    made = detector.checkpoint
    blueprint = Blueprint(
        made.config.model, SENSORS, made.backbone, made.scoring, torch.device("cpu")
    )
    reader = blueprint.reader(Trained(made.adapter, made.weights))
    network, normal = reader._network, reader._normal
    values = waves(np.arange(ROWS), SENSORS, np.random.default_rng(1))
    scaled = made.scaling.scale(values.astype(np.float64), ())
    size = made.schema.window_size
    windows = torch.from_numpy(sliding(scaled, size)[window_starts(ROWS, size, made.schema.stride)])

    @torch.inference_mode()
    def forward() -> None:
        for batch in torch.split(windows, made.scoring.batch_windows):
            network(batch, normal.novelty(batch).together)

    return forward
