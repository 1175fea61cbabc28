import sys
import time

from benchmarks.stage_profile import KINDS, Sampler, classify, to_page

SPIN = """
def {name}(until_s):
    while clock() < until_s:
        pass
    return current()
"""


def code_in(path: str, name: str = "work"):
    """A function that seems to be defined in `path`; it spins until a time, then returns its own frame."""
    scope = {"clock": time.perf_counter, "current": sys._getframe}
    exec(compile(SPIN.format(name=name), path, "exec"), scope)
    return scope[name]


def test_a_stack_belongs_to_the_innermost_known_function():
    def called_by(outer):
        scope = {"inner": code_in("/lib/torch/nn/functional.py")}
        exec(compile("def step():\n    return inner(0)", outer, "exec"), scope)
        return scope["step"]()

    assert classify(called_by("/x/mvideo_core/store/journal.py")) == ("network", "store/journal.py step")
    assert classify(code_in("/lib/cv2.py", "resize")(0))[0] == "resize"
    assert classify(code_in("/x/mvideo_core/masks/packing.py")(0)) == ("encode", "masks/packing.py work")
    assert classify(code_in("/lib/unknown.py")(0))[0] == "Python"


def test_samples_follow_the_time_spent():
    sampler = Sampler()
    with sampler.sample_inside():
        code_in("/lib/torch/a.py")(time.perf_counter() + 0.45)
        code_in("/x/mvideo_core/store/b.py")(time.perf_counter() + 0.15)
    frac = sampler.kinds["network"] / sampler.kinds.total()
    assert 0.55 < frac < 0.9  # 0.75, on a busy machine
    assert sampler.kinds["disk"] > 0
    assert sampler.places["store/b.py work"] == sampler.kinds["disk"]


def test_the_page_shows_each_stage():
    seconds = dict.fromkeys(KINDS, 0.0) | {"network": 1.5, "decode": 0.5}
    stage = {
        "items": 2, "unit": "clip", "wall_s": 4.0, "samples": 800, "cpu_s": 3.0, "children_cpu_s": 1.0,
        "s_per_item": seconds, "functions": [{"name": "a/<b>.py f", "frac": 0.25}],
    }  # fmt: skip
    page = to_page({"profile": "mini", "stages": {"segment": stage}, "goals": {}})
    assert "segment: 2.000 s per clip" in page
    assert "network 1.500 s" in page
    assert "width: 75.00%" in page
    assert "25% <code>a/&lt;b&gt;.py f</code>" in page
