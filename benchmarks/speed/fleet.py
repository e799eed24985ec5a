"""Scoring a fleet on a local cluster of worker processes, beside one process.

Seconds are on the clock, for workers share the cores: nothing else should run. Each figure is of a second
run: in the first one workers start, and import and load what they keep.
"""

import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import polars as pl
import torch
from polars.testing import assert_frame_equal

from aster_cli import Detector
from aster_cli.config import AlertRule
from aster_cli.fleet import FleetScorer
from aster_cli.logs import Log, open_log
from aster_cli.scoring import LogScorer
from benchmarks.speed.logs import write_log

SENSORS = 8
_TRAINING_ROWS = 4000


def measure_fleet(machines: int, rows: int, most_workers: int, backbone: str) -> list[str]:
    """Score so many machines of so many rows each; return a table in Markdown.

    Args:
        machines: Each in a file of its own.
        rows: Of each.
        most_workers: Of the cluster; each of them has one core.
        backbone: Of the detector.
    """
    import ray

    torch.set_num_threads(1)
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    lines = ["| run by | rows a second | of one process |", "|---|---|---|"]
    with TemporaryDirectory() as name:
        folder = Path(name)
        log = write_log(folder / "train.parquet", _TRAINING_ROWS, SENSORS)
        detector = Detector.fit(log, steps=20, backbone=backbone)
        detector.save(folder / "m.aster")
        (folder / "logs").mkdir()
        for number in range(machines):
            write_log(folder / "logs" / f"m{number:04}.parquet", rows, SENSORS, seed=1 + number)
        rule = AlertRule(alert_budget=detector.checkpoint.config.alert.alert_budget)
        made = detector.checkpoint

        def opened() -> Log:
            columns = made.config.columns
            by_file = type(columns)(id_from_path=True)
            return open_log(
                [str(folder / "logs")], by_file, made.config.time, expected=made.schema.log
            )

        def run(scorer: Callable[[Log], LogScorer | FleetScorer]) -> tuple[float, pl.DataFrame]:
            rate, scores = 0.0, pl.DataFrame()
            for _ in range(2):
                since = time.monotonic()
                with opened() as log:
                    scores = pl.concat(scorer(log).tables())
                rate = len(scores) / (time.monotonic() - since)
            return rate, scores

        alone, expected = run(lambda log: detector.scorer(log, "cpu", rule=rule))
        lines.append(_line("one process, one core", alone, alone))
        for workers in range(1, most_workers + 1):
            ray.init(
                num_cpus=workers,
                log_to_driver=False,
                logging_level="ERROR",
                include_dashboard=False,
            )
            rate, scores = run(lambda log: FleetScorer(log, folder / "m.aster", "cpu", rule))
            ray.shutdown()
            assert_frame_equal(scores, expected)
            lines.append(_line(f"workers: {workers}", rate, alone))
    return lines


def _line(who: str, rate: float, alone: float) -> str:
    line = f"| {who} | {rate:,.0f} | {rate / alone:.2f} |"
    sys.stderr.write(f"{line}\n")
    return line
