"""Two squares: object 0, side 10, and object 1, side 6, in a frame of 80 x 60."""

import numpy as np

from mvideo_core.masks import MaskSequence, encode

HEIGHT, WIDTH, N_FRAMES = 60, 80, 17
SIDES = (10, 6)


def squares(x0_T: object = 10, x1_T: object = 60, y0_T: object = 10, y1_T: object = 40) -> MaskSequence:
    """Left and upper edges of the two, px, one number or one per frame; a negative one = not there."""
    masks = np.zeros((N_FRAMES, 2, HEIGHT, WIDTH), bool)
    for n, (x_T, y_T) in enumerate(((x0_T, y0_T), (x1_T, y1_T))):
        xs, ys = np.broadcast_to(np.asarray(x_T, int), N_FRAMES), np.broadcast_to(np.asarray(y_T, int), N_FRAMES)
        for t in range(N_FRAMES):
            if xs[t] >= 0:
                masks[t, n, ys[t] : ys[t] + SIDES[n], xs[t] : xs[t] + SIDES[n]] = True
    return encode(masks)
