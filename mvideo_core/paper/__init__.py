"""The paper's experiments as one chain of steps: data, training with and without the loss, videos, scores, tables.

Every step keeps its output under one root folder; the same call resumes there. See docs/results/paper.md.
"""
