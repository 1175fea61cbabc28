"""The prompt for vision-language models, shared by the HTTP and the in-process captioner."""

from mvideo_core.base.options import digest
from mvideo_core.perception.captioning.base import CaptionInput

DEFAULT_PROMPT = (
    "These are frames of one video in order of time. Describe the video in one paragraph of plain English: "
    "the subjects and how they look, what each of them does from beginning to end, the surroundings, and the camera. "
    "State only what can be seen. Do not mention frames, images or this request."
)
"""Order: subject, movement, scene, camera, as in Open-Sora's captions; eight frames, as in Cosmos with VILA-13B."""


def question(prompt: str, name_objects: bool, clip: CaptionInput) -> str:
    """The prompt, with the detected classes appended if requested."""
    if not name_objects or not clip.labels:
        return prompt
    return f"{prompt}\nObjects detected in it: {', '.join(sorted(set(clip.labels)))}."


def prompt_digest(prompt: str, name_objects: bool, n_frames: int) -> str:
    """SHA-256 of the clip-independent part of the prompt."""
    return digest({"prompt": prompt, "name_objects": name_objects, "n_frames": n_frames})
