"""Promise 6: no password and no token in any file, line, report or traceback."""

from __future__ import annotations

from pathlib import Path

import psutil

from tests.cli.harness import FAST, Harness

NIGHT = (
    FAST + "latency: [1ms, 10ms]\n"
    "faults:\n"
    "  - {on: create, do: revoke, volumes: [%s], first: 1}\n"
    "  - {on: create, do: drop_after, share: 0.1}\n"
    "  - {on: create, do: html, share: 0.1}\n"
    "  - {on: create, do: garbage, share: 0.1}\n"
    "  - {on: list, do: cut, first: 1}\n"
)


def files_below(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


def test_nothing_that_opens_the_cloud_is_left_anywhere(stage: Harness) -> None:
    cloud = stage.cloud(volumes=60)
    ids = [volume["ID"] for volume in cloud.volumes()]
    cloud.behave(NIGHT % f"{ids[5]}, {ids[45]}")
    stage("run", "plan.yaml", "-v", env=stage.environment | {"VBSBATCH_DEBUG": "1"})
    stage("verify", "--json")
    for form in ("table", "json", "csv", "md", "html", "junit"):
        path = str(stage.folder / f"report.{form}")
        stage.look("report", "--all", "--format", form, "--output", path)
    for words in (("jobs",), ("jobs", "--csv"), ("status", "--json"), ("status",), ("runs",)):
        stage.look(*words)
    good = stage.clouds.read_text()
    stage.edit_clouds(r"/identity/v3", "/elsewhere/v3")
    stage.refused("run", "plan.yaml", "--yes")
    stage.clouds.write_text(good.replace("127.0.0.1:", f"operator:{cloud.password}@127.0.0.1:"))
    stage.finish(stage.start("run", "plan.yaml", "--yes"))
    secrets = {cloud.password, *cloud.world.issued}
    assert len(secrets) > 3, "tokens were revoked and renewed"
    stage.clouds.unlink()
    for path in files_below(stage.folder):
        content = path.read_bytes()
        assert not [secret for secret in secrets if secret.encode() in content], path
    for text in stage.heard:
        assert not [secret for secret in secrets if secret in text], text


def test_no_secret_key_nor_security_token_is_left_anywhere(stage: Harness) -> None:
    stage.write_plan(cloud="simulator-aksk")
    cloud = stage.cloud(volumes=40)
    ids = [volume["ID"] for volume in cloud.volumes()]
    key = cloud.world.identity.keys.temporary
    stage.edit_clouds(r" ak: \S+", f" ak: {key.ak}")
    stage.edit_clouds(r" sk: \S+", f" sk: {key.sk}\n      security_token: {key.security_token}")
    faults = NIGHT.replace("do: revoke,", "do: revoke_keys,") % ids[25]
    cloud.behave(faults)
    done = stage("run", "plan.yaml", "-v", env=stage.environment | {"VBSBATCH_DEBUG": "1"}, code=3)
    assert "was refused" in done.stderr
    stage.refused("resume", env=stage.environment | {"VBSBATCH_DEBUG": "1"})
    stage.edit_clouds(r" ak: \S+", "")
    stage.refused("resume")
    for form in ("table", "json", "csv", "md", "html", "junit"):
        path = str(stage.folder / f"report.{form}")
        stage.look("report", "--all", "--format", form, "--output", path)
    assert key.security_token
    stage.clouds.unlink()
    for content in (
        *(path.read_bytes() for path in files_below(stage.folder)),
        *(text.encode() for text in stage.heard),
    ):
        assert key.sk.encode() not in content
        assert key.security_token.encode() not in content
        assert b"Signature=" not in content


def test_what_a_run_leaves_is_for_its_owner_alone(stage: Harness) -> None:
    stage.cloud(FAST, volumes=2)
    stage("run", "plan.yaml", umask=0)
    stage("report", "--output", "report.txt", umask=0)
    assert stage.state.stat().st_mode & 0o777 == 0o700
    left = [*files_below(stage.state), stage.folder / "report.txt"]
    assert len(left) >= 3
    assert {path.stat().st_mode & 0o777 for path in left} == {0o600}


def test_the_simulator_listens_on_the_loopback_interface_only(stage: Harness) -> None:
    cloud = stage.simulator(volumes=1)
    process = psutil.Process(cloud.process.pid)
    listening = [c.laddr.ip for c in process.net_connections() if c.status == psutil.CONN_LISTEN]
    assert listening == ["127.0.0.1"]
    assert stage.clouds.stat().st_mode & 0o777 == 0o600


def test_a_secret_in_a_plan_or_on_the_command_line_is_refused_or_unknown(stage: Harness) -> None:
    """There is no option and no plan key for a password: none can end up in a shell's history."""
    assert "password" not in stage("run", "--help").stdout.lower()
    assert "password" not in stage("schema").stdout.lower()
