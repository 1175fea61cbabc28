"""`python -m mvideo_core.miniworld.world FOLDER`: create a world and its gallery."""

import argparse
import logging

from mvideo_core.base.one_line import errors_in_one_line
from mvideo_core.miniworld.world.gallery import make_gallery
from mvideo_core.miniworld.world.make import make_world
from mvideo_core.miniworld.world.sample import SPLITS


def main(argv: list[str] | None = None) -> None:
    """Create the world and print the path of its gallery."""
    parser = argparse.ArgumentParser(prog="python -m mvideo_core.miniworld.world", description=__doc__)
    parser.add_argument("folder")
    parser.add_argument("--videos", type=int, default=4)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--split", choices=SPLITS, default="heldout")
    parser.add_argument("--shots", type=int, default=None, help="shots per video; default: 3 to 5, by seed")
    parser.add_argument("--unseen-frac", type=float, default=None, help="fraction of shots with a class outside COCO")
    given = parser.parse_args(argv)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    make_world(given.folder, given.videos, given.seed, given.split, given.unseen_frac, given.shots)
    print(make_gallery(given.folder))


if __name__ == "__main__":
    with errors_in_one_line():
        main()
