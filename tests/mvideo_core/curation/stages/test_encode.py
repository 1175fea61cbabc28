import itertools
import json
import pickle
import shutil
import tarfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch

from mvideo_core.base.errors import ConfigError, StoreError
from mvideo_core.base.records import LatentShardRow, ShardRow
from mvideo_core.cogvideox.base import BaseOptions, random_base, save_base
from mvideo_core.curation.pipeline import workspace_rows
from mvideo_core.curation.stages import encode as stage
from mvideo_core.curation.stages.encode import encode_dataset
from mvideo_core.curation.stages.publish_latents import current_latents
from mvideo_core.engine.garbage import collect_garbage
from mvideo_core.shards.dataset import MaskVideoDataset
from mvideo_core.store.workspace import Workspace
from mvideo_core.training.latents import group
from mvideo_core.training.latents.cache import LatentDataset
from mvideo_core.training.latents.encode import WindowPixels, encode_windows
from mvideo_core.training.latents.identity import base_identity
from mvideo_core.training.latents.options import LatentOptions
from mvideo_core.training.latents.source import PlannedClip, ShardReader
from mvideo_core.training.latents.text import embed_texts
from mvideo_core.training.latents.windows import windows_of
from tests.mvideo_core.training.latents.drawn import dataset

BASE = BaseOptions(weights="random:tiny-sincos", dtype="fp32")
OPTIONS = LatentOptions(base=BASE, batch_size=2)
LENGTHS = {"a": 17, "b": 25, "c": 9, "d": 33, "e": 8, "f": 17, "g": 16}
"""Frames; with clips of 9 frames: 1, 2, 1 (no history), 3, none, 1, 1 (no history) windows."""


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def encoded(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    folder = tmp_path_factory.mktemp("encode")
    workspace = Workspace(str(folder / "ws"))
    dataset(workspace, folder, LENGTHS)
    encode_dataset(workspace, OPTIONS)
    return workspace


def latents(workspace: Workspace, **how) -> LatentDataset:
    return LatentDataset(current_latents(workspace), **how)


def files_of(workspace: Workspace) -> dict[str, str]:
    root = workspace.pointer("latents")["path"]
    return {path: workspace.folder.sha256(path) for path in workspace.folder.walk(root)}


def shards(workspace: Workspace) -> list[ShardRow]:
    return list(workspace.current_rows("shard", ShardRow))


def test_tars_have_the_names_and_keys_of_the_datasets_tars_in_the_same_order(encoded: Workspace) -> None:
    root, data = current_latents(encoded), encoded.folder.at(encoded.pointer("dataset")["path"])
    for row in shards(encoded):
        path = f"{row.split}/{row.key}.tar"
        keys = []
        for folder in (data, root):
            with tarfile.open(f"{folder}/{path}") as tar:
                keys.append(list(dict.fromkeys(name.split(".")[0] for name in tar.getnames())))
        assert keys[1] == [key for key in keys[0] if key != "e"]  # 8 frames are too few
    found = latents(encoded)
    assert sorted(set(found.keys)) == sorted(set(MaskVideoDataset(data).keys) - {"e"})


def test_windows_of_each_clip_and_what_was_dropped(encoded: Workspace) -> None:
    found = latents(encoded)
    assert sorted(found.ids) == [
        "a-w00008", "b-w00008", "b-w00016", "c-w00000", "d-w00008", "d-w00016", "d-w00024", "f-w00008", "g-w00000",
    ]  # fmt: skip
    assert sorted(latents(encoded, history="without").ids) == ["c-w00000", "g-w00000"]
    assert len(latents(encoded, history="with")) == 7
    (short,) = [row for row in encoded.current_rows("encode", LatentShardRow) if row.status == "filtered"]
    assert (short.key, short.reason, short.value, short.threshold) == ("e", "clip_too_short", 8, 9)
    assert found.info.filtered == {"clip_too_short": 1}


def test_a_window_read_back_is_what_its_pixels_encode_to(encoded: Workspace) -> None:
    found, base = latents(encoded), random_base("tiny-sincos")
    sample = found.get(found.ids.index("d-w00016"))
    data = MaskVideoDataset(encoded.folder.at(encoded.pointer("dataset")["path"]))
    clip = data.sample(list(data.keys).index("d"))
    frames, masks = clip.frames(), clip.masks().pixels()[:, 0]  # the second object was not kept
    pixels = WindowPixels("d", frames[16:25], masks[16:25], frames[8:17])
    (wanted,) = encode_windows(base.vae, [pixels], base.format)
    tensors = (sample.target_FCHW, sample.mask_FCHW, sample.appearance_1CHW, sample.motion_FCHW)
    for name, tensor in zip(("target", "mask", "appearance", "motion"), tensors, strict=True):
        torch.testing.assert_close(tensor, wanted[name], rtol=2e-2, atol=2e-3)
    assert sample.target_logvar_FCHW is None
    assert (sample.key, sample.target_start_frame, sample.caption) == ("d", 16, "A dog moves, take 3.")
    text = embed_texts(base.text_encoder, base.tokenizer, ["A dog moves, take 3."], 16)[0]
    torch.testing.assert_close(sample.text_LC, text, rtol=2e-2, atol=2e-3)
    assert sample.text_LC.shape == (16, 32)
    assert torch.equal(found.empty_text_LC(), embed_texts(base.text_encoder, base.tokenizer, [""], 16)[0])


def test_training_reads_what_generation_encodes(encoded: Workspace) -> None:
    from mvideo_core.cogvideox.pipeline import MVideoPipeline

    found, base = latents(encoded), random_base("tiny-sincos")
    sample = found.get(found.ids.index("b-w00016"))
    pipeline = MVideoPipeline(
        base.tokenizer, base.text_encoder, base.vae, base.transformer, base.scheduler, base.format.model_dump()
    )
    data = MaskVideoDataset(encoded.folder.at(encoded.pointer("dataset")["path"]))
    clip = data.sample(list(data.keys).index("b"))
    frames, form, scaling = clip.frames(), base.format, found.info.scaling_factor
    motion = pipeline.encode_video(frames[8:17], form.motion_height_px, form.motion_width_px)
    for cached, wanted in (
        (sample.target_FCHW, pipeline.encode_video(frames[16:25])),
        (sample.appearance_1CHW, pipeline.encode_video(frames[16:17])),
        (sample.motion_FCHW, motion),
        (sample.mask_FCHW, pipeline.encode_mask(clip.masks().pixels()[16:25, 0])),
    ):
        torch.testing.assert_close(cached.float() * scaling, wanted[0], rtol=2e-2, atol=2e-3)
    embedded, _ = pipeline.encode_prompt(sample.caption, do_classifier_free_guidance=False, max_sequence_length=16)
    torch.testing.assert_close(sample.text_LC.float(), embedded[0].float(), rtol=2e-2, atol=2e-3)


def test_the_motion_condition_of_a_window_ends_where_its_target_begins(encoded: Workspace) -> None:
    (row,) = [row for row in shards(encoded) if "d" in {sample.key for sample in row.samples}]
    (sample,) = [sample for sample in row.samples if sample.key == "d"]
    base = random_base("tiny-sincos", parts=())
    with encoded.folder.open(row.tar.path) as stream:
        reader = ShardReader(stream, row.tar.path)
        found = list(reader.pixels(PlannedClip(sample, windows_of(33, 9)), base.format, 0.02))
    assert [window.target_start for window, _ in found] == [8, 16, 24]
    for before, after in itertools.pairwise(found):
        assert (before[1].target_THWC == after[1].motion_THWC).all()
        assert (after[1].motion_THWC[-1] == after[1].target_THWC[0]).all()
    columns = [masks.any(axis=(0, 1)).argmax() for masks in (one.masks_THW[:1] for _, one in found)]
    assert columns == [12, 20, 28]  # the square starts at 4 and moves a pixel a frame; the dropped one is not there


def test_clips_of_a_tar_are_read_forward_only(encoded: Workspace) -> None:
    row = next(row for row in shards(encoded) if len(row.samples) > 1)
    first, second = (PlannedClip(sample, []) for sample in row.samples[:2])
    form = random_base("tiny-sincos", parts=()).format
    with encoded.folder.open(row.tar.path) as stream:
        reader = ShardReader(stream, row.tar.path)
        assert list(reader.pixels(second, form, 0.02)) == []
        with pytest.raises(StoreError, match=rf"{row.tar.path}: no sample {first.sample.key} after those already read"):
            list(reader.pixels(first, form, 0.02))


def test_killed_inside_a_shard_the_next_run_gives_the_same_bytes(encoded: Workspace, tmp_path, monkeypatch) -> None:
    workspace = Workspace(str(tmp_path / "ws"))
    dataset(workspace, tmp_path, LENGTHS)
    calls = []

    def dies_at_the_second_group(*arguments):
        calls.append(len(arguments[1]))
        if len(calls) == 3:
            raise KeyboardInterrupt
        return encode_windows(*arguments)

    monkeypatch.setattr(group, "encode_windows", dies_at_the_second_group)
    with pytest.raises(KeyboardInterrupt):
        encode_dataset(workspace, OPTIONS)
    growing = list(workspace.folder.walk("tmp/encode-growing"))
    assert len(growing) == 1
    with open(workspace.folder.at(growing[0]), "ab") as stream:
        stream.write(b"half a group")  # what a kill -9 in the middle of a write leaves
    assert workspace.pointer("latents") is None
    monkeypatch.setattr(group, "encode_windows", encode_windows)
    encode_dataset(workspace, OPTIONS)
    assert files_of(workspace) == files_of(encoded)
    assert list(workspace.folder.walk("tmp")) == []
    assert list(workspace.folder.walk("journal")) == []


def test_a_second_run_does_nothing_and_a_lost_tar_comes_back(encoded: Workspace) -> None:
    before = files_of(encoded)
    summary = encode_dataset(encoded, OPTIONS)
    assert summary.parts_reused == summary.parts == 3
    root = encoded.pointer("latents")["path"]
    lost = next(path for path in before if path.endswith("train-000001.tar"))
    encoded.folder.remove(lost)
    encoded.folder.remove(f"{root}/empty.safetensors")
    with pytest.raises(StoreError, match=r"train-000001.tar is missing.*2 of 5 files"):
        latents(encoded)
    assert encode_dataset(encoded, OPTIONS).parts_reused == 2
    assert files_of(encoded) == before


def test_another_option_format_or_model_is_another_folder(encoded: Workspace, tmp_path) -> None:
    old = encoded.pointer("latents")["path"]
    settings = {stage.settings_digest("encode", 1, options, stage.STAGE.externals(options)) for options in (
        OPTIONS, OPTIONS.model_copy(update={"store_logvar": True}), OPTIONS.model_copy(update={"stride_frames": 4}),
        LatentOptions(base=BaseOptions(weights="random:tiny-rope", dtype="fp32"), batch_size=2),
        OPTIONS.model_copy(update={"format": random_base(parts=()).format.model_copy(update={"clip_frames": 17})}),
    )}  # fmt: skip
    assert len({stage.latents_folder(one, "datasets/x") for one in settings}) == 5
    one = next(iter(settings))
    assert stage.latents_folder(one, "datasets/x") != stage.latents_folder(one, "datasets/y")
    try:
        encode_dataset(encoded, OPTIONS.model_copy(update={"store_logvar": True, "max_windows": 1}))
        found = latents(encoded)
        assert encoded.pointer("latents")["path"] != old
        assert len(found) == 6
        assert found.get(0).target_logvar_FCHW.shape == found.get(0).target_FCHW.shape
    finally:
        encode_dataset(encoded, OPTIONS)
    assert encoded.pointer("latents")["path"] == old


def test_latents_of_another_model_or_format_are_refused(encoded: Workspace) -> None:
    identity = base_identity(BASE)
    assert len(latents(encoded, expect=identity)) == 9
    other = base_identity(BaseOptions(weights="random:mini-rope"))
    with pytest.raises(ConfigError, match=r"vae \w{12}, wanted \w{12}; text_encoder .*text_tokens 16, wanted 80; "):
        latents(encoded, expect=other)
    longer = identity.format.model_copy(update={"clip_frames": 17})
    with pytest.raises(ConfigError, match=r"settings than the model to be trained: format.clip_frames 9, wanted 17\. "):
        latents(encoded, expect=base_identity(BASE, longer))


def test_new_vae_weights_under_the_same_name_are_another_model(tmp_path) -> None:
    save_base(random_base(), tmp_path / "base")
    options = BaseOptions(weights=str(tmp_path / "base"))
    before = base_identity(options)
    config = tmp_path / "base" / "transformer" / "config.json"
    config.write_text(config.read_text() + "\n")
    assert base_identity(options) == before  # the transformer does not matter
    weights = next((tmp_path / "base" / "vae").glob("*.safetensors"))
    weights.write_bytes(weights.read_bytes()[:-1] + b"\1")
    assert base_identity(options).vae != before.vae
    assert base_identity(options).text_encoder == before.text_encoder


def test_threads_and_unpickled_copies_read_the_same(encoded: Workspace, monkeypatch) -> None:
    from mvideo_core.shards import files

    monkeypatch.setattr(files, "MAX_OPEN", 1)  # every read of another tar closes the one before
    found = latents(encoded)
    wanted = [found.get(index).target_FCHW for index in range(len(found))]
    copy = pickle.loads(pickle.dumps(found))
    order = [index for _ in range(30) for index in range(len(found))]
    for reader in (found, copy):
        with ThreadPoolExecutor(4) as pool:
            samples = list(pool.map(reader.get, order))
        assert all(torch.equal(one.target_FCHW, wanted[at]) for at, one in zip(order, samples, strict=True))


def test_damage_is_told_with_the_files_name(encoded: Workspace, tmp_path) -> None:
    import shutil

    root = tmp_path / "copy"
    shutil.copytree(current_latents(encoded), root)
    found = LatentDataset(root)
    assert found.find_damage() == []
    tar = root / "train" / "train-000000.tar"
    content = bytearray(tar.read_bytes())
    place = found._column("offset_bytes", 0)
    content[place + found._column("size_bytes", 0) - 1] ^= 1
    content[place + 8] = 0  # the header of safetensors
    tar.write_bytes(bytes(content))
    assert found.find_damage() == [found.ids[0]]
    with pytest.raises(StoreError, match=rf"train-000000.tar: {found.ids[0]}: unreadable tensors"):
        LatentDataset(root).get(0)
    (root / "index.parquet").write_bytes((root / "index.parquet").read_bytes()[::-1])
    with pytest.raises(StoreError, match=r"index\.parquet: not the one"):
        LatentDataset(root)
    info = json.loads((root / "latents.json").read_text())
    (root / "latents.json").write_text(json.dumps(info | {"schema_version": 0}))
    with pytest.raises(StoreError, match="schema 0"):
        LatentDataset(root)
    with pytest.raises(ConfigError, match="no split 'test'"):
        latents(encoded, split="test")


def test_a_dataset_of_another_rate_or_shape_is_refused(encoded: Workspace) -> None:
    form = random_base(parts=()).format
    faster = OPTIONS.model_copy(update={"format": form.model_copy(update={"fps": 16.0})})
    with pytest.raises(ConfigError, match=r"the clip has 8 frames per second, the format 16; set cut.fps"):
        encode_dataset(encoded, faster)
    square = OPTIONS.model_copy(update={"format": form.model_copy(update={"width_px": 32})})
    with pytest.raises(ConfigError, match=r"64x32 would be stretched by 100.0% to 32x32"):
        encode_dataset(encoded, square)


def test_without_a_dataset_the_command_to_run_is_named(tmp_path) -> None:
    with pytest.raises(ConfigError, match="mvideo stage shard"):
        encode_dataset(Workspace(str(tmp_path / "ws")), OPTIONS)


def test_gc_keeps_the_current_latents_and_drops_those_of_other_options(encoded: Workspace, tmp_path: Path) -> None:
    copy = tmp_path / "ws"
    shutil.copytree(encoded.folder.root, copy)
    workspace = Workspace(str(copy))
    before = workspace.pointer("latents")["path"]
    encode_dataset(workspace, OPTIONS.model_copy(update={"max_windows": 1}))
    after = workspace.pointer("latents")["path"]
    assert after != before
    assert collect_garbage(workspace, workspace_rows(workspace), dry_run=False).files > 0
    assert not list(workspace.folder.walk(before))
    assert latents(workspace).find_damage() == []
    assert encode_dataset(workspace, OPTIONS.model_copy(update={"max_windows": 1})).parts_reused > 0
