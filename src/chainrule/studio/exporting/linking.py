"""The page's ES modules and style sheets as one script and one sheet, for a file that stands alone and for notebooks.

Each module becomes a function that is called once and gives what the module exports, used before user, so that names
stay with their module. A few rules make this a matter of single lines: modules import only ``{ names }`` of each other
without renaming, export only functions, classes and constants, where they are declared, and only the first one does
more than declare. Whoever breaks a rule is told file and line.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from chainrule.errors import ChainruleError
from chainrule.studio.exporting.source import code_only, line_of, outermost

STATIC = Path(__file__).parent.parent / "static"
"""Where the page's files are."""

_STATEMENT = re.compile(r"\S")
_IMPORT = re.compile(r"import\s*\{([\w$\s,]*)\}\s*from\s*(['\"])([^'\"\n]+)\2\s*;")
_IMPORTS = re.compile(r"import\b")
_EXPORT = re.compile(r"export\s+")
_BLOCK = re.compile(r"(?:async\s+)?(?:function\b\s*\*?|class\b)\s*([A-Za-z_$][\w$]*)")
_VARIABLES = re.compile(r"(?:const|let|var)\b")
_DECLARED = re.compile(r"\s*([A-Za-z_$][\w$]*)\s*(?:=(?!=)|\Z)")
_NAME = re.compile(r"[A-Za-z_$][\w$]*")
_ELSEWHERE = re.compile(r"(?<![\w$.])import\s*[(.]")
_CHANGING = re.compile(r"(?:let|var)\b")
_UNENDED = re.compile(r"\n\s*(?:const|let|var|function|class|import|export)\b")
_AWAIT, _ASYNC = re.compile(r"(?<![\w$.])await\b"), re.compile(r"(?<![\w$.])async\b")


class LinkError(ChainruleError):
    """A module of the studio breaks a rule of linking; the message says where."""


@dataclass(frozen=True, slots=True)
class Module:
    """A module, read.

    Attributes:
        path: relative to the folder of all modules, such as ``formula/stage.js``.
        body: what it does, without its imports and without the word ``export``.
        imports: names it takes from others: (path, name, line).
        exports: names that others may use.
        acts: the first line at its top that does something other than declare; None if there is none.
    """

    path: str
    body: str
    imports: tuple[tuple[str, str, int], ...]
    exports: tuple[str, ...]
    acts: int | None


class _Reader:
    """One pass over the statements at the top of a module."""

    def __init__(self, path: str, text: str) -> None:
        self.path, self.text = path, text
        self.code = code_only(text)
        self.top = outermost(self.code)
        self.imports: list[tuple[str, str, int]] = []
        self.exports: list[str] = []
        self.acts: int | None = None
        self.body: list[str] = []
        self._kept = 0

    def read(self) -> Module:
        if found := _ELSEWHERE.search(self.code):
            raise self._broken(
                found.start(), "an import within an expression", "import { name } from './x.js' at the top"
            )
        at = 0
        while found := _STATEMENT.search(self.top, at):
            at = self._statement(found.start())
        self.body.append(self.text[self._kept :])
        return Module(self.path, "".join(self.body), tuple(self.imports), tuple(self.exports), self.acts)

    def _broken(self, at: int, what: str, fix: str) -> LinkError:
        return LinkError(f"{self.path}:{line_of(self.text, at)}: {what}", fix=fix)

    def _statement(self, at: int) -> int:
        """Read the statement that begins at ``at``; where it ends."""
        if _IMPORTS.match(self.top, at):
            return self._import(at)
        exported = _EXPORT.match(self.top, at)
        if exported:
            self._drop(at, exported.end())
            at = exported.end()
        names, end = self._declaration(at, exported is not None)
        if exported and (not names or _CHANGING.match(self.top, at)):
            what = "an export that can change" if names else "an export that is no declaration"
            raise self._broken(at, what, "write export before function, class or const")
        if exported:
            self.exports += names
        if not names and self.top[at] != ";" and not _VARIABLES.match(self.top, at):
            self.acts = self.acts or line_of(self.text, at)
        piece = self.top[at:end]
        if (waits := _AWAIT.search(piece)) and not _ASYNC.search(piece[: waits.start()]):
            raise self._broken(at + waits.start(), "await at the top of a module", "wait within a function")
        return end

    def _drop(self, start: int, end: int) -> None:
        self.body.append(self.text[self._kept : start])
        self._kept = end

    def _import(self, at: int) -> int:
        found = _IMPORT.match(self.text, at)
        names = [] if found is None else [name.strip() for name in found[1].split(",") if name.strip()]
        if found is None or not all(_NAME.fullmatch(name) for name in names):
            raise self._broken(
                at, "an import of another form", "write import { a, b } from './x.js'; without as"
            )
        if not found[3].startswith(".") or not found[3].endswith(".js"):
            raise self._broken(
                at, f"an import from {found[3]}", "import from './x.js', a module of the studio"
            )
        source = posixpath.normpath(posixpath.join(posixpath.dirname(self.path), found[3]))
        self.imports += ((source, name, line_of(self.text, at)) for name in names)
        end = found.end()
        self._drop(at, end + 1 if self.text.startswith("\n", end) else end)
        return end

    def _declaration(self, at: int, exported: bool) -> tuple[list[str], int]:
        """The names that a statement declares, and where it ends."""
        if block := _BLOCK.match(self.top, at):
            return [block[1]], self._end(at, "}")
        if not _VARIABLES.match(self.top, at):
            return [], self._end(at, ";", "}")
        end = self._end(at, ";")
        piece = self.top[at:end].rstrip("; ")
        if unended := _UNENDED.search(piece):
            raise self._broken(at + unended.end(), "no semicolon at the end of a statement", "end it with ;")
        names: list[str] = []
        for part in _VARIABLES.sub("", piece, count=1).split(","):
            declared = _DECLARED.match(part)
            if not declared:
                if exported:
                    raise self._broken(at, "an export by a pattern", "declare what is exported name by name")
                continue
            names.append(declared[1])
        return names, end

    def _end(self, at: int, *signs: str) -> int:
        places = [place for sign in signs if (place := self.top.find(sign, at)) >= 0]
        return min(places) + 1 if places else len(self.top)


def read_module(path: str, text: str) -> Module:
    """Read a module, and hold it to the rules that concern it alone.

    Args:
        path: relative to the folder of all modules.
        text: its source.

    Raises:
        LinkError: it breaks one.

    Example:
        >>> module = read_module("a.js", "import { b } from './b.js';\\nexport const a = b + 1;")
        >>> module.body, module.imports, module.exports
        ('const a = b + 1;', (('b.js', 'b', 1),), ('a',))
    """
    return _Reader(path, text).read()


def link(entry: str, read: Callable[[str], str]) -> str:
    """One script that does what a module and all that it imports do.

    Args:
        entry: path of the module that starts; only it may do more than declare.
        read: gives the source of a module, and raises `FileNotFoundError` where there is none.

    Raises:
        LinkError: a module breaks a rule, or is not there.
    """
    modules = _in_order(entry, read)
    number = {module.path: i for i, module in enumerate(modules)}
    for module in modules:
        if module.acts and module.path != entry:
            raise LinkError(
                f"{module.path}:{module.acts}: a module that is imported does more than declare",
                fix="move it into a function, which the entry calls",
            )
    return "".join(_called(module, number) for module in modules)


def _called(module: Module, number: Mapping[str, int]) -> str:
    """A module as a function that is called at once."""
    used: dict[str, list[str]] = {}
    for source, name, _ in module.imports:
        used.setdefault(source, []).append(name)
    lines = [
        f"const {{ {', '.join(names)} }} = {_variable(number[source])};" for source, names in used.items()
    ]
    gives = f"return {{ {', '.join(module.exports)} }};" if module.exports else ""
    body = "\n".join(filter(None, (*lines, module.body.strip(), gives)))
    return f"// {module.path}\nconst {_variable(number[module.path])} = (() => {{\n{body}\n}})();\n"


def _variable(number: int) -> str:
    return f"linked{number}"


def default_export(entry: str, name: str, key: str) -> str:
    """The linked script of an entry as a module whose default export has one of its functions, under a key."""
    script = linked_script(entry)
    last = script.rindex("\nconst linked") + len("\nconst ")
    return f"{script}export default {{ {key}: {script[last : script.index(' ', last)]}.{name} }};\n"


def _in_order(entry: str, read: Callable[[str], str]) -> list[Module]:
    """All modules behind an entry, each after those that it imports."""
    known: dict[str, Module] = {}
    order: dict[str, Module] = {}
    open_: list[str] = []

    def visit(path: str, asked: str) -> None:
        if path in order:
            return
        if path in open_:
            circle = " → ".join([*open_[open_.index(path) :], path])
            raise LinkError(
                f"{asked}: modules import each other in a circle: {circle}",
                fix="move what both need to a third",
            )
        try:
            text = read(path)
        except FileNotFoundError:
            raise LinkError(f"{asked}: there is no module {path}", fix="correct the path") from None
        module = known[path] = read_module(path, text)
        open_.append(path)
        for source, name, line in module.imports:
            visit(source, f"{path}:{line}")
            if name not in known[source].exports:
                raise LinkError(
                    f"{path}:{line}: {source} exports no {name}", fix="export it there, or correct the name"
                )
        open_.pop()
        order[path] = module

    visit(entry, entry)
    return list(order.values())


@cache
def linked_script(entry: str) -> str:
    """The studio's modules behind one of its entries, such as ``offline.js``, as one script."""
    return link(entry, lambda path: (STATIC / "js" / path).read_text(encoding="utf-8"))


@cache
def linked_styles() -> str:
    """The studio's style sheets as one, in the order in which its page has them."""
    page = (STATIC / "index.html").read_text(encoding="utf-8")
    sheets = [_sheet(name) for name in re.findall(r'<link rel="stylesheet" href="([\w./-]+)">', page)]
    return "\n".join(sheet for sheet in sheets if sheet.strip())


def _sheet(name: str) -> str:
    text = (STATIC / name).read_text(encoding="utf-8")
    if found := re.search(r"@import\b|url\(\s*['\"]?(?!data:)", text):
        raise LinkError(
            f"{name}:{line_of(text, found.start())}: a style sheet that fetches another file",
            fix="the studio's sheets stand alone: draw it, or write it as data:",
        )
    return text
