import hashlib
import json

import pytest

from mvideo_core.base.errors import ConfigError
from mvideo_core.evaluation.testsets import VBenchOptions, choose_prompts, read_full_info


@pytest.fixture
def info(tmp_path):
    """A file of the suite's form: 93 of one dimension (two equal but for case), 72 of another."""
    entries = [
        {"prompt_en": f"scene {n}", "dimension": ["overall_consistency", "imaging_quality"], "auxiliary_info": {"a": n}}
        for n in range(91)
    ]
    entries += [{"prompt_en": text, "dimension": ["overall_consistency"]} for text in ("A Land", "a land")]
    entries += [{"prompt_en": f"cat {n}", "dimension": ["motion_smoothness"]} for n in range(72)]
    path = tmp_path / "VBench_full_info.json"
    path.write_text(json.dumps(entries))
    return path


def chosen(info, **options):
    prompts, sha256 = read_full_info(info)
    return choose_prompts(prompts, sha256, VBenchOptions(**options))


def test_fewer_than_wanted_are_all_taken_and_said(info):
    found = chosen(info)
    assert (found.available, found.wanted, len(found.prompts)) == (93, 100, 93)
    assert [one.index for one in found.prompts] == list(range(93))
    assert found.prompts[1].auxiliary_info == {"a": 1}
    assert found.file_sha256 == hashlib.sha256(info.read_bytes()).hexdigest()


def test_more_than_wanted_are_drawn_by_seed_in_the_files_order(info):
    both = ["overall_consistency", "motion_smoothness"]
    found = chosen(info, dimensions=both, count=100)
    assert (found.available, len(found.prompts)) == (165, 100)
    assert [one.index for one in found.prompts] == sorted(one.index for one in found.prompts)
    assert chosen(info, dimensions=both, count=100) == found
    assert chosen(info, dimensions=both, count=100, seed=1).prompts != found.prompts
    assert found.options["seed"] == 0
    assert "full_info" not in found.options  # a path of one machine is no part of the choice


def test_prompts_equal_but_for_case(info):
    merged = chosen(info, merge_equal=True)
    assert merged.available == 92
    assert [one.prompt for one in merged.prompts if "and" in one.prompt.lower()] == ["A Land"]


def test_absent_and_foreign_files_and_unknown_dimensions_are_named(info, tmp_path):
    with pytest.raises(ConfigError, match=r"github\.com/Vchitect/VBench"):
        read_full_info("")
    (tmp_path / "other.json").write_text('{"a": 1}')
    with pytest.raises(ConfigError, match="prompt_en, dimension"):
        read_full_info(tmp_path / "other.json")
    with pytest.raises(ConfigError, match=r"no prompt has the dimension 'colour'; the file has: imaging_quality 91, "):
        chosen(info, dimensions=["colour"])
