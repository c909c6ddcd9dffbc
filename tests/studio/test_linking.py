"""The page's modules become one script: in order, with nothing lost, and with a message where a rule is broken."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from chainrule.studio.exporting.linking import (
    STATIC,
    LinkError,
    link,
    linked_script,
    linked_styles,
    read_module,
)
from chainrule.studio.exporting.source import code_only

SCRIPTS = STATIC / "js"
PATHS = sorted(path.relative_to(SCRIPTS).as_posix() for path in SCRIPTS.rglob("*.js"))
ENTRIES = ("main.js", "offline.js", "widget/formula.js", "widget/network.js", "widget/model.js")


def of(**files: str) -> str:
    """Link ``a.js`` among files that are given without their suffix."""
    modules = {f"{name}.js": text for name, text in files.items()}

    def read(path: str) -> str:
        if path not in modules:
            raise FileNotFoundError(path)
        return modules[path]

    return link("a.js", read)


def problem(**files: str) -> str:
    with pytest.raises(LinkError) as caught:
        of(**files)
    assert caught.value.fix
    return caught.value.message


def test_what_is_used_comes_before_its_user():
    script = of(
        a="import { b } from './b.js';\nimport {\n  c,\n  d,\n} from './c.js';\nb(c, d);\n",
        b="import { c } from './c.js';\nexport function b(x) {\n  return x + c;\n}\n",
        c="// c\nexport const c = 1, d = 2;\nlet hidden = 3;\n",
    )
    assert script == (
        "// c.js\nconst linked0 = (() => {\n// c\nconst c = 1, d = 2;\nlet hidden = 3;\nreturn { c, d };\n})();\n"
        "// b.js\nconst linked1 = (() => {\nconst { c } = linked0;\nfunction b(x) {\n  return x + c;\n}\n"
        "return { b };\n})();\n"
        "// a.js\nconst linked2 = (() => {\nconst { b } = linked1;\nconst { c, d } = linked0;\nb(c, d);\n})();\n"
    )


def test_words_in_strings_templates_comments_and_regular_expressions_are_no_code():
    text = (
        "const s = 'export default'; // import x from 'y'\n"
        "/* export * */\n"
        "const t = `import('z') ${`inner ${'}'}`} await`;\n"
        "const r = /import\\(['\"`/]/g, q = 4 / 2 / 1;\n"
        "const { length, ...rest } = s;\nexport const f = async () => await t;\n"
    )
    module = read_module("a.js", text)
    assert module.exports == ("f",) and module.acts is None
    assert module.body == text.replace("export const f", "const f")
    assert len(code_only(text)) == len(text)
    assert code_only(text).count("\n") == text.count("\n")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("export default function f() {}", "a.js:1: an export that is no declaration"),
        ("const x = 1;\nexport { x };", "a.js:2: an export that is no declaration"),
        ("export * from './b.js';", "a.js:1: an export that is no declaration"),
        ("import { b as c } from './b.js';", "a.js:1: an import of another form"),
        ("import b from './b.js';", "a.js:1: an import of another form"),
        ("import * as b from './b.js';", "a.js:1: an import of another form"),
        ("\nimport './b.js';", "a.js:2: an import of another form"),
        ("import { b } from 'https://b.example/b.js';", "a.js:1: an import from https://b.example/b.js"),
        ("function f() {\n  return import('./b.js');\n}", "a.js:2: an import within an expression"),
        ("const here = import.meta.url;", "a.js:1: an import within an expression"),
        ("const x = await fetch('y');", "a.js:1: await at the top of a module"),
        ("export const { x, y } = { x: 1, y: 2 };", "a.js:1: an export by a pattern"),
        ("const x = 1\nconst y = 2;", "a.js:2: no semicolon at the end of a statement"),
        ("export let x = 1;", "a.js:1: an export that can change"),
        ("import { c } from './b.js';", "a.js:1: b.js exports no c"),
        ("import { c } from './c.js';", "a.js:1: there is no module c.js"),
    ],
)
def test_a_broken_rule_is_told_with_file_and_line(text: str, expected: str):
    assert problem(a=text, b="export const b = 1;\nconst hidden = 2;\n") == expected


def test_an_imported_module_only_declares():
    assert problem(a="import { b } from './b.js';", b="export const b = [];\n\nb.push(1);") == (
        "b.js:3: a module that is imported does more than declare"
    )


def test_circles_are_named():
    said = problem(a="import { b } from './b.js';", b="import { a } from './a.js';\nexport const b = a;\n")
    assert said == "b.js:1: modules import each other in a circle: a.js → b.js → a.js"


@pytest.mark.parametrize("path", PATHS)
def test_every_module_of_the_studio_keeps_the_rules(path: str):
    module = read_module(path, (SCRIPTS / path).read_text(encoding="utf-8"))
    assert "export " not in code_only(module.body)


@pytest.mark.parametrize("entry", ENTRIES)
def test_the_linked_script_is_a_script(entry: str, tmp_path: Path):
    script = linked_script(entry)
    assert not re.search(r"^(import|export)\b", code_only(script), re.MULTILINE)
    node = shutil.which("node")
    if node is None:
        pytest.skip("node is not here: tests/browser reads the script in Chromium in any case")
    file = tmp_path / "linked.mjs"
    file.write_text(script, encoding="utf-8")
    run = subprocess.run([node, "--check", str(file)], capture_output=True, text=True)
    assert run.returncode == 0, run.stderr


def test_styles_are_those_of_the_page_in_its_order():
    styles = linked_styles()
    assert styles.index("color-scheme") < styles.index(".btn")
    page = (STATIC / "index.html").read_text(encoding="utf-8")
    for sheet in sorted((STATIC / "css").glob("*.css")):
        assert f'href="css/{sheet.name}"' in page
        assert sheet.read_text(encoding="utf-8").strip() in styles
