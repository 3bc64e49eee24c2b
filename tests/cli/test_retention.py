"""prune --plan and keep as processes: what they print, refuse, and survive."""

from __future__ import annotations

import os
import signal
from collections import Counter

import click
import pytest

from tests.cli.harness import FAST, Harness, told, until
from vbsbatch.errors import UsageError

SLOWLY = "backups: {duration: [50ms, 200ms], visible_after: 20ms, delete: 2s}\n"


def nights(harness: Harness, number: int) -> list[str]:
    """So many runs of the plan; their ids, oldest first."""
    for _ in range(number):
        harness("run", "plan.yaml", "--progress", "quiet")
    return [run["id"] for run in reversed(harness.runs())]


def refused(harness: Harness, *words: str) -> str:
    """What a command without a process of its own is refused with."""
    with pytest.raises((UsageError, click.ClickException)) as refusal:
        harness.look(*words)
    return str(refusal.value)


def test_a_plan_is_pruned_by_rules_and_a_kill_in_between_costs_nothing(harness: Harness) -> None:
    cloud = harness.cloud(volumes=2)
    runs = nights(harness, 4)
    harness.look("keep", runs[0], "--until", "2999-12-31")
    dry = harness("prune", "--plan", "night", "--keep-last", "1")
    header, *rows, summary = dry.stdout.splitlines()
    assert header.split() == ["VOLUME", "CREATED", "RUN", "BACKUP", "GB", "KEPT", "BY"]
    ends = Counter(row.split("  ")[-1].split(" until")[0].strip() for row in rows)
    assert ends == {"last": 2, "to go": 4, "pinned": 2}
    assert "8 backups of 2 volumes, 4 kept, 4 to go" in summary
    assert cloud.ledger("delete") == []
    document = harness.json("prune", "--plan", "night", "--keep-last", "1", "--json")
    assert sum(backup["goes"] for backup in document["backups"]) == 4
    assert "use --yes" in harness.refused(
        "prune", "--plan", "night", "--keep-last", "1", "--delete"
    )

    cloud.behave(SLOWLY)
    engine = harness.start("prune", "--plan", "night", "--keep-last", "1", "--delete", "--yes")
    until(lambda: cloud.ledger("delete"))
    os.kill(engine.pid, signal.SIGKILL)
    harness.finish(engine, code=-signal.SIGKILL)
    cloud.behave(FAST)
    prune = harness.runs()[0]["id"]
    assert "is to delete it" in harness("prune", "--plan", "night", "--keep-last", "1").stdout
    done = harness("resume", prune)
    assert told(done, "end") == ["done ok=4 fail=0 exit=0"]
    deleted = [row["backup"] for row in cloud.ledger("delete")]
    assert len(deleted) == len(set(deleted)) == 4
    after = harness("prune", "--plan", "night", "--keep-last", "1").stdout.splitlines()[-1]
    assert "4 backups of 2 volumes, 4 kept, 0 to go" in after


def test_pins_are_set_listed_shown_and_released(harness: Harness) -> None:
    harness.cloud(volumes=2)
    (run,) = nights(harness, 1)
    one, other = harness.jobs()
    assert harness.look("keep") == "nothing is pinned\n"
    assert "pinned until 2999-01-01" in harness.look(
        "keep", one["backup_name"], "--until", "2998-12-31"
    )
    assert harness.look("keep", other["backup_id"].upper()).startswith(
        f"backup {other['backup_id']}"
    )
    assert len(harness.json("keep", "--json")["pins"]) == 2
    (listed, last) = harness.jobs()
    assert (listed["pinned"], listed["pinned_until"][:4]) == (True, "2999")
    assert (last["pinned"], last["pinned_until"]) == (True, None)
    assert len(harness.json("status")["run"]["pins"]) == 2
    assert "Pinned backups" in harness.look("report", run)
    assert one["backup_id"] in harness.look("report", run, "--format", "html")
    assert "pinned,pinned_until" in harness.look("report", run, "--format", "csv")
    assert "is pinned by" in harness("prune", run, "--even-last").stderr
    assert "single backups of it are" in refused(harness, "keep", run, "--release")
    for each in (one, other):
        harness.look("keep", each["backup_id"], "--release")
    assert harness.json("status")["run"]["pins"] == []


def test_what_makes_no_sense_is_refused_in_one_line(harness: Harness) -> None:
    harness.cloud(volumes=1)
    (run,) = nights(harness, 1)
    for words, why in (
        (("prune",), "name a RUN, or a plan with --plan"),
        (("prune", run, "--plan", "night"), "name a RUN, or a plan with --plan"),
        (("prune", run, "--keep-last", "3"), "are for --plan"),
        (("prune", run, "--json"), "--json is for --plan"),
        (("prune", "--plan", "night", "--even-last", "--keep-last", "1"), "are for a RUN"),
        (("prune", "--plan", "nigth", "--keep-last", "1"), "did you mean 'night'?"),
        (("prune", "--plan", "night"), "name a rule, such as --keep-last 7"),
        (("prune", "--plan", "night", "--keep-last", "0"), "0 is not in the range"),
        (("prune", "--plan", "night", "--keep-within", "30"), "such as 30d"),
        (("prune", "--plan", "night", "--keep-last", "1", "--timezone", "Mars"), "no time zone"),
        (("keep", run, "--until", "31.1.2027"), "is no date such as 2027-01-31"),
        (("keep", run, "--until", "2020-01-01"), "must end in the future"),
        (("keep", "--until", "2099-01-01"), "name a RUN or a BACKUP"),
        (("keep", run, "--release"), "is not pinned"),
        (("keep", "0b1c8ac0-13fb-4a0c-b8d2-2c4f5a0e6a11"), "made a backup 0b1c8ac0"),
        (("keep", "nothing"), "there is no run 'nothing'"),
    ):
        assert why in refused(harness, *words), words
