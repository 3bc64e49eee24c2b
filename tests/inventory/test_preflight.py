"""Preflight reports what would surely fail, what may fail, and what needs no backup."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path
from typing import Any

import pytest

from tests.inventory.samples import uuid, volume
from vbsbatch.cloud.services.cinder import CinderService
from vbsbatch.cloud.services.vbs import VbsService
from vbsbatch.inventory.cloud_snapshot import CloudSnapshot, Gap
from vbsbatch.inventory.forecast import in_words
from vbsbatch.inventory.preflight import Preflight, Severity, look
from vbsbatch.inventory.volumes_by_server import VolumesByServer
from vbsbatch.model import Backup, Limits, OnPreflight, Quota, Rate
from vbsbatch.plan import Plan, load

NOW = 1_767_225_600.0  # 2026-01-01 00:00:00 UTC
HOUR = 3600.0
VOLUMES = [volume(1, "one", size=100), volume(2, "two", size=None), volume(3, "three", size=7)]


def backup(number: int, volume_number: int = 1, **facts: Any) -> Backup:
    known: dict[str, Any] = {
        "id": f"b{number}",
        "name": f"night-{number}",
        "volume_id": uuid(volume_number),
        "status": "available",
        "created_at": NOW - 48 * HOUR,
    }
    return Backup(**{**known, **facts})


def plan(tmp_path: Path, text: str = "", volumes: str = "") -> Plan:
    path = tmp_path / "plan.yaml"
    listed = volumes or "".join(f"\n  - {{id: {uuid(n)}, name: v{n}}}" for n in (1, 2, 3))
    path.write_text(f"{text}\nvolumes:{listed}\n")
    return load(path)


def sight(**changes: Any) -> CloudSnapshot:
    known: dict[str, Any] = {
        "service": VbsService.facts,
        "now": NOW,
        "fleet": VolumesByServer.of(VOLUMES),
        "backups": (),
        "quotas": (),
    }
    return CloudSnapshot(**{**known, **changes})


def seen(plan: Plan, unanswered: Severity = Severity.ERROR, **changes: Any) -> Preflight:
    return look(plan, sight(**changes), unanswered=unanswered)


def told(found: Preflight) -> list[tuple[str, str, str | None]]:
    return [(each.severity, each.about, each.name) for each in found.findings]


def test_a_plan_that_the_cloud_can_carry_out_has_no_findings(tmp_path: Path) -> None:
    found = seen(plan(tmp_path))
    assert found.findings == ()
    assert (found.recent, found.hopeless) == ({}, {})
    assert found.forecast.volumes == 3
    assert (found.forecast.gigabytes, found.forecast.unsized) == (107, 1)


def test_a_volume_that_is_not_there_would_surely_fail(tmp_path: Path) -> None:
    found = seen(plan(tmp_path), fleet=VolumesByServer.of(VOLUMES[1:]))
    assert told(found) == [("error", "missing", "v1")]
    assert list(found.hopeless) == [uuid(1)]
    assert found.forecast.volumes == 2
    assert not found.blocked


@pytest.mark.parametrize(
    ("status", "severity"),
    [
        ("available", None),
        ("in-use", None),
        (None, None),
        ("backing-up", "warning"),
        ("creating", "warning"),
        ("rollbacking", "warning"),
        ("never-heard-of", "warning"),
        ("error", "error"),
        ("error_deleting", "error"),
        ("error_restoring", "error"),
        ("deleting", "error"),
    ],
)
def test_states_that_pass_are_a_warning_and_those_that_stay_an_error(
    tmp_path: Path, status: str | None, severity: str | None
) -> None:
    one = dataclasses.replace(VOLUMES[0], status=status)
    found = seen(plan(tmp_path), fleet=VolumesByServer.of([one, *VOLUMES[1:]]))
    assert told(found) == ([] if severity is None else [(severity, "state", "v1")])


def test_vbs_keeps_twenty_backups_of_a_volume_whatever_their_state(tmp_path: Path) -> None:
    kept = [backup(n, status="error" if n % 2 else "available") for n in range(20)]
    assert told(seen(plan(tmp_path), backups=kept)) == [("error", "limit", "v1")]
    assert told(seen(plan(tmp_path), backups=kept[1:])) == []
    going = [*kept[1:], backup(99, status="deleting")]
    assert told(seen(plan(tmp_path), backups=going)) == []
    assert told(seen(plan(tmp_path), backups=kept, service=CinderService.facts)) == []


def test_a_backup_that_is_being_made_is_a_warning(tmp_path: Path) -> None:
    found = seen(plan(tmp_path), backups=[backup(1, status="creating", created_at=NOW)])
    assert told(found) == [("warning", "running", "v1")]
    assert "tries again for up to 2 h" in found.findings[0].text


@pytest.mark.parametrize(
    ("keys", "of_volume", "age", "skipped"),
    [
        ("", "", 1, False),
        ("skip_if_newer_than: 24h", "", 1, True),
        ("skip_if_newer_than: 24h", "", 23.99, True),
        ("skip_if_newer_than: 24h", "", 24, False),
        ("skip_if_newer_than: 24h", "", -0.1, True),
        ("skip_if_newer_than: 24h", "skip_if_newer_than: 0", 1, False),
        ("skip_if_newer_than: 24h", "skip_if_newer_than: 30m", 1, False),
        ("", "skip_if_newer_than: 2h", 1, True),
    ],
)
def test_a_recent_backup_is_enough(
    tmp_path: Path, keys: str, of_volume: str, age: float, skipped: bool
) -> None:
    volumes = f"\n  - {{id: {uuid(1)}, name: v1, {of_volume}}}\n  - {{id: {uuid(3)}}}"
    old = [backup(n) for n in range(2, 22)]
    newest = backup(1, created_at=NOW - age * HOUR)
    found = seen(plan(tmp_path, keys, volumes), backups=[newest, *old], service=CinderService.facts)
    assert list(found.recent) == ([uuid(1)] if skipped else [])
    if skipped:
        assert told(found) == [("note", "recent", "v1")]
        assert "(night-1), newer than skip_if_newer_than: " in found.recent[uuid(1)]
        assert found.forecast.volumes == 1


def test_only_an_available_backup_of_known_age_is_enough(tmp_path: Path) -> None:
    ours = plan(tmp_path, "skip_if_newer_than: 24h")
    lacking: list[dict[str, Any]] = [
        {"status": "error"},
        {"status": "creating"},
        {"created_at": None},
    ]
    for facts in lacking:
        assert not seen(ours, backups=[backup(1, **{"created_at": NOW, **facts})]).recent


def test_a_volume_that_needs_no_backup_has_nothing_else_said_of_it(tmp_path: Path) -> None:
    kept = [backup(n, created_at=NOW - n * HOUR) for n in range(20)]
    found = seen(plan(tmp_path, "skip_if_newer_than: 24h"), backups=kept)
    assert told(found) == [("note", "recent", "v1")]
    assert found.hopeless == {}


def quota(kind: str, used: int, limit: int | None, reserved: int = 0) -> Quota:
    return Quota(kind=kind, used=used, limit=limit, reserved=reserved)


@pytest.mark.parametrize(
    ("quotas", "errors"),
    [
        ([quota("backups", 7, 10)], []),
        ([quota("backups", 8, 10)], ["the run needs 3, and 2 of 10 backups are left"]),
        ([quota("backups", 6, 10, reserved=2)], ["the run needs 3, and 2 of 10 backups are left"]),
        ([quota("backups", 99, 10)], ["the run needs 3, and 0 of 10 backups are left"]),
        ([quota("backups", 99, None), quota("volumes", 9, 1)], []),
        ([quota("backup_gigabytes", 0, 107)], []),
        (
            [quota("backup_gigabytes", 0, 106)],
            ["the run needs 107, and 106 of 106 GB of backups are left"],
        ),
    ],
)
def test_the_quota_must_suffice_in_pieces_and_gigabytes(
    tmp_path: Path, quotas: list[Quota], errors: list[str]
) -> None:
    found = seen(plan(tmp_path), quotas=quotas)
    texts = [each.text for each in found.findings if each.severity is Severity.ERROR]
    assert [text.partition(":")[0] for text in texts] == errors
    assert found.blocked == bool(errors)


def test_volumes_that_are_left_out_need_no_quota(tmp_path: Path) -> None:
    ours = plan(tmp_path, "skip_if_newer_than: 24h")
    some = [backup(1, created_at=NOW)]
    found = seen(
        ours, backups=some, fleet=VolumesByServer.of(VOLUMES[:2]), quotas=[quota("backups", 0, 1)]
    )
    assert not found.blocked
    assert found.forecast.volumes == 1


def test_a_question_without_an_answer_has_the_severity_that_the_caller_gives(
    tmp_path: Path,
) -> None:
    gaps = (
        Gap(what="volumes", why="404: no", refused=True),
        Gap(what="backups", why="503: later", refused=False),
    )
    nothing: dict[str, Any] = {"fleet": None, "backups": None, "quotas": None, "gaps": gaps}
    checked = seen(plan(tmp_path), **nothing)
    assert told(checked) == [("warning", "volumes", None), ("error", "backups", None)]
    begun = seen(plan(tmp_path), Severity.WARNING, **nothing)
    assert [each.severity for each in begun.findings] == ["warning", "warning"]
    assert "could not be found out: 503: later" in begun.findings[1].text
    assert not begun.hopeless


def test_a_deadline_before_the_last_create_is_a_warning(tmp_path: Path) -> None:
    found = seen(plan(tmp_path, "limits: {rate: 1/min}\ndeadline: 1m"))
    assert told(found) == [("warning", "deadline", None)]
    assert "leaves after 2 min, and the deadline is 60 s" in found.findings[0].text


def test_cinder_refuses_what_the_plan_forbids_itself(tmp_path: Path) -> None:
    used = [dataclasses.replace(each, status="in-use") for each in VOLUMES]
    forced = plan(tmp_path, "defaults: {force: false}")
    for service, errors in ((CinderService.facts, 3), (VbsService.facts, 0)):
        found = seen(forced, fleet=VolumesByServer.of(used), service=service)
        assert found.found(Severity.ERROR) == errors
    partial = plan(tmp_path, "defaults: {full: false}")
    cinder: dict[str, Any] = {"service": CinderService.facts, "backups": [backup(1)]}
    assert list(seen(partial, **cinder).hopeless) == [uuid(2), uuid(3)]
    assert not seen(partial, **cinder, whole=False).hopeless
    assert not seen(partial, service=CinderService.facts, backups=None).hopeless
    either = plan(tmp_path, "defaults: {full: false, full_if_no_parent: true}")
    assert not seen(either, **cinder).hopeless


def test_ids_that_the_cloud_spells_otherwise_are_the_same_volume(tmp_path: Path) -> None:
    one = dataclasses.replace(VOLUMES[0], id=uuid(1).upper().replace("-", ""))
    newest = backup(1, volume_id=uuid(1).upper(), created_at=NOW)
    strange = [backup(2, volume_id=None), backup(3, volume_id="\x1b[31m")]
    ours = plan(tmp_path, "skip_if_newer_than: 1h")
    found = seen(ours, fleet=VolumesByServer.of([one, *VOLUMES[1:]]), backups=[newest, *strange])
    assert list(found.recent) == [uuid(1)]
    assert not found.hopeless


def test_the_forecast_goes_by_how_long_backups_took_lately(tmp_path: Path) -> None:
    ours = plan(tmp_path, "limits: {rate: 1/s, in_flight: 1}")
    took = [
        backup(n, 9, created_at=NOW - n * 10_000, updated_at=NOW - n * 10_000 + seconds)
        for n, seconds in enumerate((600, 300, 900, 10**6), 1)
    ]
    found = seen(ours, backups=took).forecast
    assert (found.each, found.samples) == (600, 3)
    assert found.seconds == pytest.approx(1800, rel=0.15), "three, one after the other"
    assert re.fullmatch(
        r"3 volumes, 107 GB and 1 of unknown size, about \d\d calls, "
        r"about [23]\d\.?\d? min \(3 backups lately took 10 min in the median\)",
        in_words(found),
    )
    few = seen(ours, backups=took[:2]).forecast
    assert few.seconds is None
    assert in_words(few).endswith("at least 2 s")


def test_the_rate_bounds_the_forecast_where_places_do_not(tmp_path: Path) -> None:
    ours = plan(tmp_path)
    limits = Limits(rate=Rate(count=1, per=3600.0), in_flight=50)
    slow = dataclasses.replace(ours, settings=dataclasses.replace(ours.settings, limits=limits))
    took = [backup(n, created_at=NOW - HOUR, updated_at=NOW - HOUR / 2) for n in range(3)]
    ahead = seen(slow, backups=took).forecast
    assert ahead.seconds == pytest.approx(2 * HOUR + HOUR / 2, rel=0.15)
    assert ahead.calls == 3 + 4 + 50, "the last look comes within ten seconds of the end"


def test_the_forecast_names_the_parts_of_the_plan_that_it_leaves_out(tmp_path: Path) -> None:
    hours = 'window: {from: "22:00", to: "06:00", timezone: UTC}'
    found = seen(plan(tmp_path, f"waves: [{{name: all}}]\nlimits: {{per_group: 2}}\n{hours}"))
    assert in_words(found.forecast).endswith("at least 0 s, not counting its window, waves, caps")
    assert "not counting" not in in_words(seen(plan(tmp_path)).forecast)


def test_unknown_sizes_make_the_needed_quota_a_lower_bound(tmp_path: Path) -> None:
    quotas = [Quota(kind=kind, used=0, limit=1000) for kind in ("backups", "backup_gigabytes")]
    counts, sizes = (each.text for each in seen(plan(tmp_path), quotas=quotas).findings)
    assert counts.endswith("are left, it needs 3")
    assert sizes.endswith("GB of backups are left, it needs at least 107")


def test_the_policy_and_its_default(tmp_path: Path) -> None:
    assert plan(tmp_path).on_preflight is OnPreflight.FAIL
    assert plan(tmp_path, "on_preflight: skip").on_preflight is OnPreflight.SKIP
