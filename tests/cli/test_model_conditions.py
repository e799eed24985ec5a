"""A model directory that is missing, newer, cut short or altered is exit 4 and touches nothing."""

import errno
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

import pytest

from aster_cli.checkpoint import FORMAT
from tests.cli.conftest import Aster, Save
from tests.tiny_detector import wave

Refused = Callable[..., str]


@pytest.fixture
def log(save: Save) -> str:
    return save(wave(40), "log.csv")


@pytest.fixture
def copied(model: Path) -> Path:
    """A copy of the shared model, to be damaged."""
    return Path(shutil.copytree(model, "copy.aster"))


def change_manifest(model: Path, **values: Any) -> None:
    manifest = json.loads((model / "manifest.json").read_text())
    (model / "manifest.json").write_text(json.dumps(manifest | values))


def test_a_missing_model_is_exit_4(log: str, refused: Refused) -> None:
    """The log is fine: the exit code must send the user to the model."""
    assert "there is no such model" in refused(4, "score", log, "-m", "nowhere.aster")


def test_a_folder_that_is_no_model_is_exit_4(log: str, refused: Refused) -> None:
    """The folder above the model is the usual mistake."""
    Path("models").mkdir()
    assert "no model directory" in refused(4, "score", log, "-m", "models")


@pytest.mark.parametrize(("other", "what_to_do"), [(1, "train again"), (FORMAT + 1, "upgrade")])
def test_another_format_is_exit_4_and_says_what_to_do(
    other: int, what_to_do: str, log: str, copied: Path, refused: Refused
) -> None:
    """Neither may an aster half-understand what another one wrote, nor call it damaged."""
    change_manifest(copied, format=other, something_new=True)
    for command in (("score", log, "-m", copied), ("inspect", copied)):
        complaint = refused(4, *command)
        assert f"format {other}" in complaint
        assert what_to_do in complaint


ALTERED: dict[str, dict[str, Any]] = {
    "a format that never was": {"format": 0},
    "a format that is text": {"format": "1"},
    "another model_id": {"model_id": "0" * 12},
    "a file less": {"files": {}},
    "another seed": {"seed": 1},
    "another backbone": {"backbone": "none"},
    "an unknown field": {"remark": "edited"},
    "threads that are no number": {"scoring": {"threads": "all"}},
}


@pytest.mark.parametrize("how", ALTERED)
def test_an_altered_manifest_is_exit_4(how: str, log: str, copied: Path, refused: Refused) -> None:
    """The manifest vouches for every other file, so nothing in it may be believed unchecked."""
    change_manifest(copied, **ALTERED[how])
    assert "altered" in refused(4, "score", log, "-m", copied, "-o", "scores.csv")


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff\xfe\x00"])
def test_a_broken_manifest_is_exit_4(
    content: bytes, log: str, copied: Path, refused: Refused
) -> None:
    """A disk that ran full leaves such files, and a traceback would blame aster."""
    (copied / "manifest.json").write_bytes(content)
    assert "manifest.json" in refused(4, "score", log, "-m", copied)
    assert "manifest.json" in refused(4, "inspect", copied)


@pytest.mark.parametrize("name", ["weights.safetensors", "training.json", "calibration.parquet"])
def test_a_file_cut_short_or_gone_is_exit_4(
    name: str, log: str, copied: Path, refused: Refused
) -> None:
    """An interrupted copy must be told from a model that merely scores badly."""
    file = copied / name
    file.write_bytes(file.read_bytes()[:-1])
    assert name in refused(4, "score", log, "-m", copied, "-o", "scores.csv")
    file.unlink()
    assert name in refused(4, "score", log, "-m", copied, "-o", "scores.csv")


def test_an_unreadable_model_is_exit_4(
    log: str, copied: Path, refused: Refused, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Root may read anything, so the system's answer is given here."""

    def denied(path: Path) -> NoReturn:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr("aster_cli.card.reading.is_model", denied)
    monkeypatch.setattr("os.access", lambda path, mode: False)
    assert "Permission denied" in refused(4, "score", log, "-m", copied)


def test_a_model_is_checked_before_the_log_is_read(
    copied: Path, save: Save, refused: Refused
) -> None:
    """With both at fault the cheaper repair comes first, and always the same one."""
    change_manifest(copied, format=FORMAT + 1)
    refused(4, "score", save("", "empty.csv"), "-m", copied)


def test_inspect_shows_a_model_without_its_log(aster: Aster, model: Path) -> None:
    """A model directory describes itself."""
    shown = aster("inspect", model)
    assert (shown.code, shown.err) == (0, "")
    assert json.loads((model / "manifest.json").read_text())["model_id"] in shown.out
    found = json.loads(aster("inspect", model, "--json").out)
    assert found["schema"]["log"]["sensors"] == ["s0", "s1", "s2"]
