"""Runs of the detection benchmark: each once, in the open, and never with a label."""

from dataclasses import replace
from pathlib import Path

import msgspec
import numpy as np
import polars as pl
import pytest

from aster_cli.results import FloatArray
from benchmarks.detection import __main__ as command
from benchmarks.detection.contract import RowScores
from benchmarks.detection.entities import Entity
from benchmarks.detection.methods import METHODS
from benchmarks.detection.results import read_results, write_result
from benchmarks.detection.runs import describe, plan, run_task
from benchmarks.detection.worker import Task, perform
from tests.benchmarks.detection_logs import write_entities, write_log


class Spy:
    """Scores rows by their first sensor, and remembers what it was given."""

    def __init__(self) -> None:
        self.has_part = False
        self.trained: list[pl.DataFrame] = []
        self.scored: list[pl.DataFrame] = []

    def fit(self, log: Path) -> None:
        self.trained.append(pl.read_parquet(log))

    def score(self, log: Path) -> RowScores:
        table = pl.read_parquet(log)
        self.scored.append(table)
        return RowScores(table["s0"].cast(float).to_numpy(), np.full(len(table), 5.0))

    def parts(self, log: Path) -> dict[str, FloatArray]:
        return {"half": -self.score(log).values} if self.has_part else {}


def _task(entities: list[Entity], results: Path, method: str = "random") -> Task:
    return Task(method=method, seed=0, threads=1, entities=tuple(entities), results=str(results))


def test_entities_are_those_with_a_labelled_log(tmp_path):
    """A log without labels can be trained on but not judged."""
    entities = write_entities(tmp_path)
    assert [entity.key for entity in entities] == ["A/one", "A/two", "B/three"]
    assert [entity.key for entity in entities if entity.core] == ["A/one", "B/three"]


def test_the_label_never_reaches_a_method(tmp_path):
    """A method that sees the labels can be as good as it likes."""
    one, *_ = write_entities(tmp_path)
    table = pl.read_parquet(one.train).with_columns(label=0)
    table.write_parquet(one.train)
    spy = Spy()
    perform(_task([one], tmp_path / "results"), spy, "code")
    assert [table.columns for table in spy.trained] == [["step", "s0", "s1", "s2"]]
    assert [table.columns for table in spy.scored] == [["step", "s0", "s1", "s2"]]


def test_a_shared_training_is_done_once_and_every_log_judged(tmp_path):
    """Ten faults of one plant are ten logs to score, not ten trainings."""
    entities = write_entities(tmp_path)[:2]
    spy = Spy()
    perform(_task(entities, tmp_path / "results"), spy, "code")
    assert len(spy.trained) == 1
    one, two = read_results(tmp_path / "results")
    assert one.trained_for == two.trained_for == ("A/one", "A/two")
    assert one.train_seconds == two.train_seconds
    assert one.metrics["AUC-ROC"] == 1.0
    assert one.metrics["Event-Recall"] == 1.0
    # no anomaly: nothing to rank, but alarms to count
    assert two.metrics["AUC-ROC"] is None
    assert two.metrics["VUS-PR"] is None
    assert two.metrics["False-Alarm-Rate"] == 0.0


def test_a_part_is_judged_beside_the_whole(tmp_path):
    """Which part of a score earns its place is read off one and the same training."""
    one, *_ = write_entities(tmp_path)
    spy = Spy()
    spy.has_part = True
    perform(_task([one], tmp_path / "results", "spy"), spy, "code")
    assert len(spy.trained) == 1
    whole, part = read_results(tmp_path / "results")
    assert (whole.method, part.method) == ("spy", "spy-half-alone")
    assert whole.metrics["AUC-ROC"] == 1.0
    assert part.metrics["AUC-ROC"] == 0.0
    assert part.metrics["False-Alarm-Rate"] is None  # no threshold of its own


def test_equal_training_files_share_a_task_and_others_do_not(tmp_path):
    """Content decides, since every entity has a file of its own."""
    entities = write_entities(tmp_path)
    tasks = plan(
        entities,
        {"random": METHODS["random"]},
        seeds=2,
        threads=1,
        results=tmp_path / "results",
    )
    found = [(task.seed, [entity.key for entity in task.entities]) for task in tasks]
    assert found == [
        (0, ["A/one", "A/two"]),
        (0, ["B/three"]),
        (1, ["A/one", "A/two"]),
        (1, ["B/three"]),
    ]


def test_a_method_that_draws_nothing_is_run_once(tmp_path):
    """More seeds of it would be the same result again."""
    entities = write_entities(tmp_path)
    methods = {"pca": METHODS["pca"]}
    tasks = plan(entities, methods, seeds=3, threads=1, results=tmp_path / "results")
    assert {task.seed for task in tasks} == {0}


def test_a_current_result_is_kept_and_a_stale_one_replaced(tmp_path):
    """A run that takes days must go on where it stopped, and must not keep what code has left."""
    entities = write_entities(tmp_path)[2:]
    results = tmp_path / "results"
    methods = {"random": METHODS["random"]}
    (task,) = plan(entities, methods, seeds=1, threads=1, results=results)
    (first,) = run_task(task)
    assert first.error is None
    assert first.code == METHODS["random"].code_hash()
    assert read_results(results) == [first]
    assert plan(entities, methods, seeds=1, threads=1, results=results) == []

    changed = {"random": replace(METHODS["random"], settings=b"changed")}
    assert plan(entities, changed, seeds=1, threads=1, results=results) == [task]
    write_result(results, msgspec.structs.replace(first, code="stale"))
    assert plan(entities, methods, seeds=1, threads=1, results=results) == [task]
    run_task(task)
    (again,) = read_results(results)
    assert again.code == first.code
    assert again.metrics == first.metrics


def test_a_failure_is_recorded_with_its_reason(tmp_path):
    """A peer that fails silently would look as if nobody had tried it."""
    entities = write_entities(tmp_path)[2:]
    write_log(entities[0].train, rows=5, seed=0)
    task = _task(entities, tmp_path / "results", method="kmeans")
    write_result(tmp_path / "results", task.blank(entities[0], "stale"))
    (result,) = run_task(task)
    assert result.error == "ValueError: no training segment holds a window of 20 rows"
    assert result.metrics == {}
    assert read_results(tmp_path / "results") == [result]
    assert describe(result).endswith(
        "FAILED, ValueError: no training segment holds a window of 20 rows"
    )


def test_a_timeout_is_recorded(tmp_path):
    """So that a method without an end does not stop the benchmark, nor vanish from it."""
    entities = write_entities(tmp_path)[2:]
    (result,) = run_task(_task(entities, tmp_path / "results"), time_limit=0.01)
    assert result.error == "no result within 0 s"


def test_a_result_is_written_whole_or_not_at_all(tmp_path, monkeypatch):
    """A file cut short would stop every later report."""
    (entity,) = write_entities(tmp_path)[2:]
    task = _task([entity], tmp_path / "results")
    results = tmp_path / "results"
    write_result(results, task.blank(entity, "before"))

    def fail(self: Path, target: Path) -> None:
        raise OSError("no space")

    monkeypatch.setattr(Path, "replace", fail)
    with pytest.raises(OSError, match="no space"):
        write_result(results, task.blank(entity, "after"))
    assert [result.code for result in read_results(results)] == ["before"]
    assert [file.suffix for file in (results / "random").iterdir()] == [".json"]


def test_without_logs_there_is_nothing_to_do(tmp_path, monkeypatch, capsys):
    """The logs are not part of the project: a fresh clone has none."""
    monkeypatch.setattr(command, "DATA", tmp_path / "absent")
    monkeypatch.setattr("sys.argv", ["detection", "run"])
    command.main()
    assert capsys.readouterr().err == f"no logs to run on: {tmp_path / 'absent'} is not there\n"


def test_an_unknown_method_is_named(tmp_path, monkeypatch):
    """A misspelt method must not end as an empty run."""
    write_entities(tmp_path)
    monkeypatch.setattr(command, "DATA", tmp_path)
    monkeypatch.setattr("sys.argv", ["detection", "run", "--methods", "random,lofty"])
    with pytest.raises(SystemExit, match="no such method: lofty"):
        command.main()


def test_run_takes_the_core_by_default_and_repeats_nothing(tmp_path, monkeypatch, capsys):
    """The whole way from the command to the files."""
    write_entities(tmp_path)
    monkeypatch.setattr(command, "DATA", tmp_path)
    monkeypatch.setattr(command, "RESULTS", tmp_path / "results")
    monkeypatch.setattr("sys.argv", ["detection", "run", "--methods", "random"])
    command.main()
    assert [r.key for r in read_results(tmp_path / "results")] == ["A/one", "B/three"]
    assert capsys.readouterr().err.count("random on") == 2
    command.main()
    assert capsys.readouterr().err == ""
