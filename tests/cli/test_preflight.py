"""check --online, and the look with which a run begins."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from tests.cli.clouds import GlassCloud
from tests.cli.harness import FAST, SLOW, Harness, told, until
from tests.report.schema_check import problems


def ids(cloud: GlassCloud) -> list[str]:
    return [volume["ID"] for volume in cloud.volumes()]


def found(stage: Harness, *words: str, code: int = 0) -> list[tuple[str, str, str | None]]:
    """What check --online finds, but for where it signed in."""
    said = stage.ask("check", str(stage.plan), "--online", "--json", *words, code=code)
    document = json.loads(said)
    assert document["ok"] is (code == 0)
    rows = [(each["severity"], each["about"], each["volume_id"]) for each in document["findings"]]
    return [row for row in rows if row[1] not in ("credentials", "endpoint") or row[0] == "error"]


def spoil(cloud: GlassCloud) -> dict[str, str]:
    """Volumes as they should not be: what about -> id. Of the rest two are left, and one is new."""
    world = cloud.world
    missing, broken, full, busy, made, recent = ids(cloud)[:6]
    del world.project.volumes[missing]
    world.project.volumes[broken].status = "error"
    for number in range(20):
        world.add_backup(full, f"old{number}", age=90_000.0 - number)
    world.project.volumes[busy].status = "extending"
    cloud.project().create(made, "somebody-elses")
    world.add_backup(recent, "fresh", age=3600.0)
    return {
        "missing": missing,
        "state": broken,
        "limit": full,
        "busy": busy,
        "running": made,
        "recent": recent,
    }


def test_everything_is_found_in_five_reads_and_told_in_one_table(stage: Harness) -> None:
    cloud = stage.cloud(SLOW + "quota: {backups: 25}", volumes=8)
    stage.write_plan(skip_if_newer_than="24h")
    spoilt = spoil(cloud)
    until(lambda: len(cloud.project().backups()) == 22)
    before = cloud.summary()["calls"]
    assert sorted(found(stage, code=2), key=str) == sorted(
        [
            ("error", "missing", spoilt["missing"]),
            ("error", "state", spoilt["state"]),
            ("error", "limit", spoilt["limit"]),
            ("warning", "state", spoilt["busy"]),
            ("warning", "running", spoilt["running"]),
            ("note", "recent", spoilt["recent"]),
            ("error", "quota", None),
        ],
        key=str,
    )
    calls = {kind: count - before.get(kind, 0) for kind, count in cloud.summary()["calls"].items()}
    assert sum(calls[kind] for kind in ("volumes", "list", "quota")) <= 5
    assert cloud.creates() == 1, "that of somebody else"
    table = stage("check", "plan.yaml", "--online", code=2).stdout
    assert "error    missing" in table
    assert "has 20 backups of the 20 there can be: delete some" in table
    assert "the run needs 4, and 3 of 25 backups are left" in table
    assert table.splitlines()[-1].startswith("plan.yaml: 4 errors, 2 warnings; 4 volumes, ")
    assert not stage.store.exists()


def test_a_fine_plan_is_0_with_a_forecast(stage: Harness) -> None:
    cloud = stage.cloud(volumes=3)
    size = sum(volume["Size"] for volume in cloud.volumes())
    out = stage.ask("check", str(stage.plan), "--online")
    assert re.search(
        r"note     credentials  signed in to cloud simulator, region sim-1, project simulator "
        r"\([0-9a-f]{32}\), http://127\.0\.0\.1:\d+\n",
        out,
    )
    assert f"0 errors, 0 warnings; 3 volumes, {size} GB, about 24 calls, at least 0 s" in out


def test_a_run_whose_plan_would_surely_fail_begins_nothing(stage: Harness) -> None:
    cloud = stage.cloud(volumes=4)
    gone = ids(cloud)[1]
    del cloud.world.project.volumes[gone]
    done = stage("run", "plan.yaml", "--yes", code=2)
    first, *_, last = done.stderr.splitlines()
    assert first.startswith("error    missing")
    assert gone in first
    assert last.startswith(
        "vbsbatch: nothing was started: 1 volume would surely fail (on_preflight"
    )
    assert stage.runs() == []
    assert cloud.creates() == 0


@pytest.mark.parametrize("way", ["plan", "option"])
def test_what_would_surely_fail_is_skipped_with_its_reason_where_that_is_the_policy(
    stage: Harness, way: str
) -> None:
    cloud = stage.cloud(volumes=5)
    gone, broken = ids(cloud)[1:3]
    del cloud.world.project.volumes[gone]
    cloud.world.project.volumes[broken].status = "error"
    stage.write_plan(on_preflight="skip" if way == "plan" else "fail")
    words = [] if way == "plan" else ["--on-preflight", "skip"]
    done = stage("run", "plan.yaml", "--yes", *words)
    assert "5 volumes, 2 of them skipped, store" in done.stderr
    assert told(done, "end") == ["done ok=3 fail=0 exit=0"]
    skipped = {job["volume_id"]: job["message"] for job in stage.jobs("--state", "skipped")}
    assert skipped == {
        gone: "the cloud has no such volume in this project",
        broken: "is in state error: it must be available or in-use",
    }
    assert cloud.creates() == 3
    assert "is in state error" in stage.look("report")
    assert "the cloud has what the store says" in stage("verify").stdout
    assert "nothing to do" in stage("resume", "latest").stderr


def test_a_quota_that_does_not_suffice_is_no_volume_s_fault(stage: Harness) -> None:
    cloud = stage.cloud(FAST + "quota: {backups: 2}", volumes=4)
    stage.write_plan(limits={"connections": 1})
    refused = stage("run", "plan.yaml", "--yes", code=2).stderr
    assert "nothing was started: the quota does not suffice" in refused
    assert stage.runs() == []
    done = stage("run", "plan.yaml", "--yes", "--on-preflight", "skip", code=3)
    assert "VolumeBackup.0080" in done.stderr
    assert stage.jobs("--state", "skipped") == []
    cloud.behave(FAST)
    stage("resume")
    assert cloud.summary()["backed_up"] == 4


def test_a_second_run_of_the_night_skips_what_has_its_backup(stage: Harness) -> None:
    cloud = stage.cloud(volumes=4)
    stage.write_plan(skip_if_newer_than="1h")
    chosen = stage.folder / "two.txt"
    chosen.write_text("\n".join(ids(cloud)[:2]))
    stage("run", "plan.yaml", "--volumes", "two.txt")
    done = stage("run", "plan.yaml")
    assert "4 volumes, 2 of them skipped" in done.stderr
    assert cloud.creates() == 4
    assert {job["volume_id"] for job in stage.jobs("--state", "skipped")} == set(ids(cloud)[:2])
    assert "newer than skip_if_newer_than: 60 min" in stage.look("report")
    last = stage("run", "plan.yaml")
    assert told(last, "end") == ["done ok=0 fail=0 exit=0"]
    assert cloud.creates() == 4


def test_no_preflight_asks_for_nothing_but_whether_anybody_answers(stage: Harness) -> None:
    cloud = stage.cloud(volumes=3)
    del cloud.world.project.volumes[ids(cloud)[0]]
    stage.write_plan(retry={"attempts": 1})
    stage("run", "plan.yaml", "--no-preflight", code=1)
    assert cloud.creates() == 3
    assert cloud.calls("volumes") == 0
    assert cloud.calls("quota") == 1


def test_a_plan_of_which_everything_would_surely_fail_is_none_to_skip(stage: Harness) -> None:
    """The wrong project, most likely: a run of which all is skipped would pass for a success."""
    stage.cloud(volumes=2)
    stage.write_plan(
        volumes=[{"id": f"6ba7b81{n}-9dad-11d1-80b4-00c04fd430c8"} for n in range(3)],
        volumes_from=None,
    )
    done = stage("run", "plan.yaml", "--on-preflight", "skip", "--yes", code=2)
    assert done.stderr.endswith("(vbsbatch check PLAN --online tells why)\n")
    assert stage.runs() == []


def test_findings_come_as_the_run_tells_its_progress(stage: Harness) -> None:
    stage.cloud(FAST + "faults: [{on: volumes, do: status, status: 403}]", volumes=1)
    first, *_ = stage("run", "plan.yaml", "--progress", "json").stderr.splitlines()
    note = json.loads(first)
    assert (note["event"], note["kind"]) == ("note", "preflight")
    assert note["text"].startswith("warning volumes could not be found out: 403")
    assert not problems(note, "line")
    assert len(stage("run", "plan.yaml", "--progress", "quiet").stderr.splitlines()) == 1


NOT_OFFERED = """\
faults:
  - {on: volumes, do: status, status: 404}
  - {on: quota, do: status, status: 501}
"""


def test_what_a_cloud_does_not_offer_is_a_warning_and_keeps_nobody_from_running(
    stage: Harness,
) -> None:
    cloud = stage.cloud(FAST + NOT_OFFERED, volumes=3)
    assert found(stage) == [
        ("warning", "quota", None),
        ("warning", "volumes", None),
    ]
    cloud.behave(FAST + NOT_OFFERED)
    done = stage("run", "plan.yaml")
    assert done.stderr.count("could not be found out") == 2
    assert told(done, "end") == ["done ok=3 fail=0 exit=0"]


@pytest.mark.parametrize("policy", ["fail", "skip"])
def test_a_run_that_could_not_follow_its_backups_begins_nothing(
    stage: Harness, policy: str
) -> None:
    cloud = stage.cloud("faults: [{on: list, do: status, status: 403}]", volumes=2)
    assert found(stage, code=2) == [("error", "backups", None)]
    done = stage("run", "plan.yaml", "--on-preflight", policy, code=2)
    assert "the cloud refuses to list them" in done.stderr.splitlines()[-1]
    assert stage.runs() == []
    assert cloud.creates() == 0


def test_a_quota_that_cinder_does_not_tell_this_user_is_a_warning_too(stage: Harness) -> None:
    stage.cloud(
        FAST + "services: cinder\nfaults: [{on: quota, do: status, status: 403}]", volumes=2
    )
    assert found(stage) == [("warning", "quota", None)]


@pytest.mark.parametrize(("status", "why"), [(302, "a redirect to nowhere"), (401, "401: ")])
@pytest.mark.parametrize("words", [(), ("--no-preflight",)])
def test_a_service_that_lets_nobody_in_is_told_before_anything_is_stored(
    stage: Harness, status: int, why: str, words: tuple[str, ...]
) -> None:
    cloud = stage.cloud(f"faults: [{{on: quota, do: status, status: {status}}}]", volumes=2)
    line = stage.refused("run", "plan.yaml", *words)
    assert "the backup service lets nobody in: " in line
    assert why in line
    assert "vbs_endpoint_override in clouds.yaml" in line
    assert stage.runs() == []
    assert cloud.creates() == 0


OUTAGE = "faults: [{on: volumes, do: status, status: 503}, {on: list, do: drop_before, first: 3}]"


def test_an_outage_is_2_in_check_and_a_warning_in_run(stage: Harness) -> None:
    cloud = stage.cloud(FAST + OUTAGE, volumes=2)
    assert found(stage, code=2) == [("error", "backups", None), ("error", "volumes", None)]
    cloud.behave(FAST + OUTAGE)
    done = stage("run", "plan.yaml")
    assert done.stderr.count("warning") >= 2
    assert told(done, "end") == ["done ok=2 fail=0 exit=0"]


def test_one_answer_that_is_lost_is_asked_for_again(stage: Harness) -> None:
    every = ("volumes", "list", "quota")
    faults = ", ".join(f"{{on: {kind}, do: drop_before, first: 1}}" for kind in every)
    stage.cloud(FAST + f"faults: [{faults}]", volumes=2)
    assert found(stage) == []


def test_credentials_and_endpoints_that_do_not_work_are_findings_too(stage: Harness) -> None:
    stage.cloud(volumes=1)
    assert found(stage, "--vbs-endpoint", "http://127.0.0.1:1/", code=2) == [
        ("error", "endpoint", None)
    ]
    stage.edit_clouds("password: .*", "password: wrong")
    assert found(stage, code=2) == [("error", "credentials", None)]
    out = stage("check", "plan.yaml", "--online", code=2).stdout
    assert "error    credentials  cloud 'simulator'" in out
    assert out.splitlines()[-1] == "plan.yaml: could not be looked at"


def test_options_for_a_cloud_are_for_a_check_online(stage: Harness) -> None:
    stage.cloud(volumes=1)
    for words in (("--json",), ("--cloud", "simulator"), ("--service", "vbs")):
        assert "are for --online" in stage("check", "plan.yaml", *words, code=2).stderr


def test_hostile_text_of_the_cloud_is_shown_literally(stage: Harness) -> None:
    hostile = r'"\e]0;owned\a\u202e[b]x[/b]"'
    cloud = stage.cloud(volumes=2)
    cloud.behave(FAST + f"faults: [{{on: volumes, do: status, status: 403, message: {hostile}}}]")
    out = stage.ask("check", str(stage.plan), "--online")
    assert "[b]x[/b]" in out
    assert not {"\x1b", "\x07", "\u202e"} & set(out)


def test_a_big_project_is_looked_at_in_as_many_pages_as_it_has(stage: Harness) -> None:
    cloud = stage.cloud(volumes=1500)
    some = ids(cloud)[-2:]
    for number in range(1200):
        cloud.world.add_backup(some[0], f"b{number}", age=90_000.0 - number)
    stage.write_plan(volumes=[{"id": each} for each in some], volumes_from=None)
    rows = found(stage, code=2)
    assert rows == [("error", "limit", some[0])]
    assert cloud.calls("list") <= 3
    assert cloud.calls("volumes") <= 3


def test_a_plan_for_cinder_is_looked_at_too(stage: Harness) -> None:
    faults = FAST + "services: cinder\nquota: {gigabytes: 1}"
    stage.cloud(faults, volumes=2)
    assert found(stage, code=2) == [("error", "quota", None)]
    found_by_run: Any = stage("run", "plan.yaml", code=2)
    assert "GB of backups are left" in found_by_run.stderr
