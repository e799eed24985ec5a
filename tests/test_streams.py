"""A score may depend on the log alone, never on how its rows happened to arrive."""

import itertools
from dataclasses import dataclass
from typing import Any, get_args

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aster_cli.config import MissingPolicy
from aster_cli.scaling import ScalingTable, SensorScaling
from aster_cli.streams import MachineStream, WindowReadings
from tests.ragged_logs import cuts_of, prepare, ragged_logs

SIZE, LONGEST = 4, 3.0
POLICIES: tuple[MissingPolicy, ...] = get_args(MissingPolicy)
SCALING = SensorScaling(ScalingTable((0.5, -0.25), (2.0, 3.0), (1.0, 1.0)))


def read(windows: Any) -> WindowReadings:
    """Stand in for the network: a reading a window, one a row, what is expected, and how far off."""
    means = windows.mean(axis=(1, 2), keepdims=True)
    rows = {
        "window": np.broadcast_to(means[:, :, 0], windows.shape[:2]),
        "row": windows[:, :, 0] - means[:, :, 0] * np.arange(windows.shape[1], dtype=np.float32),
    }
    expected = np.broadcast_to(means, windows.shape) + windows[:, ::-1]
    return WindowReadings(rows, expected, np.abs(windows - means))


@dataclass
class Row:
    """What is decided of one row."""

    status: str
    readings: dict[str, float]
    actual: list[float]
    expected: list[float]
    departures: list[float]


def open_stream(*, stride: int, policy: MissingPolicy = "previous") -> MachineStream:
    return MachineStream(
        (),
        scaling=SCALING,
        n_sensors=2,
        size=SIZE,
        stride=stride,
        longest=LONGEST,
        missing=policy,
        readings=("window", "row"),
    )


def run(
    time: Any, values: Any, cuts: tuple[int, ...] = (), *, resumed: bool = False, **options: Any
) -> tuple[dict[int, Row], list[int]]:
    """Send a log through; return its rows by number, and how many rows waited after each batch.

    `resumed`: after each batch another stream goes on from a snapshot.
    """
    stream = open_stream(**options)
    decided: dict[int, Row] = {}
    waiting = []

    def note(windows: Any) -> None:
        for rows in stream.take_in(read(windows)):
            for i, number in enumerate(rows.numbers.tolist()):
                assert number not in decided, "decided twice"
                readings = {name: float(values[i]) for name, values in rows.readings.items()}
                measured = (
                    part[i].tolist() if rows.status == "ok" else []
                    for part in (rows.actual, rows.expected, rows.departures)
                )
                decided[number] = Row(rows.status, readings, *measured)

    edges = [0, *cuts, len(time)]
    for start, stop in itertools.pairwise(edges):
        note(stream.push(np.arange(start, stop), time[start:stop], values[start:stop]))
        waiting.append(stop - len(decided))
        if resumed:
            snapshot = stream.snapshot()
            stream = open_stream(**options)
            stream.restore(snapshot)
    note(stream.finish())
    return decided, waiting


def oracle(time: Any, values: Any, *, stride: int, policy: MissingPolicy) -> dict[int, Row]:
    """The documented rule, written as plainly as possible."""
    prepared = prepare(time, values, longest=LONGEST, policy=policy)
    rows = {number: Row("missing", {}, [], [], []) for number in prepared.missing.tolist()}
    starts = np.flatnonzero(prepared.opens).tolist()
    for start, stop in itertools.pairwise([*starts, len(prepared.numbers)]):
        numbers = prepared.numbers[start:stop].tolist()
        scaled = SCALING.scale(prepared.values[start:stop], ())
        n = len(numbers)
        if n < SIZE:
            status = "gap" if len(starts) > 1 else "short"
            rows |= {number: Row(status, {}, [], [], []) for number in numbers}
            continue
        # first row of a window, and the rows that it speaks for
        windows = [(at, range(at, at + SIZE)) for at in range(0, n - SIZE + 1, stride)]
        covered = windows[-1][1].stop
        if covered < n:
            windows.append((n - SIZE, range(covered, n)))
        for row, number in enumerate(numbers):
            seen = [
                (read(scaled[None, at : at + SIZE]), row - at)
                for at, rows_ in windows
                if row in rows_
            ]
            readings = {
                name: sum(float(one.rows[name][0, place]) for one, place in seen) / len(seen)
                for name in ("window", "row")
            }
            total, off = np.zeros(2), np.zeros(2)
            for one, place in seen:
                total += one.expected[0, place]
                off += one.departures[0, place]
            expected = (total / len(seen)).astype(np.float32)
            measured = (scaled[row], expected, off / len(seen))
            rows[number] = Row("ok", readings, *(values.tolist() for values in measured))
    return rows


def test_the_closing_window_speaks_for_the_tail_only() -> None:
    """Were it averaged into earlier rows, their scores would depend on where the log ends."""
    stream = open_stream(stride=2)
    levels = iter([1.0, 2.0, 30.0])  # rows 0 to 3, rows 2 to 5, and rows 3 to 6 for row 6
    decided: list[float] = []

    def note(windows: Any) -> None:
        reading = np.array([[next(levels)] * SIZE for _ in windows], dtype=np.float32)
        rows = {"window": reading, "row": reading}
        for done in stream.take_in(WindowReadings(rows, np.zeros_like(windows), windows)):
            decided.extend(done.readings["row"].tolist())

    note(stream.push(np.arange(7), np.arange(7.0), np.ones((7, 2))))
    note(stream.finish())
    assert decided == [1.0, 1.0, 1.5, 1.5, 2.0, 2.0, 30.0]
    assert next(levels, None) is None


def test_a_short_stretch_is_a_gap_and_a_short_log_is_short() -> None:
    """The two call for different cures: a larger max_gap, or simply more rows."""
    ones = np.ones((3, 2))
    alone, _ = run(np.arange(3.0), ones, stride=2)
    assert {row.status for row in alone.values()} == {"short"}
    time = np.concatenate((np.arange(3.0), 100.0 + np.arange(4.0), 200.0 + np.arange(3.0)))
    parted, _ = run(time, np.ones((10, 2)), stride=2)
    assert [parted[number].status for number in range(10)] == ["gap"] * 3 + ["ok"] * 4 + ["gap"] * 3


def test_a_log_without_rows_decides_nothing() -> None:
    """An empty batch at either end of a stream is an ordinary thing."""
    decided, _ = run(np.zeros(0), np.zeros((0, 2)), stride=1)
    assert decided == {}


@pytest.mark.parametrize("policy", POLICIES)
@settings(max_examples=40)
@given(data=st.data(), log=ragged_logs(), stride=st.integers(1, SIZE))
def test_streamed_rows_equal_the_rule(
    policy: MissingPolicy, data: st.DataObject, log: Any, stride: int
) -> None:
    """However rows arrive, each is decided once, with the very bits of the one-shot result."""
    time, values = log
    expected = oracle(time, values, stride=stride, policy=policy)
    cuts = data.draw(cuts_of(len(time)))
    for batches in ((), cuts, tuple(range(1, len(time)))):
        for resumed in (False, True):
            decided, _ = run(time, values, batches, resumed=resumed, stride=stride, policy=policy)
            assert decided == expected


@settings(max_examples=40)
@given(stride=st.integers(1, SIZE), n=st.integers(1, 30))
def test_what_waits_is_bounded(stride: int, n: int) -> None:
    """A stream runs for months: neither undecided rows nor memory may grow with it."""
    stream = open_stream(stride=stride)
    undecided = 0
    for row in range(n):
        windows = stream.push(np.array([row]), np.array([float(row)]), np.ones((1, 2)))
        done = stream.take_in(read(windows))
        undecided += 1 - sum(len(rows.numbers) for rows in done)
        assert undecided < SIZE
        assert len(stream._open.numbers) < SIZE + stride


@settings(max_examples=40)
@given(log=ragged_logs())
def test_interpolation_only_delays(log: Any) -> None:
    """It waits for the rows within max_gap, and for nothing more."""
    time, values = log
    cuts = tuple(range(1, len(time)))
    _, waiting = run(time, np.nan_to_num(values), cuts, stride=1, policy="interpolate")
    for stop, held in enumerate(waiting, start=1):
        within = int((time[:stop] >= time[stop - 1] - LONGEST).sum())
        assert held < SIZE + within
