"""One run at a time in a directory: a lock that the system frees when its holder dies."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from aster_cli.confined import require_regular
from aster_cli.errors import BusyError, StorageError

LOCK = "lock"
"""The lock's file; it holds the process number of the run that is at work."""


@contextmanager
def held(folder: Path) -> Iterator[int | None]:
    """Hold a directory's lock; yields the process of the last run if it was killed before its end.

    Args:
        folder: It is made if it is not there; its parent has to be.

    Raises:
        BusyError: Another run holds it.
        StorageError: There is no such place, or it cannot be written.
    """
    descriptor = None
    try:
        try:
            descriptor = _locked(folder)
            interrupted = os.read(descriptor, 32).decode(errors="replace").strip()
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        except BlockingIOError as error:
            raise BusyError(
                "another run holds the lock",
                where=str(folder),
                hint="try again when it has ended",
            ) from error
        except OSError as error:
            raise StorageError(
                f"cannot be written ({error.strerror})", where=str(folder)
            ) from error
        try:
            yield int(interrupted) if interrupted.isdecimal() else None
        finally:
            os.ftruncate(descriptor, 0)
    finally:
        if descriptor is not None:
            os.close(descriptor)


def _locked(folder: Path) -> int:
    """A descriptor of the lock's file, locked, and not of one that its last holder has removed."""
    while True:
        folder.mkdir(exist_ok=True)
        # neither through a link to someone's file, nor waiting for a pipe
        flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK
        try:
            descriptor = os.open(folder / LOCK, flags, 0o644)
        except FileNotFoundError:  # its last holder has removed the folder meanwhile
            continue
        try:
            require_regular(descriptor)
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BaseException:
            os.close(descriptor)
            raise
        if os.fstat(descriptor).st_nlink:
            return descriptor
        os.close(descriptor)
