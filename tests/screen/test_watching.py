"""The screen of a real run at a real terminal shows what the store contains."""

from __future__ import annotations

import re

from tests.cli.harness import Harness
from tests.screen.tmux import Tmux
from tests.screen.watching import settled

TEN_AT_A_TIME = {"rate": "200/s", "in_flight": 10, "connections": 4}


def test_two_screens_count_what_the_store_counts_and_one_steers_what_both_show(
    harness: Harness, tmux: Tmux
) -> None:
    harness.write_plan(limits=TEN_AT_A_TIME)
    harness.simulator("backups: {duration: [1500ms, 2500ms], visible_after: 50ms}\n", volumes=30)
    first = tmux.open("run", "plan.yaml")
    title = first.told("#{pane_title}")
    first.until(r"active 10 of 10 ")
    first.press("p")
    second = tmux.open("attach", size=(80, 24))
    first.until(r"PAUSED")
    second.until(r"PAUSED")
    counts = settled(harness, first, second)
    assert sum(counts.values()) == 30
    assert counts["waiting"], counts

    second.press("p")
    first.until(r" ENDED .*\n.*100\.0 %   30 of 30")
    second.until(r" ENDED .*\n.*100\.0 %   30 of 30")
    assert settled(harness, first, second) == {"succeeded": 30}
    run = harness.run_id()
    assert first.told("#{pane_title}") == f"vbsbatch {run} 100% ended"
    assert f"\x1b]9;run {run} ended: 30/30, 0 failed\x1b\\\a".encode() in first.raw()

    for window in (first, second):
        window.press("q")
        code, text = window.left()
        assert code == 0
        assert "end      done ok=30 fail=0 exit=0" in text
    assert first.told("#{pane_title}") == title


def test_failures_are_retried_by_their_code_and_the_run_ends_well(
    harness: Harness, tmux: Tmux
) -> None:
    cloud = harness.simulator(volumes=8)
    full = [volume["ID"] for volume in cloud.volumes()[:3]]
    slow = "backups: {duration: 2500ms, visible_after: 50ms}\n"
    fault = "{on: create, do: status, status: 400, code: VolumeBackup.0040, volumes: %s}"
    cloud.behave(f"{slow}faults:\n  - {fault % full}\n")
    window = tmux.open("run", "plan.yaml")
    window.until(r"failed by code: 400 VB\.0040 ×3")
    cloud.behave(slow)

    window.press("R")
    window.until(r"Retry which failures\?[\s\S]*400 VB\.0040: 3")
    window.press("Enter")
    window.until(r"[Rr]etry 3 jobs[\s\S]*> No <")
    window.answer("y", r"> No <")
    window.until(r"retry 3 jobs: done|retry 3 jobs requested")
    window.until(r"FAIL 0")
    window.until(r" ENDED .*\n.*100\.0 %   8 of 8")
    window.press("q")
    assert window.left()[0] == 0
    assert {job["state"] for job in harness.jobs()} == {"succeeded"}
    assert {job["attempts"] for job in harness.jobs()} == {1, 2}


def test_a_run_that_failed_ends_with_its_exit_code_and_what_to_type_next(
    harness: Harness, tmux: Tmux
) -> None:
    cloud = harness.cloud(volumes=2)
    first = cloud.volumes()[0]["ID"]
    fault = "{on: create, do: status, status: 400, code: VolumeBackup.0040, volumes: [%s]}"
    cloud.behave(f"backups: {{duration: 100ms}}\nfaults:\n  - {fault % first}\n")
    window = tmux.open("run", "plan.yaml")
    window.until(r" ENDED .*\n.*100\.0 %")
    window.press("q")
    code, text = window.left()
    assert code == 1
    assert "end      partial ok=1 fail=1 exit=1" in text
    joined = text.replace("\n", "")
    assert f'next="vbsbatch retry {harness.run_id()} --code VolumeBackup.0040"' in joined


def test_the_list_of_runs_opens_with_the_program_alone_and_from_runs(
    harness: Harness, tmux: Tmux
) -> None:
    harness.cloud(volumes=2)
    elsewhere = str(harness.folder / "else where.db")
    harness("run", "plan.yaml", "--db", elsewhere, "--progress", "quiet")
    alone = tmux.open("--db", elsewhere)
    listed = tmux.open("runs", "--db", elsewhere, "--progress", "tui")
    for window in (alone, listed):
        window.until(r"1 run\b[\s\S]*DONE .* night .* 100% +2 ")
        window.press("Enter")
        window.until(r" ENDED .*\n.*100\.0 %   2 of 2")
        window.press("q")
        assert window.left()[0] == 0
    assert re.search(r"STATE .*\n.*DONE", harness("--db", elsewhere, "runs").stdout)


def test_the_alphabet_is_the_terminals_unless_an_option_or_the_config_file_wants_ascii(
    harness: Harness, tmux: Tmux
) -> None:
    harness.write_plan(limits=TEN_AT_A_TIME)
    harness.cloud(volumes=4)
    harness("run", "plan.yaml")
    attach = ("attach", harness.run_id())
    drawn = tmux.open(*attach)
    drawn.until(r"╭|┌")
    plain = tmux.open(*attach, "--ascii")
    plain.until(r"100\.0 %")
    assert plain.text().isascii()

    config = harness.folder / "config" / "vbsbatch" / "config.yaml"
    config.parent.mkdir(parents=True)
    config.write_text("ascii: true\n")
    config.chmod(0o600)
    said = tmux.open(*attach)
    said.until(r"100\.0 %")
    assert said.text().isascii()
    for window in (drawn, plain, said):
        window.press("q")
        assert window.left()[0] == 0
