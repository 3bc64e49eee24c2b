"""A small Keystone on the loopback, which says what the test wants it to say."""

from __future__ import annotations

import datetime
import ipaddress
import json
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from .fixtures import PASSWORD, PROJECT, SECRET

PASSCODE = "314159"


@dataclass
class FakeKeystone:
    """What the identity service knows, and what it was asked."""

    url: str = ""
    project_id: str | None = PROJECT
    life: float = 3600.0
    ahead: float = 0.0
    status: int | None = None
    """Answer every request with this status instead."""
    body: bytes = b"<html>nothing here</html>"
    catalog: list[dict[str, Any]] = field(default_factory=list)
    odd: dict[str, Any] = field(default_factory=dict)
    """Members of the token as they are given instead; `...` leaves one out."""
    says: tuple[int, dict[str, Any], dict[str, str]] | None = None
    """Answer every sign-in with this status, document and these headers instead."""
    busy: int = 0
    """Answer so many sign-ins with 503 first."""
    tokens: int = 0
    posted: list[dict[str, Any]] = field(default_factory=list)

    def offer(
        self, kind: str, url: str, region: str = "eu-de", *, interface: str = "public"
    ) -> None:
        endpoint = {
            "id": f"e-{len(self.catalog)}", "interface": interface, "region": region,
            "region_id": region, "url": url,
        }  # fmt: skip
        self.catalog.append({"id": kind, "type": kind, "name": kind, "endpoints": [endpoint]})

    def versions(self) -> dict[str, Any]:
        links = [{"rel": "self", "href": f"{self.url}/v3/"}]
        return {"version": {"id": "v3.14", "status": "stable", "links": links}}

    def token(self) -> dict[str, Any]:
        issued = datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds=self.ahead)
        expires = issued + datetime.timedelta(seconds=self.life)
        body: dict[str, Any] = {
            "methods": ["password"], "user": {"id": "u", "name": "backup"},
            "issued_at": issued.strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
            "expires_at": expires.strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
        }  # fmt: skip
        if self.project_id:
            body |= {"project": {"id": self.project_id, "name": "prod"}, "catalog": self.catalog}
        body |= self.odd
        return {"token": {key: value for key, value in body.items() if value is not ...}}

    def knows(self, request: dict[str, Any]) -> bool:
        identity = request.get("auth", {}).get("identity", {})
        if "totp" in identity:
            return bool(identity["totp"]["user"].get("passcode") == PASSCODE)
        if "token" in identity:
            return bool(identity["token"].get("id") == PASSWORD)
        if "password" in identity:
            return bool(identity["password"]["user"].get("password") == PASSWORD)
        return bool(identity.get("application_credential", {}).get("secret") == PASSWORD)


def _handler(keystone: FakeKeystone) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.say(keystone.status or 200, keystone.versions())

        def do_POST(self) -> None:
            request = json.loads(self.rfile.read(int(self.headers["content-length"])))
            keystone.posted.append(request)
            if keystone.busy:
                keystone.busy -= 1
                self.say(503, {})
            elif keystone.says is not None:
                self.say(*keystone.says)
            elif keystone.status:
                self.say(keystone.status, {})
            elif not keystone.knows(request):
                # A careless service that repeats what it was sent.
                self.say(401, {"error": {"code": 401, "message": f"no: {json.dumps(request)}"}})
            else:
                keystone.tokens += 1
                self.say(201, keystone.token(), {"X-Subject-Token": f"{SECRET}-{keystone.tokens}"})

        def say(self, status: int, document: Any, headers: dict[str, str] | None = None) -> None:
            body = keystone.body if keystone.status else json.dumps(document).encode()
            self.send_response(status)
            for name, value in {"Content-Length": str(len(body)), **(headers or {})}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args: Any) -> None:
            pass

    return Handler


@contextmanager
def running(certificate: Path | None = None) -> Iterator[FakeKeystone]:
    """A Keystone that serves until the end of the block, over TLS with a certificate."""
    keystone = FakeKeystone()
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(keystone))
    server.handle_error = lambda *_: None  # type: ignore[method-assign]
    if certificate is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        server.socket = context.wrap_socket(
            server.socket, server_side=True, do_handshake_on_connect=False
        )
    scheme = "http" if certificate is None else "https"
    keystone.url = f"{scheme}://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield keystone
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def private_certificate(folder: Path) -> Path:
    """A self-signed certificate for 127.0.0.1 with its key in one PEM file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "a private CA")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), False
        )
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = folder / "server.pem"
    path.write_bytes(
        certificate.public_bytes(serialization.Encoding.PEM)
        + key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return path
