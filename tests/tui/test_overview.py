from __future__ import annotations

import re
import threading
from dataclasses import replace

import pytest
from textual import events
from textual.events import MouseEvent, MouseScrollDown, MouseScrollUp

from tests.tui.piloting import Monitor, Stage, opened, prepared
from tests.tui.scripted import NOW, RUN, ScriptedSource
from vbsbatch.errors import UsageError
from vbsbatch.model import Elapsed, Job, JobState, Operation, RunState, Wave
from vbsbatch.store import Event
from vbsbatch.tui import event_pane, formatting, header, panes
from vbsbatch.tui.detail import DetailScreen
from vbsbatch.tui.dialogs import Confirm
from vbsbatch.tui.formatting import Line
from vbsbatch.tui.overview import OverviewScreen
from vbsbatch.tui.panes import SidePane
from vbsbatch.tui.runs import RunsScreen
from vbsbatch.tui.view_models import Sort, SortKey

pytestmark = pytest.mark.anyio


def name_of(stage: Stage, no: int | None) -> str:
    assert no is not None
    return stage.source.jobs[no - 1].volume_name


async def test_the_header_says_what_the_store_counts() -> None:
    async with opened(size=(140, 40)) as stage:
        seen = stage.source.overview(RUN)
        counts = stage.lines[3]
        assert f"FAIL {seen.counts[JobState.FAILED]}" in counts
        assert f"ok {seen.counts[JobState.SUCCEEDED]}" in counts
        assert f"retry {seen.retrying}" in counts
        assert f"wait {seen.counts[JobState.WAITING] - seen.retrying}" in counts
        assert RUN in stage.lines[0]
        assert "RUNNING" in stage.lines[0]
        assert "updated just now" in stage.lines[0]
        assert "next look in 12 s" in stage.lines[2]
        assert "192.3 TB" in stage.lines[2]


@pytest.mark.parametrize(("size", "rows"), [((80, 24), 13), ((140, 40), 23), ((40, 10), 4)])
async def test_a_terminal_has_as_many_job_rows_as_the_layout_promises(
    size: tuple[int, int], rows: int
) -> None:
    async with opened(size=size) as stage:
        assert stage.table.size.height == rows


async def test_every_state_is_a_glyph_and_a_word() -> None:
    async with opened(ScriptedSource(), size=(80, 440)) as stage:
        for word in ("✗ FAIL", "? UNKNOWN", "↻ RETRY", "· WAIT", "▶ RUN", "✓ OK", "- CANCEL"):
            assert any(word in line for line in stage.lines[6:]), word


async def test_the_cursor_stays_on_its_job_and_line_while_rows_move() -> None:
    async with opened() as stage:
        await stage.press("f", *["j"] * 20)
        table = stage.table
        job, line = table.cursor_no, table.cursor_row - round(table.scroll_y)
        for earlier in stage.source.numbers(RUN, table.view, 0, 5):
            stage.source.move(earlier, state=JobState.WAITING)
        await stage.look()
        assert table.cursor_no == job
        assert table.cursor_row == 15
        assert table.cursor_row - round(table.scroll_y) == line
        assert name_of(stage, job) in next(text for text in stage.lines if text.startswith("❯"))


async def test_keys_and_clicks_apply_to_the_jobs_that_are_visible_even_if_rows_moved() -> None:
    async with opened() as stage:
        await stage.press("f", *["j"] * 20)
        table, source = stage.table, stage.source
        order = source.numbers(RUN, table.view, 0, None)

        def before_the_next_look(*nos: int) -> None:
            for no in nos:
                source.move(no, state=JobState.WAITING)

        before_the_next_look(*order[:5])
        await stage.press("j")
        assert table.cursor_no == order[21]
        await stage.press("V", "j", "j")
        before_the_next_look(*order[5:9])
        await stage.press("V")
        assert table.marks == set(order[21:24])
        seen = int(stage.lines[9].split()[2].rpartition("-")[2])
        before_the_next_look(*order[9:12])
        await stage.pilot.click("JobTable", offset=(10, 2))
        assert table.cursor_no == seen
        assert name_of(stage, seen) in next(text for text in stage.lines if text.startswith("❯"))


async def test_on_the_first_row_the_cursor_stays_there_until_the_user_moves() -> None:
    async with opened() as stage:
        table = stage.table
        first, second, third = stage.source.numbers(RUN, table.view, 0, 3)
        assert table.cursor_no == first
        stage.source.move(first, state=JobState.SUCCEEDED)
        await stage.look()
        assert (table.cursor_row, table.cursor_no) == (0, second)
        await stage.press("j", "k")
        stage.source.move(second, state=JobState.SUCCEEDED)
        await stage.look()
        assert (table.cursor_row, table.cursor_no) == (0, third)


async def test_jobs_that_need_attention_come_first() -> None:
    async with opened(size=(80, 440)) as stage:
        words = [line.split()[2] for line in stage.lines[8:400] if line.startswith("│   ")]
        assert list(dict.fromkeys(words)) == [
            *("FAIL", "UNKNOWN", "RETRY", "RUN", "SEND", "WAIT", "OK", "CANCEL", "SKIP")
        ]


async def test_a_job_that_leaves_the_view_hands_the_cursor_to_its_successor() -> None:
    async with opened() as stage:
        await stage.press("f", "j", "j")
        table = stage.table
        before = stage.source.numbers(RUN, table.view, 0, 5)
        stage.source.move(before[2], state=JobState.WAITING)
        await stage.look()
        assert table.cursor_no == before[3]


async def test_rows_that_join_the_view_are_counted_until_the_user_moves() -> None:
    async with opened() as stage:
        await stage.press("f")
        fresh = [job.no for job in stage.source.jobs if job.state is JobState.SUCCEEDED][:3]
        for no in fresh:
            stage.source.move(no, state=JobState.FAILED, ended_at=NOW)
        await stage.look()
        assert " 3 new " in stage.text
        await stage.press("j")
        assert " new " not in stage.text


async def test_only_the_rows_that_changed_are_painted_again() -> None:
    async with opened() as stage:
        await stage.in_plan_order()
        painted: list[int] = []
        table = stage.table
        original = table.render_line

        def counted(y: int) -> object:
            painted.append(y)
            return original(y)

        table.render_line = counted  # type: ignore[method-assign, assignment]
        stage.source.move(4, progress=11, state=JobState.RUNNING)
        await stage.look(1)
        assert painted == [3]


async def test_the_movement_keys_reach_the_first_and_last_job() -> None:
    async with opened() as stage:
        await stage.in_plan_order()
        table = stage.table
        await stage.press("G")
        assert table.cursor_no == 400
        await stage.press("k", "up")
        assert table.cursor_no == 398
        await stage.press("g", "pagedown", "j", "down")
        assert table.cursor_no == 15
        await stage.press("pageup", "home")
        assert table.cursor_no == 1


async def test_the_table_follows_a_filter_as_it_is_typed() -> None:
    async with opened() as stage:
        await stage.press("slash")
        await stage.type("state:fail status:503")
        assert {job.http_status for job in stage.table._rows} == {503}
        assert {job.state for job in stage.table._rows} == {JobState.FAILED}
        await stage.press("enter")
        assert "filter state:fail status:503" in stage.text
        assert stage.table.has_focus
        await stage.press("escape")
        assert stage.table.size_of_view == 400


@pytest.mark.parametrize(("typed", "kept"), [("state:fail", 89), ("stat", 0), ("stat:5", 400)])
async def test_a_click_into_the_jobs_ends_the_typing_of_a_filter(typed: str, kept: int) -> None:
    async with opened() as stage:
        await stage.press("slash")
        await stage.type(typed)
        await stage.pilot.click("JobTable", offset=(10, 3))
        await stage.pilot.pause()
        assert stage.table.has_focus
        assert stage.table.size_of_view == kept
        shown = f"filter {typed}" if kept < 400 else "all jobs"
        assert stage.lines[5].startswith(f"╰─ {shown} · by state ─")


async def test_a_filter_that_makes_no_sense_says_why_and_is_not_taken() -> None:
    async with opened() as stage:
        await stage.press("slash")
        await stage.type("stat:5")
        assert "! unknown key" in stage.text
        await stage.press("enter")
        assert not stage.table.has_focus
        await stage.press("escape")
        assert stage.table.has_focus
        assert stage.table.size_of_view == 400
        assert "! unknown key" not in stage.text


async def paste(stage: Stage, text: str) -> None:
    stage.app.post_message(events.Paste(text))
    await stage.pilot.pause()
    await stage.pilot.pause()


async def test_a_paste_of_several_lines_runs_no_keys() -> None:
    async with opened() as stage:
        await paste(stage, "r\ny\nx\ny\nq\n")
        await stage.look()
        stage.screen(OverviewScreen)
        assert stage.source.commands == []
        assert not stage.app._exit


async def test_lines_that_are_pasted_into_the_filter_are_alternatives() -> None:
    async with opened() as stage:
        await stage.press("slash")
        await paste(stage, "nfs-export-0005\n\n mail-spool-0019 \n")
        assert stage.table.size_of_view == 2
        await stage.press("enter")
        assert "filter any:nfs-export-0005,mail-spool-0019" in stage.text
        await stage.press("escape", "slash")
        await paste(stage, "\n".join(f"db{no:03}" for no in range(60)))
        assert stage.app.said == ["pasted 50 of 60 lines"]


async def test_a_line_that_takes_one_value_says_what_was_left_out_of_a_paste() -> None:
    async with opened() as stage:
        await stage.press("equals_sign")
        await stage.until(lambda: "Enter takes it" in stage.text)
        await paste(stage, "3/s\n4/s\n")
        assert stage.app.said == ["pasted 1 of 2 lines"]
        assert stage.source.commands == []


async def test_a_view_without_jobs_says_so_and_how_to_get_out_of_it() -> None:
    async with opened() as stage:
        await stage.press("slash")
        await stage.type("nowhere")
        await stage.press("enter")
        assert "no job fits; Esc shows all again" in stage.text
        await stage.press("escape")
        assert "no job fits" not in stage.text


@pytest.mark.parametrize("grouped", [True, False])
async def test_a_wide_table_shows_groups_where_there_are_any(grouped: bool) -> None:
    async with opened(ScriptedSource(grouped=grouped), size=(140, 40)) as stage:
        assert (" GROUP " in stage.lines[7]) is grouped


async def test_the_slowest_jobs_are_as_old_beside_the_table_as_in_it() -> None:
    source = ScriptedSource()
    for job in source.jobs:
        if job.state is JobState.RUNNING:
            source.move(job.no, intent_at=NOW - 20)
    async with opened(source, size=(140, 40)) as stage:
        for second in (1, 2, 3):
            source.now = NOW + second
            await stage.look()
            ages = re.findall(r"\b2\ds\b", stage.text)
            assert len(ages) > 4
            assert set(ages) == {f"{20 + second}s"}


async def test_f_shows_failures_only_and_then_the_former_view() -> None:
    async with opened() as stage:
        await stage.press("f")
        assert {job.state for job in stage.table._rows} == {JobState.FAILED}
        await stage.press("f")
        assert stage.table.size_of_view == 400


async def test_a_word_is_added_to_the_filter_that_is_there() -> None:
    async with opened() as stage:
        await stage.press("f", "slash")
        await stage.type("nfs")
        await stage.press("enter")
        assert stage.table.view.terms.text == "state:failed nfs"
        assert stage.table.size_of_view > 0
        await stage.press("slash", "enter")
        assert stage.table.view.terms.text == "state:failed nfs"


async def test_a_failure_by_code_is_chosen_as_a_filter() -> None:
    async with opened() as stage:
        await stage.press("tab", "right", "enter")
        status, code, count = stage.source.overview(RUN).failures[1]
        assert stage.table.size_of_view == count
        assert {(job.http_status, job.code) for job in stage.table._rows} == {(status, code)}


async def test_a_failure_that_does_not_fit_is_seen_when_it_is_chosen() -> None:
    source = ScriptedSource()
    failed = [job for job in source.jobs if job.state is JobState.FAILED]
    for kind, job in enumerate(failed[:20]):
        source.move(job.no, http_status=400, code=f"VolumeBackup.9{kind:03}")
    async with opened(source) as stage:
        failures = source.overview(RUN).failures
        for status, code, count in failures:
            await stage.press("tab" if (status, code, count) == failures[0] else "right")
            assert f">{formatting.failure(status, code)} ×{count}<" in stage.lines[4]
        assert re.search(r"code: \+\d+  ", stage.lines[4]), "so many stand before"
        x = stage.lines[4].index(f"{formatting.short_code(code)} ×")
        await stage.pilot.click("Failures", offset=(x - 2, 0))
        assert {(job.http_status, job.code) for job in stage.table._rows} == {(status, code)}
        assert re.search(r" [+]\d+ +│$", stage.lines[4]), "so many stand behind"
        assert ">" not in stage.lines[4]


async def test_without_a_failure_their_line_takes_no_room() -> None:
    source = ScriptedSource()
    for job in list(source.jobs):
        if job.state is JobState.FAILED:
            source.move(job.no, state=JobState.WAITING)
    async with opened(source) as stage:
        assert "failed by code" not in stage.text
        assert stage.table.size.height == 14


async def test_without_an_event_their_pane_takes_no_room() -> None:
    source = ScriptedSource()
    source.events_of_run = []
    async with opened(source, size=(140, 40)) as stage:
        assert "─ events ─" not in stage.text
        assert stage.table.size.height == 30


async def test_a_short_message_does_not_cover_the_line_of_pending_requests() -> None:
    app = Monitor(ScriptedSource(), run_id=RUN)
    async with app.run_test(notifications=True) as pilot:
        stage = Stage(app, ScriptedSource(), pilot)
        await prepared(pilot)
        app.notify("told " * 20 + "x" * 57)
        await stage.press("p")
        await stage.until(lambda: "told" in stage.text)
        assert stage.lines[-3].index("x" * 57) == 22, "nothing looks out on its right"
        assert "─ pause requested · row 1 of 400 ─╯" in stage.lines[5]


def line_of(line: Line) -> str:
    return "".join(text for text, _ in line)


async def test_long_figures_leave_a_bar() -> None:
    seen = replace(ScriptedSource().overview(RUN), eta=630_000)
    line = line_of(header.how_far(seen, 44))
    assert re.fullmatch(r"█+[▏▎▍▌▋▊▉]? *    70.5 %   282 of 400   ETA ~7 d 7 h", line)


@pytest.mark.parametrize(
    ("width", "shown"),
    [
        (76, "86.5 of 192.3 TB · 2.6 TB/h   4.0/s of 5/s   next look in 12 s   cap reached"),
        (50, "86.5 of 192.3 TB · 2.6 TB/h   next look in 12 s"),
        (30, "next look in 12 s"),
    ],
)
async def test_when_the_next_look_comes_is_said_at_any_width(width: int, shown: str) -> None:
    seen = ScriptedSource().overview(RUN)
    assert line_of(header.pace(seen, NOW, width)) == shown


@pytest.mark.parametrize(
    ("operation", "requests"),
    [
        (Operation.BACKUP, "creates"),
        (Operation.RESTORE, "restores"),
        (Operation.PRUNE, "deletions"),
    ],
)
async def test_the_rate_says_of_which_requests_it_is(operation: Operation, requests: str) -> None:
    source = ScriptedSource()
    source.tell(settings=replace(source.run.settings, operation=operation))
    line = line_of(header.pace(source.overview(RUN), NOW, 120))
    assert f"4.0/s of 5/s {requests}" in line


@pytest.mark.parametrize(
    ("counts", "retrying", "said"),
    [
        ({JobState.WAITING: 5, JobState.RUNNING: 3}, 0, "sending"),
        ({JobState.WAITING: 5, JobState.RUNNING: 50}, 0, "cap reached"),
        ({JobState.WAITING: 5, JobState.RUNNING: 3}, 5, "waits to retry"),
        ({JobState.RUNNING: 3}, 0, "all sent"),
    ],
)
async def test_what_a_run_waits_for_is_said(
    counts: dict[JobState, int], retrying: int, said: str
) -> None:
    seen = replace(ScriptedSource().overview(RUN), counts=counts, retrying=retrying)
    assert header.waits(seen) == said


async def test_without_an_engine_no_rate_and_no_look_is_promised() -> None:
    async with opened(ScriptedSource(pid=None)) as stage:
        assert "4.0/s" not in stage.text
        assert "next look" not in stage.text
        assert "86.5 of 192.3 TB" in stage.text


async def test_no_size_is_guessed() -> None:
    async with opened(ScriptedSource(sized=False)) as stage:
        assert "│ size -   " in stage.lines[2]
        assert "TB" not in stage.text
    seen = ScriptedSource().overview(RUN)
    partly = replace(seen, sizes=replace(seen.sizes, unsized=3))
    assert line_of(header.amounts(partly)).endswith(" (3 jobs without a size)")


async def test_a_narrow_header_leaves_out_zero_counts_first() -> None:
    source = ScriptedSource()
    counts = {
        JobState.RUNNING: 42,
        JobState.UNKNOWN: 8,
        JobState.SUCCEEDED: 109,
        JobState.FAILED: 3,
        JobState.CANCELLED: 138,
    }
    seen = replace(source.overview(RUN), counts=counts, retrying=0)
    shown = line_of(header.counts(seen, 70))
    assert shown == "✗ FAIL 3  ? unknown 8  ▶ active 42 of 50  ✓ ok 109  - cancelled 138"


async def test_the_narrowest_header_keeps_failures_and_active_jobs() -> None:
    async with opened(size=(40, 10)) as stage:
        assert stage.lines[2] == "│ ✗ FAIL 89  ▶ active 43 of 50         │"
        assert "failed by code: 503 VB.0900 ×24" in stage.lines[3]
        assert "next look in 12 s" in stage.lines[4]


@pytest.mark.parametrize(
    ("cap", "state", "shown"),
    [
        (51, RunState.RUNNING, "▶ active 42 "),
        (50, RunState.RUNNING, "▶ active 42 of 50 "),
        (50, RunState.PAUSED, "▶ active 42 of 50 "),
        (50, RunState.STOPPED, "▶ active 42 "),
    ],
)
async def test_the_cap_is_shown_when_creates_wait_for_it(
    cap: int, state: RunState, shown: str
) -> None:
    source = ScriptedSource()
    source.tell(in_flight=cap, state=state)
    counts = {JobState.RUNNING: 42, JobState.UNKNOWN: 8, JobState.WAITING: 100}
    seen = replace(source.overview(RUN), counts=counts)
    assert shown in line_of(header.counts(seen, 80))


async def test_n_goes_to_the_next_failed_job_and_N_back() -> None:  # noqa: N802
    async with opened() as stage:
        await stage.in_plan_order()
        failed = [job.no for job in stage.source.jobs if job.state is JobState.FAILED]
        await stage.press("n", "n", "n")
        assert stage.table.cursor_no == failed[2]
        await stage.press("N")
        assert stage.table.cursor_no == failed[1]
        await stage.press("g", "N")
        assert stage.app.said[-1] == "no failed job in that direction"


async def test_sorting_keeps_the_cursor_on_its_job() -> None:
    async with opened() as stage:
        await stage.press("j", "j")
        job = stage.table.cursor_no
        await stage.press("s", "j", "enter")
        assert stage.table.view.sorts == (Sort(SortKey.VOLUME),)
        await stage.press("S")
        assert stage.table.view.sorts == (Sort(SortKey.VOLUME, True),)
        assert stage.table.cursor_no == job
        assert "· by volume reversed ─" in stage.text


async def test_several_things_are_sorted_by_and_the_table_follows_each_step() -> None:
    async with opened() as stage:
        await stage.press("s")
        assert stage.table.view.sorts == (Sort(SortKey.STATE),)
        assert "1+ state" in stage.text
        await stage.press(*["j"] * 6, "space", "space")
        assert "2- age" in stage.text
        assert list(stage.table.view.sorts) == [Sort(SortKey.STATE), Sort(SortKey.AGE, True)]
        await stage.press("enter")
        assert "· by state, age reversed ─" in stage.text
        assert "STATE↓" in stage.lines[6]
        assert "AGE↑" in stage.lines[6]
        jobs = stage.source.page(RUN, stage.table.view, 0, 12)
        assert {job.state for job in jobs} == {JobState.FAILED}
        assert [job.ended_at for job in jobs] == sorted(job.ended_at or 0 for job in jobs)


async def test_sorting_is_as_it_was_when_the_user_leaves_without_a_choice() -> None:
    async with opened() as stage:
        await stage.press("S", "s", "space", "j", "space")
        assert stage.table.view.sorts == (Sort(SortKey.VOLUME),)
        await stage.press("escape")
        assert "· by state reversed ─" in stage.text
        await stage.press("S")
        assert stage.table.view.sorts == (Sort(SortKey.STATE),)


async def test_marks_are_set_one_by_one_by_range_and_for_all_filtered() -> None:
    async with opened() as stage:
        await stage.in_plan_order()
        await stage.press("space", "j", "space")
        assert stage.table.marks == {1, 3}
        await stage.press("V", "j", "j", "V")
        assert stage.table.marks == {1, 3, 4, 5, 6}
        assert "5 marked" in stage.text
        await stage.press("f", "asterisk")
        failed = {job.no for job in stage.source.jobs if job.state is JobState.FAILED}
        assert stage.table.marks == {1, 3, 4, 5, 6} | failed
        await stage.press("asterisk")
        assert stage.table.marks.isdisjoint(failed)


async def test_escape_drops_range_filter_and_marks_before_it_goes_up() -> None:
    async with opened() as stage:
        await stage.in_plan_order()
        await stage.press("space", "f", "V", "escape", "escape")
        assert stage.table.size_of_view == 400
        assert stage.table.marks == {1}
        await stage.press("escape")
        assert stage.table.marks == set()
        await stage.press("escape")
        stage.screen(RunsScreen)


async def test_enter_opens_the_job_and_escape_comes_back() -> None:
    async with opened() as stage:
        await stage.in_plan_order()
        await stage.press("j", "enter")
        stage.screen(DetailScreen)
        assert "job 00002" in stage.text
        await stage.press("escape")
        stage.screen(OverviewScreen)


async def test_the_log_takes_the_place_of_the_jobs_and_scrolls_back() -> None:
    async with opened() as stage:
        await stage.press("l")
        newest = stage.lines[-2]
        assert stage.lines[6].startswith(" 07:2")
        await stage.press("g")
        assert stage.lines[-2] != newest
        await stage.press("l")
        assert stage.table.display


async def test_the_events_are_failures_control_and_limiter_or_every_move() -> None:
    async with opened() as stage:
        assert not [line for line in stage.lines if "submitting → unknown" in line]
        assert "! rate 6/s → 5/s: the gateway said 429, wait 30s" in stage.text
        await stage.press("v")
        assert "all events" in stage.text
        assert [line for line in stage.lines if "submitting → unknown" in line]
        await stage.press("l", "v")
        assert not [line for line in stage.lines if "→ unknown" in line]
        shown = [line for line in stage.lines if re.search(r" ✗ \S+: failed: attempt", line)]
        assert len(shown) > 2
        assert ", gave up" in stage.text


def told(width: int, event: Event, job: Job) -> str:
    return "".join(text for text, _ in event_pane.line(event, job, width))


async def test_a_long_name_leaves_room_for_what_happened() -> None:
    source = ScriptedSource()
    job = replace(
        next(job for job in source.jobs if job.state is JobState.FAILED),
        volume_name="a-volume-name-as-long-as-they-come-in-some-clouds",
        http_status=400,
        code="VolumeBackup.0040",
        attempts=5,
    )
    event = Event(id=1, at=NOW, no=job.no, kind="move", to=JobState.FAILED, text="gave up")
    assert "as-long-as-they-co…: failed: attempt 5 → 400 VB.0040…" in told(80, event, job)
    assert "as-they-come-in-s…: failed: attempt 5 → 400 VB.0040, gave up" in told(140, event, job)


async def test_a_failure_that_was_retried_is_still_listed_as_a_failure() -> None:
    source = ScriptedSource()
    job = next(job for job in source.jobs if job.state is JobState.FAILED)
    event = Event(id=1, at=NOW, no=job.no, kind="move", to=JobState.FAILED, text="gave up")
    for since in (
        replace(job, state=JobState.WAITING),
        replace(job, state=JobState.FAILED, intent_at=Elapsed(NOW + 5), http_status=500),
    ):
        assert told(80, event, since).endswith(": failed, gave up; retried since")


async def test_a_store_that_cannot_be_read_is_a_banner_until_it_can_be_again() -> None:
    async with opened() as stage:
        stage.source.broken = True
        stage.source.dirty = True
        await stage.look()
        assert "the store is locked; trying again" in stage.text
        await stage.press("j", "G", "f", "n")
        stage.source.broken = False
        await stage.look()
        assert "the store is locked" not in stage.text
        assert stage.table._rows


async def test_an_engine_without_a_heartbeat_for_ten_seconds_is_shown_and_can_be_resumed() -> None:
    async with opened() as stage:
        stage.source.now = NOW + 9
        await stage.look()
        assert "ENGINE" not in stage.text
        stage.source.now = NOW + 10
        await stage.look()
        assert "ENGINE SILENT" in stage.lines[0]
        assert "engine silent, last heartbeat 10 s ago; its process 4711 is still" in stage.text
        stage.source.pid = None
        await stage.look()
        assert "ENGINE GONE" in stage.lines[0]
        assert "engine gone, resume? last heartbeat 10 s ago; press c" in stage.text
        await stage.press("c")
        await stage.until(lambda: stage.source.resumed == [RUN])
        await stage.until(lambda: not stage.app.starting)
        await stage.look()
        assert "waiting for the new engine" in stage.text


@pytest.mark.parametrize("state", [RunState.RUNNING, RunState.PAUSED])
async def test_the_banner_shows_what_a_live_run_waits_for(state: RunState) -> None:
    async with opened(size=(140, 40)) as stage:
        assert "waits" not in stage.text
        reason = "wave canary ended with 3 failed, 0 are allowed: wave rest waits"
        stage.source.run = replace(stage.source.run, state=state, reason=reason)
        stage.source.dirty = True
        await stage.look()
        assert f"! {reason}" in stage.text


async def test_a_banner_that_is_too_long_takes_a_second_line_where_there_is_room() -> None:
    async with opened() as stage:
        reason = "wave canary ended with 3 failed, 0 are allowed: wave rest waits (retry those, or"
        stage.source.tell(state=RunState.PAUSED, reason=f"{reason} unpause)")
        await stage.look()
        assert stage.lines[4].startswith("│ ! wave canary ended with 3 failed")
        assert stage.lines[5].startswith("│ ! those, or unpause)")
        await stage.pilot.resize_terminal(80, 10)
        await stage.look()
        assert "or unpause)" not in stage.text


async def test_a_service_that_is_down_is_said_until_it_answers() -> None:
    async with opened() as stage:
        reason = "the service seems down (503); waiting and probing"
        stage.source.tell(reason=reason)
        await stage.look()
        assert "! the service seems down (503); waiting and probing" in stage.text
        stage.source.tell(reason=None)
        await stage.look()
        assert "seems down" not in stage.text


async def test_the_wave_is_named_where_there_are_waves() -> None:
    waves = (Wave(name="canary"), Wave(name="rest"))
    source = ScriptedSource()
    source.tell(settings=replace(source.run.settings, waves=waves), wave=1)
    source.move(1, wave=1)
    async with opened(source, size=(120, 30)) as stage:
        await stage.in_plan_order()
        assert "wave rest" in stage.lines[0]
        await stage.press("enter")
        assert "part of      group g1, wave rest" in stage.text


async def test_an_engine_that_did_not_start_is_not_waited_for() -> None:
    class Refusing(ScriptedSource):
        def resume(self, run_id: str) -> None:
            raise UsageError("the engine did not start")

    async with opened(Refusing(pid=None)) as stage:
        await stage.press("c")
        await stage.until(lambda: stage.app.said == ["the engine did not start"])
        await stage.until(lambda: not stage.app.starting)
        await stage.look()
        assert "press c to resume" in stage.text


async def test_the_screen_goes_on_while_a_new_engine_starts() -> None:
    source = ScriptedSource(pid=None, starts=threading.Event())
    async with opened(source) as stage:
        await stage.in_plan_order()
        await stage.press("c", "c", "j", "j")
        await stage.look()
        assert "starting a new engine" in stage.text
        assert stage.table.cursor_no == 3
        source.starts.set()
        await stage.until(lambda: not stage.app.starting)
        assert source.resumed == [RUN], "one for two keys"
        assert stage.app.said == [f"engine started for run {RUN}"]


async def test_keys_typed_in_a_burst_reach_the_screen_that_earlier_ones_opened() -> None:
    async with opened() as stage:
        await stage.burst("slash", *"mail", "enter")
        await stage.until(lambda: stage.table.view.terms.text == "mail")
        await stage.until(lambda: stage.app.focused is stage.table)
        await stage.press("escape")
        await stage.burst("tab", "enter")
        await stage.until(lambda: stage.table.view.terms.states == {JobState.FAILED})
        await stage.press("escape")
        await stage.burst("s", "j", "enter")
        await stage.until(lambda: stage.table.view.sorts == (Sort(SortKey.VOLUME),))
        await stage.burst("R", "j", "enter")
        await stage.until(lambda: "Retry 19 jobs?" in stage.text)
        assert "scope: all that failed with 429 APIG.0308" in stage.text


async def test_keys_typed_before_a_confirmation_do_not_answer_it() -> None:
    async with opened() as stage:
        await stage.burst("f", "r", "y", "y")
        await stage.until(lambda: "Retry 1 job?" in stage.text)
        await stage.look()
        stage.screen(Confirm)
        assert stage.source.commands == []


async def test_a_stopped_run_says_why_and_how_to_go_on() -> None:
    source = ScriptedSource(state=RunState.STOPPED, pid=None)
    async with opened(source) as stage:
        assert "stopped: quota used up; press c to resume" in stage.text


async def test_the_terminal_is_notified_once_when_a_run_ends() -> None:
    async with opened() as stage:
        stage.source.tell(state=RunState.ENDED, ended_at=NOW)
        await stage.look()
        await stage.look()
        notices = [sent for sent in stage.app.sent if sent.startswith("\x1b]9;")]
        assert len(notices) == 1
        assert notices[0].endswith("\a")
        assert f"run {RUN} ended" in notices[0]
        assert any(f"\x1b]2;vbsbatch {RUN}" in sent for sent in stage.app.sent)


@pytest.mark.parametrize("size", [(20, 3), (1, 1), (200, 60), (79, 7), (121, 9), (80, 24)])
async def test_any_size_of_terminal_is_survived(size: tuple[int, int]) -> None:
    async with opened() as stage:
        await stage.pilot.resize_terminal(*size)
        await stage.look()
        for keys in (["G", "n", "f"], ["l", "l"], ["enter", "tab", "escape"], ["s", "escape"]):
            await stage.press(*keys)
        await stage.pilot.resize_terminal(80, 24)
        await stage.look()
        assert stage.lines[0].startswith("╭─ nightly · 2026")


@pytest.mark.parametrize("size", [(20, 3), (40, 5)])
async def test_pending_requests_are_visible_on_the_smallest_terminal(size: tuple[int, int]) -> None:
    async with opened(size=size) as stage:
        await stage.press("question_mark")
        assert "The run" in stage.text
        await stage.press("escape", "slash")
        await stage.type("fa")
        assert "/ fa" in stage.lines
        await stage.press("escape", "colon")
        await stage.type("stop-n")
        await stage.until(lambda: "stop-now: Stop" in stage.text)
        await stage.press("escape", "escape", "escape")
        stage.screen(RunsScreen)
        assert any(line.startswith("❯   LIVE") for line in stage.lines)


async def test_the_footer_shows_the_keys_of_the_focused_part() -> None:
    async with opened() as stage:
        usual = stage.lines[-1]
        await stage.press("slash")
        assert stage.lines[-1] == "Enter Keep  Esc Back"
        await stage.press("escape")
        assert stage.lines[-1] == usual
        await stage.press("tab")
        assert stage.lines[-1] == "left Before  right Next  Enter Filter  Esc Jobs"
        await stage.press("escape", "l")
        assert "v Every move  l Jobs" in stage.lines[-1]
        await stage.pilot.click("KeyLine", offset=(stage.lines[-1].index("l Jobs"), 0))
        await stage.pilot.pause()
        assert stage.table.has_focus
        assert stage.lines[-1] == usual


async def test_the_footer_says_what_p_does_now() -> None:
    async with opened() as stage:
        assert "p Pause" in stage.lines[-1]
        stage.source.tell(state=RunState.PAUSED)
        await stage.press("l")
        await stage.look()
        assert "v Every move" in stage.lines[-1]
        await stage.press("l")
        assert "p Go on  q Detach" in stage.lines[-1]
        stage.source.tell(state=RunState.RUNNING)
        await stage.look()
        assert "p Pause  q Detach" in stage.lines[-1]


async def test_nothing_is_done_to_jobs_that_the_events_hide() -> None:
    async with opened() as stage:
        await stage.press(
            "n", "l", "space", "V", "asterisk", "r", "x", "y", "f", "s", "slash", "tab"
        )
        stage.screen(OverviewScreen)
        await stage.press("enter")
        stage.screen(OverviewScreen)
        offered = [name for name, *_ in stage.app.get_system_commands(stage.app.screen)]
        assert not any(name.startswith(("retry: ", "open: ", "filter: ")) for name in offered)
        await stage.press("l")
        assert not stage.table.marks
        assert stage.table.anchor_no is None
        assert stage.table.size_of_view == 400


async def test_the_keys_go_back_to_the_jobs_where_there_is_no_failure_to_choose() -> None:
    async with opened() as stage:
        await stage.in_plan_order()
        await stage.press("tab")
        assert not stage.table.has_focus
        await stage.pilot.resize_terminal(40, 7)
        await stage.pilot.pause()
        await stage.press("j")
        assert stage.table.cursor_no == 2
        await stage.pilot.resize_terminal(80, 24)
        await stage.press("tab")
        for job in list(stage.source.jobs):
            if job.state is JobState.FAILED:
                stage.source.move(job.no, state=JobState.WAITING)
        await stage.look()
        assert stage.table.has_focus
        await stage.press("tab")
        assert stage.table.has_focus
        assert stage.app.said == ["no job has failed"]


async def test_the_side_pane_fits_as_soon_as_the_terminal_is_wide() -> None:
    async with opened() as stage:
        await stage.press("question_mark")  # what lies behind is not drawn again by itself
        await stage.pilot.resize_terminal(140, 40)
        await stage.pilot.pause()
        pane = next(s for s in stage.app.screen_stack if s.query(SidePane)).query_one(SidePane)
        found = panes.lines(stage.source.panes(RUN), stage.source.overview(RUN), NOW, pane.size)
        assert list(pane.lines) == found


async def test_the_mouse_moves_opens_sorts_and_filters() -> None:
    async with opened() as stage:
        await stage.in_plan_order()
        await stage.pilot.click("JobTable", offset=(10, 3))
        assert stage.table.cursor_no == 4
        await stage.pilot.click("#head", offset=(20, 0))
        assert stage.table.view.sorts == (Sort(SortKey.VOLUME),)
        await stage.pilot.click("Failures", offset=(18, 0))
        assert stage.table.size_of_view == stage.source.overview(RUN).failures[0][2]
        await stage.pilot.click("JobTable", offset=(10, 2), times=2)
        await stage.pilot.pause()
        stage.screen(DetailScreen)
        await stage.pilot.click("KeyLine", offset=(1, 0))
        await stage.pilot.pause()
        assert "One job" in stage.text


async def wheel(stage: Stage, widget: str, kind: type[MouseEvent], times: int) -> None:
    for _ in range(times):
        await stage.pilot._post_mouse_events([kind], widget, (10, 2), button=0)
    await stage.pilot.pause()


async def test_the_wheel_moves_as_the_keys_do() -> None:
    async with opened() as stage:
        await stage.in_plan_order()
        await wheel(stage, "JobTable", MouseScrollDown, 20)
        assert stage.table.cursor_no == 21
        name = name_of(stage, 21)
        assert any(line.startswith("❯") and name in line for line in stage.lines)
        await wheel(stage, "JobTable", MouseScrollUp, 1)
        assert stage.table.cursor_no == 20
        await wheel(stage, "EventPane", MouseScrollUp, 1)
        newest = stage.lines[22]
        assert "07:27:39" in newest
        await stage.pilot.click("EventPane")
        assert stage.table.has_focus
        await stage.press("l")
        before = stage.lines[6:21]
        await wheel(stage, "EventPane", MouseScrollUp, 2)
        assert stage.lines[8:23] == before
        await wheel(stage, "EventPane", MouseScrollDown, 2)
        assert stage.lines[6:21] == before
