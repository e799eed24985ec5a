"""Full disks, read-only ones, two runs at once, and a clock that jumps back; then once more, undisturbed.

Disks are small file systems in memory, mounted in a name space of this process's own; that takes the
right to do so.
"""

import os
import random
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from unittest.mock import patch

from benchmarks.reliability.processes import Ended, aster, start, wait
from benchmarks.reliability.scenes import (
    ROWS,
    TRAIN,
    copied,
    files_of,
    parts_in,
    require,
    score_step,
    set_up,
)

OURS = "ASTER_RELIABILITY_NAMESPACE"
DISK = 96 << 20  # bytes
USED_BY = {"train": 12 << 20, "score": 48 << 10}
"""A full disk has less than this left: about what a command needs."""

BUSY = 75

Files = dict[str, str]


def run(folder: Path, *, full: int, together: int, seed: int) -> dict[str, object]:
    """Meet every fault with `train` and with `score`.

    Args:
        folder: Where to work.
        full: Full disks of each command.
        together: Pairs of runs of each command.
        seed: Of how full, and of how far apart.

    Raises:
        DamagedError: A run done again does not equal the undisturbed one, or something was half-written.
    """
    if OURS not in os.environ:
        os.environ[OURS] = "1"
        command = [sys.executable, "-m", "benchmarks.reliability", *sys.argv[1:]]
        os.execvp("unshare", ["unshare", "--map-root-user", "--mount", *command])
    draw = random.Random(seed)
    base = set_up(folder / "base")
    before, after, first = _undisturbed(base, folder)
    found: Counter[str] = Counter()
    disk = folder / "disk"
    disk.mkdir()
    commands: dict[str, tuple[tuple[object, ...], Callable[[Path], Files], Files]] = {
        "train": ((*TRAIN, "--seed", 1), lambda at: files_of(at / "m.aster"), first),
        "score": (score_step(1), lambda at: parts_in(at / "scores"), after),
    }
    for name, (arguments, look, expected) in commands.items():
        for _ in range(full):
            with _mounted(disk):
                scene = copied(before, disk / "scene")
                old = look(scene)
                filler = _fill(disk, draw.randrange(USED_BY[name]))
                ended = aster(scene, *arguments)
                if ended.code == 0:
                    found[f"{name}: the disk was large enough"] += 1
                else:
                    _require_line(ended, "No space left on device")
                    # a part may stand before its state does: the run is done again
                    whole = all(
                        digest in (old.get(file), expected.get(file))
                        for file, digest in look(scene).items()
                    )
                    require(whole, f"{name} left something half-written")
                    found[f"{name}: full disk"] += 1
                filler.unlink()
                _require_done(aster(scene, *arguments))
                require(look(scene) == expected, f"{name}: other results after a full disk")
        with _mounted(disk):
            scene = copied(before, disk / "scene")
            old = look(scene)
            _mount("-o", "remount,ro", str(disk))
            ended = aster(scene, *arguments)
            _require_line(ended, "")
            require(look(scene) == old, f"{name} wrote where it cannot")
            found[f"{name}: read-only disk"] += 1
            _mount("-o", "remount,rw", str(disk))
            _require_done(aster(scene, *arguments))
            require(look(scene) == expected, f"{name}: other results after a read-only disk")
        for _ in range(together):
            scene = copied(before, folder / "scene")
            one = start(scene, *arguments)
            time.sleep(draw.random() * 0.5)
            other = start(scene, *arguments)
            codes = sorted((wait(one).code, wait(other).code))
            require(codes in ([0, 0], [0, BUSY]), f"two at once ended with {codes}")
            found[f"{name}: two at once, {'one was turned away' if any(codes) else 'in turn'}"] += 1
            require(look(scene) == expected, f"{name}: other results of two at once")
        scene = copied(before, folder / "scene")
        for path in scene.rglob("*"):
            os.utime(path, (4e9, 4e9))  # all that is there is of the year 2096
        _require_done(aster(scene, *arguments, prepare=_thirty_years_back))
        require(look(scene) == expected, f"{name}: other results after the clock has jumped")
        found[f"{name}: a clock that jumped back"] += 1
    return {"met": dict(found)}


def _undisturbed(base: Path, folder: Path) -> tuple[Path, dict[str, str], dict[str, str]]:
    """The scene after one step, the scores after two, and the model of another seed."""
    _require_done(aster(base, *score_step(0)))
    before = copied(base, folder / "before")
    _require_done(aster(base, *score_step(1)))
    after = parts_in(base / "scores")
    _require_done(aster(base, *TRAIN, "--seed", 1))
    for step in range(2, len(ROWS)):
        (before / f"log{step}.csv").unlink()  # a small scene for a small disk
    return before, after, files_of(base / "m.aster")


def _require_done(ended: Ended) -> None:
    require(ended.code == 0, f"exit {ended.code}: {ended.err}")


def _require_line(ended: Ended, text: str) -> None:
    """A failure that says why, on one line, with exit code 2."""
    lines = [line for line in ended.err.splitlines() if not line.startswith("note: ")]
    require(ended.code == 2 and len(lines) == 1, f"exit {ended.code}: {ended.err}")
    require(text in lines[0], lines[0])


@contextmanager
def _mounted(disk: Path) -> Iterator[None]:
    _mount("-t", "tmpfs", "-o", f"size={DISK}", "tmpfs", str(disk))
    try:
        yield
    finally:
        subprocess.run(["umount", str(disk)], check=True)


def _mount(*arguments: str) -> None:
    subprocess.run(["mount", *arguments], check=True)


def _fill(disk: Path, left: int) -> Path:
    """Take all but some bytes of a disk."""
    room = os.statvfs(disk)
    filler = disk / "filler"
    with filler.open("wb") as file:
        file.write(bytes(max(0, room.f_bavail * room.f_bsize - left)))
    return filler


def _thirty_years_back() -> None:
    class Earlier(datetime):
        @classmethod
        def now(cls, tz: object = None) -> "Earlier":
            return cls(1996, 1, 1, tzinfo=UTC)

    now = time.time
    patch("aster_cli.checkpoint.writing.datetime", Earlier).start()
    patch("time.time", lambda: now() - 30 * 365 * 86400).start()
