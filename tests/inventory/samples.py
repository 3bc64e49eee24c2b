"""Volumes, servers and fleets for the tests of this room."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

from vbsbatch.inventory.filters import chosen, usable
from vbsbatch.inventory.plan_writer import Heading, plan_text
from vbsbatch.inventory.volumes_by_server import VolumesByServer
from vbsbatch.model import CloudServer, CloudVolume
from vbsbatch.plan import Plan, VolumeSelection, load

ALL = VolumeSelection()


def uuid(number: int) -> str:
    return f"{number:08x}-9dad-11d1-80b4-00c04fd430c8"


def volume(number: int, name: str | None = None, **facts: Any) -> CloudVolume:
    known: dict[str, Any] = {"size": 40, "status": "available", "volume_type": "SSD"}
    return CloudVolume(id=uuid(number), name=name or f"v{number}", **{**known, **facts})


FLEET = VolumesByServer.of(
    [
        volume(1, "web01-root", status="in-use", server_ids=("s-web",), zone="az1"),
        volume(2, "db01-data", status="in-use", server_ids=("s-db",), size=500, zone="az2"),
        volume(3, "db01-log", status="in-use", server_ids=("s-db",), size=100, volume_type="SAS"),
        volume(4, "old", metadata=(("env", "prod"), ("tier", "db"))),
        volume(5, "broken", status="error", metadata=(("env", "test"), ("tier", "db"))),
        volume(6, "busy", status="backing-up", metadata=(("env", "prod"),)),
    ],
    [CloudServer(id="s-web", name="web01"), CloudServer(id="s-db", name="db01")],
)

hostile = st.text(max_size=40) | st.sampled_from(
    [
        *("true", "null", "~", "- x", "a: b", "a #b", "'", '"', "\\", "\x1b[31m", "a\nb", "\u2028"),
        *("{plan}", "[1]", "*a", "&a", "!t", "%x", "@", "`", "|", ">", "1.10", "0x1f", "1_0", "=x"),
        *("\U0001f600", "\ufeff", "\u202e", "\ud800", "x" * 300, " lead", "trail ", "on", "22:00"),
    ]
)
"""Names as nobody should give them."""

volumes = st.builds(
    CloudVolume,
    id=st.integers(0, 30).map(uuid) | st.integers(0, 30).map(lambda n: uuid(n).upper()) | hostile,
    name=st.none() | hostile,
    size=st.none() | st.integers(-5, 10**12),
    status=st.none() | st.sampled_from(["available", "in-use", "error", "backing-up"]) | hostile,
    volume_type=st.none() | hostile,
    zone=st.none() | hostile,
    server_ids=st.lists(
        st.sampled_from(["s1", "s2", "s3", "12345", "1e5", "0x1f", "null"]), max_size=2
    ).map(tuple),
)
servers = st.builds(CloudServer, id=st.sampled_from(["s1", "s2", "s3"]), name=st.none() | hostile)
fleets = st.builds(
    VolumesByServer.of, st.lists(volumes, max_size=12), st.lists(servers, max_size=3)
)


def text(fleet: VolumesByServer, selection: VolumeSelection = ALL, **heading: Any) -> str:
    fitting = chosen(fleet, selection)
    volumes = usable(fitting, selection)
    known = Heading(**{"name": "fleet", "cloud": "otc", "selection": selection, **heading})
    left_out = {key: each for key, each in fitting.items() if key not in volumes}
    return "".join(f"{line}\n" for line in plan_text(fleet, volumes, known, left_out=left_out))


def loaded(written: str) -> Plan:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "plan.yaml"
        path.write_text(written, encoding="utf-8")
        return load(path)
