"""What a spreadsheet would calculate becomes text, and comes back as it was."""

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aster_cli.logs import TOP_SENSORS
from aster_cli.logs.formulas import disarm, disarmed, rearm, rearmed

STARTS = "=+-@\t\r\n\uff1d\uff0b\uff0d\uff20"
TEXTS = st.text(st.one_of(st.sampled_from(STARTS + "';,\"1.e "), st.characters()))


@pytest.mark.parametrize(
    ("raw", "safe"),
    [
        ("=HYPERLINK(1)", "'=HYPERLINK(1)"),
        ("@SUM(A1)", "'@SUM(A1)"),
        ("+cmd|' /C calc'!A0", "'+cmd|' /C calc'!A0"),
        ("-1+cmd", "'-1+cmd"),
        ("\t=1", "'\t'=1"),
        ("pump;=1+1", "pump;'=1+1"),
        ("'=already", "''=already"),
    ],
)
def test_a_formula_becomes_text(raw: str, safe: str) -> None:
    """OWASP's starts, and what a semicolon would make the start of a cell."""
    assert disarmed(raw) == safe


@pytest.mark.parametrize("text", ["P-1", "a=b", "-5", "+1.5e-3", "-.5", "", "'quoted'", "x;y"])
def test_other_text_stays(text: str) -> None:
    """An id that changed for nothing is an id that no join finds."""
    assert disarmed(text) == text


@given(TEXTS)
def test_no_cell_starts_a_formula_and_every_text_comes_back(text: str) -> None:
    """Cut anywhere a spreadsheet cuts, but a plain number."""
    safe = disarmed(text)
    assert rearmed(safe) == text
    if safe != text:
        cells = [
            safe,
            *safe.replace("\t", ";").replace("\r", ";").replace("\n", ";").split(";")[1:],
        ]
        assert not any(cell.startswith(tuple("=@\uff1d\uff0b\uff0d\uff20")) for cell in cells)


def test_a_frame_keeps_its_numbers() -> None:
    """Only text is touched: cells, names of sensors in lists, and the header."""
    top = [[{"sensor": "=s", "share": 1.0, "direction": -1}], None]
    frame = pl.DataFrame(
        {
            "score": [-1.5, None],
            "n": [-3, 4],
            "=unit": ["=a", None],
            "top_sensors": pl.Series(top, dtype=TOP_SENSORS),
        }
    )
    safe = disarm(frame)
    assert safe.columns == ["score", "n", "'=unit", "top_sensors"]
    assert safe["'=unit"].to_list() == ["'=a", None]
    assert safe["top_sensors"][0][0]["sensor"] == "'=s"
    assert safe.select("score", "n").equals(frame.select("score", "n"))
    assert safe["top_sensors"].dtype == TOP_SENSORS
    assert rearm(safe).equals(frame)
