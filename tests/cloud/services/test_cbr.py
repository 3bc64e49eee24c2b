"""The CBR service: one checkpoint for many disks, its answer judged disk by disk, and its lists."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from vbsbatch.cloud.cbr_lists import read_backup, stem_of
from vbsbatch.cloud.endpoints import Endpoints
from vbsbatch.cloud.services.cbr import CbrService, checkpoint_body
from vbsbatch.errors import CloudRefused, CloudUnavailable
from vbsbatch.model import (
    Answer,
    BackupSettings,
    Cloud,
    CloudJobStatus,
    Job,
    Quota,
    Verdict,
)
from vbsbatch.policy import judge, named

from ..fixtures import PROJECT, Bench, Handler, answer

pytestmark = pytest.mark.anyio

RUN = "20261120-0715-k3f9"
STEM = f"nightly-{RUN}"
VAULT = "aaaaaaaa-0000-4000-8000-000000000000"
CHECKPOINT = "cccccccc-0000-4000-8000-000000000000"
BASE = f"https://cbr.test/v3/{PROJECT}"


def disk(no: int) -> str:
    return f"dddddddd-0000-4000-8000-{no:012d}"


def jobs(*numbers: int, **settings: Any) -> list[Job]:
    return [
        Job(
            no=no,
            volume_id=disk(no),
            volume_name=f"disk {no}",
            backup_name=STEM,
            settings=BackupSettings(**{"vault": VAULT, **settings}),
        )
        for no in numbers
    ]


class CbrBench(Bench):
    """The bench with CBR on it."""

    def __init__(self, handler: Handler) -> None:
        super().__init__(handler)
        roots = {"vbs": "https://v.test", "cbr": "https://cbr.test", "block_storage": "https://b"}
        self.cbr = CbrService(self.session, Endpoints(project_id=PROJECT, roots=roots))


def body_of(request: httpx.Request) -> Any:
    return json.loads(b"".join(request.stream))  # type: ignore[arg-type]


def accepted(*taken: object, skipped: Any = (), **changes: Any) -> dict[str, Any]:
    vault = {"id": VAULT, "resources": list(taken), "skipped_resources": skipped}
    return {"checkpoint": {"id": CHECKPOINT, "status": "protecting", "vault": vault, **changes}}


def verdicts(answers: Any) -> list[Verdict]:
    return [judge(named(each)).verdict for each in answers]


def test_a_checkpoint_names_vault_disks_run_and_operation_and_only_what_the_plan_says() -> None:
    assert checkpoint_body(jobs(1, 2), "k3x9q2z0", f"{STEM}_k3x9q2z0") == {
        "vault_id": VAULT,
        "parameters": {
            "name": f"{STEM}_k3x9q2z0",
            "description": f"vbsbatch {STEM} k3x9q2z0",
            "auto_trigger": False,
            "resources": [disk(1), disk(2)],
        },
    }
    said = checkpoint_body(jobs(1, full=True, description="before the move"), "k3x9q2z0", STEM)
    assert said["parameters"]["incremental"] is False
    assert said["parameters"]["description"] == f"before the move (vbsbatch {STEM} k3x9q2z0)"
    assert checkpoint_body(jobs(1, full=False), "", STEM)["parameters"]["incremental"] is True


async def test_one_request_is_sent_for_all_jobs_with_an_operation_of_its_own() -> None:
    bench = CbrBench(lambda _: answer(200, accepted({"id": disk(1)}, {"id": disk(2)})))
    for _ in range(2):
        answers = await bench.cbr.create_all(jobs(1, 2), 0)
        assert [each.cloud_job_id for each in answers] == [
            f"{CHECKPOINT}.{disk(1)}",
            f"{CHECKPOINT}.{disk(2)}",
        ]
        assert verdicts(answers) == [Verdict.ACCEPTED] * 2
    assert bench.session.create_calls == 2
    names = [body_of(each)["checkpoint"]["parameters"]["name"] for each in bench.requests]
    assert len(set(names)) == 2
    assert all(re.fullmatch(rf"{STEM}_[0-9a-z]{{8}}", name) for name in names)
    assert all(len(name) + len("-0001") <= 64 for name in names)
    assert {str(each.url) for each in bench.requests} == {f"{BASE}/checkpoints"}


async def test_a_success_is_judged_disk_by_disk() -> None:
    skipped = [{"id": disk(2), "code": "BackupService.6203", "reason": "under backup"}]
    document = accepted({"id": disk(1)}, {"id": disk(4)}, skipped=skipped)
    document["checkpoint"]["vault"]["skipped_resources"].append({"id": disk(4), "code": "x"})
    bench = CbrBench(lambda _: answer(200, document))
    one, two, three, four = await bench.cbr.create_all(jobs(1, 2, 3, 4), 0)
    assert verdicts([one, two, three, four]) == [
        Verdict.ACCEPTED,
        Verdict.LATER,  # skipped, with the reason
        Verdict.UNKNOWN,  # in neither list
        Verdict.UNKNOWN,  # in both
    ]
    assert (two.status, two.code, two.message) == (200, "BackupService.6203", "under backup")
    assert judge(two).conflict


@pytest.mark.parametrize(
    "document",
    [
        accepted(vault=None),
        accepted(vault={"resources": None, "skipped_resources": None}),
        accepted(id=None),
        {"checkpoint": None},
        {},
        accepted("text", 7, {"id": None}),
    ],
)
async def test_a_success_that_tells_nothing_leaves_every_disk_unknown(document: Any) -> None:
    bench = CbrBench(lambda _: answer(200, document))
    assert verdicts(await bench.cbr.create_all(jobs(1, 2), 0)) == [Verdict.UNKNOWN] * 2


async def test_a_request_without_an_answer_leaves_every_disk_unknown() -> None:
    def fail(_: httpx.Request) -> httpx.Response:
        raise httpx.ReadError("x")

    lost = await CbrBench(fail).cbr.create_all(jobs(1, 2), 0)
    assert lost == [Answer(status=None, message="connection reset", json=False)] * 2
    assert verdicts(lost) == [Verdict.UNKNOWN] * 2


@pytest.mark.parametrize(
    ("status", "code", "verdict"),
    [
        (400, "BackupService.0001", Verdict.LATER),
        (500, "BackupService.0002", Verdict.LATER),
        (400, "BackupService.6125", Verdict.LATER),
        (500, "BackupService.6125", Verdict.LATER),
        (404, "BackupService.6105", Verdict.STOP),
        (400, "BackupService.6105", Verdict.STOP),
        (500, "BackupService.6105", Verdict.STOP),
        (400, "BackupService.6114", Verdict.STOP),
        (400, "BackupService.9900", Verdict.FAIL),
        (500, "BackupService.9910", Verdict.UNKNOWN),
        (500, "BackupService.9998", Verdict.REAUTH),
        (429, "APIGW.0308", Verdict.THROTTLE),
        (403, "APIGW.0302", Verdict.STOP),
        (401, "APIGW.0307", Verdict.REAUTH),
    ],
)
async def test_a_refusal_is_of_every_disk_and_judged_by_its_code_whatever_its_status(
    status: int, code: str, verdict: Verdict
) -> None:
    refusal = {"error_code": code, "error_msg": "no"}
    bench = CbrBench(lambda _: answer(status, refusal))
    assert verdicts(await bench.cbr.create_all(jobs(1, 2), 0)) == [verdict] * 2


async def test_a_401_for_a_wrong_path_is_no_expired_token() -> None:
    wrong = {"unauthorized": {"code": "401", "message": "Malformed request url"}}
    bench = CbrBench(lambda _: answer(401, wrong))
    (result,) = await bench.cbr.create_all(jobs(1), 0)
    assert judge(named(result)).verdict is Verdict.STOP
    with pytest.raises(CloudRefused, match="Malformed request url"):
        await bench.cbr.backups()
    assert bench.keystone.fetched == 1  # the first token


async def test_a_disk_in_no_vault_is_refused_without_a_request() -> None:
    bench = CbrBench(lambda _: answer(200, {}))
    (result,) = await bench.cbr.create_all(jobs(1, vault=None), 0)
    assert (judge(result).verdict, result.code) == (Verdict.FAIL, "CBR.NoVault")
    assert bench.requests == []


# Lists -------------------------------------------------------------------------------------------


def entry(no: int, **changes: Any) -> dict[str, Any]:
    return {
        "id": f"b-{no}",
        "name": f"{STEM}_k3x9q2z0-{no:04d}",
        "resource_id": disk(no),
        "status": "protecting",
        "created_at": "2026-11-20T07:15:00.000000",
        "updated_at": "2026-11-20T07:15:00.000000",
        "resource_size": "40",
        "checkpoint_id": CHECKPOINT,
        "extend_info": {"progress": None},
        **changes,
    }


def log(no: int, **changes: Any) -> dict[str, Any]:
    return {
        "id": f"t-{no}",
        "checkpoint_id": CHECKPOINT,
        "status": "running",
        "error_info": {"code": "", "message": ""},
        "started_at": "2026-11-20T07:15:00.000000",
        "extra_info": {
            "resource": {"id": disk(no)},
            "backup": {"backup_id": f"b-{no}"},
            "common": {"progress": 40},
        },
        **changes,
    }


def serving(backups: list[Any], logs: list[Any]) -> Callable[[httpx.Request], httpx.Response]:
    def reply(request: httpx.Request) -> httpx.Response:
        if request.url.path.endswith("/operation-logs"):
            return answer(200, {"operation_logs": logs, "count": len(logs)})
        return answer(200, {"backups": backups, "count": len(backups)})

    return reply


@pytest.mark.parametrize("ending", ["", "-0001", "_0001", "-0256"])
def test_what_is_ours_is_told_by_run_and_operation_whatever_number_the_name_ends_in(
    ending: str,
) -> None:
    assert stem_of(f"{STEM}_k3x9q2z0{ending}") == STEM


@pytest.mark.parametrize("name", ["autobk_cf91_0003", "db_20261120", STEM, "x", None])
def test_other_names_stay_as_they_are(name: str | None) -> None:
    assert stem_of(name) == name


def test_numbers_and_times_come_in_several_forms_and_any_field_may_be_missing() -> None:
    found = read_backup(entry(1, created_at="2026-11-20T07:15:00+00:00", resource_size=40))
    assert found == read_backup(entry(1))
    assert found is not None
    assert (found.size, found.status, found.name) == (40, "creating", STEM)
    bare = read_backup({"id": "b-1", "extend_info": None})
    assert bare is not None
    assert (bare.name, bare.status, bare.volume_id) == (None, None, None)
    assert read_backup({"name": "x"}) is None
    assert read_backup(None) is None


async def test_a_look_is_a_page_of_backups_and_one_of_logs_for_progress_now_and_then() -> None:
    bench = CbrBench(serving([entry(1), entry(2)], [log(1), log(2)]))
    page = await bench.cbr.backups()
    assert [(each.name, each.progress) for each in page.backups] == [(STEM, 40), (STEM, 40)]
    assert page.next is None
    paths = [each.url.path.rpartition("/")[2] for each in bench.requests]
    assert paths == ["backups", "operation-logs"]
    assert bench.requests[0].url.params["sort"] == "created_at:desc"
    assert "incremental" not in bench.requests[0].url.params
    assert bench.requests[1].url.params["start_time"] == "2026-11-20T07:13:00Z"
    again = await bench.cbr.backups()
    # Progress is not read again so soon, and an old one is not told as if it were new.
    assert [each.progress for each in again.backups] == [None, None]
    assert len(bench.requests) == 3
    bench.clock.at += 61.0
    later = await bench.cbr.backups()
    assert [each.progress for each in later.backups] == [40, 40]
    assert len(bench.requests) == 5


async def test_backups_of_others_cost_no_page_of_logs() -> None:
    bench = CbrBench(serving([entry(1, name="autobk_1"), entry(2, name="x_20261120")], []))
    await bench.cbr.backups()
    assert len(bench.requests) == 1


async def test_the_reason_of_an_error_is_in_the_log_and_is_read_once() -> None:
    error = {"code": "BackupService.7202", "message": "no snapshot"}
    failed = log(1, status="failed", error_info=error)
    bench = CbrBench(serving([entry(1, status="error")], [failed]))
    for _ in range(2):
        (backup,) = (await bench.cbr.backups()).backups
        assert (backup.code, backup.fail_reason) == ("BackupService.7202", "no snapshot")
    assert len(bench.requests) == 3


@pytest.mark.parametrize(
    ("word", "status"),
    [
        ("waiting", CloudJobStatus.INIT),
        ("running", CloudJobStatus.RUNNING),
        ("success", CloudJobStatus.SUCCESS),
        ("failed", CloudJobStatus.FAIL),
        ("timeout", CloudJobStatus.FAIL),
        ("skipped", CloudJobStatus.FAIL),
        ("new word", None),
    ],
)
async def test_the_task_of_a_disk_is_found_by_checkpoint_and_disk(
    word: str, status: CloudJobStatus | None
) -> None:
    logs = [log(1, checkpoint_id="other"), log(1, status=word)]
    bench = CbrBench(serving([], logs))
    task = await bench.cbr.cloud_job(f"{CHECKPOINT}.{disk(1)}")
    assert task is not None
    assert (task.status, task.backup_id) == (status, "b-1")
    assert bench.requests[0].url.params["resource_id"] == disk(1)
    assert await bench.cbr.cloud_job(f"{VAULT}.{disk(1)}") is None


async def test_a_restore_without_a_word_is_followed_by_its_log() -> None:
    logs: list[Any] = []
    bench = CbrBench(serving([], logs))
    bench.session.allow("POST", f"{BASE}/nothing")

    def reply(request: httpx.Request) -> httpx.Response:
        return answer(202, b"") if request.method == "POST" else serving([], logs)(request)

    bench = CbrBench(reply)
    result = await bench.cbr.changes.restore("b-1", disk(1), 0)
    assert result.status == 202
    assert result.cloud_job_id is not None
    assert result.cloud_job_id.startswith(f"restore.{disk(1)}.")
    early = await bench.cbr.cloud_job(result.cloud_job_id)
    assert early is not None
    assert early.status is CloudJobStatus.INIT  # its log may be late
    logs += [log(1, status="success", started_at="2025-12-31T23:00:00"), log(1, status="failed")]
    logs[1]["started_at"] = "2026-01-01T00:00:01"
    found = await bench.cbr.cloud_job(result.cloud_job_id)
    assert found is not None
    assert found.status is CloudJobStatus.FAIL  # not the earlier one
    (since,) = [each for each in await bench.cbr.restore_logs(Cloud(0.0)) if each.code is None][:1]
    assert since.volume_id == disk(1)


@pytest.mark.parametrize("body", [b"", b"null", b"{}", b'{"job_id": null}', b'{"x": 1}'])
async def test_a_restore_is_accepted_whatever_json_says_so(body: bytes) -> None:
    bench = CbrBench(lambda _: answer(202, body))
    result = await bench.cbr.changes.restore("b-1", disk(1), 0)
    assert judge(result).verdict is Verdict.ACCEPTED
    page = await CbrBench(lambda _: answer(202, b"<html>")).cbr.changes.restore("b", disk(1), 0)
    assert judge(page).verdict is Verdict.UNKNOWN


async def test_a_restore_that_names_its_log_is_followed_by_that() -> None:
    def reply(request: httpx.Request) -> httpx.Response:
        if request.method == "POST":
            return answer(202, {"job_id": "t-1"})
        return answer(200, {"operation_log": log(1, status="success")})

    bench = CbrBench(reply)
    result = await bench.cbr.changes.restore("b-1", disk(1), 0)
    assert result.cloud_job_id == "t-1"
    task = await bench.cbr.cloud_job("t-1")
    assert task is not None
    assert task.status is CloudJobStatus.SUCCESS


# Vaults ------------------------------------------------------------------------------------------

VAULTS = [
    {
        "id": VAULT,
        "name": "v1",
        "auto_expand": True,
        "billing": {
            "object_type": "disk",
            "size": "100",
            "allocated": 60,
            "used": 30 * 1024 + 1,
            "status": "lock",
        },
        "resources": [{"id": disk(1), "name": "d1", "size": 60, "protect_status": "available"}],
    },
    {"id": "servers", "billing": {"object_type": "server"}},
    {"id": "bare", "billing": None, "resources": None},
    None,
]


async def test_vaults_are_read_with_their_disks_and_those_of_servers_are_left_out() -> None:
    bench = CbrBench(lambda _: answer(200, {"vaults": VAULTS, "count": 4}))
    vault, bare = await bench.cbr.vaults()
    assert (vault.title, vault.status, vault.size, vault.free) == ("v1", "lock", 100, 70)
    assert (vault.auto_expand, vault.volumes[0].id) == (True, disk(1))
    assert (bare.title, bare.free, bare.volumes) == ("bare", None, ())
    assert await bench.cbr.quota() == (Quota(kind="vault_gigabytes", used=60, limit=100),)


async def test_disks_are_associated_in_one_request() -> None:
    bench = CbrBench(lambda _: answer(200, {"add_resource_ids": [disk(1)]}))
    await bench.cbr.associate(VAULT, [disk(1), disk(2)])
    (request,) = bench.requests
    assert str(request.url) == f"{BASE}/vaults/{VAULT}/addresources"
    kind = "OS::Cinder::Volume"
    assert body_of(request) == {"resources": [{"id": disk(n), "type": kind} for n in (1, 2)]}
    with pytest.raises(CloudRefused, match=r"BackupService\.6103"):
        refusal = {"error_code": "BackupService.6103", "error_msg": "elsewhere"}
        await CbrBench(lambda _: answer(400, refusal)).cbr.associate(VAULT, [disk(1)])
    with pytest.raises(CloudUnavailable):
        await CbrBench(lambda _: answer(503)).cbr.associate(VAULT, [disk(1)])


async def test_tags_are_objected_to() -> None:
    bench = CbrBench(lambda _: answer(200))
    assert await bench.cbr.objections([BackupSettings()]) == []
    assert await bench.cbr.objections([BackupSettings(tags=(("a", "b"),))]) == [
        "tags: CBR keeps no tags on backups: leave them out of the plan"
    ]


async def test_a_backup_of_a_server_is_listed_with_the_backups_of_its_disks() -> None:
    parts = [entry(8, status="available"), entry(9, status="error"), "no map", {"name": "no id"}]
    server = entry(7, resource_id="the-server", children=parts, status="available")
    bench = CbrBench(serving([server, entry(1), entry(2, children=None)], []))
    page = await bench.cbr.all_backups()
    assert [(each.id, each.volume_id, each.status) for each in page.backups] == [
        ("b-7", "the-server", "available"),
        ("b-8", disk(8), "available"),
        ("b-9", disk(9), "error"),
        ("b-1", disk(1), "creating"),
        ("b-2", disk(2), "creating"),
    ]
    assert len(bench.requests) == 1
