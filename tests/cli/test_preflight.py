"""check --online, and the preflight of a run."""

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


def found(harness: Harness, *words: str, code: int = 0) -> list[tuple[str, str, str | None]]:
    """What check --online finds, but for where it signed in."""
    said = harness.ask("check", str(harness.plan), "--online", "--json", *words, code=code)
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


def test_everything_is_found_in_five_reads_and_shown_in_one_table(harness: Harness) -> None:
    cloud = harness.cloud(SLOW + "quota: {backups: 25}", volumes=8)
    harness.write_plan(skip_if_newer_than="24h")
    spoilt = spoil(cloud)
    until(lambda: len(cloud.project().backups()) == 22)
    before = cloud.summary()["calls"]
    assert sorted(found(harness, code=2), key=str) == sorted(
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
    table = harness("check", "plan.yaml", "--online", code=2).stdout
    assert "error    missing" in table
    assert "has 20 backups of the 20 there can be: delete some" in table
    assert "the run needs 4, and 3 of 25 backups are left" in table
    assert table.splitlines()[-1].startswith("plan.yaml: 4 errors, 2 warnings; 4 volumes, ")
    assert not harness.store.exists()


def test_a_good_plan_exits_with_0_and_a_forecast(harness: Harness) -> None:
    cloud = harness.cloud(volumes=3)
    size = sum(volume["Size"] for volume in cloud.volumes())
    out = harness.ask("check", str(harness.plan), "--online")
    assert re.search(
        r"note     credentials  signed in to cloud simulator, region sim-1, project simulator "
        r"\([0-9a-f]{32}\), http://127\.0\.0\.1:\d+\n",
        out,
    )
    assert f"0 errors, 0 warnings; 3 volumes, {size} GB, about 17 calls, at least 0 s" in out


def test_a_run_whose_volumes_would_surely_fail_does_not_start(harness: Harness) -> None:
    cloud = harness.cloud(volumes=4)
    gone = ids(cloud)[1]
    del cloud.world.project.volumes[gone]
    done = harness("run", "plan.yaml", "--yes", code=2)
    first, *_, last = done.stderr.splitlines()
    assert first.startswith("error    missing")
    assert gone in first
    assert last.startswith(
        "vbsbatch: nothing was started: 1 volume would surely fail (on_preflight"
    )
    assert harness.runs() == []
    assert cloud.creates() == 0


@pytest.mark.parametrize("way", ["plan", "option"])
def test_volumes_that_would_surely_fail_are_skipped_with_a_reason_under_the_skip_policy(
    harness: Harness, way: str
) -> None:
    cloud = harness.cloud(volumes=5)
    gone, broken = ids(cloud)[1:3]
    del cloud.world.project.volumes[gone]
    cloud.world.project.volumes[broken].status = "error"
    harness.write_plan(on_preflight="skip" if way == "plan" else "fail")
    words = [] if way == "plan" else ["--on-preflight", "skip"]
    done = harness("run", "plan.yaml", "--yes", *words)
    assert "5 volumes, 2 of them skipped, store" in done.stderr
    assert told(done, "end") == ["done ok=3 fail=0 exit=0"]
    skipped = {job["volume_id"]: job["message"] for job in harness.jobs("--state", "skipped")}
    assert skipped == {
        gone: "the cloud has no such volume in this project",
        broken: "is in state error: it must be available or in-use",
    }
    assert cloud.creates() == 3
    assert "is in state error" in harness.look("report")
    assert "the cloud has what the store says" in harness("verify").stdout
    assert "nothing to do" in harness("resume", "latest").stderr


def test_too_little_quota_fails_no_single_volume(harness: Harness) -> None:
    cloud = harness.cloud(FAST + "quota: {backups: 2}", volumes=4)
    harness.write_plan(limits={"connections": 1})
    refused = harness("run", "plan.yaml", "--yes", code=2).stderr
    assert "nothing was started: the quota is too small" in refused
    assert harness.runs() == []
    done = harness("run", "plan.yaml", "--yes", "--on-preflight", "skip", code=3)
    assert "VolumeBackup.0080" in done.stderr
    assert harness.jobs("--state", "skipped") == []
    cloud.behave(FAST)
    harness("resume")
    assert cloud.summary()["backed_up"] == 4


def test_a_second_run_of_the_night_skips_what_has_its_backup(harness: Harness) -> None:
    cloud = harness.cloud(volumes=4)
    harness.write_plan(skip_if_newer_than="1h")
    chosen = harness.folder / "two.txt"
    chosen.write_text("\n".join(ids(cloud)[:2]))
    harness("run", "plan.yaml", "--volumes", "two.txt")
    done = harness("run", "plan.yaml")
    assert "4 volumes, 2 of them skipped" in done.stderr
    assert cloud.creates() == 4
    assert {job["volume_id"] for job in harness.jobs("--state", "skipped")} == set(ids(cloud)[:2])
    assert "newer than skip_if_newer_than: 60 min" in harness.look("report")
    last = harness("run", "plan.yaml")
    assert told(last, "end") == ["done ok=0 fail=0 exit=0"]
    assert cloud.creates() == 4


def test_no_preflight_only_checks_that_the_service_answers(harness: Harness) -> None:
    cloud = harness.cloud(volumes=3)
    del cloud.world.project.volumes[ids(cloud)[0]]
    harness.write_plan(retry={"attempts": 1})
    harness("run", "plan.yaml", "--no-preflight", code=1)
    assert cloud.creates() == 3
    assert cloud.calls("volumes") == 0
    assert cloud.calls("quota") == 1


def test_a_run_whose_volumes_would_all_fail_does_not_start_even_with_skip(harness: Harness) -> None:
    """The wrong project, most likely: a run of which all is skipped would pass for a success."""
    harness.cloud(volumes=2)
    harness.write_plan(
        volumes=[{"id": f"6ba7b81{n}-9dad-11d1-80b4-00c04fd430c8"} for n in range(3)],
        volumes_from=None,
    )
    done = harness("run", "plan.yaml", "--on-preflight", "skip", "--yes", code=2)
    assert done.stderr.endswith("(vbsbatch check PLAN --online shows why)\n")
    assert harness.runs() == []


def test_findings_are_printed_in_the_format_of_the_progress(harness: Harness) -> None:
    harness.cloud(FAST + "faults: [{on: volumes, do: status, status: 403}]", volumes=1)
    first, *_ = harness("run", "plan.yaml", "--progress", "json").stderr.splitlines()
    note = json.loads(first)
    assert (note["event"], note["kind"]) == ("note", "preflight")
    assert note["text"].startswith("warning volumes could not be found out: 403")
    assert not problems(note, "line")
    assert len(harness("run", "plan.yaml", "--progress", "quiet").stderr.splitlines()) == 1


NOT_OFFERED = """\
faults:
  - {on: volumes, do: status, status: 404}
  - {on: quota, do: status, status: 501}
"""


def test_a_list_that_a_cloud_does_not_offer_is_only_a_warning(
    harness: Harness,
) -> None:
    cloud = harness.cloud(FAST + NOT_OFFERED, volumes=3)
    assert found(harness) == [
        ("warning", "quota", None),
        ("warning", "volumes", None),
    ]
    cloud.behave(FAST + NOT_OFFERED)
    done = harness("run", "plan.yaml")
    assert done.stderr.count("could not be found out") == 2
    assert told(done, "end") == ["done ok=3 fail=0 exit=0"]


@pytest.mark.parametrize("policy", ["fail", "skip"])
def test_a_run_that_cannot_follow_its_backups_does_not_start(harness: Harness, policy: str) -> None:
    cloud = harness.cloud("faults: [{on: list, do: status, status: 403}]", volumes=2)
    assert found(harness, code=2) == [("error", "backups", None)]
    done = harness("run", "plan.yaml", "--on-preflight", policy, code=2)
    assert "the cloud refuses to list them" in done.stderr.splitlines()[-1]
    assert harness.runs() == []
    assert cloud.creates() == 0


def test_a_quota_that_cinder_hides_from_the_user_is_a_warning_too(harness: Harness) -> None:
    harness.cloud(
        FAST + "services: cinder\nfaults: [{on: quota, do: status, status: 403}]", volumes=2
    )
    assert found(harness) == [("warning", "quota", None)]


@pytest.mark.parametrize(("status", "why"), [(302, "a redirect to nowhere"), (401, "401: ")])
@pytest.mark.parametrize("words", [(), ("--no-preflight",)])
def test_a_service_that_refuses_everybody_is_reported_before_anything_is_stored(
    harness: Harness, status: int, why: str, words: tuple[str, ...]
) -> None:
    cloud = harness.cloud(f"faults: [{{on: quota, do: status, status: {status}}}]", volumes=2)
    line = harness.refused("run", "plan.yaml", *words)
    assert "the backup service refuses this sign-in: " in line
    assert why in line
    assert "vbs_endpoint_override in clouds.yaml" in line
    assert harness.runs() == []
    assert cloud.creates() == 0


OUTAGE = "faults: [{on: volumes, do: status, status: 503}, {on: list, do: drop_before%s}]"


def test_an_outage_is_2_in_check_and_a_warning_in_run(harness: Harness) -> None:
    cloud = harness.cloud(FAST + OUTAGE % "", volumes=2)
    assert found(harness, code=2) == [("error", "backups", None), ("error", "volumes", None)]
    # A question is asked three times, and a connection that was cut may have been an old one.
    cloud.behave(FAST + OUTAGE % ", first: 6")
    done = harness("run", "plan.yaml")
    assert done.stderr.count("warning") >= 2
    assert told(done, "end") == ["done ok=2 fail=0 exit=0"]


def test_a_lost_answer_is_requested_again(harness: Harness) -> None:
    every = ("volumes", "list", "quota")
    faults = ", ".join(f"{{on: {kind}, do: drop_before, first: 1}}" for kind in every)
    harness.cloud(FAST + f"faults: [{faults}]", volumes=2)
    assert found(harness) == []


def test_credentials_and_endpoints_that_do_not_work_are_findings_too(harness: Harness) -> None:
    harness.cloud(volumes=1)
    assert found(harness, "--vbs-endpoint", "http://127.0.0.1:1/", code=2) == [
        ("error", "endpoint", None)
    ]
    harness.edit_clouds("password: .*", "password: wrong")
    assert found(harness, code=2) == [("error", "credentials", None)]
    out = harness("check", "plan.yaml", "--online", code=2).stdout
    assert "error    credentials  cloud 'simulator'" in out
    assert out.splitlines()[-1] == "plan.yaml: could not be looked at"


def test_options_for_a_cloud_need_check_online(harness: Harness) -> None:
    harness.cloud(volumes=1)
    for words in (("--json",), ("--cloud", "simulator"), ("--service", "vbs")):
        assert "are for --online" in harness("check", "plan.yaml", *words, code=2).stderr


def test_hostile_text_of_the_cloud_is_shown_literally(harness: Harness) -> None:
    hostile = r'"\e]0;owned\a\u202e[b]x[/b]"'
    cloud = harness.cloud(volumes=2)
    cloud.behave(FAST + f"faults: [{{on: volumes, do: status, status: 403, message: {hostile}}}]")
    out = harness.ask("check", str(harness.plan), "--online")
    assert "[b]x[/b]" in out
    assert not {"\x1b", "\x07", "\u202e"} & set(out)


def test_a_large_project_is_read_page_by_page(harness: Harness) -> None:
    cloud = harness.cloud(volumes=1500)
    some = ids(cloud)[-2:]
    for number in range(1200):
        cloud.world.add_backup(some[0], f"b{number}", age=90_000.0 - number)
    harness.write_plan(volumes=[{"id": each} for each in some], volumes_from=None)
    rows = found(harness, code=2)
    assert rows == [("error", "limit", some[0])]
    assert cloud.calls("list") <= 3
    assert cloud.calls("volumes") <= 3


def test_preflight_also_checks_a_plan_for_cinder(harness: Harness) -> None:
    faults = FAST + "services: cinder\nquota: {gigabytes: 1}"
    harness.cloud(faults, volumes=2)
    assert found(harness, code=2) == [("error", "quota", None)]
    found_by_run: Any = harness("run", "plan.yaml", code=2)
    assert "GB of backups are left" in found_by_run.stderr
