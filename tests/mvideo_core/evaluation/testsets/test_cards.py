"""Every card of the project, and the texts that must agree with them."""

from pathlib import Path

import pytest
import yaml

from mvideo_core.base.errors import ConfigError
from mvideo_core.base.options import Options
from mvideo_core.evaluation.testsets import (
    ComplexMotionOptions,
    MaskToVideoOptions,
    VBenchOptions,
    card_path,
    read_card,
    read_cards,
)
from mvideo_core.evaluation.testsets.mask_to_video import UNSEEN
from mvideo_core.perception.detection.coco import COCO80
from mvideo_core.shards import ShardOptions

FOLDER = card_path("coco80").parent
CARDS = sorted(FOLDER.glob("*.yaml"))
BUILDERS = {
    "shard": ShardOptions, "mask-to-video-test": MaskToVideoOptions, "complexmotion": ComplexMotionOptions,
    "vbench-prompts": VBenchOptions,
}  # fmt: skip


@pytest.mark.parametrize("path", CARDS, ids=lambda path: path.stem)
def test_every_card_is_whole_and_its_options_are_real(path):
    card = read_card(path)
    for name, values in card.options.items():
        options = _options_of(name)
        assert options.parse(values, f"{path}: {name}").model_dump(include=set(values)) == values


def _options_of(name: str) -> type[Options]:
    if name in BUILDERS:
        return BUILDERS[name]
    from mvideo_core.engine import STAGES

    return STAGES.get(name).options


def test_the_six_cards_are_there():
    names = {path.stem for path in CARDS}
    assert {"coco80", "unseen", "hd-vila", "mask-to-video-test", "complexmotion", "vbench-prompts"} <= names
    assert not (FOLDER / "__init__.py").exists()


def test_names_agree_with_the_code_and_with_each_other():
    assert [one.name for one in read_card(FOLDER / "coco80.yaml").classes] == list(COCO80)
    unseen = read_card(FOLDER / "unseen.yaml")
    assert [one.name for one in unseen.classes] == list(UNSEEN)
    assert not set(unseen.terms()) & set(COCO80)
    assert read_card(FOLDER / "hd-vila.yaml").options["shard"]["exclude_terms"] == unseen.terms()
    built = read_card(FOLDER / "mask-to-video-test.yaml").options["mask-to-video-test"]
    assert sorted({*built["classes"], *built["synonyms"]}) == unseen.terms()


def test_sizes_are_those_of_table_1_of_the_paper():
    said = {
        name: {one.what: one.count for one in read_card(FOLDER / f"{name}.yaml").counts if one.stated_by == "the paper"}
        for name in ("hd-vila", "mask-to-video-test", "complexmotion", "vbench-prompts")
    }
    assert [list(one.values()) for one in said.values()] == [[400_000], [500], [200], [100]]


def changed(tmp_path: Path, name: str = "coco80", **changes) -> Path:
    values = yaml.safe_load((FOLDER / "coco80.yaml").read_text())
    values.update(changes)
    path = tmp_path / f"{name}.yaml"
    path.write_text(yaml.safe_dump({key: value for key, value in values.items() if value is not None}))
    return path


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"consent_basis": None}, "consent_basis: Field required"),
        ({"licenses": []}, "licenses: List should have at least 1 item"),
        ({"color": "blue"}, "color: Extra inputs are not permitted"),
        ({"classes": [{"name": "dog"}, {"name": "dog"}]}, "duplicate class name"),
        ({"name": "other"}, "it must match the file name"),
    ],
)
def test_a_card_with_a_gap_is_refused(tmp_path, changes, words):
    with pytest.raises(ConfigError, match=words):
        read_card(changed(tmp_path, **changes))


def test_folders_are_read_by_name(tmp_path):
    changed(tmp_path)
    assert list(read_cards(tmp_path)) == ["coco80"]
    with pytest.raises(ConfigError, match=r"absent\.yaml: no such data card"):
        card_path("absent")
