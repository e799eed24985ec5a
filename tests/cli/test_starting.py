"""The command starts light: what a look at help or at a file needs, and no more."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.conftest import Aster, Save, start
from tests.tiny_detector import wave

HEAVY = ("torch", "transformers", "peft", "sklearn", "scipy", "gguf", "safetensors")

PROBE = """
import sys
from aster_cli.cli import app

try:
    app({arguments}, prog_name="aster")
except SystemExit as ended:
    assert ended.code == 0, ended.code
print("heavy:", *[name for name in {heavy} if name in sys.modules])
"""


@pytest.mark.parametrize(
    "arguments",
    [
        ("--help",),
        ("--version",),
        ("inspect", "log.csv"),
        ("inspect", "MODEL"),
        ("inspect", "scores.parquet"),
        ("threshold", "scores.parquet", "-m", "MODEL"),
        ("backbone", "list"),
    ],
)
def test_a_look_imports_nothing_heavy(
    arguments: tuple[str, ...], aster: Aster, save: Save, model: Path
) -> None:
    """Torch alone takes longer to import than all of these commands take to run."""
    log = save(wave(40), "log.csv")
    if "scores.parquet" in arguments:
        assert aster("score", log, "-m", model, "-o", "scores.parquet").code == 0
    given = [str(model) if argument == "MODEL" else argument for argument in arguments]
    probe = PROBE.format(arguments=given, heavy=HEAVY)
    ended = subprocess.run(
        [sys.executable, "-c", probe], capture_output=True, text=True, check=False
    )
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.splitlines()[-1] == "heavy:"


def test_the_probe_sees_what_is_heavy() -> None:
    """The test above must not pass because its probe is blind."""
    probe = "import scipy\n" + PROBE.format(arguments=["--version"], heavy=HEAVY)
    ended = subprocess.run(
        [sys.executable, "-c", probe], capture_output=True, text=True, check=False
    )
    assert ended.stdout.splitlines()[-1] == "heavy: scipy"


def test_python_m_runs_the_command() -> None:
    """The other way in, for machines where scripts are not on the path."""
    process = start("--version")
    out, err = process.communicate()
    assert (process.returncode, err) == (0, "")
    assert out.startswith("aster ")


@pytest.mark.parametrize("command", ["train", "score", "threshold", "eval", "inspect", "backbone"])
def test_every_command_has_help(command: str, aster: Aster) -> None:
    """Help goes to standard output, where a pager can take it."""
    ended = aster(command, "--help")
    assert (ended.code, ended.err) == (0, "")
    assert ended.out.startswith(f"Usage: aster {command}")


def test_nothing_to_do_is_exit_2(aster: Aster) -> None:
    """A script that lost its arguments must not look like a success."""
    ended = aster()
    assert (ended.code, ended.out) == (2, "")
    assert ended.err.startswith("Usage: aster")
