"""``python -m bench``: run the benchmark, print its tables, and keep them as JSON and SVG."""

from __future__ import annotations

import argparse
import json
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from types import FrameType

from .client import LoadError
from .environment import ROOT, Environment, place, prepare
from .plot import draw
from .report import as_json, describe_machine, render_result, render_verdicts
from .result import Result, judge
from .scenarios import SCENARIOS, Plan, open_files
from .subjects import choose_subjects


def parse_arguments(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="half a minute instead of minutes")
    parser.add_argument(
        "--only",
        metavar="KEY[,KEY...]",
        type=lambda text: text.split(","),
        default=list(SCENARIOS),
        help=f"the scenarios to run, of {', '.join(SCENARIOS)}",
    )
    parser.add_argument(
        "--unpinned", action="store_true", help="let the system place servers and clients"
    )
    parser.add_argument("--rounds", type=int, help="how often each server is measured")
    parser.add_argument(
        "--output",
        type=Path,
        default=ROOT / "build" / "bench" / "results",
        help="the folder for results.json, results.md and results.svg (%(default)s)",
    )
    options = parser.parse_args(arguments)
    unknown = [key for key in options.only if key not in SCENARIOS]
    if unknown:
        parser.error(f"no such scenario: {', '.join(unknown)}")
    if options.rounds is not None and options.rounds < 1:
        parser.error("at least one round is needed")
    return options


def make_plan(environment: Environment, *, quick: bool, rounds: int | None) -> Plan:
    """Lay out a run of four minutes, or of half a minute."""
    subjects = choose_subjects(environment, quick=quick)
    if quick:
        return Plan(
            environment,
            subjects,
            rounds or 3,
            seconds=0.07,
            idle=1_000,
            burst=2_000,
            patience=2.0,
            fresh=1,
            starts=1,
        )
    return Plan(environment, subjects, rounds or 5)


def run(plan: Plan, keys: Sequence[str]) -> list[Result]:
    """Run scenarios and print each result as it comes."""
    results: list[Result] = []
    for key in keys:
        began = time.monotonic()
        try:
            found = SCENARIOS[key](plan)
        except (LoadError, OSError, subprocess.SubprocessError) as error:
            print(f"### {key}. is left out: {error}\n", flush=True)
            continue
        results += found
        for result in found:
            print(render_result(result), flush=True)
        print(f"({time.monotonic() - began:.1f} s)\n", file=sys.stderr, flush=True)
    return results


def _end(number: int, frame: FrameType | None) -> None:
    raise SystemExit(128 + number)  # so that the servers are ended as well


def main(arguments: Sequence[str] | None = None) -> None:
    """Set up, measure, show, keep."""
    options = parse_arguments(arguments)
    signal.signal(signal.SIGTERM, _end)
    print("Setting up what is compared, in build/bench.", file=sys.stderr, flush=True)
    environment = prepare()
    if not options.unpinned:
        place(environment)
    for note in environment.notes:
        print(f"Note: {note}.", flush=True)
    open_files(11_000)
    plan = make_plan(environment, quick=options.quick, rounds=options.rounds)
    machine = describe_machine(environment.versions)
    versions = ", ".join(f"{name} {version}" for name, version in environment.versions.items())
    about = f"{machine['processor']}, {machine['cores']} cores, {machine['system']}; {versions}"
    print(f"{about}; {plan.rounds} rounds.\n", flush=True)
    results = run(plan, options.only)
    verdicts = judge(results)
    goals = render_verdicts(verdicts, results)
    print(goals)
    options.output.mkdir(parents=True, exist_ok=True)
    tables = "\n".join(render_result(result) for result in results)
    (options.output / "results.md").write_text(f"{about}\n\n{tables}\n{goals}")
    (options.output / "results.svg").write_text(draw(results))
    with (options.output / "results.json").open("w") as file:
        json.dump(as_json(machine, results, verdicts), file, indent=1)
    print(f"Kept in {options.output}: results.json, results.md, results.svg", file=sys.stderr)


if __name__ == "__main__":
    main()
