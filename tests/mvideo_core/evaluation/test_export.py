import csv
import io
import json
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import pytest

from mvideo_core.evaluation.aggregate import GroupKey
from mvideo_core.evaluation.base import VideoScore
from mvideo_core.evaluation.compare_models import write_comparisons
from mvideo_core.evaluation.export import file_names, to_csv, to_latex, to_markdown, to_vbench, write_exports
from mvideo_core.evaluation.layout import latex_text
from mvideo_core.evaluation.record_files import read_record, write_record
from mvideo_core.evaluation.scores import StoredScore
from mvideo_core.evaluation.suite import SuiteOptions, prepare
from mvideo_core.evaluation.tables import make_table, paper_tables, table_latex, table_markdown, write_table
from mvideo_core.evaluation.video_facts import VideoFacts
from mvideo_core.weights.catalog import entry, find
from tests.mvideo_core.evaluation.results import VBENCH, made

PAPERS = VideoFacts(frames=33, fps=8.0, width_px=720, height_px=480)
"""4 s of table 5."""
LARGE = {"segmenter_options": {"weights": "sam2.1-hiera-large"}}


def test_vbench_units_differ_inside_one_file(tmp_path: Path) -> None:
    values = {"sys": {"imaging_quality": [60.0, 62.0], "overall_consistency": [0.25, 0.27], "mask_miou": [0.5, 0.5]}}
    loaded = made(tmp_path, values)
    found = to_vbench(loaded, GroupKey("", "sys", ""))
    assert sorted(found) == ["imaging_quality", "overall_consistency"]  # S_m is none of VBench's
    assert found["imaging_quality"][0] == pytest.approx(0.61)
    assert found["imaging_quality"][1][0] == {"video_path": "/v/sys/0.mp4", "video_results": 60.0}
    assert found["overall_consistency"][0] == pytest.approx(0.26)
    written = write_exports(loaded, tmp_path)
    assert tmp_path / "vbench" / "sys_eval_results.json" in written


def test_metrics_under_other_names_are_not_passed_off_as_vbenchs(tmp_path: Path) -> None:
    metrics = [{"metric": "temporal_flickering", "as": "imaging_quality"}]
    loaded = made(tmp_path, {"sys": {"imaging_quality": [0.5]}}, metrics=metrics)
    assert to_vbench(loaded, GroupKey("", "sys", "")) == {}
    table = make_table("2", [("r", loaded.result)])
    (row,) = [row for row in table.rows if row.source]
    assert list(row.ours) == ["imaging_quality (own)"]


def test_tables_print_scaled_means_counts_and_reasons(tmp_path: Path) -> None:
    values = {"my_sys": {"temporal_flickering": [0.9, 0.98, None]}}
    loaded = made(tmp_path, values, unavailable={"overall_consistency": "weights are not here"})
    text = to_markdown(loaded.result)
    assert "| overall consistency | my_sys | unavailable | - | - | - | - | - |" in text
    assert "| temporal flickering | my_sys | 94.00* | 2 | 2 | 1 | 0 |  |" in text
    assert "- overall_consistency: weights are not here" in text
    assert r"my\_sys & 94.00* & 2 & 2 & 1 & 0 &  \\" in to_latex(loaded.result)
    rows = list(csv.DictReader(io.StringIO(to_csv(loaded.result))))
    assert float(rows[1]["mean"]) == pytest.approx(94)
    assert (rows[0]["status"], rows[0]["mean"], rows[1]["n_missing"]) == ("unavailable", "", "1")


def test_the_papers_figures_are_those_printed() -> None:
    found = paper_tables()
    assert {number: len(table.rows) for number, table in found.items()} == {"2": 4, "3": 2, "4": 3, "5": 4}
    last = found["2"].rows[3]
    assert (last.model, list(last.figures.values())) == ("MVideo-5b", [26.57, 60.53, 97.19])
    assert [row.figures["mask_miou"] for row in found["3"].rows] == [77.90, 78.34]
    assert found["4"].rows[1].figures["imaging_quality"] == 52.67
    assert [row.figures["motion_smoothness"] for row in found["5"].rows] == [98.20, 97.96, 97.83, 98.07]


def test_rows_without_results_say_so() -> None:
    text = table_markdown(make_table("2", []))
    for name, figure in (("overall consistency", 26.57), ("imaging quality", 60.53), ("motion smoothness", 97.19)):
        assert f"| {name} | MVideo-5b | 12 s x 480 x 720 | {figure:.2f} | no result | - | - | - | - | - |" in text


def test_results_find_their_row_by_system_length_and_test_set(tmp_path: Path) -> None:
    values = {"mvideo-2b": {name: [0.5, 0.5] for name in VBENCH}}
    long = made(tmp_path / "a", values, measured=PAPERS.model_copy(update={"frames": 97}))
    short = made(tmp_path / "b", values, measured=PAPERS)
    rows = make_table("5", [("a", long.result), ("b", short.result)]).rows
    assert [(row.video[:4].strip(), row.source) for row in rows] == [
        ("4 s", "b"), ("8 s", ""), ("12 s", "a"), ("16 s", ""),
    ]  # fmt: skip
    elsewhere = made(tmp_path / "c", values, measured=PAPERS, test_set="complexmotion")
    assert [row.source for row in make_table("5", [("c", elsewhere.result)]).rows] == ["", "", "", "", "c"]


@pytest.mark.parametrize(
    ("measured", "shown"),
    [
        ({"frames": 18, "height_px": 240, "width_px": 360}, "2.1 s x 240 x 360, 8 fps"),
        ({"width_px": 736}, "4 s x 480 x 736, 8 fps"),
        ({"frames": 97, "fps": 24.0}, "4 s x 480 x 720, 24 fps"),
        (None, ""),
    ],
)
def test_a_declared_length_finds_no_row_of_the_paper(
    tmp_path: Path, measured: dict[str, float] | None, shown: str
) -> None:
    """Whatever the manifest declares, only files of the row's length, size and (table 5) rate stand in it."""
    facts = None if measured is None else PAPERS.model_copy(update=measured)
    loaded = made(tmp_path, {"mvideo-2b": {name: [0.5] for name in VBENCH}}, seconds=4.0, measured=facts)
    table = make_table("5", [("r", loaded.result)])
    assert [(row.model, row.video) for row in table.rows if row.source] == [("mvideo-2b", shown)]
    declared = "r: mvideo-2b: the manifest declares 4 s; the table uses the files' length" in table.notes
    assert declared == (shown.startswith("2.1 s"))


def test_only_a_published_sam2_judges_in_the_papers_column(tmp_path: Path) -> None:
    large = entry("sam2.1-hiera-large").files[0].sha256
    facts = PAPERS.model_copy(update={"frames": 97})
    for name, digest, column in (("a", large, "mask_miou"), ("b", "0" * 64, "mask_miou (own)")):
        loaded = made(
            tmp_path / name, {"mvideo-5b": {"mask_miou": [0.5]}}, test_set="complexmotion", measured=facts,
            weights={"mask_miou": digest},
        )  # fmt: skip
        (row,) = [row for row in make_table("3", [(name, loaded.result)]).rows if row.source]
        assert (row.model, list(row.ours)) == ("MVideo-5b", [column])


def test_only_vbenchs_networks_judge_in_the_papers_columns(tmp_path: Path) -> None:
    """The mini ViCLIP under overall_consistency stood beside the paper's 26.57."""
    facts = PAPERS.model_copy(update={"frames": 97})
    for name, weights, column in (
        ("a", "viclip-l-14", "overall_consistency"),
        ("b", str(find("mini", "metric")), "mini_overall_consistency"),
        ("c", "mini", "mini_overall_consistency"),
        ("d", "/elsewhere/viclip", "overall_consistency (own)"),
    ):
        metrics = [{"metric": "overall_consistency", "options": {"weights": weights}}]
        assert prepare(SuiteOptions.parse({"metrics": metrics}))[0].name == column.removesuffix(" (own)")
        values = {"mvideo-5b": {column.removesuffix(" (own)"): [0.2]}}
        loaded = made(tmp_path / name, values, measured=facts, metrics=metrics)
        (row,) = [row for row in make_table("2", [(name, loaded.result)]).rows if row.source]
        assert (row.model, list(row.ours)) == ("MVideo-5b", [column])


def test_stand_ins_have_columns_of_their_own_and_choices_stand_below(tmp_path: Path) -> None:
    metrics = [{"metric": "mask_miou", "as": "mini_mask_miou"}]
    values = {"mvideo-mini": {"mini_mask_miou": [0.5, 0.7]}}
    loaded = made(tmp_path, values, test_set="complexmotion", metrics=metrics)
    table = make_table("3", [("here", loaded.result)])
    assert table.others == {"mini_mask_miou": "S_m (mini)"}
    text = table_markdown(table)
    assert "| S_m (mini) | mvideo-mini |  | complexmotion | - | 60.00 | 2 | 2 | 0 | 0 |  |" in text
    for choice in ("prompts", "protocol", "videos per prompt", "prompt augmentation", "segmenter", "empty frames"):
        assert f"here: {choice}: " in text
    assert "2 videos of 2 prompts, 1 per prompt" in text
    assert [path.name for path in write_table(table, tmp_path)] == [
        "table-3.json", "table-3.md", "table-3.tex", "table-3.csv",
    ]  # fmt: skip
    assert json.loads((tmp_path / "table-3.json").read_text())["rows"][0]["paper"] == {"mask_miou": 77.9}


def test_scores_keep_every_bit_of_their_artifacts(tmp_path: Path) -> None:
    score = VideoScore(value=0.1 + 0.2, per_frame=(None, 1 / 3), artifacts={"predicted.masks": bytes(range(256))})
    stored = StoredScore(metric="m", status="ok", score=score, decides={"video": "abc"})
    write_record(tmp_path / "scores" / "a.json", stored)
    assert read_record(StoredScore, tmp_path / "scores" / "a.json") == stored


def test_latex_holds_whatever_names_and_reasons_hold(tmp_path: Path) -> None:
    assert latex_text(r"a\b{c}~^_%") == r"a\textbackslash{}b\{c\}\textasciitilde{}\textasciicircum{}\_\%"
    loaded = made(tmp_path, {"s": {"mask_miou": [0.5]}}, unavailable={"imaging_quality": "first line\nsecond line"})
    text = table_latex(make_table("3", [("r", loaded.result)]))
    assert "% second line" in text.splitlines()  # still a comment


def test_sampling_stands_with_every_form_of_the_table(tmp_path: Path) -> None:
    facts = VideoFacts(frames=97, fps=8, width_px=720, height_px=480, sampling="dpm, 50 steps, dynamic guidance")
    loaded = made(tmp_path, {"s": {"temporal_flickering": [0.5]}}, measured=facts)
    told = "s: measured: 12 s x 480 x 720, 8 fps; dpm, 50 steps, dynamic guidance"
    assert f"- {told}" in to_markdown(loaded.result).splitlines()
    assert f"% {told}" in to_latex(loaded.result).splitlines()


def test_tables_count_items_that_lack_what_a_metric_needs(tmp_path: Path) -> None:
    loaded = made(tmp_path, {"s": {"mask_miou": [0.5, 0.7, None]}})
    (group,) = loaded.result.groups
    got = group.metrics["mask_miou"].model_copy(update={"n_inapplicable": 4})
    mixed = loaded.result.model_copy(update={"groups": (group.model_copy(update={"metrics": {"mask_miou": got}}),)})
    (row,) = [row for row in make_table("3", [("r", mixed)]).rows if row.source]
    figure = row.ours["mask_miou (own)"]
    assert [figure.text, *figure.counts] == ["60.00*", "2", "2", "1 + 4 inapplicable", "0", ""]


@pytest.mark.parametrize("control", [{"pairing": "shuffled"}, {"subject": "source"}])
def test_controls_never_stand_in_the_papers_column(tmp_path: Path, control: dict[str, Any]) -> None:
    loaded = made(tmp_path, {"s": {"mask_miou": [0.5]}}, metrics=[{"metric": "mask_miou", "options": control | LARGE}])
    table = make_table("3", [("r", loaded.result)])
    (row,) = [row for row in table.rows if row.source]
    assert list(row.ours) == ["mask_miou (own)"]


def test_systems_whose_names_make_one_file_name_have_a_file_each(tmp_path: Path) -> None:
    loaded = made(tmp_path, {"a b": {"temporal_flickering": [0.5]}, "a_b": {"temporal_flickering": [0.7]}})
    written = [path.name for path in write_exports(loaded, tmp_path) if path.parent.name == "vbench"]
    assert written == ["a_b_eval_results.json", "a_b-2_eval_results.json"]


def test_titles_whose_letters_are_not_plain_have_a_file_each() -> None:
    assert file_names(["测试-mask_miou", "样本-mask_miou", "_-mask_miou-2", "A b", "a_b", ""]) == [
        "_-mask_miou", "_-mask_miou-2", "_-mask_miou-2-2", "A_b", "a_b-2", "unnamed",
    ]  # fmt: skip


def test_every_test_set_has_a_plot_of_its_own(tmp_path: Path) -> None:
    values = {"a": {"temporal_flickering": [0.5, 0.6]}, "b": {"temporal_flickering": [0.7, 0.8]}}
    sets = [made(tmp_path / str(n), values, test_set=name) for n, name in enumerate(("测试", "样本"))]
    groups = tuple(group for one in sets for group in one.result.groups)
    both = sets[0]._replace(
        result=sets[0].result.model_copy(update={"groups": groups}),
        rows=sets[0].rows + sets[1].rows,
        items=sets[0].items + sets[1].items,
    )
    plots = [path for path in write_comparisons(both, tmp_path) if path.suffix == ".svg"]
    titles = [next(ET.parse(path).getroot().iter("{http://www.w3.org/2000/svg}text")).text for path in plots]
    assert titles == ["temporal flickering, 测试", "temporal flickering, 样本"]
