"""Render the page: one HTML file with inline CSS and script, media next to it, no network access."""

import html
import re
from pathlib import Path
from urllib.parse import quote, unquote, urlsplit

from mvideo_core.base.disk import write_whole
from mvideo_core.base.durations import duration
from mvideo_core.pages.data_report.charts import histogram_svg, number, summary, trust_svg
from mvideo_core.pages.data_report.data import FunnelStep, ReportData, check_funnel
from mvideo_core.pages.kit import page_html

HERE = Path(__file__).parent
PAGE_NAME = "index.html"
SHOWN_LABELS = 40
"""Classes listed individually in the statistics; the rest become one line."""


def render_report(data: ReportData, out_dir: Path) -> Path:
    """Write the page into `out_dir`, which should contain its media folder, and return its path.

    Args:
        data: everything on the page.
        out_dir: created if missing.

    Raises:
        StoreError: the funnel does not add up.
    """
    check_funnel(data.funnel)
    page = out_dir / PAGE_NAME
    write_whole(page, page_text(data))
    return page


def page_text(data: ReportData) -> str:
    """The page's HTML; untrusted text is escaped, links are http(s) only."""
    return page_html(
        HERE,
        data.title,
        scripts=["page.js"],
        number=number, duration=duration, local_url=local_url, web_url=web_url, svg=histogram_svg, summary=summary,
        percent=percent, trust_svg=trust_svg,
        data=data,
        bars=[funnel_bar(step) for step in data.funnel],
        labels=sorted(data.labels.items(), key=lambda item: (-item[1], item[0]))[:SHOWN_LABELS],
        more_labels=len(data.labels) - SHOWN_LABELS,
        chips=sorted({one.label for item in data.gallery for one in item.objects}),
    )  # fmt: skip


def media_of(page: str) -> set[str]:
    """Media files a page shows, as paths relative to it."""
    return {unquote(html.unescape(name)) for name in re.findall(r'(?:src|href|poster)="(media/[^"]+)"', page)}


def funnel_bar(step: FunnelStep) -> list[tuple[str, int, float]]:
    """(class, count, percent of rows and pending items) for each non-empty segment of a step's bar."""
    parts = [
        ("kept", step.kept), ("filtered", sum(step.filtered.values())), ("failed", sum(step.failed.values())),
        ("pending", step.pending),
    ]  # fmt: skip
    whole = max(1, step.rows + step.pending)
    return [(name, count, 100 * count / whole) for name, count in parts if count]


def percent(part: float, whole: float) -> str:
    """A fraction in percent; "-" if the whole is 0."""
    return f"{100 * part / whole:.1f}%" if whole else "-"


def local_url(path: str) -> str:
    """A relative path as a URL."""
    return quote(path)


def web_url(url: str) -> str:
    """The URL if it is safe to link from this page, else ""."""
    return url if urlsplit(url).scheme in ("http", "https") else ""
