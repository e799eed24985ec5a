"""The command starts light: what a look at help or at a file needs, and no more."""

import subprocess
import sys
from pathlib import Path

import pytest
from typer.main import get_command

from aster_cli.cli import app
from aster_cli.cli.lazy import loaded
from tests.cli.conftest import Aster, Save, start
from tests.tiny_detector import wave

COMMANDS = get_command(app).commands  # type: ignore[attr-defined]
NEEDLESS = ("polars", "numpy", "pyarrow", "rich", "pydantic", "msgspec")
"""What neither help nor the version needs."""
HEAVY = ("torch", "transformers", "peft", "sklearn", "scipy", "gguf", "safetensors", "fsspec")

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


def test_a_look_at_a_model_imports_no_tables(model: Path) -> None:
    """Its card is JSON and TOML; Polars, NumPy and PyArrow take longer than all the rest."""
    tables = ("polars", "numpy", "pyarrow")
    probe = PROBE.format(arguments=["inspect", str(model)], heavy=(*HEAVY, *tables))
    ended = subprocess.run(
        [sys.executable, "-c", probe], capture_output=True, text=True, check=False
    )
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.splitlines()[-1] == "heavy:"


@pytest.mark.parametrize("argument", ["--help", "--version"])
def test_help_imports_neither_tables_nor_commands(argument: str) -> None:
    """Who looks a flag up waits for Python and Typer only, whatever commands come to need."""
    own = [f"aster_cli.cli.{command.callback.__name__.strip('_')}" for command in COMMANDS.values()]
    probe = PROBE.format(arguments=[argument], heavy=(*HEAVY, *NEEDLESS, *own))
    ended = subprocess.run(
        [sys.executable, "-c", probe], capture_output=True, text=True, check=False
    )
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.splitlines()[-1] == "heavy:"


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_is_listed_by_the_first_line_of_its_own_help(name: str) -> None:
    """The list is written without the command, so that the two could part."""
    listed = COMMANDS[name].help
    assert loaded(COMMANDS[name]).help.partition("\n\n")[0].replace("\n", " ") == listed


@pytest.mark.parametrize(
    ("words", "completed"),
    [("aster sc", "score"), ("aster score --mod", "--model"), ("aster backbone fe", "fetch")],
)
def test_the_shell_completes_commands_and_their_flags(
    words: str, completed: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A command that is not imported yet has to complete like one that is."""
    monkeypatch.setenv("_ASTER_COMPLETE", "complete_bash")
    monkeypatch.setenv("COMP_WORDS", words)
    monkeypatch.setenv("COMP_CWORD", str(len(words.split()) - 1))
    process = start()
    out, err = process.communicate()
    assert (process.returncode, out.split(), err) == (0, [completed], "")


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


@pytest.mark.parametrize("command", COMMANDS)
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
