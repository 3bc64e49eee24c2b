"""Describes the order and the hours of a plan's run, for `check`."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from vbsbatch.model import Window
    from vbsbatch.plan import Plan


def order_lines(plan: Plan, now: float) -> list[str]:
    """Lines about waves, groups, zones and window, as far as the plan has them."""
    settings = plan.settings
    lines = []
    if settings.waves:
        sizes = Counter(plan.waves())
        told = [f"{wave.name} {sizes[index]}" for index, wave in enumerate(settings.waves)]
        gates = [f"{wave.max_failures} after {wave.name}" for wave in settings.waves[:-1]]
        allowed = f"; failures allowed: {', '.join(gates)}" if gates else ""
        lines.append(f"waves: {', '.join(told)} volumes{allowed}")
    lines += _caps(plan)
    return lines + (_hours(settings.window, settings.deadline, now) if settings.window else [])


def _hours(window: Window, deadline: float | None, now: float) -> list[str]:
    """The window's present state, and a note if the deadline comes before it opens."""
    from vbsbatch.policy import window as clocks

    is_open, change = clocks.is_open(window, now), clocks.changes_at(window, now)
    state = "open, closes" if is_open else "closed, opens"
    lines = [f"window: {window}, now {state} {clocks.local_time(window, change)}"]
    if deadline is not None and not is_open and now + deadline <= change:
        lines.append("note: if the run starts now, its deadline passes before the window opens")
    return lines


def _caps(plan: Plan) -> list[str]:
    """Caps of groups and zones, and volumes without one, to show a misspelt zone."""
    limits = plan.settings.limits
    lines = []
    if limits.per_group is not None:
        groups = {volume.group for volume in plan.volumes} - {None}
        lines.append(f"groups: {len(groups)}, at most {limits.per_group} in flight of each")
    if limits.per_az:
        zones = Counter(volume.az for volume in plan.volumes)
        told = [f"{az} at most {cap} in flight" for az, cap in limits.per_az]
        lines.append(f"zones: {', '.join(told)}")
        for az, _ in limits.per_az:
            if az != "*" and not zones[az]:
                lines.append(f'note: no volume is in the zone "{az}"')
        if zones[None]:
            lines.append(f"note: volumes without a zone, to which no cap applies: {zones[None]}")
    return lines
