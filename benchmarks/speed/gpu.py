"""A GPU beside the processor of its machine: training, scoring, their precision, and too little memory.

Seconds here are on the clock, since a GPU's own cannot be told otherwise; so nothing else should run.
"""

import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch

from aster_cli import Detector
from aster_cli.config import ColumnConfig, TimeConfig
from aster_cli.logs import open_log
from aster_cli.model.device import batch_windows, dtype_of
from aster_cli.results import FloatArray
from aster_cli.training import train
from benchmarks.speed.logs import write_log
from benchmarks.speed.training import SENSORS, build, schedule, windows_of_waves

CUDA, CPU = torch.device("cuda"), torch.device("cpu")
_FEW = 2  # threads of the smaller processor
_WIDE = 50  # sensors of the log that memory is too small for

Say = Callable[[str, Any], None]
"""Told a figure's name and the figure, as soon as it is known."""


def measure_gpu(say: Say) -> None:
    """Measure it all.

    Raises:
        SystemExit: There is no GPU here.
    """
    if not torch.cuda.is_available():
        raise SystemExit("there is no CUDA device here: nothing is measured")
    say("gpu", torch.cuda.get_device_name(CUDA))
    say("torch", torch.__version__)
    say("cores", os.cpu_count())
    _measure_training(say)
    with TemporaryDirectory() as name:
        _measure_scoring(Path(name), say)
        _measure_short_memory(Path(name), say)


def _measure_training(say: Say) -> None:
    """Steps a second by language model, device, precision and threads."""
    places = [
        (CUDA, "bf16", 1, 100),
        (CUDA, "fp32", 1, 100),
        (CPU, "bf16", os.cpu_count() or 1, 10),
        (CPU, "bf16", _FEW, 10),
    ]
    for backbone in ("smollm2-135m", "none"):
        for device, precision, threads, steps in places:
            torch.set_num_threads(threads)
            windows, normal = windows_of_waves()
            network = build(8, dtype_of(precision), backbone).to(device)  # type: ignore[arg-type]
            normal = normal.to(device)
            seconds = 0.0
            for count in (4, steps):  # the first ones load what the others use
                since = time.monotonic()
                for _ in train(network, windows, normal, windows.none(), schedule(count), device):
                    pass
                seconds = time.monotonic() - since
            place = f"{device.type}, {precision}, {threads} threads"
            say(f"steps/s, {backbone}, {place}", round(steps / seconds, 1))


def _measure_scoring(folder: Path, say: Say) -> None:
    """Rows a second, and how far scores of one model differ by device."""
    log = write_log(folder / "train.parquet", 4000, SENSORS)
    some = write_log(folder / "some.parquet", 20_000, SENSORS, seed=1)
    many = write_log(folder / "many.parquet", 1_000_000, SENSORS, seed=1)
    for backbone in ("smollm2-135m", "none"):
        for precision in ("bf16", "fp32"):
            since = time.monotonic()
            torch.set_num_threads(os.cpu_count() or 1)
            detector = Detector.fit(log, backbone=backbone, precision=precision, device="cuda")
            say(
                f"seconds of fit, {backbone}, cuda, {precision}", round(time.monotonic() - since, 1)
            )
            scores = {}
            for device, threads, path in (
                (CUDA, os.cpu_count() or 1, some),
                (CUDA, os.cpu_count() or 1, many),
                (CPU, os.cpu_count() or 1, some),
                (CPU, _FEW, some),
            ):
                torch.cuda.reset_peak_memory_stats()
                found, seconds = _score(detector, path, device, threads)
                if path == some:
                    scores[device.type] = found
                rows = f"{len(found):,} rows, {backbone}, {device.type}, {precision}"
                say(f"rows/s, {rows}, {threads} threads", round(len(found) / seconds))
                if path == many:
                    peak = torch.cuda.max_memory_allocated() / 1e6
                    say(f"peak GPU memory, {rows}, MB", round(peak))
            apart = np.abs(scores["cuda"] - scores["cpu"]) / np.maximum(1.0, np.abs(scores["cpu"]))
            say(f"largest relative difference, {backbone}, {precision}", float(apart.max()))


def _measure_short_memory(folder: Path, say: Say) -> None:
    """Score with half of the memory that a batch takes: it is halved, and scores stay."""
    log = write_log(folder / "wide.parquet", 4000, _WIDE)
    detector = Detector.fit(log, backbone="none", device="cuda", steps=20)
    roomy, _ = _score(detector, log, CUDA, 1)
    torch.cuda.empty_cache()
    held = torch.cuda.memory_reserved()
    torch.cuda.reset_peak_memory_stats()
    _score(detector, log, CUDA, 1)
    needed = torch.cuda.max_memory_reserved()
    torch.cuda.empty_cache()
    _, total = torch.cuda.mem_get_info()
    torch.cuda.set_per_process_memory_fraction((held + needed) / 2 / total)
    try:
        with open_log([str(log)], ColumnConfig(), TimeConfig()) as opened:
            scorer = detector.scorer(opened, "cuda")
            tables = list(scorer.tables())
            notes = scorer.notes()
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
    cramped = np.concatenate([table["score"].cast(float).to_numpy() for table in tables])
    say("batch that fits, windows", batch_windows(CUDA, n_tokens=8))
    say("what is said with half the memory", notes)
    say("largest difference with half the memory", float(np.abs(cramped - roomy).max()))


def _score(
    detector: Detector, log: Path, device: torch.device, threads: int
) -> tuple[FloatArray, float]:
    """Scores, and the seconds that they took."""
    with open_log([str(log)], ColumnConfig(), TimeConfig()) as opened:
        since = time.monotonic()
        scorer = detector.scorer(opened, str(device))
        torch.set_num_threads(threads)
        found = [table["score"].cast(float).to_numpy() for table in scorer.tables()]
        return np.concatenate(found), time.monotonic() - since


def run(target: Path | None) -> None:
    """Measure, tell each figure as it comes, and keep them all in a file if one is named."""
    figures: dict[str, Any] = {}

    def say(name: str, figure: Any) -> None:
        figures[name] = figure
        sys.stdout.write(f"| {name} | {figure} |\n")
        sys.stdout.flush()
        if target is not None:
            target.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")

    measure_gpu(say)
