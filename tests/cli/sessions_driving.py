"""Sessions of commands that drive runs, and steer them."""

from __future__ import annotations

import signal
import time

from tests.cli.clouds import GlassCloud
from tests.cli.stage import FAST, SLOW, until
from tests.cli.transcript import Player, Session, rows_of

SESSIONS: dict[str, Player] = {}
MISSING = "11111111-2222-3333-4444-555555555555"


def session(player: Player) -> Player:
    """Have a function recorded under its own name."""
    SESSIONS[player.__name__.replace("_", "-")] = player
    return player


def failing(cloud: GlassCloud, *faults: str) -> None:
    """Let a create fail like this for each of the first volumes."""
    lines = (
        f"  - {{on: create, {fault}, volumes: [{volume['ID']}]}}\n"
        for fault, volume in zip(faults, cloud.volumes(), strict=False)
    )
    cloud.behave(f"{FAST}faults:\n{''.join(lines)}")


REFUSED = "do: status, status: 400, code: VolumeBackup.0040, message: 'no good'"


@session
def run_plain_then_retry(play: Session) -> None:
    cloud = play.cloud(volumes=2)
    play.plan()
    failing(cloud, REFUSED)
    play("run", "plan.yaml", "--progress", "plain")
    cloud.behave(FAST)
    play("retry", "latest", "--code", "VolumeBackup.0040", "--progress", "plain", "-v")
    play("retry", "latest", "--all-failed")
    play("status")
    play("attach", "--progress", "plain")


@session
def run_verbose_with_retries(play: Session) -> None:
    cloud = play.cloud(volumes=2)
    play.plan(retry={"attempts": 3})
    failing(cloud, "do: status, status: 503, first: 1", "do: drop_after, first: 1")
    play("run", "plan.yaml", "-v", "--no-preflight")
    play("jobs", "--json")
    play("verify")


@session
def run_json(play: Session) -> None:
    cloud = play.cloud(volumes=2)
    play.plan()
    failing(cloud, REFUSED)
    play("run", "plan.yaml", "--progress", "json", "--yes")


@session
def run_quiet(play: Session) -> None:
    play.cloud(volumes=1)
    play.plan()
    play("run", "plan.yaml", "--progress", "quiet", "-v")
    play("run", "plan.yaml", "--progress", "auto", "--cloud", "simulator", "--rate", "100/min")


@session
def preflight(play: Session) -> None:
    cloud = play.cloud(volumes=1)
    (volume,) = cloud.volumes()
    volumes = [{"id": MISSING, "name": "ghost"}, {"id": volume["ID"], "name": "other"}]
    play.plan(volumes=volumes, volumes_from=None)
    play("check", "plan.yaml", "--online")
    play("check", "plan.yaml", "--online", "--json")
    play("plan", "diff", "plan.yaml")
    play("plan", "diff", "plan.yaml", "--json")
    play("run", "plan.yaml")
    play("run", "plan.yaml", "--on-preflight", "skip")
    play("report", "--all")


@session
def waves(play: Session) -> None:
    play.counts_creates = False
    cloud = play.cloud(volumes=2)
    ids = [volume["ID"] for volume in cloud.volumes()]
    play.plan(
        waves=[{"name": "canary"}, {"name": "rest"}],
        volumes=[{"id": MISSING, "name": "ghost", "wave": "canary"}, *({"id": n} for n in ids)],
        volumes_from=None,
    )
    words = ("run", "plan.yaml", "--no-preflight")
    engine = play.begin(*words)
    until(lambda: any(run["state"] == "paused" for run in play.stage.runs()))
    play("status")
    play("status", "--json")
    play("unpause", "latest")
    play.end(engine, *words)
    play("status")


@session
def steering_a_live_run(play: Session) -> None:
    play.counts_creates = False
    cloud = play.cloud(volumes=6, faults=SLOW)
    play.plan(limits={"in_flight": 2})
    words = ("run", "plan.yaml", "--no-preflight", "-v")
    engine = play.begin(*words)
    running = lambda count: any(r["counts"]["running"] == count for r in play.stage.runs())  # noqa: E731
    until(lambda: running(2))
    for line in ("status", "jobs", "runs", "resume", "run plan.yaml --no-preflight --as nonsense"):
        play(*line.split())
    last = cloud.volumes()[-1]["ID"]
    for line in ("pause latest", "status", "status --json", "rate latest 100/s", "unpause latest"):
        play(*line.split())
    play("in-flight", "latest", "3")
    until(lambda: running(3))
    for line in (
        f"cancel latest --volume {last}",
        "cancel latest --volume nope",
        "retry latest --all-failed",
        "retry latest --all-failed --rate 1/s",
        "take-over latest",
        "cancel latest",
        "stop latest",
    ):
        play(*line.split())
    play.end(engine, *words)
    play("status")
    play("status", "--json")
    play("jobs")
    play.note("commands", rows_of(play.stage.store, "commands"))


@session
def a_stopped_run_and_its_volumes(play: Session) -> None:
    play.counts_creates = False
    play.cloud(volumes=2, faults=SLOW)
    play.plan(limits={"in_flight": 2}, retry={"later_every": "200ms", "later_for": "1s"})
    words = ("run", "plan.yaml", "--no-preflight")
    engine = play.begin(*words)
    until(lambda: any(run["counts"]["running"] == 2 for run in play.stage.runs()))
    engine.send_signal(signal.SIGINT)
    play.end(engine, *words)
    first = play.stage.run_id()
    for line in (
        "runs",
        "pause latest",
        "stop latest",
        "rate latest 100/s",
        "in-flight latest 1",
        "cancel latest",
        "take-over latest",
        "run plan.yaml --no-preflight --take-over",
        "runs",
        f"status {first}",
        f"jobs {first}",
    ):
        play(*line.split(), sort=line.startswith("run "))


@session
def stop_and_resume(play: Session) -> None:
    cloud = play.cloud(volumes=2, faults="backups: {duration: 4s, visible_after: 20ms}\n")
    play.plan()
    words = ("run", "plan.yaml", "--no-preflight")
    engine = play.begin(*words)
    until(lambda: any(run["counts"]["running"] == 1 for run in play.stage.runs()))
    cloud.behave(FAST)
    play("stop", "latest")
    play.end(engine, *words)
    play("resume", "-v")
    play("status")


@session
def restore_and_prune(play: Session) -> None:
    cloud = play.cloud(volumes=2, faults="backups: {duration: 1200ms, delete: 50ms}\n")
    play.plan()
    play.stage("run", "plan.yaml", "--progress", "quiet")
    cloud.detach()
    source = play.stage.run_id()
    play("restore", source)
    play("restore", source, "--yes", "-v")
    for line in ("status", "report --format json", "verify", "verify --json", "prune latest"):
        play(*line.split())
    play("prune", source, "--delete", "--yes", "-v")
    for line in ("status", "report --format md", "verify", f"verify {source}", "runs"):
        play(*line.split())
    play("verify", source, "--json")
    play("prune", source)


@session
def simulate(play: Session) -> None:
    words = ("simulate", "--volumes", "3", "--clouds-file", "made.yaml", "--access-key")
    cloud = play.begin(*words)
    until((play.stage.folder / "made.yaml").exists)
    time.sleep(0.3)
    cloud.send_signal(signal.SIGTERM)
    play.end(cloud, *words)
