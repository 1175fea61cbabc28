"""Drawn videos with tiny models, and workspaces with everything that is made from them: dataset, latents, report."""

import json
import shutil
import tarfile
from pathlib import Path

import pyarrow.parquet as pq
import torch

from mvideo_core.cogvideox.base import BaseOptions
from mvideo_core.curation.ingest.sources import SourceOptions
from mvideo_core.curation.pipeline import load_profile, run_pipeline
from mvideo_core.curation.stages.encode import encode_dataset
from mvideo_core.store.workspace import Workspace
from mvideo_core.training.latents.options import LatentOptions
from tests.e2e.tiny import draw_videos, write_models, write_profile

LATENTS = LatentOptions(base=BaseOptions(weights="random:tiny-sincos", dtype="fp32"), max_stretch=1.0)


class Material:
    """Videos `video0`, `video1`, ... and a profile that puts two of them into a part."""

    def __init__(self, folder: Path, n_videos: int, shots: int = 2):
        torch.set_num_threads(1)
        self.folder, self.n_videos = folder, n_videos
        draw_videos(folder / "videos", n_videos, shots)
        write_profile(folder / "tiny.yaml", write_models(folder / "models"), part_size=2)

    def video(self, number: int) -> Path:
        return self.folder / "videos" / f"video{number}.mp4"

    def build(self, name: str, without: tuple[int, ...] = ()) -> Workspace:
        """A workspace of its own with all videos but some, which it never sees."""
        videos = self.folder / f"videos-{name}"
        videos.mkdir()
        for number in set(range(self.n_videos)) - set(without):
            shutil.copy2(self.video(number), videos)
        workspace = Workspace(str(self.folder / name))
        self.run(workspace, SourceOptions(folder=str(videos)))
        return workspace

    def run(self, workspace: Workspace, source: SourceOptions) -> None:
        run_pipeline(workspace, source, load_profile(str(self.folder / "tiny.yaml")))
        encode_dataset(workspace, LATENTS)


def published_files(workspace: Workspace) -> dict[str, bytes]:
    """Every byte of datasets and latents."""
    paths = [path for area in ("datasets", "latents") for path in workspace.folder.walk(area)]
    return {path: workspace.folder.read(path) for path in paths}


def all_text(workspace: Workspace) -> dict[str, str]:
    """Name and content of every file, tables and tars unpacked: an independent reader for the search of ids."""
    found = {}
    root = Path(workspace.folder.root)
    for path in sorted(one for one in root.rglob("*") if one.is_file()):
        content = path.read_bytes().decode("latin-1")
        if path.suffix == ".parquet":
            content = json.dumps(pq.read_table(path).to_pylist(), default=str)
        elif path.suffix == ".tar":
            with tarfile.open(path) as tar:
                content = " ".join(tar.getnames())
        found[str(path.relative_to(root))] = content
    return found
