"""The baseline of `benchmarks.train`: a step of diffusers' examples/cogvideo/train_cogvideox_lora.py, reimplemented.

Its operations in its order, on cached latents: its loss, its positions, AdamW, adapters on the plain transformer.
"""

from typing import Any

from mvideo_core.training.options import TrainOptions


class DiffusersLoop:
    """Model, optimizer and data of the example; base, adapters and latents are those in `options`."""

    def __init__(self, options: TrainOptions, device: Any, batch: int):
        import torch
        from diffusers import CogVideoXDPMScheduler, CogVideoXTransformer3DModel
        from peft import LoraConfig

        from mvideo_core.cogvideox.base import torch_dtype
        from mvideo_core.cogvideox.sizes import size_of
        from mvideo_core.training.latents.cache import LatentDataset

        plan, lora = size_of(options.base.weights.removeprefix("random:")), options.lora
        self.device, self.batch, self.dtype = device, batch, torch_dtype(options.base.dtype)
        self.transformer = CogVideoXTransformer3DModel(**plan.transformer).to(device, self.dtype)
        self.transformer.requires_grad_(False)
        targets = list(lora.target_modules)
        self.transformer.add_adapter(
            LoraConfig(r=lora.rank, lora_alpha=lora.alpha, init_lora_weights=True, target_modules=targets)
        )
        self.parameters = [p for p in self.transformer.parameters() if p.requires_grad]
        for parameter in self.parameters:
            parameter.data = parameter.data.float()
        fused = device.type == "cuda"
        self.optimizer = torch.optim.AdamW(self.parameters, lr=1e-4, betas=(0.9, 0.95), fused=fused)
        self.scheduler = CogVideoXDPMScheduler(**plan.scheduler)
        self.dataset = LatentDataset(options.data.latents)

    def step(self) -> None:
        """One optimizer step."""
        import torch

        samples = [self.dataset.get(n % len(self.dataset)) for n in range(self.batch)]
        model_input = torch.stack([s.target_FCHW for s in samples]).to(self.device, self.dtype)
        model_input = model_input * self.dataset.info.scaling_factor
        prompt_embeds = torch.stack([s.text_LC for s in samples]).to(self.device, self.dtype)
        loss = self._loss(model_input, prompt_embeds)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.parameters, 1.0)
        self.optimizer.step()
        self.optimizer.zero_grad()
        loss.detach().item()

    def _loss(self, model_input: Any, prompt_embeds: Any) -> Any:
        import torch

        noise = torch.randn_like(model_input)
        b, frames, _, height, width = model_input.shape
        timesteps = torch.randint(0, self.scheduler.config.num_train_timesteps, (b,), device=self.device).long()
        image_rotary_emb = self._rotary(frames, height, width)
        noisy = self.scheduler.add_noise(model_input, noise, timesteps)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.dtype == torch.bfloat16):
            model_output = self.transformer(
                hidden_states=noisy, encoder_hidden_states=prompt_embeds, timestep=timesteps,
                image_rotary_emb=image_rotary_emb, return_dict=False,
            )[0]  # fmt: skip
        model_pred = self.scheduler.get_velocity(model_output, noisy, timesteps)
        weights = 1 / (1 - self.scheduler.alphas_cumprod.to(self.device)[timesteps])
        while len(weights.shape) < len(model_pred.shape):
            weights = weights.unsqueeze(-1)
        return torch.mean((weights * (model_pred - model_input) ** 2).reshape(b, -1), dim=1).mean()

    def _rotary(self, frames: int, height: int, width: int) -> Any:
        from diffusers.models.embeddings import get_3d_rotary_pos_embed
        from diffusers.pipelines.cogvideo.pipeline_cogvideox import get_resize_crop_region_for_grid

        config = self.transformer.config
        if not config.use_rotary_positional_embeddings:
            return None
        base_height, base_width = config.sample_height // config.patch_size, config.sample_width // config.patch_size
        grid = (height // config.patch_size, width // config.patch_size)
        crop = get_resize_crop_region_for_grid(grid, base_width, base_height)
        return get_3d_rotary_pos_embed(
            embed_dim=config.attention_head_dim, crops_coords=crop, grid_size=grid, temporal_size=frames,
            device=self.device,
        )  # fmt: skip
