"""The real command, run in this process or in one of its own, and what it leaves behind."""

import hashlib
import io
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import polars as pl
import pytest

from aster_cli.cli import app
from tests.tiny_detector import WINDOW, tiny_fleet_model, tiny_model

Save = Callable[[pl.DataFrame | str | bytes, str], str]
FAST = ("--backbone", "none", "--steps", "2", "--window-size", str(WINDOW), "--precision", "fp32")
"""Flags of a training that takes half a second."""


@dataclass(frozen=True)
class Ended:
    """How a run of the command ended."""

    code: int
    out: str
    err: str

    @property
    def complaint(self) -> str:
        """The one line that the run wrote on stderr."""
        lines = self.err.splitlines()
        assert len(lines) == 1, self.err
        return lines[0]


Aster = Callable[..., Ended]


@pytest.fixture(autouse=True)
def alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """An empty working directory, no settings from outside, and the signal handler put back."""
    for name in list(os.environ):
        if name.startswith("ASTER_") or name in ("NO_COLOR", "FORCE_COLOR", "PYTHONUNBUFFERED"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    place = tmp_path / "work"
    place.mkdir()
    monkeypatch.chdir(place)
    before = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, before)


@pytest.fixture
def aster(monkeypatch: pytest.MonkeyPatch) -> Aster:
    """Run ``aster`` in this process."""

    def run(*args: object, stdin: bytes = b"") -> Ended:
        texts = [str(arg) for arg in args]
        monkeypatch.setattr(sys, "argv", ["aster", *texts])
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin)))
        out = io.TextIOWrapper(io.BytesIO(), encoding="utf-8", write_through=True)
        err = io.TextIOWrapper(io.BytesIO(), encoding="utf-8", write_through=True)
        with (
            redirect_stdout(out),
            redirect_stderr(err),
            pytest.raises(SystemExit) as ended,
        ):
            app(texts, prog_name="aster")
        assert isinstance(ended.value.code, int)
        texts = [stream.buffer.getvalue().decode() for stream in (out, err)]
        assert "\x1b" not in "".join(texts), "control codes off a terminal"
        return Ended(ended.value.code, *texts)

    return run


@pytest.fixture
def refused(aster: Aster) -> Callable[..., str]:
    """Run ``aster`` to a failure that must leave one line, and every file as it was."""

    def run(code: int, *args: object, stdin: bytes = b"") -> str:
        before = files_here()
        ended = aster(*args, stdin=stdin)
        assert (ended.code, ended.out) == (code, ""), ended
        assert files_here() == before
        return ended.complaint

    return run


@pytest.fixture
def save() -> Save:
    """Write a frame, text or bytes into the working directory; return the name."""

    def write(content: pl.DataFrame | str | bytes, name: str) -> str:
        path = Path(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, pl.DataFrame):
            if path.suffix == ".parquet":
                content.write_parquet(path)
            else:
                content.write_csv(path, datetime_format="%Y-%m-%d %H:%M:%S")
        else:
            path.write_bytes(content.encode() if isinstance(content, str) else content)
        return name

    return write


@pytest.fixture
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The shared model, with a language model; only to be read."""
    return tiny_model(tmp_path_factory.getbasetemp())


@pytest.fixture
def fleet_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The shared model of two machines, without a language model; only to be read."""
    return tiny_fleet_model(tmp_path_factory.getbasetemp())


def files_here() -> dict[str, str]:
    """Every file below the working directory, hidden ones too, with a hash of its content."""
    return {
        str(path): hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else "folder"
        for path in sorted(Path().rglob("*"))
    }


def start(
    *args: object, stdout: int | IO[str] | None = None, env: dict[str, str] | None = None
) -> "subprocess.Popen[str]":
    """Start ``aster`` as a process of its own, its streams as pipes."""
    command = [sys.executable, "-m", "aster_cli", *map(str, args)]
    return subprocess.Popen(
        command,
        text=True,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE if stdout is None else stdout,
        stderr=subprocess.PIPE,
        env=env,
    )
