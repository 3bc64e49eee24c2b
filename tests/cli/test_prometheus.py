"""A real Prometheus reads the metrics of a real run: rules, dashboard and format hold."""

from __future__ import annotations

import json
import shutil
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.cog.plugins import register_default_plugins
from grafana_foundation_sdk.models.dashboard import Dashboard

from tests.cli.harness import SLOW, Harness, until

METRICS = Path(__file__).parents[2] / "docs" / "metrics"
DASHBOARD = json.loads((METRICS / "dashboard.json").read_text("utf-8"))
PANELS = {panel["title"]: panel for panel in DASHBOARD["panels"]}

PROMETHEUS, PROMTOOL = shutil.which("prometheus"), shutil.which("promtool")

needs_prometheus = pytest.mark.skipif(
    PROMETHEUS is None or PROMTOOL is None,
    reason="NOT TESTED: there is no Prometheus, so nothing has read the metrics and the rules",
)


def promtool(*words: str, given: str | None = None) -> None:
    done = subprocess.run(
        [str(PROMTOOL), *words], input=given, cwd=METRICS, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert not done.stderr, done.stderr


@needs_prometheus
def test_promtool_accepts_the_rules_and_their_tests_pass() -> None:
    promtool("check", "rules", "alerts.yml")
    promtool("test", "rules", "alerts_test.yml")


def test_every_rule_has_a_test_and_its_row_in_the_document() -> None:
    rules = yaml.safe_load((METRICS / "alerts.yml").read_text())["groups"][0]["rules"]
    names = [rule["alert"] for rule in rules]
    tests = yaml.safe_load((METRICS / "alerts_test.yml").read_text())["tests"]
    cases = [case for test in tests for case in test["alert_rule_test"]]
    for name in names:
        fires = [bool(case.get("exp_alerts")) for case in cases if case["alertname"] == name]
        assert {True, False} <= set(fires), f"{name} is tested only one way"
    document = (METRICS.parent / "metrics.md").read_text("utf-8")
    assert [line.split("`")[1] for line in document.splitlines() if "| `Vbsbatch" in line] == names


def test_the_dashboard_is_what_grafanas_own_types_make_of_it() -> None:
    """What they do not know is lost on the way."""
    register_default_plugins()
    read = Dashboard.from_json(DASHBOARD)
    again = json.loads(json.dumps(read, cls=JSONEncoder))
    assert _within(DASHBOARD, again)
    places = [panel["gridPos"] for panel in DASHBOARD["panels"]]
    cells = {
        (x, y)
        for at in places
        for x in range(at["x"], at["x"] + at["w"])
        for y in range(at["y"], at["y"] + at["h"])
    }
    assert len(cells) == sum(at["w"] * at["h"] for at in places), "panels overlap"
    assert max(x for x, _ in cells) < 24


def _within(small: Any, large: Any) -> bool:
    """Whether everything of one document is in another."""
    if isinstance(small, dict):
        return isinstance(large, dict) and all(
            key in large and _within(value, large[key]) for key, value in small.items()
        )
    if isinstance(small, list):
        return len(small) == len(large) and all(map(_within, small, large))
    return bool(small == large)


class Prometheus:
    """A Prometheus that scrapes one address each second."""

    def __init__(self, client: httpx.Client) -> None:
        self._client = client

    def get(self, path: str, **query: str) -> Any:
        answer = self._client.get(f"/api/v1/{path}", params=query).json()
        assert answer["status"] == "success", answer
        return answer["data"]

    def query(self, expression: str) -> dict[str, float]:
        """The values by plan, state or nothing, whichever there is."""
        found = self.get("query", query=expression)["result"]
        return {
            ",".join(str(each["metric"].get(name, "")) for name in ("plan", "state")): float(
                each["value"][1]
            )
            for each in found
        }


@contextmanager
def prometheus(folder: Path, target: str) -> Iterator[Prometheus]:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    config = {
        "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
        "rule_files": [str(METRICS / "alerts.yml")],
        "scrape_configs": [{"job_name": "vbsbatch", "static_configs": [{"targets": [target]}]}],
    }
    (folder / "prometheus.yml").write_text(json.dumps(config))
    promtool("check", "config", str(folder / "prometheus.yml"))
    process = subprocess.Popen(
        [
            str(PROMETHEUS),
            f"--config.file={folder / 'prometheus.yml'}",
            f"--storage.tsdb.path={folder / 'tsdb'}",
            f"--web.listen-address=127.0.0.1:{port}",
            "--log.level=error",
        ],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    url = f"http://127.0.0.1:{port}"
    try:
        with httpx.Client(base_url=url, trust_env=False, timeout=20) as client:
            until(lambda: _ready(client))
            yield Prometheus(client)
    finally:
        process.kill()
        process.wait()


def _ready(client: httpx.Client) -> bool:
    try:
        return client.get("/-/ready").status_code == 200
    except httpx.TransportError:
        return False


def queries(plan: str) -> dict[str, list[str]]:
    """The queries of each panel, for one plan."""
    return {
        title: [target["expr"].replace("$plan", plan) for target in panel["targets"]]
        for title, panel in PANELS.items()
    }


@needs_prometheus
def test_prometheus_reads_a_run_its_kill_and_its_end_and_every_panel_has_an_answer(
    harness: Harness,
) -> None:
    cloud = harness.cloud(SLOW, volumes=6)
    ids = [volume["ID"] for volume in cloud.volumes()]
    refuse = f"faults: [{{on: create, do: status, status: 400, code: X.1, volumes: [{ids[0]}]}}]\n"
    cloud.behave(SLOW + refuse)
    harness.write_plan(retry={"attempts": 1}, limits={"in_flight": 4})
    engine = harness.start("run", "plan.yaml", "--yes", "--progress", "quiet")
    server = harness.start("metrics", "--listen", "0")
    assert server.stdout is not None
    address = server.stdout.readline().strip()
    with prometheus(harness.folder, address.split("/")[2]) as judge:
        until(lambda: judge.query('vbsbatch_places{state="used"}') == {"night,used": 4.0})
        until(lambda: judge.query("vbsbatch_failures{code='X.1'}") == {"night,": 1.0})
        until(lambda: judge.query("rate(vbsbatch_api_calls_total{kind='create'}[15m])"))
        for title, expressions in queries("night").items():
            for expression in expressions:
                told = judge.query(expression)
                late = title == "Since the last success"
                assert late or told or "next_look" in expression, f"{title}: {expression}"
        assert judge.query(queries("night")["Jobs of live runs"][0])[",running"] == 4
        assert judge.query(queries("nobody")["Failed volumes"][0]) == {",": 0.0}
        promtool("check", "metrics", given=httpx.get(address, trust_env=False).text)

        engine.kill()
        until(lambda: judge.query("vbsbatch_engine_up") == {"night,": 0.0})
        assert judge.query("vbsbatch_heartbeat_age_seconds > 0")
        assert judge.query(queries("night")["Engines gone"][0]) == {",": 1.0}
        cloud.behave("backups: {duration: 50ms}\n")
        for backup in cloud.world.project.order:
            backup.ends_at = min(backup.ends_at, backup.created_at + 0.1)
        harness("resume", "--progress", "quiet", code=1)
        until(lambda: judge.query('vbsbatch_run_state{state="ended"}') == {"night,ended": 1.0})
        assert judge.query("vbsbatch_bytes_total")[","] > 0
        assert judge.query("vbsbatch_last_success_timestamp_seconds") == {}

        rules = judge.get("rules")["groups"][0]["rules"]
        assert {rule["health"] for rule in rules} == {"ok"}
        states = {rule["name"]: rule["state"] for rule in rules}
        assert states["VbsbatchFailures"] == "pending"
        assert states["VbsbatchMetricsMissing"] == "inactive"
    server.send_signal(signal.SIGTERM)
    harness.finish(server, 0)
    harness.finish(engine)
