"""The backup service checks what the reference says, with the code it documents."""

from __future__ import annotations

import json

import pytest

from tests.simulator.harness import DeskMaker, code
from vbsbatch.simulator import BackupScript, Do, Fault, Kind, Scenario, Services, SimQuota

SLOW = Scenario(backups=BackupScript(duration=(600, 600), visible_after=(5, 5)))


@pytest.mark.parametrize(
    ("field", "value", "expected"),
    [
        ("volume_id", "", "VolumeBackup.0010"),
        ("volume_id", None, "VolumeBackup.0010"),
        ("volume_id", "db01", "VolumeBackup.0011"),
        ("volume_id", 7, "VolumeBackup.0011"),
        ("volume_id", "{6ba7b810-9dad-11d1-80b4-00c04fd430c8}", "VolumeBackup.0011"),
        ("name", "", "VolumeBackup.0007"),
        ("name", None, "VolumeBackup.0007"),
        ("name", "n" * 65, "VolumeBackup.0003"),
        ("name", "a b", "VolumeBackup.0004"),
        ("name", "bäckup", "VolumeBackup.0004"),
        ("name", "name\n", "VolumeBackup.0004"),
        ("name", "auto-nightly", "VolumeBackup.0005"),
        ("name", 5, "VolumeBackup.0002"),
        ("description", "d" * 65, "VolumeBackup.0006"),
        ("description", "", "VolumeBackup.0006"),
        ("description", "<b>", "VolumeBackup.0006"),
        ("tags", "wave", "VolumeBackup.0049"),
        ("tags", [{"key": "", "value": "1"}], "VolumeBackup.0049"),
        ("tags", [{"key": "k" * 37, "value": "1"}], "VolumeBackup.0049"),
        ("tags", [{"key": "k", "value": "v" * 44}], "VolumeBackup.0049"),
        ("tags", [{"key": "k", "value": "a/b"}], "VolumeBackup.0049"),
        ("tags", [{"key": "k", "value": "a\x1fb"}], "VolumeBackup.0049"),
        ("tags", [{"key": str(n), "value": ""} for n in range(11)], "VolumeBackup.0050"),
        ("extend_param", {"FullBackup": True}, "VolumeBackup.0002"),
        ("snapshot_id", "latest", "VolumeBackup.0002"),
    ],
)
def test_a_request_against_the_rules_is_refused_with_its_code(
    open_desk: DeskMaker, field: str, value: object, expected: str
) -> None:
    desk = open_desk()
    assert code(
        desk.create(**{"volume": None, field: value} if field != "volume_id" else {field: value})
    ) == (
        400,
        expected,
    )
    assert desk.cloud.live_backups() == {}


@pytest.mark.parametrize("content", [None, [], {}, {"backup": None}, {"backup": "b"}])
def test_a_body_that_is_no_backup_is_a_wrong_format(open_desk: DeskMaker, content: object) -> None:
    reply = open_desk().send("POST", "/v2/{p}/cloudbackups", content)
    assert code(reply) == (400, "VolumeBackup.0002")


def test_the_limits_of_the_rules_themselves_are_accepted(open_desk: DeskMaker) -> None:
    desk = open_desk()
    reply = desk.create(
        desk.volumes[0].replace("-", "").upper(),
        "n" * 64,
        description="d" * 64,
        tags=[{"key": str(n) * 36, "value": "v" * 43} for n in range(10)],
        extend_param={"FullBackup": "true"},
        snapshot_id=desk.volumes[1],
    )
    assert reply.status == 200
    assert set(json.loads(reply.body)) == {"job_id"}


def test_an_unknown_disk_is_404(open_desk: DeskMaker) -> None:
    unknown = "6ba7b810-9dad-11d1-80b4-00c04fd430c8"
    assert code(open_desk().create(unknown)) == (404, "VolumeBackup.0021")


def test_a_disk_that_is_not_available_or_in_use_is_refused(open_desk: DeskMaker) -> None:
    desk = open_desk()
    desk.cloud.project.volumes[desk.volumes[0]].status = "error"
    assert code(desk.create()) == (400, "VolumeBackup.0012")


def test_one_creation_per_disk_at_a_time(open_desk: DeskMaker) -> None:
    desk = open_desk(SLOW)
    assert desk.create().status == 200
    assert code(desk.create(name="b2")) == (400, "VolumeBackup.0013")
    assert desk.create(desk.volumes[1]).status == 200
    desk.wait(600)
    assert desk.create(name="b2").status == 200


def test_a_new_backup_takes_a_while_to_show_in_lists(open_desk: DeskMaker) -> None:
    desk = open_desk(SLOW)
    desk.create()
    desk.wait(4.9)
    assert desk.listed() == []
    desk.wait(0.2)
    (backup,) = desk.listed()
    assert (backup["name"], backup["status"]) == ("b1", "creating")
    assert json.loads(backup["description"]) == {"DESC": "", "INC": 0}
    desk.wait(300)
    assert json.loads(desk.listed()[0]["service_metadata"])["progress"] == 50
    desk.wait(300)
    assert desk.listed()[0]["status"] == "available"


def test_the_cloud_job_goes_from_init_over_running_to_success(open_desk: DeskMaker) -> None:
    desk = open_desk(SLOW)
    job = "/v1/{p}/jobs/" + json.loads(desk.create().body)["job_id"]
    first = desk.get(job)
    assert (first["status"], first["job_type"]) == ("INIT", "bksCreateBackup")
    assert "backup_id" not in first["entities"]
    desk.wait(10)
    assert desk.get(job)["status"] == "RUNNING"
    assert desk.get(job)["entities"]["backup_id"] == desk.listed()[0]["id"]
    desk.wait(600)
    last = desk.get(job)
    assert (last["status"], last["error_code"]) == ("SUCCESS", None)
    assert last["end_time"].endswith("Z")


def test_a_failing_job_leaves_its_code_and_a_backup_in_error(open_desk: DeskMaker) -> None:
    fault = Fault(on=Kind.CREATE, do=Do.FAIL, code="VolumeBackup.0017")
    desk = open_desk(Scenario(faults=(fault,)))
    job = "/v1/{p}/jobs/" + json.loads(desk.create().body)["job_id"]
    desk.wait(10)
    assert (desk.get(job)["status"], desk.get(job)["error_code"]) == ("FAIL", "VolumeBackup.0017")
    (backup,) = desk.listed()
    assert backup["status"] == "error"
    assert "VolumeBackup.0017" in backup["fail_reason"]
    assert desk.cloud.live_backups() == {}


def test_a_job_that_fails_early_never_shows_a_backup(open_desk: DeskMaker) -> None:
    desk = open_desk(Scenario(backups=BackupScript(fail_early=1.0)))
    job = "/v1/{p}/jobs/" + json.loads(desk.create().body)["job_id"]
    for _ in range(10):
        desk.wait(1)
        assert desk.listed() == []
    assert desk.get(job)["status"] == "FAIL"
    assert "backup_id" not in desk.get(job)["entities"]
    assert desk.create().status == 200


def test_the_share_of_failing_backups_is_as_asked(open_desk: DeskMaker) -> None:
    desk = open_desk(Scenario(backups=BackupScript(fail=0.3)), volumes=1000)
    for volume in desk.volumes:
        desk.create(volume)
    assert 620 < len(desk.cloud.live_backups()) < 780


def test_an_unknown_job_is_404_with_its_code(open_desk: DeskMaker) -> None:
    assert code(open_desk().send("GET", "/v1/{p}/jobs/nothing")) == (404, "common.0011")


def test_a_disk_keeps_at_most_20_backups(open_desk: DeskMaker) -> None:
    desk = open_desk()
    kept = [desk.cloud.add_backup(desk.volumes[0], f"old{n}", status="error") for n in range(20)]
    assert code(desk.create()) == (400, "VolumeBackup.0040")
    assert desk.send("DELETE", "/v3/{p}/backups/" + kept[0]).status == 202
    desk.wait(2.1)
    assert desk.create().status == 200


def test_the_second_backup_of_a_disk_is_incremental_unless_full_is_asked(
    open_desk: DeskMaker,
) -> None:
    desk = open_desk()
    for number, extend in enumerate((None, None, {"FullBackup": "true"})):
        desk.create(name=f"b{number}", extend_param=extend)
        desk.wait(10)
    assert [backup["is_incremental"] for backup in desk.listed()] == [False, True, False]


def test_quotas_are_shown_and_kept(open_desk: DeskMaker) -> None:
    desk = open_desk(Scenario(quota=SimQuota(backups=2)))
    for volume in desk.volumes[:2]:
        assert desk.create(volume).status == 200
    assert code(desk.create(desk.volumes[2])) == (403, "VolumeBackup.0080")
    resources = desk.get("/v2/{p}/cloudbackups/quota")["quotas"]["resources"]
    assert [(row["type"], row["quota"]) for row in resources] == [
        ("backups", 2),
        ("backup_gigabytes", -1),
    ]
    assert resources[0]["used"] == 2


def test_the_quota_of_gigabytes_counts_the_new_disk(open_desk: DeskMaker) -> None:
    desk = open_desk(Scenario(quota=SimQuota(gigabytes=1)))
    assert code(desk.create()) == (403, "VolumeBackup.0081")


def test_a_backup_is_restored_by_a_job(open_desk: DeskMaker) -> None:
    desk = open_desk()
    target = next(v for v in desk.volumes if desk.cloud.project.volumes[v].status == "available")
    backup = desk.cloud.add_backup(target, "old")
    path, wanted = f"/v2/{{p}}/cloudbackups/{backup}/restore", {"restore": {"volume_id": target}}
    reply = desk.send("POST", path, wanted)
    assert reply.status == 200
    job = desk.get("/v1/{p}/jobs/" + json.loads(reply.body)["job_id"])
    assert job["job_type"] == "bksRestoreBackup"
    assert desk.listed()[0]["status"] == "restoring"
    assert desk.get(f"/volume/v3/{{p}}/volumes/{target}")["volume"]["status"] == "restoring-backup"
    assert code(desk.send("POST", path, wanted)) == (400, "VolumeBackup.0089")
    desk.wait(10)
    assert desk.listed()[0]["status"] == "available"


@pytest.mark.parametrize("path", ["/v2/{p}/cloudbackups", "/volume/v3/{p}/backups"])
def test_a_restore_changes_when_backup_and_volume_were_updated(
    open_desk: DeskMaker, path: str
) -> None:
    desk = open_desk(Scenario(services=Services.BOTH))
    target = next(v for v in desk.volumes if desk.cloud.project.volumes[v].status == "available")
    backup = desk.cloud.add_backup(target, "old")

    def updated() -> tuple[str, str]:
        volume = desk.get(f"/volume/v3/{{p}}/volumes/{target}")["volume"]["updated_at"]
        return desk.listed()[0]["updated_at"], volume

    before = updated()
    assert desk.send("POST", f"{path}/{backup}/restore", {"restore": {"volume_id": target}}).body
    desk.wait(1.5)
    begun = updated()
    assert begun[0] == begun[1] > max(before)
    desk.wait(10)
    over = updated()
    assert over[0] == over[1] > begun[0]
    desk.wait(1000)
    assert updated() == over


def test_a_restore_that_fails_leaves_the_volume_in_error(open_desk: DeskMaker) -> None:
    fails = Fault(on=Kind.RESTORE, do=Do.FAIL, code="VolumeBackup.0022")
    desk = open_desk(Scenario(faults=(fails,)))
    target = next(v for v in desk.volumes if desk.cloud.project.volumes[v].status == "available")
    backup = desk.cloud.add_backup(target, "old")
    path, wanted = f"/v2/{{p}}/cloudbackups/{backup}/restore", {"restore": {"volume_id": target}}
    job = json.loads(desk.send("POST", path, wanted).body)["job_id"]
    desk.wait(10)
    told = desk.get(f"/v1/{{p}}/jobs/{job}")
    assert (told["status"], told["error_code"]) == ("FAIL", "VolumeBackup.0022")
    assert desk.get(f"/volume/v3/{{p}}/volumes/{target}")["volume"]["status"] == "error_restoring"
    assert desk.listed()[0]["status"] == "available"
    assert code(desk.send("POST", path, wanted)) == (400, "VolumeBackup.0012")


def test_a_fault_strikes_the_restores_of_its_volumes_only(open_desk: DeskMaker) -> None:
    desk = open_desk()
    first, second = [v for v in desk.volumes if desk.cloud.project.volumes[v].size][:2]
    desk.cloud.change(
        Scenario(faults=(Fault(on=Kind.RESTORE, do=Do.STATUS, volumes=frozenset({first})),))
    )
    for volume, status in ((first, 503), (second, 200)):
        desk.cloud.project.volumes[volume].status = "available"
        path = f"/v2/{{p}}/cloudbackups/{desk.cloud.add_backup(volume, 'old')}/restore"
        assert desk.send("POST", path, {"restore": {"volume_id": volume}}).status == status
    assert [row["volume"] for row in desk.cloud.ledger.of("restore")] == [second]


def test_a_restore_of_nothing_or_onto_a_busy_disk_is_refused(open_desk: DeskMaker) -> None:
    desk = open_desk(SLOW)
    backup = desk.cloud.add_backup(desk.volumes[0], "old")
    path = f"/v2/{{p}}/cloudbackups/{backup}/restore"
    missing = f"/v2/{{p}}/cloudbackups/{desk.volumes[0]}/restore"
    wanted = {"restore": {"volume_id": desk.volumes[0]}}
    assert code(desk.send("POST", missing, wanted)) == (404, "VolumeBackup.0111")
    assert code(desk.send("POST", path, {"restore": {}})) == (400, "VolumeBackup.0002")
    desk.create()
    assert code(desk.send("POST", path, wanted)) == (400, "VolumeBackup.0206")


def test_a_reader_may_look_but_not_create(open_desk: DeskMaker) -> None:
    desk = open_desk()
    desk.sign_in("reader")
    assert desk.listed() == []
    assert code(desk.create()) == (403, "VolumeBackup.0042")


def test_another_projects_path_is_forbidden_and_an_unknown_path_is_no_api(
    open_desk: DeskMaker,
) -> None:
    desk = open_desk()
    other = desk.cloud.other.id
    assert code(desk.send("GET", f"/v3/{other}/backups")) == (403, "VolumeBackup.0042")
    reply = desk.send("POST", "/v9/{p}/cloudbackups", {})
    assert (reply.status, json.loads(reply.body)["error_code"]) == (404, "APIG.0101")
    assert desk.send("PUT", "/v2/{p}/cloudbackups", {}).status == 405
