"""Full-size checkpoints with random values, in the layouts in which the models are published.

python -m benchmarks.published WEIGHTS write cogvideox-2b --text-layers 2     into WEIGHTS/cogvideox-2b
python -m benchmarks.published WEIGHTS load cogvideox-2b                      by the loaders of the product
python -m benchmarks.published WEIGHTS plain ADAPTER                          an adapter in plain diffusers

Names, nesting, shapes and dtypes are those of the public files; only the values are random. A loader that loads these
files also loads the real ones. Sources of the layouts: mvideo_core/weights/entries names each publisher.
"""

import argparse
import json
import time
from pathlib import Path
from typing import Any

from mvideo_core.base.devices import default_device

STD = 0.02
"""Standard deviation of random matrices. Norm weights stay 1, biases 0: activations keep a sane scale in depth."""
BERT_PIECES = 30522
TEXT_PIECES = 400


def write_groundingdino(folder: Path, seed: int = 0) -> Path:
    """GroundingDINO-T as IDEA-Research publishes it: {"model": {"module.NAME": tensor}}, leftovers included.

    Returns:
        The .pth file; bert/vocab.txt and config.json are next to it.
    """
    import torch

    from mvideo_core.perception.detection.arch import GroundingDinoArch
    from mvideo_core.perception.detection.coco import COCO80
    from mvideo_core.perception.detection.groundingdino import bert_tokenizer, build_groundingdino

    (folder / "bert").mkdir(parents=True, exist_ok=True)
    words = sorted({word for name in COCO80 for word in name.split()})
    vocab = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", ".", "?", *words]
    vocab += [f"[unused{number}]" for number in range(BERT_PIECES - len(vocab))]
    (folder / "bert" / "vocab.txt").write_text("\n".join(vocab) + "\n", encoding="utf-8")
    (folder / "config.json").write_text("{}\n", encoding="utf-8")
    torch.manual_seed(seed)
    state = build_groundingdino(GroundingDinoArch(), bert_tokenizer(vocab)).state_dict()
    state["bert.embeddings.position_ids"] = torch.arange(512)[None]
    state["label_enc.weight"] = torch.zeros(2001, 256)
    path = folder / "groundingdino_swint_ogc.pth"
    torch.save({"model": {f"module.{name}": value for name, value in state.items()}}, path)
    return path


def write_sam2(folder: Path, base: str, name: str, seed: int = 0) -> Path:
    """SAM 2.1 as Meta publishes it: {"model": state}.

    Args:
        base: the package's configuration, "sam2.1_hiera_t" or "sam2.1_hiera_l".
        name: published file name, such as "sam2.1_hiera_tiny.pt".
    """
    import torch

    from mvideo_core.perception.segmentation.sam2_build import build_predictor

    folder.mkdir(parents=True, exist_ok=True)
    torch.save({"model": build_predictor(base, seed=seed).state_dict()}, folder / name)
    return folder / name


def write_edgetam(folder: Path, seed: int = 0) -> Path:
    """EdgeTAM as its conversion to transformers writes it: RepViT-M1 of timm, no occlusion embedding, 13.9 M."""
    import torch
    from transformers import EdgeTamVideoConfig, EdgeTamVideoModel

    arguments = {"in_chans": 3, "features_only": True, "out_indices": [0, 1, 2, 3]}
    backbone: dict[str, Any] = {"model_type": "timm_wrapper", "architecture": "repvit_m1", "num_classes": 1000}
    backbone["model_args"] = arguments
    config = EdgeTamVideoConfig(
        vision_config={"model_type": "edgetam_vision_model", "backbone_config": backbone},
        enable_temporal_pos_encoding_for_object_pointers=False,
        enable_occlusion_spatial_embedding=False,
    )
    torch.manual_seed(seed)
    EdgeTamVideoModel(config).save_pretrained(folder)
    return folder


def write_sam3(folder: Path, seed: int = 0) -> Path:
    """SAM 3 in transformers' layout, with a tokenizer that knows letters.

    With random values nothing reaches the published thresholds; here every query is an object, four are tracked.
    """
    import torch
    from transformers import Sam3VideoConfig, Sam3VideoModel

    from mvideo_core.perception.segmentation.sam3 import tiny_tokenizer

    torch.manual_seed(seed)
    config = Sam3VideoConfig(score_threshold_detection=0.0, new_det_thresh=0.0, max_num_objects=4)
    Sam3VideoModel(config).save_pretrained(folder, max_shard_size="5GB")
    tiny_tokenizer().save_pretrained(folder)
    return folder


def write_cogvideox(folder: Path, size: str, text_layers: int = 0, seed: int = 0) -> Path:
    """A CogVideoX pipeline folder as THUDM publishes it: 2b in fp16, 5b in bf16, T5 in shards, spiece.model.

    Args:
        size: "cogvideox-2b" or "cogvideox-5b".
        text_layers: layers of the T5 encoder; 0 for the published 24. Its configuration has the same number.
    """
    import torch
    from diffusers import AutoencoderKLCogVideoX, CogVideoXDDIMScheduler, CogVideoXTransformer3DModel
    from transformers import T5Config, T5EncoderModel

    from mvideo_core.cogvideox.sizes import size_of

    plan = size_of(size)
    dtype = torch.float16 if size == "cogvideox-2b" else torch.bfloat16
    text = plan.text_encoder | ({"num_layers": text_layers} if text_layers else {})
    parts = {
        "transformer": lambda: CogVideoXTransformer3DModel(**plan.transformer),
        "vae": lambda: AutoencoderKLCogVideoX(**plan.vae),
        "text_encoder": lambda: T5EncoderModel(T5Config(**text)),
    }
    for number, (name, build) in enumerate(parts.items()):
        with torch.device("meta"):
            model: Any = build().to(dtype)
        model = model.to_empty(device="cpu")
        if name == "text_encoder":
            model.tie_weights()  # one embedding under two names, as published
        _fill(model, seed + number)
        limit = {"transformer": "5GB", "vae": "5GB", "text_encoder": "500MB" if text_layers else "5GB"}[name]
        model.save_pretrained(folder / name, max_shard_size=limit)
        del model
    CogVideoXDDIMScheduler(**plan.scheduler).save_pretrained(folder / "scheduler")
    _write_tokenizer(folder / "tokenizer", plan.text_tokens)
    index = {
        "_class_name": "CogVideoXPipeline",
        "_diffusers_version": "0.30.0.dev0",
        "scheduler": ["diffusers", "CogVideoXDDIMScheduler"],
        "text_encoder": ["transformers", "T5EncoderModel"],
        "tokenizer": ["transformers", "T5Tokenizer"],
        "transformer": ["diffusers", "CogVideoXTransformer3DModel"],
        "vae": ["diffusers", "AutoencoderKLCogVideoX"],
    }
    (folder / "model_index.json").write_text(json.dumps(index, indent=2) + "\n", encoding="utf-8")
    return folder


def _fill(model: Any, seed: int) -> None:
    """Matrices are random, norm weights 1, biases 0; buffers computed by the constructor are recomputed."""
    import torch

    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, value in model.named_parameters():
            if value.ndim > 1:
                value.normal_(0.0, STD, generator=generator)
            else:
                value.fill_(0.0 if name.endswith("bias") else 1.0)
    for name, value in list(model.named_buffers()):
        if name == "patch_embed.pos_embedding":
            patch = model.patch_embed
            fresh = patch._get_positional_embeddings(patch.sample_height, patch.sample_width, patch.sample_frames)
            value.copy_(fresh)


def _write_tokenizer(folder: Path, max_length: int) -> None:
    """Write spiece.model, trained on class names and captions, and the three JSON files next to it."""
    import io

    import sentencepiece

    from mvideo_core.cogvideox.mini_tokenizer import mini_words
    from mvideo_core.perception.detection.coco import COCO80

    folder.mkdir(parents=True, exist_ok=True)
    lines = [f"a {name} moves over the {word}" for name in COCO80 for word in mini_words()]
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(lines), model_writer=model, vocab_size=TEXT_PIECES, hard_vocab_limit=False,
        pad_id=0, eos_id=1, unk_id=2, bos_id=-1, minloglevel=2,
    )  # fmt: skip
    (folder / "spiece.model").write_bytes(model.getvalue())
    extra = [f"<extra_id_{number}>" for number in range(100)]
    special = {"eos_token": "</s>", "pad_token": "<pad>", "unk_token": "<unk>", "additional_special_tokens": extra}
    files = {
        "added_tokens.json": {name: 32099 - number for number, name in enumerate(extra)},
        "special_tokens_map.json": special,
        "tokenizer_config.json": special
        | {"extra_ids": 100, "legacy": True, "model_max_length": max_length, "tokenizer_class": "T5Tokenizer"},
    }
    for name, content in files.items():
        (folder / name).write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def load(weights: Path, name: str) -> str:
    """A checkpoint as loaded by the product's own loader: strictness, parameters, dtype."""
    import torch

    if name.startswith("groundingdino"):
        from mvideo_core.perception.detection.groundingdino import GroundingDinoDetector, GroundingDinoOptions

        model: Any = GroundingDinoDetector.load(GroundingDinoOptions(weights=str(weights / name))).model
        return f"strict; {describe(model)}"
    if name.startswith("sam2"):
        from mvideo_core.perception.segmentation.sam2_build import load_predictor

        model, _, _ = load_predictor(next((weights / name).glob("*.pt")))
        return f"strict; {describe(model)}"
    if name in ("edgetam", "sam3"):
        from mvideo_core.perception.segmentation import SEGMENTERS

        kind: Any = SEGMENTERS.get(name)
        return f"strict; {describe(kind.load(kind.Options(weights=str(weights / name))).model)}"
    from mvideo_core.cogvideox.base import BaseOptions, load_base

    base = load_base(BaseOptions(weights=str(weights / name), dtype="bf16"))
    loaded = {"transformer": base.transformer, "vae": base.vae, "T5": base.text_encoder}
    own = {name for name, _ in torch.nn.Module.named_parameters(loaded["transformer"]) if name.startswith("mask_proj")}
    parts = ", ".join(f"{part} {describe(model)}" for part, model in loaded.items())
    return f"strict but for our {', '.join(sorted(own))}; {parts}"


def describe(model: Any) -> str:
    """Parameters and their dtypes."""
    types = sorted({str(value.dtype).removeprefix("torch.") for value in model.parameters()})
    return f"{sum(value.numel() for value in model.parameters()) / 1e6:.1f} M {'/'.join(types)}"


def generate_plain(weights: Path, adapter: Path) -> str:
    """Two steps of diffusers' own pipeline with the adapter loaded by its own reader, and without it.

    Returns:
        How far the latents differ: an adapter without effect was not loaded.
    """
    import torch
    from diffusers import CogVideoXPipeline

    from mvideo_core.cogvideox.base import read_format

    folder = weights / "cogvideox-2b"
    form = read_format(folder)
    device = default_device()
    pipeline = CogVideoXPipeline.from_pretrained(folder, torch_dtype=torch.bfloat16).to(device)
    pipeline.set_progress_bar_config(disable=True)

    def latents() -> Any:
        return pipeline(
            "a dog", height=form.height_px, width=form.width_px, num_frames=form.clip_frames, num_inference_steps=2,
            generator=torch.Generator().manual_seed(0), output_type="latent",
        ).frames.float()  # fmt: skip

    before = latents()
    pipeline.load_lora_weights(adapter)
    n_layers = len(pipeline.get_list_adapters().get("transformer", []))
    change = float((latents() - before).abs().mean() / before.abs().mean())
    if not 0 < change < float("inf"):
        raise SystemExit(f"{adapter}: diffusers read it, and the latents change by {change}; it has no effect")
    return f"load_lora_weights: {n_layers} adapter, latents change by {change:.2%}"


def main() -> None:
    """Parse, do, print one line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("weights", type=Path)
    parser.add_argument("verb", choices=["write", "load", "plain"])
    parser.add_argument("name", help="catalog name; for `plain`, an adapter folder")
    parser.add_argument("--text-layers", type=int, default=0, help="layers of T5; 0: the published 24")
    parser.add_argument("--format", default="", help="JSON of a smaller VideoFormat, written next to the 2b")
    args = parser.parse_args()
    started_s = time.monotonic()
    if args.verb == "load":
        print(load(args.weights, args.name))
    elif args.verb == "plain":
        print(generate_plain(args.weights, Path(args.name)))
    else:
        write(args.weights / args.name, args.text_layers, args.format)
        size = sum(file.stat().st_size for file in (args.weights / args.name).rglob("*") if file.is_file())
        print(f"{size / 1e9:.2f} GB in {time.monotonic() - started_s:.0f} s")


def write(folder: Path, text_layers: int, form: str) -> None:
    """The checkpoint that belongs into a folder of this name, and the record that these are not the published bytes."""
    from mvideo_core.cogvideox.base import FORMAT_FILE
    from mvideo_core.perception.segmentation.sam2_build import CHECKPOINTS
    from mvideo_core.weights.records import Fetched, WeightsFile, write_record

    if folder.name.startswith("groundingdino"):
        write_groundingdino(folder)
    elif folder.name.startswith("sam2"):
        file = folder.name.replace("-", "_") + ".pt"
        write_sam2(folder, CHECKPOINTS[file], file)
    elif folder.name in ("edgetam", "sam3"):
        {"edgetam": write_edgetam, "sam3": write_sam3}[folder.name](folder)
    else:
        write_cogvideox(folder, folder.name, text_layers)
        if form:
            (folder / FORMAT_FILE).write_text(form + "\n", encoding="utf-8")
    files = [
        WeightsFile(path=file.relative_to(folder).as_posix(), size_bytes=file.stat().st_size)
        for file in sorted(folder.rglob("*"))
        if file.is_file()
    ]
    write_record(folder, Fetched(repository="random values", revision="none", commit="none", files=files))


if __name__ == "__main__":
    main()
