"""Run VBench on a folder of videos. Started as a script by a separate Python; imports nothing from this project.

    PYTHON _vbench_job.py job.json

`job.json`: videos (folder), prompts (file name -> text), dimensions, device, out (folder). VBench writes
<out>/job_eval_results.json; package versions go to <out>/versions.json.
"""

import importlib.metadata
import json
import sys
from pathlib import Path


def main() -> None:
    """Call VBench's own `evaluate` once, in custom-input mode."""
    # Python puts the script's folder first in sys.path; VBench imports AMT as `networks`, and this folder has one too.
    here = Path(__file__).resolve().parent
    sys.path[:] = [place for place in sys.path if Path(place).resolve() != here]
    job = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    from vbench import VBench

    out = Path(job["out"])
    VBench(job["device"], "", str(out)).evaluate(
        videos_path=job["videos"],
        name="job",
        prompt_list=job["prompts"],
        dimension_list=job["dimensions"],
        mode="custom_input",
    )
    known = {found.metadata["Name"] for found in importlib.metadata.distributions()}
    names = ("vbench", "pyiqa", "torch", "torchvision", "numpy", "transformers", "timm")
    versions = {name: importlib.metadata.version(name) for name in names if name in known}
    (out / "versions.json").write_text(json.dumps(versions), encoding="utf-8")


if __name__ == "__main__":
    main()
