"""How severities look: a number, a word, a style."""

from rich.text import Text

from aster_cli.wording import NOTHING

SEVERITIES = ((99.0, "extreme", "bold red"), (95.0, "high", "red"), (90.0, "raised", "yellow"))
"""From which severity a word and a style hold; 90 is the highest score of the normal rows in calibration."""


def severity_number(severity: float | None) -> str:
    """A severity with one decimal; cut, not rounded, so that what is below 99 does not read as 99."""
    return NOTHING if severity is None else f"{int(severity * 10) / 10:.1f}"


def severity_text(severity: float | None, *, word: bool = True) -> Text:
    """A severity as a number and a word, coloured alike; without an event as a number only."""
    if severity is None:
        return Text(NOTHING)
    shown = severity_number(severity).rjust(5)
    if not word:
        return Text(shown)
    name, style = next(
        ((name, style) for least, name, style in SEVERITIES if severity >= least), ("low", "")
    )
    return Text(f"{shown} {name}", style=style)
