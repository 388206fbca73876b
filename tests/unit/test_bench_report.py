"""The benchmark's results: medians, ratios, goals, and how they are shown."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from bench import measure, report
from bench.__main__ import parse_arguments
from bench.plot import draw
from bench.result import GOALS, Goal, Result, Row, judge
from bench.scenarios import SCENARIOS


@pytest.fixture
def result() -> Result:
    """Give a result with three servers and three rounds."""
    uvloop = Row("uvloop", "new")
    old = Row("old-asyncio", "old")
    sink = Row("sink", "C")
    for at in (1.0, 5.0, 3.0):
        uvloop.add(10 * at, messages_a_second=1000 * at, peak_MiB=None, server_busy=0.5)
        old.add(90 * at, messages_a_second=100 * at, peak_MiB=20.0)
        sink.add(20 * at)
    return Result("1", "2 kB", "µs of server CPU a message", [uvloop, old, sink])


def test_median_and_ratio(result: Result) -> None:
    """The middle counts, of the samples and of the ratios."""
    row = result.row("uvloop")
    assert row is not None
    assert row.median == 30
    assert result.ratio("uvloop", "old-asyncio") == pytest.approx(1 / 9)
    assert result.ratio("uvloop", "sink") == pytest.approx(0.5)
    assert result.ratio("uvloop", "node") is None
    assert result.ratio("node", "sink") is None


def test_a_ratio_is_of_what_was_measured_in_the_same_round() -> None:
    """A machine that becomes slower within a run makes no server look better."""
    rows = [Row("uvloop", "new", [1.0, 1.0, 2.0, 2.0]), Row("sink", "C", [2.0, 2.0, 4.0, 8.0])]
    result = Result("1", "2 kB", "µs", rows)
    assert result.ratio("uvloop", "sink") == 0.5
    rows[1].samples.append(8.0)  # nobody knows of which round
    assert result.ratio("uvloop", "sink") == 1.5 / 4
    rows[1].samples = [0.0] * 4
    assert result.ratio("uvloop", "sink") is None


def test_row_without_samples(result: Result) -> None:
    """A server that was started and not measured is not there."""
    result.rows.append(Row("node", "Node"))
    assert result.row("node") is None
    assert "Node" not in report.render_result(result)


def test_table(result: Result) -> None:
    """A table has a line a server, with ratios, the spread, and what else was measured."""
    result.notes.append("Something is left out.")
    lines = report.render_result(result).splitlines()
    cells = [[cell.strip() for cell in line.split("|")[1:-1]] for line in lines if "|" in line]
    assert lines[0] == "### 1. 2 kB: µs of server CPU a message"
    assert cells[0] == [
        *("server", "median", "lowest to highest", "÷ 1.4.6", "÷ sink"),
        *("messages a second", "server busy", "peak MiB"),
    ]
    assert cells[2] == [
        *("new", "30.0", "10.0 to 50.0", "0.111 (1/9.0)", "0.50"),
        *("3,000", "50%", ""),
    ]
    assert cells[3] == ["old", "270", "90.0 to 450", "1.00", "4.50", "300", "", "20.0"]
    assert cells[4] == ["C", "60.0", "20.0 to 100", "0.222 (1/4.5)", "1.00", "", "", ""]
    assert len({len(line) for line in lines if "|" in line}) == 1  # it is laid out
    assert "Something is left out." in lines


def test_censored(result: Result) -> None:
    """A time limit is not taken for a measurement."""
    result.rows[1].censored = True
    text = " ".join(report.render_result(result).split())
    assert "| ≥ 270 |" in text
    assert "| ≤ 0.111 (1/9.0) |" in text
    assert "| ≥ 4.50 |" in text
    assert "≥ 270" in draw([result])


def test_goals(result: Result) -> None:
    """A goal is met, missed, or was not measured."""
    goals = (
        Goal("1", "uvloop", "old-asyncio", 1 / 7.5),
        Goal("1", "uvloop", "sink", 0.4),
        Goal("1", "uvloop", None, 30),
        Goal("1", "node", None, 30),
        Goal("2", "uvloop", "sink", 1),
    )
    verdicts = judge([result], goals)
    assert [verdict.met for verdict in verdicts] == [True, False, True, None, None]
    text = report.render_verdicts(verdicts, [result])
    assert [line.rsplit("|", 2)[1].strip() for line in text.splitlines()[4:]] == [
        *("met", "missed", "met", "not known")
    ]


def test_bound(result: Result) -> None:
    """What was not waited for decides a goal only where even the bound meets it."""
    result.rows[1].censored = True
    goals = [Goal("1", "uvloop", "old-asyncio", limit) for limit in (0.2, 0.1)]
    verdicts = judge([result], goals)
    assert [verdict.met for verdict in verdicts] == [True, None]
    assert "≤ 0.111 (1/9.0)" in report.render_verdicts(verdicts, [result])


def test_goals_are_of_scenarios() -> None:
    """Every goal is of a result that some scenario gives."""
    results = {f"{key}{letter}" for key in SCENARIOS for letter in ("", "a", "b", "c")}
    assert {goal.key for goal in GOALS} <= results


def test_json(result: Result) -> None:
    """All samples are kept, with what was made of them."""
    kept = json.loads(json.dumps(report.as_json({"cores": 2}, [result], judge([result]))))
    assert kept["machine"] == {"cores": 2}
    row = kept["results"][0]["rows"][0]
    assert row["samples"] == [10, 50, 30]
    assert row["median"] == 30
    assert row["ratios"] == {"old-asyncio": pytest.approx(1 / 9), "sink": 0.5}
    assert row["extra"]["messages a second"] == [1000, 5000, 3000]
    assert kept["goals"][0]["met"] is True


def test_plot(result: Result) -> None:
    """The plot has a bar a server, longer for more, and is well-formed."""
    root = ET.fromstring(draw([result, Result("11b", "no 1.4.6", "MiB", [Row("uvloop", "new")])]))
    space = "{http://www.w3.org/2000/svg}"
    bars = [
        float(bar.attrib["width"])
        for bar in root.iter(f"{space}rect")
        if bar.attrib["width"] not in ("100%", "10")
    ]
    assert len(bars) == 3
    assert bars[0] < bars[2] < bars[1]
    texts = [text.text or "" for text in root.iter(f"{space}text")]
    assert "1. 2 kB: µs of server CPU a message" in texts
    assert not any("11b" in text for text in texts)


def test_plot_of_nothing() -> None:
    """Nothing measured is nothing drawn."""
    assert ET.fromstring(draw([])).tag.endswith("svg")


def test_machine(tmp_path: Path) -> None:
    """The processor has its name where the system tells it."""
    cpuinfo = tmp_path / "cpuinfo"
    cpuinfo.write_text("processor\t: 0\nmodel name\t: Fast One\n\nmodel name\t: Fast Two\n")
    assert report._processor(cpuinfo) == "Fast One"
    assert report._processor(tmp_path / "none")
    machine = report.describe_machine({"uvloop": "1"})
    assert machine["versions"] == {"uvloop": "1"}


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("0:00.25", 0.25), ("1:02", 62.0), ("01:02:03", 3723.0), ("2-00:00:01", 172801.0)],
)
def test_ps_time(text: str, seconds: float) -> None:
    """The forms in which ``ps`` writes processor time are read."""
    assert measure._parse_ps_time(text) == seconds


def test_own_process() -> None:
    """What is read of a process is that process: our own clock agrees."""
    before = time.process_time()
    told = measure.cpu_seconds(os.getpid())
    assert before - 1 <= told <= time.process_time() + 1
    assert measure.memory(os.getpid()) > 1_000_000


@pytest.mark.parametrize("read", [measure.reset_peak, measure.peak_memory])
def test_peak(read: Callable[[int], int | None]) -> None:
    """The peak is a number of octets, or None where nobody tells it."""
    peak = read(os.getpid())
    assert peak is None if sys.platform != "linux" else (peak or 0) > 1_000_000


def test_field_that_is_not_there(tmp_path: Path) -> None:
    """A file that does not tell a field is an error, not a zero."""
    path = tmp_path / "status"
    path.write_text("VmRSS:\t  12 kB\n")
    assert measure._kib(path, "VmRSS") == 12 * 1024
    with pytest.raises(ValueError, match="VmHWM"):
        measure._kib(path, "VmHWM")


def test_arguments(capsys: pytest.CaptureFixture[str]) -> None:
    """Scenarios are chosen by number; one that is not there is refused."""
    assert parse_arguments([]).only == list(SCENARIOS)
    options = parse_arguments(["--quick", "--only", "1,7a"])
    assert options.quick
    assert options.only == ["1", "7a"]
    for wrong in (["--only", "13"], ["--rounds", "0"]):
        with pytest.raises(SystemExit):
            parse_arguments(wrong)
    assert "no such scenario: 13" in capsys.readouterr().err
