"""A log scored in runs: every row is final once, however the log was cut into them.

The state between two runs is a snapshot of every machine's lane, stream and event tracker, taken when
all that is new has been read. Then the log is taken to end there: that gives the provisional rows.
"""

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import msgspec
import numpy as np
import polars as pl

from aster_cli.errors import DataError, StateError
from aster_cli.events import with_similar
from aster_cli.lanes import Lane
from aster_cli.results import LogBatch, MachineId, Snapshot
from aster_cli.scoring import LogScorer, ScoreSummary
from aster_cli.waiting import Waiting

_LONGEST = float(2**61)  # units of a clock; the largest delay that an int64 can be lessened by


@dataclass(slots=True)
class RunSummary(ScoreSummary):
    """What one run came to: the rows that it wrote, and the events that it saw grow or end.

    Attributes:
        known: Rows that an earlier run, or an earlier row of this one, had already.
        late: Rows that came too late and are left out.
        late_machines: Whose they are.
        opened: Events that no earlier run has told of.
    """

    known: int = 0
    late: int = 0
    late_machines: list[MachineId] = field(default_factory=list)
    opened: list[str] = field(default_factory=list)


class IncrementalScorer(LogScorer):
    """Scores what is new in a log.

    Args:
        delay: How far a row may come after a later one, in seconds, or in units of a counter.
        lanes: Snapshots of the machines as the last run left them.
        parts: Those of `LogScorer`.
    """

    def __init__(self, *args: Any, delay: float, lanes: list[Snapshot], **parts: Any) -> None:
        super().__init__(*args, **parts)
        self.summary: RunSummary = RunSummary()
        units = min(delay * self._log.schema.units_per_second, _LONGEST)
        self._delay = {"i": math.ceil(units), "f": units}  # by the kind of the clock
        self._snapshots: dict[MachineId, Snapshot] = {}
        self._lanes: dict[MachineId, Lane] = {}
        try:
            for snapshot in lanes:
                names = msgspec.convert(snapshot["machine"], list[str])
                if len(names) != len(self._log.schema.id_cols):
                    raise ValueError("a machine has a name for every id column")
                self._restore(tuple(names), snapshot)
        except (KeyError, TypeError, ValueError, IndexError, AttributeError) as error:
            raise StateError(
                "holds a machine that cannot be gone on with: the state is altered",
                where=self._log.name,
                hint="restore the state, or start anew with --rescore",
            ) from error

    def _restore(self, machine: MachineId, snapshot: Snapshot) -> None:
        self._snapshots[machine] = snapshot
        self._lanes[machine] = Lane.restored(snapshot)
        self._streams[machine] = self._open_stream(machine)
        self._streams[machine].restore(snapshot["stream"])
        self._trackers[machine] = self._open_tracker(machine)
        self._trackers[machine].restore(snapshot["tracker"])
        self._watches[machine] = self._open_watch(machine)
        self._watches[machine].restore(snapshot["watch"])

    @property
    def newest(self) -> dict[MachineId, int | float]:
        """The clock of every machine's newest row, of whatever run."""
        seen = {machine: lane.newest for machine, lane in self._lanes.items()}
        return {machine: time for machine, time in seen.items() if time is not None}

    @property
    def changed(self) -> bool:
        """Whether this run brought anything that the next one has to know."""
        return any(lane.touched or lane.overtaken for lane in self._lanes.values())

    def lanes(self) -> list[Snapshot]:
        """Snapshots of all machines for the next run, once `tables` have ended."""
        return list(self._snapshots.values())

    def tables(self, read: Callable[[int], None] = lambda rows: None) -> Iterator[pl.DataFrame]:
        """Yield the rows that became final, then those that are provisional, machine by machine.

        Args:
            read: Told how many rows of the log have been read.

        Raises:
            DataError: The log's keys have other dtypes than before; or it has no time and fewer
                rows than before.
        """
        newest: dict[MachineId, int | float] = {}
        for batch in self._log.as_found():
            lanes = {}
            for machine, rows in batch.by_machine():
                own = batch.of(machine, rows)
                newest[machine] = max(newest.get(machine, own.time[0]), own.time.max())
                lane = self._admit(machine, own)
                if lane.touched:
                    lanes[machine] = lane
            self._enter(lanes, finish=False)
            for machine in lanes:
                yield from self._final(machine)
            read(len(batch))
        if self._log.schema.time_col is None:
            self._require_growing(newest)
        yield from self._provisional()

    def _admit(self, machine: MachineId, own: LogBatch) -> Lane:
        lane = self._lanes.get(machine)
        if lane is None:
            none = own.of(machine, np.zeros(0, dtype=np.int64))
            waiting = Waiting.of(none, len(self._sensors))
            lane = self._lanes[machine] = Lane(none, waiting, none.time)
        before, now = lane.pending.keys.schema, own.keys.schema
        if before != now:
            name = next(name for name in now if before.get(name) != now[name])
            raise DataError(
                f"column {name!r} is {now[name]}, and was {before.get(name)} when the log was "
                "scored before",
                where=self._log.name,
                hint="write logs alike, or score anew with another --state and -o",
            )
        known, late = lane.admit(own, self._delay[own.time.dtype.kind])
        self.summary.known += known
        self.summary.late += late
        if late and machine not in self.summary.late_machines:
            self.summary.late_machines.append(machine)
        return lane

    def _enter(self, lanes: dict[MachineId, Lane], *, finish: bool) -> None:
        """Let rows into the streams: those up to the watermark, or all of them to finish."""
        due = []
        for machine, lane in lanes.items():
            stop = len(lane.pending) if finish else lane.passed()
            entering, stream = lane.enter(stop), self._stream_of(machine)
            lane.waiting = lane.waiting.and_next(Waiting.of(entering, len(self._sensors)))
            due.append((stream, self._push(machine, entering, np.arange(stop))))
        self._judge(due)
        if finish:
            streams = [self._streams[machine] for machine in lanes]
            self._judge([(stream, stream.finish()) for stream in streams])

    def _waiting_for(self, machine: MachineId) -> Iterable[Waiting]:
        return (self._lanes[machine].waiting,)

    def _final(self, machine: MachineId) -> Iterator[pl.DataFrame]:
        """The rows of a machine before the first that is not decided."""
        lane = self._lanes[machine]
        n = lane.waiting.decided
        if n:
            done, lane.waiting = lane.waiting.split(n)
            yield self._told(machine, self._table(done))

    def _provisional(self) -> Iterator[pl.DataFrame]:
        """Rows as they would be if the log ended here; the snapshots are of before."""
        for machine, lane in self._lanes.items():
            if lane.overtaken and not lane.touched:
                self._snapshots[machine] = {**self._snapshots[machine], "settled": lane.settled}
        lanes = {machine: lane for machine, lane in self._lanes.items() if lane.touched}
        taken = {
            machine: lane.snapshot()
            | {
                "stream": self._stream_of(machine).snapshot(),
                "tracker": self._tracker_of(machine).snapshot(),
                "watch": self._watch_of(machine).snapshot(),
            }
            for machine, lane in lanes.items()
        }
        for machine in lanes:
            self.summary.see(self._watch_of(machine))
        self._enter(lanes, finish=True)
        for machine, lane in lanes.items():
            tracker = self._tracker_of(machine)
            may_come_again = {tracker.open_event} if tracker.open_event else set()
            if len(lane.waiting.batch):
                lane.waiting.status[:] = "provisional"
                table = self._told(machine, self._table(lane.waiting))
                may_come_again |= set(table["event_id"].drop_nulls())
                yield table
            tracker.finish()
            self.summary.events.extend(tracker.closed)
            self._snapshots[machine] = taken[machine] | {"told": sorted(may_come_again)}
        self.summary.events = with_similar(self.summary.events)

    def _told(self, machine: MachineId, table: pl.DataFrame) -> pl.DataFrame:
        """Note the events that no earlier run has told of."""
        names = table["event_id"].drop_nulls().unique(maintain_order=True).to_list()
        known = {*self._lanes[machine].told, *self.summary.opened}
        self.summary.opened += [name for name in names if name not in known]
        return table

    def _require_growing(self, newest: dict[MachineId, int | float]) -> None:
        """Refuse a log without time that is not the one seen before, grown."""
        for machine, lane in self._lanes.items():
            if lane.newest is not None and newest.get(machine, -1) < lane.newest:
                name = f" of machine {'/'.join(machine)!r}" if machine else ""
                raise DataError(
                    f"has {newest.get(machine, -1) + 1} rows{name}, and {lane.newest + 1} have "
                    "been scored",
                    where=self._log.name,
                    hint="without a time column rows are known by their number: "
                    "give the whole log again, grown",
                )
