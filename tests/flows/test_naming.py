import pytest

from mvideo.flows._naming import GIVEN_BY_NOBODY, name_of


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


def test_made_up_names_are_distinguished_from_names_that_were_asked_for() -> None:
    assert all(GIVEN_BY_NOBODY.fullmatch(name) for name in ("wise-otter", "tau4-virchow"))
    for asked_for in ("cut parts 0-3", "tuesday", "score part 1 of 4", "run-7", "nightly/set-a"):
        assert not GIVEN_BY_NOBODY.fullmatch(asked_for)
