"""Files of a directory that may come from anyone, opened without leaving it and without waiting.

What lies there counts only as a regular file, reached by real folders: a symbolic link could lead
anywhere, a pipe could wait for ever, and a device never ends. The directory itself may be a link, for
it is the user who named it.
"""

import errno
import os
import stat
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path, PurePosixPath
from typing import BinaryIO

_NEVER = os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


@contextmanager
def opened_inside(folder: Path, name: str) -> Iterator[BinaryIO]:
    """Open a file below `folder` for reading.

    Args:
        folder: Followed, where it is a symbolic link.
        name: Relative to it, with slashes.

    Raises:
        OSError: It cannot be opened, leads out of the folder, or is no regular file.
    """
    with ExitStack() as opened:
        *folders, last = _parts(name)
        descriptor = _opened(last, os.O_RDONLY, _entered(folder, folders, opened))
        with os.fdopen(descriptor, "rb") as file:
            require_regular(descriptor)
            yield file


def read_inside(folder: Path, name: str, most: int) -> bytes:
    """Read a file below `folder`; see `opened_inside`.

    Raises:
        OSError: As there, or it has more than `most` bytes.
    """
    with opened_inside(folder, name) as file:
        if os.fstat(file.fileno()).st_size > most:
            raise OSError(errno.EFBIG, f"it has more than {most:,} bytes", name)
        return file.read(most)


def require_folder(folder: Path, name: str) -> None:
    """Check that a folder lies below another one without a link on the way.

    Raises:
        OSError: It does not.
    """
    with ExitStack() as opened:
        _entered(folder, _parts(name), opened)


def is_inside(name: str) -> bool:
    """Whether a name, with slashes, is one that lies below a folder: relative and never upward."""
    path = PurePosixPath(name)
    return (
        bool(path.parts) and not path.is_absolute() and ".." not in path.parts and "\0" not in name
    )


def require_regular(descriptor: int) -> None:
    """Refuse what is open if it is no regular file.

    Raises:
        OSError: It is a pipe, a device, a folder or the like.
    """
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        raise OSError(errno.EINVAL, "it is no regular file")


def _parts(name: str) -> tuple[str, ...]:
    if not is_inside(name):
        raise OSError(errno.EINVAL, "it leads out of its directory", name)
    return PurePosixPath(name).parts


def _entered(folder: Path, parts: Iterable[str], opened: ExitStack) -> int:
    """A descriptor of the folder that these names lead to; `opened` closes all on the way."""
    inner = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    opened.callback(os.close, inner)
    for part in parts:
        inner = _opened(part, os.O_RDONLY | os.O_DIRECTORY, inner)
        opened.callback(os.close, inner)
    return inner


def _opened(name: str, flags: int, folder: int) -> int:
    try:
        return os.open(name, flags | _NEVER, dir_fd=folder)
    except OSError as error:
        if stat.S_ISLNK(os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode):
            raise OSError(error.errno, "it is a symbolic link", name) from error
        raise
