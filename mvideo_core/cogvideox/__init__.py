"""CogVideoX with mask and history conditions (paper, sections 3.2 and 3.3), as a diffusers model and pipeline.

```python
import torch
from mvideo_core import MVideoPipeline

folder = "/models/cogvideox-5b"  # a plain CogVideoX
pipeline = MVideoPipeline.from_pretrained(folder, torch_dtype=torch.bfloat16)
pipeline.load_lora_weights("runs/5b/checkpoints/step-00010000/adapter")  # LoRA with its alpha, and the conditioning
frames = pipeline(  # (33, 480, 720, 3) uint8
    "a panda does tai chi", mask=mask_THW, appearance_frame=last_HWC, motion_frames=before_THWC,
    num_inference_steps=50, guidance_scale=6.0, generator=torch.Generator().manual_seed(0),
)
pipeline.save_pretrained("mine")  # base, conditioning, adapter/, format
```

| Import from | What |
|---|---|
| `mvideo_core` | `MVideoPipeline`: one clip per call; saving, offloading, LoRA as in diffusers' `CogVideoXPipeline` |
| `mvideo_core` | `MVideoTransformer3DModel`: `from_base` extends a plain CogVideoX; `from_pretrained` also reads one |
| `mvideo_core.cogvideox.conditions` | `Conditions`: mask, appearance and motion latents, and their noise level |
| `mvideo_core.cogvideox.teacher` | `teacher_view`: a context in which the transformer is the untrained base model |
| `mvideo_core.cogvideox.adapter` | `add_lora`, `list_trainable`, `save_adapter`, `load_adapter` |
| `mvideo_core.cogvideox.fun_control` | `to_fun_control`, `from_fun_control`: 32-channel checkpoints of CogVideoX-Fun |
| `mvideo_core.cogvideox.base` | `load_base`, `random_base`, `save_base` |

Four methods of the transformer affect speed and memory: `set_sdpa` selects the attention kernel (diffusers'
`set_attention_backend` has no effect on CogVideoX), `set_gradient_checkpointing` selects what is recomputed,
`compile_blocks` compiles each block as a whole, and `enable_cache` reuses results between denoising steps.

The following was tested with small random models, with sincos and with rotary positions:

* Without conditions, the output equals diffusers' `CogVideoXTransformer3DModel` bit for bit, in fp32 and bf16; the
  pipeline's clip equals `CogVideoXPipeline`'s to within one gray level.
* Before training and without history, the student (the model in training) equals the teacher (the base model) bit for
  bit, whatever the mask. At every later step, the teacher is still the base model, bit for bit.
* Positions equal those that diffusers computes, bit for bit.
* Recomputing blocks (`full`, `block_skip:n`) gives the same gradients, bit for bit.
* Plain diffusers loads the LoRA file with the same alpha.

Public weights have not been loaded. Parameters, FLOPs and seconds: docs/results/benchmarks.md#model-sizes. Where the
paper is silent: docs/results/choices.md#model.
"""
