"""docs/operations.md is there to be copied: what it shows runs as it stands."""

import configparser
import os
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from aster_cli.logs import read_scores
from tests.cli.conftest import Aster, Save
from tests.test_docs import OPTIONS, ROOT, blocks, table
from tests.tiny_detector import wave

PAGE = ROOT / "docs" / "operations.md"
(SCRIPT,) = blocks(PAGE, "sh")
(SETTINGS,) = blocks(PAGE, "toml")
SERVICE, TIMER = blocks(PAGE, "ini")
LOGROTATE = shutil.which("logrotate", path=f"{os.environ.get('PATH', os.defpath)}:/usr/sbin")

TRAINING = {"ASTER_BACKBONE": "none", "ASTER_STEPS": "2", "ASTER_WINDOW_SIZE": "8"}


@pytest.fixture
def place(model: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The directory that the page describes."""
    shutil.copytree(model, "pumps.aster")
    Path("aster.toml").write_text(SETTINGS)
    return Path()


def the_call() -> list[str]:
    """What the script calls aster with."""
    (words,) = re.findall(r"^aster (.*?) 2>>", SCRIPT.replace("\\\n", " "), re.MULTILINE)
    return shlex.split(words)


def type_in(heading: str, aster: Aster) -> None:
    """Type all that a section tells to type, in its order."""
    section = PAGE.read_text().split(f"\n## {heading}\n", 1)[1].split("\n## ", 1)[0]
    shown = re.findall(r"^```console\n(.*?)^```", section, re.MULTILINE | re.DOTALL)
    for line in re.findall(r"^\$ (.*)$", "\n".join(shown), re.MULTILINE):
        program, *words = shlex.split(line)
        if program == "mv":
            Path(words[0]).rename(words[1])
            continue
        assert program == "aster"
        ended = aster(*words)
        assert ended.code == 0, (line, ended)


def test_the_settings_are_settings() -> None:
    """A typo in them would be refused at night only."""
    for command, settings in tomllib.loads(SETTINGS).items():
        assert {f"--{key}" for key in settings} <= OPTIONS[command]


@pytest.mark.parametrize(
    ("code", "printed", "left_with"),
    [
        (0, "", 0),
        (1, "new events: aster inspect HERE/scores", 0),
        (2, 'aster failed with 2: {"event": "error"}', 2),
        (4, 'aster failed with 4: {"event": "error"}', 4),
        (6, "the log has changed: see HERE/aster.log", 0),
        (70, 'aster failed with 70: {"event": "error"}', 70),
        (75, "", 0),
        (130, "", 0),
    ],
)
def test_the_script_speaks_where_there_is_something_to_say(
    code: int, printed: str, left_with: int, tmp_path: Path
) -> None:
    """Cron's mail has to mean something, whichever way a run ends."""
    pumps, command = tmp_path / "pumps", tmp_path / ".local" / "bin" / "aster"
    pumps.mkdir()
    command.parent.mkdir(parents=True)
    command.write_text(f"""#!/bin/sh\necho '{{"event": "error"}}' >&2\nexit {code}\n""")
    command.chmod(0o755)
    ended = subprocess.run(
        ["sh", "-c", SCRIPT],
        env=os.environ | {"HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.stdout.strip() == printed.replace("HERE", str(pumps))
    assert (ended.returncode, ended.stderr) == (left_with, "")
    assert (pumps / "aster.log").read_text() == '{"event": "error"}\n'


def test_runs_over_a_log_that_is_rotated(place: Path, save: Save, aster: Aster) -> None:
    """What was not seen yet is in the file that was moved away, and nothing is seen twice."""
    call = the_call()
    whole = wave(260, spike=True)
    codes = []
    for name, log in (
        ("live.csv", whole[:90]),
        ("live.csv", whole[:130]),
        ("live-20240301.csv", whole[:160]),
        ("live.csv", whole[160:]),
    ):
        save(log, name)
        if name == "live.csv":
            codes.append(aster(*call).code)
    assert codes == [0, 1, 0]
    type_in("Rotating logs", aster)
    assert [path.name for path in Path("scores").glob("part-*")] == ["part-00000004.parquet"]
    save(whole, "whole.csv")
    aster("score", "whole.csv", "-o", "whole.parquet")
    seen, expected = read_scores("scores"), read_scores("whole.parquet")
    assert_frame_equal(seen.drop("status"), expected.drop("status"), check_exact=True)
    assert Path("aster.prom").is_file()


def test_a_backfill_and_a_new_model(
    place: Path, save: Save, aster: Aster, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every line of both sections, in their order, in the directory of the runs."""
    for name, value in TRAINING.items():
        monkeypatch.setenv(name, value)
    save(wave(200), "live.csv")
    save(wave(150, seed=1), "archive/2024-01.csv")
    assert aster(*the_call()).code in (0, 1)
    before = read_scores("scores")["model_id"].unique()
    type_in("Backfill", aster)
    assert len(pl.read_parquet("backfill.parquet")) == 150
    type_in("A new model", aster)
    after = read_scores("scores")["model_id"].unique()
    assert len(after) == 1
    assert after.to_list() != before.to_list()
    new = pl.read_parquet("new.parquet")["model_id"].unique()
    assert new.to_list() == after.to_list()


@pytest.mark.skipif(LOGROTATE is None, reason="no logrotate here: apt-get install logrotate")
def test_logrotate_rotates_between_runs(place: Path, save: Save, aster: Aster) -> None:
    """The stanzas by logrotate itself: every name it gives is one that the runs read, and no row of
    before, between or after is lost or doubled."""
    (stanzas,) = (text for text in blocks(PAGE, "text") if "rotate 8" in text)
    Path("rotation").write_text(stanzas.replace("/var/lib/aster/pumps", str(place.resolve())))
    rotate = [str(LOGROTATE), "--force", "--state", "rotated", "rotation"]
    call, whole = the_call(), wave(260, spike=True)
    save(whole[:90], "live.csv")
    Path("aster.log").write_text("what the first run said\n")
    assert aster(*call).code == 0
    save(whole[:130], "live.csv")  # forty rows that no run has seen
    subprocess.run(rotate, check=True, capture_output=True)
    (moved,) = Path().glob("live-*.csv")
    assert len(pl.read_csv(moved)) == 130
    assert not Path("live.csv").exists()
    assert Path("aster.log.1.gz").is_file()
    assert aster(*call).code in (0, 1)
    header = ",".join(whole.columns) + "\n"
    save(header, "live.csv")  # the plant opens its log anew, and has nothing to say yet
    assert aster(*call).code == 0
    save(whole[130:], "live.csv")
    assert aster(*call).code in (0, 1)
    save(whole, "whole.csv")
    aster("score", "whole.csv", "-o", "whole.parquet")
    seen, expected = read_scores("scores"), read_scores("whole.parquet")
    assert_frame_equal(seen.drop("status"), expected.drop("status"), check_exact=True)


def test_the_units_are_units(tmp_path: Path) -> None:
    """By systemd itself where it is at hand, and by their keys everywhere."""
    service = SERVICE.replace("/usr/local/bin/aster", "/bin/true")
    (tmp_path / "aster-pumps.service").write_text(service)
    (tmp_path / "aster-pumps.timer").write_text(TIMER)
    units = [configparser.ConfigParser(interpolation=None, strict=True) for _ in range(2)]
    for unit, text in zip(units, (SERVICE, TIMER), strict=True):
        unit.optionxform = str  # type: ignore[assignment,method-assign]
        unit.read_string(text)
    words = units[0]["Service"]["ExecStart"].split()
    assert words[:2] == ["/usr/local/bin/aster", "score"]
    assert units[0]["Service"]["SuccessExitStatus"] == "1 6 75"
    assert units[1]["Install"]["WantedBy"] == "timers.target"
    if shutil.which("systemd-analyze") is None:
        return
    checked = subprocess.run(
        ["systemd-analyze", "verify", *map(str, sorted(tmp_path.glob("aster-pumps.*")))],
        capture_output=True,
        text=True,
        check=False,
    )
    about_ours = [line for line in checked.stderr.splitlines() if "aster-pumps" in line]
    assert about_ours == []
    assert checked.returncode == 0, checked.stderr


def test_the_line_of_cron_is_one() -> None:
    """Five fields and a command that is quoted whole."""
    (line,) = blocks(PAGE, "crontab")
    assert re.fullmatch(r'(?:[\d*/,-]+ ){5}"[^"]+"\n', line)


def test_every_exit_code_says_what_to_do() -> None:
    """A wrapper is written by this table."""
    of_all = {int(code) for code in table(ROOT / "docs" / "formats.md", "## Exit codes")}
    assert {int(code) for code in table(PAGE, "## Exit codes, for a wrapper")} == of_all


def test_every_metric_is_documented(place: Path, save: Save, aster: Aster) -> None:
    """Dashboards are built from the table, and alerts from the example."""
    save(wave(200), "live.csv")
    aster(*the_call())
    written = Path("aster.prom").read_text()
    names = set(re.findall(r"^# TYPE (\S+) gauge$", written, re.MULTILINE))
    assert set(re.findall(r"aster_score_\w+", PAGE.read_text())) == names


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_completes(shell: str) -> None:
    """Commands and flags, in the shells that people use."""
    env = {
        "_ASTER_COMPLETE": f"complete_{shell}",
        "COMP_WORDS": "aster score --metr",
        "COMP_CWORD": "2",
        "_TYPER_COMPLETE_ARGS": "aster score --metr",
        "_TYPER_COMPLETE_FISH_ACTION": "get-args",
    }
    done = subprocess.run(
        [sys.executable, "-m", "aster_cli"],
        env=os.environ | env,
        capture_output=True,
        text=True,
        check=False,
    )
    assert "--metrics-file" in done.stdout, done
