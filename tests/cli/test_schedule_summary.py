"""What `check` prints about the order and the window of a plan."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from vbsbatch.cli.schedule_summary import order_lines
from vbsbatch.plan import Plan, load

NOON = datetime(2026, 11, 26, 12, tzinfo=UTC).timestamp()
IDS = [f"6ba7b810-9dad-11d1-80b4-{n:012x}" for n in range(4)]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "plan.yaml"


def plan(path: Path, head: str, *volumes: str) -> Plan:
    rows = [f"  - {{id: {one}{more}}}\n" for one, more in zip(IDS, volumes, strict=False)]
    path.write_text(f"{head}\nvolumes:\n{''.join(rows)}")
    return load(path)


def test_a_plan_without_order_has_no_lines(path: Path) -> None:
    assert order_lines(plan(path, "name: plain", "", ""), NOON) == []


def test_a_capped_zone_without_volumes_is_a_note(path: Path) -> None:
    head = 'limits: {per_az: {eu-de-1: 3, "*": 9}}'
    assert order_lines(plan(path, head, ", az: eu-de-01", ""), NOON) == [
        "zones: eu-de-1 at most 3 in flight, * at most 9 in flight",
        'note: no volume is in the zone "eu-de-1"',
        "note: volumes without a zone, to which no cap applies: 1",
    ]


@pytest.mark.parametrize(
    ("window", "now"),
    [
        ('from: "22:00", to: "06:00"', "closed, opens Thu 26 Nov 22:00 CET"),
        ('from: "12:00", to: "14:30"', "open, closes Thu 26 Nov 14:30 CET"),
    ],
)
def test_the_window_is_shown_with_its_present_state(path: Path, window: str, now: str) -> None:
    found = order_lines(plan(path, f"window: {{{window}, timezone: Europe/Berlin}}", ""), NOON)
    assert len(found) == 1
    assert found[0].endswith(f"Europe/Berlin, now {now}")


@pytest.mark.parametrize(("deadline", "notes"), [("8h", 1), ("9h", 1), ("10h", 0)])
def test_a_deadline_before_the_window_opens_is_a_note(
    path: Path, deadline: str, notes: int
) -> None:
    head = f'deadline: {deadline}\nwindow: {{from: "22:00", to: "06:00", timezone: Europe/Berlin}}'
    assert len(order_lines(plan(path, head, ""), NOON)) == 1 + notes
