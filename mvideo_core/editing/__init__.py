"""Mask tools: extract masks from videos, edit, combine and resample them (paper, sections 3.2 and 4.3).

```python
from mvideo_core.editing import apply_edits, load_masks, parse_edits, save_masks
from mvideo_core.editing.combine import Layer, combine
from mvideo_core.editing.extract import ExtractOptions, Models, extract_masks
from mvideo_core.editing.resample import resample
from mvideo_core.cogvideox.video_format import VideoFormat

models = Models.load(ExtractOptions())                       # once for many videos
clip = extract_masks("run.mp4", ["horse"], models=models).clip   # MaskClip: sequence, fps, labels
clip = apply_edits(clip, parse_edits(["zoom: {to: 1.4}", {"loop": {"to_s": 8, "mode": "bounce"}}]))
grid = resample(combine([Layer(clip), Layer(load_masks("dancer.npz"), start_s=1.0)]), VideoFormat())
save_masks("grid.masks", *grid)
```

In memory, masks are runs of pixels. Only one mask at a time is expanded to pixels, so memory grows only with the runs.
"""

from mvideo_core.editing.edits import apply_edits, parse_edits
from mvideo_core.editing.mask_files import load_masks, save_masks
from mvideo_core.masks.io.clip import MaskClip

__all__ = ["MaskClip", "apply_edits", "load_masks", "parse_edits", "save_masks"]
