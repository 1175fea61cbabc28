"""Masks with every case DAVIS' measures treat apart, and the script that asks davis2017-evaluation about them.

    python -m tests.mvideo_core.evaluation.davis_masks METRICS_PY > tests/mvideo_core/evaluation/davis_golden.json

METRICS_PY: davis2017/metrics.py of github.com/davisvideochallenge/davis2017-evaluation (BSD-3-Clause, not part of this
project); it imports scikit-image. The golden file was made with commit ac7c43f and scikit-image 0.26.0.
"""

import importlib.util
import json
import sys

import numpy as np

T, N, H, W = 12, 2, 90, 161


def drawn_masks() -> tuple[np.ndarray, np.ndarray]:
    """True and seen masks, bool (T, N, H, W): moving discs and boxes, ragged edges, borders, empties, a full frame."""
    rng = np.random.default_rng(5)
    y, x = np.mgrid[:H, :W]
    true, seen = np.zeros((T, N, H, W), bool), np.zeros((T, N, H, W), bool)
    for t in range(T):
        true[t, 0] = (x - 20 - 9 * t) ** 2 + (y - 40) ** 2 < 20**2
        seen[t, 0] = (x - 24 - 9 * t) ** 2 / 1.4 + (y - 38 - t) ** 2 < 19**2
        true[t, 1, 50:, 4 * t : 40 + 4 * t] = True
        seen[t, 1, 48:85, 5 * t : 44 + 4 * t] = True
        seen[t] ^= (rng.random((N, H, W)) < 0.02) & seen[t]
    true[3, 0] = seen[3, 0] = False
    true[4, 0] = False
    seen[5, 0] = False
    true[6, 1] = seen[6, 1] = True
    seen[7, 1] = True
    seen[8, 0] = np.roll(true[8, 0], 90, axis=1)
    seen[9] = true[9]
    true[10, 1], seen[10, 1] = False, False
    true[10, 1, -1, -1] = seen[10, 1, -1, -1] = True
    true[11, 1], seen[11, 1] = False, False
    true[11, 1, 0, 0] = seen[11, 1, 5, 0] = True
    return true, seen


def main(path: str) -> None:
    spec = importlib.util.spec_from_file_location("davis_metrics", path)
    theirs = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(theirs)
    true, seen = drawn_masks()
    answers = {
        "j": [theirs.db_eval_iou(true[:, n], seen[:, n]).tolist() for n in range(N)],
        "f": [theirs.db_eval_boundary(true[:, n], seen[:, n]).tolist() for n in range(N)],
    }
    print(json.dumps(answers, indent=1))


if __name__ == "__main__":
    main(sys.argv[1])
