"""The page in a real browser: it draws, it obeys mouse and keyboard, and it complains of nothing."""

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from aster_cli.config import ColumnConfig, TimeConfig
from aster_cli.evaluation.comparison import Truth
from aster_cli.logs import Log, open_explained, open_log
from aster_cli.report import Judged, Report
from tests.report.browser import Browser
from tests.report.conftest import START, collected, made_explanation, made_log, made_scores

ROWS = 40_000
SPIKES = (slice(1000, 1060), slice(20_000, 20_001), slice(39_000, 39_100))
SENSORS = ("flow", "level", *(f"spare {number}" for number in range(9)))


@pytest.fixture(scope="module")
def plant(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A page of two machines."""
    folder = tmp_path_factory.mktemp("plant")
    a = made_scores(ROWS, spikes=SPIKES, unit="a")
    b = made_scores(3000, spikes=(slice(10, 30),), unit="b<i>", seed=1)
    scores = pl.concat((a, b)).sort("timestamp", maintain_order=True)
    frame = made_log(scores, *SENSORS)
    frame.write_parquet(folder / "log.parquet")
    made_explanation(frame).write_parquet(folder / "why.parquet")
    columns = ColumnConfig(id_cols=("unit",))
    with (
        open_log([str(folder / "log.parquet")], columns, TimeConfig()) as log,
        open_explained(str(folder / "why.parquet"), ("unit",), TimeConfig()) as why,
    ):
        Report("plant", collected(scores), log=log, explained=why).write(folder / "page.html")
    return folder / "page.html"


@pytest.fixture
def page(plant: Path, browser: Browser) -> Browser:
    """That page, opened from disk."""
    browser.look()
    browser.open(plant)
    return browser


def view_of(page: Browser) -> str:
    told: str = page.run("document.getElementById('status').textContent")
    return told


def count(page: Browser, selector: str) -> int:
    found: int = page.run(f"document.querySelectorAll({selector!r}).length")
    return found


def test_it_draws_and_complains_of_nothing(page: Browser) -> None:
    """No error, no warning, nothing fetched, nothing that its own policy refuses."""
    drawn: list[str] = page.run(
        "[...document.querySelectorAll('#timeline .curve.score path')].map((e) => e.attributes.d.value)"
    )
    assert sum(path.count("L") for path in drawn) > 100
    assert "NaN" not in page.run("document.querySelector('main').innerHTML")
    assert count(page, "#distribution .bar.anomalous") > 0
    page.run("document.getElementById('sensors').scrollIntoView()")
    page.wait("document.querySelectorAll('#panels .curve.actual').length >= 3")
    page.look(dark=True)
    page.look(width=400)
    page.frame()
    assert page.run("document.documentElement.scrollWidth") <= 400
    assert page.complaints == []


def test_every_anomaly_is_marked_at_every_zoom(page: Browser) -> None:
    """One anomalous row of forty thousand is a fraction of a pixel, and has to show all the same."""
    for event in range(4):
        page.run(f"document.querySelector('[data-event=\"{event}\"] button').click()")
        assert count(page, "#timeline .mark") > 0
    page.click("[data-do=all]")
    page.run("document.getElementById('machine').value = '0'")
    page.run("document.getElementById('machine').dispatchEvent(new Event('change'))")
    assert count(page, "#timeline .event") == 3
    marks: list[float] = page.run(
        "[...document.querySelectorAll('#timeline .mark')].map((mark) => mark.x.baseVal.value)"
    )
    for spike in SPIKES:
        width = page.run("document.querySelector('#timeline svg').clientWidth") - 68
        expected = 56 + width * (0.01 + spike.start / ROWS) / 1.02
        assert min(abs(mark - expected) for mark in marks) < 4


def test_long_names_of_machines_stay_on_the_page(browser: Browser, tmp_path: Path) -> None:
    """Names often differ at their ends, and letters differ in width."""
    names = ("WAREHOUSE-MMMM-1", "WAREHOUSE-MMMM-2", "iiiiiiii")
    scores = [made_scores(50, spikes=(slice(10, 12),), unit=name) for name in names]
    both = pl.concat(scores).sort("timestamp", maintain_order=True)
    Report("plant", collected(both)).write(tmp_path / "page.html")
    browser.look()
    browser.open(tmp_path / "page.html")
    texts = "[...document.querySelectorAll('#lanes .lane text')]"
    assert min(browser.run(f"{texts}.map((text) => text.getBBox().x)")) >= 0
    shown = browser.run(f"{texts}.map((text) => text.textContent)")
    assert [text[-1] for text in sorted(shown)] == ["1", "2", "i"]
    assert "iiiiiiii" in shown


def test_an_event_leads_to_the_chart(page: Browser) -> None:
    """From the table to the rows that it is about, with a click anywhere on its line."""
    before = view_of(page)
    page.click("[data-event='2'] td:last-child")
    after = view_of(page)
    assert before != after
    assert after.endswith("1 event")
    assert count(page, "tr.chosen") == 1
    assert page.run("document.activeElement.id") == "timeline"
    assert count(page, "#timeline .event.chosen") == 1
    assert "of this event" in page.run("document.querySelector('.panel .part').textContent")


def test_what_was_expected_stands_beside_what_was_measured(page: Browser) -> None:
    """Line, expected line and band move with the view; what lies outside is marked at every zoom."""
    panel = "#panels .panel:first-child"
    page.run("document.getElementById('sensors').scrollIntoView()")
    page.wait(f"document.querySelector('{panel} .curve.band .spread') !== null")
    drawn = []
    for event in (0, 3):
        page.run(f"document.querySelector('[data-event=\"{event}\"] button').click()")
        page.run("document.getElementById('sensors').scrollIntoView()")
        page.frame()
        for name in ("actual", "expected", "band"):
            assert count(page, f"{panel} .curve.{name} path") >= 1
        assert count(page, f"{panel} .outside") > 0
        drawn.append(page.run(f"document.querySelector('{panel} .curve.expected').innerHTML"))
    assert drawn[0] != drawn[1]
    page.click("[data-do=all]")
    page.run("document.getElementById('sensors').scrollIntoView()")
    page.frame()
    assert count(page, f"{panel} .outside") > 0
    x, y = page.place(f"{panel} .chart", 0.5)
    page.call("Input.dispatchMouseEvent", type="mouseMoved", x=x, y=y)
    page.wait("document.querySelector('.panel output').textContent !== ''")
    told = page.run("document.querySelector('.panel output').textContent")
    assert "expected 0" in told
    assert "normal -4 to 4" in told
    assert page.complaints == []


def test_the_keyboard_is_enough(page: Browser) -> None:
    """Everything that a pointer does on the chart, keys do."""
    page.run("document.querySelector('[data-event=\"0\"] button').focus()")
    page.press("Enter")
    assert page.run("document.activeElement.id") == "timeline"
    seen = [view_of(page)]
    for key in ("n", "p", "+", "ArrowRight", "-", "ArrowLeft", "0"):
        page.press(key)
        seen.append(view_of(page))
    assert len(set(seen[:5])) == 4  # p leads back to where n had left
    assert seen[2] == seen[0]
    assert "3 events" in seen[-1] or "1 event" in seen[-1]
    page.press("Tab")
    assert page.run("document.activeElement.tagName") in ("SUMMARY", "BUTTON")


def test_dragging_zooms_and_a_double_click_shows_all(page: Browser) -> None:
    whole = view_of(page)
    page.drag("#timeline", 0.3, 0.5)
    assert view_of(page) != whole
    x, y = page.place("#timeline")
    for clicks in (1, 2):
        for kind in ("mousePressed", "mouseReleased"):
            at: dict[str, Any] = {"x": x, "y": y, "button": "left", "clickCount": clicks}
            page.call("Input.dispatchMouseEvent", type=kind, **at)
    page.frame()
    assert view_of(page) == whole


def test_the_pointer_reads_values_off_all_charts(page: Browser) -> None:
    page.run("document.querySelector('[data-event=\"0\"] button').click()")
    page.place("#panels .chart")
    page.wait("document.querySelector('#panels .chart svg') !== null")
    x, y = page.place("#panels .chart", 0.5)
    page.call("Input.dispatchMouseEvent", type="mouseMoved", x=x, y=y)
    page.wait("document.querySelector('.panel output').textContent !== ''")
    told: str = page.run("document.getElementById('readout').textContent")
    assert "score 4" in told
    assert "anomalous" in told


def test_the_table_sorts_and_opens(page: Browser) -> None:
    page.run("document.querySelectorAll('th[data-sort] button')[1].click()")
    order: list[str] = page.run(
        "[...document.querySelectorAll('#events-table tbody tr')].map((row) => row.dataset.event)"
    )
    times: list[float] = page.run(
        "[...document.querySelectorAll('td.time')].map((cell) => Number(cell.dataset.value))"
    )
    assert times == sorted(times, reverse=True)
    assert sorted(order) == ["0", "1", "2", "3"]
    assert count(page, "#panels .panel") == 8
    page.click("#more-sensors")
    assert count(page, "#panels .panel") == len(SENSORS)


def test_on_paper_every_shown_panel_is_drawn(page: Browser, tmp_path: Path) -> None:
    """What has not been scrolled to has not been drawn yet; paper does not scroll."""
    page.printed(tmp_path / "page.pdf")
    assert (tmp_path / "page.pdf").read_bytes().startswith(b"%PDF")
    assert count(page, "#panels .curve.actual") == 8
    assert page.complaints == []


def test_on_paper_no_table_is_cut(page: Browser) -> None:
    """Paper does not scroll sideways either; this is how wide a sheet is between its margins."""
    page.look(width=700, paper=True)
    page.frame()
    cut: list[float] = page.run(
        "[...document.querySelectorAll('.wide')].map((box) => "
        "Math.max(...[...box.children].map((one) => one.scrollWidth)) - box.clientWidth)"
    )
    page.look()
    assert cut, "no table"
    assert max(cut) <= 0


CLOCKS = {
    "every 10 ms": pl.Series([START + timedelta(milliseconds=10 * row) for row in range(500)]),
    "days": pl.Series([(START + timedelta(days=row)).date() for row in range(500)]),
    "zoned": pl.Series(
        [START + timedelta(hours=row) for row in range(500)], dtype=pl.Datetime("ns", "UTC")
    ).dt.convert_time_zone("America/New_York"),
    "epoch": pl.Series([1_700_000_000_000 + 60_000 * row for row in range(500)]),
    "months": pl.Series([START + timedelta(days=5 * row) for row in range(500)]),
    "counter": pl.Series(range(1000, 1500)),
    "floats": pl.Series([0.1 * row for row in range(500)]),
    "one row": pl.Series([START]),
}


@pytest.mark.parametrize("times", CLOCKS.values(), ids=CLOCKS)
def test_every_clock_has_an_axis(
    times: pl.Series, browser: Browser, tmp_path: Path, opened: Callable[[pl.DataFrame], Log]
) -> None:
    """From milliseconds to years, and without a clock at all; at every zoom, without a NaN."""
    scores = made_scores(len(times), spikes=(slice(60, 70),)).with_columns(times.alias("timestamp"))
    with opened(made_log(scores, "flow")) as log:
        Report("log", collected(scores), log=log).write(tmp_path / "page.html")
    browser.look()
    browser.open(tmp_path / "page.html")
    for _ in range(8):
        assert "NaN" not in browser.run("document.querySelector('main').innerHTML")
        assert "undefined" not in browser.run("document.querySelector('main').innerHTML")
        assert browser.run("document.querySelectorAll('#timeline .tick.middle').length") >= 1
        browser.click("[data-do=closer]")
    assert browser.complaints == []


def test_times_are_those_of_the_log(
    browser: Browser, tmp_path: Path, opened: Callable[[pl.DataFrame], Log]
) -> None:
    """A browser's own time zone must not move a log; neither must summer time."""
    browser.call("Emulation.setTimezoneOverride", timezoneId="Asia/Tokyo")
    for zone, told in ((None, "2024-03-01 00:50"), ("America/New_York", "2024-03-01 00:50")):
        scores = made_scores(200, spikes=(slice(50, 52),))
        if zone is not None:
            scores = scores.with_columns(pl.col("timestamp").dt.replace_time_zone(zone))
        Report("log", collected(scores)).write(tmp_path / "page.html")
        browser.open(tmp_path / "page.html")
        browser.run("document.querySelector('[data-event=\"0\"] button').click()")
        x, y = browser.place("#timeline", 0.515)
        browser.call("Input.dispatchMouseEvent", type="mouseMoved", x=x, y=y)
        browser.frame()
        assert browser.run("document.getElementById('readout').textContent").startswith(told)
    browser.call("Emulation.setTimezoneOverride", timezoneId="")


def test_a_missed_event_leads_to_the_chart(browser: Browser, tmp_path: Path) -> None:
    """What the detector did not see is what an engineer wants to look at; its label is drawn there."""
    scores = made_scores(900, spikes=(slice(100, 110),))
    labels = np.zeros(900)
    labels[100:110] = labels[700:720] = 1
    truth = Truth(labels, np.zeros(900, dtype=np.int64), scores["timestamp"])
    values, threshold = scores["score"].to_numpy(), scores["threshold"].to_numpy()
    judged = Judged.of(
        truth, {"aster": truth.judge(values, threshold)}, {"aster": values}, threshold
    )
    Report("log", collected(scores), judged=judged).write(tmp_path / "page.html")
    browser.look()
    browser.open(tmp_path / "page.html")
    assert browser.run("document.querySelector('#hits-table .miss').textContent") == "missed"
    browser.click("#hits-table .time button")
    assert view_of(browser).endswith("0 events")
    assert count(browser, "#timeline .label") == 1
    for chart in ("pr", "roc"):
        assert count(browser, f"[data-chart={chart}] .series") == 1
    assert browser.complaints == []
