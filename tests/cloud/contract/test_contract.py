"""What every backup service of the registry must do: the simulated ones, and a real one where the
environment names it (see `harness`)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from vbsbatch.cloud.service import CloudService
from vbsbatch.cloud.services import SERVICES
from vbsbatch.engine.ports import BackupService
from vbsbatch.errors import ListChanged
from vbsbatch.model import NO_PARENT, Answer, BackupSettings, CloudJobStatus, Elapsed, Verdict
from vbsbatch.policy import Judgement, judge, named
from vbsbatch.simulator import Services

from .harness import ContractCloud, real, real_cloud, simulated

pytestmark = pytest.mark.anyio

CLOUDS = (*(str(each.facts.service) for each in SERVICES), *(["real"] if real_cloud() else []))
NOBODY = "6ba7b810-9dad-11d1-80b4-00c04fd430c8"


@pytest.fixture(params=CLOUDS)
async def ground(request: pytest.FixtureRequest) -> AsyncIterator[ContractCloud]:
    stand = real() if request.param == "real" else simulated(Services(request.param))
    async with stand as ground:
        await ground.service.ready()
        yield ground


def verdict(answer: Answer) -> tuple[Verdict, str | None]:
    answer = named(answer)
    return judge(answer).verdict, answer.code


def judged(answer: Answer) -> Judgement:
    return judge(named(answer))


async def test_it_is_what_the_engine_asks_for(ground: ContractCloud) -> None:
    service: BackupService = ground.service
    assert abs(service.clock_ahead) < 60
    await service.backups()  # the first look also finds out where the list is and how pages go on
    creates, reads = service.create_calls, service.read_calls
    (answer,) = await service.create_all([ground.job()], 0)
    assert answer.status is not None
    await service.backups()
    assert (service.create_calls, service.read_calls) == (creates + 1, reads + 1)


async def test_an_accepted_create_proves_itself_and_its_backup_becomes_available(
    ground: ContractCloud,
) -> None:
    job, service = ground.job(), ground.service
    answer = await service.create(job, 0)
    assert judge(answer).verdict is Verdict.ACCEPTED
    by_job = type(service).cloud_job is not CloudService.cloud_job
    assert (answer.cloud_job_id is not None, answer.backup_id is None) == (by_job, by_job)
    backup = await ground.ended(job)
    assert backup.status == "available"
    assert answer.backup_id in (None, backup.id)
    assert backup.created_at is not None
    assert await service.backup(backup.id) == backup
    if answer.cloud_job_id is not None:
        cloud_job = await service.cloud_job(answer.cloud_job_id)
        assert cloud_job is not None
        assert (cloud_job.status, cloud_job.backup_id) == (CloudJobStatus.SUCCESS, backup.id)


async def test_the_settings_of_a_backup_are_applied_or_refused_before(
    ground: ContractCloud,
) -> None:
    tags: tuple[tuple[str, str], ...] = (("wave", "1"), ("owner", ""))
    if await ground.service.objections([BackupSettings(tags=tags)]):
        tags = ()
    job = ground.job(description="before", tags=tags, full=True)
    assert await ground.service.objections([job.settings]) == []
    assert judge(await ground.service.create(job, 0)).verdict is Verdict.ACCEPTED
    assert (await ground.ended(job)).status == "available"


async def test_a_second_create_while_the_first_works_is_a_conflict(ground: ContractCloud) -> None:
    job = ground.job()
    assert judge(await ground.service.create(job, 0)).verdict is Verdict.ACCEPTED
    second = judged(await ground.service.create(ground.job(job.volume_id), 1))
    if second.verdict is Verdict.ACCEPTED:
        # A real cloud may be done already; then, and only then, it was no conflict.
        assert [backup.status for backup in await ground.of(job)] == ["available"]
    else:
        assert (second.verdict, second.conflict) == (Verdict.LATER, True)
    assert (await ground.ended(job)).status == "available"


async def test_a_volume_that_does_not_exist_fails_alone(ground: ContractCloud) -> None:
    found, code = verdict(await ground.service.create(ground.job(NOBODY), 0))
    assert found is Verdict.FAIL
    assert code in ("VolumeBackup.0021", "BackupService.7000", "Cinder.NoVolume")


async def test_a_volume_in_use_is_backed_up_too(ground: ContractCloud) -> None:
    if ground.in_use is None:
        pytest.skip("this cloud has no volume in use for us")
    job = ground.job(ground.in_use)
    if ground.service.facts.refuses_in_use:
        careful = replace(job, settings=BackupSettings(force=False))
        refused = verdict(await ground.service.create(careful, 0))
        assert refused == (Verdict.FAIL, "Cinder.InUse")
    assert judge(await ground.service.create(job, 0)).verdict is Verdict.ACCEPTED
    assert (await ground.ended(job)).status == "available"


async def test_an_increment_builds_on_a_backup_or_says_that_there_is_none(
    ground: ContractCloud,
) -> None:
    job = ground.job(full=False, full_if_no_parent=True)
    answer = named(await ground.service.create(job, 0))
    if ground.service.facts.needs_parent:
        assert (judge(answer).verdict, answer.code) == (Verdict.FAIL, NO_PARENT)
        answer = await ground.service.create(replace(job, code=answer.code), 0)
    assert judge(answer).verdict is Verdict.ACCEPTED
    assert (await ground.ended(job)).status == "available"
    second = ground.job(job.volume_id, full=False)
    assert judge(await ground.service.create(second, 0)).verdict is Verdict.ACCEPTED
    assert (await ground.ended(second)).status == "available"


async def test_a_backup_that_ends_in_error_is_listed_as_such_and_can_be_deleted(
    ground: ContractCloud,
) -> None:
    if ground.broken is None:
        pytest.skip("this cloud has no volume for us whose backups fail")
    job = ground.job(ground.broken)
    assert judge(await ground.service.create(job, 0)).verdict is Verdict.ACCEPTED
    backup = await ground.ended(job)
    assert backup.status == "error"
    assert backup.fail_reason
    await ground.service.delete_backup(backup.id)
    for _ in range(60):
        if await ground.service.backup(backup.id) is None:
            break
        await ground.rest()
    assert await ground.of(job) == []


async def test_an_unknown_backup_is_none_and_its_deletion_no_error(
    ground: ContractCloud,
) -> None:
    assert await ground.service.backup(NOBODY) is None
    assert await ground.service.cloud_job("ff8080") is None
    await ground.service.delete_backup(NOBODY)


async def test_the_list_comes_newest_first_and_page_by_page(ground: ContractCloud) -> None:
    jobs = [ground.job() for _ in range(3)]
    for job in jobs:
        await ground.service.create(job, 0)
        await ground.ended(job)
    listed = await ground.listed()
    # Made within one second of a clock that counts whole ones, backups are equally new.
    made_at = [backup.created_at or 0.0 for backup in listed]
    assert made_at == sorted(made_at, reverse=True)
    assert {job.backup_name for job in jobs} <= {backup.name for backup in listed}
    names = [backup.name for backup in listed[:3]]
    pages: list[list[str | None]] = []
    page = await ground.service.backups("limit=1")
    while len(pages) < 3:
        pages.append([backup.name for backup in page.backups])
        assert page.next is not None
        page = await ground.service.backups(page.next)
    assert pages == [[name] for name in names]


async def test_a_page_whose_beginning_is_gone_means_that_the_list_changed(
    ground: ContractCloud,
) -> None:
    await ground.service.backups()
    with pytest.raises(ListChanged):
        await ground.service.backups(f"limit=1&marker={NOBODY}")


async def test_the_quota_is_told_by_kind(ground: ContractCloud) -> None:
    quotas = await ground.service.quota()
    kinds = {quota.kind for quota in quotas}
    assert kinds == {"vault_gigabytes"} or kinds >= {"backups", "backup_gigabytes"}
    assert all(quota.used >= 0 for quota in quotas)


async def test_a_used_up_quota_is_a_stop(ground: ContractCloud) -> None:
    if ground.use_up_quota is None:
        pytest.skip("the quota of this cloud is not ours to set")
    ground.use_up_quota()
    found, code = verdict(await ground.service.create(ground.job(), 0))
    assert found is Verdict.STOP
    assert code in ("VolumeBackup.0080", "BackupService.6114", "Cinder.CountQuota")


async def test_a_renewed_token_is_good(ground: ContractCloud) -> None:
    await ground.service.renew_token(Elapsed(float("inf")))
    await ground.service.backups()
