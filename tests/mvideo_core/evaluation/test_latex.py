"""The LaTeX tables compile, and are no wider than a page of one column."""

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from mvideo_core.evaluation.compare import compare_all
from mvideo_core.evaluation.differences import differences_latex
from mvideo_core.evaluation.export import to_latex
from mvideo_core.evaluation.tables import make_table, table_latex
from tests.mvideo_core.evaluation.results import VBENCH, made

PAGE = r"""\documentclass[10pt]{article}
\usepackage[a4paper,margin=2.5cm]{geometry}
\usepackage{array}
\begin{document}
\noindent %s
\end{document}
"""


@pytest.fixture(scope="module")
def texts(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    draw = np.random.default_rng(1)
    systems = ("mvideo-2b-no-consistency", "wan-vace-1.3b_outline & more", "[bracketed] 100 % #1")
    values = {
        system: {name: [float(v) for v in draw.random(7)] for name in (*VBENCH, "mask_miou")} for system in systems
    }
    loaded = made(tmp_path_factory.mktemp("result"), values, test_set="mask-to-video")
    return {
        "results": to_latex(loaded.result),
        "comparisons": differences_latex(compare_all(loaded)),
        "table-2": table_latex(make_table("2", [("r", loaded.result)])),
        "table-3": table_latex(make_table("3", [("r", loaded.result)])),
    }


@pytest.mark.parametrize("name", ["results", "comparisons", "table-2", "table-3"])
def test_every_line_has_the_cells_of_its_tabular(texts: dict[str, str], name: str) -> None:
    lines = [line for line in texts[name].splitlines() if line.endswith(r"\\") and r"\multicolumn" not in line]
    assert len(lines) > 5
    assert len({line.replace(r"\&", "").count("&") for line in lines}) == 1


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="needs pdflatex")
@pytest.mark.parametrize("name", ["results", "comparisons", "table-2", "table-3"])
def test_tables_compile_within_the_width_of_a_page(texts: dict[str, str], name: str, tmp_path: Path) -> None:
    (tmp_path / "page.tex").write_text(PAGE % texts[name])
    words = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "page.tex"]
    done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout[-800:]
    assert "Overfull" not in done.stdout, done.stdout
