"""How a log differs from what the model was trained on, in words."""

from collections.abc import Sequence

from aster_cli.drift import Finding
from aster_cli.plain import plain
from aster_cli.wording import count, length, machine_name, moment, share, until

_MOST = 10


def finding_notes(
    findings: Sequence[Finding], *, period: float, in_seconds: bool
) -> tuple[str, ...]:
    """A note for each finding, the first ten of them.

    Args:
        findings: What was found.
        period: Of the sampling, in seconds or in units of a counter.
        in_seconds: Which of the two.
    """
    notes = [_note(finding, period, in_seconds) for finding in findings[:_MOST]]
    if len(findings) > _MOST:
        notes.append(f"and {count(len(findings) - _MOST, 'finding')} more; --json tells all")
    return tuple(notes)


def _note(finding: Finding, period: float, in_seconds: bool) -> str:
    of = f" of {machine_name(finding.machine)}" if finding.machine else ""
    sensor = f"sensor {plain(finding.sensor)}{of}"
    match finding.kind:
        case "scale":
            what = (
                f"{sensor}: {share(finding.value)} of {count(finding.rows, 'value')} lie farther "
                "outside its training range than that is wide; have its units changed?"
            )
        case "frozen":
            what = (
                f"{sensor} is frozen: {count(finding.rows, 'value')} one and the same, "
                "more than three times its longest run in training"
            )
        case "period":
            found = length(finding.value * period, in_seconds=in_seconds)
            usual = length(period, in_seconds=in_seconds)
            what = f"rows{of} come every {found} or so, in training every {usual}"
        case "drift":
            what = f"{sensor} has drifted: KS {finding.value:.2f}, PSI {finding.psi:.1f}"
    return f"{what} ({until(moment(finding.start), moment(finding.end))})"
