"""The output of a run: plain lines, JSON lines or nothing, also when nobody reads it."""

from __future__ import annotations

import json

from tests.cli.clouds import Cloud
from tests.cli.harness import FAST, Harness, told
from tests.report.schema_check import problems


def test_progress_is_plain_without_a_terminal_names_the_run_and_ends_with_the_exit_code(
    harness: Harness,
) -> None:
    harness.cloud(FAST + "faults: [{on: create, do: drop_before, first: 1}]", volumes=4)
    done = harness("run", "plan.yaml", "-v", "--progress", "auto")
    first, *_, last = done.stderr.splitlines()
    assert first.startswith("run 2")
    assert "4 volumes" in first
    assert last.endswith("exit=0")
    assert len(told(done, "ok")) == 4
    assert len(told(done, "unknown")) == 1
    assert told(done, "end") == ["done ok=4 fail=0 exit=0"]
    assert done.stdout == ""


def test_json_progress_is_one_documented_object_a_line(harness: Harness) -> None:
    harness.cloud(FAST + "faults: [{on: create, do: throttle, first: 1}]", volumes=3)
    done = harness("run", "plan.yaml", "--progress", "json")
    lines = [json.loads(line) for line in done.stderr.splitlines()]
    assert (lines[0]["event"], lines[0]["kind"]) == ("note", "run")
    assert "3 volumes, store" in lines[0]["text"]
    assert {line["event"] for line in lines} >= {"job", "note", "calls", "end"}
    assert lines[-1]["exit"] == 0
    for line in lines:
        assert not problems(line, "line")


def test_json_progress_of_a_following_command_is_json_too(harness: Harness) -> None:
    cloud = harness.cloud(
        FAST + "faults: [{on: create, do: status, status: 400, code: VolumeBackup.0040, first: 1}]",
        volumes=2,
    )
    harness("run", "plan.yaml", "--progress", "quiet", code=1)
    made = harness.run_id()
    cloud.detach()
    for words in (
        ("retry", made, "--all-failed"),
        ("resume", made),
        ("restore", made, "--yes"),
        ("prune", made, "--even-last", "--delete", "--yes"),
    ):
        done = harness(*words, "--progress", "json")
        told = [json.loads(line) for line in done.stderr.splitlines()]
        assert made in told[0]["text"], words
        assert not [each for each in told if problems(each, "line")], words


def test_quiet_prints_only_the_run_id(harness: Harness) -> None:
    harness.cloud(volumes=1)
    done = harness("run", "plan.yaml", "--progress", "quiet")
    assert len(done.stderr.splitlines()) <= 1


def test_text_from_a_server_is_cleaned_before_it_reaches_the_terminal(harness: Harness) -> None:
    hostile = r'"\e]0;owned\a\u202e\r\n[b]x[/b]"'
    cloud = harness.cloud(volumes=1)
    cloud.behave(
        FAST + "faults: [{on: create, do: status, status: 400, code: VolumeBackup.0040,"
        f" message: {hostile}}}]"
    )
    harness("run", "plan.yaml", "-v", code=1)
    for words in (("status",), ("jobs",), ("report", "--format", "md"), ("jobs", "--json")):
        assert not {"\x1b", "\x07", "\r", "\u202e"} & set(harness.look(*words)), words
    assert "[b]x[/b]" in harness("jobs").stdout, "literally"


def test_characters_missing_in_the_terminals_encoding_are_shown_as_escapes(
    harness: Harness,
) -> None:
    cloud = harness.cloud(volumes=1)
    harness.write_plan(
        volumes_from=None, volumes=[{"id": cloud.volumes()[0]["ID"], "name": "größe-\u4e2d"}]
    )
    harness("run", "plan.yaml", "--progress", "quiet")
    ascii_only = {**harness.environment, "PYTHONIOENCODING": "ascii"}
    assert r"gr\xf6\xdfe-\u4e2d" in harness("jobs", env=ascii_only).stdout


def test_a_run_continues_when_its_output_is_closed(harness: Harness) -> None:
    """Five runs side by side, each with its volumes and its store, each unheard in another way."""
    ways = ("2>&-", ">&- 2>&-", "<&-", "2>/dev/full", "2>&1 | head -c 1")
    cloud = harness.cloud(volumes=2 * len(ways))
    ids = [volume["ID"] for volume in cloud.volumes()]
    runs = {}
    for number, way in enumerate(ways):
        (harness.folder / f"{number}.txt").write_text("\n".join(ids[2 * number : 2 * number + 2]))
        words = f"run plan.yaml -v --volumes {number}.txt --db {number}.db"
        runs[way] = harness.shell(f"vbsbatch {words} {way}; exit ${{PIPESTATUS[0]}}")
    for way, process in runs.items():
        done = harness.finish(process)
        assert (done.returncode, done.stdout.strip("r")) == (0, ""), way
    assert cloud.summary()["backed_up"] == cloud.summary()["creates"] == 2 * len(ways)


def test_a_full_disk_under_the_output_is_reported_in_one_line(ended: tuple[Harness, Cloud]) -> None:
    harness, _ = ended
    done = harness.finish(harness.shell("vbsbatch status > /dev/full"), 2)
    assert "vbsbatch: cannot write" in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert harness.finish(harness.shell("vbsbatch status >&-")).returncode in (0, 2)
