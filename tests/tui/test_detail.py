from __future__ import annotations

import re
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from tests.tui.piloting import Monitor, Stage, opened
from tests.tui.scripted import NOW, RUN, ScriptedSource
from vbsbatch.model import JobState, Verdict, Wall
from vbsbatch.tui import detail_text, formatting
from vbsbatch.tui.comparison_screen import ComparisonScreen
from vbsbatch.tui.detail import DetailScreen
from vbsbatch.tui.dialogs import Confirm, Pick, Typed
from vbsbatch.tui.overview import OverviewScreen
from vbsbatch.tui.runs import RunsScreen
from vbsbatch.tui.view_models import RunLine

pytestmark = pytest.mark.anyio


async def test_a_job_shows_its_ids_times_reason_and_the_codes_meaning() -> None:
    async with opened() as stage:
        await stage.in_plan_order()
        await stage.press("j", "enter")
        text = stage.text
        for line in (
            "volume id    6ba7b810-9dad-11d1-80b4-000000000002",
            "request id   req-2-4",
            "first sent 07:",
            "failed with 429 APIG.0308 (4 attempts)",
            "queued 06:14:20Z",
            "code means   the service is unavailable",
        ):
            assert line in text


async def test_the_parts_are_attempts_events_exchange_and_timeline() -> None:
    async with opened(size=(100, 40)) as stage:
        await stage.in_plan_order()
        await stage.press("j", "enter")
        assert "VERDICT" in stage.text
        assert "30s" in stage.text
        await stage.press("tab")
        assert "waiting → submitting: attempt 4" in stage.text
        assert "submitting → running" in stage.text
        await stage.press("right")
        await stage.until(lambda: '"volume_id": "6ba7b810' in stage.text)
        assert "POST /cloudbackups" in stage.text
        assert "answer to attempt 4" in stage.text
        await stage.press("tab")
        assert "·▶▶▶" in stage.text
        assert "· WAIT   2026-11-23 06:14:20Z  for 1h" in stage.text
        assert "queued" in stage.text
        await stage.press("shift+tab")
        assert "[exchange]" in stage.text


async def test_moves_that_only_attempts_record_are_part_of_a_jobs_history() -> None:
    source = ScriptedSource()
    job = next(job for job in source.jobs if job.state is JobState.SUCCEEDED)
    detail = source.detail(RUN, job.no)
    attempt = replace(detail.attempts[0], verdict=Verdict.ACCEPTED, took=2.0)
    bare = replace(detail, attempts=[attempt], events=detail.events[1:])
    found = [(event.to, event.text) for event in detail_text.history(bare)]
    assert found == [
        (JobState.SUBMITTING, "attempt 1"),
        (JobState.RUNNING, "accepted"),
        (JobState.SUCCEEDED, None),
    ]
    assert Wall(detail_text.history(bare)[1].at) == attempt.sent_at + 2


@pytest.mark.parametrize(
    ("status", "code", "words_for_it"),
    [
        (503, "VolumeBackup.0900", "503 VB.0900"),
        (500, None, "500"),
        (None, None, "no answer"),
        (None, "deadline", "deadline"),
    ],
)
async def test_a_failure_is_named_by_its_status_its_code_or_both(
    status: int | None, code: str | None, words_for_it: str
) -> None:
    assert formatting.failure(status, code) == words_for_it


async def test_attempts_that_did_not_count_are_shown_if_there_are_any() -> None:
    failed = next(job for job in ScriptedSource().jobs if job.state is JobState.FAILED)
    why = detail_text.why(replace(failed, attempts=5, uncharged=2), NOW)
    assert why.endswith("(5 attempts, 2 of them not counted)")


async def test_an_accepted_create_has_no_code_to_be_explained() -> None:
    source = ScriptedSource()
    for job in source.jobs:
        shown = "".join(
            text
            for line in detail_text.head(source.detail(RUN, job.no), NOW, 80)
            for text, _ in line
        )
        assert ("code means" in shown) is (job.code is not None), job


async def test_a_job_shows_that_its_engine_is_gone() -> None:
    async with opened() as stage:
        await stage.in_plan_order()
        await stage.press("enter")
        assert "engine gone" not in stage.text
        stage.source.now, stage.source.pid = NOW + 10, None
        await stage.look()
        stage.screen(DetailScreen)
        assert "! engine gone, resume? last heartbeat 10 s ago; go back to the run" in stage.text
        stage.source.pid = 4711
        stage.source.tell(heartbeat_at=NOW + 10)
        await stage.look()
        assert "engine gone" not in stage.text


async def test_n_and_N_go_through_the_jobs_of_the_view() -> None:  # noqa: N802
    async with opened() as stage:
        await stage.in_plan_order()
        failed = [job.no for job in stage.source.jobs if job.state is JobState.FAILED]
        await stage.press("f", "enter", "n", "n")
        assert f"job {failed[2]:05d}" in stage.text
        await stage.press("N")
        assert f"job {failed[1]:05d}" in stage.text
        await stage.press("N", "N")
        assert stage.app.said == ["no job in that direction"]


async def test_a_job_is_followed_while_it_is_shown() -> None:
    async with opened() as stage:
        await stage.in_plan_order()
        await stage.press("enter")
        stage.source.move(1, state=JobState.RUNNING, progress=42)
        await stage.look()
        assert "the cloud is working on it, 42% done" in stage.text


@pytest.mark.parametrize("state", list(JobState))
async def test_every_state_has_its_reason_in_words(state: JobState) -> None:
    source = ScriptedSource()
    source.move(1, state=state, unknown_at=NOW - 3)
    said = detail_text.why(source.jobs[0], NOW)
    others = [replace(source.jobs[0], state=other) for other in JobState if other is not state]
    assert said not in {detail_text.why(other, NOW) for other in others}


async def test_an_id_is_copied_to_the_clipboard() -> None:
    async with opened() as stage:
        await stage.in_plan_order()
        await stage.press("j", "enter", "y")
        await stage.until(lambda: isinstance(stage.app.screen, Pick))
        await stage.press("j", "enter")
        await stage.until(lambda: bool(stage.app.said))
        assert stage.app.clipboard == "req-2-4"
        assert stage.app.said == ["copied: req-2-4"]


async def test_copied_text_is_cleaned() -> None:
    async with opened(ScriptedSource(hostile="\x1b]2;x\x07\n")) as stage:
        await stage.in_plan_order()
        await stage.press("enter", "y")
        await stage.until(lambda: isinstance(stage.app.screen, Pick))
        await stage.press("j", "enter")
        await stage.until(lambda: bool(stage.app.said))
        assert stage.app.clipboard.isprintable()


async def test_a_job_is_retried_from_its_own_screen() -> None:
    async with opened() as stage:
        await stage.in_plan_order()
        await stage.press("n", "enter", "r")
        await stage.until(lambda: isinstance(stage.app.screen, Confirm))
        await stage.press("y")
        await stage.until(lambda: bool(stage.source.commands))
        assert stage.source.commands[0][0] == "retry"
        stage.screen(DetailScreen)


async def test_the_runs_are_listed_with_their_standing() -> None:
    async with opened(run_id=None) as stage:
        assert "5 runs" in stage.lines[0]
        for word in ("LIVE", "PART", "DONE", "STALE", "STOP"):
            assert any(line[5:].startswith(word) for line in stage.lines[2:]), word
        await stage.press("enter")
        stage.screen(OverviewScreen)
        await stage.press("escape")
        stage.screen(RunsScreen)
        assert stage.lines[2].startswith("│❯   LIVE")


async def test_a_store_without_a_run_says_how_to_begin_one() -> None:
    class Empty(ScriptedSource):
        def runs(self) -> list[RunLine]:
            return []

    async with opened(Empty(), run_id=None) as stage:
        assert "no run yet: vbsbatch run PLAN" in stage.lines[0]
        await stage.press("enter", "r", "c", "y", "space")
        stage.screen(RunsScreen)


@pytest.mark.parametrize(
    ("width", "heads"),
    [
        (150, "PLAN STARTED TOOK DONE OK FAILED SKIPPED GB ETA MOST FAILED WITH ENGINE"),
        (80, "PLAN TOOK DONE OK FAILED GB ETA"),
        (40, "FAILED"),
    ],
)
async def test_the_list_of_runs_leaves_out_what_has_no_room(width: int, heads: str) -> None:
    async with opened(run_id=None, size=(width, 12)) as stage:
        assert stage.lines[1].strip("│ ").split() == ["STATE", "RUN", *heads.split()]


async def test_the_name_of_a_plan_is_not_cut_while_columns_are_free() -> None:
    source = ScriptedSource()
    source.tell(plan="a-plan-of-a-fleet-with-a-long-name")
    async with opened(source, run_id=None, size=(170, 12)) as stage:
        assert "a-plan-of-a-fleet-with-a-long-name " in stage.text
        assert stage.lines[1].startswith("│    STATE  RUN")


async def test_no_run_is_denied_while_the_runs_are_being_found_out() -> None:
    class Large(ScriptedSource):
        found = threading.Event()

        def prepare(self, run_id: str | None) -> None:
            assert self.found.wait(20)

    app = Monitor(Large())
    async with app.run_test() as pilot:
        stage = Stage(app, Large(), pilot)
        await stage.until(lambda: stage.text.startswith("╭─ vbsbatch"))
        assert "run" not in stage.lines[0]
        Large.found.set()
        await stage.until(lambda: "5 runs" in stage.text)


@pytest.mark.parametrize(("width", "told"), [(80, False), (120, True)])
async def test_a_comparison_has_messages_where_there_is_room(width: int, told: bool) -> None:
    async with opened(run_id=None, size=(width, 24)) as stage:
        await stage.press("space", "j", "d")
        heads = next(line for line in stage.lines if "VOLUME" in line)
        assert ("MESSAGE" in heads) is told


async def test_two_runs_are_compared() -> None:
    async with opened(run_id=None) as stage:
        await stage.press("d")
        assert stage.app.said == ["mark two runs, or one and move to another"]
        await stage.press("space", "j", "d")
        stage.screen(ComparisonScreen)
        assert "failed in both: 9" in stage.text
        heads = next(line for line in stage.lines if "VOLUME" in line)
        assert heads.index("20261122-0715-a1b2") < heads.index(RUN)
        assert re.search(r"took +1h11m +1h11m", stage.text)
        await stage.press("G")
        assert f"failed only in {RUN}: 2" in stage.text
        assert "only in 20261122-0715-a1b2: 2" in stage.text
        await stage.press("escape")
        stage.screen(RunsScreen)


@pytest.mark.parametrize(("downs", "form"), [(0, "csv"), (1, "json")])
async def test_the_filtered_jobs_are_exported(tmp_path: Path, downs: int, form: str) -> None:
    async with opened() as stage:
        await stage.in_plan_order()
        await stage.press("f", "e")
        await stage.until(lambda: isinstance(stage.app.screen, Pick))
        await stage.press(*["j"] * downs, "enter")
        await stage.until(lambda: isinstance(stage.app.screen, Typed))
        target = tmp_path / "jobs.out"
        stage.app.screen.query_one("Input").value = str(target)  # type: ignore[attr-defined]
        await stage.press("enter")
        await stage.until(lambda: bool(stage.app.said))
        kind, *numbers = target.read_text().split("\n")
        assert kind == form
        assert len(numbers) == stage.table.size_of_view


async def test_the_keys_work_while_a_large_export_is_written(tmp_path: Path) -> None:
    source = ScriptedSource(exports=threading.Event())
    async with opened(source) as stage:
        await stage.in_plan_order()
        await stage.press("e", "enter")
        await stage.until(lambda: isinstance(stage.app.screen, Typed))
        stage.app.screen.query_one("Input").value = str(tmp_path / "x.csv")  # type: ignore[attr-defined]
        await stage.press("enter", "j", "j")
        await stage.until(lambda: stage.table.cursor_no == 3)
        assert not stage.app.said
        source.exports.set()
        await stage.until(lambda: bool(stage.app.said))


async def test_a_picture_is_exported_and_no_file_is_overwritten(tmp_path: Path) -> None:
    async with opened() as stage:
        await stage.in_plan_order()
        target = tmp_path / "screen.svg"
        target.write_text("mine")
        await stage.press("e", "G", "enter")
        await stage.until(lambda: isinstance(stage.app.screen, Typed))
        stage.app.screen.query_one("Input").value = str(target)  # type: ignore[attr-defined]
        await stage.press("enter")
        assert "there is such a file already" in stage.text
        assert target.read_text() == "mine"
        target.unlink()
        await stage.press("enter")
        await stage.until(lambda: bool(stage.app.said))
        picture = target.read_text()
        assert picture.startswith("<svg")
        assert "nightly" in picture
        assert "url(" not in picture.replace("url(#", ""), "nothing is fetched"
