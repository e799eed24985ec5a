"""``aster score`` with an alert rule of one's own: as `aster threshold` draws it, run after run."""

from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from aster_cli.logs import read_scores
from tests.cli.conftest import Aster, Save
from tests.tiny_detector import wave

STEP = ("--state", "state", "-o", "scores")
RULES: tuple[tuple[str, ...], ...] = (
    ("--alert-budget", "0.2"),
    ("--threshold-method", "pot", "--alert-budget", "0.1"),
    ("--threshold-method", "budget", "--alert-budget", "0.3", "--k-of-n", "2/4"),
    ("--threshold-method", "fixed", "--threshold", "0.2", "--merge-gap", "10min"),
    ("--threshold-method", "fixed", "--threshold", "0.1", "--k-of-n", "2/3", "--suppress", "20min"),
)
Refused = Callable[..., str]

rules = pytest.mark.parametrize("rule", RULES, ids=lambda rule: " ".join(rule))


@pytest.fixture
def log(save: Save) -> Callable[[int], str]:
    """The log as it is after so many rows, with a gap."""
    whole = wave(230, spike=True)
    whole = pl.concat([whole[:140], whole[170:]])
    return lambda rows: save(whole[:rows], f"log{rows}.csv")


@rules
def test_a_rule_draws_the_alarms_that_threshold_draws(
    rule: tuple[str, ...], log: Callable[[int], str], model: Path, aster: Aster
) -> None:
    """One rule, whether it is chosen before the scores or after them."""
    assert aster("score", log(200), "-m", model, "-o", "scored.parquet", *rule).code == 0
    aster("score", log(200), "-m", model, "-o", "usual.parquet")
    assert aster("threshold", "usual.parquet", "-m", model, "-o", "drawn.parquet", *rule).code == 0
    scored, drawn = (pl.read_parquet(f"{name}.parquet") for name in ("scored", "drawn"))
    causes = ("top_sensors", "evidence")
    assert_frame_equal(scored.drop(causes), drawn.drop(causes), check_exact=True)
    assert scored["is_anomaly"].any()
    # unlike those of a file at hand, new alarms have their sensors
    for column in causes:
        assert scored[column].is_not_null().to_list() == scored["is_anomaly"].to_list()


@rules
def test_a_rule_holds_however_the_log_is_cut(
    rule: tuple[str, ...], log: Callable[[int], str], model: Path, aster: Aster
) -> None:
    """What it needs of earlier rows is carried from run to run."""
    for rows in (60, 101, 103, 104, 140, 150, 200):
        assert aster("score", log(rows), "-m", model, *STEP, *rule).code == 0
    aster("score", log(200), "-m", model, "-o", "whole.parquet", *rule)
    seen, whole = read_scores("scores"), read_scores("whole.parquet")
    assert_frame_equal(seen.drop("status"), whole.drop("status"), check_exact=True)


def test_without_a_rule_it_is_the_models_own(
    log: Callable[[int], str], model: Path, aster: Aster
) -> None:
    """Its budget is that of training, said or not."""
    aster("score", log(200), "-m", model, "-o", "s.csv")
    aster("score", log(200), "-m", model, "-o", "t.csv", "--alert-budget", "0.005")
    assert Path("s.csv").read_bytes() == Path("t.csv").read_bytes()


def test_the_settings_file_carries_a_rule(
    log: Callable[[int], str], model: Path, save: Save, aster: Aster
) -> None:
    """So cron's line stays short, and two cron lines cannot differ."""
    save('[score]\nk-of-n = "2/3"\nalert-budget = 0.2\n', "aster.toml")
    aster("score", log(200), "-m", model, "-o", "s.csv")
    Path("aster.toml").unlink()
    aster("score", log(200), "-m", model, "-o", "t.csv", "--k-of-n", "2/3", "--alert-budget", "0.2")
    assert Path("s.csv").read_bytes() == Path("t.csv").read_bytes()


def test_conformal_needs_the_whole_file(
    log: Callable[[int], str], model: Path, refused: Refused
) -> None:
    """Rows that come later would change alarms that have been raised."""
    name = log(200)
    for more in ((), STEP):
        line = refused(2, "score", name, "-m", model, "--threshold-method", "conformal", *more)
        assert "aster threshold SCORES --threshold-method conformal" in line


def test_another_rule_is_refused_with_a_state(
    log: Callable[[int], str], model: Path, aster: Aster, refused: Refused
) -> None:
    """Half of the log's alarms by one rule and half by another would be nobody's."""
    aster("score", log(100), "-m", model, *STEP, "--k-of-n", "2/3")
    name = log(200)
    line = refused(2, "score", name, "-m", model, *STEP)
    assert "state: draws alarms by another rule, k 2, n 3; give the same one" in line
    assert aster("score", name, "-m", model, *STEP, "--rescore").code == 0
    aster("score", name, "-m", model, "-o", "whole.parquet")
    seen, whole = read_scores("scores"), read_scores("whole.parquet")
    assert_frame_equal(seen.drop("status"), whole.drop("status"), check_exact=True)


@pytest.mark.parametrize(
    ("flags", "named"),
    [
        (("--threshold", "1"), "--threshold: means nothing to the method quantile"),
        (("--threshold-method", "fixed"), "--threshold-method: fixed needs a threshold"),
        (("--k-of-n", "4"), "--k-of-n: '4' is not possible"),
        (("--suppress", "soon"), "--suppress: 'soon' is no length of time"),
    ],
)
def test_a_rule_that_means_nothing_is_refused(
    flags: tuple[str, ...],
    named: str,
    log: Callable[[int], str],
    model: Path,
    refused: Refused,
) -> None:
    """Before anything is scored, and by the name of its flag."""
    assert named in refused(2, "score", log(100), "-m", model, "-o", "s.csv", *flags)
