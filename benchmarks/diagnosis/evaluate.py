"""How well ``cr.diagnose`` and ``chainrule doctor`` tell broken networks from healthy ones.

Two sets of networks and of programs, ``first`` and ``second``, both written by authors who did not know the detectors.
A broken one has a mistake and the kinds of findings that name it; it is found if one of its findings is of such a
kind. A healthy one has no mistake, and looks odd in one of the ways in which sound networks do; any finding there is a
false alarm. The mended ones are the broken ones with the mistake put right; a few of the second set keep
something else that deserves a finding, such as a layer that is not used. A set that has served to mend the detectors,
as the first has, says less about networks that they have not seen.

Each case runs in a process of its own, which ends at the time limit. All of them take about ten minutes on two cores.

    python benchmarks/diagnosis/evaluate.py --jobs 2
    python benchmarks/diagnosis/evaluate.py --group broken,programs --json found.json
    python benchmarks/diagnosis/evaluate.py --only first.signals.* dead_bottleneck
"""

from __future__ import annotations

import argparse
import fnmatch
import importlib
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from kit import REGISTERED, Registered

import chainrule as cr

HERE = Path(__file__).resolve().parent
SETS = ("first", "second")
GROUPS = ("broken", "healthy", "mended", "programs")
MARK = "@@found "  # what a network prints itself stands before it


@dataclass(frozen=True)
class Job:
    """A case by its group and name, and the kinds of which a finding is expected."""

    group: str
    name: str
    expected: tuple[str, ...]

    @property
    def rows(self) -> str:
        """The row of the totals to which it counts."""
        kind = (
            self.group
            if self.group != "programs"
            else f"programs, {'broken' if self.expected else 'healthy'}"
        )
        return f"{self.name.split('.', 1)[0]}: {kind}"


@dataclass(frozen=True)
class Outcome:
    """What became of a case: its findings, or why there are none."""

    findings: list[dict[str, Any]]
    seconds: float
    error: str = ""

    def verdict(self, job: Job) -> str:
        """found, missed, other kind, quiet, false alarm or error."""
        kinds = {finding["kind"] for finding in self.findings}
        if self.error:
            return "error"
        if job.expected:
            return "found" if kinds & set(job.expected) else "other kind" if kinds else "missed"
        return "false alarm" if kinds else "quiet"


@dataclass(frozen=True)
class Row:
    """A case with its outcome."""

    job: Job
    outcome: Outcome

    @property
    def verdict(self) -> str:
        """The outcome, judged."""
        return self.outcome.verdict(self.job)

    @property
    def right(self) -> bool:
        """Whether there is nothing to mend."""
        return self.verdict in ("found", "quiet")

    def line(self) -> str:
        """The case in one line of a table."""
        found = (
            ", ".join(dict.fromkeys(f["kind"] for f in self.outcome.findings)) or self.outcome.error or "-"
        )
        wanted = f"   expected {', '.join(self.job.expected)}" if self.job.expected else ""
        return f"{self.job.group:<9}{self.job.name:<76}{self.verdict:<12}{found}{wanted}"


def registered() -> list[Registered]:
    """All networks of both sets."""
    for folder in SETS:
        for file in sorted((HERE / folder).glob("*.py")):
            importlib.import_module(f"{folder}.{file.stem}")
    return REGISTERED


def program(name: str) -> Path:
    """The file of a program ``first.programs.broken_columns``."""
    return HERE.joinpath(*name.split(".")).with_suffix(".py")


def programs() -> Iterator[Job]:
    """The programs of both sets."""
    for folder in SETS:
        for file, kinds in json.loads((HERE / folder / "programs" / "expected.json").read_text()).items():
            yield Job("programs", f"{folder}.programs.{Path(file).stem}", tuple(kinds))


def jobs(groups: Iterable[str], only: Iterable[str]) -> list[Job]:
    """The cases of some groups whose names fit a pattern; all names do if there is none."""
    found = [Job(r.group, r.name, tuple(sorted(r.expected))) for r in registered()] + list(programs())
    patterns = [pattern for given in only for pattern in (given, f"*.{given}")]
    return [
        job
        for job in found
        if job.group in groups and (not patterns or any(fnmatch.fnmatch(job.name, p) for p in patterns))
    ]


def bits(model: Any) -> dict[str, bytes]:
    """What diagnosing must not change: parameters and buffers, byte by byte."""
    values = {**model.parameters(), **model.buffers()}
    return {path: np.asarray(value.numpy()).tobytes() for path, value in values.items()}


def diagnose(group: str, name: str) -> None:
    """In the process of one network: build it, diagnose it, print what was found behind the mark."""
    importlib.import_module(name.rpartition(".")[0])
    case = next(r for r in REGISTERED if (r.group, r.name) == (group, name)).build()
    before, began = bits(case.model), time.perf_counter()
    report = cr.diagnose(case.model, case.loss, case.batch, case.optimizer, key=case.key)
    seconds = time.perf_counter() - began
    if bits(case.model) != before:
        raise SystemExit("the diagnosis changed the model")
    print(MARK + json.dumps({"seconds": seconds, **report.to_dict()}))


def called(command: list[str], limit: float) -> tuple[str, str]:
    """Output and error of a command; what it started ends with it.

    Raises:
        TimeoutError: it did not end in time.
    """
    paths = [str(Path(cr.__file__).parents[1]), os.environ.get("PYTHONPATH", "")]  # the same package there
    with tempfile.TemporaryDirectory() as place:
        process = subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=place,
            env={"CHAINRULE_THREADS": "1", **os.environ, "PYTHONPATH": os.pathsep.join(paths)},
            start_new_session=True,
        )
        try:
            return process.communicate(timeout=limit)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
            raise TimeoutError(f"not done after {limit:g} s") from None


def outcome(job: Job, limit: float) -> Outcome:
    """A case, diagnosed in a process of its own."""
    began = time.perf_counter()
    if job.group == "programs":
        command = [sys.executable, "-m", "chainrule", "doctor", str(program(job.name)), "--json"]
    else:
        command = [sys.executable, str(HERE / "evaluate.py"), "--case", job.group, job.name]
    try:
        out, err = called(command, limit)
    except TimeoutError as error:
        return Outcome([], limit, str(error))
    try:
        report = json.loads(out.rpartition(MARK)[2])
        findings = [{key: f[key] for key in ("kind", "where", "confidence")} for f in report["findings"]]
    except (ValueError, KeyError):
        said = (err.strip() or out.strip() or "nothing was said").splitlines()[-1]
        return Outcome([], time.perf_counter() - began, said[:200])
    return Outcome(findings, report.get("seconds", time.perf_counter() - began))


def total(name: str, rows: list[Row]) -> str:
    """One line: how many were found, or were false alarms."""
    verdicts = [row.verdict for row in rows]
    if rows[0].job.expected:
        text = f"found {verdicts.count('found')} of {len(rows)} = {verdicts.count('found') / len(rows):.1%}"
        beside = sum(any(f["kind"] not in row.job.expected for f in row.outcome.findings) for row in rows)
        text += f", with other kinds beside or instead {beside}"
    else:
        text = f"false alarms {verdicts.count('false alarm')} of {len(rows)}"
        text += f" = {verdicts.count('false alarm') / len(rows):.1%}"
    errors = f", errors {verdicts.count('error')}" if "error" in verdicts else ""
    seconds = [row.outcome.seconds for row in rows]
    return (
        f"{name:<28}{text}{errors}; median {statistics.median(seconds):.2f} s, longest {max(seconds):.1f} s"
    )


def summary(rows: list[Row]) -> str:
    """A table of what is not right, and totals of each set and group."""
    wrong = [row.line() for row in rows if not row.right]
    parts = ["", f"Not right: {len(wrong)} of {len(rows)}", *wrong, "", "Totals"]
    for name in sorted({row.job.rows for row in rows}):
        parts.append(total(name, [row for row in rows if row.job.rows == name]))
    return "\n".join(parts)


def main() -> None:
    """Evaluate and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--jobs", type=int, default=1, help="processes at the same time")
    parser.add_argument("--group", default=",".join(GROUPS), help=f"some of {', '.join(GROUPS)}")
    parser.add_argument("--only", nargs="+", default=[], help="names or patterns, such as dead_*")
    parser.add_argument("--limit", type=float, default=120, help="seconds for one case")
    parser.add_argument("--json", help="a file for everything")
    parser.add_argument("--case", nargs=2, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.case:
        diagnose(*given.case)
        return
    chosen = jobs(given.group.split(","), given.only)
    if not chosen:
        parser.error("no case has such a group and name")
    rows: list[Row] = []
    with ThreadPoolExecutor(given.jobs) as pool:
        for job, result in zip(chosen, pool.map(lambda job: outcome(job, given.limit), chosen), strict=True):
            rows.append(Row(job, result))
            print(rows[-1].line(), flush=True)
    print(summary(rows))
    if given.json:
        everything = [{**asdict(row.job), "verdict": row.verdict, **asdict(row.outcome)} for row in rows]
        Path(given.json).write_text(json.dumps(everything, indent=1) + "\n")


if __name__ == "__main__":
    main()
