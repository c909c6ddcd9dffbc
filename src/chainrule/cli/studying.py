"""``chainrule studio``."""

from __future__ import annotations

import json
import re
import shlex
import sys
import unicodedata
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, TextIO
from urllib.parse import quote, urlencode

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from chainrule.cli.explaining import numbers
from chainrule.cli.printing import cut
from chainrule.errors import ArgumentError
from chainrule.formula import formula
from chainrule.formula.mistakes import closest

if TYPE_CHECKING:
    from chainrule.studio.networks.addresses import Address
    from chainrule.studio.serving import Server

_OPTIONS = ("--port", "--no-browser", "--export", "--step", "--theme", "--overwrite", "--json")
_ENDS_LIKE_A_FILE = re.compile(r"\.(py|ipynb|json|csv|npz|html|txt|safetensors)$", re.IGNORECASE)
_OFTEN = 0.1
"""Seconds between two looks at how far a model is."""
_ADDRESS = re.compile(r"#/|(?:https?|file)://")
_BEGINS_LIKE_A_WORD = re.compile(r"[^\W\d_]{2}")
_BEGINS_LIKE_A_PATH = re.compile(r"~|\.{0,2}[/\\]|[A-Za-z]:\\|runs/")


def studio_command(
    given: Annotated[
        str | None,
        typer.Argument(
            metavar="FORMULA|network|RUN|SCRIPT.py",
            help='Such as "(a+b)*(b+c)"; network, or its page\'s address; the folder of a run; a program that trains.',
            show_default=False,
        ),
    ] = None,
    values: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="NAME=VALUE...",
            help="Of a formula's variables; of a network's options, update=300 among them; or arguments of the script.",
        ),
    ] = None,
    port: Annotated[
        int | None, typer.Option(help="Where it is served; default: one that is free.", show_default=False)
    ] = None,
    no_browser: Annotated[
        bool, typer.Option("--no-browser", help="Print the address, and open nothing.")
    ] = False,
    export: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Serve nothing: write a page that works without a server (.html), the trace (.json), or, of a "
            "formula or a network, a figure (.svg, .tex).",
            show_default=False,
        ),
    ] = None,
    step: Annotated[
        int | None, typer.Option(help="With --export: the moment after this event; default: the last.")
    ] = None,
    theme: Annotated[str, typer.Option(help="With --export FILE.svg: light or dark.")] = "light",
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="With --export: replace a file of something else.")
    ] = False,
    as_json: Annotated[
        bool,
        typer.Option(
            "--json", help="Print address, token and port, or what was written, as one line of JSON."
        ),
    ] = False,
) -> None:
    """Open a page in the browser on which values flow forward and gradients flow back.

    It is served to this machine and this user alone, until Ctrl-C.

    For example: chainrule studio "(a+b)*(b+c)" a=-1 b=3 c=4;
    chainrule studio --export out.html "1/(1+e^(-x))" x=1; chainrule studio --export out.html runs/latest;
    chainrule studio --export out.html network data=moons layers=8-8 update=300
    """
    _require_use(
        export is not None,
        for_files={"--step": step is not None, "--theme": theme != "light", "--overwrite": overwrite},
        for_pages={"--port": port is not None, "--no-browser": no_browser},
    )
    if export is not None:
        options = {"step": step, "theme": theme, "overwrite": overwrite}
        written = _exported(given, values or (), export, options, as_json)
        print(json.dumps(written) if as_json else f"Wrote {written['path']}, {written['bytes']:,} bytes.")
        return
    # What serves takes as long to load as all the rest.
    from chainrule.studio.models import Opened
    from chainrule.studio.serving import SHARED, Server, endpoints

    printed = sys.stdout  # what a script prints goes to stderr, also where others print meanwhile
    opened = Opened()
    kind = None if given is None else kind_of(given)
    page = "#/model"
    if given is None or kind is None:
        page = ""
    elif kind == "formula":
        page = formula_page(given, values or ())
        if not (as_json or values) and _is_word(given):
            print(
                f"There is no file or folder {cut(given, 60)}: it is read as a formula of one variable.",
                file=sys.stderr,
            )
    elif kind == "network":
        page = _network(given, values or ()).page
    elif kind == "run":
        _check_run_alone(values)
    try:
        if given is not None and kind == "run":
            opened.run(Path(given).expanduser())
        server = Server(endpoints(opened), shared=SHARED, port=port, page=page)
        if given is not None and kind == "script":
            opened.script(str(Path(given).expanduser()), values or ())
        server.run(partial(_tell, server, printed, as_json, not no_browser))
    finally:
        opened.close()


def _require_use(exports: bool, for_files: Mapping[str, bool], for_pages: Mapping[str, bool]) -> None:
    """See that no option is given that nothing would come of."""
    stray = [option for option, given in (for_pages if exports else for_files).items() if given]
    if stray and exports:
        raise ArgumentError(
            f"--export serves nothing, and {stray[0]} is for what is served", fix="leave it out"
        )
    if stray:
        raise ArgumentError(f"{stray[0]} is for files", fix="add --export FILE, or leave it out")


def _exported(
    given: str | None, values: Sequence[str], file: Path, options: Mapping[str, Any], silent: bool
) -> dict[str, Any]:
    """Write what is given to a file; says what was written."""
    # What draws takes as long to load as all the rest.
    from chainrule.studio.exporting.writing import described, export
    from chainrule.studio.exporting.writing import kind_of as kind_of_file

    if given is None:
        raise ArgumentError(
            "--export needs a formula, a network, a run or a program",
            fix='chainrule studio --export out.html "x*x" x=3',
        )
    if (kind := kind_of(given)) == "formula":
        path = export(given, file, values_of(given, values), **options)
    elif kind == "network":
        path = _exported_network(given, values, file, options, silent)
    else:
        if options["step"] is not None or options["theme"] != "light":
            raise ArgumentError("--step and --theme are for formulas", fix="leave them out")
        path = _exported_model(given, kind, values, file, options["overwrite"], silent)
    return described(path, kind_of_file(path))


def _exported_model(
    given: str, kind: str, values: Sequence[str], file: Path, overwrite: bool, silent: bool
) -> Path:
    from chainrule.studio.exporting.opened import checked_model_path, export_model
    from chainrule.studio.models import Opened

    checked_model_path(file, overwrite)
    if kind == "run":
        _check_run_alone(values)
    opened = Opened()
    try:
        with _progress("opening", silent) as tell:
            path = Path(given).expanduser()
            opening = opened.run(path) if kind == "run" else opened.script(str(path), values)
            while not opening.wait(_OFTEN):
                status = opening.status()
                tell(status["doing"], status["share"])
            command = shlex.join(("chainrule", "studio", given, *values))
            return export_model(opening, file, command=command, overwrite=overwrite, progress=tell)
    finally:
        opened.close()


def _exported_network(
    given: str, values: Sequence[str], file: Path, options: Mapping[str, Any], silent: bool
) -> Path:
    from chainrule.studio.exporting.trained import export_network

    if options["step"] is not None:
        raise ArgumentError("--step is for formulas", fix="say update=300 instead")
    address = _network(given, values)
    with warnings.catch_warnings(record=True) as warned, _progress("training", silent) as tell:
        warnings.simplefilter("always", UserWarning)
        path = export_network(
            address, file, theme=options["theme"], overwrite=options["overwrite"], progress=tell
        )
    for one in warned:
        print(f"warning: {one.message}", file=sys.stderr)
    return path


def _network(given: str, values: Sequence[str]) -> Address:
    """The network of a page's address, or of ``network`` and words such as ``["data=moons", "update=300"]``.

    Raises:
        ArgumentError: a word is no pair, an option is not possible, or there is no such table.
    """
    from chainrule.studio.networks.addresses import address_of, is_address, read_address
    from chainrule.studio.networks.questions import setting_of
    from chainrule.studio.networks.tables import text_of_file

    words: dict[str, Any] = dict(read_address(given).state) if is_address(given) else {}
    for word in values:
        name, sign, value = word.partition("=")
        if not sign:
            raise ArgumentError(
                f'expected name=value, got "{cut(word, 60)}"',
                fix=f"did you mean {meant}?" if (meant := closest(word, _OPTIONS)) else "such as data=moons",
            )
        words[name.strip()] = text_of_file(value) if name.strip() == "table" else value.strip()
    found = address_of(words)
    found.require_table()
    setting_of(found.options, found.table)  # what is not possible is told before anything is opened
    return found


@contextmanager
def _progress(doing: str, silent: bool) -> Iterator[Callable[[str, float], None]]:
    """A bar on a terminal; gives what tells it how far it is."""
    console = Console(stderr=True)
    columns = TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn()
    off = silent or not console.is_terminal
    with Progress(*columns, console=console, transient=True, disable=off) as progress:
        task = progress.add_task(doing, total=None)

        def tell(doing: str, share: float) -> None:
            progress.update(task, description=doing, completed=share, total=1 if share else None)

        yield tell


def _check_run_alone(values: Sequence[str] | None) -> None:
    if values:
        raise ArgumentError(f'expected no more than a run, got "{cut(values[0], 60)}"', fix="leave it out")


def _tell(server: Server, out: TextIO, as_json: bool, in_browser: bool) -> None:
    told = {"url": server.url, "token": server.token, "port": server.port}
    said = json.dumps(told) if as_json else f"The studio is at {server.url}\nCtrl-C stops it."
    print(said, file=out, flush=True)
    if in_browser:
        server.open_browser()


def formula_page(text: str, values: Sequence[str]) -> str:
    """The part of an address, from ``#`` on, that shows a formula with values such as ``["a=-1"]``.

    Raises:
        ArgumentError, FormulaError: it is none, or a value is wrong.
    """
    at = values_of(text, values)
    state = {"f": text}
    if at:
        state["at"] = ",".join(f"{name}={repr(value).removesuffix('.0')}" for name, value in at.items())
    return f"#/formula?{urlencode(state, quote_via=quote)}"


def _kind_of_address(given: str) -> Literal["network"]:
    from chainrule.studio.networks.addresses import is_address

    if given == "network" or is_address(given):
        return "network"
    raise ArgumentError(
        f"{cut(given, 60)} is no address of the network page",
        fix='pass the formula itself, the folder of a run, or an address such as "#/network?data=moons&at=300"',
    )


def _is_word(text: str) -> bool:
    """Whether a formula may well be the mistyped name of a file: one word that is no customary variable."""
    word = text.strip()
    if not _BEGINS_LIKE_A_WORD.match(word) or formula(word).variables != (word,):
        return False
    try:
        unicodedata.lookup(f"GREEK SMALL LETTER {'lamda' if word.lower() == 'lambda' else word}")
    except KeyError:
        return True
    return False


def values_of(text: str, values: Sequence[str]) -> dict[str, float]:
    """Values such as ``["a=-1"]`` of a formula's variables.

    Raises:
        ArgumentError, FormulaError: it is no formula, or a value is wrong.
    """
    known = formula(text).variables
    at = numbers(values, _OPTIONS)
    for name in at:
        if name not in known:
            meant = closest(name, known)
            raise ArgumentError(
                f"the formula has no variable {cut(name, 60)}",
                fix=f"did you mean {meant}?" if meant else f"it has {', '.join(known) or 'none'}",
            )
    return at


def kind_of(given: str) -> Literal["formula", "network", "run", "script"]:
    """What an argument is: a folder that exists is a run, a file a program, the word ``network`` or the address of its
    page a network, anything else a formula.

    Raises:
        ArgumentError: it looks like a path, but nothing is there, or something else.
    """
    try:
        path = Path(given).expanduser()
        if path.is_dir():
            return "run"
        is_file = path.is_file()
    except (OSError, ValueError, RuntimeError):  # too long for a path, or with NUL, or no such user
        path, is_file = Path(), False
    if is_file:
        if path.suffix == ".py":
            return "script"
        raise ArgumentError(
            f"{cut(given, 60)} is a file, but no Python program",
            fix="pass a formula, the folder of a run, or a .py file",
        )
    if given == "network" or _ADDRESS.match(given):
        return _kind_of_address(given)
    inside = "/" in given and Path(given.partition("/")[0]).is_dir()
    if _ENDS_LIKE_A_FILE.search(given) or _BEGINS_LIKE_A_PATH.match(given) or inside:
        raise ArgumentError(
            f"there is no file or folder {cut(given, 60)}",
            fix="look for its name with ls; or, if it is a formula, put it in parentheses: "
            f"({cut(given, 60)})",
        )
    return "formula"
