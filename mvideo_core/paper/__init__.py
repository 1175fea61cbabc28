"""The paper's experiments as one chain of steps: data, training with and without the loss, videos, scores, tables.

Every step writes its output under one root folder; rerunning the same call resumes. See docs/results/paper.md.
"""
