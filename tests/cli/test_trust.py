"""Private certificate authorities, client certificates and proxies, between real processes."""

from __future__ import annotations

import json
import os
import ssl
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import trustme

from tests.cli import connect_proxy
from tests.cli.clouds import GlassCloud, Process, Tls, glass_cloud
from tests.cli.harness import FAST, Harness
from vbsbatch.cli import command_line

NOWHERE = "cloud.invalid"
"""A name that only the proxy can resolve."""

SIGN_IN = "porter:open-sesame"


@dataclass(kw_only=True)
class Ground:
    """Clouds, authorities and proxies."""

    folder: Path
    clouds: dict[str, GlassCloud] = field(default_factory=dict)
    proxies: dict[str, Process] = field(default_factory=dict)
    ports: dict[str, int] = field(default_factory=dict)

    def file(self, name: str) -> str:
        return os.fspath(self.folder / name)

    def files(self) -> dict[str, str]:
        named = ("ca", "other", "client", "foreign", "empty")
        return {name: self.file(f"{name}.pem") for name in named} | {"key": self.file("client.key")}

    def make_certificates(self) -> None:
        ours, other = trustme.CA(), trustme.CA()
        ours.cert_pem.write_to_path(self.file("ca.pem"))
        other.cert_pem.write_to_path(self.file("other.pem"))
        shown = ours.issue_cert("127.0.0.1", NOWHERE)
        shown.private_key_and_cert_chain_pem.write_to_path(self.file("server.pem"))
        client = ours.issue_cert("operator@example.com")
        client.private_key_pem.write_to_path(self.file("client.key"))
        client.cert_chain_pems[0].write_to_path(self.file("client.pem"))
        foreign = other.issue_cert("operator@example.com")
        foreign.private_key_and_cert_chain_pem.write_to_path(self.file("foreign.pem"))

    def open_cloud(self, name: str, tls: bool = True, clients: bool = False) -> None:
        doors = ssl.create_default_context(cafile=self.file("ca.pem"))
        doors.load_cert_chain(self.file("client.pem"), self.file("client.key"))
        shown = Tls(
            certificate=self.folder / "server.pem",
            clients_of=self.folder / "ca.pem" if clients else None,
            doors=doors,
        )
        self.clouds[name] = glass_cloud(
            self.folder / f"{name}.yaml", FAST, volumes=len(WAYS) + 6, tls=shown if tls else None
        )

    def open_proxy(self, name: str, *words: str) -> int:
        """A proxy in a process of its own; its port."""
        process = subprocess.Popen(
            [sys.executable, os.fspath(connect_proxy.__file__), *words],
            stdout=subprocess.PIPE,
            text=True,
        )
        assert process.stdout is not None
        self.ports[name] = int(process.stdout.readline())
        self.proxies[name] = process
        return self.ports[name]

    def asked(self, name: str) -> list[str]:
        """What was asked of a proxy, which ends with that."""
        process = self.proxies.pop(name)
        process.kill()
        return process.communicate()[0].splitlines()


@dataclass(frozen=True, kw_only=True)
class Way:
    """One way to a cloud: what clouds.yaml and the environment say, and what must come of it."""

    cloud: str = "private"
    entry: str = ""
    host: str = "127.0.0.1"
    environment: str = ""
    refused: str | None = None
    """Words of the one line of exit code 2; None when the run must succeed."""


PROXIED = Way(entry="cacert: {ca}", host=NOWHERE)


def proxied(**changes: str) -> Way:
    return Way(**{"entry": PROXIED.entry, "host": NOWHERE} | changes)


WAYS: Mapping[str, Way] = {
    "a private authority": Way(entry="cacert: {ca}"),
    "an authority of the environment": Way(environment="REQUESTS_CA_BUNDLE={ca}"),
    "nobody to trust": Way(entry="verify: false"),
    "no authority": Way(refused="certificate not trusted"),
    "another authority": Way(entry="cacert: {other}", refused="certificate not trusted"),
    "no such file": Way(entry="cacert: {ca}.old", refused="cacert: "),
    "a file without certificates": Way(entry="cacert: {empty}", refused="cacert: "),
    "another name": Way(
        entry="cacert: {ca}", host="localhost", refused="the host's name in the address"
    ),
    "a client certificate": Way(cloud="strict", entry="cacert: {ca}, cert: {client}, key: {key}"),
    "no client certificate": Way(
        cloud="strict", entry="cacert: {ca}", refused="client certificate"
    ),
    "a foreign client certificate": Way(
        cloud="strict", entry="cacert: {ca}, cert: {foreign}", refused="client certificate"
    ),
    "a client certificate that is missing": Way(
        cloud="strict", entry="cacert: {ca}, cert: {client}.old", refused="cert: "
    ),
    "a proxy": proxied(environment="HTTPS_PROXY=http://127.0.0.1:{open}"),
    "a proxy without a scheme": proxied(environment="https_proxy=127.0.0.1:{open}"),
    "a proxy with a sign-in": proxied(environment="HTTPS_PROXY=http://{sign_in}@127.0.0.1:{shut}"),
    "a proxy for plain HTTP": Way(
        cloud="plain", host=NOWHERE, environment="HTTP_PROXY=http://{sign_in}@127.0.0.1:{shut}"
    ),
    "no proxy for this host": Way(
        entry="cacert: {ca}", environment="HTTPS_PROXY=http://127.0.0.1:1 NO_PROXY=127.0.0.1"
    ),
    "a proxy that is down": proxied(
        environment="HTTPS_PROXY=http://127.0.0.1:1", refused="the proxy"
    ),
    "a proxy for plain HTTP that is down": Way(
        cloud="plain",
        host=NOWHERE,
        environment="HTTP_PROXY=http://porter:open-sesame@127.0.0.1:1",
        refused="the proxy",
    ),
    "a proxy that wants a sign-in": proxied(
        environment="HTTPS_PROXY=http://127.0.0.1:{shut}", refused="407"
    ),
    "a proxy that wants another sign-in": proxied(
        environment="HTTPS_PROXY=http://porter:open-sesam@127.0.0.1:{shut}", refused="407"
    ),
    "a proxy for plain HTTP that wants a sign-in": Way(
        cloud="plain",
        host=NOWHERE,
        environment="HTTP_PROXY=http://127.0.0.1:{shut}",
        refused="407",
    ),
    "a proxy that is no URL": proxied(
        environment="HTTPS_PROXY=http://127.0.0.1:many", refused="proxy"
    ),
    "a proxy of another kind": proxied(
        environment="HTTPS_PROXY=socks5://127.0.0.1:1080", refused="proxy"
    ),
}


@pytest.fixture(scope="module")
def ground(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ground]:
    made = Ground(folder=tmp_path_factory.mktemp("trust"))
    made.make_certificates()
    Path(made.file("empty.pem")).write_text("no certificate\n")
    made.open_cloud("private")
    made.open_cloud("strict", clients=True)
    made.open_cloud("plain", tls=False)
    made.open_proxy("open")
    made.open_proxy("shut", SIGN_IN)
    yield made
    for cloud in made.clouds.values():
        cloud.stop()
    for process in made.proxies.values():
        process.kill()
        process.communicate()


@pytest.fixture
def go(ground: Ground, stage: Harness) -> Callable[[str], Prepared]:
    """Prepare a run of one volume by the way of that name."""

    def prepare(name: str) -> Prepared:
        way, number = WAYS[name], list(WAYS).index(name)
        names = {**ground.files(), **ground.ports, "sign_in": SIGN_IN}
        stage.clouds.write_bytes((ground.folder / f"{way.cloud}.yaml").read_bytes())
        stage.edit_clouds(r"127\.0\.0\.1", way.host)
        for option in filter(None, way.entry.format(**names).split(", ")):
            stage.edit_clouds("    region_name:", f"    {option}\n    region_name:")
        volume = ground.clouds[way.cloud].volumes()[number]["ID"]
        (stage.folder / "fleet.json").write_text(f'["{volume}"]')
        environment = {k: v for k, v in stage.environment.items() if k.upper()[-6:] != "_PROXY"}
        for setting in way.environment.format(**names).split():
            key, _, value = setting.partition("=")
            environment[key] = value
        return Prepared(stage=stage, way=way, environment=environment)

    return prepare


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """A run that may begin."""

    stage: Harness
    way: Way
    environment: Mapping[str, str]

    def here(self, monkeypatch: pytest.MonkeyPatch) -> int:
        """Run it in this process, for a fraction of the time; the exit code."""
        for name in set(os.environ) - set(self.environment):
            monkeypatch.delenv(name)
        for name, value in self.environment.items():
            monkeypatch.setenv(name, value)
        monkeypatch.chdir(self.stage.folder)
        monkeypatch.setattr(sys, "argv", ["vbsbatch", "run", "plan.yaml"])
        return command_line()

    def succeeded(self, ground: Ground) -> None:
        (job,) = self.stage.jobs()
        live = ground.clouds[self.way.cloud].live()
        assert live[job["volume_id"]] == [job["backup_id"]]

    def refused(self, line: str) -> None:
        assert str(self.way.refused) in line
        assert self.stage.runs() == []

    def assert_no_secret(self, ground: Ground, *texts: str) -> None:
        secrets = [SIGN_IN.split(":")[1], *(cloud.password for cloud in ground.clouds.values())]
        kept = [path.read_bytes() for path in self.stage.state.rglob("*") if path.is_file()]
        everything = b"\n".join([*kept, *(text.encode() for text in texts)])
        assert not [secret for secret in secrets if secret.encode() in everything]


@pytest.mark.parametrize("name", WAYS)
def test_every_way_does_or_is_refused_in_one_line(
    ground: Ground,
    go: Callable[[str], Prepared],
    name: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    prepared = go(name)
    code = prepared.here(monkeypatch)
    said = capsys.readouterr()
    if prepared.way.refused is None:
        assert code == 0, said.err
        prepared.succeeded(ground)
    else:
        assert (code, said.out) == (2, "")
        (line,) = said.err.splitlines()
        prepared.refused(line)
    prepared.assert_no_secret(ground, said.out, said.err)


@pytest.mark.parametrize("name", ["another authority", "a proxy that wants a sign-in"])
def test_a_process_of_its_own_is_refused_in_the_same_way(
    ground: Ground, go: Callable[[str], Prepared], name: str
) -> None:
    prepared = go(name)
    stage = prepared.stage
    prepared.refused(stage.refused("run", "plan.yaml", env=prepared.environment))
    prepared.assert_no_secret(ground, *stage.heard)


def test_everything_goes_through_the_proxy_that_is_named(ground: Ground, stage: Harness) -> None:
    cloud = ground.clouds["private"]
    environment = {k: v for k, v in stage.environment.items() if k.upper()[-6:] != "_PROXY"}
    environment["HTTPS_PROXY"] = f"http://{SIGN_IN}@127.0.0.1:{ground.open_proxy('own', SIGN_IN)}"
    stage.clouds.write_bytes((ground.folder / "private.yaml").read_bytes())
    stage.edit_clouds(r"127\.0\.0\.1", NOWHERE)
    stage.edit_clouds("    region_name:", f"    cacert: {ground.files()['ca']}\n    region_name:")
    ids = [volume["ID"] for volume in cloud.volumes()[len(WAYS) :]]
    (stage.folder / "fleet.json").write_text(json.dumps(ids))
    stage("run", "plan.yaml", env=environment)
    live = cloud.live()
    assert all(len(live[volume]) == 1 for volume in ids)
    asked = ground.asked("own")
    assert set(asked) == {f"CONNECT {NOWHERE}:{cloud.url.rpartition(':')[2]} "}
    assert 3 <= len(asked) < 3 + 2 * len(ids), "a tunnel for each connection, not for each request"
