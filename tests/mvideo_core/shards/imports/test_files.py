import pytest

from mvideo_core.base.errors import MediaError
from mvideo_core.shards.imports._files import source_of


@pytest.mark.parametrize(
    ("given", "license_text"),
    [
        ({"licence": "CC0"}, "CC0"),
        ({"license": "CC0"}, "CC0"),
        ({"licence": None, "license": "CC0"}, "CC0"),
        ({"licence": "CC0", "license": "MIT"}, "CC0"),
        ({}, ""),
    ],
)
def test_the_license_of_a_source_has_either_spelling(given: dict[str, str | None], license_text: str) -> None:
    assert source_of({"video_id": "a", **given})["licence"] == license_text


def test_a_license_that_is_no_text_is_refused() -> None:
    with pytest.raises(MediaError, match="its `license` is 5; expected Unicode text"):
        source_of({"license": 5})
