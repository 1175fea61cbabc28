"""The folder of one generated video, from which a killed run also resumes.

| File | Contents |
|---|---|
| `video.mp4` | all clips, joined without re-encoding |
| `provenance.json` | prompt, options, SHA-256 of base and adapter, origin of the masks, versions, seed, seconds |
| `conditions/masks.masks` | the masks used, resampled for the model: the union of the selected objects |
| `conditions/appearance-0001.png`, `motion-0001.mp4` | the other conditions of each later clip, if made from frames |
| `clips/0000.mp4` ... | new frames of each clip, viewable while the next one is generated |
| `clips/last.npz` | the last finished clip, on which the next one is conditioned |
| `clips/done.json` | digest of the request, and list of the finished clips |

A folder holds one request. A command with a different prompt, option, mask, base or adapter is refused, unless
`--overwrite` is given to replace the old video. A second process in the same folder is refused while the first is
running.
"""

import os
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from mvideo_core.base.disk import Note, disk_errors, new_file
from mvideo_core.base.errors import ConfigError, StoreError
from mvideo_core.media.encode import write_mp4

UNREADABLE = (OSError, EOFError, ValueError, KeyError, TypeError, zipfile.BadZipFile, zlib.error)
"""Errors that JSON and NumPy raise for damaged or unexpected files."""


class OutputFolder:
    """One video in progress.

    Args:
        folder: created if it does not exist.
        request: digest of everything that decides the video; a folder holds only one video.
        overwrite: delete what a different request left here.

    Raises:
        ConfigError: the folder holds another request's video.
        StoreError: the folder cannot be written.
    """

    def __init__(self, folder: str | os.PathLike[str], request: str, overwrite: bool = False):
        self.folder = Path(folder)
        self.request = request
        self.note = Note(self.folder / "clips" / "done.json")
        with disk_errors("output folder"):
            for name in ("clips", "conditions"):
                (self.folder / name).mkdir(parents=True, exist_ok=True)
            for left in self.folder.rglob(".*.part*"):  # left by a killed process
                left.unlink(missing_ok=True)
        self.done = self._read()
        if self.done and self.done["request"] != request:
            if not overwrite:
                raise ConfigError(
                    f"{folder} holds the video of a different request (prompt, options, masks or weights differ); "
                    "use another folder, or --overwrite"
                )
            self.done = {}
        if not self.done:
            self.done = {"request": request, "clips": []}
            self._clear()

    @property
    def n_clips(self) -> int:
        """Clips finished so far."""
        return len(self.done["clips"])

    @property
    def video(self) -> Path:
        """Path of the whole video."""
        return self.folder / "video.mp4"

    def clip(self, index: int) -> Path:
        """Path of the MP4 with one clip's new frames."""
        return self.folder / "clips" / f"{index:04d}.mp4"

    def last_clip(self) -> dict[str, np.ndarray]:
        """What `add` was given of the last finished clip; always "frames".

        Raises:
            StoreError: the file is missing or damaged.
        """
        path = self.folder / "clips" / "last.npz"
        try:
            with np.load(path) as stored:
                arrays, index = dict(stored), int(stored["index"])
            if "frames" not in arrays:
                raise KeyError("frames")
        except UNREADABLE as error:
            raise StoreError(f"{path}: cannot be read ({error}); start again with --overwrite") from error
        if index != self.n_clips - 1:
            raise StoreError(f"{path}: holds clip {index}, not {self.n_clips - 1}; start again with --overwrite")
        return arrays

    def add(self, arrays: Mapping[str, np.ndarray], new: slice, fps: float, crf: int, facts: Mapping[str, Any]) -> None:
        """Finish a clip: write its MP4, then its arrays for the next clip, and only then record that it is done.

        Args:
            arrays: what the next clip needs, by name; "frames" (T, H, W, 3), uint8, are those of the MP4.
            new: which frames are new: the first is already in the previous clip, the last may not be wanted.
            facts: stored in the record, such as seconds.
        """
        index = self.n_clips
        n_new = write_mp4(arrays["frames"][new], self.clip(index), fps, crf=crf)
        # The previous clip's arrays stay in `last` until the record names this clip; see `_read` for a kill in between.
        staged = self.folder / "clips" / "next.npz"
        stored: dict[str, Any] = {"index": index, **arrays}
        with new_file(staged) as part:
            np.savez(part, **stored)
        self.done = self.note.write(self.request, clips=[*self.done["clips"], {"frames": n_new, **facts}])
        staged.replace(self.folder / "clips" / "last.npz")

    def finish(self, fps: float) -> Path:
        """Join all clips into `video.mp4` without re-encoding.

        Raises:
            MediaError: the joined file is not as long as its clips.
        """
        from mvideo_core.media.join import join_mp4

        n_frames = sum(clip["frames"] for clip in self.done["clips"])
        join_mp4([self.clip(index) for index in range(self.n_clips)], self.video, fps, n_frames)
        return self.video

    def _read(self) -> dict[str, Any]:
        path = self.note.path
        if not path.exists():
            return {}
        staged = self.folder / "clips" / "next.npz"
        try:
            note = self.note.read()
            _, newest = note["request"], len(note["clips"]) - 1
            if not staged.exists():
                return note
            with np.load(staged) as stored:  # killed near the record: the frames belong to its last clip, or to none
                noted = int(stored["index"]) == newest
        except UNREADABLE as error:
            raise StoreError(f"{path}: cannot be read ({error!r}); start again with --overwrite") from error
        staged.replace(self.folder / "clips" / "last.npz") if noted else staged.unlink()
        return note

    def _clear(self) -> None:
        both = [path for name in ("clips", "conditions") for path in (self.folder / name).iterdir()]
        for path in (*both, self.video, self.folder / "provenance.json"):
            if path.is_file():
                path.unlink()
