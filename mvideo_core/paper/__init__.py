"""The paper's experiments as one chain of steps: data, training with and without the loss, videos, scores, tables.

Every step keeps what it made under one root folder and goes on there when it is called again. See docs/results.md.
"""
