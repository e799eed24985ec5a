"""The command as a process that can be killed, at a write point of its own or at any time.

The parent imports all that is heavy and forks, so that a run costs what it does and not what Python
takes to start. It must not compute itself before the last fork: threads do not survive one.
"""

import gc
import io
import mmap
import os
import signal
import struct
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn
from unittest.mock import patch

import peft  # noqa: F401, TID253
import sklearn.metrics  # noqa: F401, TID253
import transformers.models.llama  # noqa: F401, TID253

import aster_cli.cli.score
import aster_cli.cli.train
import aster_cli.detector
import aster_cli.render.training  # noqa: F401
from aster_cli.cli import app

KILLED = -signal.SIGKILL
WRITES = {
    *("os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.truncate", "os.chmod", "os.link"),
    "ctypes.dlsym",
}
"""Python's audit events for what changes files; besides them, opening to write, writing, syncing."""


@dataclass(frozen=True, slots=True)
class Ended:
    """How a process ended.

    Attributes:
        code: Its exit code; `KILLED` where it was.
        points: Write points that it came to.
        seconds: How long it took.
        err: What it said on stderr.
    """

    code: int
    points: int
    seconds: float
    err: str


def aster(
    folder: Path,
    *arguments: object,
    kill_at: int | None = None,
    kill_after: float | None = None,
    prepare: Callable[[], None] = lambda: None,
) -> Ended:
    """Run ``aster`` in a process of its own.

    Args:
        folder: Its working directory.
        arguments: Of the command.
        kill_at: The write point that it does not outlive, from 0.
        kill_after: Seconds that it does not outlive.
        prepare: Done in the process before anything else.
    """
    return wait(start(folder, *arguments, kill_at=kill_at, prepare=prepare), kill_after)


@dataclass(frozen=True, slots=True)
class Started:
    """A process at work."""

    pid: int
    counter: mmap.mmap
    errors: Path
    since: float


def start(
    folder: Path,
    *arguments: object,
    kill_at: int | None = None,
    prepare: Callable[[], None] = lambda: None,
) -> Started:
    """Start what `aster` waits for."""
    counter = mmap.mmap(-1, 8)
    errors = Path(tempfile.gettempdir()) / f"aster-{os.getpid()}-{time.monotonic_ns()}.err"
    since = time.monotonic()
    gc.freeze()
    pid = os.fork()
    if not pid:
        _run(folder, [str(argument) for argument in arguments], errors, counter, kill_at, prepare)
    return Started(pid, counter, errors, since)


def wait(process: Started, kill_after: float | None = None) -> Ended:
    """Wait for the end, or bring it about."""
    if kill_after is not None:
        time.sleep(kill_after)
        with suppress(ProcessLookupError):
            os.kill(process.pid, signal.SIGKILL)
    _, status = os.waitpid(process.pid, 0)
    err = process.errors.read_text() if process.errors.exists() else ""
    process.errors.unlink(missing_ok=True)
    (points,) = struct.unpack("q", process.counter[:])
    code = os.waitstatus_to_exitcode(status)
    return Ended(code, points, time.monotonic() - process.since, err)


def _run(
    folder: Path,
    arguments: list[str],
    errors: Path,
    counter: mmap.mmap,
    kill_at: int | None,
    prepare: Callable[[], None],
) -> NoReturn:
    """The process itself."""
    code = 70
    try:
        os.chdir(folder)
        for stream, path in ((1, Path(os.devnull)), (2, errors)):
            os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644), stream)
        sys.stdout = os.fdopen(1, "w", closefd=False)
        sys.stderr = os.fdopen(2, "w", closefd=False)
        sys.argv = ["aster", *arguments]
        prepare()
        _count_writes(counter, kill_at)
        app(arguments, prog_name="aster")
    except SystemExit as ended:
        code = ended.code if isinstance(ended.code, int) else 70
    finally:
        sys.stderr.flush()
        os._exit(code)


def _count_writes(counter: mmap.mmap, kill_at: int | None) -> None:
    def point(last: Callable[[], object] = lambda: None) -> None:
        (seen,) = struct.unpack("q", counter[:])
        if seen == kill_at:
            last()
            os.kill(os.getpid(), signal.SIGKILL)
        counter[:] = struct.pack("q", seen + 1)

    def audit(event: str, arguments: tuple[Any, ...]) -> None:
        if event in WRITES or (
            event == "open" and arguments[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)
        ):
            point()

    def counted(real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any) -> Any:
            point()
            return real(*arguments)

        return call

    def torn(file: Any) -> Any:
        """A file that is opened to write; of what is written when the process is killed, half arrives."""
        real = file.write

        def write(data: Any) -> int:
            whole = memoryview(data).cast("B")

            def half() -> None:
                real(whole[: len(whole) // 2])
                file.flush()

            point(half)
            written: int = real(data)
            return written

        file.write = write
        return file

    opened = io.open

    def open_(*arguments: Any, **more: Any) -> Any:
        file = opened(*arguments, **more)
        return torn(file) if isinstance(file, io.BufferedWriter) else file

    sys.dont_write_bytecode = True
    patch.object(os, "fsync", counted(os.fsync)).start()
    patch.object(os, "pwrite", counted(os.pwrite)).start()
    patch.object(io, "open", open_).start()
    sys.addaudithook(audit)
