"""Take the output of the report room anew, after a change of it that was meant."""

from __future__ import annotations

import json
import os

from .snapshot import FILE, taken

os.environ |= {"TERM": "xterm-256color"}
for name in ("NO_COLOR", "FORCE_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE", "COLORTERM"):
    os.environ.pop(name, None)
FILE.write_text(json.dumps(taken(), indent=1) + "\n", encoding="ascii")
