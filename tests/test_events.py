"""Anomalous rows into events: the same events however the rows arrive."""

import itertools
from datetime import datetime, timedelta

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from aster_cli.alerts import AlarmStream
from aster_cli.attribution import Attribution, attribute
from aster_cli.config import AlertRule
from aster_cli.events import EventTracker, event_id, with_similar
from aster_cli.results import Event, SensorShare
from tests.ragged_logs import cuts_of

SECOND = 10**9
START = datetime(2026, 1, 1)
SENSORS = ("speed", "load", "heat", "flow", "noise", "level", "tilt")


def attributed(residual: NDArray[np.float32]) -> Attribution:
    """What is expected is 10, and a sensor's evidence is its squared residual."""
    off = residual.astype(np.float64)
    return attribute(off**2, 10.0 + off, np.full(off.shape, 10.0))


def follow(
    marks: str,
    *,
    merge_gap: int = 2,
    gap_before: int | None = None,
    cuts: tuple[int, ...] = (),
    finished: bool = True,
    rule: AlertRule | None = None,
) -> tuple[list[str | None], list[Event]]:
    """Follow a drawing of rows, # is above; return the name at every # and the closed events."""
    tracker = EventTracker(
        ("pump",),
        model_id="0123456789ab",
        alarms=AlarmStream(rule or AlertRule(), longest_step=5.0 * SECOND, merge_rows=merge_gap),
        seconds_per_unit=1e-9,
        sensors=SENSORS,
    )
    rng = np.random.default_rng(0)
    scores = rng.random(len(marks))
    residual = rng.normal(size=(len(marks), len(SENSORS))).astype(np.float32)
    clock = np.arange(len(marks)) * SECOND
    if gap_before is not None:
        clock[gap_before:] += 3600 * SECOND
    names: list[str | None] = []
    above = np.array([mark == "#" for mark in marks], dtype=bool)
    for start, stop in itertools.pairwise([0, *cuts, len(marks)]):
        places = np.flatnonzero(above[start:stop]) + start
        names += tracker.follow(
            above[start:stop],
            clock[start:stop],
            timestamps=pl.Series(
                [START + timedelta(seconds=int(i)) for i in places], dtype=pl.Datetime("us")
            ),
            scores=scores[places],
            severities=100.0 * scores[places],
            attribution=attributed(residual[places]),
        )
    if finished:
        tracker.finish()
    return names, tracker.closed


def single_rows() -> AlarmStream:
    return AlarmStream(AlertRule(), longest_step=5.0, merge_rows=0)


def seconds(event: Event) -> tuple[int, int]:
    """The rows that an event starts and ends at."""
    assert isinstance(event.start, datetime)
    assert isinstance(event.end, datetime)
    return (event.start - START).seconds, (event.end - START).seconds


@pytest.mark.parametrize(
    ("marks", "spans"),
    [
        ("......", []),
        (".##...", [(1, 2)]),
        ("#..#...", [(0, 3)]),
        ("#...#...", [(0, 0), (4, 4)]),
        ("##.#..##....#", [(0, 7), (12, 12)]),
    ],
)
def test_runs_merge_across_short_gaps_only(marks: str, spans: list[tuple[int, int]]) -> None:
    """Two rows between two runs are one incident (merge_gap 2), three are two incidents."""
    names, events = follow(marks)
    assert [seconds(event) for event in events] == spans
    assert len(set(names)) == len(events)
    assert sum(event.n_rows for event in events) == marks.count("#")


@pytest.mark.parametrize(("marks", "is_open"), [("##", True), ("##..", True), ("##...", False)])
def test_an_event_near_the_end_is_open(marks: str, is_open: bool) -> None:
    """It may go on in the next file; once merge_gap rows have passed it cannot."""
    assert [event.open for event in follow(marks)[1]] == [is_open]
    assert len(follow(marks, finished=False)[1]) == (not is_open)


def test_rows_that_are_no_alarms_are_in_no_event() -> None:
    """The threshold alone says too little: the rule has the last word."""
    names, (event,) = follow("#..###.", rule=AlertRule(k=2, n=2))
    assert names == [None, None, event.event_id, event.event_id]
    assert (seconds(event), event.n_rows) == ((4, 5), 2)


def test_an_event_ends_where_a_suppressed_one_begins() -> None:
    """It cannot go on behind it, so it is not open at the end of the log."""
    rule = AlertRule(suppress=60.0 * SECOND)
    assert [event.open for event in follow("#.#", rule=rule)[1]] == [True]
    (event,) = follow("#...#", rule=rule)[1]
    assert not event.open


@given(marks=st.text("#.", max_size=40), data=st.data())
def test_batches_do_not_change_events(marks: str, data: st.DataObject) -> None:
    """An alarm that changed its name between two runs would be sent out twice."""
    cuts = data.draw(cuts_of(len(marks)))
    assert follow(marks, cuts=cuts) == follow(marks)


def test_an_event_says_what_happened_in_its_rows() -> None:
    """Its peak, size and length are what an on-call engineer reads first."""
    names, (event,) = follow(".#.##....")
    scores = np.random.default_rng(0).random(9)
    peak = max((1, 3, 4), key=lambda row: scores[row])
    assert event.peak_time == START + timedelta(seconds=peak)
    assert event.peak_score == scores[peak]
    assert event.severity == pytest.approx(100.0 * scores[peak])
    assert event.duration_s == 3.0
    assert event.machine == ("pump",)
    assert set(names) == {event.event_id}


@given(data=st.data())
def test_an_event_never_crosses_a_gap(data: st.DataObject) -> None:
    """Before a three-day stop and after it are two incidents, whatever the rows say."""
    cuts = data.draw(cuts_of(8))
    for gap in range(1, 6):
        events = follow("#####...", gap_before=gap, cuts=cuts)[1]
        assert [event.n_rows for event in events] == [gap, 5 - gap] if gap < 5 else [5]


def test_counters_have_no_duration() -> None:
    """Ten strokes are not ten seconds."""
    tracker = EventTracker(
        (), model_id="m", alarms=single_rows(), seconds_per_unit=None, sensors=("a",)
    )
    tracker.follow(
        np.array([True]),
        np.array([7.0]),
        timestamps=pl.Series([7]),
        scores=np.array([1.0]),
        severities=np.array([95.0]),
        attribution=attributed(np.array([[1.0]], dtype=np.float32)),
    )
    tracker.finish()
    assert tracker.closed[0].duration_s is None


@given(st.text("#.", min_size=1, max_size=30))
def test_an_events_shares_sum_to_one(marks: str) -> None:
    """Also where its rows together name more sensors than an event shows."""
    for event in follow(marks)[1]:
        shares = [top.share for top in event.top_sensors]
        assert sum(shares) == pytest.approx(1.0)
        assert shares == sorted(shares, reverse=True)
        assert len(shares) == 5
        assert all(top.direction in (-1, 0, 1) for top in event.top_sensors)


def test_rows_count_by_their_evidence() -> None:
    """By hand: one row with 12 against load, four with 3 against speed. Rows by their shares would
    blame speed four to one, for an event reaches a window beyond what happened; by evidence it is
    the root of 144 against the root of 36."""
    tracker = EventTracker(
        (), model_id="m", alarms=single_rows(), seconds_per_unit=None, sensors=("load", "speed")
    )
    evidence = np.array([[12.0, 0.0], *[[0.0, 3.0]] * 4])
    tracker.follow(
        np.full(5, True),
        np.arange(5.0),
        timestamps=pl.Series(range(5)),
        scores=np.ones(5),
        severities=np.full(5, 95.0),
        attribution=attribute(evidence, evidence, np.zeros(evidence.shape)),
    )
    tracker.finish()
    found = {top.sensor: top.share for top in tracker.closed[0].top_sensors}
    assert found == pytest.approx({"load": 2 / 3, "speed": 1 / 3})


def test_a_direction_is_that_of_the_farthest_row() -> None:
    """One row with a trace of the other sign must not turn an event's arrow round."""
    tracker = EventTracker(
        (), model_id="m", alarms=single_rows(), seconds_per_unit=None, sensors=("a", "b")
    )
    residual = np.array([[-3.0, 0.0], [0.1, 5.0]], dtype=np.float32)
    tracker.follow(
        np.array([True, True]),
        np.array([0.0, 1.0]),
        timestamps=pl.Series([0, 1]),
        scores=np.ones(2),
        severities=np.full(2, 95.0),
        attribution=attributed(residual),
    )
    tracker.finish()
    assert {top.sensor: top.direction for top in tracker.closed[0].top_sensors} == {"a": -1, "b": 1}


def test_a_sensors_values_are_those_of_its_farthest_row() -> None:
    """By hand: expected 10 each time, and farthest from it at 6. An event's rows reach a window beyond
    the fault, and how many of them lie a little on the other side must not turn it round."""
    tracker = EventTracker(
        (), model_id="m", alarms=single_rows(), seconds_per_unit=None, sensors=("flow",)
    )
    residual = np.array([[1.0], [-4.0], [2.0], [1.0]], dtype=np.float32)
    tracker.follow(
        np.full(4, True),
        np.arange(4.0),
        timestamps=pl.Series([0, 1, 2, 3]),
        scores=np.ones(4),
        severities=np.full(4, 95.0),
        attribution=attributed(residual),
    )
    tracker.finish()
    (flow,) = tracker.closed[0].top_sensors
    assert (flow.direction, flow.actual, flow.expected) == (-1, 6.0, 10.0)


def alike(name: str, start: int, **shares: float) -> Event:
    """An event that looks like this; a negative share is one below what was expected."""
    top = tuple(SensorShare(s, abs(v), 1 if v > 0 else -1, v, 0.0) for s, v in shares.items())
    return Event(name, (), start, start, 0.0, 1, start, 1.0, 95.0, top, open=False)


def test_similar_events_are_earlier_ones_with_the_same_sensors_and_directions() -> None:
    """By pencil: *third* has the cosine 0.96 with *first* and -0.95 with *second*, whose flow went the
    other way. An event is not similar to itself, nor to a later one: nobody knew of that."""
    events = [
        alike("third", 30, flow=-0.8, heat=0.6),
        alike("first", 10, flow=-0.6, heat=0.8),
        alike("second", 20, flow=0.6, heat=-0.2),
        alike("fourth", 40, tilt=1.0),
    ]
    found = {event.event_id: event.similar for event in with_similar(events)}
    assert found == {"third": ("first",), "first": (), "second": (), "fourth": ()}
    assert [event.event_id for event in with_similar(events)] == [e.event_id for e in events]


def test_of_many_similar_events_the_most_alike_are_named() -> None:
    """A fault that comes every night would fill the screen with its own past."""
    events = [alike(str(i), i, flow=1.0 - i / 100, heat=i / 100) for i in range(9)]
    assert with_similar(events)[-1].similar == ("7", "6", "5")
    assert with_similar([]) == []


def test_names_tell_models_machines_and_times_apart() -> None:
    """Two machines that fail at the same second are two events."""
    names = {
        event_id(model, machine, start)
        for model in ("m1", "m2")
        for machine in ((), ("a",), ("a", "b"), ("ab",))
        for start in (START, START + timedelta(seconds=1))
    }
    assert len(names) == 16
    assert all(len(name) == 12 and int(name, 16) >= 0 for name in names)
