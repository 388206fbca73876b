"""Results as text and as JSON: a table a result, and the goals with what was measured."""

from __future__ import annotations

import os
import platform
import statistics
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from .result import Result, Row, Verdict

__all__ = [
    "as_json",
    "describe_machine",
    "format_number",
    "render_result",
    "render_table",
    "render_verdicts",
]

_REFERENCES = {"old-asyncio": "÷ 1.4.6", "sink": "÷ sink"}
# Columns that are shares of one processor, shown in percent.
_SHARES = ("server busy", "client busy")


def describe_machine(versions: dict[str, str]) -> dict[str, Any]:
    """Tell what machine this is and which versions were measured on it."""
    return {
        "system": f"{platform.system()} {platform.release()}",
        "machine": platform.machine(),
        "processor": _processor(Path("/proc/cpuinfo")),
        "cores": os.cpu_count(),
        "versions": versions,
    }


def _processor(cpuinfo: Path) -> str:
    if cpuinfo.exists():
        for line in cpuinfo.read_text().splitlines():
            name, _, value = line.partition(":")
            if name.strip() == "model name":
                return value.strip()
    return platform.processor() or "unknown"


def format_number(value: float) -> str:
    """Write a number with three digits that count."""
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def render_result(result: Result) -> str:
    """Write a result as a Markdown table, with its ratios and the spread of its samples."""
    references = [name for name in _REFERENCES if result.row(name) is not None]
    columns = list(dict.fromkeys(name for row in result.rows for name in row.extra))
    header = ["server", "median", "lowest to highest"]
    header += [_REFERENCES[name] for name in references] + columns
    lines = [_line(result, row, references, columns) for row in result.rows if row.samples]
    notes = [f"\n{note}" for note in result.notes]
    title = f"### {result.key}. {result.title}: {result.unit}\n"
    return "\n".join([title, *render_table(header, lines), *notes, ""])


def _line(result: Result, row: Row, references: Sequence[str], columns: Sequence[str]) -> list[str]:
    mark = "≥ " if row.censored else ""
    line = [row.title, f"{mark}{format_number(row.median)}"]
    line.append(f"{format_number(min(row.samples))} to {format_number(max(row.samples))}")
    for name in references:
        ratio = result.ratio(row.subject, name)
        line.append("" if ratio is None else _bound(result, row, name) + _ratio(ratio))
    for column in columns:
        values = row.extra.get(column)
        if not values:
            line.append("")
        elif column in _SHARES:
            line.append(f"{statistics.median(values):.0%}")
        else:
            line.append(format_number(statistics.median(values)))
    return line


def _bound(result: Result, row: Row, reference: str) -> str:
    """Mark a ratio that is only a bound, because one of the two was not waited for."""
    other = result.row(reference)
    censored = other is not None and other.censored
    if row.censored == censored:
        return ""
    return "≥ " if row.censored else "≤ "


def _ratio(ratio: float) -> str:
    """Write a ratio; one that is small also as the fraction that the goals are put in."""
    return f"{ratio:.3f} (1/{1 / ratio:.1f})" if 0 < ratio < 0.5 else f"{ratio:.2f}"


def render_table(header: Sequence[str], lines: Sequence[Sequence[str]]) -> list[str]:
    """Lay out a Markdown table whose source is as readable as what it makes: numbers to the right."""
    widths = [max(map(len, column)) for column in zip(header, *lines, strict=True)]

    def lay_out(cells: Sequence[str]) -> str:
        first, *rest = zip(cells, widths, strict=True)
        padded = [first[0].ljust(first[1]), *(cell.rjust(width) for cell, width in rest)]
        return f"| {' | '.join(padded)} |"

    rule = [f":{'-' * (widths[0] + 1)}", *(f"{'-' * (width + 1)}:" for width in widths[1:])]
    return [lay_out(header), f"|{'|'.join(rule)}|", *map(lay_out, lines)]


def render_verdicts(verdicts: Iterable[Verdict], results: Sequence[Result]) -> str:
    """Write the goals and what was measured as a Markdown table."""
    by_key = {result.key: result for result in results}
    lines = []
    for verdict in verdicts:
        goal = verdict.goal
        result = by_key.get(goal.key)
        if result is None:  # it was not asked for
            continue
        unit = "" if goal.reference else f" {result.unit.split()[0]}"
        write = format_number if goal.reference is None else _ratio
        met = {None: "not known", True: "met", False: "missed"}[verdict.met]
        bound = "≤ " if verdict.bound else ""
        lines.append(
            [
                f"{goal.key}. {result.title}",
                goal.subject,
                goal.reference or "",
                f"{write(goal.limit)}{unit}",
                "" if verdict.value is None else f"{bound}{write(verdict.value)}{unit}",
                met,
            ]
        )
    header = ["goal", "server", "compared with", "at most", "measured", ""]
    return "\n".join(["### Goals\n", *render_table(header, lines), ""])


def as_json(
    machine: dict[str, Any], results: Iterable[Result], verdicts: Iterable[Verdict]
) -> dict[str, Any]:
    """Give everything as what ``json.dump`` takes: the samples, and what was made of them."""
    return {
        "machine": machine,
        "results": [
            {
                "key": result.key,
                "title": result.title,
                "unit": result.unit,
                "notes": result.notes,
                "rows": [_row_as_json(result, row) for row in result.rows if row.samples],
            }
            for result in results
        ],
        "goals": [
            {
                "key": verdict.goal.key,
                "subject": verdict.goal.subject,
                "reference": verdict.goal.reference,
                "at_most": verdict.goal.limit,
                "measured": verdict.value,
                "met": verdict.met,
            }
            for verdict in verdicts
        ],
    }


def _row_as_json(result: Result, row: Row) -> dict[str, Any]:
    return {
        "subject": row.subject,
        "title": row.title,
        "median": row.median,
        "samples": row.samples,
        "censored": row.censored,
        "ratios": {name: result.ratio(row.subject, name) for name in _REFERENCES},
        "extra": row.extra,
    }
