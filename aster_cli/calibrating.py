"""What scores mean, learnt: normal rows read that the network can be asked about honestly.

They are the held-out end of every machine's time, and blocks of what it was trained on, each read
against the stored windows of the others.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from aster_cli.bands import Residuals
from aster_cli.calibration import Calibration, ReadingScale, ScoreTable, evidence, join_readings
from aster_cli.checkpoint import ModelSchema
from aster_cli.config import DetectorConfig
from aster_cli.errors import DataError
from aster_cli.model.neighbours import BLOCK_WINDOWS, NormalWindows
from aster_cli.preparation import FEWEST_WINDOWS, Split
from aster_cli.reading import READINGS, WindowReader
from aster_cli.results import FloatArray, MachineId
from aster_cli.scaling import SensorScaling
from aster_cli.streams import MachineStream
from aster_cli.windows import TrainingWindows

FEW_SCORES = 1000
"""A machine with fewer rows to calibrate on is judged by the pooled score table."""

Readings = dict[MachineId, dict[str, FloatArray]]
"""By machine and by name, a value a row."""


class NormalRows(NamedTuple):
    """Normal rows as the network reads them, and how far off what was expected of them is."""

    readings: Readings
    residuals: Residuals


def open_stream(
    machine: MachineId, scaling: SensorScaling, schema: ModelSchema, config: DetectorConfig
) -> MachineStream:
    """A machine's stream as every scoring, and calibration before it, has it."""
    return MachineStream(
        machine,
        scaling=scaling,
        n_sensors=len(schema.log.sensors),
        size=schema.window_size,
        stride=schema.stride,
        longest=schema.longest_step,
        missing=config.time.missing,
        readings=READINGS,
    )


def read_held_out(
    splits: list[Split],
    reader: WindowReader,
    scaling: SensorScaling,
    schema: ModelSchema,
    config: DetectorConfig,
    name: str,
) -> NormalRows:
    """Read the held-out stretches as any log is read.

    Raises:
        DataError: No held-out row could be scored.
    """
    held_out: Readings = {}
    residuals: dict[MachineId, NDArray[np.float32]] = {}
    for split in splits:
        one = split.calibration
        stream = open_stream(one.machine, scaling, schema, config)
        knee = scaling.knee(one.machine)
        decided = stream.take_in(reader.read(stream.push(one.numbers, one.time, one.values), knee))
        decided += stream.take_in(reader.read(stream.finish(), knee))
        scored = [rows for rows in decided if rows.status == "ok"]
        if scored:
            held_out[one.machine] = {
                name: np.concatenate([rows.readings[name] for rows in scored]) for name in READINGS
            }
            residuals[one.machine] = np.concatenate([r.actual - r.expected for r in scored])
    if not held_out:
        raise DataError(
            f"no machine has {FEWEST_WINDOWS} windows of {schema.window_size} rows, its last "
            "ones without a gap or a missing cell: there is nothing to calibrate on",
            where=name,
            hint="give more rows",
        )
    return NormalRows(held_out, residuals)


def read_blocks(
    reader: WindowReader,
    normal: NormalWindows,
    windows: TrainingWindows,
    stride: int,
) -> NormalRows:
    """Read every block of the training part against the stored windows of the others.

    The end of a log, which is held out, need not have seen all that its normal rows do. Blocks have,
    and what is new in one to all others is an honest novelty. A window stands for its share of rows; of its
    residuals, those of a few rows are kept, a stride apart.
    """
    blocks = normal.blocks(windows)
    found: dict[MachineId, dict[str, list[float]]] = {}
    residuals: dict[MachineId, list[NDArray[np.float32]]] = {}
    for block in blocks if len(blocks) > 1 else []:
        n = min(len(block.inside[::stride]), BLOCK_WINDOWS)
        due = block.inside[np.linspace(0, len(block.inside) - 1, n).round().astype(np.int64)]
        share = round(len(block.inside) / n)
        asked = windows.take(due)
        no_knees = np.ones(asked.shape[2], dtype=np.float32)  # nobody asks for departures here
        read = reader.against(block.others).read(asked, no_knees)
        apart = (asked - read.expected)[:, stride // 2 :: stride]
        for place, machine in enumerate(windows.machines(due)):
            own = found.setdefault(machine, {name: [] for name in READINGS})
            for name in READINGS:
                own[name] += [float(read.rows[name][place].mean())] * share
            residuals.setdefault(machine, []).append(apart[place])
    return NormalRows(
        {
            machine: {name: np.array(values) for name, values in own.items()}
            for machine, own in found.items()
        },
        {machine: np.concatenate(own) for machine, own in residuals.items()},
    )


def calibrate(
    held_out: Readings, blocks: Readings, schema: ModelSchema, config: DetectorConfig
) -> Calibration:
    """Learn what scores mean, from held-out rows and from blocks of the training part.

    The classifier was trained on the blocks, so its scale comes from held-out rows alone.
    """

    def pooled(name: str, *sources: Readings) -> FloatArray:
        return np.concatenate(
            [evidence(rows)[name] for source in sources for rows in source.values()]
        )

    scales = {
        "window": ReadingScale.fit(pooled("window", held_out, blocks)),
        "classifier": ReadingScale.fit(pooled("classifier", held_out)),
    }
    scores: dict[MachineId, list[FloatArray]] = {}
    for source in (held_out, blocks):
        for machine, rows in source.items():
            scores.setdefault(machine, []).append(join_readings(rows, scales))
    joined = {machine: np.concatenate(own) for machine, own in scores.items()}
    budget = config.alert.alert_budget

    def table(normal_scores: FloatArray) -> ScoreTable:
        return ScoreTable(normal_scores, schema.window_size, budget)

    enough = FEW_SCORES if len(joined) > 1 else np.inf
    return Calibration(
        scales,
        table(np.concatenate(list(joined.values()))),
        {machine: table(own) for machine, own in joined.items() if len(own) >= enough},
    )
