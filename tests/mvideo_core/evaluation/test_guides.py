"""A batch over samples of any length: masks of the generated frames, short ones failed, nothing stops it."""

from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from mvideo_core.base.errors import ConfigError
from mvideo_core.cli.main import app
from mvideo_core.editing.mask_files import load_masks, save_masks
from mvideo_core.evaluation.guides import file_name_of
from mvideo_core.evaluation.make_videos import failures, make_videos
from mvideo_core.evaluation.manifest import EvalItem, absolute_items, read_manifest, write_manifest
from mvideo_core.evaluation.plan import make_plan, shuffle_masks
from mvideo_core.evaluation.run import run_suite
from mvideo_core.evaluation.suite import SuiteOptions
from mvideo_core.evaluation.systems import SystemOptions, load_system
from mvideo_core.evaluation.validate import validate
from mvideo_core.masks import encode
from tests.mvideo_core.generation.conftest import tiny_adapter

FRAMES = {"exact": 21, "long": 17, "fast": 17}
"""At 8 fps and clips of 9 that share a frame: 2.5 s are two clips and half of a third, 2 s are two clips."""


def masks_of(folder: Path, name: str, n_frames: int, fps: float = 8, first_px: int = 8) -> str:
    """A square of 32 px that moves one pixel a frame, on a grid of 64x128."""
    area = np.zeros((n_frames, 1, 64, 128), np.bool_)
    for t in range(n_frames):
        area[t, 0, 16:48, first_px + t : first_px + t + 32] = True
    return str(save_masks(folder / f"{name}.masks", encode(area), fps, ["box"]))


def decoded(path: str) -> int:
    with av.open(path) as container:
        return sum(1 for _ in container.decode(video=0))


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Options of a tiny system: random weights, one step, clips of 9 frames of 32x64."""
    torch.set_num_threads(1)
    adapter = tiny_adapter(tmp_path_factory.mktemp("adapter"))
    return {"base": {"weights": "random:tiny-sincos"}, "adapter": str(adapter), "options": {"steps": 1}}


@pytest.fixture(scope="module")
def batch(tiny: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str]]:
    """A short sample among long ones, made by the tiny system."""
    place = tmp_path_factory.mktemp("batch")
    items = [
        EvalItem(id="short", prompt="a box", seed=1, seconds=3, masks=masks_of(place, "short", 17)),
        EvalItem(id="exact", prompt="a box", seed=2, seconds=2.5, masks=masks_of(place, "exact", 21)),
        EvalItem(id="long", prompt="a box", seed=3, seconds=2, masks=masks_of(place, "long", 41, first_px=56)),
        EvalItem(id="fast", prompt="a box", seed=4, seconds=2, masks=masks_of(place, "fast", 73, fps=24)),
    ]
    system = load_system("mvideo-mini", {"mvideo": tiny})
    told: list[str] = []
    make_videos(system, items, place / "out", progress=lambda done, total, text: told.append(text))
    return place / "out", told


def test_a_short_sample_fails_alone_and_its_frames_are_counted_right(batch: tuple[Path, list[str]]) -> None:
    out, told = batch
    assert told[0].startswith("short: failed: ")
    assert "17 frames at 8 fps cover 2.00 s, but the video is 3 s long" in told[0]
    assert told[1:] == ["exact: generated", "long: generated", "fast: generated"]
    assert list(failures(absolute_items(read_manifest(out)))) == ["short"]


def test_masks_of_the_manifest_are_those_of_the_frames(batch: tuple[Path, list[str]]) -> None:
    out, _ = batch
    for item in absolute_items(read_manifest(out))[1:]:
        masks = load_masks(item.masks)
        assert masks.sequence.n_frames == decoded(item.video) == FRAMES[item.id]
        assert (masks.sequence.height, masks.sequence.width, masks.fps) == (32, 64, 8)
        beside = load_masks(Path(item.video).parent / "conditions" / "masks.masks")
        assert beside.sequence == masks.sequence
        first = masks.sequence.frame(0)[0]  # half of 16:48 and of 8:40 (56:88): exact cells of 2 x 2
        left = 28 if item.id == "long" else 4
        assert first.sum() == 16 * 16
        assert first[8:24, left : left + 16].all()


def test_no_sample_is_lost_to_the_score_but_the_failed_one(batch: tuple[Path, list[str]], tmp_path: Path) -> None:
    out, _ = batch
    suite = SuiteOptions.parse(
        {
            "metrics": [
                {"metric": "mask_miou"},
                {"metric": "mask_miou", "as": "mini_other", "options": {"pairing": "shuffled"}},
            ]
        }
    )
    plan = make_plan(suite, [str(out)])
    result = run_suite(plan, tmp_path / "result")
    for name in ("mini_mask_miou", "mini_other"):
        got = result.groups[0].metrics[name]
        assert (got.n, got.n_failed, got.n_missing, got.n_inapplicable) == (3, 1, 0, 0)
    assert "short" not in {one.id for one in shuffle_masks(plan.items).values()}
    assert run_suite(plan, tmp_path / "result") == result  # and its part is not outdated
    rows = (tmp_path / "result" / "rows.jsonl").read_text()
    assert "cover 2.00 s" in rows


def test_a_second_call_makes_and_resamples_nothing(batch: tuple[Path, list[str]], tiny: dict[str, Any]) -> None:
    out, _ = batch
    before = {path: path.stat().st_mtime_ns for path in [*out.glob("masks/*"), *out.glob("videos/*/video.mp4")]}
    items = [
        item.model_copy(update={"masks": item.masks.replace("/out/masks/", "/")})
        for item in absolute_items(read_manifest(out))
    ]
    told: list[str] = []
    system = load_system("mvideo-mini", {"mvideo": tiny})
    make_videos(system, items, out, progress=lambda done, total, text: told.append(text.split(": ")[1]))
    assert told == ["failed", "already there", "already there", "already there"]
    assert before == {path: path.stat().st_mtime_ns for path in before}


def test_a_failure_beside_an_earlier_video_counts_as_failed(tmp_path: Path, tiny: dict[str, Any]) -> None:
    """2 s are made, then 3 s fail: the 2 s video stays, is scored for the 2 s request only, and no run ends green."""
    masks = masks_of(tmp_path, "a", 17)
    write_manifest(
        [EvalItem(id="a", prompt="a box", masks=masks), EvalItem(id="b", prompt="a box")], tmp_path / "m.jsonl"
    )
    out, result = tmp_path / "out", tmp_path / "result"
    words = ["eval", "generate", "--system", "mvideo-mini", "--manifest", str(tmp_path / "m.jsonl"), "--out", str(out),
             "--set", f"mvideo.adapter={tiny['adapter']}", "--set", "mvideo.options.steps=1",
             "--set", "mvideo.base.weights=random:tiny-sincos"]  # fmt: skip
    suite = SuiteOptions.parse({"metrics": [{"metric": "temporal_flickering"}]})

    def counts() -> tuple[int, int, list[int]]:
        group = run_suite(make_plan(suite, [str(out)]), result, overwrite=True).groups[0]
        got = group.metrics["temporal_flickering"]
        return got.n, got.n_failed, [one.facts.frames for one in group.videos]

    assert CliRunner().invoke(app, [*words, "--seconds", "2"]).exit_code == 0
    assert counts() == (2, 0, [17])
    assert CliRunner().invoke(app, [*words, "--seconds", "3"]).exit_code == 3
    assert decoded(str(out / "videos" / "a" / "video.mp4")) == 17
    assert counts() == (1, 1, [25])
    assert "is from an earlier request and is not scored" in (result / "rows.jsonl").read_text()
    (found, _) = validate(make_plan(suite, [str(out)]))
    assert [(one.item, one.message[:13]) for one in found if one.level == "error"] == [("a", "not generated")]
    assert CliRunner().invoke(app, [*words, "--seconds", "2"]).exit_code == 0
    assert counts() == (2, 0, [17])


def test_a_run_that_ends_before_a_video_leaves_no_earlier_one_to_be_scored(
    tmp_path: Path, tiny: dict[str, Any]
) -> None:
    system = load_system("mvideo-mini", {"mvideo": tiny})
    items = [EvalItem(id=name, prompt="a box", seed=1, seconds=2) for name in "ab"]

    def stop(done: int, total: int, text: str) -> None:
        raise KeyboardInterrupt

    out = tmp_path / "out"
    make_videos(system, items, out)
    for seed, left in ((1, []), (2, ["b"])):  # the same request again, then another one
        with pytest.raises(KeyboardInterrupt):
            make_videos(system, [item.model_copy(update={"seed": seed}) for item in items], out, progress=stop)
        assert list(failures(absolute_items(read_manifest(out)))) == left
    absent = {"mvideo": tiny | {"adapter": str(tmp_path / "none")}}
    with pytest.raises(ConfigError):
        make_videos(load_system("mvideo-mini", absent), items, out)
    assert list(failures(absolute_items(read_manifest(out)))) == ["a", "b"]


def test_without_a_length_the_masks_are_cut_to_whole_clips(tmp_path: Path, tiny: dict[str, Any]) -> None:
    """20 frames fill two clips of 9 that share one: 17 frames, and the manifest's masks have as many."""
    system = load_system("mvideo-mini", {"mvideo": tiny})
    items = [EvalItem(id="a", prompt="a box", masks=masks_of(tmp_path, "a", 20))]
    (item,) = absolute_items(read_manifest(make_videos(system, items, tmp_path / "out")))
    assert load_masks(item.masks).sequence.n_frames == decoded(item.video) == 17


@pytest.mark.parametrize("name", ["a cat", "é" * 90, "0007-1", "ünï"])
def test_ids_that_can_be_file_names_are(name: str) -> None:
    assert file_name_of(name) == name


@pytest.mark.parametrize("name", ["a/b", "../x", "..", ".", "x" * 300, "ä" * 150, "a\0b"])
def test_other_ids_become_names_of_their_own(name: str, tmp_path: Path) -> None:
    found = file_name_of(name)
    assert found != file_name_of(name + "x")
    (tmp_path / f"{found}.from.json").touch()
    assert len(list(tmp_path.iterdir())) == 1


def test_a_prompt_of_300_bytes_as_an_id_is_made(tmp_path: Path) -> None:
    system = SystemOptions.parse({"name": "dir", "folder": {"folder": str(tmp_path)}})
    long = "a very long prompt " * 16
    (tmp_path / "a.mp4").touch()
    (item, _) = read_manifest(
        make_videos(system, [EvalItem(id=long, prompt=long), EvalItem(id="a")], tmp_path / "out")
    ).items
    plan = make_plan(SuiteOptions.parse({"metrics": [{"metric": "temporal_flickering"}]}), [str(tmp_path / "out")])
    assert run_suite(plan, tmp_path / "result").groups[0].metrics["temporal_flickering"].n_missing == 1
    assert item.id == long
