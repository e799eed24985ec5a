"""What a watch finds, and that it does not matter how rows are cut."""

from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aster_cli.drift import (
    HIGHEST_KS,
    SHORTEST_STRETCH,
    Finding,
    MachineWatch,
    SensorDistance,
)
from aster_cli.reference import Reference, reference_table
from aster_cli.results import Series

MINUTE = 60 * 10**9
START = datetime(2025, 1, 1)
WINDOW = 32
SENSORS = ("steady", "switch")


def normal(rows: int, seed: int = 0) -> Any:
    rng = np.random.default_rng(seed)
    return np.column_stack((rng.normal(5.0, 1.0, rows), np.arange(rows) // 40 % 2))


def reference(rows: int = 6000) -> Reference:
    numbers = np.arange(rows)
    return Reference.of(
        reference_table([Series((), numbers, numbers, normal(rows))], SENSORS), SENSORS
    )


KNOWN = reference()
STRETCH = 200  # a thirtieth of it


def watch(known: Reference = KNOWN) -> MachineWatch:
    return MachineWatch(
        (), sensors=SENSORS, reference=known, period=float(MINUTE), window_size=WINDOW
    )


def give(one: MachineWatch, values: Any, *, first: int = 0, step: float = 1.0) -> None:
    minutes = (np.arange(len(values)) + first) * step
    stamps = pl.Series([START + timedelta(minutes=float(m)) for m in minutes])
    one.push((minutes * MINUTE).astype(np.int64), stamps, values)


def kinds(findings: list[Finding]) -> set[tuple[str, str | None]]:
    return {(one.kind, one.sensor) for one in findings}


def found_in(values: Any, **how: Any) -> set[tuple[str, str | None]]:
    one = watch()
    give(one, values, **how)
    return kinds(one.findings())


def test_more_of_the_same_is_nothing_to_tell() -> None:
    """Or nobody would read it."""
    one = watch()
    give(one, normal(900, seed=3))
    assert one.findings() == []
    assert [d.sensor for d in one.distances] == list(SENSORS)
    assert all(d.ks < 0.2 and d.psi < 0.5 for d in one.distances)
    assert {d.rows for d in one.distances} == {STRETCH}
    # of the last whole stretch, to the row
    assert {(d.start, d.end) for d in one.distances} == {
        (START + timedelta(minutes=600), START + timedelta(minutes=799))
    }


def test_a_scale_that_jumped() -> None:
    """Another unit: the sensor's values are a thousand times what they were."""
    values = normal(STRETCH, seed=1)
    values[:, 0] *= 1000.0
    assert ("scale", "steady") in found_in(values)
    # a window of rows is enough to say so; fewer are not
    assert found_in(values[:WINDOW]) == {("scale", "steady")}
    assert found_in(values[: WINDOW - 1]) == set()


def test_a_scale_has_not_jumped_where_half_of_the_rows_are_usual() -> None:
    """Spikes are anomalies, and the score's business."""
    values = normal(STRETCH, seed=1)
    values[::2, 0] += 1e4
    assert found_in(values) == set()


def test_a_frozen_sensor() -> None:
    """It keeps its last value: three times its longest run in training, and a window."""
    values = normal(STRETCH, seed=1)
    values[50 : 50 + WINDOW + 1, 0] = values[50, 0]
    assert found_in(values) == {("frozen", "steady")}
    values[50 + WINDOW, 0] += 1.0
    assert found_in(values) == set()


@pytest.mark.parametrize("cut", [1, 60, 75, 399])
def test_a_frozen_sensor_is_so_from_its_first_such_row_to_the_last(cut: int) -> None:
    """Not over the stretch in which that was counted; a run may begin in the one before, with missing
    cells in it, and a state may lie between."""
    values = normal(400, seed=1)
    values[170:240, 0] = 5.0
    values[200, 0] = np.nan
    one = watch()
    give(one, values[:cut])
    other = watch()
    other.restore(one.snapshot())
    give(other, values[cut:], first=cut)
    frozen = [found for found in other.findings() if found.kind == "frozen"]
    assert [(found.start, found.end, found.rows) for found in frozen] == [
        (START + timedelta(minutes=170), START + timedelta(minutes=239), 69)
    ]


def test_a_sensor_that_is_often_still_is_frozen_later() -> None:
    """A switch that stays for 40 rows in training may stay for 120."""
    values = normal(400, seed=1)
    values[:, 1] = 0.0
    values[0, 1] = 1.0
    assert ("frozen", "switch") not in found_in(values[:121])
    assert ("frozen", "switch") in found_in(values[:122])


def test_missing_cells_do_not_end_a_run() -> None:
    """A frozen sensor over a bad line is frozen all the same; an empty one is only empty."""
    values = normal(STRETCH, seed=1)
    values[:, 0] = 5.0
    values[::3, 0] = np.nan
    one = watch()
    give(one, values)
    assert ("frozen", "steady") in kinds(one.findings())
    values[:, 0] = np.nan
    assert found_in(values) == set()


@pytest.mark.parametrize(("step", "told"), [(1.0, False), (1.4, False), (2.0, True), (0.5, True)])
def test_a_period_that_changed(step: float, told: bool) -> None:
    """Windows of another period show other shapes; jitter below a half is none of it."""
    one = watch()
    give(one, normal(STRETCH, seed=1), step=step)
    found = [finding for finding in one.findings() if finding.kind == "period"]
    assert bool(found) == told
    for finding in found:
        assert finding.sensor is None
        assert finding.value == pytest.approx(step)


def test_the_period_is_told_where_every_step_is_a_gap() -> None:
    """The rows have no scores then, and somebody has to say why."""
    one = watch()
    give(one, normal(STRETCH, seed=1), step=3000.0)
    assert ("period", None) in kinds(one.findings())


def test_a_sensor_that_drifted() -> None:
    """By five standard deviations, within its units."""
    values = normal(STRETCH, seed=1)
    values[:, 0] += 5.0
    one = watch()
    give(one, values[:-1])
    assert one.findings() == []
    assert one.distances == []
    give(one, values[-1:], first=STRETCH - 1)
    (found,) = one.findings()
    assert (found.kind, found.sensor, found.rows) == ("drift", "steady", STRETCH)
    assert found.value > HIGHEST_KS
    assert found.psi is not None
    # it stands until the next stretch is whole
    give(one, normal(STRETCH - 1, seed=2), first=STRETCH)
    went_on = watch()
    went_on.restore(one.snapshot())
    assert kinds(went_on.findings()) == {("drift", "steady")}
    give(went_on, normal(1, seed=4), first=2 * STRETCH - 1)
    assert went_on.findings() == []


def test_a_finding_is_told_once_from_its_first_stretch_to_its_last() -> None:
    """A log of a year that drifted in spring is one line, not a hundred."""
    values = normal(5 * STRETCH, seed=1)
    values[STRETCH : 3 * STRETCH, 0] += 5.0
    one = watch()
    give(one, values)
    (found,) = one.findings()
    assert found.start == START + timedelta(minutes=STRETCH)
    assert found.end == START + timedelta(minutes=3 * STRETCH - 1)


def test_a_machine_that_training_did_not_see_has_a_period_only() -> None:
    """What its sensors usually do is not known."""
    stranger = MachineWatch(
        ("x",), sensors=SENSORS, reference=KNOWN, period=float(MINUTE), window_size=WINDOW
    )
    give(stranger, normal(STRETCH, seed=1) * 1000.0, step=2.0)
    assert kinds(stranger.findings()) == {("period", None)}
    assert stranger.distances == []


def test_a_sensor_that_never_moved_in_training_is_never_frozen() -> None:
    """Nor has it a range that could be left by its width."""
    numbers = np.arange(600)
    still = np.column_stack((np.full(600, 3.0), normal(600)[:, 1]))
    known = Reference.of(reference_table([Series((), numbers, numbers, still)], SENSORS), SENSORS)
    one = watch(known)
    give(one, still[:SHORTEST_STRETCH])
    assert one.findings() == []


@settings(max_examples=25)
@given(
    cuts=st.lists(st.integers(0, 700), max_size=8),
    kept=st.lists(st.booleans(), min_size=9, max_size=9),
    seed=st.integers(0, 99),
)
def test_how_rows_are_cut_does_not_show(cuts: list[int], kept: list[bool], seed: int) -> None:
    """Not into batches, and not into runs, with a snapshot in between."""
    rng = np.random.default_rng(seed)
    values = normal(700, seed=seed)
    values[100:350, 0] = 5.0
    values[400:650, 0] += 8.0
    values[rng.random(values.shape) < 0.1] = np.nan
    whole, cut = watch(), watch()
    give(whole, values)
    edges = [0, *sorted(cuts), 700]
    found: list[Finding] = []
    for number, (start, stop) in enumerate(pairwise(edges)):
        give(cut, values[start:stop], first=start)
        if kept[number]:
            found += cut.findings()
            before, cut = cut, watch()
            cut.restore(before.snapshot())
    assert kinds(found + cut.findings()) >= kinds(whole.findings())
    assert cut.distances == whole.distances
    mine, theirs = cut.snapshot(), whole.snapshot()
    for name in ("counts", "far", "longest", "steps", "step"):
        np.testing.assert_array_equal(
            mine["stretch"].pop(name), theirs["stretch"].pop(name), err_msg=name
        )
    assert mine["stretch"] == theirs["stretch"]
    assert mine["standing"] == theirs["standing"]
    np.testing.assert_array_equal(mine["run"], theirs["run"])


def test_the_snapshot_is_plain() -> None:
    """It goes into the state, which has no pickle."""
    one = watch()
    values = normal(STRETCH + 10, seed=1)
    values[:, 0] += 5.0
    give(one, values)
    snapshot = one.snapshot()
    (standing,) = snapshot["standing"]
    assert standing["kind"] == "drift"
    assert all(isinstance(entry, dict) for entry in snapshot["distances"])
    back = watch()
    back.restore(snapshot)
    assert isinstance(back.distances[0], SensorDistance)
