"""Noise of level sigma is added to the history: `history = sqrt(1 - sigma^2) * latents + sigma * noise`.

Sigma has the same meaning in training, in generation and for every base. The network receives the timestep with that
noise level in the base's schedule: sigma 0.24 is t = 20 in CogVideoX-2b and t = 55 in 5b. A sigma below that of t = 0
(0.05 in 2b, 0.03 in 5b and mini) is raised to that value; but in generation, 0 adds no noise. The default, 0.24, was
chosen by measuring drift over ten clips (docs/results/accuracy.md#noise-on-the-history).
"""

HISTORY_SIGMA_MAX = 0.34
"""Training draws sigma uniformly from 0 to this. The paper gives no number; the shipped mini adapter saw up to this."""
HISTORY_SIGMA = 0.24
"""Default of generation."""
_AS_SIGMA = "use history_sigma, the same noise for every base"
TIMESTEP_GONE = f"{_AS_SIGMA}: timestep 20 is sigma 0.14 in CogVideoX-5b and mini, 0.24 in 2b"
RANGE_GONE = f"{_AS_SIGMA}: timesteps up to 100 are sigma up to 0.34 in CogVideoX-5b and mini, 0.52 in 2b"
"""Replacements for the options that were timesteps."""
