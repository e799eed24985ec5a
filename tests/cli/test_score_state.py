"""``aster score --state``: runs from cron over years, killed, repeated, misused."""

import fcntl
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from aster_cli import Detector
from aster_cli.logs import read_scores
from aster_cli.logs.dataset import parts_of
from tests.cli.conftest import Aster, Save, files_here
from tests.tiny_detector import interleaved, tiny_config, wave

STEP = ("--state", "state", "-o", "scores")
Refused = Callable[..., str]


class KilledError(BaseException):
    """Stands for a process that is no more."""


def by_part(folder: str = "scores") -> dict[str, pl.DataFrame]:
    return {part.name: pl.read_parquet(part) for part in parts_of(Path(folder))}


def require_equal(found: dict[str, pl.DataFrame], expected: dict[str, pl.DataFrame]) -> None:
    assert list(found) == list(expected)
    for name, frame in expected.items():
        assert_frame_equal(found[name], frame, check_exact=True)


@pytest.fixture
def log(save: Save) -> Callable[[int], str]:
    """The log as it is after so many rows."""
    whole = wave(200, spike=True)
    return lambda rows: save(whole[:rows], f"log{rows}.csv")


def test_a_growing_log_scores_as_in_one_go(
    log: Callable[[int], str], model: Path, aster: Aster
) -> None:
    """The main promise, from file to file: a part a run, the last part wins."""
    for rows in (60, 61, 104, 200):
        assert aster("score", log(rows), "-m", model, *STEP).code == 0
    assert list(by_part()) == [f"part-0000000{run}.parquet" for run in (1, 2, 3, 4)]
    assert aster("score", log(200), "-m", model, "-o", "whole.parquet").code == 0
    seen, whole = read_scores("scores"), read_scores("whole.parquet")
    assert_frame_equal(seen.drop("status"), whole.drop("status"), check_exact=True)
    assert seen["status"].head(180).to_list() == ["ok"] * 180
    assert set(files_here()) & {"state/lock", "state/state.safetensors", "scores/_dataset.json"}


def test_the_same_step_twice_leaves_every_file_as_it_was(
    log: Callable[[int], str], model: Path, aster: Aster
) -> None:
    """Nothing is doubled, nothing is lost, and the run says that there was nothing to do."""
    name = log(100)
    aster("score", name, "-m", model, *STEP)
    before = files_here()
    ended = aster("score", name, "-m", model, *STEP)
    assert (ended.code, ended.err) == (0, "note: nothing is new since the last run\n")
    assert files_here() == before


def test_new_rows_on_standard_input_are_enough(
    log: Callable[[int], str], model: Path, aster: Aster
) -> None:
    """Whoever rotates logs gives only the new file."""
    header, *rows = Path(log(200)).read_text().splitlines(keepends=True)
    for some in (rows[:90], rows[90:150], rows[150:]):
        text = "".join([header, *some]).encode()
        assert aster("score", "-", "-m", model, *STEP, stdin=text).code == 0
    aster("score", log(200), "-m", model, "-o", "whole.parquet")
    whole = read_scores("whole.parquet")
    assert_frame_equal(read_scores("scores").drop("status"), whole.drop("status"), check_exact=True)


CALLS = ("replace", "fsync", "unlink", "ftruncate")
"""What changes or settles files; a killed run does none of it any more."""


def run_killed(at: int, aster: Aster, monkeypatch: pytest.MonkeyPatch, *arguments: object) -> bool:
    """Run until the call of this number; tell whether it came to that."""
    calls = 0
    with monkeypatch.context() as patched:
        for name in CALLS:
            real = getattr(os, name)

            def call(*args: Any, _real: Any = real, **more: Any) -> Any:
                nonlocal calls
                calls += 1
                if calls > at:
                    raise KilledError
                return _real(*args, **more)

            patched.setattr(os, name, call)
        try:
            aster(*arguments)
        except KilledError:
            return True
    return False


@pytest.mark.parametrize("step", [1, 2, 3])
def test_killed_at_any_point_a_step_done_again_is_undisturbed(
    step: int,
    log: Callable[[int], str],
    model: Path,
    aster: Aster,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Whichever write was the last one, the files that readers see are whole, and after the same
    step done again they are what they would have been. The third step compacts."""
    steps = [(log(70),), (log(120),), (log(160), "--compact"), (log(200),)]

    def run(number: int, state: str, scores: str) -> tuple[object, ...]:
        return "score", *steps[number], "-m", model, "--state", state, "-o", scores

    expected = []
    for number in range(step + 1):
        if number == step - 1 and step > 1:
            shutil.copytree("state", "before/state")
            shutil.copytree("scores", "before/scores")
        assert aster(*run(number, "state", "scores")).code == 0
        expected.append(by_part())
    point, killed = 0, True
    while killed:
        state, scores = f"at{point}/state", f"at{point}/scores"
        shutil.copytree("before", f"at{point}") if step > 1 else Path(f"at{point}").mkdir()
        killed = run_killed(point, aster, monkeypatch, *run(step - 1, state, scores))
        visible = by_part(scores)  # each of them can be read
        if killed and step == 2:
            assert set(visible) - {"part-00000002.parquet"} == set(expected[0])
        ended = aster(*run(step - 1, state, scores))
        assert ended.code == 0
        assert ("was interrupted" in ended.err) == (killed and point > 0)
        require_equal(by_part(scores), expected[step - 1])
        assert not [name for name in files_here() if name.endswith(".tmp")]
        assert aster(*run(step, state, scores)).code == 0
        require_equal(by_part(scores), expected[-1])
        point += 1
    assert point > 4


KILLING = """
import os, signal, sys
from aster_cli.cli import app
real, left = os.fsync, [int(sys.argv.pop(1))]
def fsync(descriptor):
    real(descriptor)
    left[0] -= 1
    if not left[0]:
        os.kill(os.getpid(), signal.SIGKILL)
os.fsync = fsync
app(sys.argv[1:], prog_name="aster")
"""


@pytest.mark.parametrize("point", [1, 2, 3, 4])
def test_after_kill_9_a_step_done_again_is_undisturbed(
    point: int, log: Callable[[int], str], model: Path, aster: Aster
) -> None:
    """A real process, really killed: after the part is synced, in place, after the state is synced,
    in place. Its lock is free at once."""
    for state, scores in (("state", "scores"), ("state2", "scores2")):
        assert aster("score", log(70), "-m", model, "--state", state, "-o", scores).code == 0
    step = ("score", log(150), "-m", model)
    command = [sys.executable, "-c", KILLING, str(point), *map(str, step), *STEP]
    killed = subprocess.run(command, capture_output=True, check=False)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert aster(*step, "--state", "state2", "-o", "scores2").code == 0
    ended = aster(*step, *STEP)
    assert ended.code == 0
    assert "was interrupted" in ended.err.splitlines()[0]
    require_equal(by_part("scores"), by_part("scores2"))
    assert not [name for name in files_here() if name.endswith(".tmp")]


def test_an_interrupted_run_leaves_the_last_good_one(
    log: Callable[[int], str], model: Path, aster: Aster, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ctrl-C and SIGTERM, in the middle of the network's work."""
    aster("score", log(70), "-m", model, *STEP)
    name = log(200)
    before = files_here()

    def interrupt(*args: object, **more: object) -> None:
        signal.raise_signal(signal.SIGTERM)

    with monkeypatch.context() as patched:
        patched.setattr("aster_cli.reading.WindowReader.read", interrupt)
        ended = aster("score", name, "-m", model, *STEP)
    assert (ended.code, ended.complaint) == (130, "aster: interrupted, nothing was half-written")
    assert files_here() == before
    assert aster("score", name, "-m", model, *STEP).err.startswith("log200")


def test_a_held_lock_is_exit_75(
    log: Callable[[int], str], model: Path, aster: Aster, refused: Refused
) -> None:
    """Cron starts the next run although the last one is still at work: it is to try again."""
    name = log(100)
    aster("score", name, "-m", model, *STEP)
    with Path("state/lock").open() as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        complaint = refused(75, "score", name, "-m", model, *STEP)
    assert "another run holds the lock" in complaint
    assert aster("score", name, "-m", model, *STEP).code == 0


@pytest.fixture
def other_model(save: Save) -> str:
    normal = save(wave(300, seed=8), "normal.parquet")
    Detector.fit(normal, tiny_config(seed=1)).save("other.aster")
    return "other.aster"


def test_another_model_is_refused_unless_told_to_rescore(
    log: Callable[[int], str], model: Path, other_model: str, aster: Aster, refused: Refused
) -> None:
    """Half of a log by one model and half by another would compare what cannot be compared."""
    aster("score", log(100), "-m", model, *STEP)
    name = log(150)
    complaint = refused(2, "score", name, "-m", other_model, *STEP)
    assert "--rescore" in complaint
    assert "other.aster" in complaint
    assert aster("score", name, "-m", other_model, *STEP, "--rescore").code == 0
    aster("score", name, "-m", other_model, "-o", "whole.parquet")
    whole = read_scores("whole.parquet")
    assert_frame_equal(read_scores("scores").drop("status"), whole.drop("status"), check_exact=True)
    assert list(by_part()) == ["part-00000001.parquet", "part-00000002.parquet"]
    assert aster("score", log(200), "-m", other_model, *STEP).code == 0


def test_a_damaged_state_is_exit_2_and_can_be_begun_anew(
    log: Callable[[int], str], model: Path, aster: Aster, refused: Refused
) -> None:
    """The scores that are there stay, and what is scored anew supersedes them."""
    aster("score", log(100), "-m", model, *STEP)
    aster("score", log(130), "-m", model, *STEP)
    expected = read_scores("scores")
    Path("state/state.safetensors").write_bytes(b"x" * 100)
    complaint = refused(2, "score", log(130), "-m", model, *STEP)
    assert "state/state.safetensors: is truncated or altered" in complaint
    assert aster("score", log(130), "-m", model, *STEP, "--rescore").code == 0
    assert len(by_part()) == 3
    assert_frame_equal(read_scores("scores"), expected, check_exact=True)


def test_scores_of_another_state_are_left_alone(
    log: Callable[[int], str], model: Path, aster: Aster
) -> None:
    """A state that was deleted, or a slip of the finger, must not replace a year of parts."""
    name = log(100)
    aster("score", name, "-m", model, *STEP)
    before = by_part()
    ended = aster("score", name, "-m", model, "--state", "new", "-o", "scores")
    assert ended.code == 2
    assert "another state" in ended.complaint
    require_equal(by_part(), before)


def test_an_old_copy_of_the_state_is_refused(
    log: Callable[[int], str], model: Path, aster: Aster, refused: Refused
) -> None:
    """Restored from a backup it would write parts that younger ones hide."""
    aster("score", log(60), "-m", model, *STEP)
    old = Path("state/state.safetensors").read_bytes()
    for rows in (80, 100):
        aster("score", log(rows), "-m", model, *STEP)
    Path("state/state.safetensors").write_bytes(old)
    complaint = refused(2, "score", log(100), "-m", model, *STEP)
    assert "has part 3, and the state knows of 1 only" in complaint


def test_late_rows_are_taken_in_or_told(model: Path, save: Save, aster: Aster) -> None:
    """A collector that was offline sends its rows after the others: inside --delay in order of
    time, outside it they are left out, and whoever reads stderr knows."""
    log = wave(100)
    first, late, rest = log[[*range(50), *range(53, 60)]], log[50:53], log[60:]
    for name, frame in (("1", first), ("2", pl.concat((late, rest)))):
        save(frame, f"{name}.csv")
    for delay in ("10min", "2min"):
        target = ("--state", f"state{delay}", "-o", f"scores{delay}", "--delay", delay)
        assert aster("score", "1.csv", "-m", model, *target).code == 0
        ended = aster("score", "2.csv", "-m", model, *target, "--json")
        assert json.loads(ended.out)["late"] == (0 if delay == "10min" else 3)
    assert read_scores("scores10min")["timestamp"].to_list() == log["time"].to_list()
    assert len(read_scores("scores2min")) == 97
    ended = aster("score", save(log[70:72], "3.csv"), "-m", model, *target)
    assert "late" not in ended.err  # known, not late
    odd = log[55:56].with_columns(pl.col("time") + timedelta(seconds=7))
    ended = aster("score", save(odd, "4.csv"), "-m", model, *target)
    assert "note: 1 row came later than --delay allows, and are left out" in ended.err.splitlines()


def test_compacting_leaves_one_part_with_the_same_rows(
    fleet_model: Path, save: Save, aster: Aster
) -> None:
    """A part every five minutes is a hundred thousand files a year."""
    log = interleaved(wave(100, unit="a"), wave(100, seed=3, spike=True, unit="b"))
    for stop in (80, 100, 150):
        aster("score", save(log[:stop], "log.csv"), "-m", fleet_model, *STEP)
    expected = read_scores("scores")
    assert aster("score", "log.csv", "-m", fleet_model, *STEP, "--compact").code == 0
    assert list(by_part()) == ["part-00000004.parquet"]  # nothing was new: it is the fourth run
    assert_frame_equal(read_scores("scores"), expected, check_exact=True)
    before = files_here()
    assert aster("score", "log.csv", "-m", fleet_model, *STEP, "--compact").code == 0
    assert files_here() == before
    save(log, "log.csv")
    aster("score", "log.csv", "-m", fleet_model, *STEP, "--compact")
    aster("score", "log.csv", "-m", fleet_model, "-o", "whole.parquet")
    seen, whole = (
        read_scores(path).drop("status").sort("unit", "timestamp")
        for path in ("scores", "whole.parquet")
    )
    assert_frame_equal(seen, whole, check_exact=True)
    for _, own in by_part()["part-00000006.parquet"].group_by("unit"):
        assert own["timestamp"].is_sorted()


def test_old_scores_can_be_moved_away(log: Callable[[int], str], model: Path, aster: Aster) -> None:
    """Years of them need not lie in one directory: the next run begins another one, and what was
    provisional in the old one comes again there."""
    for rows in (60, 104):
        assert aster("score", log(rows), "-m", model, *STEP).code == 0
    Path("scores").rename("scores-2024")
    for rows in (150, 200):
        assert aster("score", log(rows), "-m", model, *STEP, "--compact").code == 0
    assert aster("score", log(200), "-m", model, "-o", "whole.parquet").code == 0
    old, new = read_scores("scores-2024"), read_scores("scores")
    seen = pl.concat((old, new)).unique("timestamp", keep="last", maintain_order=True)
    whole = read_scores("whole.parquet").drop("status")
    assert_frame_equal(seen.sort("timestamp").drop("status"), whole, check_exact=True)


def test_exit_code_1_only_when_an_event_is_new(
    log: Callable[[int], str], model: Path, aster: Aster
) -> None:
    """Who is paged at night is paged once for an event."""
    codes = [
        aster("score", log(rows), "-m", model, *STEP, "--exit-code").code
        for rows in (80, 110, 111, 200, 200)
    ]
    assert codes[0] == 0
    assert codes[1] == 1
    assert codes[3:] == [0, 0]


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (("--state", "state"), "-o"),
        (("--state", "state", "-o", "-"), "directory"),
        (("--state", "state", "-o", "scores.parquet"), "directory"),
        (("--state", "state", "-o", "state"), "scores too"),
        (("--state", "log100.csv", "-o", "scores"), "is no directory"),
        ((*STEP, "--sort"), "--sort"),
        ((*STEP, "--duplicates", "first"), "--duplicates"),
        ((*STEP, "--delay", "soon"), "--delay"),
        (("-o", "s.csv", "--delay", "5min"), "--delay: means nothing alone"),
        (("-o", "s.csv", "--rescore"), "--state"),
        (("-o", "s.csv", "--compact"), "--state"),
        (("--state", "no/state", "-o", "scores"), "no/state"),
    ],
)
def test_flags_that_make_no_sense_are_exit_2(
    flags: tuple[str, ...], said: str, log: Callable[[int], str], model: Path, refused: Refused
) -> None:
    """Said before anything is written."""
    assert said in refused(2, "score", log(100), "-m", model, *flags)


def test_scores_among_the_logs_are_refused(save: Save, model: Path, aster: Aster) -> None:
    """The next run would take its own scores for a log."""
    save(wave(100), "logs/day.csv")
    ended = aster("score", "logs", "-m", model, "--state", "state", "-o", "logs")
    assert ended.code == 2
    assert "holds the log itself" in ended.complaint
    assert "logs/_dataset.json" not in files_here()


def test_inspect_and_eval_take_the_last_part_for_a_row(
    fleet_model: Path, save: Save, aster: Aster
) -> None:
    """Provisional rows that were superseded must count for nothing, and labels must meet the scores
    of their own machine: a dataset is in another order than the log."""
    log = interleaved(wave(120, unit="b"), wave(120, seed=3, spike=True, unit="a")).with_columns(
        label=(pl.col("s0") > 3).cast(pl.Int8)
    )
    for stop in (100, 210, 240):
        aster("score", save(log[:stop], "log.csv"), "-m", fleet_model, *STEP)
    aster("score", "log.csv", "-m", fleet_model, "-o", "whole.parquet")
    shown = [
        json.loads(aster("inspect", path, "--json").out) for path in ("scores", "whole.parquet")
    ]
    for one in shown:
        assert one["rows"].pop("ok") > 200
    assert [one["anomalies"] for one in shown] == [shown[0]["anomalies"]] * 2
    judged = [
        aster("eval", "log.csv", "--id-col", "unit", "--scores", path, "--json")
        for path in ("scores", "whole.parquet")
    ]
    assert judged[0].code == 0, judged[0].err
    assert judged[0].out == judged[1].out
    save(log.vstack(log.with_columns(pl.col("time") + timedelta(days=9))), "more.csv")
    ended = aster("eval", "more.csv", "--id-col", "unit", "--scores", "scores")
    assert ended.code == 3
    assert "no score of row 241" in ended.complaint
