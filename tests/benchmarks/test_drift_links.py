"""The meter of links: a fault shows in its own link and in no other, and the verdict follows."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from benchmarks.drift_links import (
    EXACT,
    JOINS,
    TOLERANCE,
    Fault,
    MeteredPipeline,
    Normal,
    attribute,
    draw_fault,
    measure,
    prepare,
    run_chain,
)
from mvideo_core.cogvideox.base import BaseOptions, load_base
from mvideo_core.evaluation.drift_meter import STATISTICS

NONE = np.zeros(len(STATISTICS))


@pytest.fixture(scope="module")
def setting() -> Any:
    torch.set_num_threads(1)
    pipeline: Any = MeteredPipeline.from_base(load_base(BaseOptions(weights="random:tiny-sincos", dtype="fp32")))
    pipeline.set_progress_bar_config(disable=True)
    return prepare(pipeline, 1, joins=3)


@pytest.mark.parametrize("link", EXACT)
def test_a_fault_shows_in_its_own_link_only(setting: Any, link: str) -> None:
    notes = run_chain(setting, 0, Fault(link, "offset", 40.0, 1))
    for other in EXACT:
        excess = np.abs(notes.mean(other)).max()
        if other == link:
            assert excess > 0.01, other
        else:
            assert excess == 0, other


def test_a_fault_of_the_decoder_is_measured_in_gray_levels(setting: Any) -> None:
    """20 levels on green: its mean moves by 20, red's by 0."""
    notes = run_chain(setting, 0, Fault("decode", "offset", 20.0, 1))
    assert notes.mean("decode")[1] == pytest.approx(20, abs=0.5)
    assert notes.mean("decode")[0] == 0


@pytest.mark.slow
def test_the_denoisers_fault_leaves_the_other_links_alone(setting: Any) -> None:
    notes, clean = run_chain(setting, 0, Fault("denoiser", "offset", 40.0, 1)), run_chain(setting, 0, None)
    assert not np.array_equal(notes.clips[0][1], clean.clips[0][1])
    assert all(np.abs(notes.mean(link)).max() == 0 for link in EXACT)


def drawn_chain(random: np.random.Generator, fault: float = 0.0) -> np.ndarray:
    """Six clips (K, 2, S) that each return halfway to 100, plus noise of 2 levels, plus the fault."""
    clips, given = [], random.normal(100, 5, len(STATISTICS))
    for _ in range(6):
        own = 50 + 0.5 * given + random.normal(0, 2, len(STATISTICS)) + fault
        clips.append((given, own))
        given = own
    return np.array(clips)


def test_verdicts_on_drawn_chains() -> None:
    """A fault of 8 levels per clip is found, also in a chain that has settled on its new colors; its absence is not."""
    random = np.random.default_rng(0)
    normal = Normal.of(np.array([drawn_chain(random) for _ in range(40)]))
    assert normal.slope_S == pytest.approx(0.5, abs=0.15)
    none = dict.fromkeys(EXACT, NONE)
    assert attribute(none, drawn_chain(random), normal) == "none"
    faulty = drawn_chain(random, 8.0)
    assert attribute(none, faulty, normal) == "denoiser"
    settled = np.stack([faulty[-1]] * 6)
    settled[:, 0] = settled[:, 1]
    assert attribute(none, settled, normal) == "denoiser"
    for link in EXACT:
        assert attribute(none | {link: NONE + 2 * TOLERANCE}, faulty, normal) == link


def test_the_limit_comes_from_chains_without_a_fault_only() -> None:
    """3.65: Student's t with 28 degrees of freedom at 1 - 0.01 / 16 is 3.59, times sqrt(30 / 29)."""
    random = np.random.default_rng(1)
    normal = Normal.of(np.array([drawn_chain(random) for _ in range(29)]))
    assert normal.limit == pytest.approx(3.59 * (30 / 29) ** 0.5, abs=0.005)
    many = Normal.of(np.array([drawn_chain(random) for _ in range(3000)]))
    assert many.limit == pytest.approx(3.23, abs=0.01)  # of the normal distribution


def test_about_one_chain_in_a_hundred_without_a_fault_is_blamed() -> None:
    """200 calibrations of 29 chains each, with 20 further chains each: about 40 of 4000."""
    random = np.random.default_rng(2)
    blamed = 0
    for _ in range(200):
        normal = Normal.of(np.array([drawn_chain(random) for _ in range(29)]))
        further = [normal.excess(drawn_chain(random)) for _ in range(20)]
        blamed += sum(normal.distance(excess_S) > normal.limit for excess_S in further)
    assert 20 <= blamed <= 60


def test_faults_by_hand() -> None:
    frames = np.full((1, 4, 4, 3), 100, np.uint8)
    frames[:, :2] = 60
    assert Fault("x", "gain", 0.1, 0).apply(frames)[0, 0, 0].tolist() == pytest.approx([66, 60, 60])
    assert Fault("x", "offset", -5, 2).apply(frames)[0, 3, 0].tolist() == [100, 100, 95]
    assert Fault("x", "contrast", 0.5, 0).apply(frames)[0, ::3, 0, 0].tolist() == [50, 110]
    assert Fault("x", "blur", 1.0, 0).apply(frames)[0, 1, 0, 0] > 60
    drawn = [draw_fault(np.random.default_rng(n), "motion") for n in range(40)]
    assert {one.kind for one in drawn} == {"gain", "offset", "contrast", "blur"}


def test_new_faults_keep_the_chains_without_one(setting: Any, tmp_path: Path) -> None:
    kept = tmp_path / "links.json"
    kept.write_text(json.dumps({"joins": JOINS, "seed": 1, "clean": ["chain"], "trials": ["trial"]}))
    assert measure(setting, 1, 0, 1, kept)["trials"] == ["trial"]
    found = measure(setting, 1, 0, 2, kept)
    assert (found["clean"], found["trials"], found["seed"]) == (["chain"], [], 2)
    kept.write_text(json.dumps({"joins": JOINS + 1, "seed": 1, "clean": [], "trials": []}))
    with pytest.raises(SystemExit, match="another length"):
        measure(setting, 0, 0, 1, kept)
