"""What the real Cinder refuses: quotas, rights, increments without a parent."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.openstack.cloud import BLOCK_STORAGE, RealCloud
from tests.openstack.scenarios.night import Night


@contextmanager
def quota_for(cloud: RealCloud, more: int) -> Iterator[None]:
    """The project may make so many more backups, for a while."""
    set_quota(cloud, used_quota(cloud) + more)
    try:
        yield
    finally:
        set_quota(cloud, 10_000)


def set_quota(cloud: RealCloud, backups: int) -> None:
    project = cloud.user.get_project_id()
    body = {"quota_set": {"backups": backups}}
    cloud.admin.put(f"/os-quota-sets/{project}", endpoint_filter=BLOCK_STORAGE, json=body)


def used_quota(cloud: RealCloud) -> int:
    user = cloud.user
    path = f"/os-quota-sets/{user.get_project_id()}?usage=True"
    quotas = user.get(path, endpoint_filter=BLOCK_STORAGE).json()["quota_set"]
    return int(quotas["backups"]["in_use"])


def test_a_quota_reached_in_mid_run_stops_it_and_more_quota_lets_it_finish(
    cloud: RealCloud, night: Night
) -> None:
    fleet = night.fleet("quota", 14)
    night.write_real_plan(limits={"rate": "4/s"})
    with quota_for(cloud, 6):
        checked = night("check", "plan.yaml", "--online", code=2).stdout
        assert "6 of" in checked
        for words in (["run", "plan.yaml", "--no-preflight"], ["resume"]):
            night(*words, code=3)
            assert "Cinder.CountQuota" in night.look("status")
            counts = night.runs()[0]["counts"]
            assert counts["running"] + counts["succeeded"] == 6
            assert (counts["failed"], counts["waiting"]) == (0, 8)
    night("resume")
    night.assert_each_once(fleet)


def test_a_user_who_may_only_read_is_told_so_and_nothing_fails_for_it(
    cloud: RealCloud, night: Night
) -> None:
    fleet = night.fleet("reader", 3)
    night.write_real_plan(cloud="reader")
    done = night("run", "plan.yaml", code=3)
    assert "may not" in done.stderr or "Policy doesn't allow" in done.stderr
    assert night.runs()[0]["counts"]["failed"] == 0
    assert night.backups(fleet) == []


@pytest.mark.parametrize(("instead", "code"), [(False, 1), (True, 0)])
def test_an_increment_of_nothing_fails_or_becomes_a_full_backup(
    night: Night, instead: bool, code: int
) -> None:
    fleet = night.fleet(f"parent{code}", 3)
    night.write_real_plan(defaults={"full": False, "full_if_no_parent": instead})
    night("check", "plan.yaml", "--online", code=2 * code)
    night("run", "plan.yaml", "--no-preflight", code=code)
    night.assert_each_once(fleet, failed=fleet.ids if code else ())
    if code:
        assert {job["code"] for job in night.jobs()} == {"Cinder.NoParent"}
    else:
        night("run", "plan.yaml")
        kinds = [backup.incremental for backup in night.backups(fleet)]
        assert sorted(kinds) == [False] * 3 + [True] * 3


def test_a_volume_in_use_needs_force_and_a_plan_that_forbids_it_fails_it(night: Night) -> None:
    fleet = night.fleet("force", 3, in_use=1)
    night.write_real_plan(defaults={"force": False})
    night("run", "plan.yaml", "--no-preflight", code=1)
    night.assert_each_once(fleet, failed=fleet.in_use)
    assert {job["code"] for job in night.jobs() if job["state"] == "failed"} == {"Cinder.InUse"}
