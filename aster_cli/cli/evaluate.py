"""``aster eval``: scores against labels, with honest metrics and baselines beside them."""

from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import msgspec
import polars as pl

from aster_cli.checkpoint import ModelCard, read_card
from aster_cli.cli import options
from aster_cli.cli.columns import columns_of
from aster_cli.cli.explanations import explained_log, explanation, explanation_place
from aster_cli.cli.showing import Journal, show_json
from aster_cli.cli.targets import require_page
from aster_cli.config import ColumnConfig, LogFormat, TimeConfig, require
from aster_cli.errors import UsageError
from aster_cli.logs import Log, open_log, read_scores
from aster_cli.logs.dataset import parts_of
from aster_cli.render.console import stdout_console
from aster_cli.render.evaluation import metrics_table
from aster_cli.results import FloatArray, Segment

if TYPE_CHECKING:
    from aster_cli.evaluation.comparison import Truth
    from aster_cli.evaluation.metrics import Metrics

PEERS = ("knn", "pca", "mahalanobis", "iforest")
"""The baselines that can be asked for; random scores always stand beside."""


def evaluate(
    logs: options.Logs,
    model: Annotated[
        Path | None,
        options.flag(
            "-m",
            "--model",
            metavar="MODEL",
            help="Score the logs with this model first.",
            show_default=False,
            readable=False,
        ),
    ] = None,
    scores: Annotated[
        str | None,
        options.flag(
            "--scores",
            metavar="SCORES",
            help="Use these scores of the logs, row for row.",
            show_default=False,
        ),
    ] = None,
    baseline: Annotated[
        list[str] | None,
        options.flag(
            "--baseline",
            metavar="NAME",
            help=f"A simple detector to compare with: {', '.join(PEERS)}; repeatable. Random "
            "scores are always there.",
        ),
    ] = None,
    normal: Annotated[
        list[str] | None,
        options.flag(
            "--normal",
            metavar="LOG",
            help="Normal logs for the baselines to learn from; repeatable.",
        ),
    ] = None,
    point_adjust: Annotated[
        bool,
        options.flag("--point-adjust", help="Also the point-adjusted F1, which is inflated."),
    ] = False,
    time_col: options.TimeColEval = None,
    id_col: options.IdColEval = None,
    id_from_path: options.IdFromPath = False,
    label_col: options.LabelCol = "label",
    input_format: options.InputFormat = None,
    duplicates: options.DuplicatesEval = None,
    sort: options.Sort = False,
    seed: options.SeedEval = 0,
    device: options.Device = "auto",
    config: options.Config = None,
    log_format: options.LogStyle = "text",
    quiet: options.Quiet = False,
    no_color: options.NoColor = False,
    report: options.Report = None,
    json: options.Json = False,
    debug: options.Debug = False,
) -> None:
    """Compare scores with labels: labelled logs with --model, or with --scores of them.

    A scores file that has the label column itself needs neither.
    """
    from aster_cli.evaluation.comparison import baseline_scores, compare, random_scores

    journal = Journal(log_format, no_color=no_color, quiet=quiet, json=json)
    asked = list(baseline or ())
    for name in asked:
        require(name in PEERS, "baseline", name, f"one of {', '.join(PEERS)}")
    if asked and not normal:
        raise UsageError(
            "baselines learn from normal logs", where="--baseline", hint="name them with --normal"
        )
    if normal and not asked:
        raise UsageError(
            "normal logs are for baselines, and none is asked for",
            where="--normal",
            hint=f"name one with --baseline: {', '.join(PEERS)}",
        )
    if model is not None and scores is not None:
        raise UsageError("--model and --scores exclude each other", hint="give one of them")
    require_page(report)
    card = None if model is None else read_card(model)
    case = Case(
        logs=logs,
        model=model,
        card=card,
        scores=scores,
        normal=normal or [],
        columns=columns_of(
            None if card is None else card.config.columns,
            time_col=time_col,
            id_col=id_col,
            id_from_path=id_from_path,
            label_col=label_col,
        ),
        time=(TimeConfig() if card is None else card.config.time).changed(
            duplicates=duplicates, sort=sort
        ),
        input_format=input_format,
        device=device,
        report=report,
    )
    with ExitStack() as stack:
        gathered = _gather(case, journal, stack)
        truth, table = gathered.truth, gathered.table
        found = {"aster": compare(truth, table, point_adjusted=point_adjust)}
        by_row = {"aster": table["score"].to_numpy()}
        for name in asked:
            by_row[name] = baseline_scores(name, truth, gathered.peers, gathered.live, seed)
        by_row["random"] = random_scores(truth, seed)
        for name, values in by_row.items():
            found.setdefault(name, truth.judge(values))
        if report is not None:
            _write_report(report, case, gathered, found, by_row)
    if json:
        show_json({name: metrics.to_dict() for name, metrics in found.items()})
    else:
        stdout_console(no_color=no_color).print(metrics_table(found))
    journal.summary("eval", log=gathered.name, rows=len(table))


@dataclass(frozen=True, slots=True)
class Case:
    """What is to be judged, as the command line names it."""

    logs: list[str]
    model: Path | None
    card: ModelCard | None
    scores: str | None
    normal: list[str]
    columns: ColumnConfig
    time: TimeConfig
    input_format: LogFormat | None
    device: str
    report: Path | None


@dataclass(frozen=True, slots=True)
class Gathered:
    """Labels, scores, the segments that baselines need, the log if there is one, and a name.

    `explained` is where there is an explanation, if there is one.
    """

    truth: "Truth"
    table: pl.DataFrame
    peers: list[Segment]
    live: list[Segment]
    log: Log | None
    name: str
    explained: Path | None = None


def _gather(case: Case, journal: Journal, stack: ExitStack) -> Gathered:
    """Read what is to be judged; the labelled log stays open."""
    from aster_cli.evaluation.comparison import (
        in_order_of,
        scores_with_labels,
        segments,
        truth_of,
    )

    if case.model is None and case.scores is None:
        if case.normal:
            raise UsageError(
                "baselines need the sensors' values", hint="give the log, and --scores of it"
            )
        if "-" in case.logs:
            raise UsageError(
                "scores with labels are not read from standard input",
                where="-",
                hint="save them to a file, or give a labelled log and a --model or --scores",
            )
        truth, table = scores_with_labels(case.logs, case.columns.label_col)
        return Gathered(truth, table, [], [], None, Path(case.logs[0]).stem)
    rules, expected = case.time, None
    if case.card is not None:
        # the peers see the rows as the model does: its period, gaps and filled cells
        rules = msgspec.structs.replace(rules, period=case.card.schema.period)
        expected = case.card.schema.log
    peers: list[Segment] = []
    if case.normal:
        with open_log(case.normal, case.columns, case.time, expected=expected) as log:
            expected, peers = expected or log.schema, segments(log, rules)
    log = stack.enter_context(
        open_log(
            case.logs, case.columns, case.time, expected=expected, input_format=case.input_format
        )
    )
    journal.notes(log.notes)
    place = None
    if case.model is not None:
        from aster_cli.detector import Detector

        place = stack.enter_context(
            explanation_place(None, log, for_report=case.report is not None)
        )
        with explanation(place) as on_explained:
            detector = Detector.load(case.model)
            table = pl.concat(detector.scorer(log, case.device, on_explained=on_explained).tables())
    else:
        table = read_scores(str(case.scores))
        if parts_of(Path(str(case.scores))):
            table = in_order_of(log, table)
    live = segments(log, rules) if peers else []
    return Gathered(truth_of(log), table, peers, live, log, log.name, place)


def _write_report(
    target: Path,
    case: Case,
    gathered: Gathered,
    found: dict[str, "Metrics"],
    by_row: dict[str, FloatArray],
) -> None:
    """The report of the scores, with what the labels say of them."""
    from aster_cli.report import Judged, Report, RowCollector

    truth, table, log = gathered.truth, gathered.table, gathered.log
    collector = RowCollector()
    collector.take(table.drop(case.columns.label_col, strict=False))
    judged = Judged.of(truth, found, by_row, table["threshold"].to_numpy())
    with ExitStack() as stack:
        explained = None
        if log is not None:
            explained = stack.enter_context(explained_log(gathered.explained, log))
        page = Report(
            gathered.name,
            collector.rows(),
            log=log,
            explained=explained,
            columns=case.columns,
            time=case.time,
            card=case.card,
            judged=judged,
        )
    page.write(target)
