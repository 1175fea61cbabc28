"""Files that people bring are read and listed by `base/listing.py`; every other call is known here, with its reason."""

import ast
from pathlib import Path

ROOT = Path(__file__).parents[3]
CALLS = {"splitlines", "glob", "rglob", "iterdir", "listdir", "scandir", "walk"}
OTHERS = {
    "what another program, or a docstring of ours, says": """
        base/cpu_kernels.py base/gpus.py curation/scenes/stream.py doctor/checks/gpu.py doctor/checks/media.py
        editing/operations/__init__.py evaluation/vbench_backend.py media/ffmpeg.py media/graph.py
        miniworld/training/checkpoint.py miniworld/training/detector.py miniworld/training/detector_eval.py
        perception/segmentation/trust.py processes/sandbox.py training/failures.py weights/hub.py
        weights/reading.py deployments/_processes.py""",
    "notes of ours become comments, line by line": """
        evaluation/export.py evaluation/tables.py evaluation/testsets/samples.py""",
    "bytes, which end at newlines alone": "store/journal.py training/launch.py",
    "files of ours, by their names, in folders of ours": """
        base/disk.py cogvideox/base.py generation/output.py miniworld/training/base_export.py
        miniworld/training/drawn_shards.py miniworld/world/make.py pages/data_report/build.py pages/studio/job.py
        paper/videos.py store/scratch.py training/checkpoint.py training/failures.py training/launch.py""",
    "names that begin with a letter": """
        cogvideox/adapter_files.py cogvideox/weights_digest.py weights/file_checks.py""",
    "hidden files are left out here, too": """
        cogvideox/fingerprint.py curation/ingest/folder.py miniworld/training/trust_data.py weights/file_checks.py""",
    "is a folder empty? A hidden file counts": """
        editing/mask_files.py pages/evaluation_report/build.py shards/export_journal.py""",
    "sizes and copies of whole folders": """
        cli/pipeline.py doctor/checks/disk.py shards/export.py weights/hub.py weights/reading.py""",
    "the reader itself": "base/listing.py",
}


def _calls(path: Path) -> bool:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    called = [
        node.func for node in ast.walk(tree) if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)
    ]
    return any(one.attr in CALLS and (one.attr != "walk" or ast.unparse(one) == "os.walk") for one in called)


def test_every_file_that_lists_or_splits_by_itself_is_known():
    found = set()
    for top in ("mvideo_core", "flows", "tasks", "deployments"):
        files = (ROOT / top).rglob("*.py")
        found |= {path.relative_to(ROOT).as_posix().removeprefix("mvideo_core/") for path in files if _calls(path)}
    known = {name for names in OTHERS.values() for name in names.split()}
    assert found == known, "use base/listing.py; `str.splitlines` splits at U+2028, `glob` gives hidden files"
