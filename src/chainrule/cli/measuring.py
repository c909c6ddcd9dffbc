"""``chainrule bench``."""

from __future__ import annotations

from typing import Annotated

import typer

from chainrule import bench
from chainrule.cli.printing import Json, make_console, print_json
from chainrule.show import show_benchmarks, show_workloads


def bench_command(
    workloads: Annotated[
        list[str] | None, typer.Argument(metavar="WORKLOAD...", help="Some of --list; default: all.")
    ] = None,
    listed: Annotated[bool, typer.Option("--list", help="Show the workloads, and run none.")] = False,
    threads: Annotated[int, typer.Option(help="So many for each library.")] = 2,
    seconds: Annotated[float, typer.Option(help="For the timing of each workload.")] = 3.0,
    without: Annotated[
        list[str] | None, typer.Option(metavar="LIBRARY", help="Leave a library out; may be repeated.")
    ] = None,
    steps: Annotated[
        int | None,
        typer.Option(help="Compare parameters with float64 after so many; default: 20, 1 for resnet20."),
    ] = None,
    memory: Annotated[bool, typer.Option("--memory", help="Measure memory of training steps too.")] = False,
    once: Annotated[
        bool, typer.Option("--once", help="Run each once and check its numbers, untimed.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Measure against other libraries, on the same work.

    Training steps and functions of arrays in chainrule, torch, jax, NumPy and micrograd, as far as they are
    installed: pip install 'chainrule[bench]'. All take turns in one run; medians are compared. What each
    computes is compared with float64.

    For example: chainrule bench 784-128-10 sgemm-512
    """
    if listed:
        if as_json:
            print_json({name: {"summary": w.summary, "goal": w.goal} for name, w in bench.WORKLOADS.items()})
        else:
            show_workloads(make_console())
        return
    events = bench.run(
        workloads or (),
        threads=threads,
        seconds=seconds,
        without=without or (),
        steps=steps,
        memory=memory,
        once=once,
    )
    if as_json:
        *_, finished = events
        assert isinstance(finished, bench.Finished)
        print_json(finished.to_dict())
    else:
        finished = show_benchmarks(events, make_console())
    if finished.failed:
        raise typer.Exit(1)
