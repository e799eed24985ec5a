"""The folders of machines with a detector of their own, whatever the machines are called."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aster_cli.checkpoint import MachineDetectors, folder_of, machine_of

names = st.text(max_size=300) | st.sampled_from(
    ["", ".", "..", "../../etc", "a/b", "~", "%41", "A"]
)
machines = st.lists(names, min_size=1, max_size=3).map(tuple)


@given(machines)
def test_a_folder_is_safe_and_says_whose_it_is(machine: tuple[str, ...]) -> None:
    """An id comes from a log: it must not name a place outside the model, nor lose a character."""
    folder = folder_of(machine)
    assert machine_of(folder) == machine
    assert not folder.is_absolute()
    for part in folder.parts:
        assert 0 < len(part.encode()) < 200
        assert part.strip(".") == part
        assert not set(part) & set('/\\\0\n:*?"<>|')


@given(machines, machines)
def test_two_machines_have_two_folders(one: tuple[str, ...], other: tuple[str, ...]) -> None:
    """On a file system that does not tell upper case from lower case, too; and neither lies in the
    way of a file of the other."""
    first, second = str(folder_of(one)).lower(), str(folder_of(other)).lower()
    assert (first == second) == (one == other)
    if one != other:
        assert not f"{second}/".startswith(f"{first}/")


@pytest.mark.parametrize("name", ["../x", "a/../b", "/etc", "A", "a/b", ".", "%61", ""])
def test_a_manifest_that_lists_another_place_is_refused(name: str) -> None:
    """A model from a colleague must not make aster read elsewhere."""
    with pytest.raises(ValueError, match="no machine's folder"):
        MachineDetectors.listed(Path("m.aster/detectors"), {name: "0123456789ab"})
    assert MachineDetectors.listed(Path("d"), {"a": "0"}).path(("a",)) == Path("d/a")
