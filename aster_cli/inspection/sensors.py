"""Every sensor's numbers, watched while a log goes by."""

import hashlib

import numpy as np
from numpy.typing import NDArray

from aster_cli.inspection.steps import moment
from aster_cli.inspection.suspicion import Numbers, find_alike, suspect
from aster_cli.inspection.values import BUCKETS, SensorReport, Sparkline
from aster_cli.results import FloatArray, LogBatch, MachineId
from aster_cli.schema import TimeKind

SAMPLE_ROWS = 4096
"""Rows of the even sample that tells how often a value occurs."""

_GOLDEN = 0.6180339887498949  # multiples of it fall evenly, whatever pattern the rows have


class SensorWatch:
    """Follows all sensors, whatever batches their rows come in.

    Args:
        n_sensors: Values of a row.
        n_rows: Rows of the whole log.
        kind: What the log takes as time.
    """

    def __init__(self, n_sensors: int, n_rows: int, kind: TimeKind) -> None:
        self._kind = kind
        self._n_rows = n_rows
        self._known = np.zeros(n_sensors, dtype=np.int64)
        self._mean = np.zeros(n_sensors)
        self._squares = np.zeros(n_sensors)  # of the deviations from the mean
        self._min = np.full(n_sensors, np.inf)
        self._max = np.full(n_sensors, -np.inf)
        self._bucket_sums = np.zeros((BUCKETS, n_sensors))
        self._bucket_counts = np.zeros((BUCKETS, n_sensors), dtype=np.int64)
        self._sample: list[FloatArray] = []
        self._digests = [hashlib.blake2b(digest_size=16) for _ in range(n_sensors)]
        self._numbers: dict[MachineId, int] = {}
        self._last = np.zeros((0, n_sensors))  # by machine
        self._run = np.zeros((0, n_sensors), dtype=np.int64)  # rows that `last` has stood so far
        self._pairs = np.zeros(n_sensors, dtype=np.int64)  # steps between two known values
        self._rises = np.zeros(n_sensors, dtype=np.int64)
        self._falls = np.zeros(n_sensors, dtype=np.int64)
        self._longest = np.zeros(n_sensors, dtype=np.int64)
        self._longest_value = np.full(n_sensors, np.nan)
        self._longest_end = [""] * n_sensors
        self._longest_from = np.zeros(n_sensors, dtype=np.int64)
        self._longest_machine: list[MachineId] = [()] * n_sensors
        self._seen = np.zeros(0, dtype=np.int64)  # rows so far, by machine

    def take(self, batch: LogBatch) -> None:
        """Take the next rows."""
        values = batch.values
        known = ~np.isnan(values)
        zeroed = np.where(known, values, 0.0)
        with np.errstate(over="ignore", invalid="ignore"):
            self._take_moments(values, known, zeroed)
            self._take_buckets(batch.first_row, known, zeroed)
        self._take_runs(batch)
        numbers = np.arange(batch.first_row, batch.first_row + len(batch))
        drawn = (numbers * _GOLDEN) % 1.0 < SAMPLE_ROWS / self._n_rows
        self._sample.append(values[drawn])
        # one bit pattern for each value: no negative zero, one kind of NaN
        columns = np.ascontiguousarray(np.where(known, values + 0.0, np.nan).T)
        for digest, column in zip(self._digests, columns, strict=True):
            digest.update(column.tobytes())

    def reports(self, names: tuple[str, ...], dtypes: tuple[str, ...]) -> tuple[SensorReport, ...]:
        """What the sensors came to; the log has ended."""
        sample = np.concatenate(self._sample)
        alike = find_alike(sample)
        first_with: dict[bytes, int] = {}
        reports = []
        for i, (name, dtype) in enumerate(zip(names, dtypes, strict=True)):
            twin = first_with.setdefault(self._digests[i].digest(), i)
            missing = self._n_rows - int(self._known[i])
            spread = self._squares[i] / (self._known[i] - 1) if self._known[i] > 1 else np.nan
            reports.append(
                SensorReport(
                    name=name,
                    dtype=dtype,
                    missing=missing,
                    missing_share=missing / self._n_rows,
                    min=_finite(self._min[i]),
                    mean=_finite(self._mean[i]) if self._known[i] else None,
                    max=_finite(self._max[i]),
                    std=_finite(np.sqrt(spread)),
                    longest_still=int(self._longest[i]),
                    still_machine=self._longest_machine[i],
                    still_from=int(self._longest_from[i]),
                    findings=suspect(self._numbers_of(i, names, sample[:, i], twin, alike[i])),
                    sparkline=self._sparkline(i),
                )
            )
        return tuple(reports)

    def _take_moments(
        self, values: FloatArray, known: NDArray[np.bool_], zeroed: FloatArray
    ) -> None:
        """Join the batch's moments to those before it (Chan, Golub and LeVeque, 1979)."""
        n = known.sum(axis=0)
        mean = zeroed.sum(axis=0) / np.maximum(n, 1)
        squares = (np.where(known, values - mean, 0.0) ** 2).sum(axis=0)
        total = np.maximum(self._known + n, 1)
        shift = mean - self._mean
        self._squares += squares + shift**2 * (self._known * n / total)
        self._mean += shift * (n / total)
        self._known += n
        self._min = np.fmin(self._min, np.where(known, values, np.inf).min(axis=0))
        self._max = np.fmax(self._max, np.where(known, values, -np.inf).max(axis=0))

    def _take_buckets(self, first_row: int, known: NDArray[np.bool_], zeroed: FloatArray) -> None:
        buckets = np.arange(first_row, first_row + len(known)) * BUCKETS // self._n_rows
        present, starts = np.unique(buckets, return_index=True)
        self._bucket_sums[present] += np.add.reduceat(zeroed, starts, axis=0)
        self._bucket_counts[present] += np.add.reduceat(known.astype(np.int64), starts, axis=0)

    def _take_runs(self, batch: LogBatch) -> None:
        """Follow how long values stand still, and whether they rise or fall, in each machine."""
        codes = self._machine_numbers(batch)
        order = np.argsort(codes, kind="stable")
        codes, values = codes[order], batch.values[order]
        opens = np.diff(codes, prepend=-1) != 0
        before = np.roll(values, 1, axis=0)
        before[opens] = self._last[codes[opens]]
        stands = values == before
        self._rises += (values > before).sum(axis=0)
        self._falls += (values < before).sum(axis=0)
        self._pairs += (~np.isnan(values) & ~np.isnan(before)).sum(axis=0)
        place = np.arange(len(values))[:, None]
        carried = np.zeros(values.shape, dtype=np.int64)
        carried[opens] = np.where(stands[opens], self._run[codes[opens]], 0)
        start = np.maximum.accumulate(np.where(stands & ~opens[:, None], 0, place), axis=0)
        run = place - start + 1 + np.take_along_axis(carried, start, axis=0)
        closes = np.append(opens[1:], True)
        self._last[codes[closes]] = values[closes]
        self._run[codes[closes]] = run[closes]
        in_order = np.where(np.isnan(values), 0, run)
        in_order[order] = in_order.copy()
        own = np.zeros(len(values), dtype=np.int64)  # the row's number, of its machine's
        first = np.maximum.accumulate(np.where(opens, place[:, 0], 0))
        own[order] = self._seen[codes] + place[:, 0] - first
        self._seen[codes[closes]] = own[order][closes] + 1
        top = in_order.argmax(axis=0)
        sensors = np.flatnonzero(in_order.max(axis=0) > self._longest)
        top = top[sensors]
        self._longest[sensors] = in_order[top, sensors]
        self._longest_value[sensors] = batch.values[top, sensors]
        for sensor, row in zip(sensors.tolist(), top.tolist(), strict=True):
            machine = batch.machines[batch.machine_codes[row]]
            when = moment(batch, row, self._kind)
            whose = "/".join(machine)
            self._longest_end[sensor] = f"{when} ({whose})" if whose else when
            self._longest_machine[sensor] = machine
            self._longest_from[sensor] = own[row] - self._longest[sensor] + 1

    def _machine_numbers(self, batch: LogBatch) -> NDArray[np.int64]:
        """Every row's machine, by the number that it has over the whole log."""
        numbers = self._numbers
        own = [numbers.setdefault(machine, len(numbers)) for machine in batch.machines]
        new = len(numbers) - len(self._last)
        if new:
            width = self._last.shape[1]
            self._last = np.concatenate((self._last, np.full((new, width), np.nan)))
            self._run = np.concatenate((self._run, np.zeros((new, width), dtype=np.int64)))
            self._seen = np.concatenate((self._seen, np.zeros(new, dtype=np.int64)))
        return np.array(own, dtype=np.int64)[batch.machine_codes]

    def _numbers_of(
        self, i: int, names: tuple[str, ...], sample: FloatArray, twin: int, alike: int | None
    ) -> Numbers:
        return Numbers(
            name=names[i],
            n_rows=self._n_rows,
            known=int(self._known[i]),
            low=float(self._min[i]),
            high=float(self._max[i]),
            sample=sample[~np.isnan(sample)],
            twin=names[twin],
            alike=None if alike is None else names[alike],
            pairs=int(self._pairs[i]),
            rises=int(self._rises[i]),
            falls=int(self._falls[i]),
            stood=int(self._longest[i]),
            stood_at=float(self._longest_value[i]),
            stood_until=self._longest_end[i],
        )

    def _sparkline(self, sensor: int) -> Sparkline:
        counts = self._bucket_counts[:, sensor]
        with np.errstate(invalid="ignore", divide="ignore"):
            means = self._bucket_sums[:, sensor] / counts
        return tuple(_finite(mean) for mean in means)


def _finite(value: np.floating | float) -> float | None:
    """A number as JSON has it."""
    return float(value) if np.isfinite(value) else None
