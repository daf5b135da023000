"""Pages that need nothing from outside, and no server.

Whatever a name says, it stays text: everything is escaped, and a page's own policy runs no script
and no style but the two in it, which it knows by their hashes.
"""

from __future__ import annotations

import base64
import hashlib
import unicodedata
from html import escape


def text(value: object) -> str:
    """What may stand in HTML: escaped, without the characters that no page may hold."""
    found = str(value).encode("utf-8", "replace").decode()
    # Unicode's category C: control characters, and those that turn the text around them.
    clean = (
        "\ufffd" if unicodedata.category(c)[0] == "C" and c not in "\n\t" else c for c in found
    )
    return escape("".join(clean), quote=True)


def page(title: str, body: str, style: str, script: str) -> str:
    """A page.

    Args:
        title: any text.
        body: HTML; whoever makes it has escaped what is in it.
        style: the page's only style sheet.
        script: the page's only script, which runs behind the body.
    """
    policy = (
        f"default-src 'none'; style-src {_hash(style)}; script-src {_hash(script)};"
        " base-uri 'none'; form-action 'none'"
    )
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{text(title)}</title>
<style>{style}</style>
</head>
<body>
{body}
<script>{script}</script>
</body>
</html>
"""


def _hash(source: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(source.encode()).digest()).decode()}'"
