from pathlib import Path

from benchmarks.stops import WITHIN_S, write_long_profile
from mvideo_core.curation.pipeline import PART_STAGES, load_profile
from mvideo_core.engine import STAGES


def test_every_stage_runs_and_is_stopped(tmp_path: Path) -> None:
    profile = tmp_path / "tiny.yaml"
    write_long_profile(profile, {"detector": "unused", "segmenter": "unused"}, n_videos=1)
    options = load_profile(str(profile))
    runs = [name for name in PART_STAGES if (enabled := STAGES.get(name).enabled) is None or enabled(options.of(name))]
    assert runs == list(PART_STAGES) == list(WITHIN_S)
