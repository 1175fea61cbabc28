"""Compare several models: every pair, with one correction for all, as tables, plots and a page.

<out>/result.json, results.md, .tex, .csv      as `mvideo eval run` writes them
<out>/comparisons.md, .tex, .csv, .json        every pair of models for every metric
<out>/plots/<metric>.svg                       one line per item across the models
<out>/report/                                  the page with tables, plots and videos
"""

import json
from pathlib import Path

from mvideo_core.base.disk import write_whole
from mvideo_core.evaluation.compare import compare_all
from mvideo_core.evaluation.differences import differences_csv, differences_latex, differences_markdown
from mvideo_core.evaluation.export import file_names
from mvideo_core.evaluation.paired_plot import plots_of_pairs
from mvideo_core.evaluation.result import LoadedResult


def write_comparisons(loaded: LoadedResult, out: Path) -> list[Path]:
    """Write comparisons and plots of a result. Returns: the files written.

    Raises:
        ConfigError: one id has different prompts or masks in two systems. StoreError: the folder cannot be written.
    """
    differences = compare_all(loaded)
    plain = [one.model_dump(mode="json") | {"verdict": one.verdict} for one in differences]
    content = {
        "comparisons.md": differences_markdown(differences),
        "comparisons.tex": differences_latex(differences),
        "comparisons.csv": differences_csv(differences),
        "comparisons.json": json.dumps(plain, indent=1) + "\n",
    }
    plots = plots_of_pairs(loaded)
    for name, plot in zip(file_names([plot.name for plot in plots]), plots, strict=True):
        content[f"plots/{name}.svg"] = plot.svg + "\n"
    for name, text in content.items():
        write_whole(out / name, text)
    return [out / name for name in content]
