"""One machine: a detector trained, and every event's sensors ranked."""

from pathlib import Path

import msgspec
import numpy as np
import polars as pl

from aster_cli import Detector, DetectorConfig
from aster_cli.logs import open_log
from benchmarks.attribution.events import METRICS, caused_events, measure
from benchmarks.attribution.rankings import (
    OURS,
    POOLS,
    candidate_evidence,
    own_evidence,
    simple_evidence,
)
from benchmarks.attribution.results import DRAWS, RANDOM, EventResult, MachineResult
from benchmarks.detection.entities import Entity


def trained(entity: Entity, backbone: str, models: Path | None) -> Detector:
    """A detector with the defaults; from `models`, where it is kept there."""
    kept = None if models is None else models / f"{entity.name}__{backbone}.aster"
    if kept is not None and kept.is_dir():
        return Detector.load(kept)
    config = DetectorConfig()
    model = msgspec.structs.replace(config.model, backbone=backbone)
    detector = Detector.fit(entity.train, msgspec.structs.replace(config, model=model))
    if kept is not None:
        detector.save(kept)
    return detector


def run(entity: Entity, detector: Detector) -> MachineResult:
    """Rank the sensors of every event with known causes.

    No label and no cause is seen by anything but the metrics: labels say which rows are an event's,
    whatever the detector makes of them.
    """
    made = detector.checkpoint
    sensors = made.schema.log.sensors
    test = pl.read_parquet(entity.test)
    labels = test["label"].to_numpy()
    events = caused_events(labels, Path(entity.folder) / "root_causes.csv")
    normal, values = (
        frame.select(sensors).to_numpy().astype(np.float64)
        for frame in (pl.read_parquet(entity.train), test)
    )
    columns, time = made.config.columns, made.config.time
    with open_log([str(entity.test)], columns, time, expected=made.schema.log) as log:
        candidates = candidate_evidence(detector, log, values)
    evidence = {
        OURS: own_evidence(detector, entity.test),
        **simple_evidence(normal, values),
        **candidates,
    }
    rng = np.random.default_rng(0)
    found = []
    for event in events:
        is_cause = np.array([name in event.causes for name in sensors])
        metrics = {
            name: {
                pool: measure(pooled(rows[event.start : event.stop]), is_cause)
                for pool, pooled in POOLS.items()
            }
            for name, rows in evidence.items()
        }
        drawn = [measure(rng.random(len(sensors)), is_cause) for _ in range(DRAWS)]
        metrics[RANDOM] = {"": {m: float(np.mean([one[m] for one in drawn])) for m in METRICS}}
        causes = tuple(sorted(event.causes))
        found.append(
            EventResult(start=event.start, stop=event.stop, causes=causes, metrics=metrics)
        )
    labelled = int((np.diff(labels, prepend=0) == 1).sum())
    return MachineResult(
        entity=entity.key,
        backbone=made.config.model.backbone,
        model_id=detector.model_id,
        sensors=len(sensors),
        unmatched=labelled - len(events),
        events=tuple(found),
    )
