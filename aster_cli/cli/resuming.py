"""One run of ``aster score --state``: what is new is scored, written, and only then remembered."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path

import msgspec
import polars as pl

from aster_cli.cli.explanations import explanation
from aster_cli.cli.outcome import Run
from aster_cli.cli.showing import Journal
from aster_cli.cli.targets import require_other
from aster_cli.config import AlertRule
from aster_cli.errors import StateError, UsageError
from aster_cli.logs import Log, ScoresFile, open_writer
from aster_cli.logs.dataset import Dataset, last_run
from aster_cli.logs.stores import is_url
from aster_cli.logs.writers import STDOUT, SUFFIXES
from aster_cli.render.progress import row_progress
from aster_cli.render.scores import late_rows
from aster_cli.results import Snapshot
from aster_cli.state import State, StateDirectory


@dataclass(frozen=True, slots=True)
class Resumption:
    """What is asked of a run.

    Attributes:
        model: The model directory.
        model_id: What it holds.
        state: The state directory.
        target: The directory of the scores.
        delay: See `aster_cli.incremental.IncrementalScorer`.
        rule: When a score becomes an alarm.
        rescore: Whether to start anew.
        compact: Whether to make one part of all.
        device: What to score on.
        explain: Where goes what was expected of the run's rows; None for nowhere.
    """

    model: Path
    model_id: str
    state: Path
    target: Path
    delay: float
    rule: AlertRule
    rescore: bool
    compact: bool
    device: str
    explain: Path | None = None


def require_sense(
    state: Path | None,
    output: str | None,
    *,
    needless: Sequence[str],
    against: Mapping[str, bool],
) -> None:
    """Refuse flags that mean nothing with, or without, ``--state``.

    Args:
        state: The state directory, if there is one.
        output: Where scores go.
        needless: Flags given that mean nothing without a state.
        against: Flags that mean nothing with one, and whether they are given.
    """
    if state is None:
        if needless:
            raise UsageError("means nothing alone", where=needless[0], hint="give --state too")
        return
    for flag, is_given in against.items():
        if is_given:
            raise UsageError("means nothing with --state", where=flag, hint="leave it out")
    if (
        output is None
        or output == STDOUT
        or is_url(output)
        or Path(output).suffix.lower() in SUFFIXES
    ):
        raise UsageError(
            "with --state scores go into a directory, a file a run",
            where="-o" if output is None else repr(output),
            hint="name one with -o, such as scores/",
        )
    for path in (state, Path(output)):
        if path.exists() and not path.is_dir():
            raise UsageError("is no directory", where=repr(str(path)), hint="name another")
    if state.resolve() == Path(output).resolve():
        raise UsageError(
            "cannot hold the scores too", where=f"--state {state}", hint="name another with -o"
        )


def resume(asked: Resumption, open_it: Callable[[], Log], journal: Journal) -> Run:
    """Score what is new in a log, and write it.

    The part is in place before the state knows of it: killed in between, the run is done again and
    its part replaced.

    Raises:
        BusyError: Another run is at work with this state.
        StateError: The state or the scores are damaged, or of another model.
    """
    home = StateDirectory(asked.state)
    with open_it() as log, home.locked() as interrupted:
        if interrupted is not None:
            journal.notes(
                [f"the last run (process {interrupted}) was interrupted; what it left is done anew"]
            )
        _require_outside(asked.target, log)
        require_other(None if asked.explain is None else str(asked.explain), log, "--explain")
        state = _begin(asked, home)
        dataset = Dataset(asked.target, state.dataset)
        journal.notes(log.notes)
        with (
            explanation(asked.explain) as on_explained,
            row_progress(journal.console, log, "scoring") as advance,
        ):
            # torch and all that comes with it: only from here on
            from aster_cli.detector import Detector

            detector = Detector.load(asked.model)
            scorer = detector.incremental_scorer(
                log,
                state.lanes,
                delay=asked.delay,
                device=asked.device,
                rule=asked.rule,
                on_explained=on_explained,
            )
            written = _write(dataset.part(state.run + 1), scorer.tables(advance))
        if written or scorer.changed:
            state = replace(state, run=state.run + written, lanes=scorer.lanes())
            home.write(state)
        if asked.compact:
            _compact(dataset, state, home)
    journal.notes(scorer.notes())
    summary = scorer.summary
    journal.notes(late_rows(summary.late, summary.late_machines))
    if not summary.rows:
        journal.notes(["nothing is new since the last run"])
    return Run(log.name, summary, len(summary.opened), scorer.newest, log.schema)


def _begin(asked: Resumption, home: StateDirectory) -> State:
    """The state to go on from; a new one is written, and the target made its own, before any part."""
    rule = msgspec.to_builtins(asked.rule)
    try:
        found = home.read()
    except StateError:
        if not asked.rescore:
            raise
        found = None
    if asked.rescore:
        # numbers go on, so that what is scored anew supersedes what was
        run = last_run(asked.target) if found is None else found.run
        state = State(asked.model_id, rule=rule, run=run)
    else:
        state = found or State(asked.model_id, rule=rule)
        if state.model_id != asked.model_id:
            raise StateError(
                f"is of model {state.model_id}, and {asked.model} is {asked.model_id}",
                where=str(asked.state),
                hint="give the model it is of, or start anew with --rescore",
            )
        if state.rule != rule:
            raise StateError(
                f"draws alarms by another rule, {_told(state.rule)}",
                where=str(asked.state),
                hint="give the same one, use `aster threshold` on the scores, or start anew with "
                "--rescore",
            )
        Dataset(asked.target, state.dataset).check(state.run)
    if state is not found:
        home.write(state)
    dataset = Dataset(asked.target, state.dataset)
    dataset.claim()
    dataset.drop_before(state.whole_since)  # where the last run was killed before it did
    return state


def _told(rule: Snapshot) -> str:
    """A rule in the words of its flags, but for what is left as it is by default."""
    usual = msgspec.to_builtins(AlertRule())
    changed = {name: value for name, value in rule.items() if value != usual.get(name)}
    return ", ".join(f"{name} {value}" for name, value in changed.items()) or "the default one"


def _write(part: Path, tables: Iterator[pl.DataFrame]) -> bool:
    """Write the run's part, if there is anything to write; tell whether there was."""
    first = next(tables, None)
    if first is None:
        part.unlink(missing_ok=True)  # of a run that was never committed
        return False
    with open_writer(str(part)) as out:
        for table in chain((first,), tables):
            out.write(table)
    return True


def _compact(dataset: Dataset, state: State, home: StateDirectory) -> None:
    """Make one part of all, and remove them when the state knows of it.

    It counts as a run of its own: killed in between, the next run writes its part anew.
    """
    if len(dataset.parts(0, state.run)) < 2:
        return
    run = state.run + 1
    dataset.part(run).unlink(missing_ok=True)
    with ScoresFile(str(dataset.folder)) as scores, open_writer(str(dataset.part(run))) as out:
        for frame in scores.frames():
            out.write(frame)
    home.write(replace(state, run=run, whole_since=run))
    dataset.drop_before(run)


def _require_outside(target: Path, log: Log) -> None:
    """Refuse to put scores among the logs that they are of."""
    folder = target.resolve()
    local = (source.path.resolve() for source in log.sources if source.is_local)
    if any(path.is_relative_to(folder) for path in local):
        raise UsageError(
            "holds the log itself", where=repr(str(target)), hint="name another directory with -o"
        )
