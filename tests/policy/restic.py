"""A restic repository made by hand: as many snapshots as wanted, at any time, in no time.

`restic backup --time` derives the key of the repository anew for each snapshot, which takes half a
second of CPU. Here the key costs nothing, and a snapshot is one encrypted file. The real restic
reads it all, and judges.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.poly1305 import Poly1305

from tests.debian import SYSTEM_PATH

RESTIC = shutil.which("restic", path=SYSTEM_PATH)

_PASSWORD = b"judge"
_SCRYPT: dict[str, int] = {"n": 2, "r": 1, "p": 1}
"""The weakest: nothing here is secret."""


class _Key:
    """Encrypts as restic does: AES-256-CTR, and Poly1305-AES over the result."""

    def __init__(self, material: bytes) -> None:
        self.encrypt, self.k, self.r = material[:32], material[32:48], material[48:64]

    def sealed(self, text: bytes) -> bytes:
        nonce = os.urandom(16)
        counter = Cipher(algorithms.AES(self.encrypt), modes.CTR(nonce)).encryptor()
        hidden = counter.update(text) + counter.finalize()
        once = Cipher(algorithms.AES(self.k), modes.ECB()).encryptor()  # as Poly1305-AES says
        mac = Poly1305(self.r + once.update(nonce))
        mac.update(hidden)
        return nonce + hidden + mac.finalize()


class Repository:
    """One repository below a folder; its hosts are groups that `forget` judges by themselves."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for name in ("data", "index", "keys", "locks", "snapshots"):
            (folder / name).mkdir(parents=True)
        self._master = _Key(os.urandom(64))
        self._write_key()
        config = {"version": 1, "id": "0" * 64, "chunker_polynomial": "3da3358b4dc173"}
        (folder / "config").write_bytes(self._master.sealed(json.dumps(config).encode()))

    def _write_key(self) -> None:
        salt = os.urandom(64)
        user = _Key(hashlib.scrypt(_PASSWORD, salt=salt, dklen=64, **_SCRYPT))
        mac = {"k": _text(self._master.k), "r": _text(_masked(self._master.r))}
        self._master.r = _masked(self._master.r)
        master = {"mac": mac, "encrypt": _text(self._master.encrypt)}
        key = {
            "created": "2026-01-01T00:00:00Z",
            "username": "judge",
            "hostname": "judge",
            "kdf": "scrypt",
            **{name.upper() if name == "n" else name: value for name, value in _SCRYPT.items()},
            "salt": _text(salt),
            "data": _text(user.sealed(json.dumps(master).encode())),
        }
        self._file("keys", json.dumps(key).encode())

    def add(self, host: str, at: float, zone: ZoneInfo) -> str:
        """A snapshot of that moment; its id."""
        content = {
            "time": datetime.fromtimestamp(at, UTC).astimezone(zone).isoformat(),
            "tree": "0" * 64,
            "paths": ["/volume"],
            "hostname": host,
            "username": "judge",
        }
        return self._file("snapshots", self._master.sealed(json.dumps(content).encode()))

    def _file(self, kind: str, content: bytes) -> str:
        name = hashlib.sha256(content).hexdigest()
        (self.folder / kind / name).write_bytes(content)
        return name

    def forget(self, options: Sequence[str], timezone: str) -> Mapping[str, list[str]]:
        """The ids of the snapshots that these options keep, each with restic's reasons."""
        assert RESTIC is not None
        command = [RESTIC, "forget", "--dry-run", "--json", "--no-cache", "--no-lock", *options]
        environment = {
            "PATH": SYSTEM_PATH,
            "TZ": timezone,
            "RESTIC_REPOSITORY": str(self.folder),
            "RESTIC_PASSWORD": _PASSWORD.decode(),
        }
        done = subprocess.run(command, env=environment, capture_output=True, check=False)
        assert done.returncode == 0, done.stderr.decode()
        groups: list[dict[str, Any]] = json.loads(done.stdout)
        return {
            snapshot["id"]: reason["matches"]
            for group in groups
            for snapshot, reason in zip(group["keep"], group["reasons"], strict=True)
        }


def _text(content: bytes) -> str:
    return base64.b64encode(content).decode()


def _masked(r: bytes) -> bytes:
    """The bits of Poly1305's `r` that must be zero; restic refuses a key in which they are not."""
    ones = bytes.fromhex("ffffff0ffcffff0ffcffff0ffcffff0f")
    return bytes(a & b for a, b in zip(r, ones, strict=True))
