from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.tui.piloting import Stage, opened
from tests.tui.scripted import RUN, ScriptedSource
from vbsbatch.model import Job, JobState, Operation, Rate, RunState
from vbsbatch.tui.dialogs import Confirm, Pick, Typed
from vbsbatch.tui.line_widgets import Rows
from vbsbatch.tui.overview import OverviewScreen
from vbsbatch.tui.runs import RunsScreen
from vbsbatch.tui.steering_actions import rate_of, stepped

pytestmark = pytest.mark.anyio


def jobs_in(source: ScriptedSource, *states: JobState) -> list[Job]:
    return [job for job in source.jobs if job.state in states]


async def asked(stage: Stage) -> tuple[str, dict[str, Any]]:
    await stage.until(lambda: bool(stage.source.commands))
    assert len(stage.source.commands) == 1
    return stage.source.commands[0]


async def dialog(stage: Stage, kind: type[Any]) -> str:
    await stage.until(lambda: isinstance(stage.app.screen, kind))
    await stage.pilot.pause()
    return stage.text


async def test_r_retries_the_cursors_job_after_a_yes() -> None:
    async with opened() as stage:
        await stage.in_plan_order()
        failed = jobs_in(stage.source, JobState.FAILED)[0]
        await stage.press("n", "r")
        text = await dialog(stage, Confirm)
        assert "Retry 1 job?" in text
        assert f"scope: job {failed.no:05d}" in text
        assert stage.source.commands == []
        await stage.press("y")
        assert await asked(stage) == ("retry", {"volumes": [failed.volume_id]})


@pytest.mark.parametrize("keys", [["n"], ["escape"], ["enter"], ["tab", "left", "enter"]])
async def test_no_is_where_the_focus_is_and_n_and_escape_say_it(keys: list[str]) -> None:
    async with opened() as stage:
        await stage.in_plan_order()
        await stage.press("n", "r")
        await dialog(stage, Confirm)
        await stage.press(*keys)
        stage.screen(OverviewScreen)
        assert stage.source.commands == []


async def test_marked_jobs_are_retried_those_that_can_be_and_the_marks_are_dropped() -> None:
    async with opened() as stage:
        await stage.in_plan_order()
        await stage.press("V", *["j"] * 30, "V", "r")
        text = await dialog(stage, Confirm)
        chosen = [
            job
            for job in stage.source.jobs[:31]
            if job.state in (JobState.FAILED, JobState.CANCELLED)
        ]
        assert f"Retry {len(chosen)} jobs?" in text
        assert "scope: 31 marked" in text
        assert f"{31 - len(chosen)} others chosen cannot be: left alone" in text
        await stage.press("right", "enter")
        verb, argument = await asked(stage)
        assert verb == "retry"
        assert argument == {"volumes": [job.volume_id for job in chosen]}
        assert stage.table.marks == set()


async def test_the_targets_are_those_that_were_counted_whatever_happens_meanwhile() -> None:
    async with opened() as stage:
        await stage.in_plan_order()
        failed = jobs_in(stage.source, JobState.FAILED)
        await stage.press("f", "asterisk", "r")
        await dialog(stage, Confirm)
        for job in jobs_in(stage.source, JobState.SUCCEEDED)[:5]:
            stage.source.move(job.no, state=JobState.FAILED)
        await stage.look()
        await stage.press("y")
        assert (await asked(stage))[1] == {"volumes": [job.volume_id for job in failed]}


@pytest.mark.parametrize(
    ("operation", "words"),
    [(Operation.RESTORE, "Each overwrites its volume"), (Operation.PRUNE, "Each deletes a backup")],
)
async def test_a_retry_says_what_it_cannot_undo(operation: Operation, words: str) -> None:
    source = ScriptedSource()
    source.tell(settings=replace(source.run.settings, operation=operation))
    async with opened(source) as stage:
        await stage.in_plan_order()
        await stage.press("n", "r")
        assert words in await dialog(stage, Confirm)


async def test_retry_by_code_says_the_code_and_takes_exactly_its_jobs() -> None:
    async with opened() as stage:
        await stage.in_plan_order()
        status, code, count = stage.source.overview(RUN).failures[1]
        await stage.press("R")
        await dialog(stage, Pick)
        await stage.press("j", "enter")
        text = await dialog(stage, Confirm)
        assert f"Retry {count} jobs?" in text
        await stage.press("y")
        wanted = [
            job.volume_id
            for job in jobs_in(stage.source, JobState.FAILED)
            if (job.http_status, job.code) == (status, code)
        ]
        assert (await asked(stage))[1] == {"volumes": wanted}


async def test_above_a_hundred_jobs_the_number_must_be_typed() -> None:
    async with opened(ScriptedSource(size_of_run=900)) as stage:
        await stage.in_plan_order()
        failed = jobs_in(stage.source, JobState.FAILED)
        assert len(failed) > 100
        await stage.press("f", "asterisk", "r")
        text = await dialog(stage, Typed)
        assert f"Type {len(failed)} to go on:" in text
        await stage.type("7")
        await stage.press("enter")
        assert f"type {len(failed)}, or press Esc" in stage.text
        await stage.press("backspace")
        await stage.type(str(len(failed)))
        await stage.press("enter")
        _, argument = await asked(stage)
        assert argument == {"volumes": [job.volume_id for job in failed]}


async def test_x_cancels_jobs_that_were_not_sent() -> None:
    async with opened() as stage:
        await stage.in_plan_order()
        waiting = jobs_in(stage.source, JobState.WAITING)
        await stage.press("slash")
        await stage.type("state:wait,retry")
        await stage.press("enter", "asterisk", "x")
        await dialog(stage, Confirm)
        await stage.press("y")
        verb, argument = await asked(stage)
        assert verb == "cancel"
        assert argument == {"volumes": [job.volume_id for job in waiting]}


async def test_nothing_is_asked_when_no_job_fits() -> None:
    async with opened() as stage:
        await stage.in_plan_order()
        done = jobs_in(stage.source, JobState.SUCCEEDED)[0]
        await stage.press("slash")
        await stage.type("state:ok")
        await stage.press("enter", "r")
        await stage.until(lambda: bool(stage.app.said))
        assert stage.app.said == [f"nothing to retry: job {done.no:05d}"]


async def test_pause_is_asked_at_once_and_shown_until_it_is_answered() -> None:
    async with opened() as stage:
        await stage.in_plan_order()
        await stage.press("p")
        assert stage.source.commands == [("pause", {})]
        assert "pause requested" in stage.text
        await stage.look()
        assert "pause requested" in stage.text
        stage.source.answers = True
        await stage.look()
        assert "requested" not in stage.text
        assert stage.app.said == ["pause: done: as you say"]


async def test_several_answers_are_shown_in_one_message() -> None:
    async with opened() as stage:
        await stage.in_plan_order()
        await stage.press("p", "plus", "plus", "minus", "plus")
        assert "and 4 more requested" in stage.text
        stage.source.answers = True
        await stage.look()
        assert len(stage.app.said) == 1
        assert stage.app.said[0].endswith("(and 2 more)")


async def test_p_lets_a_paused_run_go_on() -> None:
    async with opened(ScriptedSource(state=RunState.PAUSED)) as stage:
        await stage.in_plan_order()
        await stage.press("p")
        assert stage.source.commands == [("unpause", {})]


async def test_the_rate_goes_up_and_down_from_the_last_requested_rate() -> None:
    async with opened() as stage:
        await stage.in_plan_order()
        await stage.press("plus", "plus", "minus")
        counts = [argument["count"] for _, argument in stage.source.commands]
        assert counts == [6.0, 7.0, 6.0]


async def test_an_exact_rate_is_typed_and_a_wrong_one_is_not_taken() -> None:
    async with opened() as stage:
        await stage.in_plan_order()
        await stage.press("equals_sign")
        assert "5/s" in await dialog(stage, Typed)
        await stage.type("100/day")  # in the place of what is proposed
        await stage.press("enter")
        assert "write it as 5/s, 100/min or 1000/h" in stage.text
        await stage.press(*["backspace"] * 3)
        await stage.type("min")
        await stage.press("enter")
        assert await asked(stage) == ("rate", {"count": 100.0, "per": 60.0})


async def test_in_flight_is_set_through_the_palette() -> None:
    async with opened() as stage:
        await stage.in_plan_order()
        await stage.call("in-flight")
        await dialog(stage, Typed)
        await stage.type("99999999999999999999")  # more than a store can keep, or a plan ask for
        await stage.press("enter")
        assert "write a whole number from 1 to 100000" in stage.text
        await stage.press(*["backspace"] * 20)
        await stage.type("80")
        await stage.press("enter")
        assert await asked(stage) == ("in-flight", {"count": 80})


@pytest.mark.parametrize("verb", ["stop", "stop-now"])
async def test_stopping_is_explicit_and_confirmed(verb: str) -> None:
    async with opened() as stage:
        await stage.in_plan_order()
        await stage.call(verb)
        text = await dialog(stage, Confirm)
        assert "Stop this run?" in text
        assert "It can be resumed later" in text
        await stage.press("y")
        assert await asked(stage) == (verb, {})


@pytest.mark.parametrize("size", [(20, 3), (40, 5), (40, 10), (80, 24)])
async def test_the_answers_of_a_question_are_visible_at_any_size(size: tuple[int, int]) -> None:
    async with opened() as stage:
        await stage.in_plan_order()
        await stage.call("stop-now")
        await dialog(stage, Confirm)
        await stage.pilot.resize_terminal(*size)
        await stage.pilot.pause()
        assert "Stop this run?" in stage.text
        assert "> No <" in stage.text
        assert ("later, here or with vbsbatch resume" in " ".join(stage.text.split())) is (
            size == (80, 24)
        )
        await stage.press("escape", "R", "G")
        assert "Retry which" in await dialog(stage, Pick)
        last = len(stage.source.overview(RUN).failures) - 1
        rows = stage.app.screen.query_one(Rows)
        assert rows.cursor == last
        assert rows.top <= last < rows.top + rows.size.height
        await stage.press("escape", "asterisk", "x")
        await dialog(stage, Confirm)
        await stage.press("escape", "equals_sign")
        assert "5/s" in await dialog(stage, Typed)


async def test_a_question_is_wrapped_anew_when_the_terminal_changes() -> None:
    async with opened() as stage:
        await stage.in_plan_order()
        await stage.press("asterisk", "x")
        wide = await dialog(stage, Confirm)
        assert "368 others chosen cannot be: left alone" in wide
        await stage.pilot.resize_terminal(40, 10)
        await stage.pilot.pause()
        assert "│   alone    " in stage.text
        await stage.pilot.resize_terminal(80, 24)
        await stage.pilot.pause()
        assert stage.text.splitlines()[6:] == wide.splitlines()[6:]


async def test_all_filtered_jobs_are_retried_through_the_palette() -> None:
    async with opened() as stage:
        await stage.in_plan_order()
        await stage.call("retry-filtered")
        text = await dialog(stage, Confirm)
        assert "scope: all jobs" in text
        await stage.press("escape")
        assert stage.source.commands == []


async def test_without_an_engine_a_retry_starts_one_and_a_pause_is_refused() -> None:
    async with opened(ScriptedSource(pid=None)) as stage:
        await stage.in_plan_order()
        await stage.press("p")
        assert stage.app.said == ["no engine drives this run: continue it first"]
        await stage.press("n", "r")
        assert "a new one is started" in await dialog(stage, Confirm)
        await stage.press("y")
        await asked(stage)
        await stage.until(lambda: stage.source.resumed == [RUN])


async def test_a_run_that_has_ended_is_not_continued() -> None:
    over = "this run has ended: what failed in it can be retried"
    async with opened(ScriptedSource(pid=None, state=RunState.ENDED)) as stage:
        await stage.in_plan_order()
        await stage.press("c", "p")
        assert stage.app.said == [over, over]
        await stage.press("escape", "j", "c")
        stage.screen(RunsScreen)
        assert stage.app.said == [over] * 3
        assert stage.source.resumed == []


async def test_a_read_only_screen_steers_nothing_and_offers_nothing() -> None:
    async with opened(ScriptedSource(read_only=True, pid=None)) as stage:
        await stage.in_plan_order()
        await stage.press("r", "R", "x", "p", "plus", "minus", "equals_sign", "c")
        stage.screen(OverviewScreen)
        assert stage.source.commands == []
        assert stage.source.resumed == []
        assert "Retry" not in stage.lines[-1]
        assert "Pause" not in stage.lines[-1]
        names = [c.title for c in stage.app.get_system_commands(stage.app.screen)]
        assert not [name for name in names if name.startswith(("stop", "retry", "rate", "cancel"))]
        await stage.press("question_mark")
        assert "Retry" not in stage.text


async def test_an_unfinished_run_is_only_viewed_unless_the_user_says_more() -> None:
    async with opened(run_id=None) as stage:
        await stage.press("j", "j", "j", "enter")
        text = await dialog(stage, Pick)
        assert "is unfinished and no engine drives it" in text
        assert "❯ view only" in text
        await stage.press("enter")
        await stage.until(lambda: isinstance(stage.app.screen, OverviewScreen))
        assert stage.source.resumed == []


async def test_an_unfinished_run_is_resumed_from_the_list() -> None:
    async with opened(run_id=None) as stage:
        await stage.press("j", "j", "j", "enter")
        await dialog(stage, Pick)
        await stage.press("g", "enter")
        await stage.until(lambda: isinstance(stage.app.screen, OverviewScreen))
        assert stage.source.resumed == ["20261120-0715-e5f6"]


async def test_the_list_says_at_once_that_an_engine_is_being_started() -> None:
    source = ScriptedSource()
    source.starts.clear()
    async with opened(source, run_id=None) as stage:
        await stage.press("j", "j", "j", "c")
        assert stage.app.said == ["starting an engine for run 20261120-0715-e5f6"]
        source.starts.set()
        await stage.until(lambda: len(stage.app.said) == 2)


async def test_failures_of_an_older_run_can_be_retried_from_the_list() -> None:
    async with opened(run_id=None) as stage:
        await stage.press("j", "r")
        text = await dialog(stage, Confirm)
        assert "scope: all failed jobs of 20261122-0715-a1b2" in text
        await stage.press("y")
        verb, _ = await asked(stage)
        assert verb == "retry"
        await stage.until(lambda: bool(stage.source.resumed))
        stage.screen(RunsScreen)


@given(count=st.floats(0.001, 10_000), up=st.booleans())
def test_a_step_of_the_rate_is_small_and_never_reaches_zero(count: float, up: bool) -> None:
    after = stepped(Rate(count=count), up).count
    assert after > 0
    assert abs(after - count) <= count * 0.5001
    assert (after > count) is up


@given(st.text(max_size=20))
def test_any_text_is_a_rate_or_none(text: str) -> None:
    rate = rate_of(text)
    assert rate is None or rate.count > 0


@pytest.mark.parametrize(
    ("text", "rate"),
    [
        ("5/s", Rate(count=5)),
        (" 100 / min ", Rate(count=100, per=60)),
        ("1/2s", Rate(count=1, per=2)),  # as a plan's 0.5/s is proposed
        ("0/s", None),
        ("1/0s", None),
        ("5", None),
    ],
)
def test_a_rate_is_written_as_the_plan_writes_it(text: str, rate: Rate | None) -> None:
    assert rate_of(text) == rate
