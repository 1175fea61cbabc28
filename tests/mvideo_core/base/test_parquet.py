"""Parquet files in memory are read without threads that outlast the interpreter."""

import io
import subprocess
import sys

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mvideo_core.base.parquet import read_table


@pytest.fixture(scope="module")
def content():
    out = io.BytesIO()
    pq.write_table(pa.table({"key": ["a", "b"], "n": [1, 2]}), out)
    return out.getvalue()


def test_columns(content):
    assert read_table(content).to_pylist() == [{"key": "a", "n": 1}, {"key": "b", "n": 2}]
    assert read_table(content, ["n"]).to_pylist() == [{"n": 1}, {"n": 2}]
    with pytest.raises(pa.ArrowInvalid, match="no column m; it has key, n"):
        read_table(content, ["n", "m"])
    with pytest.raises(pa.ArrowInvalid):
        read_table(b"PAR1 no PAR1")


def test_no_thread_is_left_that_could_end_the_process(content, tmp_path):
    (tmp_path / "t.parquet").write_bytes(content)
    code = """
import os, sys
from pathlib import Path
import pyarrow.parquet
from mvideo_core.base.parquet import open_parquet, read_table
content = Path(sys.argv[1]).read_bytes()
before = len(os.listdir("/proc/self/task"))
read_table(content)
list(open_parquet(content).iter_batches(use_threads=False))
print(len(os.listdir("/proc/self/task")) - before)
"""
    ended = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "t.parquet")], capture_output=True, text=True, check=True
    )
    assert ended.stdout.strip() == "0"
