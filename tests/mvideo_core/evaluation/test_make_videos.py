"""Systems under test with tiny random weights: the real pipelines of diffusers, constructed and called."""

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from mvideo_core.base.errors import ConfigError, MediaError, ModelError
from mvideo_core.cli.main import app
from mvideo_core.cogvideox.base import BaseOptions, random_base, save_base
from mvideo_core.cogvideox.mini_tokenizer import mini_tokenizer
from mvideo_core.editing.mask_files import save_masks
from mvideo_core.evaluation.compare import compare_all
from mvideo_core.evaluation.figures import figure_of
from mvideo_core.evaluation.make_videos import items_of_prompts, make_videos, read_prompts, with_lengthened
from mvideo_core.evaluation.makers import DiffusersMaker, MVideoMaker, control_frames
from mvideo_core.evaluation.manifest import EvalItem, absolute_items, read_manifest
from mvideo_core.evaluation.plan import make_plan
from mvideo_core.evaluation.result import read_result
from mvideo_core.evaluation.run import run_suite
from mvideo_core.evaluation.suite import SuiteOptions
from mvideo_core.evaluation.systems import SYSTEMS, DiffusersSystem, MVideoSystem, SystemOptions, load_system
from mvideo_core.generation.loading import load_pipeline
from mvideo_core.masks import encode
from mvideo_core.media.decode import read_clip

SIZE = {"dtype": "fp32", "height_px": 32, "width_px": 64, "frames": 9, "steps": 1}


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def masks(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Two mask files of 9 frames: a square on the left, a square on the right."""
    folder = tmp_path_factory.mktemp("masks")
    paths = []
    for name, x in (("left", 4), ("right", 40)):
        area = np.zeros((9, 1, 32, 64), np.bool_)
        area[:, 0, 8:24, x : x + 16] = True
        paths.append(str(save_masks(folder / f"{name}.masks", encode(area), 8, ["box"])))
    return paths


def test_cogvideox_through_diffusers_is_made_once_and_scored_as_asked(tmp_path: Path) -> None:
    save_base(random_base("tiny-sincos"), tmp_path / "weights")
    system = SystemOptions.parse(
        {"name": "tiny", "diffusers": {**SIZE, "pipeline": "CogVideoXPipeline", "weights": str(tmp_path / "weights")}}
    )
    items = items_of_prompts(["a red ball", "a blue box"], videos_per_prompt=2, seed=5)
    told: list[str] = []

    def tell(done: int, total: int, text: str) -> None:
        told.append(text)

    def stop(done: int, total: int, text: str) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        make_videos(system, items, tmp_path / "out", progress=stop)
    manifest = make_videos(system, items, tmp_path / "out", progress=tell)
    assert told == ["0000-0: already there", "0000-1: generated", "0001-0: generated", "0001-1: generated"]
    found = read_manifest(manifest)
    assert [(item.id, item.seed, item.seconds, item.system) for item in found.items[:2]] == [
        ("0000-0", 5, 1.0, "tiny"), ("0000-1", 6, 1.0, "tiny"),
    ]  # fmt: skip
    clips = [read_clip(found.path(item.video)) for item in found.items]
    assert all(clip.shape == (9, 32, 64, 3) for clip in clips)
    assert not np.array_equal(clips[0], clips[1])  # another seed
    longer = tmp_path / "longer.json"
    longer.write_text(json.dumps({"a red ball": "a ball, red and round", "a blue box": "a box"}))
    make_videos(system, with_lengthened(items, longer), tmp_path / "out", progress=tell)
    assert told[4:] == [f"{item.id}: generated" for item in items]
    assert read_manifest(manifest).items[0].prompt == "a red ball"
    assert read_manifest(manifest).items[0].prompt_generation == "a ball, red and round"


@pytest.mark.parametrize(
    "execution", [{"attention": "math"}, pytest.param({"compile": True, "tf32": False}, marks=pytest.mark.slow)]
)
def test_kernels_are_those_asked_for_in_both_kinds_of_system(tmp_path: Path, execution: dict[str, Any]) -> None:
    """Compiled and under another attention kernel the frames are the same but for rounding."""
    save_base(random_base("tiny-sincos"), tmp_path / "weights")
    weights = str(tmp_path / "weights")
    kinds: dict[str, dict[str, Any]] = {
        "diffusers": {**SIZE, "pipeline": "CogVideoXPipeline", "weights": weights},
        "mvideo": {"base": {"weights": weights, "dtype": "fp32"}},
    }
    exact = {"steps": 1, "crf": 0}  # x264 would turn one gray level of a pixel into five of its block
    item = EvalItem(id="a", prompt="a red ball", seed=5, seconds=1.0)
    for kind, values in kinds.items():
        frames = []
        for name, chosen in (("plain", {}), ("other", {"execution": execution})):
            given = {**values, **chosen} if kind == "diffusers" else values | {"options": exact | chosen}
            maker: Any = MAKERS[kind](given)
            maker.make(item, tmp_path / f"{kind}-{name}")
            frames.append(read_clip(tmp_path / f"{kind}-{name}" / "video.mp4").astype(int))
        assert np.abs(frames[0] - frames[1]).max() <= 2, kind


@pytest.mark.parametrize("kind", ["diffusers", "mvideo"])
def test_both_kinds_of_system_log_their_steps_and_no_bars_of_libraries(
    kind: str, tmp_path: Path, caplog: pytest.LogCaptureFixture, capfd: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    save_base(random_base("tiny-sincos"), tmp_path / "weights")
    weights = str(tmp_path / "weights")
    monkeypatch.setattr("mvideo_core.generation.step_log.EVERY_S", 0)
    caplog.set_level("INFO")
    baseline = {**SIZE, "pipeline": "CogVideoXPipeline", "weights": weights, "steps": 2}
    ours = {"base": {"weights": weights, "dtype": "fp32"}, "options": {"steps": 2}}
    maker: Any = MAKERS[kind](baseline if kind == "diffusers" else ours)
    maker.make(EvalItem(id="a", prompt="a red ball", seed=5, seconds=1.0), tmp_path / "out")
    told = [line for line in caplog.messages if re.search(r"step \d of 2, [\d.]+ s per step, about \d+ s left$", line)]
    assert [re.findall(r"step \d", line) for line in told] == [["step 1"], ["step 2"]]
    assert "%|" not in capfd.readouterr().err


def _mvideo(values: dict[str, Any]) -> MVideoMaker:
    system = MVideoSystem.parse(values)
    return MVideoMaker(system, load_pipeline(system.base, options=system.options))


MAKERS = {"diffusers": lambda values: DiffusersMaker.load(DiffusersSystem.parse(values)), "mvideo": _mvideo}


def test_fun_control_follows_the_masks(masks: list[str], tmp_path: Path) -> None:
    from diffusers import CogVideoXFunControlPipeline

    from mvideo_core.cogvideox.fun_control import to_fun_control

    base = random_base("tiny-sincos")
    assert base.transformer is not None
    torch.nn.init.normal_(base.transformer.mask_proj.weight, std=0.5, generator=torch.manual_seed(1))
    pipeline = CogVideoXFunControlPipeline(
        base.tokenizer, base.text_encoder, base.vae, to_fun_control(base.transformer), base.scheduler
    )
    pipeline.set_progress_bar_config(disable=True)
    system = DiffusersSystem.parse(
        {**SIZE, "pipeline": "CogVideoXFunControlPipeline", "weights": "-", "control": "filled"}
    )
    clips = both(DiffusersMaker(system, pipeline, "w"), masks, tmp_path)
    assert not np.array_equal(clips[0], clips[1])
    with pytest.raises(ConfigError, match="the item has none"):
        DiffusersMaker(system, pipeline, "w").make(EvalItem(id="x", prompt="a box"), tmp_path / "x")


def test_wan_vace_follows_the_masks(masks: list[str], tmp_path: Path) -> None:
    from diffusers import AutoencoderKLWan, FlowMatchEulerDiscreteScheduler, WanVACEPipeline, WanVACETransformer3DModel
    from transformers import UMT5Config, UMT5EncoderModel

    torch.manual_seed(0)
    tokenizer = mini_tokenizer(16)
    text = UMT5Config(
        vocab_size=len(tokenizer), d_model=32, d_kv=8, d_ff=32, num_layers=1, num_heads=2, is_encoder_decoder=False
    )
    transformer = WanVACETransformer3DModel(
        num_attention_heads=2, attention_head_dim=12, text_dim=32, freq_dim=32, ffn_dim=32, num_layers=2,
        rope_max_seq_len=64, vace_layers=[0, 1], vace_in_channels=96,
    )  # fmt: skip
    for block in transformer.vace_blocks:
        torch.nn.init.normal_(block.proj_out.weight, std=0.5)
    pipeline = WanVACEPipeline(
        tokenizer=tokenizer,
        text_encoder=UMT5EncoderModel(text).eval(),
        vae=AutoencoderKLWan(base_dim=4, num_res_blocks=1),
        scheduler=FlowMatchEulerDiscreteScheduler(shift=3.0),
        transformer=transformer.eval(),
    )
    pipeline.set_progress_bar_config(disable=True)
    system = DiffusersSystem.parse({**SIZE, "pipeline": "WanVACEPipeline", "weights": "-", "control": "outline"})
    clips = both(DiffusersMaker(system, pipeline, "w"), masks, tmp_path)
    assert not np.array_equal(clips[0], clips[1])


def both(maker: DiffusersMaker, masks: list[str], out: Path) -> list[np.ndarray]:
    """Videos of one prompt and seed under two masks; the second call of each makes nothing."""
    clips = []
    for name, path in zip("ab", masks, strict=True):
        item = EvalItem(id=name, prompt="a box", seed=1, masks=path)
        assert maker.make(item, out / name)
        assert not maker.make(item, out / name)
        clips.append(read_clip(out / name / "video.mp4"))
        assert clips[-1].shape == (9, 32, 64, 3)
    return clips


def test_mvideo_goes_through_the_projects_own_code(masks: list[str], tmp_path: Path) -> None:
    base = BaseOptions(weights="random:tiny-sincos", dtype="fp32")
    system = MVideoSystem.parse({"base": base.model_dump(), "options": {"steps": 1}})
    loaded = load_pipeline(base)
    torch.nn.init.normal_(loaded.pipeline.transformer.mask_proj.weight, std=0.5, generator=torch.manual_seed(1))
    loaded.pipeline.set_progress_bar_config(disable=True)
    maker = MVideoMaker(system, loaded)
    item = EvalItem(id="a", prompt="a box", seed=3, seconds=2.0, masks=masks[0])
    with pytest.raises(MediaError, match=r"left.masks: 9 frames at 8 fps cover 1.00 s, but the video is 2 s long"):
        maker.make(item, tmp_path / "a")
    item = item.model_copy(update={"seconds": 1.0})
    assert maker.make(item, tmp_path / "a")
    assert not maker.make(item, tmp_path / "a")
    assert maker.make(item.model_copy(update={"masks": masks[1]}), tmp_path / "a")
    with pytest.raises(ModelError, match="adapter"):
        MVideoMaker.load(system)


def test_a_folder_of_videos_is_a_system(tmp_path: Path) -> None:
    for name in ("a cat-0.mp4", "a cat-1.mp4", "dogs.mp4"):
        (tmp_path / name).touch()
    system = load_system("opensora-v1.2", {"folder": {"folder": str(tmp_path)}})
    items = items_of_prompts(["a cat", "dogs", "gone"], 2, 0)
    found = read_manifest(make_videos(system, items, tmp_path / "out"))
    names = [Path(item.video).name for item in found.items]
    assert names == ["a cat-0.mp4", "a cat-1.mp4", "dogs.mp4", "dogs.mp4", "0002-0.mp4", "0002-1.mp4"]
    assert not Path(found.items[4].video).exists()  # stays in the count as missing
    assert {item.seconds for item in found.items} == {4.0}
    with pytest.raises(ConfigError, match=r"folder\.folder=PATH"):
        make_videos(load_system("opensora-v1.2"), items, tmp_path / "other")


def test_a_folder_whose_names_fit_no_item_is_refused_and_what_fits_nothing_is_told(tmp_path: Path) -> None:
    """Names that fit nothing gave a manifest in which every video is missing, and no word."""
    videos, out = tmp_path / "videos", tmp_path / "out"
    videos.mkdir()
    for name in ("A CAT.mp4", "dogs.gif"):
        (videos / name).touch()
    (tmp_path / "prompts.txt").write_text("a cat\ndogs\n")
    words = ["eval", "generate", "--system", "folder", "--set", f"folder.folder={videos}", "--out", str(out),
             "--prompts", str(tmp_path / "prompts.txt")]  # fmt: skip
    with pytest.raises(ConfigError, match=r"no video for any of the 2 items, e\.g\. '0000-0'; expected names: \{id\}"):
        CliRunner().invoke(app, words, catch_exceptions=False)
    assert not out.exists()
    (videos / "a cat.mp4").touch()
    told = CliRunner().invoke(app, words, catch_exceptions=False).output
    assert "videos: 1 of 2 items have no video, such as '0001-0': they count as missing" in told
    assert "videos: 2 of 3 videos belong to no item, such as A CAT.mp4: ignored" in told


@pytest.mark.parametrize("path", sorted(SYSTEMS.glob("*.yaml")), ids=lambda path: path.stem)
def test_shipped_systems_are_named_as_their_files(path: Path) -> None:
    unnamed = path.stem == "folder"  # called as the folder is that --set gives it
    assert load_system(path.stem).name == ("" if unnamed else path.stem)


@pytest.mark.parametrize("name", ["cogvideox-5b", "wan-vace-1.3b", "fun-control"])
def test_absent_weights_are_named_with_source_and_place(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MVIDEO_WEIGHTS", str(tmp_path))
    with pytest.raises(
        ModelError, match=rf"{tmp_path}/.*/model_index\.json is missing.*fetch .*https://.*repository to {tmp_path}"
    ):
        make_videos(load_system(name), items_of_prompts(["a"], 1, 0), tmp_path / "out")


def test_outlines_are_two_pixels_wide() -> None:
    from mvideo_core.masks.io.clip import MaskClip

    area = np.zeros((1, 2, 16, 24), np.bool_)
    area[0, 0, 4:12, 4:12] = True
    area[0, 1, 4:12, 10:20] = True  # overlaps: the union is drawn
    clip = MaskClip(encode(area), 8.0, ("a", "b"))
    filled = np.asarray(control_frames(clip, "filled")[0])[..., 0]
    outline = np.asarray(control_frames(clip, "outline")[0])[..., 0]
    assert (filled == 255).sum() == 8 * 16
    assert (outline[8] == 255).nonzero()[0].tolist() == [4, 5, 18, 19]
    assert not (outline & ~filled).any()


def test_prompts_come_from_text_or_the_suites_list(tmp_path: Path) -> None:
    (tmp_path / "p.txt").write_text("one\n\n two \n")
    (tmp_path / "p.json").write_text(json.dumps({"prompts": [{"prompt": "one", "index": 4}]}))
    assert read_prompts(tmp_path / "p.txt") == ["one", "two"]
    assert read_prompts(tmp_path / "p.json") == ["one"]
    (tmp_path / "p.json").write_text("[1]")
    with pytest.raises(ConfigError, match="one prompt per line"):
        read_prompts(tmp_path / "p.json")


def test_systems_of_other_sizes_rates_and_lengths_share_the_samples(tmp_path: Path) -> None:
    """One manifest, two grids: the masks differ and the samples are the same, so means and pairs are over all."""
    items = []
    for name, x in (("left", 12), ("right", 100)):
        area = np.zeros((25, 1, 128, 192), np.bool_)
        area[:, 0, 32:96, x : x + 64] = True
        path = save_masks(tmp_path / f"{name}.masks", encode(area), 8, ["box"])
        items.append(EvalItem(id=name, prompt=f"a box, {name}", masks=str(path), test_set="boxes"))
    mini = load_system("mvideo-mini", {"mvideo": {"adapter": "mvideo-mini", "options": {"steps": 1, "seconds": 2}}})
    save_base(random_base("tiny-sincos"), tmp_path / "weights")
    values = {**SIZE, "pipeline": "CogVideoXPipeline", "weights": str(tmp_path / "weights"), "height_px": 64,
              "width_px": 64, "fps": 4}  # fmt: skip
    tiny = SystemOptions.parse({"name": "tiny", "diffusers": values})
    made = [make_videos(system, items, tmp_path / system.name) for system in (mini, tiny)]
    both = [absolute_items(read_manifest(path)) for path in made]
    for one, other in zip(*both, strict=True):
        assert Path(one.masks).read_bytes() != Path(other.masks).read_bytes()
    suite = SuiteOptions.parse({"metrics": [{"metric": "mask_miou"}, {"metric": "temporal_flickering"}]})
    result = run_suite(make_plan(suite, [str(path) for path in made]), tmp_path / "result")
    for group in result.groups:
        figure = figure_of(result, group, "mini_mask_miou")
        assert (figure.n, figure.marked, group.n_asked["mini_mask_miou"]) == (2, False, 2)
    found = compare_all(read_result(tmp_path / "result"))
    assert {one.metric: one.n_pairs for one in found} == {"mini_mask_miou": 2, "temporal_flickering": 2}
    again = make_videos(tiny, both[0], tmp_path / "again")  # from the manifest of the other system
    assert [item.sample_masks_sha256 for item in read_manifest(again).items] == [
        item.sample_masks_sha256 for item in both[0]
    ]
