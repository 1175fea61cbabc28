"""The frame of a chart as SVG: described for screen readers, ticks on the left, every text escaped."""

from collections.abc import Iterable
from xml.sax.saxutils import escape


def chart(width: int, height: int, spoken: str, parts: Iterable[str], font_px: int, style: str = "") -> str:
    """The document.

    Args:
        spoken: what the chart shows, for those who do not see it.
        parts: elements, back to front.
        style: CSS of a chart that is a file of its own.
    """
    quoted = escape(spoken, {'"': "&quot;"})
    rules = f"<style>{style}</style>" if style else ""
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img" font-size="{font_px}" '
        f'font-family="sans-serif" fill="currentColor" aria-label="{quoted}">{rules}{"".join(parts)}</svg>'
    )


def text(x: float, y: float, words: str, anchor: str = "start", **attributes: object) -> str:
    """A text; "_" in the name of an attribute is "-"."""
    more = "".join(f' {name.replace("_", "-")}="{value}"' for name, value in attributes.items())
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"{more}>{escape(words)}</text>'


def tick(y: float, label: str, left: float, right: float) -> str:
    """A value of the vertical axis: its label left of the chart, and a faint line across."""
    return (
        text(left - 6, y + 5, label, "end")
        + f'<path d="M{left} {y:.1f}H{right}" stroke="#888" stroke-opacity=".4" fill="none"/>'
    )


def polyline(points: Iterable[tuple[float, float]], color: str, width_px: float) -> str:
    """A line through points (x, y)."""
    places = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    return f'<polyline points="{places}" fill="none" stroke="{color}" stroke-width="{width_px}"/>'


def dot(x: float, y: float, radius_px: float) -> str:
    """A filled circle."""
    return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{radius_px}"/>'
