"""Which samples a run saw, and training again without one of them, bit for bit."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file

from mvideo_core.base.errors import ConfigError
from mvideo_core.training import main
from mvideo_core.training.checkpoint import ADAPTER, OPTIMIZER, list_complete, weights_of
from mvideo_core.training.latents.cache import LatentDataset
from mvideo_core.training.latents.info import INFO_NAME
from mvideo_core.training.ledger import find_runs, first_difference, open_course, uses_of
from mvideo_core.training.options import TrainOptions
from tests.fixtures.drawn_latents import draw_latents

Make = Callable[..., TrainOptions]
STEPS = 5
HASHED: dict[str, Any] = {
    "steps": STEPS, "global_batch": 1, "micro_batch": 1, "data": {"order": "hashed"}, "checkpoints": {"every": 1},
}  # fmt: skip


def folder(options: TrainOptions, step: int) -> Path:
    return Path(options.out) / "checkpoints" / f"step-{step:08d}"


def seen_late(options: TrainOptions) -> int:
    """Number of a clip that is first used in step 3, as the course says."""
    course = open_course(options)
    (index,) = course.order.step(2)
    return int(str(course.dataset.keys[index]).removeprefix("clip"))


def without(tmp_path: Path, number: int) -> dict[str, str]:
    return {"latents": str(draw_latents(tmp_path / "without", skip=[number]))}


def same_training(one: Path, other: Path) -> bool:
    weights = [weights_of(path, ADAPTER) for path in (one, other)]
    moments = [load_file(path / OPTIMIZER) for path in (one, other)]
    return all(
        first.keys() == second.keys() and all(first[name].equal(second[name]) for name in first)
        for first, second in (weights, moments)
    )


def test_training_again_from_before_the_first_use_equals_training_without_it(tiny: Make, tmp_path: Path) -> None:
    options = tiny(**HASHED)
    number = seen_late(options)
    main.train(options)
    (run,) = find_runs([tmp_path])
    use = uses_of(run, lambda key, _video: key == f"clip{number:03d}")
    assert use is not None
    assert use.unknown == ""
    assert [(one.key, one.steps, one.held_out) for one in use.samples] == [(f"clip{number:03d}", [3], False)]
    assert (use.clean, use.saw) == ("step-00000002", [f"step-{step:08d}" for step in (3, 4, 5)])
    data = without(tmp_path, number) | {"order": "hashed"}
    assert first_difference(open_course(options), open_course(tiny(**HASHED | {"data": data})), STEPS) == 2
    for name in use.saw:
        shutil.rmtree(run / "checkpoints" / name)
    again = tiny(**HASHED | {"data": data, "allow": ["data.latents"]})
    main.train(again)
    never = tiny("never", **HASHED | {"data": data})
    main.train(never)
    assert same_training(folder(again, STEPS), folder(never, STEPS))
    assert not same_training(folder(again, STEPS), folder(again, STEPS - 1))


def test_permuted_epochs_change_from_the_first_step_on(tiny: Make, tmp_path: Path) -> None:
    options = tiny(**HASHED | {"data": {"order": "permuted"}})
    data = without(tmp_path, seen_late(options)) | {"order": "permuted"}
    courses = open_course(options), open_course(tiny(**HASHED | {"data": data}))
    assert first_difference(*courses, 50) < 2
    assert first_difference(courses[0], courses[0], 50) == 50


def test_a_clip_that_is_held_out_was_never_trained_on(tiny: Make) -> None:
    options = tiny(steps=2)
    main.train(options)
    course = open_course(options)
    held = course.dataset.keys[course.split.held[0]]
    use = uses_of(Path(options.out), lambda key, _video: key == held)
    assert use is not None
    assert [(one.steps, one.held_out) for one in use.samples] == [([], True)]
    assert (use.saw, use.clean) == ([], "step-00000002")
    assert uses_of(Path(options.out), lambda key, _video: key == "clip999") is None


def test_steps_that_cannot_be_known_are_not_guessed(tiny: Make, latents: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(latents, copy)
    options = tiny(steps=2, data={"latents": str(copy)})
    main.train(options)
    names = [path.name for path in list_complete(Path(options.out) / "checkpoints")]
    shutil.rmtree(copy)
    use = uses_of(Path(options.out), lambda _key, _video: True)
    assert use is not None
    assert (use.unknown, use.saw, use.clean) == (f"the latents {copy} are not there", names, "")
    draw_latents(copy, seed=1)
    use = uses_of(Path(options.out), lambda _key, _video: True)
    assert use is not None
    assert f"the latents {copy} have changed" in use.unknown
    (copy / INFO_NAME).write_text("{")
    use = uses_of(Path(options.out), lambda _key, _video: True)
    assert use is not None
    assert use.unknown.startswith(
        f"the latents {copy} cannot be read ({copy}/{INFO_NAME}: not a description of latents"
    )


def test_another_order_on_resume_is_refused(tiny: Make, latents: Path) -> None:
    main.train(tiny(steps=1))
    with pytest.raises(ConfigError, match=r"data\.order: none then, hashed now.*--allow data\.order"):
        main.train(tiny(steps=2, data={"order": "hashed"}))
    assert len(LatentDataset(str(latents)).videos) == 6
