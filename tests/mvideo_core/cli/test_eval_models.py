"""mvideo eval compare-models, in this process: drawn videos in, every table and the page out."""

import csv
import json
import re
import xml.etree.ElementTree as ET
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from mvideo_core.base.errors import ConfigError
from mvideo_core.cli.main import app
from mvideo_core.editing.mask_files import save_masks
from mvideo_core.evaluation.manifest import EvalItem, write_manifest
from mvideo_core.masks import encode
from mvideo_core.media.encode import write_mp4

N_SAMPLES = 7


def invoke(*words: object) -> tuple[int, str]:
    result = CliRunner().invoke(app, ["eval", *map(str, words)], catch_exceptions=True)
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.exit_code, result.output


def flicker(place: Path, levels: int) -> None:
    """A gray video that jumps by so many levels each frame."""
    frames = (np.full((32, 48, 3), 100 + levels * (n % 2), np.uint8) for n in range(5))
    place.parent.mkdir(parents=True, exist_ok=True)
    write_mp4(frames, place, 8, crf=0)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Seven samples; one model names its videos by id, one by prompt, one has a manifest and lacks a video."""
    place = tmp_path_factory.mktemp("models")
    items = [EvalItem(id=f"s{n}", prompt=f"a cat {n}", test_set="drawn") for n in range(N_SAMPLES)]
    for n, item in enumerate(items):
        flicker(place / "still" / "out" / f"{item.id}.mp4", 1)
        flicker(place / "jumpy" / "out" / f"{item.prompt}.mp4", 20 + n)
        if n:
            flicker(place / "gaps" / "v" / f"{n}.mp4", 10)
    flicker(place / "still" / "out" / "another.mp4", 1)
    write_manifest(
        [item.model_copy(update={"video": f"v/{n}.mp4", "system": "x"}) for n, item in enumerate(items)],
        place / "gaps" / "manifest.jsonl",
    )
    write_manifest(items, place / "samples.jsonl")
    (place / "suite.yaml").write_text("name: thin\nmetrics: [{metric: temporal_flickering}]\n")
    return place


def words(root: Path, out: Path, *more: object) -> tuple[object, ...]:
    models = (f"A={root / 'still' / 'out'}", f"B={root / 'jumpy' / 'out'}", f"C={root / 'gaps'}")
    return ("compare-models", *models, "--masks", root / "samples.jsonl", "--suite", root / "suite.yaml", "--out", out,
            *more)  # fmt: skip


def test_three_models_come_out_as_tables_plots_and_a_page(root: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    code, text = invoke(*words(root, out))
    assert code == 0
    assert "A: 1 of 8 videos match no sample" in text
    assert "another.mp4: ignored" in text
    assert "| temporal flickering, drawn | C | " in text
    rows = {row["system"]: row for row in csv.DictReader((out / "results.csv").open())}
    assert [(rows[name]["n"], rows[name]["n_missing"], rows[name]["incomplete"]) for name in "ABC"] == [
        ("7", "0", "False"), ("7", "0", "False"), ("6", "1", "True"),
    ]  # fmt: skip
    assert float(rows["A"]["shared_mean"]) > float(rows["C"]["shared_mean"]) > float(rows["B"]["shared_mean"])
    found = json.loads((out / "comparisons.json").read_text())
    assert [(one["first_system"], one["second_system"], one["n_pairs"], one["family"]) for one in found] == [
        ("A", "B", 7, 3), ("A", "C", 6, 3), ("B", "C", 6, 3),
    ]  # fmt: skip
    # One of 64 flips is as extreme as seven differences of one sign, one of 32 as six; after Holm 3/64 and 2/32.
    assert [(one["p"], one["p_corrected"], one["verdict"]) for one in found] == [
        (1 / 64, 3 / 64, "different"), (1 / 32, 2 / 32, "too few"), (1 / 32, 2 / 32, "too few"),
    ]  # fmt: skip
    plot = ET.parse(out / "plots" / "drawn-temporal_flickering.svg").getroot()
    lines = [one.get("points", "").split() for one in plot.findall("{*}g/{*}polyline")]  # intervals are in no group
    assert sorted(map(len, lines)) == [2, 3, 3, 3, 3, 3, 3]  # the missing video leaves its line short
    page = (out / "report" / "index.html").read_text(encoding="utf-8")
    assert "B vs. A, drawn" in page
    assert page.count("<svg") == 1
    assert r"\begin{tabular}" in (out / "comparisons.tex").read_text()


def test_a_second_run_scores_nothing_again_and_writes_the_same(root: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    invoke(*words(root, out, "--no-report"))
    scores = {path: path.stat().st_mtime_ns for path in (out / "scores").rglob("*.json")}
    before = {path.name: path.read_bytes() for path in out.glob("*.*")}
    next(iter(scores)).unlink()  # as a run that was stopped would leave it
    code, _ = invoke(*words(root, out, "--no-report"))
    assert code == 0
    after = {path: path.stat().st_mtime_ns for path in (out / "scores").rglob("*.json")}
    assert after.keys() == scores.keys()
    assert sum(after[path] != scores[path] for path in scores) == 1
    assert {path.name: path.read_bytes() for path in out.glob("*.*")} == before


def test_wrong_calls_are_refused_in_one_line(root: Path, tmp_path: Path) -> None:
    still, jumpy = root / "still" / "out", root / "jumpy" / "out"
    rest = ("--masks", root / "samples.jsonl", "--suite", root / "suite.yaml", "--out", tmp_path / "out")
    for models, told in (
        ((f"A={still}",), "1 model; at least two required"),
        ((still, jumpy), "both would be named 'out'"),
        ((f"A={still}", f"B={root / 'gaps' / 'v'}"), "no video for any of the 7 samples, e.g. 's0'"),
    ):
        with pytest.raises(ConfigError, match=told) as refused:
            invoke("compare-models", *models, *rest)
        assert "\n" not in str(refused.value)
    with pytest.raises(ConfigError, match="1 errors above"):
        invoke(*words(root, tmp_path / "strict", "--strict"))
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(("field", "values"), [("variant", ("8 s", "12 s")), ("test_set", ("one", "other"))])
def test_several_videos_of_one_sample_are_refused_not_picked_from(
    root: Path, tmp_path: Path, field: str, values: tuple[str, str]
) -> None:
    """Of two videos with one id the last was scored and the other said to belong to no sample."""
    item = EvalItem(id="s1", system="x", video=str(root / "gaps" / "v" / "1.mp4"))
    several = [item.model_copy(update={field: value}) for value in values]
    model = write_manifest(several, tmp_path / "model.jsonl")
    samples = write_manifest([one.model_copy(update={"system": ""}) for one in several], tmp_path / "samples.jsonl")
    still = f"A={root / 'still' / 'out'}"
    for other, masks, where in (
        (f"B={model}", root / "samples.jsonl", model),
        (f"B={root / 'gaps'}", samples, samples),
    ):
        told = f"{where}: the id 's1' has 2 {field.replace('_', ' ')}s ({values[0]!r}, {values[1]!r})"
        with pytest.raises(ConfigError, match=re.escape(told)) as refused:
            invoke("compare-models", still, other, "--masks", masks, "--suite", root / "suite.yaml",
                   "--out", tmp_path / "out")  # fmt: skip
        assert "\n" not in str(refused.value)
    assert not (tmp_path / "out").exists()


def test_what_cannot_be_compared_is_refused_before_anything_is_scored(root: Path, tmp_path: Path) -> None:
    def model(name: str, prompt: str, column: int) -> str:
        area = np.zeros((5, 1, 32, 48), np.bool_)
        area[:, 0, 8:24, column : column + 16] = True
        masks = save_masks(tmp_path / f"{column}.masks", encode(area), 8, ["box"])
        item = EvalItem(id="1", system=name, video=str(root / "gaps" / "v" / "1.mp4"), prompt=prompt, masks=str(masks))
        return f"{name}={write_manifest([item], tmp_path / f'{name}.jsonl')}"

    suites = {name: tmp_path / f"{name}.yaml" for name in ("plain", "masks")}
    suites["plain"].write_text("name: plain\nmetrics: [{metric: temporal_flickering}]\n")
    suites["masks"].write_text("name: masks\nmetrics: [{metric: temporal_flickering}, {metric: mask_miou}]\n")
    ours, prompt, masks = model("ours", "a box", 0), model("prompt", "a ball", 0), model("masks", "a box", 20)
    out = tmp_path / "out"
    for other, suite, told in (
        (prompt, "plain", r"1 ids have different prompts on the two sides, e.g. '1': 'a box' and 'a ball'"),
        (masks, "masks", r"mini_mask_miou: 1 ids have different masks on the two sides, e.g. '1'"),
    ):
        with pytest.raises(ConfigError, match=told):
            invoke("compare-models", ours, other, "--suite", suites[suite], "--out", out)
        assert not out.exists()
    assert invoke("compare-models", ours, masks, "--suite", suites["plain"], "--out", out, "--no-report")[0] == 0
