"""One family of errors, drawn in its module's docstring; the drawing must be true."""

import re

import pytest

from aster_cli import errors
from aster_cli.errors import AsterError, UsageError

RESERVED = {0, 1, 130}  # outcomes, not errors


def family(base: type[AsterError] = AsterError) -> list[type[AsterError]]:
    """The family's members in this room."""
    members = [base]
    for child in base.__subclasses__():
        members += family(child)
    return [member for member in members if member.__module__ == errors.__name__]


def test_the_drawing_is_the_family() -> None:
    """Whoever adds an error reads its place and its exit code there, and so does the manual."""
    drawn = re.findall(r"^([│├└─ ]*)(\w+Error) +(\d+)  ", errors.__doc__ or "", re.MULTILINE)
    assert {name: int(code) for _, name, code in drawn} == {
        member.__name__: member.exit_code for member in family()
    }
    parents: list[str] = []
    for branch, name, _ in drawn:
        depth = len(branch) // 4
        member = getattr(errors, name)
        assert member.__base__.__name__ == (parents[depth - 1] if depth else "Exception")
        parents[depth:] = [name]


def test_no_error_has_an_outcomes_code() -> None:
    """Exit code 1 means anomalies found: a cron job must never mistake a failure for it."""
    assert not RESERVED & {member.exit_code for member in family()}


@pytest.mark.parametrize(
    ("where", "hint", "line"),
    [
        (None, None, "does not fit"),
        ("a.csv", None, "a.csv: does not fit"),
        (None, "try b", "does not fit; try b"),
        ("a.csv", "try b", "a.csv: does not fit; try b"),
    ],
)
def test_a_message_is_one_line(where: str | None, hint: str | None, line: str) -> None:
    """Where, what, what to do: a log collector splits at line ends."""
    assert str(UsageError("does not\n   fit", where=where, hint=hint)) == line


def test_the_parts_stay_apart() -> None:
    """Under --json each is a field of its own."""
    error = UsageError("does not fit", where="a.csv", hint="try b")
    assert (error.what, error.where, error.hint) == ("does not fit", "a.csv", "try b")
