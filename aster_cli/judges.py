"""What each machine is judged by when a log is scored: a detector of its own, or the pooled one.

However many machines have one, few networks are in memory at a time.
"""

from collections import OrderedDict
from dataclasses import dataclass

import msgspec
import numpy as np
import torch
from numpy.typing import NDArray

from aster_cli.assembly import Blueprint, Trained, require_alike
from aster_cli.attribution import SensorRanges
from aster_cli.bands import NormalBands
from aster_cli.calibration import Calibration
from aster_cli.checkpoint import Checkpoint, MachineDetectors, load_machine, read_measures
from aster_cli.errors import ModelDirectoryError
from aster_cli.reading import WindowReader
from aster_cli.results import MachineId
from aster_cli.scaling import SensorScaling
from aster_cli.scoring import Judges

MEMORY = 1 << 30
"""Bytes of weights that networks of single machines may take together; one is always kept."""


@dataclass(frozen=True, slots=True)
class _Measures:
    scaling: SensorScaling
    calibration: Calibration
    ranges: SensorRanges
    bands: NormalBands


class DetectorJudges(Judges):
    """The judges of one scoring run.

    Args:
        pooled: The detector of machines that have none of their own.
        detectors: Those of single machines, read when they are needed.
        blueprint: What their networks are built by.
        absent: Sensors that the log lacks.
    """

    def __init__(
        self,
        pooled: Checkpoint,
        detectors: MachineDetectors | None,
        blueprint: Blueprint,
        absent: NDArray[np.int64],
    ) -> None:
        self._pooled = pooled
        self._detectors = detectors
        self._blueprint = blueprint
        self._absent = absent
        self._pooled_reader = self._built(pooled)
        # not `lru_cache`: over a method it is a circle, and networks would wait for the collector
        self._readers: OrderedDict[MachineId, WindowReader] = OrderedDict()
        self._most_readers = networks_in(MEMORY, pooled)
        self._fewest = self._pooled_reader.batch_windows  # at once, of readers that are gone
        self._measures: dict[MachineId, _Measures] = {}
        self._sensors = pooled.schema.log.sensors
        self._pooled_measures = _Measures(
            pooled.scaling,
            pooled.calibration,
            SensorRanges(pooled.reference, self._sensors, pooled.scaling),
            pooled.bands,
        )

    def knows(self, machine: MachineId) -> bool:
        """Whether training has seen the machine."""
        return self.owner(machine) is not None or self._pooled.scaling.knows(machine)

    def owner(self, machine: MachineId) -> MachineId | None:
        """Whose detector the machine is judged by."""
        own = self._detectors is not None and machine in self._detectors
        return machine if own else None

    def reader(self, machine: MachineId) -> WindowReader:
        """Reads the machine's windows.

        Raises:
            ModelDirectoryError: Its detector is missing, truncated or altered.
        """
        if self._detectors is None or machine not in self._detectors:
            return self._pooled_reader
        if machine not in self._readers:
            own = load_machine(self._detectors, machine)
            require_alike(own, self._pooled, str(self._detectors.path(machine)))
            self._readers[machine] = self._built(own)
            if len(self._readers) > self._most_readers:
                _, gone = self._readers.popitem(last=False)
                self._fewest = min(self._fewest, gone.batch_windows)
        self._readers.move_to_end(machine)
        return self._readers[machine]

    def calibration(self, machine: MachineId) -> Calibration:
        """Joins readings, and tells thresholds and severities."""
        return self._of(machine).calibration

    def scaling(self, machine: MachineId) -> SensorScaling:
        """From sensor units to scaled units."""
        return self._of(machine).scaling

    def ranges(self, machine: MachineId) -> SensorRanges:
        """How far sensors ranged in training."""
        return self._of(machine).ranges

    def bands(self, machine: MachineId) -> NormalBands:
        """How far sensors stray from what is expected of them on normal rows."""
        return self._of(machine).bands

    def notes(self) -> list[str]:
        """Say what was not as when the model was calibrated, if anything was."""
        recorded = self._blueprint.scoring
        readers = (self._pooled_reader, *self._readers.values())
        here = msgspec.structs.replace(
            recorded,
            batch_windows=min(self._fewest, *(reader.batch_windows for reader in readers)),
            threads=torch.get_num_threads(),
            device="cuda" if self._blueprint.device.type == "cuda" else "cpu",
        )
        compiled = self._blueprint.compiled
        if here == recorded and not compiled:
            return []
        return [
            f"scored in {here}{', compiled' * compiled}, not in {recorded} as the model was calibrated: scores may differ in "
            "their last digits"
        ]

    def _of(self, machine: MachineId) -> "_Measures":
        """The little that is kept of every machine seen."""
        if self._detectors is None or machine not in self._detectors:
            return self._pooled_measures
        if machine not in self._measures:
            card, reference, scaling, calibration, bands = read_measures(self._detectors, machine)
            if card.schema.log.sensors != self._sensors:
                raise ModelDirectoryError(
                    "has other sensors than the whole model",
                    where=str(self._detectors.path(machine)),
                )
            ranges = SensorRanges(reference, self._sensors, scaling)
            self._measures[machine] = _Measures(scaling, calibration, ranges, bands)
        return self._measures[machine]

    def _built(self, made: Checkpoint) -> WindowReader:
        trained = Trained(made.adapter, made.weights)
        return self._blueprint.reader(trained, absent=self._absent)


def networks_in(memory: int, pooled: Checkpoint) -> int:
    """How many networks like the pooled one fit into so many bytes: one at least.

    Each has the LLM's layers with its own adapter folded in.
    """
    layers = [] if pooled.backbone is None else list(pooled.backbone.weights.values())
    numbers = sum(array.size for array in (*layers, *pooled.weights.values()))
    return max(1, memory // (4 * numbers))  # float32
