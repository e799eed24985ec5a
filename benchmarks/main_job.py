"""The main job, out of the box: aster's defaults beside kNN and PCA on real and sample logs.

    python benchmarks/main_job.py --output benchmarks/results/main_job.jsonl

Real logs are those of ``../shared/data`` or of ``ASTER_TEST_DATA``; the sample logs are simulated
anew for each seed. One JSON line an entity is appended as it comes, and entities that are there
already are not run again. The table at the end is made from that file alone.
"""

import argparse
import importlib.util
import json
import os
import sys
import tempfile
import time
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

os.environ.setdefault("GOMP_SPINCOUNT", "2000")  # as the command does, before torch

import numpy as np

from aster_cli import Detector, DetectorConfig
from aster_cli.config import ColumnConfig, TimeConfig
from aster_cli.evaluation.comparison import compare, compare_baseline, segments, truth_of
from aster_cli.logs import open_log

ROOT = Path(__file__).parents[1]
DATA = Path(os.environ.get("ASTER_TEST_DATA", ROOT.parent / "shared" / "data"))
PEERS = ("knn", "pca")
FIGURES = ("AUC-ROC", "AUC-PR", "VUS-ROC", "VUS-PR", "Event-Recall", "False-Alarm-Rate")


@dataclass(frozen=True)
class Entity:
    """A normal log to train on, and a labelled one."""

    name: str
    normal: Path
    live: Path
    columns: ColumnConfig


def main() -> None:
    """Run what is asked for and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=Path, default=ROOT / "benchmarks/results/main_job.jsonl")
    parser.add_argument("--only", help="entities whose name starts with this")
    parser.add_argument("--seeds", type=int, nargs="*", default=[7, 8, 9], help="of the simulator")
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    arguments.output.parent.mkdir(parents=True, exist_ok=True)
    done = _read(arguments.output)
    with tempfile.TemporaryDirectory() as folder:
        for entity in _entities(Path(folder), arguments.seeds):
            wanted = entity.name.startswith(arguments.only or "")
            if not wanted or any(result["entity"] == entity.name for result in done):
                continue
            result = _run(entity)
            done.append(result)
            with arguments.output.open("a", encoding="utf-8") as file:
                file.write(json.dumps(result) + "\n")
            sys.stderr.write(f"{entity.name}: {result['aster']['AUC-ROC']:.3f}\n")
    sys.stdout.write(_table(done))


def _entities(folder: Path, seeds: list[int]) -> Iterator[Entity]:
    simulator = _load(ROOT / "sample_data" / "simulate.py")
    for seed in seeds:
        target = folder / str(seed)
        target.mkdir()
        normal, live, _ = simulator.write(simulator.simulate(seed), target)
        yield Entity(f"sample/seed-{seed}", normal, live, ColumnConfig(id_cols=("pump",)))
    if not DATA.is_dir():
        sys.stderr.write(f"no real logs: {DATA} is not there\n")
        return
    for live in sorted(DATA.glob("*/*/test.parquet")):
        if live.parts[-3] == "BATADAL" or live.parts[-2].startswith("valve1-"):
            name = "/".join(live.parts[-3:-1])
            yield Entity(name, live.with_name("train.parquet"), live, ColumnConfig())


def _run(entity: Entity) -> dict[str, Any]:
    """Train, score and judge; peers learn from the same normal rows."""
    start = time.perf_counter()
    detector = Detector.fit(entity.normal, DetectorConfig(columns=entity.columns))
    trained = time.perf_counter()
    scores = detector.score(entity.live)
    scored = time.perf_counter()
    with open_log([str(entity.normal)], entity.columns, TimeConfig()) as log:
        normal, schema = segments(log), log.schema
    with open_log([str(entity.live)], entity.columns, TimeConfig(), expected=schema) as log:
        truth, live = truth_of(log), segments(log)
    return {
        "entity": entity.name,
        "train_seconds": round(trained - start, 1),
        "score_seconds": round(scored - trained, 1),
        "aster": compare(truth, scores).to_dict(),
        **{p: compare_baseline(p, truth, normal, live, seed=0).to_dict() for p in PEERS},
    }


def _table(results: list[dict[str, Any]]) -> str:
    """Means over the entities of each source, in Markdown."""
    lines = [
        "| logs | detector | " + " | ".join(FIGURES) + " | training s |",
        "|---|---|" + "---|" * (len(FIGURES) + 1),
    ]
    for source in sorted({result["entity"].split("-")[0] for result in results}):
        own = [r for r in results if r["entity"].split("-")[0] == source]
        for detector in ("aster", *PEERS):
            cells = []
            for figure in FIGURES:
                values = [r[detector][figure] for r in own if r[detector].get(figure) is not None]
                cells.append(f"{np.mean(values):.3f}" if values else "-")
            seconds = (
                f"{np.mean([r['train_seconds'] for r in own]):.0f}" if detector == "aster" else ""
            )
            cells.append(seconds)
            lines.append(f"| {source} ({len(own)}) | {detector} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def _read(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []


def _load(path: Path) -> ModuleType:
    """The simulator, which is a script and no package."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None:
        raise FileNotFoundError(path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module
    spec.loader.exec_module(module)
    return module


if __name__ == "__main__":
    main()
