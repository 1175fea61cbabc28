"""Systems, their numbers and the folder of a result."""

from mvideo_core.evaluation.manifest import EvalItem, read_manifest
from mvideo_core.evaluation.plan import EvalPlan
from mvideo_core.evaluation.run import run_suite
from mvideo_core.evaluation.suite import SuiteOptions, prepare
from tests.mvideo_core.right_or_refused.cases import Cases, refusal

CASES = Cases()


@CASES.kind("two systems of one name")
def _(tmp_path):
    from mvideo_core.evaluation.inputs import read_inputs

    for place in (tmp_path / "a" / "out", tmp_path / "b" / "out"):
        place.mkdir(parents=True)
        (place / "a cat.mp4").write_bytes(b"x")
    texts = [str(tmp_path / "a" / "out"), str(tmp_path / "b" / "out")]
    refusal(lambda: read_inputs(texts), *texts, "'out'", "name the systems")


@CASES.kind("means over different items")
def _(tmp_path):
    from mvideo_core.evaluation.export import to_markdown
    from tests.mvideo_core.evaluation.results import made

    values = {"easy": {"mask_miou": [0.8, None]}, "whole": {"mask_miou": [0.9, 0.3]}}
    text = to_markdown(made(tmp_path, values).result)
    assert "| easy | 80.00* | 1 | 1 | 1 | 0 |" in text
    assert "| whole | 90.00 | 1 | 1 | 0 | 0 | 60.00 (2) |" in text


@CASES.kind("a verdict from a few prompts")
def _(tmp_path):
    from mvideo_core.evaluation.compare import compare_all
    from tests.mvideo_core.evaluation.results import made

    (found,) = compare_all(made(tmp_path, {"a": {"mask_miou": [0.1] * 5}, "b": {"mask_miou": [0.9] * 5}}))
    assert (found.verdict, found.p, found.low) == ("too few", None, None)


@CASES.kind("videos left out of a folder")
def _(tmp_path):
    (tmp_path / "videos" / "more").mkdir(parents=True)
    for name in ("a.mp4", "b.gif", "more/c.mp4"):
        (tmp_path / "videos" / name).touch()
    refusal(lambda: read_manifest(tmp_path / "videos"), "b.gif", ".mp4", "convert")
    (tmp_path / "videos" / "b.gif").unlink()
    refusal(lambda: read_manifest(tmp_path / "videos"), "more", "subfolder with videos", "separately")


@CASES.kind("a result in another's place")
def _(tmp_path):
    suite = SuiteOptions.parse({"metrics": [{"metric": "temporal_flickering"}]})
    plans = [EvalPlan(suite, (EvalItem(id="a", video=f"{tmp_path}/{name}.mp4"),)) for name in ("one", "two")]
    run_suite(plans[0], tmp_path / "out")
    refusal(lambda: run_suite(plans[1], tmp_path / "out"), tmp_path / "out", "other videos", "--overwrite")


@CASES.kind("a mini judge in the paper's column")
def _(tmp_path):
    suite = SuiteOptions.parse({"metrics": [{"metric": "mask_miou"}]})
    assert [one.name for one in prepare(suite)] == ["mini_mask_miou"]
