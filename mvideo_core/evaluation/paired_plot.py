"""Paired plot as SVG: one line per item across the systems, and each system's mean with its interval."""

from collections.abc import Sequence
from typing import NamedTuple
from xml.sax.saxutils import escape

from mvideo_core.base.svg import chart, dot, polyline, text, tick
from mvideo_core.evaluation.aggregate import group_of
from mvideo_core.evaluation.figures import Figure, figure_of, metric_titles
from mvideo_core.evaluation.result import LoadedResult

WIDTH, HEIGHT, LEFT, TOP, BOTTOM = 640, 280, 58, 26, 40
MEAN_COLOR, ITEM_COLOR = "#d9603f", "#3b82f6"
LETTER_PX = 7.3


class Plot(NamedTuple):
    """A plot. `name`: file name."""

    name: str
    title: str
    svg: str


def plots_of_pairs(loaded: LoadedResult) -> list[Plot]:
    """One plot per test set and metric with scores of two or more systems; without metrics of the source video."""
    titles = metric_titles(loaded.result.metrics)
    plots = []
    for test_set in dict.fromkeys(group.test_set for group in loaded.result.groups):
        for metric, facts in loaded.result.metrics.items():
            groups = [
                group
                for group in loaded.result.groups
                if group.test_set == test_set and group.metrics.get(metric) and group.metrics[metric].n
            ]
            if len(groups) < 2 or facts.set_level or facts.options.get("subject") == "source":
                continue
            values: dict[str, dict[int, float]] = {}
            places = {group.key: place for place, group in enumerate(groups)}
            for row in loaded.rows:
                if row.metric == metric and group_of(row) in places and row.value is not None:
                    values.setdefault(row.id, {})[places[group_of(row)]] = row.value * facts.scale
            figures = [figure_of(loaded.result, group, metric) for group in groups]
            title = f"{titles[metric]}, {test_set}" if test_set else titles[metric]
            svg = svg_of_pairs(title, [group.short_title for group in groups], values, figures)
            plots.append(Plot("-".join(part for part in (test_set, metric) if part), title, svg))
    return plots


def svg_of_pairs(
    title: str, systems: Sequence[str], values: dict[str, dict[int, float]], figures: Sequence[Figure]
) -> str:
    """Draw the plot.

    Args:
        values: item -> index of the system -> number as printed; a system without a score leaves a gap.
        figures: each system's number, as printed in the table.
    """
    numbers = [number for one in values.values() for number in one.values()]
    numbers += [end for one in figures for end in (one.low, one.high) if end is not None]
    low, high = min(numbers), max(numbers)
    if high - low < 1e-9:
        low, high = low - 0.5, high + 0.5
    slot = (WIDTH - LEFT - 8) / len(systems)

    def x(place: int) -> float:
        return LEFT + slot * (place + 0.5)

    def y(number: float) -> float:
        return TOP + (HEIGHT - TOP - BOTTOM) * (high - number) / (high - low)

    parts = [text(LEFT, 14, title, font_weight="bold")]
    parts += [tick(y(number), f"{number:.4g}", LEFT, WIDTH - 8) for number in (low, (low + high) / 2, high)]
    for name, one in values.items():
        points = [(x(place), y(one[place])) for place in sorted(one)]
        drawn = polyline(points, ITEM_COLOR, 1) + "".join(dot(*point, 2.2) for point in points)
        parts.append(f'<g fill="{ITEM_COLOR}" opacity=".7"><title>{escape(name)}</title>{drawn}</g>')
    for place, (system, figure) in enumerate(zip(systems, figures, strict=True)):
        if figure.mean is None:
            continue
        across = x(place) + 12
        if figure.low is not None and figure.high is not None:
            parts.append(polyline([(across, y(figure.low)), (across, y(figure.high))], MEAN_COLOR, 2))
        name = f"<title>{escape(f'{system}: {figure.text}')}</title>"
        parts += [
            f'<g fill="{MEAN_COLOR}">{name}{dot(across, y(figure.mean), 4.5)}</g>',
            text(x(place), HEIGHT - 22, _short(system, slot), "middle"),
            text(x(place), HEIGHT - 8, figure.text, "middle", fill=MEAN_COLOR),
        ]
    scores = "; ".join(f"{system} {one.text}" for system, one in zip(systems, figures, strict=True))
    return chart(WIDTH, HEIGHT, f"{title}: {scores}", parts, 13)


def _short(text: str, room_px: float) -> str:
    most = max(4, int(room_px / LETTER_PX))
    return text if len(text) <= most else text[: most - 1] + "…"
