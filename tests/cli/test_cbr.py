"""CBR as users meet it: vaults, associating, runs, restores and prunes, as processes."""

from __future__ import annotations

import json

import pytest

from tests.cli.harness import FAST, Harness

CBR = FAST + "services: cbr\n"


def cbr(more: str = "") -> str:
    return f"{CBR}vaults: {{number: 2, {more}}}\n"


def test_a_run_on_cbr_is_found_backed_up_verified_restored_and_pruned(harness: Harness) -> None:
    cloud = harness.cloud(cbr("suffix: _, as_text: true"), volumes=4)
    harness.write_plan(defaults={"full": True, "description": "before"})
    done = harness("run", "plan.yaml")
    assert "4 volumes by CBR" in done.stderr
    assert len({row["request"] for row in cloud.world.ledger.of("create")}) == 2
    harness("verify")
    assert "service    CBR" in harness("report").stdout
    made = cloud.world.project.order
    assert {backup.incremental for backup in made} == {False}
    assert all((backup.description or "").startswith("before (vbsbatch night-") for backup in made)
    cloud.detach()
    run = harness.runs()[0]["id"]
    harness("restore", run, "--yes")
    assert len(cloud.world.ledger.of("restore")) == 4
    harness("verify", "latest")
    harness("prune", run, "--even-last", "--delete", "--yes")
    assert cloud.summary()["backed_up"] == 0


def test_a_backup_is_restored_only_onto_its_own_volume(harness: Harness) -> None:
    harness.cloud(cbr(), volumes=2)
    harness.write_plan()
    harness("run", "plan.yaml")
    line = harness.refused("restore", "latest", "--to", "a=b", "--yes")
    assert line == "--to: CBR restores a backup only onto its own volume, nowhere else"


def test_volumes_in_no_vault_are_put_into_one_only_if_that_is_agreed_to(harness: Harness) -> None:
    cloud = harness.cloud(cbr("loose: 3"), volumes=8)
    harness.write_plan()
    text = harness("run", "plan.yaml", code=2).stderr
    assert text.count("is in no vault: write `vault: NAME` and `associate: true`") == 3
    harness.write_plan(defaults={"vault": "vault-1", "associate": True})
    asked = harness("run", "plan.yaml", code=2).stderr
    assert "3 volumes will be put into vault vault-1" in asked
    assert "say --yes to put these volumes into their vaults" in asked
    assert harness.runs() == []
    assert "associate" not in cloud.summary()["calls"]
    harness("run", "plan.yaml", "--yes")
    summary = cloud.summary()
    assert (summary["backed_up"], summary["calls"]["associate"]) == (8, 1)


@pytest.mark.parametrize("fault", ["drop_after", "drop_before"])
def test_a_request_to_associate_without_an_answer_is_repeated_for_what_is_missing(
    harness: Harness, fault: str
) -> None:
    faults = f"faults: [{{on: associate, do: {fault}, first: 1}}]\n"
    cloud = harness.cloud(cbr("loose: 3") + faults, volumes=8)
    harness.write_plan(defaults={"vault": "vault-1", "associate": True})
    harness("run", "plan.yaml", "--yes", "--no-preflight")
    assert cloud.summary()["backed_up"] == 8


def test_what_cbr_cannot_keep_is_refused_before_anything_is_stored(harness: Harness) -> None:
    harness.cloud(cbr(), volumes=2)
    harness.write_plan(defaults={"tags": {"a": "b"}})
    assert "tags: CBR keeps no tags on backups" in harness.refused("run", "plan.yaml")
    assert harness.runs() == []


def test_vaults_are_listed_with_room_and_disks(harness: Harness) -> None:
    harness.cloud(cbr("loose: 1, size: 9000, status: lock"), volumes=5)
    table = harness("vaults", "--cloud", "simulator").stdout.splitlines()
    assert table[0].split() == ["VAULT", "STATUS", "GB", "ALLOCATED", "USED", "FREE", "DISKS", "ID"]
    assert [line.split()[:3] for line in table[1:]] == [
        ["vault-1", "lock", "9000"],
        ["vault-2", "lock", "9000"],
    ]
    document = json.loads(harness("vaults", "--cloud", "simulator", "--json").stdout)
    assert [len(vault["disks"]) for vault in document["vaults"]] == [2, 2]
    assert {vault["free_gb"] for vault in document["vaults"]} == {9000}


def test_auto_takes_vbs_then_cbr_then_cinder_and_says_which(harness: Harness) -> None:
    cloud = harness.cloud(FAST + "services: all\n", volumes=2)
    harness.write_plan()
    for services, service in (("all", "vbs"), ("cbr", "cbr"), ("cinder", "cinder")):
        cloud.behave(FAST + f"services: {services}\n")
        told = harness("check", "plan.yaml", "--online").stdout
        assert f"{service} answers" in told


def test_an_access_key_needs_only_the_endpoint_of_cbr(harness: Harness) -> None:
    cloud = harness.cloud(cbr(), volumes=4)
    harness.write_plan(cloud="simulator-aksk")
    harness("run", "plan.yaml", "--service", "cbr")
    assert cloud.summary()["backed_up"] == 4


def test_a_lost_store_is_made_again_from_the_names_of_the_backups(harness: Harness) -> None:
    cloud = harness.cloud(cbr(), volumes=6)
    harness.write_plan()
    harness("run", "plan.yaml")
    run = harness.runs()[0]["id"]
    harness.store.unlink()
    harness("run", "plan.yaml", "--as", run)
    summary = cloud.summary()
    assert (summary["backed_up"], summary["duplicates"]) == (6, 0)
    assert summary["calls"]["create"] == 2
