"""A log at a glance."""

import shlex
from collections.abc import Sequence

from rich.cells import cell_len
from rich.console import Group, RenderableType
from rich.text import Text

from aster_cli.inspection import ADVICE, BUCKETS, Gap, LogReport, SensorReport, Suspect
from aster_cli.plain import plain
from aster_cli.render.layout import (
    LEAST_NAME,
    QUIET,
    WARNING,
    WIDE,
    ByWidth,
    Cell,
    Column,
    Command,
    Fact,
    Indented,
    Paragraph,
    head,
    section,
    table,
    text,
)
from aster_cli.sparklines import sparkline
from aster_cli.wording import (
    NOTHING,
    alike,
    clock_noun,
    count,
    length,
    listed,
    machine_name,
    moment,
    share,
    shorten,
    until,
)

_NARROWEST_TREND = 10
_NARROWEST_NAME = 12
_NUMBERS_ROOM = 58  # columns of a narrow screen that are not for names
_FEW_MACHINES = 6
_MOSTLY_NORMAL = 0.10  # share of anomalous rows from which a log is not
_MOST_SUSPECTS = 10
_DETAILED = 5  # findings of a kind that are told one by one


def log_report(report: LogReport) -> RenderableType:
    """Everything that is known of a log."""
    parts: list[RenderableType] = [
        head(plain(report.name), log_facts(report), _sources(report)),
        section(
            count(len(report.sensors), "sensor"),
            ByWidth(lambda width: _sensor_table(report.sensors, width)),
        ),
    ]
    findings = _findings(report)
    if findings:
        parts.append(section("Worth a look", *findings))
    if report.suspects:
        suspects = report.suspects[:_MOST_SUSPECTS]
        shown = ByWidth(lambda width: _suspect_table(suspects, width))
        parts.append(section("Unlike the rest", shown, about=_how_many(report)))
    if report.longest_gaps:
        about = f"of {count(report.n_gaps)}" if report.n_gaps > len(report.longest_gaps) else ""
        parts.append(section("Longest gaps", _gap_table(report), about=about))
    if report.suggestion is None:
        return Group(*parts)
    about = ""
    if report.labelled_rows:
        anomalous = count(report.labelled_rows, "row")
        about = f"its labels call {anomalous} anomalous; better without them"
        if report.labelled_rows > _MOSTLY_NORMAL * report.rows:
            about = "though its labels say that it is not mostly normal"
    words = [shlex.quote(word) if word != "…" else word for word in shlex.split(report.suggestion)]
    command = Command(tuple(plain(word) for word in words))
    parts.append(section("Train on it", command, about=about))
    return Group(*parts)


def _sources(report: LogReport) -> str:
    kinds = ", ".join(report.formats)
    if len(report.sources) == 1:
        return f"{plain(report.sources[0])} ({kinds})"
    return f"{count(len(report.sources), 'file')} ({kinds})"


def log_facts(report: LogReport) -> list[Fact]:
    """What is known of a log as a whole."""
    noun = clock_noun(report.time_kind)
    span = length(report.span, in_seconds=report.in_seconds, noun=noun)
    time = f"{plain(report.time_col)} ({report.time_kind})" if report.time_col else "row numbers"
    labels = None
    if report.labelled_rows is not None:
        labels = (
            f"{count(report.labelled_rows)} of {count(report.rows, 'row')} "
            f"({share(report.labelled_rows / report.rows)}) are labelled anomalous "
            f"in {plain(repr(report.label_col))}"
        )
    return [
        ("rows", count(report.rows)),
        ("machines", _machines(report)),
        ("time", time),
        ("span", f"{until(moment(report.start), moment(report.end))}  ({span})"),
        ("period", _period(report)),
        ("gaps", _gaps(report)),
        ("missing", f"{count(report.missing_cells, 'cell')} ({share(report.missing_share)})"),
        ("labels", labels),
        *(("note", Text(plain(note), style=WARNING)) for note in report.notes),
    ]


def _machines(report: LogReport) -> str | None:
    if not report.id_cols:
        return None
    rows = [f"{machine_name(m.machine)} {count(m.rows)}" for m in report.machines]
    by = ", ".join(map(plain, report.id_cols))
    most = "rows" if len(rows) <= _FEW_MACHINES else "most rows"
    return f"{count(report.n_machines)} by {by}; {most}: {_first(rows, report.n_machines)}"


def _first(names: list[str], total: int) -> str:
    shown = ", ".join(names[:_FEW_MACHINES])
    return shown if total <= _FEW_MACHINES else f"{shown} and {total - _FEW_MACHINES:,} more"


def _period(report: LogReport) -> str:
    if report.period is None:
        return f"{NOTHING} (no two rows of one machine)"
    period = length(report.period, in_seconds=report.in_seconds, noun=clock_noun(report.time_kind))
    which = "all" if report.period_exact else "the first"
    rest = "" if not report.irregular_share else f"; {share(report.irregular_share)} differ"
    return f"{period}  (median of {which} {count(report.period_steps, 'step')}{rest})"


def _gaps(report: LogReport) -> str | None:
    if report.period is None:
        return None
    longest = length(
        report.max_gap * report.period,
        in_seconds=report.in_seconds,
        noun=clock_noun(report.time_kind),
    )
    return f"{count(report.n_gaps) if report.n_gaps else 'none'}  (steps longer than {longest})"


def _gap_table(report: LogReport) -> RenderableType:
    noun = clock_noun(report.time_kind)
    has_machines = bool(report.id_cols)

    def row(gap: Gap) -> list[str]:
        cells = [
            moment(gap.start),
            moment(gap.end),
            length(gap.length, in_seconds=report.in_seconds, noun=noun),
            f"{gap.periods:,.0f}",
        ]
        return [machine_name(gap.machine), *cells] if has_machines else cells

    columns = [
        Column("last row before"),
        Column("first row after"),
        Column("length", "right"),
        Column("periods", "right"),
    ]
    machine = [Column("machine", least=LEAST_NAME)] if has_machines else []
    return table([*machine, *columns], map(row, report.longest_gaps))


def _sensor_table(sensors: Sequence[SensorReport], width: int) -> RenderableType:
    """One line a sensor; a narrow screen shows fewer columns, but every sensor."""
    wide = width >= WIDE
    numbers = [alike((s.min, s.mean, s.max, s.std), s.std) for s in sensors]
    remarks = [Text(", ".join(f.kind for f in s.findings), style=WARNING) for s in sensors]
    room = width // 3 if wide else max(width - _NUMBERS_ROOM, _NARROWEST_NAME)
    columns: list[tuple[Column, list[Cell]]] = [
        (Column("sensor"), [shorten(plain(s.name), room) for s in sensors])
    ]
    if wide:
        columns.append((Column("type", style=QUIET), [plain(s.dtype) for s in sensors]))
    if any(s.missing for s in sensors):
        shares: list[Cell] = [share(s.missing_share) if s.missing else "" for s in sensors]
        columns.append((Column("missing", "right"), shares))
    for place, name in enumerate(("min", "mean", "max", "std") if wide else ("min", "mean", "max")):
        columns.append((Column(name, "right"), [row[place] for row in numbers]))
    marks: list[Cell] = [
        remark if wide else Text("!" if remark else "", style=WARNING) for remark in remarks
    ]
    used = sum(
        len("  ") + max(cell_len(text(cell).plain) for cell in (column.title, *cells))
        for column, cells in [*columns, (Column(""), marks)]
    )
    trend = max(_NARROWEST_TREND, min(BUCKETS, width - used))
    heading = "from first row to last" if trend >= len("from first row to last") else "trend"
    columns.append((Column(heading), [sparkline(s.sparkline, trend) for s in sensors]))
    columns.append((Column(""), marks))
    return table([column for column, _ in columns], zip(*(c for _, c in columns), strict=True))


def _suspect_table(suspects: Sequence[Suspect], width: int) -> RenderableType:
    """The likely anomalies, with the sensors that make them so."""
    has_machines = any(suspect.machine for suspect in suspects)
    columns = [
        *([Column("machine", least=LEAST_NAME)] if has_machines else []),
        Column("start and end"),
        Column("rows", "right"),
        Column("sensors far out"),
    ]

    def row(suspect: Suspect) -> list[Cell]:
        stretch = until(moment(suspect.start), moment(suspect.end))
        shown = 6 if width >= WIDE else 2
        names = listed([shorten(plain(name), 24) for name in suspect.sensors], shown)
        cells: list[Cell] = [stretch, count(suspect.rows), names]
        return [shorten(machine_name(suspect.machine), 24), *cells] if has_machines else cells

    return table(columns, map(row, suspects))


def _how_many(report: LogReport) -> str:
    """How much of the log they are."""
    rows = sum(suspect.rows for suspect in report.suspects)
    about = f"about {count(rows, 'row')}, {share(min(rows / report.rows, 1.0))} of the log"
    total = len(report.suspects)
    return (
        f"{about}; the {_MOST_SUSPECTS} farthest of {total:,}" if total > _MOST_SUSPECTS else about
    )


def _findings(report: LogReport) -> list[RenderableType]:
    """What is found, kind by kind, with what to do about it."""
    shown: list[RenderableType] = []
    for kind, advice in ADVICE.items():
        details = [plain(finding.detail) for finding in report.findings if finding.kind == kind]
        named = [
            (plain(sensor.name), plain(finding.detail))
            for sensor in report.sensors
            for finding in sensor.findings
            if finding.kind == kind
        ]
        if not details and not named:
            continue
        shown.append(Paragraph(Text.assemble((kind, WARNING), (f": {advice}", QUIET))))
        if len(named) <= _DETAILED:
            details += [f"{name}: {detail}" for name, detail in named]
        else:
            details.append(listed([name for name, _ in named], 40))
        shown += [Indented(Paragraph(detail)) for detail in details]
    return shown
