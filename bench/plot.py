"""The plot: what each server takes of what aiosmtpd 1.4.6 takes, a group of bars a result, as SVG."""

from __future__ import annotations

import math
from collections.abc import Sequence
from xml.etree import ElementTree as ET

from .report import format_number
from .result import Result, Row

__all__ = ["draw"]

_REFERENCE = "old-asyncio"
_COLOURS = {
    "uvloop": "#0b6e4f",
    "asyncio": "#5fb49c",
    "old-asyncio": "#8d99ae",
    "old-uvloop": "#c3c9d6",
    "sink": "#e09f3e",
    "node": "#9a5b8f",
}
_BAR, _GAP, _HEAD, _LABEL, _PLOT, _END = 14, 26, 90, 16, 640, 210


def draw(results: Sequence[Result]) -> str:
    """Draw the ratios to 1.4.6 on a logarithmic scale; shorter is better.

    Results that 1.4.6 has no part in are left out.
    """
    shown = [result for result in results if result.row(_REFERENCE) is not None]
    ratios = [
        ratio
        for result in shown
        for row in result.rows
        if (ratio := result.ratio(row.subject, _REFERENCE))
    ]
    lowest = math.floor(math.log10(min(ratios, default=0.1)))
    highest = math.ceil(math.log10(max(ratios, default=1.0)))
    scale = _Scale(lowest, max(highest, lowest + 1))
    height = _HEAD + sum(_height_of(result) for result in shown)
    svg = ET.Element(
        "svg",
        xmlns="http://www.w3.org/2000/svg",
        viewBox=f"0 0 {_PLOT + _END + 2 * _LABEL} {height}",
        attrib={"font-family": "sans-serif", "font-size": "12"},
    )
    ET.SubElement(svg, "rect", width="100%", height="100%", fill="white")
    _text(svg, _LABEL, 20, "Of what aiosmtpd 1.4.6 under asyncio takes; shorter is better", "bold")
    _draw_legend(svg, shown)
    for power in range(scale.lowest, scale.highest + 1):
        x = scale.place(10.0**power)
        line = {"x1": f"{x:.1f}", "x2": f"{x:.1f}", "y1": f"{_HEAD}", "y2": f"{height}"}
        ET.SubElement(svg, "line", line, stroke="#dddddd")
        _text(svg, x + 2, _HEAD - 6, f"{10.0**power:g}")
    top = _HEAD
    for result in shown:
        _draw_group(svg, result, top, scale)
        top += _height_of(result)
    ET.indent(svg)
    return ET.tostring(svg, encoding="unicode") + "\n"


class _Scale:
    """Places on a logarithmic axis, from one power of ten to another."""

    def __init__(self, lowest: int, highest: int) -> None:
        self.lowest = lowest
        self.highest = highest

    def place(self, ratio: float) -> float:
        """Give the distance of a ratio from the left."""
        share = (math.log10(ratio) - self.lowest) / (self.highest - self.lowest)
        return _LABEL + max(0.0, share) * _PLOT


def _bars(result: Result) -> list[tuple[Row, float]]:
    bars = ((row, result.ratio(row.subject, _REFERENCE)) for row in result.rows if row.samples)
    return [(row, ratio) for row, ratio in bars if ratio]


def _height_of(result: Result) -> int:
    return _GAP + _BAR * len(_bars(result))


def _draw_legend(svg: ET.Element, results: Sequence[Result]) -> None:
    titles = {row.subject: row.title for result in reversed(results) for row in result.rows}
    known = [subject for subject in _COLOURS if subject in titles]
    for at, subject in enumerate(known):
        row, column = divmod(at, 3)
        x, y = _LABEL + 200 * column, 32 + 18 * row
        box = {"x": f"{x}", "y": f"{y}"}
        ET.SubElement(svg, "rect", box, width="10", height="10", fill=_COLOURS[subject])
        _text(svg, x + 14, y + 9, titles[subject])


def _draw_group(svg: ET.Element, result: Result, top: int, scale: _Scale) -> None:
    _text(svg, _LABEL, top + 17, f"{result.key}. {result.title}: {result.unit}", "bold")
    for number, (row, ratio) in enumerate(_bars(result)):
        y = top + _GAP - 4 + number * _BAR
        end = scale.place(ratio)
        box = {"x": f"{_LABEL}", "y": f"{y}", "width": f"{end - _LABEL:.1f}"}
        ET.SubElement(svg, "rect", box, height=f"{_BAR - 2}", fill=_COLOURS[row.subject])
        mark = "≥ " if row.censored else ""
        _text(svg, end + 4, y + 10, f"{ratio:.3g} ({mark}{format_number(row.median)})")


def _text(svg: ET.Element, x: float, y: float, text: str, weight: str = "normal") -> None:
    place = {"x": f"{x:.1f}", "y": f"{y:.1f}", "font-weight": weight}
    ET.SubElement(svg, "text", place).text = text
