"""A log at a glance."""

from collections.abc import Sequence

from rich.cells import cell_len
from rich.console import Group, RenderableType
from rich.text import Text

from aster_cli.inspection import BUCKETS, FindingKind, Gap, LogReport, SensorReport
from aster_cli.plain import plain
from aster_cli.render.layout import (
    QUIET,
    WARNING,
    WIDE,
    ByWidth,
    Cell,
    Column,
    Fact,
    Indented,
    Paragraph,
    head,
    listed,
    section,
    table,
    text,
)
from aster_cli.render.sparklines import sparkline
from aster_cli.render.text import (
    NOTHING,
    alike,
    clock_noun,
    count,
    length,
    machine_name,
    moment,
    share,
    shorten,
    until,
)

ADVICE: dict[FindingKind, str] = {
    "label": "if it is one, it is no sensor: --label-col, or --exclude-cols",
    "id": "if it names machines, it is no sensor: --id-col",
    "counter": "it leaves the range that a detector learns: --exclude-cols",
    "all missing": "training leaves it out",
    "mostly missing": "rows without it may not be scored: --exclude-cols",
    "frozen": "a stuck sensor, if nothing else explains it",
    "duplicate": "it counts twice: --exclude-cols",
    "almost constant": "any change of it will look anomalous",
    "constant": "nothing to learn from it; a change will look anomalous",
}
"""What a finding means for training; the most harmful first."""

_NARROWEST_TREND = 10
_NARROWEST_NAME = 12
_NUMBERS_ROOM = 58  # columns of a narrow screen that are not for names
_FEW_MACHINES = 6
_MOSTLY_NORMAL = 0.10  # share of anomalous rows from which a log is not
_DETAILED = 5  # findings of a kind that are told one by one


def log_report(report: LogReport) -> RenderableType:
    """Everything that is known of a log."""
    parts: list[RenderableType] = [
        head(plain(report.name), _facts(report), _sources(report)),
        section(
            count(len(report.sensors), "sensor"),
            ByWidth(lambda width: _sensor_table(report.sensors, width)),
        ),
    ]
    findings = _findings(report.sensors)
    if findings:
        parts.append(section("Worth a look", *findings))
    if report.longest_gaps:
        about = f"of {count(report.n_gaps)}" if report.n_gaps > len(report.longest_gaps) else ""
        parts.append(section("Longest gaps", _gap_table(report), about=about))
    about = ""
    if report.labelled_rows:
        anomalous = count(report.labelled_rows, "row")
        about = f"its labels call {anomalous} anomalous; better without them"
        if report.labelled_rows > _MOSTLY_NORMAL * report.rows:
            about = "though its labels say that it is not mostly normal"
    parts.append(section("Train on it", Paragraph(plain(report.suggestion)), about=about))
    return Group(*parts)


def _sources(report: LogReport) -> str:
    kinds = ", ".join(report.formats)
    if len(report.sources) == 1:
        return f"{plain(report.sources[0])} ({kinds})"
    return f"{count(len(report.sources), 'file')} ({kinds})"


def _facts(report: LogReport) -> list[Fact]:
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
    return table(
        [Column("machine"), *columns] if has_machines else columns, map(row, report.longest_gaps)
    )


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


def _findings(sensors: Sequence[SensorReport]) -> list[RenderableType]:
    """What is found, kind by kind, with what it means for training."""
    shown: list[RenderableType] = []
    for kind, advice in ADVICE.items():
        found = [
            (plain(sensor.name), plain(finding.detail))
            for sensor in sensors
            for finding in sensor.findings
            if finding.kind == kind
        ]
        if not found:
            continue
        shown.append(Text.assemble((kind, WARNING), (f": {advice}", QUIET)))
        if len(found) <= _DETAILED:
            shown += [Indented(Paragraph(f"{name}: {detail}")) for name, detail in found]
        else:
            names = listed([name for name, _ in found], 40)
            shown.append(Indented(Paragraph(names)))
    return shown
