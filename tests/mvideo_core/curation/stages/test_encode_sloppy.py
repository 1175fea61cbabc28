"""The encode stage with sloppy masks and coverage: bytes, batches, resume; then a training on them by command line."""

from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from typer.testing import CliRunner

from mvideo_core.cli.main import app
from mvideo_core.cogvideox.base import BaseOptions, random_base
from mvideo_core.curation.stages.encode import encode_dataset
from mvideo_core.curation.stages.publish_latents import current_latents
from mvideo_core.masks.io.clip import take_frames
from mvideo_core.shards.dataset import MaskVideoDataset
from mvideo_core.store.workspace import Workspace
from mvideo_core.training.latents import group
from mvideo_core.training.latents.cache import LatentDataset
from mvideo_core.training.latents.encode import encode_windows
from mvideo_core.training.latents.options import LatentOptions
from mvideo_core.training.latents.sloppy import SloppyOptions, sloppy_variants
from tests.mvideo_core.training.conftest import TINY
from tests.mvideo_core.training.latents.drawn import dataset

BASE = BaseOptions(weights="random:tiny-sincos", dtype="fp32")
PLAIN = LatentOptions(base=BASE, batch_size=2)
SLOPPY = SloppyOptions(variants=2)
RICH = PLAIN.model_copy(update={"sloppy": SLOPPY, "store_coverage": True})
LENGTHS = {"a": 17, "b": 25, "c": 9, "d": 17}


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    folder = tmp_path_factory.mktemp("encode")
    workspace = Workspace(str(folder / "ws"))
    dataset(workspace, folder, LENGTHS)
    return workspace


def encoded(workspace: Workspace, options: LatentOptions) -> LatentDataset:
    encode_dataset(workspace, options)
    return LatentDataset(current_latents(workspace))


def tars(found: LatentDataset) -> dict[str, str]:
    return {one.path: one.sha256 for one in found.info.shards}


def test_the_window_has_its_own_members_and_the_sloppy_ones_beside_them(drawn: Workspace) -> None:
    plain, rich = encoded(drawn, PLAIN), encoded(drawn, RICH)
    assert plain.files.root != rich.files.root
    assert (plain.info.n_sloppy, plain.info.has_coverage) == (0, False)
    assert (rich.info.n_sloppy, rich.info.has_coverage) == (2, True)
    assert list(plain.ids) == list(rich.ids)
    pipeline_base = random_base("tiny-sincos")
    data = MaskVideoDataset(drawn.folder.at(drawn.pointer("dataset")["path"]))
    for index, name in enumerate(rich.ids):
        one, other = plain.get(index), rich.get(index)
        assert torch.equal(one.target_FCHW, other.target_FCHW)
        assert torch.equal(one.mask_FCHW, other.mask_FCHW)
        assert (one.sloppy_KFCHW, one.coverage_FHW) == ((), None)
        clip = data.sample(list(data.keys).index(other.key))
        start = other.target_start_frame
        own = take_frames(clip.masks().select([0]), range(start, start + 9))  # the second object was not kept
        for variant, latent in zip(sloppy_variants(own, SLOPPY, name), other.sloppy_KFCHW, strict=True):
            wanted = mask_latent(pipeline_base, variant.pixels()[:, 0])
            torch.testing.assert_close(latent, wanted, rtol=2e-2, atol=2e-3)
        inside = own.pixels()[:, 0].reshape(9, 4, 8, 8, 8).mean(axis=(2, 4))
        assert other.coverage_FHW is not None
        assert abs(other.coverage_FHW[0].numpy() / 255 - inside[0]).max() < 0.5 / 255 + 1e-9
        assert abs(other.coverage_FHW[2].numpy() / 255 - inside[5:].mean(axis=0)).max() < 0.5 / 255 + 1e-9


def mask_latent(base: Any, masks_THW: Any) -> torch.Tensor:
    from mvideo_core.cogvideox.pixels import mask_CTHW

    with torch.no_grad():
        mean = base.vae.encode(mask_CTHW(masks_THW, 32, 64)[None]).latent_dist.mean
    return mean[0].permute(1, 0, 2, 3).bfloat16()


def test_sloppy_masks_do_not_depend_on_the_make_up_of_batches(drawn: Workspace) -> None:
    two, one = encoded(drawn, RICH), encoded(drawn, RICH.model_copy(update={"batch_size": 1}))
    assert list(two.ids) == list(one.ids)
    for index in range(len(two)):
        a, b = two.get(index), one.get(index)
        assert torch.equal(a.coverage_FHW, b.coverage_FHW)
        for mine, other in zip(a.sloppy_KFCHW, b.sloppy_KFCHW, strict=True):
            torch.testing.assert_close(mine, other, rtol=2e-2, atol=2e-3)


def test_killed_between_groups_the_next_run_gives_the_same_bytes(drawn: Workspace, tmp_path: Path, monkeypatch) -> None:
    wanted = tars(encoded(drawn, RICH))
    workspace = Workspace(str(tmp_path / "ws"))
    dataset(workspace, tmp_path, LENGTHS)
    calls = []

    def dies_at_the_third_group(*arguments):
        calls.append(1)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return encode_windows(*arguments)

    monkeypatch.setattr(group, "encode_windows", dies_at_the_third_group)
    with pytest.raises(KeyboardInterrupt):
        encode_dataset(workspace, RICH)
    monkeypatch.setattr(group, "encode_windows", encode_windows)
    assert tars(encoded(workspace, RICH)) == wanted


@pytest.mark.slow
def test_encoded_and_trained_by_command_line_with_everything_on(drawn: Workspace, tmp_path: Path) -> None:
    def run(*words: str) -> str:
        done = CliRunner().invoke(app, words)
        assert done.exit_code == 0, done.output + repr(done.exception)
        return done.output

    values = ["base.weights=random:tiny-sincos", "base.dtype=fp32", "batch_size=2"]
    values += ["sloppy.variants=2", "sloppy.kinds=[box, keyframes]", "store_coverage=true"]
    run("encode", "-w", str(drawn.url), *(word for value in values for word in ("--set", value)))
    more = {
        "steps": 2, "checkpoints": {"every": 1}, "draws": {"sloppy_mask": 0.5},
        "mask_loss": {"inside": 4.0, "outside": 0.5}, "data": {"holdout": 1, "threads": 1},
    }  # fmt: skip
    (tmp_path / "train.yaml").write_text(yaml.safe_dump({**TINY, **more}))
    said = run("train", "run", str(tmp_path / "run"), "-w", str(drawn.url), "-p", str(tmp_path / "train.yaml"))
    assert "step 2" in said
    options = yaml.safe_load((tmp_path / "run" / "options.yaml").read_text())
    assert (options["mask_loss"], options["draws"]["sloppy_mask"]) == ({"inside": 4.0, "outside": 0.5}, 0.5)
