import csv

from mvideo_core.evaluation.testsets.mask_to_video import UNSEEN
from mvideo_core.paper.material import list_sets, pipeline_overrides, sets_to_build, source_of, workspace_of
from mvideo_core.paper.options import MaterialOptions, PaperOptions


def test_sets_that_no_table_shows_are_not_built():
    assert list_sets(PaperOptions(tables=("2", "5"))) == ["train"]
    assert list_sets(PaperOptions(tables=("3",), test_sets=("complexmotion",))) == ["train", "complex"]
    ready = PaperOptions(train=MaterialOptions(workspace="there"), tables=("2",))
    assert sets_to_build(ready) == []
    assert workspace_of(ready, "root", "train") == "there"


def test_test_sets_ask_for_their_own_classes():
    options = PaperOptions(unseen=MaterialOptions(pipeline={"detect": {"box_threshold": 0.4}}))
    assert pipeline_overrides(options, "unseen")["detect"] == {"classes": list(UNSEEN), "box_threshold": 0.4}
    assert pipeline_overrides(options, "complex")["detect"] == {"classes": ["person"]}
    assert pipeline_overrides(options, "train") == {}


def test_complex_motion_follows_what_the_table_names(tmp_path):
    folder = tmp_path / "videos"
    folder.mkdir()
    for name in ("jump.mp4", "still.mp4"):
        (folder / name).write_bytes(b"not looked at here")
    table = tmp_path / "objects.csv"
    with table.open("w", newline="") as stream:
        csv.writer(stream).writerows([["file", "objects"], ["jump.mp4", "person"]])
    options = PaperOptions(complex=MaterialOptions(folder=str(folder), objects_csv=str(table)))
    source = source_of(options, tmp_path / "root", "complex")
    lines = (tmp_path / "root" / "complex" / "manifest.jsonl").read_text().splitlines()
    assert source.manifest.endswith("complex/manifest.jsonl")
    assert len(lines) == 1
    assert '"person"' in lines[0]
    assert "jump.mp4" in lines[0]
