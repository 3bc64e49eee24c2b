"""Says which cloud a command works in, and when a sign-in that cannot be renewed will end."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from vbsbatch.cli import remark

if TYPE_CHECKING:
    from vbsbatch.cloud import CloudService


def place_line(service: CloudService) -> str:
    """Cloud, region, project and address, fit to be shown."""
    from vbsbatch.report import clean

    return clean(str(service.place))


def end_line(service: CloudService) -> str | None:
    """When the sign-in ends for good, and what then; None where it can be renewed."""
    from vbsbatch.report.text import moment, span

    ends = service.ends
    if ends is None:
        return None
    told = f"signed in with {ends.signed_in_with}, which cannot be renewed"
    if ends.at is None:
        return f"{told}; how long it lasts is not reported: when it ends, the run stops"
    left = span(ends.at - time.time())
    return (
        f"{told}: a run stops at {moment(ends.at)}, {left} from now, and is resumed with a new one"
    )


def say_place(service: CloudService, style: str) -> None:
    """Say both on standard error, in the `style` of the run's progress."""
    if style != "quiet":
        remark(f"in {place_line(service)}", style)
    ending = end_line(service)
    if ending is None:
        return
    remark(f"note: {ending}", style)
    if style == "tui":
        remark("note: behind the screen it is used once more: else say --progress plain", style)
