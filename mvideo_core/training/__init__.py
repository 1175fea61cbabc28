"""LoRA training of MVideo: options, data order, loss, loop, checkpoints, launcher (paper, sections 3.4 and 4.1).

Options, launcher and report do not import torch; the rest loads it inside the function that needs it.
"""
