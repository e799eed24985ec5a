"""A log scored in runs: every row is final once, however the log was cut into them.

Each machine has a lane. Rows that a late one may still come before wait in it as they are; those at
or before the *watermark*, the newest time seen less the delay, have entered the machine's stream in
the order of time. Whatever comes at or before the watermark after that is known already, or late.
"""

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from aster_cli.attribution import Attribution
from aster_cli.errors import DataError
from aster_cli.results import Clock, LogBatch, MachineId, Snapshot
from aster_cli.scoring import LogScorer, ScoreSummary, Waiting

SETTLED = 4096
"""So many of the latest times of a machine are kept, to tell rows that are known from late ones."""

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


@dataclass(slots=True)
class _Lane:
    """One machine's rows on their way into its stream and out of it.

    Attributes:
        pending: Rows after the watermark, in the order of time.
        waiting: Rows in the stream of which not all is decided.
        settled: The latest times that are decided for good: of rows in the stream, or late.
        entered: Rows that have entered the stream.
        newest: The newest time seen.
        watermark: It never falls, even if the delay grows.
        told: Events that earlier runs told of and that may come again.
        touched: Whether this run brought it new rows.
        overtaken: Whether this run brought it late ones.
    """

    pending: LogBatch
    waiting: Waiting
    settled: Clock
    entered: int = 0
    newest: int | float | None = None
    watermark: int | float | None = None
    told: list[str] = field(default_factory=list)
    touched: bool = False
    overtaken: bool = False

    def admit(self, batch: LogBatch, delay: int | float) -> tuple[int, int]:
        """Take the rows that are new, in the order they came; count the known and the late ones."""
        time = batch.time
        first = time[:1] if self.newest is None else np.array([self.newest], dtype=time.dtype)
        before = np.maximum.accumulate(np.concatenate((first, time[:-1])))
        passed = before - delay
        if self.watermark is not None:
            passed = np.maximum(passed, self.watermark)
        fresh = time > passed
        if self.newest is None:
            fresh[0] = True
        places = np.flatnonzero(fresh & ~np.isin(time, self.pending.time))
        places = places[np.unique(time[places], return_index=True)[1]]  # the first of each time
        others = np.delete(time, places)
        new = batch.of(batch.machines[0], places)
        known = np.isin(others, np.concatenate((self.settled, self.pending.time, new.time)))
        if len(self.settled) == SETTLED:
            known |= others < self.settled[0]
        late = np.unique(others[~known])
        self.settled = np.union1d(self.settled, late)[-SETTLED:]
        if len(new):
            self.pending = _by_time(_joined(self.pending, new))
            self.newest = max(before[-1], time[-1]).item()
            low = self.newest - delay
            self.watermark = low if self.watermark is None else max(self.watermark, low)
        self.touched |= len(new) > 0
        self.overtaken |= len(late) > 0
        return len(others) - len(late), len(late)

    def enter(self, stop: int) -> LogBatch:
        """Let the first `stop` pending rows into the stream; return them."""
        machine, rows = self.pending.machines[0], np.arange(len(self.pending))
        entering = self.pending.of(machine, rows[:stop], self.entered)
        self.pending = self.pending.of(machine, rows[stop:])
        self.settled = np.union1d(self.settled, entering.time)[-SETTLED:]
        self.entered += stop
        return entering

    def snapshot(self) -> Snapshot:
        """What it takes to go on from here."""
        waiting, top = self.waiting, self.waiting.top
        return {
            "machine": list(self.pending.machines[0]),
            "entered": self.entered,
            "newest": self.newest,
            "watermark": self.watermark,
            "settled": self.settled.copy(),
            "pending": _rows(self.pending) | {"values": self.pending.values.copy()},
            "waiting": _rows(waiting.batch)
            | {
                "status": waiting.status.tolist(),
                "score": waiting.score.copy(),
                "top": [top.sensors.copy(), top.shares.copy(), top.directions.copy()],
            },
        }

    @classmethod
    def restored(cls, snapshot: Snapshot) -> "_Lane":
        """The lane of a snapshot."""
        machine, entered = tuple(snapshot["machine"]), snapshot["entered"]
        pending, waiting = snapshot["pending"], snapshot["waiting"]
        n = len(waiting["time"])
        return cls(
            pending=_batch(machine, pending, pending["values"], entered),
            waiting=Waiting(
                _batch(machine, waiting, np.zeros((n, 0)), entered - n),
                np.array(waiting["status"], dtype=object),
                waiting["score"],
                Attribution(*waiting["top"]),
            ),
            settled=snapshot["settled"],
            entered=entered,
            newest=snapshot["newest"],
            watermark=snapshot["watermark"],
            told=snapshot["told"],
        )


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
        self._snapshots = {tuple(lane["machine"]): lane for lane in lanes}
        self._lanes: dict[MachineId, _Lane] = {}
        for machine, snapshot in self._snapshots.items():
            self._lanes[machine] = _Lane.restored(snapshot)
            self._streams[machine] = self._open_stream(machine)
            self._streams[machine].restore(snapshot["stream"])
            self._trackers[machine] = self._open_tracker(machine)
            self._trackers[machine].restore(snapshot["tracker"])

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

    def _admit(self, machine: MachineId, own: LogBatch) -> _Lane:
        lane = self._lanes.get(machine)
        if lane is None:
            none = own.of(machine, np.zeros(0, dtype=np.int64))
            waiting = Waiting.of(none, len(self._sensors))
            lane = self._lanes[machine] = _Lane(none, waiting, none.time)
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

    def _enter(self, lanes: dict[MachineId, _Lane], *, finish: bool) -> None:
        """Let rows into the streams: those up to the watermark, or all of them to finish."""
        due = []
        for machine, lane in lanes.items():
            stop = len(lane.pending)
            if not finish:
                time, mark = lane.pending.time, lane.watermark
                stop = 0 if mark is None else int(np.searchsorted(time, mark, side="right"))
            entering, stream = lane.enter(stop), self._stream_of(machine)
            lane.waiting = _joined_waiting(lane.waiting, Waiting.of(entering, len(self._sensors)))
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
            done, lane.waiting = _split(lane.waiting, n)
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
            }
            for machine, lane in lanes.items()
        }
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


def _by_time(batch: LogBatch) -> LogBatch:
    return batch.of(batch.machines[0], np.argsort(batch.time, kind="stable"))


def _joined(one: LogBatch, other: LogBatch) -> LogBatch:
    """Rows of one machine and the next ones."""
    time: Any = np.concatenate((one.time, other.time))
    return replace(
        one,
        keys=pl.concat((one.keys, other.keys)),
        time=time,
        machine_codes=np.zeros(len(one) + len(other), dtype=np.int32),
        values=np.concatenate((one.values, other.values)),
    )


def _joined_waiting(one: Waiting, other: Waiting) -> Waiting:
    """Rows that wait and the next ones; what their sensors measured is no longer needed."""
    batches = [
        replace(waiting.batch, values=np.zeros((len(waiting.batch), 0))) for waiting in (one, other)
    ]
    first_row = other.batch.first_row - len(one.batch)
    return Waiting(
        replace(_joined(*batches), first_row=first_row),
        np.concatenate((one.status, other.status)),
        np.concatenate((one.score, other.score)),
        Attribution(
            np.concatenate((one.top.sensors, other.top.sensors)),
            np.concatenate((one.top.shares, other.top.shares)),
            np.concatenate((one.top.directions, other.top.directions)),
        ),
    )


def _split(waiting: Waiting, n: int) -> tuple[Waiting, Waiting]:
    """The first `n` rows that wait, and the others."""

    def some(rows: NDArray[np.int64]) -> Waiting:
        batch, top = waiting.batch, waiting.top
        return Waiting(
            batch.of(batch.machines[0], rows, batch.first_row + (int(rows[0]) if len(rows) else n)),
            waiting.status[rows],
            waiting.score[rows],
            Attribution(top.sensors[rows], top.shares[rows], top.directions[rows]),
        )

    rows = np.arange(len(waiting.batch))
    return some(rows[:n]), some(rows[n:])


def _rows(batch: LogBatch) -> Snapshot:
    return {"keys": batch.keys, "time": batch.time.copy()}


def _batch(machine: MachineId, rows: Snapshot, values: Any, first_row: int) -> LogBatch:
    codes = np.zeros(len(rows["time"]), dtype=np.int32)
    return LogBatch(first_row, rows["keys"], rows["time"], (machine,), codes, values, None)
