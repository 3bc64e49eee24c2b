"""The files that the services read. Everything listens on 127.0.0.1 and lies in one folder."""

from __future__ import annotations

import hashlib
import random
import shutil
import socket
from dataclasses import dataclass, field
from pathlib import Path

SHARE = "127.0.0.1:/share"
EPHEMERAL = range(20_000, 30_000)
"""Ports to choose from: below those that the system gives to outgoing connections, so that a port
is still free when its service is started again."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Ports:
    keystone: int
    cinder: int
    database: int
    broker: int
    broker_nodes: int
    epmd: int

    @classmethod
    def free(cls) -> Ports:
        """Six that nobody listens on now."""
        return cls(**dict(zip(cls.__slots__, _free_ports(len(cls.__slots__)), strict=True)))


def _free_ports(count: int) -> list[int]:
    found: list[int] = []
    for port in random.sample(EPHEMERAL, len(EPHEMERAL)):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) != 0:
                found.append(port)
        if len(found) == count:
            return found
    raise OSError("no free ports")


@dataclass(frozen=True, kw_only=True, slots=True)
class Site:
    """Where one cloud lies and what its services may be told."""

    folder: Path
    environment: Path
    """The virtual environment of Keystone and Cinder."""
    ports: Ports
    password: str = field(repr=False)
    """Of every account and of the database."""
    token_life: int = 3600
    """Seconds."""

    @property
    def keystone_url(self) -> str:
        return f"http://127.0.0.1:{self.ports.keystone}/v3"

    @property
    def cinder_url(self) -> str:
        return f"http://127.0.0.1:{self.ports.cinder}"

    @property
    def keystone_conf(self) -> Path:
        return self.folder / "etc" / "keystone" / "keystone.conf"

    @property
    def cinder_conf(self) -> Path:
        return self.folder / "etc" / "cinder" / "cinder.conf"

    @property
    def broker_conf(self) -> Path:
        return self.folder / "broker" / "rabbitmq.conf"

    @property
    def socket(self) -> Path:
        return self.folder / "run" / "db.sock"

    @property
    def data(self) -> Path:
        return self.folder / "database"

    @property
    def share(self) -> Path:
        """Where the files of the volumes are; the services see it mounted at `mount_point`."""
        return self.folder / "share"

    @property
    def mount_point(self) -> Path:
        digest = hashlib.md5(SHARE.encode()).hexdigest()  # the name that Cinder's driver expects
        return self.folder / "state" / "mnt" / digest

    def database(self, name: str) -> str:
        account = f"cloud:{self.password}@127.0.0.1:{self.ports.database}"
        return f"mysql+pymysql://{account}/{name}?charset=utf8mb3"


def write_settings(site: Site) -> None:
    """Write every file anew."""
    for path in (site.keystone_conf, site.cinder_conf, site.broker_conf):
        path.parent.mkdir(parents=True, exist_ok=True)
    for path in (site.share, site.mount_point, site.folder / "lock"):
        path.mkdir(parents=True, exist_ok=True)
    site.keystone_conf.write_text(_keystone(site))
    site.cinder_conf.write_text(_cinder(site))
    site.broker_conf.write_text(
        f"listeners.tcp.1 = 127.0.0.1:{site.ports.broker}\nlog.console = true\n"
        "log.console.level = warning\n"
    )
    (site.broker_conf.parent / "enabled_plugins").write_text("[].\n")
    _write_cinder_companions(site)
    _write_stand_ins(site)


def _keystone(site: Site) -> str:
    folder = site.keystone_conf.parent
    return f"""\
[DEFAULT]
use_stderr = true
public_endpoint = http://127.0.0.1:{site.ports.keystone}/
transport_url = rabbit://guest:guest@127.0.0.1:{site.ports.broker}/
[oslo_messaging_notifications]
driver = noop
[database]
connection = {site.database("keystone")}
[token]
provider = fernet
expiration = {site.token_life}
[identity]
password_hash_algorithm = bcrypt
password_hash_rounds = 4
[fernet_tokens]
key_repository = {folder}/fernet
[credential]
key_repository = {folder}/credential
[cache]
enabled = false
"""


def _cinder(site: Site) -> str:
    etc, state = site.cinder_conf.parent, site.folder / "state"
    return f"""\
[DEFAULT]
use_stderr = true
host = here
my_ip = 127.0.0.1
auth_strategy = keystone
transport_url = rabbit://guest:guest@127.0.0.1:{site.ports.broker}/
state_path = {state}
api_paste_config = {etc}/api-paste.ini
resource_query_filters_file = {etc}/resource_filters.json
rootwrap_config = {etc}/rootwrap.conf
enabled_backends = files
default_volume_type = __DEFAULT__
quota_volumes = -1
quota_gigabytes = -1
quota_backups = 10000
quota_backup_gigabytes = -1
backup_driver = cinder.backup.drivers.posix.PosixBackupDriver
backup_posix_path = {state}/backup
backup_compression_algorithm = zstd
backup_file_size = 1073741824
backup_sha_block_size_bytes = 1048576
scheduler_default_filters = CapacityFilter
[files]
volume_backend_name = files
volume_driver = cinder.volume.drivers.nfs.NfsDriver
nfs_shares_config = {etc}/nfs_shares
nfs_mount_point_base = {site.mount_point.parent}
nfs_sparsed_volumes = true
nfs_snapshot_support = true
nas_secure_file_operations = false
nas_secure_file_permissions = false
max_over_subscription_ratio = 100000
reserved_percentage = 0
[database]
connection = {site.database("cinder")}
[keystone_authtoken]
www_authenticate_uri = {site.keystone_url}
auth_url = {site.keystone_url}
auth_type = password
username = cinder
password = {site.password}
user_domain_name = Default
project_name = service
project_domain_name = Default
service_token_roles = service
service_token_roles_required = true
[oslo_concurrency]
lock_path = {site.folder}/lock
[oslo_messaging_notifications]
driver = noop
[oslo_messaging_rabbit]
heartbeat_in_pthread = false
"""


def _write_cinder_companions(site: Site) -> None:
    """Cinder's own files, as it ships them, and the share that is its backend."""
    etc, shipped = site.cinder_conf.parent, site.environment / "etc" / "cinder"
    for name in ("api-paste.ini", "resource_filters.json"):
        shutil.copy(shipped / name, etc)
    shutil.copytree(shipped / "rootwrap.d", etc / "rootwrap.d", dirs_exist_ok=True)
    (etc / "rootwrap.conf").write_text(f"[DEFAULT]\nfilters_path = {etc}/rootwrap.d\n")
    (etc / "nfs_shares").write_text(f"{SHARE}\n")


def _write_stand_ins(site: Site) -> None:
    """Three programs that let Cinder's stock NFS driver work in a folder of this machine.

    `sudo cinder-rootwrap CONF COMMAND` runs the command; `mount.nfs` is only looked for; and
    `with-share` runs a service in a mount namespace of its own that has the folder where the
    driver expects its mount, so that neither a server nor a kernel with NFS is needed.
    """
    folder = site.folder / "bin"
    folder.mkdir(exist_ok=True)
    stand_ins = {
        "sudo": '[ "$1" != cinder-rootwrap ] || shift 2\nexec "$@"\n',
        "mount.nfs": 'echo "there is no NFS here" >&2\nexit 1\n',
        "with-share": f'mount --bind "{site.share}" "{site.mount_point}"\nexec "$@"\n',
    }
    for name, text in stand_ins.items():
        (folder / name).write_text(f"#!/bin/sh\nset -e\n{text}")
        (folder / name).chmod(0o755)
