"""Python snippets of the pages do what the sentence above them says."""

import re
from pathlib import Path

import pytest
import yaml

from mvideo_core.curation.pipeline import load_profile
from mvideo_core.editing.recipe import load_recipe
from mvideo_core.engine import STAGES
from mvideo_core.engine.part import stage_settings
from mvideo_core.store.workspace import Workspace
from tests.mvideo_core.engine.finished import finish
from tests.reference import REPOSITORY


def snippet(page: str, word: str) -> str:
    """The one Python block of a page that holds a word."""
    text = (REPOSITORY / "docs" / page).read_text(encoding="utf-8")
    (block,) = [block for block in re.findall(r"```python\n(.*?)```", text, re.DOTALL) if word in block]
    return block


def test_the_rows_of_the_reference_are_the_current_ones(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    finish(Workspace(str(tmp_path / "ws")), tmp_path, {"a": 3, "b": 4})
    rows = tmp_path / "ws" / "rows" / "cut"
    for path in list(rows.glob("*.parquet")):
        (rows / f"old-{path.name}").write_bytes(path.read_bytes())  # as after other options
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    exec(snippet("reference/dataset.md", "current_rows"), names)
    assert names["counts"] == {"ok": 7}


def test_the_python_way_of_the_reference_has_the_settings_of_the_command_line() -> None:
    block = snippet("reference/dataset.md", 'STAGES.get("detect")')
    names: dict[str, object] = {}
    exec(block.replace('run_stage(Workspace("ws"), ', "asked = (").replace(").detect)", ").detect, )"), names)
    stage, options = names["asked"]  # type: ignore[misc]
    detect = STAGES.get("detect")
    assert stage_settings(stage, options) == stage_settings(detect, load_profile("mini").detect)
    assert stage_settings(stage, options) != stage_settings(detect, type(options)())


def test_the_recipe_that_masks_md_links_makes_the_rows_of_its_picture() -> None:
    recipe = load_recipe(str(REPOSITORY / "docs" / "images" / "mask-edits.yaml"))
    assert [*recipe.inputs, *recipe.variants] == ["horse", "dancer", "zoom_out", "uphill", "together"]


def test_no_prompt_of_a_shipped_recipe_is_cut_at_a_comma() -> None:
    for path in (REPOSITORY / "mvideo_core" / "editing" / "recipes").glob("*.yaml"):
        variants = yaml.safe_load(path.read_text(encoding="utf-8"))["variants"].values()
        prompts = [prompt for variant in variants for prompt in variant["prompts"]]
        assert prompts
        assert [prompt for prompt in prompts if not (prompt[0].isupper() and prompt.endswith("."))] == [], path.name
