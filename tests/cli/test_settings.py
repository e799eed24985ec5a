"""Where a setting comes from: flag, environment, aster.toml, default, in this order."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.conftest import FAST, Aster, Save
from tests.tiny_detector import wave

Refused = Callable[..., str]

# No multiple of a token: the message prints the value back, and nothing needs to be trained.
IN_FILE, IN_ENVIRONMENT, IN_FLAG = "9", "10", "11"


def refused_window(refused: Refused, *flags: str) -> str:
    """The window size that ``aster train`` came to."""
    complaint = refused(2, "train", "nowhere.csv", *flags)
    return complaint.partition("--window-size: ")[2].partition(" ")[0] or complaint


def test_flag_beats_environment_beats_file_beats_default(
    refused: Refused, save: Save, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An operator must be able to tell which of the four is in force."""
    assert "nowhere.csv" in refused_window(refused)
    save(f"[train]\nwindow-size = {IN_FILE}\n", "aster.toml")
    assert refused_window(refused) == IN_FILE
    monkeypatch.setenv("ASTER_WINDOW_SIZE", IN_ENVIRONMENT)
    assert refused_window(refused) == IN_ENVIRONMENT
    assert refused_window(refused, "--window-size", IN_FLAG) == IN_FLAG


def test_config_names_another_file(
    refused: Refused, save: Save, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One file per plant, chosen in the call or the environment; ./aster.toml is then not read."""
    save(f"[train]\nwindow-size = {IN_FILE}\n", "aster.toml")
    save(f"[train]\nwindow-size = {IN_FLAG}\n", "plant.toml")
    assert refused_window(refused, "--config", "plant.toml") == IN_FLAG
    monkeypatch.setenv("ASTER_CONFIG", "plant.toml")
    assert refused_window(refused) == IN_FLAG


def test_settings_of_another_command_do_not_count(refused: Refused, save: Save) -> None:
    """The same key may mean something else there."""
    save("[score]\nsort = true\n[train]\nbackbone = 'none'\n", "aster.toml")
    assert "nowhere.csv" in refused(2, "train", "nowhere.csv")


def test_settings_reach_the_model(aster: Aster, save: Save) -> None:
    """What was resolved is recorded, wherever it came from."""
    save("[train]\nsteps = 2\nbackbone = 'none'\nexclude-cols = ['s0', 's2']\n", "aster.toml")
    log = save(wave(200), "log.csv")
    found = json.loads(aster("train", log, "--window-size", "8", "--json").out)
    assert found["config"]["training"]["steps"] == 2
    assert found["schema"]["log"]["sensors"] == ["s1"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[train]\nwindow_size = 8\n", "did you mean 'window-size'?"),
        ("[train]\nlora-ranks = 8\n", "did you mean 'lora-rank'?"),
        ("[trainn]\nsteps = 8\n", "did you mean 'train'?"),
        ("steps = 8\n", "there is no command 'steps'"),
        ("train = 8\n", "[train] is not a table"),
        ("[train\n", "is not TOML"),
        ("[train]\nsteps = 'many'\n", "aster.toml, [train] steps: 'many' is not"),
        ("[train]\nsteps = true\n", "aster.toml, [train] steps: True is not"),
        ("[train]\nsort = 'maybe'\n", "aster.toml, [train] sort: 'maybe' is not"),
        ("[train]\nclassifier = 'forest'\n", "aster.toml, [train] classifier: 'forest' is not"),
        ("[train]\nexclude-cols = 's0'\n", "[train] exclude-cols: 's0' is not possible; give a l"),
        ("[train]\ntime-col = ['t']\n", "[train] time-col: ['t'] is not possible; give one"),
        ("[backbone]\nforce = true\n", "[backbone]: `aster backbone` takes no settings"),
    ],
)
def test_an_unknown_key_is_exit_2_and_names_the_nearest(
    text: str, said: str, aster: Aster, save: Save
) -> None:
    """A misspelt setting that is silently ignored is believed to be in force."""
    save(text, "aster.toml")
    ended = aster("train", "nowhere.csv")
    assert ended.code == 2
    assert said in ended.err


def test_a_named_file_that_is_not_there_is_exit_2(refused: Refused) -> None:
    """The default file may be missing, a named one may not."""
    assert "plant.toml: cannot be read" in refused(2, "train", "x.csv", "--config", "plant.toml")


@pytest.mark.parametrize("where", ["flag", "environment", "file"])
def test_json_errors_however_json_was_asked_for(
    where: str, refused: Refused, save: Save, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A script that parses stderr sets this once, in its environment."""
    flags = ["--json"] if where == "flag" else []
    if where == "environment":
        monkeypatch.setenv("ASTER_JSON", "1")
    if where == "file":
        save("[score]\njson = true\n", "aster.toml")
    complaint = json.loads(refused(4, "score", "nowhere.csv", "-m", "nowhere.aster", *flags))
    assert complaint.keys() == {"error", "exit_code"}
    assert complaint["exit_code"] == 4
    assert "nowhere.aster" in complaint["error"]


@pytest.mark.parametrize("where", ["flag", "environment", "file", "named file"])
@pytest.mark.parametrize("what", ["json", "log-format"])
def test_a_call_that_cannot_be_parsed_fails_as_asked_for(
    what: str, where: str, refused: Refused, save: Save, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A misspelt flag is an error like others: who parses stderr must not stumble over it."""
    variable, value, quoted = {
        "json": ("ASTER_JSON", "true", "true"),
        "log-format": ("ASTER_LOG_FORMAT", "json", "'json'"),
    }[what]
    flags: tuple[str, ...] = ()
    if where == "flag":
        flags = (f"--{what}",) if what == "json" else (f"--{what}={value}",)
    elif where == "environment":
        monkeypatch.setenv(variable, value)
    elif where == "file":
        save(f"[score]\n{what} = {quoted}\n", "aster.toml")
    else:
        save(f"[score]\n{what} = {quoted}\n", "plant.toml")
        flags = ("--config", "plant.toml")
    complaint = json.loads(refused(2, "score", "x.csv", *flags, "--no-such-flag"))
    assert {"error", "exit_code"} <= complaint.keys()
    assert ("time" in complaint) == (what == "log-format")


def test_a_setting_in_the_file_is_seen_without_a_training(aster: Aster, save: Save) -> None:
    """A flag that is a switch works from the file as well."""
    save("[train]\nquiet = true\n", "aster.toml")
    log = save(wave(200), "log.csv")
    assert aster("train", log, *FAST).err == ""
    assert Path("log.aster").is_dir()
