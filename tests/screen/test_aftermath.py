"""Restore and prune at a real terminal: they ask first, and the screen shows what they do."""

from __future__ import annotations

from tests.cli.harness import FAST, Harness
from tests.screen.tmux import Tmux

STEADY = "backups: {duration: [3s, 4s], visible_after: 20ms, delete: 3s}\n"


def test_the_question_names_what_will_be_lost_and_only_yes_starts_it(
    harness: Harness, tmux: Tmux
) -> None:
    cloud = harness.simulator(FAST, volumes=3)
    harness("run", "plan.yaml", "--progress", "quiet")
    cloud.detach()
    cloud.behave(STEADY)
    source = harness.run_id()
    names = [job["name"] for job in harness.jobs()]

    hesitant = tmux.open("restore", source)
    asked = hesitant.until(r"Type yes to overwrite them")
    assert "in cloud simulator, region sim-1" in asked
    assert f"3 volumes will be overwritten with the backups of run {source}" in asked
    assert all(f"{name} (" in asked for name in names)
    hesitant.press("y", "Enter")
    code, text = hesitant.left()
    assert code == 2
    assert "not confirmed: nothing was done" in text
    assert len(harness.runs()) == 1

    window = tmux.open("restore", source)
    window.until(r"Type yes to overwrite them")
    window.press("yes", "Enter")
    window.until(rf"restore of {source[:8]}")
    window.until(r" ENDED .*\n.*100\.0 %   3 of 3")
    window.press("Enter")
    window.until(r"the volume was overwritten with the backup")
    window.press("q")
    window.press("q")
    assert window.left()[0] == 0
    assert cloud.calls("restore") == 3

    window = tmux.open("prune", source, "--even-last", "--delete")
    window.until(r"3 backups of run .* will be deleted:[\s\S]*Type yes to delete them")
    window.press("yes", "Enter")
    window.until(rf"prune of {source[:8]}")
    window.until(r" ENDED .*\n.*100\.0 %   3 of 3")
    window.press("Enter")
    window.until(r"the backup is deleted")
    window.press("q")
    window.press("q")
    assert window.left()[0] == 0
    assert cloud.project().backups() == []
