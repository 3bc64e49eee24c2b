"""`run --if-running`: a start of a plan that meets an earlier run of it."""

from __future__ import annotations

import time

from tests.cli.clouds import Process
from tests.cli.harness import Harness, until

SLOWLY = {"limits": {"rate": "5/s", "in_flight": 50, "connections": 2}}


def begin(harness: Harness) -> Process:
    """An engine that has sent something and has more to send."""
    engine = harness.start("run", "plan.yaml")
    until(lambda: any(run["live"] and run["counts"]["running"] for run in harness.runs()))
    return engine


def states(harness: Harness) -> list[tuple[str, int, int]]:
    """State, succeeded and cancelled of each run, the oldest first."""
    return [
        (run["state"], run["counts"]["succeeded"], run["counts"]["cancelled"])
        for run in reversed(harness.runs())
    ]


def test_a_start_that_meets_a_run_is_skipped_or_waits_or_stops_it(harness: Harness) -> None:
    cloud = harness.cloud("backups: {duration: 4s, visible_after: 20ms}\n", volumes=12)
    harness.write_plan(**SLOWLY, retry={"later_for": "60s"})
    first = begin(harness)
    run_id = harness.run_id()
    waits = harness.start("run", "plan.yaml", "--yes", "--if-running", "wait")

    skipped = harness("run", "plan.yaml", "--yes", "--if-running", "skip")
    assert f"run {run_id} of the same plan is still running: nothing was started" in skipped.stderr
    (missed,) = harness.json("runs")["missed_starts"]
    assert (missed["kind"], missed["plan"], missed["run"]) == ("skipped", "night", run_id)
    assert f"SKIPPED  {missed['at'][:10]}" in harness.look("runs")

    done = harness.finish(waits, 0)
    assert f"waiting until run {run_id} of the same plan has ended" in done.stderr
    harness.finish(first, 0)
    assert states(harness) == [("ended", 12, 0), ("ended", 12, 0)]
    second, older = harness.runs()
    assert second["started_at"] >= older["ended_at"]

    cloud.behave("backups: {duration: 3s, visible_after: 20ms}\n")
    third = begin(harness)
    stops = harness("run", "plan.yaml", "--yes", "--if-running", "stop")
    harness.finish(third, 3)
    stopped = harness.runs()[1]
    assert stopped["reason"].startswith("asked to stop, in the name of ")
    assert f"run {stopped['id']} of the same plan is still running: it is stopped" in stops.stderr
    newest = harness.runs()[0]
    assert (newest["state"], newest["counts"]["succeeded"]) == ("ended", 12)
    assert stopped["state"] == "stopped"
    assert stopped["counts"]["running"] == 0, "what it held was taken over"


def test_a_run_whose_engine_was_killed_is_brought_to_its_end_first(harness: Harness) -> None:
    harness.cloud("backups: {duration: 500ms, visible_after: 20ms}\n", volumes=30)
    harness.write_plan(**SLOWLY)
    engine = begin(harness)
    engine.kill()
    engine.wait()
    sent = harness.runs()[0]["calls"]["create"] or sum(
        each["attempts"] > 0 for each in harness.jobs()
    )
    assert sent < 30
    done = harness("run", "plan.yaml", "--yes", "--if-running", "skip")
    killed = harness.runs()[1]
    assert f"run {killed['id']} of the same plan has no engine" in done.stderr
    assert killed["state"] == "ended"
    counts = killed["counts"]
    assert counts["succeeded"] + counts["cancelled"] == 30
    assert counts["succeeded"] >= 1
    assert states(harness)[1] == ("ended", 30, 0)
    assert harness.json("runs")["missed_starts"] == []


def test_two_starts_at_the_same_moment_make_one_run(harness: Harness) -> None:
    harness.cloud("backups: {duration: 3s, visible_after: 20ms}\n", volumes=4)
    both = [
        harness.start("run", "plan.yaml", "--yes", "--if-running", "skip", "--progress", "json")
        for _ in range(2)
    ]
    for process in both:
        harness.finish(process, 0)
    assert states(harness) == [("ended", 4, 0)]
    (missed,) = harness.json("runs")["missed_starts"]
    assert missed["kind"] == "skipped"


def test_a_plan_that_is_started_by_the_clock_remembers_what_was_missed(harness: Harness) -> None:
    harness.cloud(volumes=2)
    at = time.time()
    day = time.strftime("%H:%M:%S", time.gmtime(at - 7200))
    scheduled = f"{day} daily UTC {at - 3.5 * 86_400:.0f} night"
    harness("run", "plan.yaml", "--yes", "--if-running", "skip", "--scheduled", scheduled)
    missed = harness.json("runs")["missed_starts"]
    assert [each["kind"] for each in missed] == ["late", "missed", "missed", "missed"]
    assert missed[0]["run"] == harness.run_id()
    assert missed[0]["text"] == "it was started 2 h 0 min after its time"
    assert missed[1]["text"] == "nothing was started: the machine or the timer was off"
    harness.edit_clouds("password: .*", "password: wrong")
    soon = f"{time.strftime('%H:%M:%S', time.gmtime())} daily UTC {at:.0f} night"
    harness("run", "plan.yaml", "--yes", "--scheduled", soon, code=2)
    failed, *before = harness.json("runs")["missed_starts"]
    assert before == missed
    assert failed["kind"] == "missed"
    assert failed["text"].startswith("no run was made: ")
    assert "wrong" not in failed["text"]


def test_a_run_that_was_killed_is_resumed_and_one_that_was_stopped_is_not(
    harness: Harness,
) -> None:
    how = ("--plan", "night", "--interrupted-by", "kill", "--progress", "plain")
    harness.cloud("backups: {duration: 100ms, visible_after: 20ms}\n", volumes=30)
    harness.write_plan(**SLOWLY)
    assert "there is no run of plan night" in harness("resume", *how).stderr, "nor a store"
    engine = begin(harness)
    engine.kill()
    engine.wait()
    again = harness.start("resume", *how)
    until(lambda: harness.runs()[0]["counts"]["succeeded"])
    again.terminate()
    harness.finish(again, 3)
    assert "nothing to do, it was stopped: stopped by SIGTERM" in harness("resume", *how).stderr
    (run,) = harness.runs()
    assert run["state"] == "stopped"
