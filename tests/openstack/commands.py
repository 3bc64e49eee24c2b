"""The command and environment of each service of the real cloud."""

from __future__ import annotations

import os
import pwd
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.debian import SYSTEM_PATH
from tests.openstack.processes import Service
from tests.openstack.settings import Site

CINDER = ("cinder-api", "cinder-scheduler", "cinder-volume", "cinder-backup")
SERVICES = (*CINDER, "keystone", "broker", "epmd", "database")

UWSGI = [
    "uwsgi",
    "--master",
    "--die-on-term",
    "--enable-threads",
    "--lazy-apps",
    "--need-app",
    "--buffer-size",
    "65535",
    "--http-keepalive=75",
    "--http-auto-chunked",
    "--so-keepalive",
    "--disable-logging",
    "--log-4xx",
    "--log-5xx",
    "--thunder-lock",
    "--http-timeout",
    "120",
    "--processes",
    "2",
    "--threads",
    "4",
]
IN_A_MOUNT_NAMESPACE = ("unshare", "--mount", "--propagation", "private", "with-share")


def service(site: Site, name: str) -> Service:
    """One of `SERVICES`."""
    makers = {
        "database": _database,
        "epmd": _epmd,
        "broker": _broker,
        "keystone": _keystone,
        "cinder-api": _cinder_api,
        "cinder-scheduler": _cinder_scheduler,
    }
    command = makers[name](site) if name in makers else _with_share(site, name)
    return Service(name=name, command=command, environment=environment(site, name))


def environment(site: Site, name: str = "") -> Mapping[str, str]:
    """Nothing of ours: a caller's OS_* and proxies are none of the services' business."""
    plain = {
        "PATH": f"{site.folder}/bin:{site.environment}/bin:{SYSTEM_PATH}",
        "HOME": str(site.broker_conf.parent),
        "LANG": "C.UTF-8",
    }
    if name == "keystone":
        return {**plain, "OS_KEYSTONE_CONFIG_FILES": str(site.keystone_conf)}
    return {**plain, **_broker_environment(site)} if name == "broker" else plain


def _broker_environment(site: Site) -> dict[str, str]:
    folder = site.broker_conf.parent
    return {
        "ERL_EPMD_ADDRESS": "127.0.0.1",
        "ERL_EPMD_PORT": str(site.ports.epmd),
        "ERL_MAX_PORTS": "4096",
        "RABBITMQ_NODENAME": "broker@localhost",
        "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
        "RABBITMQ_NODE_PORT": str(site.ports.broker),
        "RABBITMQ_DIST_PORT": str(site.ports.broker_nodes),
        "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "-kernel inet_dist_use_interface {127,0,0,1}",
        "RABBITMQ_CONFIG_FILE": str(site.broker_conf),
        "RABBITMQ_MNESIA_BASE": str(folder / "mnesia"),
        "RABBITMQ_LOG_BASE": str(site.folder / "log"),
        "RABBITMQ_ENABLED_PLUGINS_FILE": str(folder / "enabled_plugins"),
        "RABBITMQ_CONF_ENV_FILE": "/dev/null",
        "RABBITMQ_PID_FILE": str(folder / "pid"),
    }


def _database(site: Site) -> Sequence[str]:
    return [
        *("mariadbd", "--no-defaults", f"--user={_owner()}", f"--datadir={site.data}"),
        *("--bind-address=127.0.0.1", f"--port={site.ports.database}", f"--socket={site.socket}"),
        *(f"--pid-file={site.data}/pid", "--max-connections=500", "--skip-log-bin"),
        *("--innodb-flush-log-at-trx-commit=2", "--innodb-buffer-pool-size=128M"),
        "--performance-schema=off",
    ]


def install_database(site: Site) -> Sequence[str]:
    """The command that makes an empty database."""
    return [
        *("mariadb-install-db", "--no-defaults", f"--user={_owner()}", f"--datadir={site.data}"),
        *("--auth-root-authentication-method=normal", "--skip-test-db"),
    ]


def _owner() -> str:
    return pwd.getpwuid(os.geteuid()).pw_name


def _epmd(site: Site) -> Sequence[str]:
    return ["epmd", "-address", "127.0.0.1", "-port", str(site.ports.epmd)]


def _broker(site: Site) -> Sequence[str]:
    return [str(max(Path("/usr/lib/rabbitmq/lib").glob("*/sbin/rabbitmq-server")))]


def _keystone(site: Site) -> Sequence[str]:
    address = f"127.0.0.1:{site.ports.keystone}"
    return [*UWSGI, "--http", address, "--module", "keystone.wsgi.api:application"]


def _cinder_api(site: Site) -> Sequence[str]:
    address, module = f"127.0.0.1:{site.ports.cinder}", "cinder.wsgi.api:application"
    arguments = f"--config-file {site.cinder_conf}"
    return [*UWSGI, "--http", address, "--module", module, "--pyargv", arguments]


def _cinder_scheduler(site: Site) -> Sequence[str]:
    return ["cinder-scheduler", "--config-file", str(site.cinder_conf)]


def _with_share(site: Site, name: str) -> Sequence[str]:
    return [*IN_A_MOUNT_NAMESPACE, name, "--config-file", str(site.cinder_conf)]
