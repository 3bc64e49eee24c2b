from __future__ import annotations

import io
import json
import subprocess
import sys

import pytest

from tests.plan.samples import RUN, A, B, Load, Problems, Write
from vbsbatch.cloud.services.cinder import CinderService
from vbsbatch.cloud.services.vbs import VbsService
from vbsbatch.errors import PlanError
from vbsbatch.model import (
    BackupSettings,
    Limits,
    Rate,
    Retry,
    Rule,
    Service,
    Settings,
    Timeouts,
    Verdict,
)
from vbsbatch.plan import load

FULL = f"""\
name: pre-migration
cloud: otc
defaults:
  backup_name: "{{plan}}-{{volume}}-{{run}}"
  description: before the migration
  tags: {{wave: "1", owner: ops}}
  full: true
limits: {{rate: 100/min, in_flight: 60, connections: 8}}
retry:
  attempts: 7
  base: 200ms
  cap: 5m
  later_every: 90s
  later_for: 3h
  settle: 0
  rules: [{{status: 503, code: "VolumeBackup.09*", verdict: retry}}, {{status: 502, verdict: stop}}]
timeouts: {{connect: 5s, read: 2m}}
deadline: 8h
volumes:
  - {{id: {A}, name: db01-data, priority: 10, group: db01}}
  - {{id: {B.upper()}, snapshot_id: {A.replace("-", "")}, tags: {{tier: log}}, full: false}}
"""


def test_every_key_reaches_the_settings_of_the_run(plan: Load) -> None:
    got = plan(FULL)
    assert (got.name, got.cloud, len(got)) == ("pre-migration", "otc", 2)
    assert got.settings == Settings(
        limits=Limits(rate=Rate(count=100, per=60), in_flight=60, connections=8),
        retry=Retry(
            attempts=7,
            base=0.2,
            cap=300,
            later_every=90,
            later_for=10800,
            settle=0,
            rules=(
                Rule(status=503, code="VolumeBackup.09*", verdict=Verdict.RETRY),
                Rule(status=502, verdict=Verdict.STOP),
            ),
        ),
        timeouts=Timeouts(connect=5, read=120),
        deadline=28800,
    )


@pytest.mark.parametrize(
    ("said", "on_vbs", "on_cinder"), [("", 30, 120), ("retry: {settle: 30s}", 30, 30)]
)
def test_the_default_settle_is_longer_on_cinder(
    plan: Load, said: str, on_vbs: float, on_cinder: float
) -> None:
    got = plan(f"{said}\nvolumes: [{{id: {A}}}]")
    for kind, settle in ((VbsService, on_vbs), (CinderService, on_cinder)):
        settings = got.settings_on(kind.facts)
        assert (settings.service, settings.retry.settle) == (kind.facts.service, settle)


def test_jobs_are_numbered_in_plan_order_and_have_merged_settings(plan: Load) -> None:
    first, second = plan(FULL).jobs(RUN)
    assert (first.no, first.volume_id, first.volume_name) == (1, A, "db01-data")
    assert (first.priority, first.group) == (10, "db01")
    assert first.settings == BackupSettings(
        description="before the migration", tags=(("wave", "1"), ("owner", "ops")), full=True
    )
    assert (second.no, second.volume_id, second.volume_name) == (2, B, B)
    assert second.settings == BackupSettings(
        description="before the migration", tags=(("tier", "log"),), full=False, snapshot_id=A
    )


def test_a_volume_can_take_the_default_tags_away(plan: Load) -> None:
    got = plan(f"defaults: {{tags: {{a: b}}}}\nvolumes: [{{id: {A}, tags: {{}}}}]")
    assert next(got.jobs(RUN)).settings.tags == ()


def test_keys_of_cinder_may_differ_between_volumes(plan: Load) -> None:
    got = plan(
        f"defaults: {{force: false, full: false}}\nvolumes:\n- {{id: {A}, force: true}}\n"
        f"- {{id: {B}, full_if_no_parent: true}}"
    )
    first, second = (job.settings for job in got.jobs(RUN))
    assert first == BackupSettings(full=False, force=True)
    assert second == BackupSettings(full=False, force=False, full_if_no_parent=True)
    assert got.backup_settings() == {first, second}


@pytest.mark.parametrize(
    ("word", "service"), [("auto", None), ("vbs", Service.VBS), ("cinder", Service.CINDER)]
)
def test_a_plan_may_name_its_service(plan: Load, word: str, service: Service | None) -> None:
    assert plan(f"service: {word}\nvolumes: [{{id: {A}}}]").service is service


def test_an_unknown_service_is_a_problem(problems: Problems) -> None:
    assert problems(f"service: cindre\nvolumes: [{{id: {A}}}]") == [
        '1:10: service: must be one of auto, vbs, cbr, cinder, not "cindre": did you mean "cinder"?'
    ]


def test_missing_keys_have_the_defaults_of_the_model(write: Write) -> None:
    got = load(write(f"volumes: [{{id: {A}}}]", "weekly.yaml"))
    assert (got.name, got.cloud, got.settings) == ("weekly", None, Settings())


def test_jobs_with_the_same_settings_share_them(plan: Load) -> None:
    rows = "".join(f"- {{id: {n:032x}, tags: {{a: b}}}}\n" for n in range(3))
    jobs = list(plan(f"volumes:\n{rows}").jobs(RUN))
    assert jobs[0].settings is jobs[2].settings


def test_json_with_tabs_and_escaped_emoji_is_a_plan(write: Write) -> None:
    text = json.dumps({"name": "x😀", "volumes": [{"id": A, "name": 'v😀 "\\ud83d'}]}, indent="\t")
    got = load(write(text, "plan.json"))
    assert got.name == "x😀"
    assert got.volumes[0].name == 'v😀 "\\ud83d'


def test_every_problem_of_a_plan_is_reported_at_once_with_its_place(problems: Problems) -> None:
    text = f"""\
nme: x
rate: 5/s
limits: {{rate: 5, in_flight: 0}}
retry: {{cap: 30, rules: [{{verdict: rety, status: 200}}, 4]}}
timeouts:
defaults:
  tags: {{"a<": x, b: 12, d: true}}
  full: yes
volumes:
  - {{id: {A}, priority: high}}
  - {{id: {A.upper()}}}
  - {{id: {A.replace("-", "")}, snapshot_id: x}}
  - {{name: b}}
  - hello
"""
    uuid = "must be a UUID such as 6ba7b810-9dad-11d1-80b4-00c04fd430c8 (hyphens may be missing)"
    assert problems(text) == [
        '1:1: unknown key "nme": did you mean "name"?',
        '2:1: unknown key "rate": it belongs under limits',
        "3:16: limits.rate: must say per what: 5/s or 5/min, not 5 alone",
        "3:30: limits.in_flight: must be from 1 to 100000, not 0",
        "4:14: retry.cap: must have a unit: 30s, 30m or 30h, not 30 alone",
        "4:36: retry.rules.verdict: must be one of retry, later, unknown, throttle, fail, stop, "
        'not "rety": did you mean "retry"?',
        "4:50: retry.rules.status: must be from 300 to 599, not 200",
        "4:56: retry.rules: must be a map of keys and values, not 4",
        "5:10: timeouts: has no value: write one, or leave the key out",
        '7:10: defaults.tags: key "a<" must contain none of = * < > \\ , | / but has "<"',
        '7:29: defaults.tags.d: must be text: write "true" in quotes if you mean the word',
        '8:9: defaults.full: must be true or false, not "yes"',
        '10:58: volumes.priority: must be a whole number, not "high"',
        f"11:10: volume {A} is already listed at line 10",
        f"12:10: volume {A} is already listed at line 10",
        f"12:57: volumes.snapshot_id: {uuid}, which this is not",
        '13:5: volumes: "id" is missing',
        '14:5: volumes: must be a map of keys and values, not "hello"',
    ]


@pytest.mark.parametrize(
    ("key", "value", "why"),
    [
        ("description", '""', "must not be empty"),
        ("description", "x" * 65, "must have 1 to 64 characters, not 65"),
        ("description", "a>b", "must contain none of < > but has"),
        ("description", '"a\\tb"', "must not contain a control character (U+0009)"),
        ("description", "[a]", "must be text, not a list"),
        ("tags", "[a]", "must be a map of keys and values, not a list"),
        (
            "tags",
            "{" + ", ".join(f"t{n}: x" for n in range(11)) + "}",
            "must be at most 10, not 11",
        ),
        ("tags", "{" + "k" * 37 + ": x}", "must have 1 to 36 characters, not 37"),
        ("tags", "{k: " + "v" * 44 + "}", "must have 0 to 43 characters, not 44"),
        ("tags", "{k: }", "has no value"),
        ("id", "6ba7b810-9dad11d1-80b4-00c04fd430c8-", "must be a UUID"),
        ("name", "~", "has no value"),
        ("name", "x" * 256, "must have 1 to 255 characters"),
        ("priority", "1.5", 'must be a whole number, not "1.5"'),
        ("priority", "1000001", "must be from -1000000 to 1000000"),
        ("full", "1", "must be true or false, not 1"),
        ("backup_name", "'{nmae}'", 'has an unknown field "nmae"'),
    ],
)
def test_a_volume_that_the_service_would_refuse_is_refused_here(
    problems: Problems, key: str, value: str, why: str
) -> None:
    name_id = "" if key == "id" else f"id: {A}, "
    (only,) = problems(f"volumes: [{{{name_id}{key}: {value}}}]")
    assert why in only


def test_lengths_count_characters_not_bytes(plan: Load) -> None:
    tags = f"{{{'ü' * 36}: {'😀' * 43}}}"
    got = plan(f"volumes: [{{id: {A}, description: {'é' * 64}, tags: {tags}}}]")
    assert next(got.jobs(RUN)).settings.description == "é" * 64


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("name: x\n", "1:1: names no volumes: write volumes or volumes_from"),
        ("volumes: []\n", "1:10: volumes: is empty"),
        ("volumes:\n", "1:9: volumes: has no value: write one, or leave the key out"),
        ("volumes: 3\n", "1:10: volumes: must be a list, not 3"),
        ("- a\n", "1:1: a plan is a map of keys such as name and volumes, not a list"),
        ("null\n", "1:1: a plan is a map of keys such as name and volumes, not nothing"),
        ("# nothing\n", "2:1: is empty"),
        ("", "1:1: is empty"),
    ],
)
def test_a_plan_without_volumes_says_so(problems: Problems, text: str, problem: str) -> None:
    assert problems(text) == [problem]


def test_volumes_and_a_list_together_are_a_problem(problems: Problems, write: Write) -> None:
    write(A, "fleet.txt")
    assert problems(f"volumes: [{{id: {B}}}]\nvolumes_from: fleet.txt") == [
        "2:1: volumes_from: cannot be used with volumes: keep one of them"
    ]


def test_a_cap_below_the_base_and_a_rule_for_everything_are_problems(problems: Problems) -> None:
    assert problems(f"retry: {{base: 6m, rules: [{{verdict: fail}}]}}\nvolumes: [{{id: {A}}}]") == [
        "1:15: retry.cap: is shorter than retry.base (300s, 360s)",
        "1:27: retry.rules: needs a status, a code or both",
    ]


def test_problems_between_keys_are_reported_beside_those_of_single_keys(problems: Problems) -> None:
    text = (
        "nme: x\n"
        "retry: {base: 2h, cap: 1h, attempts: 0}\n"
        "window: {from: '22:00', to: '22:00', timezone: UTC}\n"
        "waves: [{name: a}, {name: a}, {name: b}]\n"
        "selection: {name: a, metadata: [x]}\n"
        "limits: {per_az: {a: 0, b: x}}\n"
        f"volumes: [{{id: x}}, {{id: {A}, wave: c}}]\n"
        "deadline: x\n"
    )
    assert [problem.partition(": ")[2].partition(":")[0] for problem in problems(text)] == [
        'unknown key "nme"',
        "retry.cap",
        "retry.attempts",
        "window.to",
        "waves.name",
        "selection.name",
        "selection.metadata",
        "limits.per_az",
        "volumes.id",
        "volumes.wave",
        "deadline",
    ]


def test_every_wrong_rule_and_zone_is_reported(problems: Problems) -> None:
    text = "retry: {rules: [{verdict: stop}, {status: 9, verdict: fail}]}\n"
    assert problems(f"{text}volumes: [{{id: {A}}}]") == [
        "1:17: retry.rules: needs a status, a code or both",
        "1:43: retry.rules.status: must be from 300 to 599, not 9",
    ]
    assert problems(f"limits: {{per_az: {{a: 0, b: x}}}}\nvolumes: [{{id: {A}}}]") == [
        '1:18: limits.per_az: "a" must be from 1 to 100000, not 0; '
        '"b" must be a whole number, not "x"'
    ]


def test_a_window_without_its_end_or_zone_is_reported_once(problems: Problems) -> None:
    assert problems(f"window: {{from: 6, to: '22:00', timezone: UTC}}\nvolumes: [{{id: {A}}}]") == [
        '1:16: window.from: must be a time such as "22:00", not 6'
    ]


def test_an_empty_name_of_a_list_is_the_only_problem_of_it(problems: Problems) -> None:
    assert problems("volumes_from: ''\n") == ["1:15: volumes_from: must not be empty"]


@pytest.mark.parametrize("own", ["", "volumes: []", f"volumes: [{{id: {B}}}]", "volumes_from: no"])
def test_a_list_given_on_the_command_line_replaces_the_plans_own(write: Write, own: str) -> None:
    path = write(f"name: x\n{own}")
    assert [v.id for v in load(path, volumes=write(A, "list")).volumes] == [A]
    stdin = io.BytesIO(A.encode())
    assert [v.id for v in load(path, volumes="-", stdin=stdin).volumes] == [A]


def test_problems_of_the_plan_come_before_those_of_its_list(write: Write) -> None:
    write("x\ny\n", "a.txt")
    with pytest.raises(PlanError) as caught:
        load(write("nme: x\nvolumes_from: a.txt\n", "z.yaml"))
    assert [(p.file.rpartition("/")[2], p.line) for p in caught.value.problems] == [
        ("z.yaml", 1),
        ("a.txt", 1),
        ("a.txt", 2),
    ]


def test_more_than_fifty_problems_are_counted(problems: Problems) -> None:
    got = problems("volumes:\n" + "- {}\n" * 5000)
    assert len(got) == 51
    assert got[-1].endswith(": and 4950 more")


def test_problems_of_form_are_counted_with_those_of_content(problems: Problems) -> None:
    got = problems("volumes:\n" + "- &a {}\n" * 300)
    assert len(got) == 51
    assert got[-1].endswith(": and 550 more")


def test_a_file_of_nothing_but_problems_is_not_read_to_its_end(problems: Problems) -> None:
    got = problems("volumes:\n" + "- 1\n" * 50_000)
    assert got[-1].endswith(": and more than 10000 more")


def test_a_problem_shows_no_control_sequence_of_the_file(problems: Problems) -> None:
    (only,) = problems(f'volumes: [{{id: {A}, "\\e[31mx": 1}}]')
    assert only.isprintable()


def test_a_list_with_a_hostile_name_is_not_opened(problems: Problems) -> None:
    (only,) = problems('volumes_from: "\\e[31mx"')
    assert only == "1:15: volumes_from: must not contain a control character (U+001B)"


def test_a_plan_with_problems_raises_them_all_with_their_places_and_prints_nothing(
    write: Write, capfd: pytest.CaptureFixture[str]
) -> None:
    path = write(f"limits: {{rate: 0}}\nnmae: x\nvolumes:\n  - {{id: {A}}}\n")
    with pytest.raises(PlanError) as caught:
        load(path)
    assert [
        (p.file, p.line, p.column, p.text.partition(":")[0]) for p in caught.value.problems
    ] == [
        (str(path), 1, 16, "limits.rate"),
        (str(path), 2, 1, 'unknown key "nmae"'),
    ]
    assert str(caught.value) == "\n".join(map(str, caught.value.problems))
    assert capfd.readouterr() == ("", "")


def test_loading_a_plan_needs_no_command_line() -> None:
    code = "import sys, vbsbatch.plan.loading; sys.exit('click' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
