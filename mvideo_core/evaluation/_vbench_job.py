"""Runs VBench on a folder of videos. Started as a script by a Python of its own; imports nothing of this project.

    PYTHON _vbench_job.py job.json

`job.json`: videos (folder), prompts (file name -> text), dimensions, device, out (folder). VBench then writes
<out>/job_eval_results.json; versions of the packages go to <out>/versions.json.
"""

import importlib.metadata
import json
import sys
from pathlib import Path


def main() -> None:
    """One call of VBench's own `evaluate`, in its mode for any videos."""
    # Python puts the script's folder first; VBench imports AMT as `networks`, and there is a folder of that name here.
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
