"""What an interrupted training may remove, and what is someone else's."""

from pathlib import Path

import pytest

from aster_cli.checkpoint import PartialTraining
from aster_cli.errors import StorageError

MADE_OF = {"log": "0" * 64}


@pytest.mark.parametrize("name", ["fit.safetensors", "detectors/notes.txt"])
def test_what_only_looks_like_ours_stays(name: str, tmp_path: Path) -> None:
    """Without word of a training that was begun there it is someone's, and no place for one."""
    file = tmp_path / "m.aster.partial" / name
    file.parent.mkdir(parents=True)
    file.write_text("mine")
    partial = PartialTraining(tmp_path / "m.aster", force=True)
    with partial.held(), pytest.raises(StorageError, match="of no training that was begun there"):
        partial.begin(MADE_OF)
    assert file.read_text() == "mine"


def test_beginning_anew_keeps_what_training_never_wrote(tmp_path: Path) -> None:
    """Only what has a name that training gives is removed, all of it, and at last the folder."""
    partial = PartialTraining(tmp_path / "m.aster", force=True)
    with partial.held():
        partial.begin(MADE_OF)
        partial.write("fit", {"epochs": []})
        (partial.folder / ".fit.safetensors.0123abcd.tmp").write_text("half")
        (partial.folder / "other.safetensors").write_text("mine")
        partial.begin(MADE_OF)
        assert partial.read("fit") is None
        partial.write("fit", {"epochs": []})
        partial.remove()
        assert {path.name for path in partial.folder.iterdir()} == {"other.safetensors"}
        (partial.folder / "other.safetensors").unlink()
    assert not partial.folder.exists()
