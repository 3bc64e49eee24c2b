"""Which vault a volume is backed up in, and what the preflight says about vaults."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from vbsbatch.cloud.services.cbr import CbrService
from vbsbatch.inventory.cloud_snapshot import CloudSnapshot
from vbsbatch.inventory.preflight import Preflight, Severity, look
from vbsbatch.inventory.vaults import NO_VAULT, place_volumes
from vbsbatch.inventory.volumes_by_server import VolumesByServer
from vbsbatch.model import Vault, VaultVolume
from vbsbatch.plan import Plan, load

from .samples import uuid, volume

SIZES: dict[str, int | None] = {uuid(1): 40, uuid(2): 40, uuid(3): 40}


def plan(folder: Path, keys: str = "", volumes: str | None = None) -> Plan:
    listed = volumes or "".join(f"  - {{id: {uuid(n)}, name: v{n}}}\n" for n in (1, 2, 3))
    file = folder / "plan.yaml"
    file.write_text(f"name: t\n{keys}\nvolumes:\n{listed}")
    return load(file)


def vault(name: str, *numbers: int, **facts: Any) -> Vault:
    known: dict[str, Any] = {"status": "available", "size": 1000, "allocated": 40, "used": 0}
    volumes = tuple(VaultVolume(id=uuid(n).replace("-", ""), size=40) for n in numbers)
    return Vault(id=f"id-{name}", name=name, volumes=volumes, **{**known, **facts})


def checked(found: Plan, *vaults: Vault) -> Preflight:
    snapshot = CloudSnapshot(
        service=CbrService.facts,
        now=0.0,
        fleet=VolumesByServer.of([volume(n) for n in (1, 2, 3)]),
        backups=[],
        quotas=[],
        vaults=vaults,
    )
    return look(found, snapshot, unanswered=Severity.WARNING)


def told(found: Preflight) -> list[tuple[str, str | None, str]]:
    return [(each.severity, each.name, each.text) for each in found.findings]


def test_a_volume_is_backed_up_in_the_vault_that_it_is_in(tmp_path: Path) -> None:
    placed = place_volumes(plan(tmp_path), [vault("a", 1, 3), vault("b", 2)], SIZES)
    assert placed.vault_of == {uuid(1): "id-a", uuid(2): "id-b", uuid(3): "id-a"}
    assert (placed.problems, dict(placed.missing)) == ({}, {})


def test_a_volume_in_no_vault_is_an_error_that_says_what_to_write(tmp_path: Path) -> None:
    found = checked(plan(tmp_path), vault("a", 1, 2))
    assert told(found) == [("error", "v3", NO_VAULT)]
    assert list(found.hopeless) == [uuid(3)]
    named = checked(plan(tmp_path, "defaults: {vault: a}"), vault("a", 1, 2))
    ((severity, _, text),) = told(named)
    assert severity == "error"
    assert "write `associate: true` beside `vault: a`" in text


@pytest.mark.parametrize("word", ["a", "id-a"])
def test_with_associate_it_is_to_be_put_there(tmp_path: Path, word: str) -> None:
    keys = f"defaults: {{vault: {word}, associate: true}}"
    found = checked(plan(tmp_path, keys), vault("a", 1), vault("b"))
    text = "2 volumes will be put into vault a before the run (associate: true)"
    assert told(found) == [("warning", None, text)]
    assert found.placement is not None
    assert found.placement.wanted({}) == {"id-a": [uuid(2), uuid(3)]}
    assert found.placement.wanted({uuid(2): "x", uuid(3): "x"}) == {}


@pytest.mark.parametrize(
    ("word", "text"),
    [
        ("nihgtly", "vault nihgtly does not exist; did you mean 'nightly'?"),
        ("zzz", "vault zzz does not exist: there are nightly, twin, twin"),
        ("twin", "2 vaults are called so: name its id"),
    ],
)
def test_a_vault_that_is_not_there_or_not_the_only_one_is_an_error(
    tmp_path: Path, word: str, text: str
) -> None:
    vaults = [vault("nightly", 1, 2), vault("twin"), Vault(id="id-other", name="twin")]
    placed = place_volumes(
        plan(tmp_path, f"defaults: {{vault: {word}, associate: true}}"), vaults, SIZES
    )
    assert list(placed.problems) == [uuid(3)]
    assert text in placed.problems[uuid(3)].replace('"', "")


def test_a_volume_in_another_vault_than_its_own_key_says_is_a_warning(tmp_path: Path) -> None:
    volumes = "".join(f"  - {{id: {uuid(n)}, name: v{n}, vault: b}}\n" for n in (1, 2))
    found = checked(plan(tmp_path, volumes=volumes), vault("a", 1), vault("b", 2))
    ((severity, name, text),) = told(found)
    assert (severity, name) == ("warning", "v1")
    assert 'is in vault a, and the plan says "b"' in text
    by_default = checked(plan(tmp_path, "defaults: {vault: b}"), vault("a", 1), vault("b", 2, 3))
    assert [severity for severity, _, _ in told(by_default)] == ["note"]


@pytest.mark.parametrize(
    ("facts", "severity", "text"),
    [
        ({"status": "frozen"}, "error", "vault a is frozen: it takes no backups"),
        ({"status": "error"}, "error", "vault a is error: it takes no backups"),
        ({"status": "lock"}, "note", "is being enlarged (lock)"),
        ({"used": 1000 * 1024}, "error", "vault a is full (1000 GB): enlarge it"),
        ({"used": 1000 * 1024, "auto_expand": True}, None, ""),
        ({"used": 900 * 1024}, "warning", "vault a has 100 of 1000 GB free"),
        ({"size": None, "used": None}, None, ""),
    ],
)
def test_room_and_status_of_a_vault_are_findings(
    tmp_path: Path, facts: dict[str, Any], severity: str | None, text: str
) -> None:
    found = told(checked(plan(tmp_path), vault("a", 1, 2, 3, **facts)))
    assert {each[0] for each in found} == ({severity} if severity else set())
    assert all(text in each[2] for each in found)


def test_what_a_vault_has_no_room_for_is_not_put_there(tmp_path: Path) -> None:
    keys = "defaults: {vault: a, associate: true}"
    small = vault("a", size=100, allocated=40)
    text = "vault a has room for volumes of 60 GB, and 120 GB are to be put there: enlarge it"
    assert place_volumes(plan(tmp_path, keys), [small], SIZES).problems == dict.fromkeys(
        SIZES, text
    )
    growing = vault("a", size=100, allocated=40, auto_expand=True)
    assert place_volumes(plan(tmp_path, keys), [growing], SIZES).problems == {}
    full = vault("a", *range(10, 264))
    problems = place_volumes(plan(tmp_path, keys), [full], SIZES).problems
    assert "has 254 of the 256 volumes it may have" in problems[uuid(1)]


def test_a_snapshot_is_refused(tmp_path: Path) -> None:
    volumes = f"  - {{id: {uuid(1)}, name: v1, snapshot_id: {uuid(9)}}}\n"
    ((severity, _, text),) = told(checked(plan(tmp_path, volumes=volumes), vault("a", 1)))
    assert (severity, text) == ("error", "has a snapshot_id, and CBR backs up no snapshots")
