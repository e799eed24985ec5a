"""From results to means, ranks, tables and the picture, all checked by pencil."""

from pathlib import Path
from xml.etree import ElementTree

import pytest

from benchmarks.detection.ablation import STEPS, WITH_LLM, WITHOUT_LLM
from benchmarks.detection.bars import compare_with_peers
from benchmarks.detection.figures import by_dataset, by_entity, complete_methods, overall
from benchmarks.detection.picture import Panel, draw
from benchmarks.detection.ranks import critical_difference, groups_within, mean_ranks
from benchmarks.detection.report import BEGIN, END, insert, write_report
from benchmarks.detection.results import METRICS, Result


def _result(method: str, key: str, value: float | None, *, seed: int = 0, **more: object) -> Result:
    dataset, entity = key.split("/")
    found: dict[str, object] = {
        "core": True,
        "code": "code",
        "metrics": dict.fromkeys(METRICS, value),
        "train_seconds": 1.0,
        "score_seconds": 2.0,
        "peak_memory_mb": 300.0,
    }
    return Result(
        method=method,
        dataset=dataset,
        entity=entity,
        seed=seed,
        versions={},
        cpu_count=2,
        threads=1,
        **(found | more),  # type: ignore[arg-type]
    )


def test_means_go_over_seeds_then_entities_then_datasets():
    """A dataset of many entities must not drown the others, nor one seed more an entity."""
    results = [
        _result("aster", "A/one", 0.2, seed=0),
        _result("aster", "A/one", 0.4, seed=1),
        _result("aster", "A/two", 0.7),
        _result("aster", "B/three", 0.9),
        _result("aster", "B/normal", None),
    ]
    figures = by_entity(results, "AUC-PR")["aster"]
    assert figures == pytest.approx({"A/one": 0.3, "A/two": 0.7, "B/three": 0.9})
    assert by_dataset(figures) == pytest.approx({"A": 0.5, "B": 0.9})
    assert overall(figures) == pytest.approx(0.7)


def test_ranks_share_ties_and_are_averaged_by_dataset():
    """A/one: 1, 2.5, 2.5. A/two: 3, 1, 2. B/three: 1, 2, 3."""
    ranks = mean_ranks(
        {
            "x": {"A/one": 0.9, "A/two": 0.1, "B/three": 0.9},
            "y": {"A/one": 0.5, "A/two": 0.3, "B/three": 0.8},
            "z": {"A/one": 0.5, "A/two": 0.2, "B/three": 0.7},
        }
    )
    assert ranks == pytest.approx({"x": (2.0 + 1) / 2, "y": (1.75 + 2) / 2, "z": (2.25 + 3) / 2})


def test_the_critical_difference_is_the_published_one():
    """Demšar's own example: four classifiers on 14 data sets, 2.569 sqrt(4 5 / (6 14)) = 1.25."""
    assert critical_difference(4, 14) == pytest.approx(1.25, abs=0.005)


def test_groups_are_the_largest_within_the_distance():
    """A group inside another says nothing more."""
    ranks = {"d": 4.0, "a": 1.0, "b": 1.5, "c": 2.4}
    assert groups_within(ranks, 1.0) == [["a", "b"], ["b", "c"]]
    assert groups_within(ranks, 1.5) == [["a", "b", "c"]]
    assert groups_within(ranks, 0.1) == []


def test_a_method_without_every_result_is_told_and_not_ranked(tmp_path):
    """It may have been run on the easy logs only."""
    results = [
        _result("aster", "A/one", 0.8),
        _result("aster", "B/two", 0.6),
        _result("pca", "A/one", 0.5),
        _result("pca", "B/two", 0.4),
        _result("lof", "A/one", 0.9),
        _result("lof", "B/two", None, metrics={}, error="no result within 1800 s"),
    ]
    assert complete_methods(results) == ["aster", "pca"]
    output = tmp_path / "benchmarks.md"
    write_report(results, output, tmp_path / "picture.svg")
    text = output.read_text()
    assert "| lof | 1 of 2, **incomplete** |" in text
    assert "| lof | **0.900** | - | - |" in text
    assert "| aster | 0.800 | **0.600** | **0.700** |" in text
    assert "all 2 methods" in text
    assert "- lof on B/two, seed 0: no result within 1800 s" in text
    assert ">lof" not in (tmp_path / "picture.svg").read_text()


def test_false_alarms_keep_normal_logs_apart(tmp_path):
    """They are the only ones where every alarm is false."""
    normal = dict.fromkeys(METRICS) | {"False-Alarm-Rate": 0.031}
    results = [_result("aster", "A/one", 0.02), _result("aster", "A/calm", None, metrics=normal)]
    write_report(results, tmp_path / "benchmarks.md", tmp_path / "picture.svg")
    text = (tmp_path / "benchmarks.md").read_text()
    assert "| A | 1 | 2.00% | 2.00% (A/one) | 2.00% |" in text
    assert "| A, no anomaly | 1 | 3.10% | 3.10% (A/calm) | - |" in text


def _written(results: list[Result], folder: Path) -> str:
    write_report(results, folder / "benchmarks.md", folder / "picture.svg")
    return (folder / "benchmarks.md").read_text()


def _rows(text: str, title: str) -> list[list[str]]:
    """The cells of the lines below a title, heads and rules left out."""
    lines = text.partition(title)[2].partition("\n#")[0].splitlines()
    cells = [line.strip("| ").split(" | ") for line in lines if line.startswith("| ")]
    return [own for own in cells if len(own) == 8 and own[0] != "---"]


def test_ablation_rows_are_read_beside_the_first(tmp_path):
    """The first row is what each other one is compared with, whatever order results come in; a
    variant that lacks an entity may have been run on the easy ones, so it is not shown yet."""
    first, linear, mlp, *_ = WITHOUT_LLM
    results = [
        _result(linear, "A/one", 0.5, train_seconds=3.0),
        _result(linear, "B/two", 0.6, train_seconds=5.0),
        _result(mlp, "A/one", 0.9),
        _result(mlp, "B/two", None, metrics={}, error="no result within 1800 s"),
        _result(first, "A/one", 0.7),
        _result(first, "B/two", 0.6),
        _result(f"{first}-window-alone", "A/one", 0.8),
        _result(f"{first}-window-alone", "B/two", 0.6),
        _result(first, "C/beyond", 0.1, core=False),
    ]
    text = _written(results, tmp_path)
    assert f"{STEPS} steps" in text
    assert _rows(text, "### Ablation") == [
        [WITHOUT_LLM[first].label, *["0.650"] * 4, "+0.000", "1", "2.0"],
        [WITHOUT_LLM[linear].label, *["0.550"] * 4, "-0.100", "4", "2.0"],
        ["score: window alone", *["0.700"] * 4, "+0.050", "1", "2.0"],
    ]
    assert "VUS-PR, difference" in text


def test_each_ablation_table_has_a_reference_of_its_own(tmp_path):
    """With and without the language model are two questions; the second must not be answered by a
    difference from the first."""
    (llm, none, *_), linear = WITH_LLM, list(WITHOUT_LLM)[1]
    values = {llm: 0.7, none: 0.6, linear: 0.5}
    text = _written([_result(name, "A/one", value) for name, value in values.items()], tmp_path)
    rows = _rows(text, "### Ablation")
    assert [(label, difference) for label, *_, difference, _, _ in rows] == [
        (WITH_LLM[llm].label, "+0.000"),
        (WITH_LLM[none].label, "-0.100"),
        (WITHOUT_LLM[none].label, "+0.000"),
        (WITHOUT_LLM[linear].label, "-0.100"),
    ]


def test_without_its_reference_there_is_no_ablation(tmp_path):
    """A difference from nothing is no figure."""
    first, linear, *_ = WITHOUT_LLM
    results = [_result(linear, "A/one", 0.5), _result(linear, "B/two", 0.5)]
    assert "### Ablation" not in _written(results, tmp_path)
    results.append(_result(first, "A/one", 0.7))
    assert "### Ablation" not in _written(results, tmp_path)


def test_the_parts_of_the_score_stand_beside_it_and_are_not_ranked(tmp_path):
    """They are no methods that anyone can run; which of them earns its place is the question."""
    values = {"aster": 0.7, "aster-classifier-alone": 0.4, "aster-window-alone": 0.65, "pca": 0.5}
    text = _written([_result(name, "A/one", value) for name, value in values.items()], tmp_path)
    assert _rows(text, "### The score and its parts") == [
        ["both, joined", *["0.700"] * 4, "+0.000", "1", "2.0"],
        ["classifier alone", *["0.400"] * 4, "-0.300", "1", "2.0"],
        ["window alone", *["0.650"] * 4, "-0.050", "1", "2.0"],
    ]
    assert "all 2 methods" in text
    assert "| aster-window-alone |" not in text


def test_the_text_around_the_markers_stays(tmp_path):
    """The page is written by hand but for what lies between."""
    page = tmp_path / "page.md"
    insert(page, "first")
    assert page.read_text() == f"# Benchmarks\n\n{BEGIN}\n\nfirst\n\n{END}\n"
    page.write_text(f"# Mine\n\nbefore\n{BEGIN}\nold\n{END}\nafter\n")
    insert(page, "new")
    assert page.read_text() == f"# Mine\n\nbefore\n{BEGIN}\n\nnew\n\n{END}\nafter\n"
    page.write_text("# Mine\n")
    insert(page, "new")
    assert page.read_text() == f"# Mine\n\n{BEGIN}\n\nnew\n\n{END}\n"
    page.write_text(f"# Mine\n{BEGIN}\n")
    with pytest.raises(ValueError, match="only one of the markers"):
        insert(page, "new")


def test_the_picture_is_sound_xml_and_names_every_method():
    """A browser shows nothing at all of a picture with one bad character."""
    panels = [Panel("VUS-PR", {"aster": 1.5, "a<b": 2.0, "pca": 2.5}, 0.7)]
    root = ElementTree.fromstring(draw(panels))
    texts = [element.text for element in root.iter("{http://www.w3.org/2000/svg}text")]
    assert [text for text in texts if text and text.endswith(("1.5", "2.0", "pca"))] == [
        "aster  1.5",
        "a<b  2.0",
        "2.5  pca",
    ]


def test_the_bars_are_against_the_best_single_peer():
    """The best peer of each dataset, taken together, is no peer that anyone can run."""
    own = [_result("aster", "A/one", 0.9), _result("aster", "B/two", 0.6)]
    knn = [_result("knn-20", "A/one", 0.5), _result("knn-20", "B/two", 0.7)]
    more = [_result("knn-40", "A/one", 0.4), _result("knn-40", "B/two", 0.75)]
    lines = list(compare_with_peers([*own, *knn, *more]))
    assert lines[0] == (
        "VUS-PR: aster 0.750, best peer knn-20 0.600, ratio 1.250, difference +0.150"
    )
    assert lines[1] == "VUS-PR against the better kNN row, worst dataset B: ratio 0.800"
    assert list(compare_with_peers(knn)) == ["not all results of aster and of a peer are there yet"]
