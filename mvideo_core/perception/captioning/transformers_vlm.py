"""Captions from an image-text-to-text model in this process, loaded by transformers from a local folder.

The model sees a few frames of each clip, one clip at a time. For higher throughput, run a server and use
`openai_compatible`.
"""

import tempfile
from collections.abc import Generator, Iterator, Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal, Self

import numpy as np
from pydantic import Field

from mvideo_core.base.errors import ConfigError, MediaError, ModelError
from mvideo_core.base.options import Options as AnyOptions
from mvideo_core.base.records import ObjectPhrase
from mvideo_core.perception.captioning.base import (
    CAPTIONERS,
    Answer,
    CaptionerOptions,
    CaptionInput,
    Outcome,
    Question,
)
from mvideo_core.perception.captioning.marked import caption_and_phrases
from mvideo_core.perception.captioning.prompt import DEFAULT_PROMPT, prompt_digest, question
from mvideo_core.weights import find
from mvideo_core.weights.reading import RAISED_BY_LOADERS, check_memory, plain_words


class TransformersVLMOptions(CaptionerOptions):
    """Model folder and generation settings."""

    model_dir: str = Field(
        default="",
        description="name from `mvideo weights list` (smolvlm2-2.2b, qwen3-vl-4b), or a folder with config.json, "
        "weights "
        "as safetensors, tokenizer and image preprocessor",
    )
    prompt: str = Field(default=DEFAULT_PROMPT, min_length=1, description="prompt used with every clip")
    name_objects: bool = Field(default=False, description="add the detected class names to the prompt")
    n_frames: int = Field(
        default=8, ge=1, le=128, description="frames per clip, evenly spaced; more frames need more memory"
    )
    max_new_tokens: int = Field(
        default=256, ge=1, le=4096, description="maximum length of the answer, in the model's tokens"
    )
    dtype: Literal["float32", "bfloat16", "float16"] = Field(
        default="bfloat16", description="data type of weights and activations; CPU: float32"
    )

    def check(self) -> None:
        """Raise ConfigError or ModelError if the folder is not set or does not exist."""
        _check_folder(self.model_dir)


@CAPTIONERS.register("transformers_vlm")
class TransformersVLMCaptioner:
    """Greedy decoding, one clip at a time.

    Clips are not batched: padding changes the sums of a half-precision model, so a text would depend on other clips,
    and a resumed part would not reproduce an uninterrupted one. For throughput, run a server (openai_compatible).
    """

    Options: ClassVar[type[AnyOptions]] = TransformersVLMOptions
    batch_clips = 1

    def __init__(self, options: TransformersVLMOptions, processor: Any, model: Any):
        self.options, self._processor, self._model = options, processor, model
        self.model_name = Path(options.model_dir).name
        self.needs_frames = options.n_frames
        self.prompt_sha256 = prompt_digest(options.prompt, options.name_objects, options.n_frames)

    @classmethod
    def load(cls, options: AnyOptions, device: str = "cpu") -> Self:
        """Load the model from `model_dir` to `device` for inference; no network access.

        Raises:
            ConfigError: no folder given.
            ModelError: the folder is missing, incomplete, or not supported by transformers.
        """
        checked = TransformersVLMOptions.model_validate(options.model_dump())
        folder = _check_folder(checked.model_dir)
        import torch
        from transformers import AutoModelForImageTextToText, AutoProcessor

        try:
            processor = AutoProcessor.from_pretrained(folder, local_files_only=True)
            model = AutoModelForImageTextToText.from_pretrained(
                folder, local_files_only=True, use_safetensors=True, dtype=getattr(torch, checked.dtype)
            )
        except RAISED_BY_LOADERS as error:
            check_memory(folder, error)
            raise ModelError(f"{folder}: not a readable image-text-to-text model: {plain_words(error)}") from error
        place: Any = model.to  # the type stub lost the bound argument
        return cls(checked, processor, place(device).eval())

    @classmethod
    def tiny(cls) -> Self:
        """A two-layer LLaVA with random weights, written to a temporary folder and loaded like any other."""
        with tempfile.TemporaryDirectory() as held:
            folder = Path(held) / "tiny-llava"
            write_tiny_llava(folder)
            options = TransformersVLMOptions(model_dir=str(folder), n_frames=2, max_new_tokens=8, dtype="float32")
            return cls.load(options)

    def question(self, clip: CaptionInput) -> str:
        """The prompt used with a clip's frames."""
        return question(self.options.prompt, self.options.name_objects, clip)

    def caption(self, inputs: Sequence[CaptionInput]) -> Iterator[tuple[int, Outcome]]:
        """One answer per clip, in order; MediaError if a clip has no frames.

        Raises:
            ModelError: the device ran out of memory.
        """
        yield from self._ask([self._about(clip) for clip in inputs])

    def caption_objects(self, inputs: Sequence[CaptionInput]) -> Iterator[tuple[int, Outcome, list[ObjectPhrase]]]:
        """Captions and phrases, clip by clip; the objects are numbered in the frames of a second question.

        Raises:
            ModelError: the device ran out of memory.
        """
        for n, clip in enumerate(inputs):
            for _, outcome, phrases in caption_and_phrases(self._ask, self._about, [clip], self.options.n_frames):
                yield n, outcome, phrases

    def _ask(self, questions: Sequence[Question]) -> Generator[tuple[int, Outcome], None, None]:
        yield from ((n, self._answer(one)) for n, one in enumerate(questions))

    def _about(self, clip: CaptionInput) -> Question:
        return Question(clip.key, lambda: (clip.sample(self.options.n_frames), self.question(clip)))

    def _answer(self, asked: Question) -> Outcome:
        import torch

        try:
            batch = self._encode(*asked.make()).to(self._model.device, dtype=self._model.dtype)
        except MediaError as error:
            return error
        limit = max(self.options.max_new_tokens, asked.min_tokens)
        try:
            with torch.inference_mode():
                tokens = self._model.generate(**batch, max_new_tokens=limit, do_sample=False)
        except torch.OutOfMemoryError as error:
            raise ModelError(
                f"{asked.key}: out of device memory; lower n_frames ({self.options.n_frames}): {error}"
            ) from error
        new = tokens[:, batch["input_ids"].shape[1] :]
        ends = self._model.generation_config.eos_token_id
        ended = int(new[0, -1]) in (ends if isinstance(ends, list) else [ends]) if new.shape[1] else True
        return Answer(
            self._processor.batch_decode(new, skip_special_tokens=True)[0],
            truncated=not ended and new.shape[1] >= limit,
        )

    def _encode(self, frames_THWC: np.ndarray, text: str) -> Any:
        from PIL import Image

        content: list[dict[str, Any]] = [{"type": "image", "image": Image.fromarray(frame)} for frame in frames_THWC]
        content.append({"type": "text", "text": text})
        return self._processor.apply_chat_template(
            [{"role": "user", "content": content}], add_generation_prompt=True, tokenize=True, return_dict=True,
            processor_kwargs={"return_tensors": "pt"},
        )  # fmt: skip


def _check_folder(model_dir: str) -> str:
    if not model_dir:
        raise ConfigError(
            "transformers_vlm: model_dir is empty; set it to the name or folder of a vision-language model "
            "(`mvideo weights list`)"
        )
    folder = model_dir if Path(model_dir).is_dir() else str(find(model_dir, kind="captioner"))
    if not (Path(folder) / "config.json").is_file():
        raise ModelError(
            f"{folder}/config.json: no such file; set model_dir to the folder of a vision-language model, or run "
            "`mvideo weights fetch qwen3-vl-4b` and use its name, or use the captioner `motion`"
        )
    return folder


_TINY_TEMPLATE = (
    "{% for message in messages %}{% for part in message['content'] %}"
    "{% if part['type'] == 'image' %}<image> {% else %}{{ part['text'] }} {% endif %}{% endfor %}{% endfor %}"
)


def write_tiny_llava(folder: Path) -> None:
    """Write a random two-layer LLaVA with a word-level tokenizer to `folder`; a few hundred kB, no downloads."""
    import torch
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import (
        CLIPImageProcessor,
        CLIPVisionConfig,
        LlamaConfig,
        LlavaConfig,
        LlavaForConditionalGeneration,
        LlavaProcessor,
        PreTrainedTokenizerFast,
    )

    pad, bos, eos, unk, image = marks = ("<pad>", "<s>", "</s>", "<unk>", "<image>")
    words = [
        *marks,
        "a",
        "the",
        "person",
        "dog",
        "ball",
        "moves",
        "stays",
        "to",
        "left",
        "right",
        "up",
        "down",
        "slowly",
    ]
    raw = Tokenizer(models.WordLevel({word: n for n, word in enumerate(words)}, unk_token=unk))
    raw.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=raw, pad_token=pad, bos_token=bos, eos_token=eos, unk_token=unk,
        additional_special_tokens=[image],
    )  # fmt: skip
    # Random weights with a large spread, so that different images give different answers.
    shape: dict[str, Any] = {
        "hidden_size": 16,
        "intermediate_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "initializer_range": 0.5,
    }
    config = LlavaConfig(
        vision_config=CLIPVisionConfig(**shape, image_size=32, patch_size=16, projection_dim=16),
        text_config=LlamaConfig(
            **shape, vocab_size=len(words), max_position_embeddings=512, pad_token_id=0, bos_token_id=1, eos_token_id=2
        ),
        image_token_index=words.index(image),
        vision_feature_layer=-1,
    )
    torch.manual_seed(0)
    LlavaForConditionalGeneration(config).save_pretrained(folder)
    images = CLIPImageProcessor(size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32})
    LlavaProcessor(
        image_processor=images, tokenizer=tokenizer, patch_size=16, vision_feature_select_strategy="default",
        num_additional_image_tokens=1, chat_template=_TINY_TEMPLATE,
    ).save_pretrained(folder)  # fmt: skip
