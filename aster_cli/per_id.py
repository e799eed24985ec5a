"""A detector for each machine, beside the pooled one: trained one after the other, or shared out."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Literal

import msgspec

from aster_cli.checkpoint import (
    Checkpoint,
    MachineDetectors,
    MachineThreshold,
    PartialTraining,
    is_model,
    read_card,
    save_model,
)
from aster_cli.errors import DataError, UsageError
from aster_cli.fitting import TrainingLog, fit_detector
from aster_cli.logs.schema import listed
from aster_cli.preparation import FEWEST_WINDOWS
from aster_cli.results import MachineId, Series
from aster_cli.timing import FOREVER, TimeLimit

Left = Literal["short", "unsteady", "late"]
"""Why a machine has no detector of its own."""

LEFT: dict[Left, str] = {
    "short": "too short for a detector of its own",
    "unsteady": "no detector of its own converges",
    "late": "no time was left for a detector of its own",
}

OnMachine = Callable[[MachineId, int, int], None]
"""Told before a machine's detector is trained: the machine, its number from 1, and of how many."""


@dataclass(frozen=True, slots=True)
class MachineTraining:
    """The training of one machine's detector, which is kept where it is ready.

    Attributes:
        series: The machine's.
        log: What is known of the whole log.
        own: Where it goes; what lies there is ready, or is gone on with.
    """

    series: Series
    log: TrainingLog
    own: PartialTraining

    def run(self, limit: TimeLimit) -> Left | None:
        """Train and keep it; tell why there is none, if there is none.

        Raises:
            StorageError: It cannot be written.
        """
        if len(self.series) < FEWEST_WINDOWS * self.log.schema.window_size:
            return "short"
        if is_model(self.own.target):
            return None
        if limit.is_over():
            return "late"
        try:
            with self.own.held():
                made = fit_detector([self.series], self.log, partial=self.own, limit=limit)
                save_model(replace(made, backbone=None), self.own.target)
                self.own.remove()
        except DataError:  # gaps or holes leave too little
            return "short"
        except UsageError:  # it does not converge; all else that is said so, the pooled one had met
            return "unsteady"
        return None


Trainings = Callable[[list[MachineTraining], OnMachine, TimeLimit], Iterable[Left | None]]
"""Runs trainings, whose order the outcomes have; `OnMachine` is told when each begins."""


def in_turn(
    trainings: list[MachineTraining], on_machine: OnMachine, limit: TimeLimit
) -> Iterator[Left | None]:
    """Run one training after the other; of the limit each gets an equal part of what is left."""
    for number, one in enumerate(trainings):
        on_machine(one.series.machine, number + 1, len(trainings))
        yield one.run(limit.part(1 / (len(trainings) - number)))


def fit_machines(
    pooled: Checkpoint,
    series: list[Series],
    log: TrainingLog,
    partial: PartialTraining,
    on_machine: OnMachine | None,
    limit: TimeLimit = FOREVER,
    trainings: Trainings = in_turn,
) -> tuple[Checkpoint, MachineDetectors]:
    """Train a detector for each machine and keep it in `partial`; those that lie there are ready.

    Returns:
        The pooled detector, which now knows their thresholds and the machines that have none, and
        theirs.

    Raises:
        StorageError: They cannot be written.
    """
    models: dict[MachineId, str] = {}
    thresholds = {one.machine: one for one in pooled.training.thresholds}
    left: dict[Left, list[str]] = {}
    work = [MachineTraining(one, log, partial.of(one.machine)) for one in series]
    outcomes = trainings(work, on_machine or (lambda machine, number, total: None), limit)
    for one, reason in zip(work, outcomes, strict=True):
        machine = one.series.machine
        if reason is not None:
            left.setdefault(reason, []).append("/".join(machine))
            continue
        card = read_card(one.own.target)
        models[machine] = card.manifest.model_id
        thresholds[machine] = MachineThreshold(machine, card.training.threshold)
    record = pooled.training
    notes = [
        f"{why}, served by the pooled one: {listed(left[reason])}"
        for reason, why in LEFT.items()
        if reason in left
    ]
    told = msgspec.structs.replace(
        record,
        notes=(*record.notes, *notes),
        thresholds=tuple(thresholds.values()),
    )
    return replace(pooled, training=told), MachineDetectors(partial.machines, models)
