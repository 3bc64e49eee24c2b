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


def test_no_password_or_token_is_left_anywhere(harness: Harness) -> None:
    cloud = harness.cloud(volumes=60)
    ids = [volume["ID"] for volume in cloud.volumes()]
    cloud.behave(NIGHT % f"{ids[5]}, {ids[45]}")
    harness("run", "plan.yaml", "-v", env=harness.environment | {"VBSBATCH_DEBUG": "1"})
    harness("verify", "--json")
    for form in ("table", "json", "csv", "md", "html", "junit"):
        output = str(harness.folder / f"report.{form}")
        harness.look("report", "--all", "--format", form, "--output", output)
    for words in (("jobs",), ("jobs", "--csv"), ("status", "--json"), ("status",), ("runs",)):
        harness.look(*words)
    good = harness.clouds.read_text()
    harness.edit_clouds(r"/identity/v3", "/elsewhere/v3")
    harness.refused("run", "plan.yaml", "--yes")
    harness.clouds.write_text(good.replace("127.0.0.1:", f"operator:{cloud.password}@127.0.0.1:"))
    harness.finish(harness.start("run", "plan.yaml", "--yes"))
    secrets = {cloud.password, *cloud.world.issued}
    assert len(secrets) > 3, "tokens were revoked and renewed"
    harness.clouds.unlink()
    for path in files_below(harness.folder):
        content = path.read_bytes()
        assert not [secret for secret in secrets if secret.encode() in content], path
    for text in harness.heard:
        assert not [secret for secret in secrets if secret in text], text


def test_no_secret_key_nor_security_token_is_left_anywhere(harness: Harness) -> None:
    harness.write_plan(cloud="simulator-aksk")
    cloud = harness.cloud(volumes=40)
    ids = [volume["ID"] for volume in cloud.volumes()]
    key = cloud.world.identity.keys.temporary
    harness.edit_clouds(r" ak: \S+", f" ak: {key.ak}")
    harness.edit_clouds(r" sk: \S+", f" sk: {key.sk}\n      security_token: {key.security_token}")
    faults = NIGHT.replace("do: revoke,", "do: revoke_keys,") % ids[25]
    cloud.behave(faults)
    done = harness(
        "run", "plan.yaml", "-v", env=harness.environment | {"VBSBATCH_DEBUG": "1"}, code=3
    )
    assert "was refused" in done.stderr
    harness.refused("resume", env=harness.environment | {"VBSBATCH_DEBUG": "1"})
    harness.edit_clouds(r" ak: \S+", "")
    harness.refused("resume")
    for form in ("table", "json", "csv", "md", "html", "junit"):
        output = str(harness.folder / f"report.{form}")
        harness.look("report", "--all", "--format", form, "--output", output)
    assert key.security_token
    harness.clouds.unlink()
    for content in (
        *(path.read_bytes() for path in files_below(harness.folder)),
        *(text.encode() for text in harness.heard),
    ):
        assert key.sk.encode() not in content
        assert key.security_token.encode() not in content
        assert b"Signature=" not in content


def test_the_files_of_a_run_are_private(harness: Harness) -> None:
    harness.cloud(FAST, volumes=2)
    harness("run", "plan.yaml", umask=0)
    harness("report", "--output", "report.txt", umask=0)
    assert harness.state.stat().st_mode & 0o777 == 0o700
    left = [*files_below(harness.state), harness.folder / "report.txt"]
    assert len(left) >= 3
    assert {path.stat().st_mode & 0o777 for path in left} == {0o600}


def test_the_simulator_listens_on_the_loopback_interface_only(harness: Harness) -> None:
    cloud = harness.simulator(volumes=1)
    process = psutil.Process(cloud.process.pid)
    listening = [c.laddr.ip for c in process.net_connections() if c.status == psutil.CONN_LISTEN]
    assert listening == ["127.0.0.1"]
    assert harness.clouds.stat().st_mode & 0o777 == 0o600


def test_a_secret_in_a_plan_or_on_the_command_line_is_refused_or_unknown(harness: Harness) -> None:
    """There is no option and no plan key for a password: none can end up in a shell's history."""
    assert "password" not in harness("run", "--help").stdout.lower()
    assert "password" not in harness("schema").stdout.lower()
