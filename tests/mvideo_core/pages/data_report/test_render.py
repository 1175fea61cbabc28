"""The page as a browser gets it."""

from html.parser import HTMLParser

import pytest

from mvideo_core.base.errors import StoreError
from mvideo_core.pages.data_report import (
    DropExample,
    FunnelStep,
    GalleryItem,
    GalleryObject,
    Histogram,
    ReportData,
    StageTime,
    render_report,
)
from mvideo_core.pages.data_report.charts import histogram_svg, number
from mvideo_core.pages.data_report.render import funnel_bar, page_text

EVIL = "<script>alert(1)</script>"


class Page(HTMLParser):
    """Tags with their attributes, and whether every tag that was opened was closed in order."""

    VOID = {"meta", "source", "br", "link", "img", "rect", "path"}

    def __init__(self, text):
        super().__init__()
        self.tags, self.stack = [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.stack.append(tag)

    def handle_endtag(self, tag):
        if tag not in self.VOID:
            assert self.stack.pop() == tag

    def of(self, tag):
        return [attributes for name, attributes in self.tags if name == tag]


def data(**changes):
    item = GalleryItem(
        key="v0_1", video="media/a b#1.mp4", poster="media/a.png", caption=f"A dog {EVIL}", source="A & B",
        source_url="https://x.example/?a=1&b=2", start_s=1.5, end_s=9.6,
        objects=[GalleryObject(label="sea turtle", color="#e69f00", detection_score=0.5, visible_frac=1)],
    )  # fmt: skip
    values = {
        "title": f"Report {EVIL}",
        "funnel": [FunnelStep(stage="ingest", unit="video", entered=1200, rows=1200, kept=1199, failed={EVIL: 1})],
        "labels": {"sea turtle": 1500, "dog": 3},
        "histograms": [Histogram(name="Score", unit="", edges=[0, 0.5, 1], counts=[1, 3], total=4, mean=0.6)],
        "times": [StageTime(stage="ingest", seconds=2.0, items=5, parts=1)],
        "examples": [DropExample(stage="ingest", key="v9", why="MediaError", message=EVIL)],
        "gallery": [item, item.model_copy(update={"source_url": "javascript:alert(1)"})],
        "facts": {"digest": EVIL},
        **changes,
    }
    return ReportData(**values)


def test_texts_from_outside_are_text():
    text = page_text(data())
    assert EVIL not in text
    assert text.count("&lt;script&gt;alert(1)") >= 5
    assert len(Page(text).of("script")) == 1


def test_only_web_links_are_links_and_nothing_comes_from_a_network():
    page = Page(page_text(data()))
    outside = [one["href"] for one in page.of("a") if not one["href"].startswith("#")]
    assert outside == ["https://x.example/?a=1&b=2"]
    sources = [one["src"] for one in page.of("source")] + [one["poster"] for one in page.of("video")]
    assert sources[0] == "media/a%20b%231.mp4"
    assert not [one for one in sources if "//" in one]
    assert not page.of("link")
    assert not [one for one in page.of("script") if "src" in one]


def test_every_tag_is_closed_and_named_for_those_who_listen():
    page = Page(page_text(data()))
    assert page.stack == []
    assert page.of("html")[0]["lang"] == "en"
    assert all("scope" in one for one in page.of("th"))
    assert all(one.get("aria-label") for one in page.of("video"))
    assert page.of("svg")[0]["aria-label"].startswith("Score: 4 values, mean 0.6")
    ids = {attributes["id"] for _, attributes in page.tags if "id" in attributes}
    assert {one["href"][1:] for one in page.of("a") if one["href"].startswith("#")} <= ids


def test_numbers_of_the_page():
    text = page_text(data())
    assert "1,199" in text
    assert "99.9%" in text
    assert "2.5" in text  # five items in two seconds
    assert 'data-labels="sea turtle"' in text


def test_reasons_are_words():
    step = FunnelStep(stage="detect", unit="clip", entered=3, rows=3, kept=1, filtered={"no_objects": 2})
    text = page_text(data(funnel=[step]))
    assert '<span class="why filtered">no objects 2</span>' in text


def test_a_page_of_nothing_says_so():
    empty = ReportData(title="Empty", funnel=[])
    assert "nothing to show" in page_text(empty)


def test_a_funnel_that_does_not_add_up_makes_no_page(tmp_path):
    wrong = [FunnelStep(stage="ingest", unit="video", entered=3, rows=3, kept=2)]
    with pytest.raises(StoreError, match="funnel"):
        render_report(data(funnel=wrong), tmp_path)
    assert not list(tmp_path.iterdir())
    assert render_report(data(), tmp_path / "new").read_text().startswith("<!doctype html>")


def test_bar_parts_are_shares_of_rows_and_waiting_items():
    step = FunnelStep(stage="s", unit="clip", entered=10, pending=2, rows=8, kept=5, filtered={"a": 2}, failed={"b": 1})
    assert funnel_bar(step) == [("kept", 5, 50.0), ("filtered", 2, 20.0), ("failed", 1, 10.0), ("pending", 2, 20.0)]


def test_bars_of_a_histogram_are_as_tall_as_their_counts():
    svg = histogram_svg(Histogram(name="x", unit="", edges=[0, 1, 2], counts=[110, 55]))
    assert 'height="110.0"' in svg  # the highest bar fills the 110 units of room
    assert 'height="55.0"' in svg


def test_numbers_are_short():
    assert [number(one) for one in (0.12345, 12, 1234567, 123.9, 0.5)] == ["0.123", "12", "1,234,567", "124", "0.5"]
