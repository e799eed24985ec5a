"""What is still to be run, and its running: one process a training, results as they come."""

import hashlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgspec

from benchmarks.detection.entities import ROOT, Entity
from benchmarks.detection.methods import ALL_METHODS, MethodEntry
from benchmarks.detection.results import Result, read_result, result_file, write_result
from benchmarks.detection.worker import Task

TIME_LIMIT = 30 * 60
"""Seconds that a training and its scoring may take."""

_THREAD_VARIABLES = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "NUMBA_NUM_THREADS",
    "POLARS_MAX_THREADS",
)


def plan(
    entities: list[Entity],
    methods: dict[str, MethodEntry],
    *,
    seeds: int,
    threads: int,
    results: Path,
) -> list[Task]:
    """The trainings without a current result, method after method.

    A result is current while its code hash is, also where it is an error: to try that again, delete
    its file. Entities whose training files are the same byte for byte share a training.
    """
    groups = _by_training(entities)
    tasks = []
    for name, method in methods.items():
        code = method.code_hash()
        for seed in range(seeds if method.draws else 1):
            for group in groups:
                due = tuple(e for e in group if not _is_current(results, name, e, seed, code))
                if due:
                    tasks.append(
                        Task(
                            method=name,
                            seed=seed,
                            threads=threads,
                            entities=due,
                            results=str(results),
                        )
                    )
    return tasks


def run(tasks: Iterable[Task], *, jobs: int) -> None:
    """Run the tasks, and tell of each result on the standard error."""
    with ThreadPoolExecutor(jobs) as pool:
        for outcome in pool.map(run_task, tasks):
            for result in outcome:
                sys.stderr.write(f"{describe(result)}\n")


def run_task(task: Task, *, time_limit: float = TIME_LIMIT) -> list[Result]:
    """Run one task in a process of its own; what fails leaves a result that says why.

    Raises:
        KeyboardInterrupt: The process was interrupted; nothing is recorded.
    """
    threads = {name: str(task.threads) for name in _THREAD_VARIABLES}
    files = [
        result_file(Path(task.results), task.method, entity.key, task.seed)
        for entity in task.entities
    ]
    before = [read_result(file) for file in files]
    try:
        done = subprocess.run(
            [sys.executable, "-m", "benchmarks.detection.worker"],
            input=msgspec.json.encode(task),
            capture_output=True,
            cwd=ROOT,
            env={"GOMP_SPINCOUNT": "2000"} | os.environ | threads,  # as the aster command does
            timeout=time_limit,
            check=False,
        )
    except subprocess.TimeoutExpired:
        error: str | None = f"no result within {time_limit:.0f} s"
    else:
        if done.returncode in (-signal.SIGINT, -signal.SIGTERM):
            raise KeyboardInterrupt
        error = _failure(done) if done.returncode else None
    outcome = []
    for entity, file, old in zip(task.entities, files, before, strict=True):
        result = read_result(file)
        if result is None or result == old:
            blank = task.blank(entity, ALL_METHODS[task.method].code_hash())
            result = msgspec.structs.replace(blank, error=error or "left no result")
            write_result(Path(task.results), result)
        outcome.append(result)
    return outcome


def describe(result: Result) -> str:
    """A result in one line."""
    what = f"{result.method} on {result.key}, seed {result.seed}"
    if result.error is not None:
        return f"{what}: FAILED, {result.error}"
    vus = result.metrics["VUS-PR"]
    figure = "normal rows only" if vus is None else f"VUS-PR {vus:.3f}"
    return f"{what}: {figure}, {result.train_seconds:.0f} s + {result.score_seconds:.0f} s"


def _by_training(entities: list[Entity]) -> list[list[Entity]]:
    groups: dict[str, list[Entity]] = {}
    for entity in entities:
        content = hashlib.sha256(entity.train.read_bytes()).hexdigest()
        groups.setdefault(content, []).append(entity)
    return list(groups.values())


def _is_current(results: Path, method: str, entity: Entity, seed: int, code: str) -> bool:
    found = read_result(result_file(results, method, entity.key, seed))
    return found is not None and found.code == code


def _failure(done: subprocess.CompletedProcess[bytes]) -> str:
    """The last line that the process wrote, or the signal that ended it."""
    if done.returncode < 0:
        return f"ended by {signal.Signals(-done.returncode).name}"
    lines = done.stderr.decode(errors="replace").strip().splitlines()
    return lines[-1] if lines else f"ended with exit code {done.returncode}"
