"""Rankings of sensors against known causes: matched, measured and averaged as a pencil would."""

from pathlib import Path

import numpy as np
import pytest

from benchmarks.attribution.events import METRICS, caused_events, measure
from benchmarks.attribution.rankings import CANDIDATES, OURS, POOLS, SIMPLE, simple_evidence
from benchmarks.attribution.report import left_out, report
from benchmarks.attribution.results import (
    RANDOM,
    EventResult,
    MachineResult,
    read_results,
    write_result,
)


def test_causes_are_matched_by_overlap_of_rows(tmp_path: Path) -> None:
    """Rows 2 to 4 are one event: a cause of row 4 alone is its, one of row 5 is not. Two causes that
    overlap it are both its, and an event without any is left out."""
    labels = np.array([0, 0, 1, 1, 1, 0, 0, 1, 1], dtype=np.int8)
    causes = tmp_path / "causes.csv"
    causes.write_text("start,end,sensors\n4,4,a b\n0,2,c\n5,6,d\n")
    (event,) = caused_events(labels, causes)
    assert (event.start, event.stop, sorted(event.causes)) == (2, 5, ["a", "b", "c"])


def test_an_event_at_both_ends_of_the_log_is_one(tmp_path: Path) -> None:
    """Where all rows are labelled there is no edge inside the log."""
    causes = tmp_path / "causes.csv"
    causes.write_text("start,end,sensors\n1,1,a\n")
    (event,) = caused_events(np.ones(3, dtype=np.int8), causes)
    assert (event.start, event.stop) == (0, 3)


def test_metrics_by_hand() -> None:
    """Two causes come first and fourth of five: one of the first two, one of the first three. Their
    gains are 1 and 1 / log2(5), the best would be 1 and 1 / log2(3)."""
    found = measure(np.array([9.0, 1.0, 8.0, 7.0, 2.0]), np.array([1, 0, 0, 0, 1], dtype=bool))
    ideal = 1.0 + 1.0 / np.log2(3.0)
    by_hand = (0.5, 0.5, (1.0 + 1.0 / np.log2(5.0)) / ideal)
    assert [found[name] for name in METRICS] == pytest.approx(by_hand, abs=1e-4)


def test_the_planted_sensor_leads_every_simple_ranking() -> None:
    """A peer that could not find it would be no peer; here it breaks a bond and its own range."""
    rng = np.random.default_rng(0)
    common = rng.normal(size=(500, 1))
    normal = common * [1.0, 2.0, -1.0, 3.0] + 0.1 * rng.normal(size=(500, 4))
    log = normal[:50].copy()
    log[20:30, 2] += 8.0
    evidence = simple_evidence(normal, log)
    for name in SIMPLE:
        for pooled in POOLS.values():
            assert pooled(evidence[name][20:30]).argmax() == 2


def machine(entity: str, ours: float, other: float) -> MachineResult:
    """A machine with one event, and these hit rates of ours and of the first candidate."""

    def metrics(value: float) -> dict[str, dict[str, float]]:
        return {pool: dict.fromkeys(METRICS, value) for pool in POOLS}

    names = {name: metrics(0.1) for name in (*SIMPLE, *CANDIDATES)}
    names |= {OURS: metrics(ours), CANDIDATES[0]: metrics(other)}
    names[RANDOM] = {"": dict.fromkeys(METRICS, 0.05)}
    event = EventResult(start=0, stop=2, causes=("a",), metrics=names)
    return MachineResult(
        entity=entity, backbone="none", model_id="m", sensors=3, unmatched=0, events=(event,)
    )


def test_a_choice_that_is_left_out_is_made_by_the_others() -> None:
    """On *a* ours is best, but *b* and *c* would choose the candidate, so *a* gets its figure; *b* and
    *c* each see the other and *a*, together best served by ours on one and not on the other."""
    results = [machine("a", 0.9, 0.2), machine("b", 0.5, 0.8), machine("c", 0.5, 0.8)]
    by_hand = (0.2 + 0.5 + 0.5) / 3
    assert left_out(results) == pytest.approx(by_hand)


def test_results_are_kept_and_reported(tmp_path: Path) -> None:
    """The page is made of the files alone, and says what a reader looks for."""
    for name, ours in (("D/a", 0.7), ("D/b", 0.9)):
        write_result(machine(name, ours, 0.2), tmp_path)
    results = read_results("none", tmp_path)
    assert [one.entity for one in results] == ["D/a", "D/b"]
    page = report(results, read_results("other", tmp_path))
    assert f"| {OURS} | squares | 0.800 | 0.800 | 0.800 |" in page
    assert f"| {RANDOM} |  | 0.050 |" in page
    assert "| D/b | 1 | 0.900 |" in page
