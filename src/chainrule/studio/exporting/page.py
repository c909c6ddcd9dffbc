"""One HTML file that holds everything: script, styles, the trace. It opens without a server, and asks nobody."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping
from html import escape
from typing import Any

from chainrule.studio.exporting.linking import STATIC, linked_script, linked_styles

_UNSAFE = {ord(sign): f"\\u{ord(sign):04x}" for sign in "<>&\u2028\u2029"}
"""What could end a script element or begin a comment in HTML, or end a line in JavaScript; JSON may escape any sign."""
_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="generator" content="chainrule studio">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<link rel="icon" href="data:image/svg+xml;base64,{icon}">
<style>{styles}</style>
</head>
<body class="chainrule">
<noscript>{still}</noscript>
<script type="application/json" id="chainrule-trace">{data}</script>
<script type="module">{script}</script>
</body>
</html>
"""


def page_html(trace: Mapping[str, Any], title: str, still: str = "", **beside: Any) -> str:
    """A page that shows a trace wherever it is opened.

    Args:
        trace: what is shown; its ``kind`` says by which page.
        title: of the window, as text.
        still: markup for browsers without scripts: a figure.
        beside: what the kind's page needs with the trace, JSON-ready.
    """
    script = _within("script", linked_script("offline.js"))
    styles = _within("style", linked_styles())
    return _PAGE.format(
        policy=(
            f"default-src 'none'; script-src '{_digest(script)}'; style-src '{_digest(styles)}'; img-src data: blob:; "
            "base-uri 'none'; form-action 'none'; require-trusted-types-for 'script'; trusted-types 'none'"
        ),
        title=escape(title),
        icon=base64.b64encode((STATIC / "icon.svg").read_bytes()).decode("ascii"),
        styles=styles,
        still=still,
        data=json_in_html({"trace": trace, **beside}),
        script=script,
    )


def json_in_html(document: Any) -> str:
    """JSON that can stand within a script element, whatever texts it holds.

    Example:
        >>> json_in_html({"text": "</script><!--"})
        '{"text":"\\\\u003c/script\\\\u003e\\\\u003c!--"}'
    """
    text = json.dumps(document, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    # Half of a surrogate pair has no UTF-8: it is escaped too.
    return text.translate(_UNSAFE).encode("utf-8", "backslashreplace").decode("utf-8")


def _within(tag: str, text: str) -> str:
    """Our own script or sheet, which must not hold what ends its element."""
    lowered = text.lower()
    assert f"</{tag}" not in lowered, f"the linked {tag} holds its own end"
    assert "<!--" not in lowered, f"the linked {tag} holds a comment of HTML"
    return f"\n{text}"


def _digest(text: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode('ascii')}"
