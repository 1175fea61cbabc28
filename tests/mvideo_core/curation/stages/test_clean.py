"""The stage `clean` in a workspace: what it keeps, what later stages see, and that leaving it out changes nothing."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from mvideo_core.base.errors import ConfigError
from mvideo_core.base.options import Options
from mvideo_core.base.records import CleanRow, Row
from mvideo_core.curation.ingest.sources import SourceOptions
from mvideo_core.curation.pipeline import PipelineOptions, load_profile, stages_to_run
from mvideo_core.curation.stages.sources import plan_sources
from mvideo_core.engine import STAGES
from mvideo_core.engine.chain import in_use
from mvideo_core.engine.part import run_part
from mvideo_core.engine.run import run_stage
from mvideo_core.engine.stage import Item, Stage, StageContext, Worker
from mvideo_core.media.encode import write_mp4
from mvideo_core.pages.data_report.build import build_report
from mvideo_core.store.workspace import Workspace
from tests.e2e.tiny import draw_videos, write_profile

FILTERS = {"motion": {}, "frozen": {}, "exposure": {}}


class SeenRow(Row):
    """A clip that a later stage saw."""


class SeeWorker(Worker):
    """Writes a row for each clip."""

    def __init__(self, _options: Options, _context: StageContext):
        pass

    def work(self, items: Sequence[Item]) -> list[list[Row]]:
        return [[SeenRow(key=item.key, parent=item.key)] for item in items]


LATER = Stage(
    name="later", revision=1, reads=("cut", "clean"), options=Options, row=SeenRow, resource="cpu", open=SeeWorker
)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with two good videos of two shots, a slide and a dark one, and a profile."""
    place = tmp_path_factory.mktemp("clean")
    draw_videos(place / "videos", 2)
    slide = np.kron(np.random.default_rng(5).integers(40, 216, (8, 12, 3)), np.ones((8, 8, 1))).astype(np.uint8)
    write_mp4([slide] * 24, place / "videos/slide.mp4", 8)
    dark = [np.roll(slide // 10, 2 * t, axis=1) for t in range(24)]
    write_mp4(dark, place / "videos/dark.mp4", 8)
    write_profile(place / "tiny.yaml", {"detector": "", "segmenter": ""})
    return place


def options(place: Path, **filters: dict[str, float]) -> PipelineOptions:
    return load_profile(str(place / "tiny.yaml"), {"clean": {"filters": filters}})


def fresh(place: Path, path: Path) -> Workspace:
    """A workspace with clips."""
    workspace, chosen = Workspace(str(path)), options(place)
    plan_sources(workspace, SourceOptions(folder=str(place / "videos")), chosen.plan)
    for name in ("ingest", "cut"):
        run_stage(workspace, STAGES.get(name), chosen.of(name))
    return workspace


def run(workspace: Workspace, chosen: PipelineOptions) -> dict[str, str | None]:
    """Clip -> reason, None if kept, after the stage ran as in a full run."""
    assert "clean" in stages_to_run(workspace, chosen)
    run_stage(workspace, STAGES.get("clean"), chosen.of("clean"))
    return {row.key: row.reason for row in workspace.current_rows("clean", CleanRow)}


def later(workspace: Workspace) -> dict[int, str]:
    """Key of each part of a later stage."""
    return {index: run_part(workspace, LATER, index, Options()).marker.key for index in range(workspace.n_parts() or 0)}


def test_dirty_clips_are_dropped_with_their_reason_and_every_value(place: Path, tmp_path: Path) -> None:
    workspace = fresh(place, tmp_path / "ws")
    found = run(workspace, options(place, **FILTERS))
    assert {key.partition("_")[0]: reason for key, reason in found.items()} == {
        "dark": "exposure", "slide": "frozen", "video0": None, "video1": None,
    }  # fmt: skip
    rows = {row.key: row for row in workspace.current_rows("clean", CleanRow)}
    slide = next(row for key, row in rows.items() if key.startswith("slide"))
    values = {one.name: one.value for one in slide.values}
    assert values == {"frozen": 1.0, "motion": pytest.approx(0, abs=0.01), "exposure": pytest.approx(128, abs=20)}
    assert (slide.value, slide.threshold) == (1.0, 0.3)
    later(workspace)
    seen = {row.key for index in range(workspace.n_parts() or 0) for row in rows_of(workspace, index)}
    assert seen == {key for key, reason in found.items() if reason is None}


def rows_of(workspace: Workspace, index: int) -> list[Row]:
    marker = workspace.current("later", index)
    assert marker is not None
    return list(workspace.rows(marker, SeenRow))


def test_leaving_it_out_gives_later_stages_the_keys_of_a_workspace_that_never_had_it(
    place: Path, tmp_path: Path
) -> None:
    workspace = fresh(place, tmp_path / "ws")
    never = later(workspace)
    run(workspace, options(place, **FILTERS))
    with_filters = later(workspace)
    assert set(with_filters.values()).isdisjoint(never.values())
    assert in_use(workspace, ("cut", "clean", "detect")) == ("cut", "clean", "detect")
    assert "clean" not in stages_to_run(workspace, options(place))
    assert in_use(workspace, ("cut", "clean", "detect")) == ("cut", "detect")
    assert later(workspace) == never
    assert run(workspace, options(place, **FILTERS))
    assert later(workspace) == with_filters


def test_another_threshold_that_keeps_the_same_clips_does_not_repeat_later_stages(place: Path, tmp_path: Path) -> None:
    workspace = fresh(place, tmp_path / "ws")
    kept = run(workspace, options(place, **FILTERS))
    before = later(workspace)
    assert run(workspace, options(place, **FILTERS | {"exposure": {"min_mean": 52}, "sharpness": {}})) == kept
    assert later(workspace) == before


def test_running_it_without_filters_is_refused(place: Path, tmp_path: Path) -> None:
    workspace = fresh(place, tmp_path / "ws")
    with pytest.raises(ConfigError, match=r"stage clean: its options are empty.*set clean\.\*"):
        run_stage(workspace, STAGES.get("clean"), options(place).of("clean"))


def test_the_report_has_a_histogram_per_filter_and_pictures_of_dropped_clips(place: Path, tmp_path: Path) -> None:
    workspace = fresh(place, tmp_path / "ws")
    run(workspace, options(place, **FILTERS))
    page = build_report(workspace).path
    folder = (tmp_path / "ws" / page).parent
    html = (tmp_path / "ws" / page).read_text()
    assert all(f"<figcaption>{title}</figcaption>" in html for title in ("Mean luma", "Fraction of frozen frames"))
    n_clips = len(list(workspace.current_rows("clean", CleanRow)))
    assert html.count(f"{n_clips} values, ") >= 3  # dropped clips are in the distribution
    assert "; limits 50 and 210</p>" in html  # of exposure
    assert html.count('class="limit"') == 4  # frozen and motion have one each, exposure has two
    pictures = sorted(path.name for path in (folder / "media").glob("*-dropped.png"))
    assert [name.partition("_")[0] for name in pictures] == ["dark", "slide"]
    assert all(f'src="media/{name}"' in html for name in pictures)
