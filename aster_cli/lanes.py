"""One machine's rows from the log, in the order they come, to its stream, in the order of time.

Rows that a late one may still come before wait in the machine's lane as they are; those at or before
the *watermark*, the newest time seen less the delay, have entered the stream. Whatever comes at or
before the watermark after that is known already, or late.
"""

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from aster_cli.attribution import Attribution
from aster_cli.results import Clock, LogBatch, MachineId, Snapshot
from aster_cli.waiting import Waiting, joined

SETTLED = 4096
"""So many of the latest times of a machine are kept, to tell rows that are known from late ones."""


@dataclass(slots=True)
class Lane:
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
            self.pending = _by_time(joined(self.pending, new))
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

    def passed(self) -> int:
        """Pending rows that the watermark has passed."""
        if self.watermark is None:
            return 0
        return int(np.searchsorted(self.pending.time, self.watermark, side="right"))

    def snapshot(self) -> Snapshot:
        """What it takes to go on from here."""
        waiting = self.waiting
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
                "top": [part.copy() for part in waiting.top.parts()],
            },
        }

    @classmethod
    def restored(cls, snapshot: Snapshot) -> "Lane":
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


def _by_time(batch: LogBatch) -> LogBatch:
    return batch.of(batch.machines[0], np.argsort(batch.time, kind="stable"))


def _rows(batch: LogBatch) -> Snapshot:
    return {"keys": batch.keys, "time": batch.time.copy()}


def _batch(machine: MachineId, rows: Snapshot, values: Any, first_row: int) -> LogBatch:
    codes = np.zeros(len(rows["time"]), dtype=np.int32)
    return LogBatch(first_row, rows["keys"], rows["time"], (machine,), codes, values, None)
