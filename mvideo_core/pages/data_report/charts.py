"""Histograms as inline SVG: no script, printable, labeled for screen readers."""

from markupsafe import Markup, escape

from mvideo_core.base.records import TrustStats
from mvideo_core.base.svg import text
from mvideo_core.pages.data_report.data import Histogram

WIDTH, HEIGHT, TOP, BOTTOM = 320, 150, 12, 28


def histogram_svg(histogram: Histogram) -> Markup:
    """One bar per bin, range limits below, highest count above; colors come from the page's CSS."""
    highest = max([*histogram.counts, 1])
    step = WIDTH / len(histogram.counts)
    room = HEIGHT - TOP - BOTTOM
    bars = []
    for n, count in enumerate(histogram.counts):
        tall = room * count / highest
        span = f"{number(histogram.edges[n])} to {number(histogram.edges[n + 1])}"
        bars.append(
            f'<rect x="{n * step + 1:.1f}" y="{TOP + room - tall:.1f}" width="{step - 2:.1f}" height="{tall:.1f}">'
            f"<title>{span}: {count:,}</title></rect>"
        )
    low, middle, high = histogram.edges[0], histogram.edges[len(histogram.edges) // 2], histogram.edges[-1]
    ticks = [(0.0, "start", low), (WIDTH / 2, "middle", middle), (float(WIDTH), "end", high)]
    low_edge, whole = histogram.edges[0], histogram.edges[-1] - histogram.edges[0]
    lines = "".join(
        f'<path class="limit" d="M{WIDTH * (limit - low_edge) / whole:.1f} {TOP}V{TOP + room}"/>'
        for limit in histogram.limits
        if low_edge <= limit <= histogram.edges[-1]
    )
    marks = "".join(text(x, HEIGHT - 12, number(value), anchor) for x, anchor, value in ticks)
    label = escape(f"{histogram.name}: {summary(histogram)}")
    return Markup(  # noqa: S704  # every text in it is a number of ours or escaped
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{label}">'
        f'<g class="bars">{"".join(bars)}</g><path d="M0 {TOP + room}H{WIDTH}"/>{lines}{marks}</svg>'
    )


def trust_svg(trust: TrustStats, label: str) -> Markup:
    """Predicted IoU over the clip's frames, 0 at the bottom; gaps where there is no mask."""
    step = WIDTH / max(1, len(trust.percent))
    bars = "".join(
        f'<rect x="{n * step:.1f}" y="{100 - value}" width="{step:.1f}" height="{max(1, value)}"/>'
        for n, value in enumerate(trust.percent)
        if value >= 0
    )
    said = escape(f"Trust of {label} over time: mean {trust.mean:.2f}, least {trust.least:.2f}")
    return Markup(  # noqa: S704  # numbers, and escaped text
        f'<svg viewBox="0 0 {WIDTH} 100" preserveAspectRatio="none" role="img" aria-label="{said}">'
        f'<g class="bars">{bars}</g></svg>'
    )


def summary(histogram: Histogram) -> str:
    """One-line summary of a histogram."""
    outside = histogram.below + histogram.above
    beyond = f", {outside:,} outside the range shown" if outside else ""
    known = " and ".join(number(limit) for limit in histogram.limits)
    limits = f"; limit{'s' if len(histogram.limits) > 1 else ''} {known}" if known else ""
    return (
        f"{histogram.total:,} values, mean {number(histogram.mean)}, from {number(histogram.least)} "
        f"to {number(histogram.most)}{' ' + histogram.unit if histogram.unit else ''}{beyond}{limits}"
    )


def number(value: float) -> str:
    """At most three significant digits, thousands grouped, no trailing zeros."""
    if value == int(value) and abs(value) < 1e15:
        return f"{int(value):,}"
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
