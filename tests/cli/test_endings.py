"""How a run ends when it is cut off, misused, or fails: exit codes, one line, no traceback."""

import json
import os
import pty
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

import pytest

from aster_cli import Detector
from tests.cli.conftest import FAST, Aster, Save, start
from tests.tiny_detector import WINDOW, wave

Refused = Callable[..., str]
COLOUR = re.compile(rb"\x1b\[(\d+;)*(3|4|9|10)\d(;\d+)*m")


@pytest.fixture
def log(save: Save) -> str:
    return save(wave(400), "log.csv")


def test_head_ends_scoring_quietly(log: str, fleet_model: Path, save: Save) -> None:
    """Looking at the first rows is no failure, in a pipeline under pipefail either."""
    log = save(wave(2000, unit="a"), "long.csv")
    command = f"{sys.executable} -m aster_cli score {log} -m {fleet_model} -q | head -1"
    shell = ["bash", "-o", "pipefail", "-c", command]
    ended = subprocess.run(shell, capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert ended.stdout.startswith("timestamp,unit,score")


@pytest.mark.parametrize(
    "arguments",
    [("--help",), ("inspect", "log.csv"), ("backbone", "list", "--json")],
)
def test_a_pipe_closed_at_once_ends_quietly(arguments: tuple[str, ...], log: str) -> None:
    """Click and Rich leave with 1 here, which would mean: anomalies found."""
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "w") as closed:
        process = start(*arguments, stdout=closed)
    _, err = process.communicate()
    assert (process.returncode, err) == (0, "")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full")
def test_a_full_disk_behind_standard_output_is_exit_2() -> None:
    """What is written at the very end is checked too; Python alone would exit with 120."""
    with Path("/dev/full").open("w") as full:
        process = start("backbone", "list", "--json", stdout=full)
    _, err = process.communicate()
    assert process.returncode == 2
    assert json.loads(err)["exit_code"] == 2
    assert "No space left" in err


def test_no_color_on_a_terminal(save: Save, model: Path, aster: Aster) -> None:
    """NO_COLOR holds on a real terminal; without it there is colour to be taken away."""
    odd = save(wave(200, spike=True), "odd.csv")
    aster("score", odd, "-m", model, "-o", "scores.csv")
    shown = {}
    for value in ("", "1"):
        master, terminal = pty.openpty()
        environment = {**os.environ, "NO_COLOR": value, "TERM": "xterm"}
        process = start("inspect", "scores.csv", stdout=terminal, env=environment)
        os.close(terminal)
        text = b""
        try:
            while chunk := os.read(master, 1 << 16):
                text += chunk
        except OSError:  # how Linux says that the other end is closed
            pass
        os.close(master)
        process.communicate()
        shown[value] = text
    assert COLOUR.search(shown[""])
    assert not COLOUR.search(shown["1"])


USAGE = {
    "no such command": ("paint",),
    "no such flag": ("train", "log.csv", "--windows-size", "8"),
    "no log": ("score", "-m", "m.aster"),
    "no model": ("score", "log.csv"),
    "not a number": ("train", "log.csv", "--steps", "many"),
    "not a choice": ("train", "log.csv", "--classifier", "forest"),
}


@pytest.mark.parametrize("mistake", USAGE)
def test_a_usage_error_is_exit_2_with_the_usage_line(mistake: str, aster: Aster) -> None:
    """Who mistypes needs the right spelling, and a script needs 2."""
    ended = aster(*USAGE[mistake])
    assert (ended.code, ended.out) == (2, "")
    assert ended.err.startswith("Usage: aster")
    assert ended.err.splitlines()[-1].startswith("Error: ")


IMPOSSIBLE = {
    "--steps": "0",
    "--window-size": "9",
    "--lora-rank": "-1",
    "--alert-budget": "0.7",
    "--max-gap": "0.5",
    "--freq": "often",
    "--device": "tpu",
    "--seed": "-1",
}


@pytest.mark.parametrize("name", IMPOSSIBLE)
def test_an_impossible_value_is_exit_2_and_printed_back(
    name: str, log: str, refused: Refused
) -> None:
    """The message names the flag, the value and what would do, before any work is done."""
    flags = ("--backbone", "none", "-q", name, IMPOSSIBLE[name])
    complaint = refused(2, "train", log, *flags)
    assert name in complaint
    assert IMPOSSIBLE[name] in complaint
    assert "give" in complaint


def test_a_missing_language_model_is_exit_2_and_not_replaced(log: str, refused: Refused) -> None:
    """A silent substitute would be another detector under the same name."""
    complaint = refused(2, "train", log, "--backbone", "./no-such-model")
    assert "no-such-model" in complaint
    assert "smollm2-135m" in complaint


def test_usage_errors_are_json_under_json(aster: Aster) -> None:
    """One JSON object on stderr, whatever went wrong."""
    for arguments in (("train", "log.csv", "--wrong", "--json"), ("score", "--json")):
        ended = aster(*arguments)
        assert json.loads(ended.complaint)["exit_code"] == ended.code == 2


def test_debug_adds_the_traceback_and_only_debug_does(aster: Aster) -> None:
    """A traceback is for whoever mends aster, not for whoever uses it."""
    plain = aster("inspect", "nowhere.csv")
    assert "Traceback" not in plain.err
    debug = aster("inspect", "nowhere.csv", "--debug")
    assert debug.code == plain.code == 2
    assert debug.err.startswith("Traceback")
    assert debug.err.endswith(plain.err)


def test_an_internal_error_is_exit_70_also_as_json(
    log: str, model: Path, aster: Aster, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Exit 1 would mean: anomalies found."""

    def broken(path: object) -> NoReturn:
        raise RuntimeError("a bug\nwith two lines\x1b[31m")

    monkeypatch.setattr(Detector, "load", broken)
    ended = aster("score", log, "-m", model)
    assert ended.code == 70
    assert "RuntimeError: a bug with two lines\\x1b[31m" in ended.complaint
    assert json.loads(aster("score", log, "-m", model, "--json").complaint)["exit_code"] == 70


def test_exit_code_1_means_anomalies_and_only_on_request(
    save: Save, model: Path, aster: Aster
) -> None:
    """Cron stays calm by default; whoever asks for 1 gets it for anomalies and for nothing else."""
    odd = save(wave(200, spike=True), "odd.csv")
    calm = save(wave(WINDOW - 1), "calm.csv")
    assert aster("score", odd, "-m", model, "-o", "s.csv").code == 0
    assert aster("score", odd, "-m", model, "-o", "s.csv", "--exit-code").code == 1
    assert aster("score", calm, "-m", model, "-o", "s.csv", "--exit-code").code == 0


def test_quiet_says_nothing_but_errors(log: str, aster: Aster) -> None:
    """-q is for cron, where every line is a mail."""
    assert aster("train", log, "-q", *FAST).err == ""
    assert aster("train", log, "-q", *FAST).code == 2


def shell(command: str) -> "subprocess.CompletedProcess[str]":
    """Run a line of shell in which ``aster`` is the command."""
    line = re.sub(r"\baster(?= [a-z])", f"{sys.executable} -m aster_cli", command)
    return subprocess.run(
        ["bash", "-o", "pipefail", "-c", line], capture_output=True, text=True, check=False
    )


LOST = {
    "nobody reads it": "2> >(exit 0)",
    "the disk is full": "2>/dev/full",
    "it was closed": "2>&-",
    "stdout was closed": ">&-",
    "both were closed": ">&- 2>&-",
}


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full")
@pytest.mark.parametrize("how", LOST)
def test_a_lost_stream_does_not_lose_the_work(how: str, save: Save, fleet_model: Path) -> None:
    """What is said beside the work must not decide whether the work is kept."""
    log = save(wave(200, unit="a"), "log.csv")
    ended = shell(f"aster score {log} -m {fleet_model} -o scores.csv {LOST[how]}")
    assert ended.returncode == 0, ended.stderr
    assert "Traceback" not in ended.stderr
    assert len(Path("scores.csv").read_text().splitlines()) == 201


def test_head_on_what_training_says_does_not_lose_the_model(log: str) -> None:
    """A model that took an hour is worth more than the lines about it."""
    flags = f"--backbone none --steps 4 --window-size {WINDOW}"
    ended = shell(f"aster train {log} {flags} 2>&1 | head -1")
    assert ended.returncode == 0
    assert Path("log.aster/manifest.json").is_file()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full")
@pytest.mark.parametrize("how", ["2>/dev/full", "2>&-", "2> >(exit 0)"])
@pytest.mark.parametrize("arguments", ["inspect nowhere.csv", "score", "inspect --json no.csv"])
def test_an_error_that_nobody_can_read_keeps_its_code(how: str, arguments: str) -> None:
    """Exit 1 would mean: anomalies found."""
    assert shell(f"aster {arguments} {how}").returncode == 2


def test_a_broken_pipe_that_is_not_standard_output_is_an_error(
    log: str, model: Path, aster: Aster, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only the reader of the result may have had enough of it."""

    def broken(path: object) -> NoReturn:
        raise BrokenPipeError(32, "Broken pipe")

    monkeypatch.setattr(Detector, "load", broken)
    ended = aster("score", log, "-m", model)
    assert ended.code == 2
    assert "Broken pipe" in ended.complaint
