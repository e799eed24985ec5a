"""The cache outlives versions and disks: what it gives back must be what was put there."""

import errno
import json
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from aster_cli.backbones import (
    MOST_LAYERS,
    cached_path,
    fetch,
    list_backbones,
    load_backbone,
)
from aster_cli.backbones import cache as cache_module
from aster_cli.backbones.cache import LAYERS_FILE, MANIFEST_FILE
from aster_cli.backbones.llama_gguf import read_first_layers
from aster_cli.errors import BackboneError
from tests.backbones.conftest import TinyRelease
from tests.tiny_backbone import WIDTH


@pytest.fixture
def cached(tiny: TinyRelease) -> Path:
    """The tiny model's directory in the cache."""
    return fetch(tiny.name, source=tiny.gguf)


def flip_a_byte(directory: Path) -> None:
    data = bytearray((directory / LAYERS_FILE).read_bytes())
    data[-100] ^= 1
    (directory / LAYERS_FILE).write_bytes(data)


def truncate(directory: Path) -> None:
    os.truncate(directory / LAYERS_FILE, 1000)


def remove_layers(directory: Path) -> None:
    (directory / LAYERS_FILE).unlink()


def cut_the_manifest(directory: Path) -> None:
    os.truncate(directory / MANIFEST_FILE, 40)


def take_a_field_away(directory: Path) -> None:
    manifest = json.loads((directory / MANIFEST_FILE).read_text())
    del manifest["embedding_norm"]
    (directory / MANIFEST_FILE).write_text(json.dumps(manifest))


def claim_another_release(directory: Path) -> None:
    manifest = json.loads((directory / MANIFEST_FILE).read_text())
    (directory / MANIFEST_FILE).write_text(json.dumps(manifest | {"gguf_sha256": "0" * 64}))


DAMAGES = [
    flip_a_byte,
    truncate,
    remove_layers,
    cut_the_manifest,
    take_a_field_away,
    claim_another_release,
]


def test_a_missing_model_says_what_to_run(tiny: TinyRelease) -> None:
    """A missing backbone is an error, never a silent substitute."""
    with pytest.raises(BackboneError) as caught:
        load_backbone(tiny.name, 2)
    assert "tiny: is not at hand" in str(caught.value)
    assert "run `aster backbone fetch`" in str(caught.value)


def test_what_comes_out_is_what_was_read(cached: Path, tiny: TinyRelease) -> None:
    """The way through the cache must not change a bit, nor the names and the configuration."""
    direct = read_first_layers(tiny.gguf, tiny.name, MOST_LAYERS)
    backbone = load_backbone(tiny.name, MOST_LAYERS)
    assert backbone.config == direct.config
    assert backbone.embedding_norm == direct.embedding_norm
    assert backbone.weights.keys() == direct.weights.keys()
    for name, values in direct.weights.items():
        assert np.array_equal(backbone.weights[name], values)


def test_fewer_layers_are_the_first_ones(cached: Path, tiny: TinyRelease) -> None:
    """K layers of the cache must be the model's first K, with the final norm and nothing else."""
    shallow, deep = load_backbone(tiny.name, 2), load_backbone(tiny.name, 3)
    assert shallow.config == deep.config | {"num_hidden_layers": 2}
    assert deep.weights.keys() - shallow.weights.keys() == {
        name for name in deep.weights if name.startswith("layers.2.")
    }
    assert "norm.weight" in shallow.weights
    for name, values in shallow.weights.items():
        assert np.array_equal(values, deep.weights[name])


def test_arrays_can_become_tensors(cached: Path, tiny: TinyRelease) -> None:
    """torch.from_numpy warns of arrays that cannot be written to."""
    backbone = load_backbone(tiny.name, 1)
    assert all(values.flags.writeable for values in backbone.weights.values())


def test_more_layers_than_are_kept(cached: Path, tiny: TinyRelease) -> None:
    """The model has eight layers but six are kept: the message must say which number counts."""
    with pytest.raises(BackboneError, match=r"first 6 layers, 7 were asked for; take at most 6"):
        load_backbone(tiny.name, 7)


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_cache_is_refused_and_mended(
    damage: Callable[[Path], None], cached: Path, tiny: TinyRelease
) -> None:
    """A detector trained on damaged layers would look fine; so load refuses, and fetch mends."""
    damage(cached)
    with pytest.raises(BackboneError, match="run `aster backbone fetch --force`"):
        load_backbone(tiny.name, 2)
    assert [info.cached for info in list_backbones() if info.name == tiny.name] == [False]
    fetch(tiny.name, source=tiny.gguf)
    assert load_backbone(tiny.name, 2).weights


def test_the_list_tells_what_is_cached(tiny: TinyRelease) -> None:
    """`aster backbone list` rests on it: an uncached model shows what it will be, and no size."""
    (before,) = [info for info in list_backbones() if info.name == tiny.name]
    fetch(tiny.name, source=tiny.gguf)
    (after,) = [info for info in list_backbones() if info.name == tiny.name]
    assert (before.cached, before.size) == (False, 0)
    assert after.cached
    assert after.size > WIDTH * WIDTH * 2 * MOST_LAYERS
    assert before.layers == after.layers == MOST_LAYERS
    assert (after.width, after.licence) == (WIDTH, "Apache-2.0")


def test_the_cache_directory_can_be_chosen(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Machines with a small home set ASTER_CACHE_DIR; without it the platform decides."""
    monkeypatch.setenv("ASTER_CACHE_DIR", str(tmp_path))
    assert cached_path("smollm2-135m") == tmp_path / "backbones" / "smollm2-135m"
    monkeypatch.delenv("ASTER_CACHE_DIR")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    chosen = cached_path("smollm2-135m")
    assert chosen.is_relative_to(tmp_path / "home")
    assert chosen.parts[-3:] == ("aster", "backbones", "smollm2-135m")


def test_only_released_models_have_a_path() -> None:
    """A Hugging Face id is in transformers' cache: a path made up for it would be a lie."""
    with pytest.raises(BackboneError, match=r"openai-community/gpt2: is not a model that aster"):
        cached_path("openai-community/gpt2")


def test_an_unreadable_cache_is_not_called_altered(
    cached: Path, tiny: TinyRelease, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fetching again would not help against permissions."""

    def refuse(path: Path) -> str:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), path)

    monkeypatch.setattr(cache_module, "sha256", refuse)  # root may read everything, so no chmod
    with pytest.raises(BackboneError, match="cannot be read: Permission denied"):
        load_backbone(tiny.name, 1)
