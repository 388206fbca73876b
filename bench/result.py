"""Results: samples by server, their medians and ratios, and the goals they are held against."""

from __future__ import annotations

import statistics
from collections.abc import Iterable
from dataclasses import dataclass, field

__all__ = ["GOALS", "Goal", "Result", "Row", "Verdict", "judge"]

Value = float | int | str


@dataclass
class Row:
    """What was measured of one server.

    Attributes:
        subject: its key.
        title: its name.
        samples: one a round, in the unit of the result; less is better.
        extra: further samples by the name of their column.
        censored: the samples stopped at a time limit; the truth is larger.
    """

    subject: str
    title: str
    samples: list[float] = field(default_factory=list)
    extra: dict[str, list[float]] = field(default_factory=dict)
    censored: bool = False

    def add(self, sample: float, **extra: float | None) -> None:
        """Add a round. A column that is None is left out; its name has spaces for underscores."""
        self.samples.append(sample)
        for name, value in extra.items():
            if value is not None:
                self.extra.setdefault(name.replace("_", " "), []).append(value)

    @property
    def median(self) -> float:
        """The middle of the samples."""
        return statistics.median(self.samples)


@dataclass
class Result:
    """What was measured of a scenario.

    Attributes:
        key: the number of the scenario, and a letter where it has several results.
        title: what was done.
        unit: what was measured.
        rows: a server each.
        notes: what has to be known to read it.
    """

    key: str
    title: str
    unit: str
    rows: list[Row] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def row(self, subject: str) -> Row | None:
        """Give the row of a server, if it was measured."""
        return next((row for row in self.rows if row.subject == subject and row.samples), None)

    def ratio(self, subject: str, reference: str) -> float | None:
        """Give how much one server took for what another took, if both were measured.

        It is the median of the ratios of the rounds: where the machine becomes slower or faster within
        a run, both become so, but the middle samples of the two may be of different times. Where one
        was measured less often, it is the ratio of the medians.
        """
        row, other = self.row(subject), self.row(reference)
        if row is None or other is None:
            return None
        if len(row.samples) != len(other.samples):
            return row.median / other.median if other.median else None
        pairs = zip(row.samples, other.samples, strict=True)
        ratios = [sample / base for sample, base in pairs if base]
        return statistics.median(ratios) if ratios else None


@dataclass(frozen=True)
class Goal:
    """What a result must show.

    Attributes:
        key: of the result.
        subject: of the server.
        reference: of the server that it is compared with, or None for an absolute value.
        limit: the most that the ratio, or the value in the unit of the result, may be.
    """

    key: str
    subject: str
    reference: str | None
    limit: float


_OLD = "old-asyncio"

GOALS = (
    Goal("1", "uvloop", _OLD, 1 / 7.5),
    Goal("1", "uvloop", "sink", 1.15),
    Goal("1", "asyncio", _OLD, 1 / 3),
    Goal("2", "uvloop", _OLD, 1 / 5),
    Goal("2", "uvloop", "sink", 1.2),
    Goal("3", "uvloop", _OLD, 1 / 18),
    Goal("3", "uvloop", "sink", 0.4),
    Goal("4", "uvloop", _OLD, 1 / 20),
    Goal("4", "uvloop", "sink", 0.5),
    Goal("5", "uvloop", _OLD, 1 / 8),
    Goal("9a", "uvloop", _OLD, 1 / 2),
    Goal("9a", "asyncio", _OLD, 1 / 2),
    Goal("10", "uvloop", _OLD, 1 / 20),
    Goal("10", "asyncio", _OLD, 1 / 20),
    Goal("11a", "uvloop", None, 1.1 * 32_000_000 / 2**20),
    Goal("11a", "asyncio", None, 1.1 * 32_000_000 / 2**20),
    Goal("11b", "uvloop", None, 0.5),
    Goal("11b", "asyncio", None, 0.5),
    Goal("12a", "asyncio", _OLD, 1 / 2),
    Goal("12b", "asyncio", _OLD, 1.0),
)


@dataclass(frozen=True)
class Verdict:
    """A goal, and what was measured.

    Attributes:
        goal: what it is.
        value: what was measured, or None if it was not.
        bound: the true value is smaller, for the reference was not waited for.
    """

    goal: Goal
    value: float | None
    bound: bool = False

    @property
    def met(self) -> bool | None:
        """Whether the goal is met; None if that is not known."""
        if self.value is None or (self.bound and self.value > self.goal.limit):
            return None
        return self.value <= self.goal.limit


def judge(results: Iterable[Result], goals: Iterable[Goal] = GOALS) -> list[Verdict]:
    """Hold results against goals."""
    by_key = {result.key: result for result in results}
    verdicts = []
    for goal in goals:
        result = by_key.get(goal.key)
        value, bound = None, False
        if result is not None and goal.reference is not None:
            value = result.ratio(goal.subject, goal.reference)
            reference = result.row(goal.reference)
            bound = reference is not None and reference.censored
        elif result is not None and (row := result.row(goal.subject)) is not None:
            value = row.median
        verdicts.append(Verdict(goal, value, bound))
    return verdicts
