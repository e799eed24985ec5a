"""The documentation says what the code does: it cannot fall behind unnoticed."""

import os
import re
import shlex
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from typer.main import get_command

import aster_cli
from aster_cli import Detector, DetectorConfig
from aster_cli.cli import app
from aster_cli.cli.lazy import loaded
from aster_cli.errors import AsterError
from aster_cli.inspection import ADVICE
from aster_cli.logs import SCORE_DTYPES

ROOT = Path(__file__).parents[1]
README = ROOT / "README.md"
FORMATS = ROOT / "docs" / "formats.md"
INSPECTION = ROOT / "docs" / "inspection.md"
API = ROOT / "docs" / "api.md"
COMMANDS = ROOT / "docs" / "commands.md"
# lab notes are history: what they name may be gone
GUIDES = [page for page in sorted((ROOT / "docs").glob("*.md")) if page.name != "lab-notes.md"]
PAGES = [README, *GUIDES, ROOT / "sample_data" / "README.md"]

FOREIGN_FLAGS = {
    *("--index-url", "--extra-index-url", "--pip-args"),  # of pip and pipx
    *("--collector", "--now"),  # of node_exporter and systemctl
    *("--seed", "--output"),  # of sample_data/simulate.py, which is no command
    "--methods",  # of benchmarks/detection, which is none either
    *("--every", "--minutes", "--only"),  # of benchmarks/reliability
    *("--full", "--together", "--train", "--score"),  # of benchmarks/reliability
    *("--runs", "--processes"),
    *("--standalone", "--nproc-per-node", "--rdzv-endpoint"),  # of torchrun
}
# read where the cache and the real logs are, not by a flag
FOREIGN_VARIABLES = {"ASTER_CACHE_DIR", "ASTER_TEST_DATA"}

pages = pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))


def walk(command: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    """Every command with the words that call it; the root's are none."""
    yield name, command
    for word, below in getattr(command, "commands", {}).items():
        yield from walk(loaded(below), f"{name} {word}".strip())


CALLS = dict(walk(get_command(app)))
OPTIONS = {
    name: {"--help", "-h", *(o for parameter in command.params for o in parameter.opts)}
    for name, command in CALLS.items()
}
VARIABLES = {
    parameter.envvar
    for command in CALLS.values()
    for parameter in command.params
    if parameter.envvar is not None
}


def blocks(page: Path, language: str) -> list[str]:
    """The fenced code blocks of a language."""
    return re.findall(rf"^```{language}\n(.*?)^```", page.read_text(), re.MULTILINE | re.DOTALL)


def table(page: Path, heading: str) -> dict[str, list[str]]:
    """The rows of the first table below a heading, by their first cell."""
    below = page.read_text().split(f"{heading}\n", 1)[1]
    lines = re.search(r"(?:^\|.*\n)+", below, re.MULTILINE)
    assert lines is not None
    rows = [line.strip("|").split("|") for line in lines[0].splitlines()[2:]]
    return {row[0].strip(" `"): [cell.strip() for cell in row[1:]] for row in rows}


def calls_of_aster(page: Path) -> Iterator[tuple[str, list[str]]]:
    """What readers are told to type: the command, and its words."""
    text = "\n".join([*blocks(page, "console"), *blocks(page, "sh")]).replace("\\\n", " ")
    for line in re.findall(r"^ *(?:\$ |\d\) )?aster (.*)$", text, re.MULTILINE):
        words = shlex.split(line.split(" ;;")[0], comments=True)
        names = [name for name in CALLS if name and words[: len(name.split())] == name.split()]
        yield max(names, key=len, default=""), words


@pytest.mark.parametrize("name", CALLS, ids=lambda name: name or "aster")
def test_every_command_is_documented(name: str) -> None:
    # a command without its section is one that users have to guess
    assert re.search(rf"^##+ aster( |$){name}$", COMMANDS.read_text(), re.MULTILINE)
    assert f"$ aster {name} --help".replace("  ", " ") in COMMANDS.read_text()


def test_the_command_reference_is_what_help_says() -> None:
    # at whatever width the terminal has that the check is run on
    check = subprocess.run(
        [sys.executable, "-m", "cogapp", "--check", str(COMMANDS)],
        cwd=ROOT,
        env=os.environ | {"COLUMNS": "200"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert check.returncode == 0, "run: python -m cogapp -r docs/commands.md\n" + check.stdout


@pages
def test_every_flag_exists(page: Path) -> None:
    # a flag that was renamed or never built must not stay in the prose
    known = set().union(*OPTIONS.values()) | FOREIGN_FLAGS
    flags = set(re.findall(r"(?<![\w-])--[a-z][a-z-]*", page.read_text()))
    assert flags <= known


@pages
def test_every_variable_exists(page: Path) -> None:
    # names such as ASTER_<NAME> stand for all of them
    named = set(re.findall(r"\bASTER_[A-Z_]*[A-Z]\b", page.read_text()))
    assert named <= VARIABLES | FOREIGN_VARIABLES


@pages
def test_every_call_has_flags_of_its_own_command(page: Path) -> None:
    # `--id-col` exists, but not for `aster score`: a line to copy must not end in a usage error
    for name, words in calls_of_aster(page):
        assert name, f"no command in: aster {shlex.join(words)}"
        used = {word.split("=")[0] for word in words if re.match(r"--?[a-z]", word)}
        assert used <= OPTIONS[name], f"aster {shlex.join(words)}"


def test_calls_are_found() -> None:
    # the test above would pass on pages in which it finds nothing
    found = [name for page in PAGES for name, _ in calls_of_aster(page)]
    assert {"train", "score", "inspect"} <= set(found)
    assert len(found) >= 10


@pages
def test_no_link_is_dead(page: Path) -> None:
    # relative links, images among them; an anchor has to be a heading of its page
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text()):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = target.partition("#")
        linked = (page.parent / path) if path else page
        assert linked.exists(), target
        if anchor:
            headings = re.findall(r"^#+ (.*)$", linked.read_text(), re.MULTILINE)
            slugs = [re.sub(r"[^\w -]", "", h.lower()).replace(" ", "-") for h in headings]
            assert anchor in slugs, target


@pages
def test_no_path_of_a_developer(page: Path) -> None:
    # sample sessions are real; what they were run in is nobody's business
    assert not re.findall(r"/(?:work|tmp|root|Users|home/\w+)/", page.read_text())


def test_the_source_tree_is_the_source_tree() -> None:
    # readers find their way by it; a new module comes with a clause on what it is for
    tree = next(block for block in blocks(README, "text") if block.startswith("aster_cli/"))
    listed = re.findall(r"^[├└]── (\S+?)/? +\S", tree, re.MULTILINE)
    package = Path(aster_cli.__file__).parent
    there = [
        path.name
        for path in package.iterdir()
        if path.suffix == ".py" or (path / "__init__.py").is_file()
    ]
    assert listed == sorted(there)


def test_every_exit_code_is_documented() -> None:
    # scripts are written by these tables; 0, 1, 6 and 130 are outcomes that no error class has
    def codes(kind: type[AsterError]) -> set[int]:
        return {kind.exit_code}.union(*map(codes, kind.__subclasses__()))

    of_errors = codes(AsterError)
    for page, heading in ((README, "## Every night, from cron"), (FORMATS, "## Exit codes")):
        assert {int(code) for code in table(page, heading)} == {0, 1, 6, 130, *of_errors}


def test_every_score_column_is_documented_with_its_dtype() -> None:
    # the page's dtypes are written as Polars writes them, less a struct's fields
    documented = {name: cells[0] for name, cells in table(FORMATS, "## Scores").items()}
    assert documented == {
        name: re.sub(r"\(Struct\(.*", "(Struct)", str(dtype))
        for name, dtype in SCORE_DTYPES.items()
    }


def test_every_finding_is_documented() -> None:
    # a user who meets one wants to know when it is raised, and what is done about it
    assert set(table(INSPECTION, "## What is found")) == set(ADVICE)


def test_the_settings_example_has_settings_of_its_commands() -> None:
    # it is there to be copied
    (example,) = blocks(FORMATS, "toml")
    for command, settings in tomllib.loads(example).items():
        assert {f"--{key}" for key in settings} <= OPTIONS[command]


def test_the_shell_example_parses() -> None:
    # a missing `;;` would show at midnight only
    (script,) = blocks(README, "sh")
    subprocess.run(["sh", "-n"], input=script, text=True, check=True)


@pytest.fixture
def small_fits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Examples as they stand, but for shorter logs, a smaller network and no language model."""
    folder = tmp_path / "sample_data"
    folder.mkdir()
    normal = pl.read_parquet(ROOT / "sample_data" / "normal.parquet")
    normal.filter(pl.col("pump") == "P1").head(300).write_parquet(folder / "normal.parquet")
    live = pl.read_csv(ROOT / "sample_data" / "live.csv")
    pl.concat([live.head(300), live.tail(300)]).write_csv(folder / "live.csv")
    fit = Detector.fit.__func__  # type: ignore[attr-defined]
    small = {"backbone": "none", "width": 16, "steps": 3, "device": "cpu", "window_size": 8}
    monkeypatch.setattr(
        Detector,
        "fit",
        classmethod(lambda cls, *args, **more: fit(cls, *args, **{**small, **more})),
    )
    monkeypatch.chdir(tmp_path)


@pytest.mark.usefixtures("small_fits")
def test_the_python_example_runs(capsys: pytest.CaptureFixture[str]) -> None:
    (example,) = blocks(README, "python")
    names: dict[str, Any] = {}
    exec(compile(example, str(README), "exec"), names)
    assert Path("pumps.aster/manifest.json").is_file()
    assert names["scores"].height == 600
    assert set(SCORE_DTYPES) < set(names["scores"].columns)
    assert "severity" in capsys.readouterr().out


@pytest.mark.usefixtures("small_fits")
def test_the_examples_of_the_python_page_run(capsys: pytest.CaptureFixture[str]) -> None:
    # one after the other, as a reader would try them
    names: dict[str, Any] = {}
    for example in blocks(API, "python"):
        exec(compile(example, str(API), "exec"), names)
    assert names["side_by_side"].height == names["scores"].height == 600
    fleet = names["fleet"]
    assert len(fleet.detectors) == 1
    assert fleet.score(names["live"]).height == 600  # what it was kept in till saved is gone
    said = capsys.readouterr().out
    assert "flow_m3h" in said
    assert "separation" in said


def test_every_setting_of_a_detector_is_documented() -> None:
    # by the name that `fit` takes; what the command line does not set is for experiments
    names = {
        field
        for section in DetectorConfig.__struct_fields__
        for field in getattr(DetectorConfig(), section).__struct_fields__
    }
    documented = {name for row in table(API, "## Settings") for name in re.findall(r"\w+", row)}
    assert names - documented == {
        "patch_size",
        "width",
        "latent_width",
        "batch_size",
        "learning_rate",
    }
    assert documented <= names


def test_the_site_builds_and_needs_no_network(tmp_path: Path) -> None:
    # strict: a dead link or an unknown heading fails; what a page loads must lie beside it
    pytest.importorskip("furo", reason="no site generator: pip install --group docs")
    build = [sys.executable, "-m", "sphinx", "-W", "-q", "-E", "-b", "html"]
    made = subprocess.run(
        [*build, "-d", str(tmp_path / "trees"), str(ROOT / "docs"), str(tmp_path / "site")],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert made.returncode == 0, made.stderr
    pages = {page.stem: page.read_text() for page in (tmp_path / "site").glob("*.html")}
    assert {page.stem for page in (ROOT / "docs").glob("*.md")} <= pages.keys()
    loaded = re.compile(r"<(?:link|script|img|source|iframe)[^>]+(?:src|href)=\"(https?:|//)")
    assert not [name for name, text in pages.items() if loaded.search(text)]


def test_pictures_of_screens_need_no_network() -> None:
    # Rich's own picture of a terminal loads a font from elsewhere
    for picture in (ROOT / "docs" / "figures" / "screens").glob("*.svg"):
        assert set(re.findall(r"https?://[^\"')]+", picture.read_text())) == {
            "http://www.w3.org/2000/svg"
        }
