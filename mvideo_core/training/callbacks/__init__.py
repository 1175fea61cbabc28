"""What happens around the steps: EMA, validation, sample videos, metrics, checkpoints."""
