"""The page is one file, says what is true, and takes nothing from a log for its own words."""

import base64
import hashlib
import json
import re
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from aster_cli.errors import DataError
from aster_cli.logs import TOP_SENSORS, Log
from aster_cli.plain import plain
from aster_cli.report import Report, RowCollector
from aster_cli.report.page import SCRIPTS
from aster_cli.results import SensorShare
from tests.report.conftest import collected, made_explanation, made_log, made_scores

Opened = Callable[[pl.DataFrame], Log]
HOSTILE = (
    "</script><script>alert(1)</script>",
    "<img src=x onerror=alert(2)>",
    "\"'><b>&amp;",
    "{{ 7 * 7 }}",
    "]]>\u2028\u202e\x01",
)


class Elements(HTMLParser):
    """Which elements a page has, and what stands in them."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str, str | None]] = []
        self.scripts: list[str] = []
        self._tag = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(tag, name, value) for name, value in attrs]
        self._tag = tag
        if tag == "script":
            self.scripts.append("")

    def handle_data(self, data: str) -> None:
        if self._tag == "script":
            self.scripts[-1] += data

    def handle_endtag(self, tag: str) -> None:
        self._tag = ""


def data_of(page: str) -> Any:
    return json.loads(Elements(page).scripts[0])


def made_page(
    opened: Opened, scores: pl.DataFrame, *sensors: str, explained: Opened | None = None
) -> str:
    frame = made_log(scores, *sensors)
    with opened(frame) as log:
        why = None if explained is None else explained(made_explanation(frame))
        return Report("log", collected(scores), log=log, explained=why).page()


def test_hostile_names_stay_text(opened: Opened) -> None:
    """Names of columns and machines come from strangers; none may become part of the page."""
    scores = made_scores(300, spikes=(slice(50, 60),), unit=HOSTILE[0])
    top = [{"sensor": HOSTILE[1], "share": 1.0, "direction": 1, "actual": 9.0, "expected": 2.0}]
    named = [top if flagged else None for flagged in scores["is_anomaly"]]
    scores = scores.with_columns(pl.Series("top_sensors", named, dtype=TOP_SENSORS))
    page = made_page(opened, scores, *HOSTILE)
    tame = made_page(opened, made_scores(300, spikes=(slice(50, 60),), unit="a"), *"bcdef")
    assert sorted(set(Elements(page).tags)) == sorted(set(Elements(tame).tags))
    assert Elements(page).tags.count("script") == 2
    assert not [name for _, name, _ in Elements(page).attributes if name.startswith("on")]
    assert {one["name"] for one in data_of(page)["sensors"]} == {plain(name) for name in HOSTILE}


def test_nothing_runs_but_the_pages_own_script_and_nothing_is_fetched(opened: Opened) -> None:
    """The policy names what stands in the page by its hash; a forgotten byte would stop it."""
    page = made_page(opened, made_scores(100, spikes=(slice(5, 9),)), "flow")
    elements = Elements(page)
    policy = next(v for tag, name, v in elements.attributes if tag == "meta" and name == "content")
    assert policy is not None
    assert policy.startswith("default-src 'none';")
    assert "unsafe" not in policy
    style = re.search(r"<style>(.*?)</style>", page, re.DOTALL)
    assert style is not None
    for text in (style[1], elements.scripts[1]):
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert f"'sha256-{digest}'" in policy
    assert not [value for _, name, value in elements.attributes if name in ("src", "style")]
    links = [value for _, name, value in elements.attributes if name == "href"]
    assert all(link is not None and link.startswith("#") for link in links)
    assert not re.findall(r"\bfetch\(|XMLHttpRequest|\beval\(|innerHTML", elements.scripts[1])


def test_every_link_and_label_leads_somewhere(opened: Opened) -> None:
    """A screen reader follows them; one that leads nowhere is silence."""
    page = made_page(opened, made_scores(100, spikes=(slice(5, 9),), unit="a"), "flow")
    attributes = Elements(page).attributes
    ids = [value for _, name, value in attributes if name == "id"]
    assert len(ids) == len(set(ids))
    for _, name, value in attributes:
        if name in ("aria-labelledby", "aria-controls", "for"):
            assert value in ids
        if name == "href":
            assert str(value).removeprefix("#") in ids


@pytest.mark.parametrize(("rows", "sensors"), [(1_000_000, 3), (6_000, 150)])
def test_the_page_stays_below_five_megabytes(
    rows: int, sensors: int, opened: Opened, explained: Opened
) -> None:
    """However long or wide the log is; and it still counts every anomalous row."""
    rng = np.random.default_rng(0)
    spikes = tuple(slice(n, n + 40) for n in rng.integers(0, rows - 50, 700).tolist())
    scores = made_scores(rows, spikes=spikes)
    names = [f"sensor {number}" for number in range(sensors)]
    page = made_page(opened, scores, *names, explained=explained)
    assert len(page.encode()) < 5_000_000
    counts = np.frombuffer(base64.b64decode(data_of(page)["bins"]["anomalies"]), dtype="<u4")
    assert counts.sum() == scores["is_anomaly"].sum()


def test_events_come_in_the_order_of_severity(opened: Opened) -> None:
    scores = made_scores(900, spikes=(slice(100, 110), slice(500, 520), slice(800, 801)))
    page = made_page(opened, scores, "flow", "level")
    severities = [event["severity"] for event in data_of(page)["events"]]
    assert severities == sorted(severities, reverse=True)
    assert len(severities) == 3
    assert "3 events in 900 rows" in page


def test_a_page_without_a_log_a_model_or_an_anomaly_says_so() -> None:
    page = Report("quiet", collected(made_scores(50))).page()
    assert "No anomaly in 50 rows." in page
    assert "name it with --logs" in page
    assert "expected</li>" not in page
    assert data_of(page)["sensors"] == []


def test_what_was_said_while_scoring_is_on_the_page() -> None:
    """A note of changed units scrolls away on a terminal; the page is what is read later."""
    page = Report("log", collected(made_scores(50)), notes=["<s0> has changed its units"]).page()
    assert "<li>&lt;s0&gt; has changed its units</li>" in page


def test_times_that_repeat_are_told() -> None:
    """Rows that lie one upon the other look like one; two machines at one time are no repetition."""
    scores = made_scores(50)
    told = "times that repeat"
    assert told not in Report("log", collected(scores)).page()
    both = pl.concat((made_scores(50, unit="a"), made_scores(50, unit="b")))
    assert told not in Report("log", collected(both)).page()
    page = Report("log", collected(pl.concat((scores, scores[20:22])).sort("timestamp"))).page()
    assert told in page
    assert "4 rows, from 2024-03-01 00:20 on" in page


def test_rows_without_a_score_are_counted_and_not_drawn(opened: Opened) -> None:
    scores = made_scores(100, spikes=(slice(60, 70),))
    unscored = pl.int_range(pl.len()) < 20
    scores = scores.with_columns(
        *(pl.when(~unscored).then(name).alias(name) for name in ("score", "severity")),
        status=pl.when(unscored).then(pl.lit("gap")).otherwise("status"),
    )
    page = made_page(opened, scores, "flow")
    assert "in a segment shorter than a window" in page
    assert "80 scored" in page
    stored = np.frombuffer(base64.b64decode(data_of(page)["bins"]["score"]["low"]), dtype="<f4")
    assert np.isnan(stored[:20]).all()
    assert np.isfinite(stored[20:]).all()


def test_the_log_of_other_scores_is_refused(opened: Opened) -> None:
    """Panels of another log beside these events would be a lie."""
    scores = made_scores(50)
    other = made_log(scores, "flow").with_columns(pl.col("timestamp") + pl.duration(days=30))
    with opened(other) as log, pytest.raises(DataError, match="none of its rows"):
        Report("log", collected(scores), log=log)


def test_scripts_cannot_end_the_element_that_they_stand_in() -> None:
    folder = Path(__file__).parents[2] / "aster_cli" / "report" / "page"
    assert {path.stem for path in folder.glob("*.js")} == set(SCRIPTS)
    for name in SCRIPTS:
        assert "</script" not in (folder / f"{name}.js").read_text().lower()


def contrast(one: str, other: str) -> float:
    """How well two colours can be told apart, from 1 to 21, as the WCAG measure it."""

    def luminance(colour: str) -> float:
        parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    dark, light = sorted((luminance(one), luminance(other)))
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("place", [0, 1, 2], ids=["light", "dark", "paper"])
def test_text_and_curves_stand_out(place: int) -> None:
    """4.5 for text and 3 for what is drawn: readable for weak eyes, and on a projector."""
    folder = Path(__file__).parents[2] / "aster_cli" / "report" / "page"
    blocks = re.findall(r":root \{(.*?)\}", (folder / "report.css").read_text(), re.DOTALL)
    assert len(blocks) == 3
    colours = dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6})", blocks[place]))
    for ground in ("paper", "panel"):
        for text in ("ink", "soft", "accent", "raised-ink", "high-ink", "extreme-ink", "threshold"):
            assert contrast(colours[text], colours[ground]) >= 4.5, (text, ground)
        drawn = ("actual", "expected", "high", "extreme", "label")
        for curve in (*drawn, *(f"series-{number}" for number in range(6))):
            assert contrast(colours[curve], colours[ground]) >= 3.0, (curve, ground)
    for curve in ("actual", "expected"):
        assert contrast(colours[curve], colours["band"]) >= 3.0, curve
    # the severities also differ by lightness, for eyes that do not tell their hues
    steps = [contrast(colours[name], colours["paper"]) for name in ("raised", "high", "extreme")]
    assert abs(steps[0] - steps[1]) > 0.6
    assert abs(steps[1] - steps[2]) > 0.6


def test_an_event_says_how_far_its_sensors_were_from_what_was_expected() -> None:
    """A share alone does not tell whether a flow was 38 % too low, or a hair."""
    scores = made_scores(300, spikes=(slice(50, 60), slice(200, 210)))
    collector = RowCollector()
    collector.take(scores)
    flow = SensorShare("flow", 1.0, -1, 62.0, 100.0)
    events = [replace(one, top_sensors=(flow,)) for one in collected(scores).events]
    page = Report("log", collector.rows(events)).page()
    told = "62.00, expected 100.0, 38 % below"
    assert page.count(f"<b>flow</b> {told} <small>100 %</small>") == 2
    assert f"severity 97.0, flow {told}." in page
    like = '<p class="like">like <button type="button" class="plain" data-jump="1">'
    assert page.count(like) == 1  # the later one looks like the earlier one


def test_an_event_that_looks_alike_is_named_by_its_machine() -> None:
    """Two machines may fail in the same minute; a time alone would not tell which one is meant."""
    tables = (
        made_scores(300, spikes=(slice(50, 60),), unit="p1"),
        made_scores(300, spikes=(slice(200, 210),), unit="p2"),
    )
    page = Report("log", collected(*tables)).page()
    assert re.findall(r'<p class="like">like <button[^>]*>(.*?)</button>', page) == [
        "p1, 2024-03-01 00:50 \N{EN DASH} 00:59"
    ]
