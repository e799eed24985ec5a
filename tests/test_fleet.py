"""Scores and detectors are the same, wherever the machines are worked on, and whatever is lost."""

import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from aster_cli.checkpoint import read_card
from aster_cli.fleet import merged
from aster_cli.logs import ROW
from tests.cli.conftest import FAST, alone, aster, save  # noqa: F401 - fixtures
from tests.tiny_detector import interleaved, tiny_fleet_model, wave

MACHINES = ("a", "b", "unseen", "d", "e")


@pytest.fixture(scope="session")
def ray() -> Iterator[None]:
    """Two workers of this machine, started once."""
    ray = pytest.importorskip("ray", reason="Ray is not installed")
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    ray.init(num_cpus=2, log_to_driver=False, logging_level="ERROR", include_dashboard=False)
    yield
    ray.shutdown()


@pytest.fixture
def model(tmp_path_factory) -> Path:
    return tiny_fleet_model(tmp_path_factory.getbasetemp())


@pytest.fixture
def live(save) -> list[str]:  # noqa: F811
    """Two machines in a file each, and three mixed in another one."""
    logs = [wave(150, seed=i, spike=i != 1, unit=unit) for i, unit in enumerate(MACHINES)]
    files = {"a": logs[0], "b": logs[1], "rest": interleaved(*logs[2:])}
    return [save(log, f"{name}.parquet") for name, log in files.items()]


@given(st.lists(st.integers(0, 3), max_size=60), st.integers(1, 4))
def test_merging_gives_every_row_once_and_in_order(owners, size):
    # However rows are spread over shares, and however these cut them into tables.
    rows = pl.DataFrame({ROW: range(len(owners)), "owner": owners}, schema={ROW: int, "owner": int})
    shares = [rows.filter(pl.col("owner") == owner) for owner in sorted(set(owners))]
    shares.sort(key=lambda share: share[ROW][0])
    found = list(merged([(share[ROW][0], share.iter_slices(size)) for share in shares]))
    assert [owner for table in found for owner in table["owner"]] == owners


def test_a_share_is_not_asked_before_it_is_due():
    # It may not have begun; waiting for it would hold up all that is ready.
    def late() -> Iterator[pl.DataFrame]:
        asked.append(len(seen))
        yield pl.DataFrame({ROW: [20], "row": 20})

    asked: list[int] = []
    seen: list[int] = []
    early = (pl.DataFrame({ROW: [row], "row": row}) for row in range(10))
    for table in merged([(0, early), (20, late())]):
        seen += table["row"].to_list()
    assert asked == [10]


@pytest.mark.slow
@pytest.mark.parametrize("loses_a_worker", [False, True], ids=["undisturbed", "a worker is lost"])
def test_scores_are_those_of_one_process(ray, live, model, aster, loses_a_worker):  # noqa: F811
    # Bit for bit, with the events, findings and unknown machines that the summary tells of.
    asked = ["score", *live, "-m", model, "--id-col", "unit"]
    asked += [] if loses_a_worker else ["--json"]  # which leaves no room for notes
    here = aster(*asked, "-o", "here.parquet")
    killed: list[int] = []
    killer = threading.Thread(target=_kill_one, args=("ray::_score", killed), daemon=True)
    if loses_a_worker:
        killer.start()
    there = aster(*asked, "-o", "there.parquet", "--engine", "ray")
    assert (here.code, there.code) == (0, 0), there.err
    assert_frame_equal(pl.read_parquet("here.parquet"), pl.read_parquet("there.parquet"))
    assert there.out == here.out
    assert bool(killed) == loses_a_worker == ("Task _score failed" in there.err)


@pytest.mark.slow
def test_sorted_logs_keep_the_order_of_their_rows(ray, live, model, aster):  # noqa: F811
    # Their rows are scored in another order than they are written in.
    reverse = [pl.read_parquet(path).reverse().write_parquet(path) for path in live]
    asked = ("score", *live, "-m", model, "--id-col", "unit", "--sort")
    assert len(reverse) == len(live)
    assert aster(*asked, "-o", "here.parquet").code == 0
    assert aster(*asked, "-o", "there.parquet", "--engine", "ray").code == 0
    assert_frame_equal(pl.read_parquet("here.parquet"), pl.read_parquet("there.parquet"))


@pytest.mark.slow
def test_a_log_that_cannot_be_scored_ends_alike(ray, model, save, aster):  # noqa: F811
    # What a worker says of a log must reach the user as one line, not as Ray's traceback.
    log = interleaved(wave(150, unit="a"), wave(150, unit="b"))
    empty = save(log.with_columns(s1=pl.lit(None, dtype=pl.Float64)), "empty.parquet")
    twice = save(pl.concat([log, log.tail(1)]), "twice.parquet")
    for path, problem in ((empty, "no value in any row"), (twice, "not later than")):
        asked = ("score", path, "-m", model, "--id-col", "unit", "-o", "out.csv")
        here, there = aster(*asked), aster(*asked, "--engine", "ray")
        assert problem in there.complaint
        assert (there.code, there.complaint) == (here.code, here.complaint)
        assert not Path("out.csv").exists()


@pytest.mark.slow
@pytest.mark.parametrize("loses_a_worker", [False, True], ids=["undisturbed", "a worker is lost"])
def test_detectors_are_those_of_one_process(ray, save, aster, loses_a_worker):  # noqa: F811
    # The id of a model names all that decides its scores.
    logs = (wave(250, seed=i, unit=unit) for i, unit in enumerate("abc"))
    path = save(interleaved(*logs, wave(30, unit="short")), "normal.parquet")
    asked = ("train", path, *FAST, "--id-col", "unit", "--per-id")
    assert aster(*asked, "-o", "here.aster").code == 0
    killed: list[int] = []
    killer = threading.Thread(target=_kill_one, args=("ray::_train", killed), daemon=True)
    if loses_a_worker:
        killer.start()
    ended = aster(*asked, "-o", "there.aster", "--engine", "ray")
    assert ended.code == 0, ended.err
    assert bool(killed) == loses_a_worker
    here, there = read_card(Path("here.aster")), read_card(Path("there.aster"))
    assert here.manifest.model_id == there.manifest.model_id
    assert here.manifest.detectors == there.manifest.detectors
    assert here.training.notes == there.training.notes
    assert not Path("there.partial").exists()


def test_what_cannot_be_shared_out_is_refused(live, model, aster, monkeypatch):  # noqa: F811
    # Before anything is read, and not after an hour.
    for flags in (
        ("--state", "state", "-o", "scores"),
        ("--explain", "why.parquet", "-o", "scores.csv"),
        ("--report", "page.html", "-o", "scores.csv"),
    ):
        ended = aster("score", *live, "-m", model, "--engine", "ray", *flags)
        assert ended.code == 2
        assert f"{flags[0]}: is not there with --engine ray" in ended.complaint
    ended = aster("train", *live, "--engine", "ray")
    assert (ended.code, "--per-id" in ended.complaint) == (2, True)
    log = Path(live[0]).read_bytes()
    ended = aster("score", "-", "-m", model, "--engine", "ray", "-o", "scores.csv", stdin=log)
    assert (ended.code, "other workers" in ended.complaint) == (2, True)
    monkeypatch.setitem(sys.modules, "ray", None)
    ended = aster("score", *live, "-m", model, "--engine", "ray", "-o", "scores.csv")
    assert (ended.code, "aster-cli[ray]" in ended.complaint) == (2, True)


def _kill_one(title: str, killed: list[int]) -> None:
    """Kill the first process that is called so."""
    until = time.monotonic() + 60
    while not killed and time.monotonic() < until:
        for folder in Path("/proc").iterdir():
            if folder.name.isdigit() and _title(folder).startswith(title):
                os.kill(int(folder.name), signal.SIGKILL)
                killed.append(int(folder.name))
                return
        time.sleep(0.005)


def _title(folder: Path) -> str:
    try:
        return (folder / "cmdline").read_bytes().decode(errors="replace")
    except OSError:
        return ""
