import pytest
from prefect.utilities.names import generate_slug

from mvideo.flows._naming import is_made_up, name_of


@pytest.mark.parametrize(
    ("parameters", "name"),
    [
        ({"workspace": "build/demo/workspace", "profile": "mini"}, "demo/workspace, mini"),
        ({"workspace": "/ws", "profile": "/etc/profiles/ours.yaml"}, "ws, ours"),
        ({"workspace": "s3://bucket/sets/a", "profile": ""}, "sets/a"),
        ({"workspace": "a/b", "profile": "mini", "parts": [0, 1, 2, 3]}, "a/b, mini, parts 0-3"),
        ({"workspace": "", "out": "/runs/seven", "profile": "mvideo-2b"}, "runs/seven, mvideo-2b"),
        ({"out": "scores", "suite": "paper", "part": "1/4"}, "scores, paper, part 1/4"),
        ({"out": "r", "profile": "mini", "job": "prompts/base/1-clips"}, "r, mini, prompts/base/1-clips"),
        ({"out": "build/demo/video", "workspace": ""}, "demo/video"),
    ],
)
def test_a_run_is_named_after_its_folder_its_profile_and_its_piece(parameters: dict[str, object], name: str) -> None:
    assert name_of(parameters) == name


def test_every_name_that_the_server_makes_up_is_known() -> None:
    assert [name for name in (generate_slug(2) for _ in range(3000)) if not is_made_up(name)] == []


def test_names_that_the_form_makes_up_are_known() -> None:
    """Two parts, or three, as the script of Prefect 3.9.1's UI joins them."""
    for name in ("tau4-virchow", "alpha-andromedae", "xi812-virchow-nebula", "beta-canis-majoris-x", "mu-barad-dur"):
        assert is_made_up(name)


def test_names_that_were_asked_for_are_kept() -> None:
    """Among them all that have two lowercase words but are none of coolname's adjectives with one of its animals."""
    for asked_for in (
        "cut parts 0-3", "tuesday", "score part 1 of 4", "run-7", "nightly/set-a", "nightly-build", "smoke-test",
        "first-try", "blue-green", "otter-wise", "wise-build", "test-otter", "full-set",
    ):  # fmt: skip
        assert not is_made_up(asked_for), asked_for
