from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from tests.store.fixtures import NOW, a_job, a_run
from vbsbatch.model import Elapsed, JobState, Notice, RunState, Wall
from vbsbatch.observers.facts import Fact
from vbsbatch.observers.message_text import LINES, compose
from vbsbatch.policy import documented
from vbsbatch.report import ReportData

LATER = Wall(NOW + 7200)


def data(**fields: Any) -> ReportData:
    run = a_run(started_at=Wall(NOW), ended_at=Wall(NOW + 4320), state=RunState.ENDED)
    given: dict[str, Any] = {
        "run": run,
        "counts": {JobState.SUCCEEDED: 597, JobState.FAILED: 3},
        "meaning": documented,
        "now": float(LATER),
        "failures": [(400, "VolumeBackup.0012", 2), (None, None, 1)],
    }
    return ReportData(**(given | fields))


def lines(fact: Fact, about: ReportData) -> list[str]:
    return compose(fact, about, LATER)[1].splitlines()


def test_an_end_says_counts_failures_in_words_and_what_to_type() -> None:
    title, body = compose(Fact(notice=Notice.END, mark="1", text=""), data(), LATER)
    assert title == ("vbsbatch: nightly: ended, 3 of 600 without a backup (run 20261118-1200-aaaa)")
    assert body.splitlines()[:-1] == [
        "Run 20261118-1200-aaaa of plan nightly has ended after 1 h 12 min.",
        "600 volumes: 597 succeeded, 3 failed.",
        "",
        "Failures:",
        "  2 x the disk is not available or in-use (HTTP 400, VolumeBackup.0012)",
        "  1 x no answer",
        "",
        "Type:",
        "  vbsbatch retry 20261118-1200-aaaa --code VolumeBackup.0012",
        "  vbsbatch retry 20261118-1200-aaaa --all-failed",
        "",
    ]
    assert body.splitlines()[-1].startswith("cloud otc, as of 2026-11-18 ")


@pytest.mark.parametrize("notice", [each for each in Notice if each is not Notice.END])
def test_every_message_says_what_to_type(notice: Notice) -> None:
    live = notice not in (Notice.STOPPED, Notice.ENGINE_GONE)
    state = RunState.PAUSED if notice is Notice.GATE else RunState.RUNNING
    about = data(run=a_run(state=state, reason="why", started_at=Wall(NOW)), live=live)
    found = lines(Fact(notice=notice, mark="1", text="why", jobs=(a_job(1),)), about)
    (command, *_) = [line for line in found if line.startswith("  vbsbatch ")]
    words = {
        Notice.FAILURES: "jobs 20261118-1200-aaaa --state failed",
        Notice.STOPPED: "resume 20261118-1200-aaaa",
        Notice.GATE: "unpause 20261118-1200-aaaa",
        Notice.STUCK: "jobs 20261118-1200-aaaa --state active",
        Notice.SILENT: "status 20261118-1200-aaaa",
        Notice.ENGINE_GONE: "resume 20261118-1200-aaaa",
    }
    assert command == f"  vbsbatch {words[notice]}"


def test_many_stuck_backups_are_listed_and_counted() -> None:
    jobs = tuple(
        a_job(no, state=JobState.RUNNING, intent_at=Elapsed(NOW)) for no in range(1, LINES + 4)
    )
    found = lines(Fact(notice=Notice.STUCK, mark="1", text="", jobs=jobs), data(live=True))
    assert found.count("  db-001 (job 1): running for 2 h 0 min") == 1
    assert "  and 3 more" in found


def test_words_of_a_cloud_or_a_plan_are_no_markup_in_a_chat() -> None:
    hostile = "<!channel> @here [x](http://evil) `a`\x1b[31m\u202e"
    about = data(failures=[(400, hostile, 1)])
    about = replace(about, run=replace(about.run, plan=hostile, cloud=hostile))
    job = a_job(1, volume_name=hostile)
    facts = (
        Fact(notice=Notice.STUCK, mark="1", text="", jobs=(job,)),
        Fact(notice=Notice.STOPPED, mark="1", text=hostile),
    )
    for fact in facts:
        text = "\n".join(compose(fact, about, LATER))
        assert not set(text) & {*"<>@[]`*", "\x1b", "\u202e"}
        assert "  1 x a code that vbsbatch does not know (HTTP 400)" in text
