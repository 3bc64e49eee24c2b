"""Untrusted text in HTML and SVG: escaped, cleaned, pure ASCII."""

from __future__ import annotations

import html

from vbsbatch.report.text import clean


def literal(value: object) -> str:
    """`value` as literal text of an element or a quoted attribute."""
    escaped = html.escape(clean(str(value)))
    return escaped.encode("ascii", "xmlcharrefreplace").decode("ascii")
