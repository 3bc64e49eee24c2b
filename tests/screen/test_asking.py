"""On a terminal the look before a run is shown as a table, and a person decides."""

from __future__ import annotations

from tests.cli.harness import FAST, Harness, until
from tests.cli.test_volume_holders import stop_one
from tests.screen.tmux import Tmux
from tests.screen.watching import DETACH

NEW = ("plan", "new", "--cloud", "simulator")
PLAIN = ("--progress", "plain")


def lose(stage: Harness, faults: str = FAST) -> str:
    """A cloud of three volumes of which one is gone; its id."""
    cloud = stage.cloud(faults, volumes=3)
    gone = next(iter(cloud.world.project.volumes))
    del cloud.world.project.volumes[gone]
    return gone


def test_a_person_may_skip_what_would_surely_fail_or_start_nothing(
    stage: Harness, tmux: Tmux
) -> None:
    gone = lose(stage)
    question = r"Skip the 1 that would surely fail, and back up the other 2\? \[y/N\]"
    refused = tmux.open("run", "plan.yaml", *PLAIN)
    text = refused.until(question)
    assert "WHAT     VOLUME" in text
    assert "error  missing" in text
    refused.press("Enter")
    code, text = refused.left()
    assert (code, stage.runs()) == (2, [])
    assert "vbsbatch: nothing was started" in text

    agreed = tmux.open("run", "plan.yaml", *PLAIN)
    agreed.until(question)
    agreed.press("y", "Enter")
    assert agreed.left()[0] == 0
    (skipped,) = stage.jobs("--state", "skipped")
    assert skipped["volume_id"] == gone
    assert len(stage.jobs("--state", "succeeded")) == 2


def test_nobody_is_asked_with_yes_nor_when_there_is_nothing_to_ask(
    stage: Harness, tmux: Tmux
) -> None:
    lose(stage)
    window = tmux.open("run", "plan.yaml", "--yes", *PLAIN)
    code, text = window.left()
    assert (code, stage.runs()) == (2, [])
    assert "?" not in text
    stage.cloud(volumes=2)
    assert tmux.open("run", "plan.yaml", *PLAIN).left()[0] == 0


def test_a_warning_is_worth_a_question_too(stage: Harness, tmux: Tmux) -> None:
    stage.cloud(FAST + "faults: [{on: volumes, do: status, status: 403}]", volumes=2)
    window = tmux.open("run", "plan.yaml", *PLAIN)
    window.until(r"warning  volumes[\s\S]*Start the run\? \[Y/n\]")
    window.press("Enter")
    assert window.left()[0] == 0


def test_the_question_comes_before_the_screen(stage: Harness, tmux: Tmux) -> None:
    lose(stage)
    window = tmux.open("run", "plan.yaml")
    window.until(r"back up the other 2\? \[y/N\]")
    window.press("y", "Enter")
    window.until(r" ENDED ")
    assert "skipped 1" in window.until(DETACH)
    window.press("q")
    assert window.left()[0] == 0


def test_reading_many_volumes_shows_a_bar_on_a_terminal_only(stage: Harness, tmux: Tmux) -> None:
    stage.cloud(FAST + "latency: 300ms", volumes=4000)
    window = tmux.open(*NEW, "-o", "all.yaml")
    window.until(r"reading volumes .*[1-9]000 0:00:0\d")
    code, text = window.left()
    assert code == 0
    assert "reading volumes" not in text
    assert "all.yaml: 4000 volumes" in text
    assert "reading" not in stage(*NEW, "-o", "-").stderr


def test_a_person_is_asked_before_a_stopped_run_loses_its_volumes(
    stage: Harness, tmux: Tmux
) -> None:
    cloud, first = stop_one(stage)
    question = r"Take over these 2 volumes\? The other run gives its job up for good \[y/N\]"
    refused = tmux.open("run", "plan.yaml", "--no-preflight", *PLAIN)
    text = refused.until(question)
    assert f"run {first} holds 2 (stopped)" in text.replace("\n", "")
    refused.press("Enter")
    until(lambda: cloud.creates() == 3)
    assert {job["state"] for job in stage.json("jobs", first)["jobs"]} == {"running"}
    stage("stop", "latest")
    assert refused.left()[0] == 3

    agreed = tmux.open("resume")
    agreed.until(question)
    agreed.press("y", "Enter")
    agreed.until(DETACH)
    assert {job["code"] for job in stage.json("jobs", first)["jobs"]} == {"released"}
    until(lambda: cloud.creates() >= 5)


def test_the_screen_says_who_holds_the_volumes(stage: Harness, tmux: Tmux) -> None:
    _, first = stop_one(stage, volumes=3)
    window = tmux.open("run", "plan.yaml", "--no-preflight", "--yes")
    window.until(rf"3 volumes wait for another run: run {first} holds 3 \(stopped\)")
    window.until(r"vbsbatch take-over")
