"""One real cloud: Keystone, Cinder (API, scheduler, volume, backup), a database and a broker."""

from __future__ import annotations

import calendar
import json
import secrets
import socket
import subprocess
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from keystoneauth1 import session
from keystoneauth1.exceptions import ClientException

from tests.openstack.accounts import make_accounts, signed_in, write_clouds
from tests.openstack.commands import CINDER, SERVICES, environment, install_database, service
from tests.openstack.processes import Processes
from tests.openstack.settings import Ports, Site, write_settings

BLOCK_STORAGE = {"service_type": "block-storage", "interface": "public"}
PATIENCE = 120.0
HEARTBEATS = {"cinder-scheduler", "cinder-volume", "cinder-backup"}


class BringUpFailed(Exception):
    """A service of the real cloud did not come up; the text ends with the end of its log."""


class RealCloud:
    """The cloud of one folder, whichever process asks: what there is to know lies in the folder."""

    def __init__(self, site: Site) -> None:
        self.site = site
        self.clouds_file = site.folder / "clouds.yaml"
        self.processes = Processes(site.folder)

    @classmethod
    def new(cls, folder: Path, environment: Path) -> RealCloud:
        """Choose ports and a password, and write them down."""
        password = secrets.token_hex(16)
        site = Site(folder=folder, environment=environment, ports=Ports.free(), password=password)
        folder.chmod(0o700)
        plain = {**asdict(site), "folder": str(folder), "environment": str(environment)}
        (folder / "site.json").write_text(json.dumps(plain))
        return cls(site)

    @classmethod
    def at(cls, folder: Path) -> RealCloud:
        """The one that `new` made in this folder."""
        known = json.loads((folder / "site.json").read_text())
        paths = {"folder": folder, "environment": Path(known["environment"])}
        return cls(Site(**{**known, **paths, "ports": Ports(**known["ports"])}))

    def up(self) -> None:
        """Configure and start everything; raises `BringUpFailed`."""
        write_settings(self.site)
        self._run(install_database(self.site), "database")
        self._launch("database", "epmd")
        self._wait_for_port("epmd", self.site.ports.epmd)
        self._launch("broker")
        self._wait_for_port("database", self.site.ports.database)
        self._make_schemas()
        self._launch("keystone")
        self._wait_for_port("broker", self.site.ports.broker)
        self._launch(*CINDER)
        self._until("keystone", self._signs_in)
        make_accounts(self.site)
        write_clouds(self.site, self.clouds_file)
        self._wait_for_port("cinder-api", self.site.ports.cinder)
        self._until("cinder-api", self._works)

    def down(self) -> None:
        """Stop everything that `up` started; the broker and the database last."""
        self.processes.stop(*CINDER, "keystone")
        self.processes.stop(*(name for name in SERVICES if name not in CINDER))

    def stop(self, *names: str) -> None:
        self.processes.stop(*names)

    def start(self, *names: str) -> None:
        """Start services that were stopped, and wait until all work."""
        self._launch(*names)
        self._until(names[0], self._works)

    def live_tokens_for(self, seconds: int) -> None:
        """Tokens issued from now on end after `seconds`; Keystone is started anew."""
        self.site = replace(self.site, token_life=seconds)
        write_settings(self.site)
        self.stop("keystone")
        self.start("keystone")

    @cached_property
    def admin(self) -> session.Session:
        """Signed in as somebody who may do everything."""
        return signed_in(self.site, "admin")

    @cached_property
    def user(self) -> session.Session:
        """Signed in as the user that vbsbatch is."""
        return signed_in(self.site, "backup")

    def sql(self, text: str) -> list[list[str]]:
        """Run statements on Cinder's database; the rows as text."""
        done = self._run([*self._client(), "cinder"], "database", stdin=text)
        return [line.split("\t") for line in done.splitlines()]

    def _client(self) -> Sequence[str]:
        return ["mariadb", "--no-defaults", "-uroot", f"--socket={self.site.socket}", "-N", "-B"]

    def _make_schemas(self) -> None:
        account = f"cloud@'%' identified by '{self.site.password}'"
        statements = [
            "create database keystone character set utf8mb3",
            "create database cinder character set utf8mb3",
            f"create user {account}",
            "grant all on keystone.* to cloud@'%'",
            "grant all on cinder.* to cloud@'%'",
        ]
        self._run(self._client(), "database", stdin=";\n".join(statements))
        cinder = self._begin(["cinder-manage", *self._config(self.site.cinder_conf), "db", "sync"])
        manage = ["keystone-manage", *self._config(self.site.keystone_conf)]
        owner = ["--keystone-user", "root", "--keystone-group", "root"]
        url = ("admin", "internal", "public")
        urls = [
            word for kind in url for word in (f"--bootstrap-{kind}-url", self.site.keystone_url)
        ]
        secret = ["--bootstrap-password", self.site.password, "--bootstrap-region-id", "RegionOne"]
        for words in (
            ["db_sync"],
            ["fernet_setup", *owner],
            ["credential_setup", *owner],
            ["bootstrap", *secret, *urls],
        ):
            self._run([*manage, *words], "keystone")
        self._finish(cinder, "cinder-manage")

    @staticmethod
    def _config(path: Path) -> Sequence[str]:
        return ["--config-file", str(path)]

    def _launch(self, *names: str) -> None:
        for name in names:
            self.processes.start(service(self.site, name))

    def _run(self, command: Sequence[str], name: str, *, stdin: str = "") -> str:
        return self._finish(self._begin(command), name, stdin)

    def _begin(self, command: Sequence[str]) -> subprocess.Popen[str]:
        pipe = subprocess.PIPE
        known = dict(environment(self.site))
        return subprocess.Popen(command, env=known, text=True, stdin=pipe, stdout=pipe, stderr=pipe)

    @staticmethod
    def _finish(process: subprocess.Popen[str], name: str, stdin: str = "") -> str:
        out, err = process.communicate(stdin, timeout=2 * PATIENCE)
        if process.returncode:
            raise BringUpFailed(f"{name}: exit code {process.returncode}\n{(out + err)[-2000:]}")
        return out

    def _wait_for_port(self, name: str, port: int) -> None:
        def answers() -> bool:
            with socket.socket() as probe:
                return probe.connect_ex(("127.0.0.1", port)) == 0

        self._until(name, answers)

    def _until(self, name: str, condition: Callable[[], bool]) -> None:
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            if condition():
                return
            if not self.processes.alive(name):
                break
            time.sleep(0.2)
        words = self.processes.last_words(name)
        raise BringUpFailed(f"{name} did not come up within {PATIENCE:.0f} s\n{words}")

    def _signs_in(self) -> bool:
        with suppress(ClientException):
            # A session of its own: one keeps the catalog that it found, and this one is empty.
            return bool(signed_in(self.site, "admin").get_token())
        return False

    def _works(self) -> bool:
        """Whether Keystone answers and every service of Cinder has reported since its start."""
        with suppress(ClientException):
            listed = self._ask("/os-services")["services"]
            pools = self._ask("/scheduler-stats/get_pools")
            fresh = {item["binary"] for item in listed if self._is_fresh(item)}
            return fresh >= HEARTBEATS and bool(pools["pools"])
        return False

    def _ask(self, path: str) -> dict[str, Any]:
        found: dict[str, Any] = self.admin.get(path, endpoint_filter=BLOCK_STORAGE).json()
        return found

    def _is_fresh(self, item: dict[str, str]) -> bool:
        if item["state"] != "up" or not item["updated_at"]:
            return False
        beat = calendar.timegm(time.strptime(item["updated_at"][:19], "%Y-%m-%dT%H:%M:%S"))
        return beat >= int(self.processes.started_at(item["binary"]))
