"""CBR: checkpoints of many disks, vaults, operation logs, and what its reference leaves open."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.simulator.harness import Desk, DeskMaker
from vbsbatch.simulator import (
    BackupScript,
    Busy,
    Do,
    Fault,
    Kind,
    Scenario,
    Services,
    SimQuota,
    SimReply,
    VaultScript,
)

ROOT = "/cbr/v3/{p}"


def cbr(*faults: Fault, quota: SimQuota | None = None, **vaults: Any) -> Scenario:
    return Scenario(
        services=Services.CBR,
        backups=BackupScript(duration=(60, 60), visible_after=(1, 1)),
        vaults=VaultScript(**vaults),
        quota=quota or SimQuota(),
        faults=faults,
    )


def vaults_of(desk: Desk) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = desk.get(ROOT + "/vaults")["vaults"]
    return found


def checkpoint(desk: Desk, *volumes: str, vault: int = 0, **parameters: Any) -> SimReply:
    wanted = {
        "vault_id": vaults_of(desk)[vault]["id"],
        "parameters": {"name": "c", "resources": list(volumes), **parameters},
    }
    return desk.send("POST", ROOT + "/checkpoints", {"checkpoint": wanted})


def answered(reply: SimReply) -> tuple[list[str], dict[str, str]]:
    """The disks that were taken, and the codes of those that were skipped."""
    vault = json.loads(reply.body)["checkpoint"]["vault"]
    skipped = {each["id"]: each["code"] for each in vault["skipped_resources"]}
    return [each["id"] for each in vault["resources"]], skipped


def refused(reply: SimReply) -> tuple[int, str]:
    return reply.status, json.loads(reply.body)["error_code"]


def test_one_checkpoint_backs_up_many_disks_and_its_backups_get_numbers(
    open_desk: DeskMaker,
) -> None:
    desk = open_desk(cbr())
    one, two = desk.volumes[:2]
    assert answered(checkpoint(desk, one, two)) == ([one, two], {})
    desk.wait(2)
    listed = desk.get(ROOT + "/backups")
    assert listed["count"] == 2
    assert [(each["name"], each["resource_id"]) for each in listed["backups"]] == [
        ("c-0002", two),
        ("c-0001", one),
    ]
    assert {each["status"] for each in listed["backups"]} == {"protecting"}
    desk.wait(60)
    assert {each["status"] for each in desk.get(ROOT + "/backups")["backups"]} == {"available"}


@pytest.mark.parametrize("text", [True, False])
def test_a_name_of_a_single_disk_stays_and_numbers_may_be_texts(
    open_desk: DeskMaker, text: bool
) -> None:
    desk = open_desk(cbr(as_text=text, zone=text))
    checkpoint(desk, desk.volumes[0])
    desk.wait(2)
    (backup,) = desk.get(ROOT + "/backups")["backups"]
    assert (backup["name"], isinstance(backup["resource_size"], str)) == ("c", text)
    assert backup["created_at"].endswith("+00:00") is text


def test_a_busy_disk_is_skipped_or_refuses_the_vault_or_is_backed_up_twice(
    open_desk: DeskMaker,
) -> None:
    for busy in Busy:
        desk = open_desk(cbr(busy=busy, busy_code="BackupService.6125"))
        one, two = desk.volumes[:2]
        checkpoint(desk, one)
        second = checkpoint(desk, one, two)
        if busy is Busy.VAULT:
            assert refused(second) == (400, "BackupService.6125")
            desk.wait(61)
            assert answered(checkpoint(desk, one, two)) == ([one, two], {})
        elif busy is Busy.DISK:
            assert answered(second) == ([two], {one: "BackupService.6125"})
        else:
            assert answered(second) == ([one, two], {})
            assert desk.cloud.summary()["duplicates"] == 1


def test_what_is_wrong_with_one_disk_does_not_touch_the_others(open_desk: DeskMaker) -> None:
    desk = open_desk(cbr(number=2))
    nobody = "6ba7b810-9dad-11d1-80b4-00c04fd430c8"
    mine, other, broken = desk.volumes[0], desk.volumes[1], desk.volumes[2]
    desk.cloud.project.volumes[broken].status = "error"
    taken, skipped = answered(checkpoint(desk, mine, other, broken, nobody))
    assert taken == [mine]
    assert skipped == {
        other: "BackupService.6135",
        broken: "BackupService.7003",
        nobody: "BackupService.7000",
    }


def test_a_fault_that_refuses_certain_disks_skips_them_and_leaves_the_others(
    open_desk: DeskMaker,
) -> None:
    desk = open_desk(cbr())
    one, two = desk.volumes[:2]
    refusal = Fault(
        on=Kind.CREATE, do=Do.STATUS, code="BackupService.7004", volumes=frozenset({one})
    )
    desk.cloud.change(cbr(refusal))
    assert answered(checkpoint(desk, one, two)) == ([two], {one: "BackupService.7004"})
    whole = Fault(on=Kind.CREATE, do=Do.STATUS, status=400, code="BackupService.6113")
    desk.cloud.change(cbr(whole))
    assert refused(checkpoint(desk, one)) == (400, "BackupService.6113")


def test_a_checkpoint_without_any_fit_disk_may_be_refused_as_a_whole(
    open_desk: DeskMaker,
) -> None:
    desk = open_desk(cbr(refuses_all=True))
    checkpoint(desk, desk.volumes[0])
    assert refused(checkpoint(desk, desk.volumes[0])) == (400, "BackupService.0001")


def test_the_vault_must_exist_be_available_and_have_room(open_desk: DeskMaker) -> None:
    desk = open_desk(cbr())
    unknown = {"checkpoint": {"vault_id": desk.volumes[0], "parameters": {}}}
    assert refused(desk.send("POST", ROOT + "/checkpoints", unknown)) == (
        404,
        "BackupService.6105",
    )
    assert refused(checkpoint(desk, name="a b")) == (400, "BackupService.9900")
    desk.cloud.change(cbr(status="frozen"))
    assert refused(checkpoint(desk, desk.volumes[0])) == (400, "BackupService.6113")
    desk.cloud.change(cbr(quota=SimQuota(backups=0)))
    assert refused(checkpoint(desk, desk.volumes[0])) == (400, "BackupService.6114")


def test_disks_that_are_in_no_vault_are_associated_once(open_desk: DeskMaker) -> None:
    desk = open_desk(cbr(number=2, loose=2))
    loose, mine = desk.volumes[-2:], desk.volumes[0]
    vault = vaults_of(desk)[0]
    path = f"{ROOT}/vaults/{vault['id']}/addresources"

    def add(*ids: str) -> SimReply:
        wanted = [{"id": each, "type": "OS::Cinder::Volume"} for each in ids]
        return desk.send("POST", path, {"resources": wanted})

    assert refused(add(loose[0], mine)) == (400, "BackupService.6103")
    assert json.loads(add(*loose).body) == {"add_resource_ids": loose}
    assert {each["id"] for each in vaults_of(desk)[0]["resources"]} >= set(loose)
    assert refused(add(*loose)) == (400, "BackupService.6103")


def test_the_operation_logs_tell_progress_and_the_reason_of_a_failure(
    open_desk: DeskMaker,
) -> None:
    fault = Fault(on=Kind.CREATE, do=Do.FAIL, code="BackupService.7202")
    desk = open_desk(cbr(fault, logs_after=(5, 5)))
    checkpoint(desk, *desk.volumes[:2])
    assert desk.get(ROOT + "/operation-logs")["operation_logs"] == []
    desk.wait(30)
    logs = desk.get(ROOT + "/operation-logs?operation_type=backup")["operation_logs"]
    assert [each["extra_info"]["common"]["progress"] for each in logs] == [50, 50]
    desk.wait(40)
    one = desk.get(f"{ROOT}/operation-logs/{logs[0]['id']}")["operation_log"]
    assert (one["status"], one["error_info"]["code"]) == ("failed", "BackupService.7202")
    (checkpoint_id,) = {each["checkpoint_id"] for each in logs}
    done = desk.get(f"{ROOT}/checkpoints/{checkpoint_id}")["checkpoint"]
    assert (done["status"], done["vault"]) == ("error", None)


@pytest.mark.parametrize("named", [True, False])
def test_one_disk_of_a_vault_is_restored_at_a_time(open_desk: DeskMaker, named: bool) -> None:
    desk = open_desk(cbr(restore_job=named))
    for volume in desk.cloud.project.volumes.values():
        volume.status = "available"
    checkpoint(desk, *desk.volumes[:2])
    desk.wait(61)
    two, one = desk.get(ROOT + "/backups")["backups"]

    def restore(backup: dict[str, Any], onto: str) -> SimReply:
        return desk.send(
            "POST", f"{ROOT}/backups/{backup['id']}/restore", {"restore": {"volume_id": onto}}
        )

    assert refused(restore(one, two["resource_id"])) == (400, "BackupService.9900")
    reply = restore(one, one["resource_id"])
    assert (reply.status, bool(reply.body)) == (202, named)
    assert refused(restore(two, two["resource_id"])) == (400, "BackupService.6202")
    logs = desk.get(ROOT + "/operation-logs?operation_type=restore")["operation_logs"]
    assert [each["status"] for each in logs] == ["waiting"]


def test_backups_are_deleted_one_by_one_unless_the_vault_is_locked(open_desk: DeskMaker) -> None:
    desk = open_desk(cbr())
    checkpoint(desk, desk.volumes[0])
    desk.wait(2)
    (backup,) = desk.get(ROOT + "/backups")["backups"]
    path = f"{ROOT}/backups/{backup['id']}"
    assert refused(desk.send("DELETE", path)) == (400, "BackupService.6201")
    desk.wait(60)
    desk.cloud.change(cbr(policy_locked=True))
    assert refused(desk.send("DELETE", path)) == (400, "BackupService.6220")
    desk.cloud.change(cbr())
    assert desk.send("DELETE", path).status == 204
    desk.wait(5)
    assert refused(desk.send("GET", path)) == (404, "BackupService.6200")
    assert refused(desk.send("DELETE", path)) == (404, "BackupService.6200")


def test_nothing_that_destroys_backups_of_others_is_offered(open_desk: DeskMaker) -> None:
    desk = open_desk(cbr())
    vault = vaults_of(desk)[0]["id"]
    assert desk.send("DELETE", f"{ROOT}/vaults/{vault}").status >= 400
    assert desk.send("POST", f"{ROOT}/vaults/{vault}/removeresources", {}).status >= 400


def test_a_foreign_project_is_a_401_that_is_no_expired_token(open_desk: DeskMaker) -> None:
    desk = open_desk(cbr())
    reply = desk.send("GET", f"/cbr/v3/{desk.cloud.other.id}/vaults")
    assert (reply.status, json.loads(reply.body)["unauthorized"]["message"]) == (
        401,
        "Malformed request url",
    )


def test_backups_of_cbr_show_in_the_lists_of_vbs(open_desk: DeskMaker) -> None:
    desk = open_desk(Scenario(services=Services.ALL))
    checkpoint(desk, desk.volumes[0])
    desk.wait(2)
    assert [each["name"] for each in desk.listed()] == ["c"]
