"""Keystone v3: users, tokens that expire or are revoked, projects, and the catalog."""

from __future__ import annotations

import base64
import random
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from vbsbatch.simulator.call import CallLog
from vbsbatch.simulator.scenario import Scenario
from vbsbatch.simulator.services import has_gateway, offered
from vbsbatch.simulator.signatures import KeyRing, is_signed
from vbsbatch.simulator.wire import (
    SimReply,
    SimRequest,
    gateway_error,
    json_reply,
    keystone_error,
    load_json,
    zulu_time,
)

REGION = "sim-1"
DOMAIN = {"id": "default", "name": "Default"}
NO_ENTRY = "The request you have made requires authentication."


@dataclass(frozen=True, kw_only=True, slots=True)
class User:
    """A user; one with the role `reader` may not change anything."""

    id: str
    name: str
    password: str
    role: str
    credential_id: str
    """Of an application credential, whose secret is `credential_secret`."""
    credential_secret: str


@dataclass(frozen=True, kw_only=True, slots=True)
class SimToken:
    """The token of one sign-in; times by the true clock."""

    user: User
    project_id: str | None
    methods: tuple[str, ...]
    issued_at: float
    expires_at: float
    audit_id: str


def make_user(name: str, role: str, seed: int) -> User:
    """The user of this name; secrets follow from the seed, so a restart keeps them."""
    rng = random.Random(f"user {name} {seed}")
    return User(
        id=f"{rng.getrandbits(128):032x}",
        name=name,
        password=f"sim-{rng.getrandbits(64):016x}",
        role=role,
        credential_id=f"{rng.getrandbits(128):032x}",
        credential_secret=_random_text(rng, 32),
    )


def _random_text(rng: random.Random, size: int) -> str:
    return base64.urlsafe_b64encode(rng.randbytes(size)).decode().rstrip("=")


class Identity:
    """The identity service of one cloud."""

    def __init__(
        self,
        projects: Mapping[str, str],
        users: tuple[User, ...],
        keys: KeyRing,
        rng: random.Random,
        ledger: CallLog,
    ) -> None:
        self.projects = projects
        """Names by id."""
        self.users = users
        self.keys = keys
        self.tokens: dict[str, SimToken] = {}
        self._rng = rng
        self._ledger = ledger

    def revoke_all(self, now: float, after: float = 0.0) -> None:
        """Revoke every token that was issued so far, `after` so many seconds."""
        self._ledger.note("revoke", now, tokens=len(self.tokens))
        self.tokens = {
            value: replace(token, expires_at=min(token.expires_at, now + after))
            for value, token in self.tokens.items()
            if after
        }

    def token(self, value: str | None, now: float) -> SimToken | None:
        """The token of this value; None when it is unknown, revoked or expired."""
        token = self.tokens.get(value or "")
        return token if token is not None and now < token.expires_at else None

    def proved(self, request: SimRequest, now: float, scenario: Scenario) -> SimToken | str:
        """The token of a request, or one made for a request that is signed with a key.

        Without either, the gateway's message. Plain OpenStack has no gateway and knows no
        signatures.
        """
        if not (is_signed(request) and has_gateway(scenario.services)):
            token = self.token(request.headers.get("x-auth-token"), now)
            return token or "decrypt token fail"
        key = self.keys.check(request, now + scenario.clock_ahead)
        if isinstance(key, str):
            return key
        project_id = request.headers.get("x-project-id")
        return SimToken(
            user=next(user for user in self.users if user.id == key.owner),
            project_id=project_id if project_id in self.projects else None,
            methods=("aksk",),
            issued_at=now,
            expires_at=now,
            audit_id="",
        )

    def handle(
        self, request: SimRequest, parts: list[str], now: float, scenario: Scenario
    ) -> SimReply:
        """Answer a request whose path, after `/identity`, is `parts`."""
        if parts in ([], ["v3"]):
            return _versions(request.base, only_v3=bool(parts))
        if parts == ["v3", "auth", "tokens"] and request.method == "POST":
            return self._sign_in(request, now, scenario)
        token = self.proved(request, now, scenario)
        if isinstance(token, str):
            return self.refuse(request, token, scenario)
        if parts == ["v3", "auth", "tokens"]:
            return self._own_token(request, now, scenario)
        if parts in (["v3", "projects"], ["v3", "auth", "projects"]):
            wanted = request.query.get("name")
            listed = [self._project(p) for p in self.projects if wanted in (None, self.projects[p])]
            return json_reply(200, {"projects": listed, "links": {"next": None}})
        if parts[:2] == ["v3", "projects"] and len(parts) == 3 and parts[2] in self.projects:
            return json_reply(200, {"project": self._project(parts[2])})
        if parts == ["v3", "auth", "catalog"]:
            entries = catalog(request.base, token.project_id, scenario)
            return json_reply(200, {"catalog": entries})
        return keystone_error(404, f"Could not find: {'/'.join(parts)}.")

    def refuse(
        self, request: SimRequest, why: str, scenario: Scenario, *, gateway: bool = False
    ) -> SimReply:
        """The 401 for a request that proves nothing: Keystone's, or a `gateway`'s.

        Signatures are refused by a gateway wherever there is one.
        """
        if gateway or (is_signed(request) and has_gateway(scenario.services)):
            message = f"Incorrect IAM authentication information: {why}"
            request_id = f"{self._rng.getrandbits(128):032x}"
            return gateway_error(401, "APIG.0301", message, request_id)
        return keystone_error(401, NO_ENTRY, challenge(request.base))

    def _sign_in(self, request: SimRequest, now: float, scenario: Scenario) -> SimReply:
        content = load_json(request.body)
        auth = content.get("auth") if isinstance(content, dict) else None
        wanted = auth.get("identity") if isinstance(auth, dict) else None
        methods = wanted.get("methods") if isinstance(wanted, dict) else None
        if not isinstance(methods, list) or not methods or not isinstance(wanted, dict):
            return keystone_error(400, "Expecting to find auth with an identity and its methods.")
        users = [self._check(str(method), wanted.get(method), now) for method in methods]
        user = users[0]
        scope = auth.get("scope") if isinstance(auth, dict) else None
        project_id = self._scope(scope, methods)
        if user is None or any(found is not user for found in users) or project_id is None:
            self._ledger.note("token", now, user=None, method=str(methods[0]), outcome="refused")
            return keystone_error(401, NO_ENTRY, challenge(request.base))
        return self._issue(request, user, project_id or None, tuple(methods), now, scenario)

    def _check(self, method: str, secret: object, now: float) -> User | None:
        """The user that this method proves; None if it proves nobody."""
        if not isinstance(secret, dict):
            return None
        if method == "token":
            token = self.token(str(secret.get("id")), now)
            return token.user if token else None
        named = secret.get("user")
        if method == "password" and isinstance(named, dict):
            return self._by(named, "password", named.get("password"))
        if method == "application_credential":
            if "id" in secret:
                return next(
                    (
                        user
                        for user in self.users
                        if user.credential_id == secret["id"]
                        and user.credential_secret == secret.get("secret")
                    ),
                    None,
                )
            if isinstance(named, dict):
                return self._by(named, "credential_secret", secret.get("secret"))
        return None

    def _by(self, named: Mapping[str, object], secret: str, given: object) -> User | None:
        for user in self.users:
            known = named.get("id") == user.id or named.get("name") == user.name
            if known and getattr(user, secret) == given:
                return user
        return None

    def _scope(self, scope: object, methods: list[object]) -> str | None:
        """The project's id; empty for an unscoped token, None for an unknown project."""
        if scope in (None, "unscoped", {}):
            return next(iter(self.projects)) if "application_credential" in methods else ""
        wanted = scope.get("project") if isinstance(scope, dict) else None
        if not isinstance(wanted, dict):
            return ""
        for project_id, name in self.projects.items():
            if wanted.get("id") == project_id or wanted.get("name") == name:
                return project_id
        return None

    def _issue(
        self,
        request: SimRequest,
        user: User,
        project_id: str | None,
        methods: tuple[str, ...],
        now: float,
        scenario: Scenario,
    ) -> SimReply:
        value = "gAAAAAB" + _random_text(self._rng, 132)
        token = SimToken(
            user=user,
            project_id=project_id,
            methods=methods,
            issued_at=now,
            expires_at=now + scenario.token_life,
            audit_id=_random_text(self._rng, 16),
        )
        self.tokens[value] = token
        self._ledger.note("token", now, user=user.name, method=methods[0], outcome="issued")
        return json_reply(
            201, self._describe(request.base, token, scenario), {"x-subject-token": value}
        )

    def _own_token(self, request: SimRequest, now: float, scenario: Scenario) -> SimReply:
        value = request.headers.get("x-subject-token")
        subject = self.token(value, now)
        if subject is None:
            return keystone_error(404, "Could not find token.")
        if request.method == "DELETE":
            self.tokens.pop(value or "", None)
            return SimReply(204)
        content = self._describe(request.base, subject, scenario)
        return json_reply(200, content, {"x-subject-token": value or ""})

    def _describe(self, base: str, token: SimToken, scenario: Scenario) -> dict[str, Any]:
        ahead = scenario.clock_ahead
        content: dict[str, Any] = {
            "methods": list(token.methods),
            "user": {
                "id": token.user.id,
                "name": token.user.name,
                "domain": DOMAIN,
                "password_expires_at": None,
            },
            "issued_at": zulu_time(token.issued_at + ahead, digits=6),
            "expires_at": zulu_time(token.expires_at + ahead, digits=6),
            "audit_ids": [token.audit_id],
        }
        if token.project_id:
            content["project"] = {
                "id": token.project_id,
                "name": self.projects[token.project_id],
                "domain": DOMAIN,
            }
            content["is_domain"] = False
            content["roles"] = [{"id": f"role-{token.user.role}", "name": token.user.role}]
            content["catalog"] = catalog(base, token.project_id, scenario)
        return {"token": content}

    def _project(self, project_id: str) -> dict[str, Any]:
        return {
            "id": project_id,
            "name": self.projects[project_id],
            "domain_id": DOMAIN["id"],
            "enabled": True,
            "is_domain": False,
            "description": "",
            "parent_id": DOMAIN["id"],
            "tags": [],
            "options": {},
            "links": {},
        }


def challenge(base: str) -> dict[str, str]:
    """The header of a 401 that names the identity service."""
    return {"www-authenticate": f'Keystone uri="{base}/identity"'}


def catalog(base: str, project_id: str | None, scenario: Scenario) -> list[dict[str, Any]]:
    """The catalog in a token of this project."""
    keystone = _service("identity", "keystone", f"{base}/identity")
    base = scenario.catalog or base
    block_storage = f"{base}/volume/v3/{project_id}"
    entries = [
        keystone,
        _service("block-storage", "cinder", block_storage),
        _service("volumev3", "cinderv3", block_storage),
        _service("compute", "nova", f"{base}/compute/v2.1/{project_id}"),
    ]
    if has_gateway(scenario.services):
        entries += [
            _service("volumev2", "cinderv2", f"{base}/volume/v2/{project_id}"),
            _service("evs", "evs", f"{base}/volume/v2/{project_id}"),
        ]
    return entries + [
        _service(kind, name, base + path.format(project=project_id))
        for each in offered(scenario.services)
        for kind, name, path in each.catalog
    ]


def _service(kind: str, name: str, url: str) -> dict[str, Any]:
    endpoints = [
        {
            "id": f"{name}-{interface}",
            "interface": interface,
            "url": url,
            "region": REGION,
            "region_id": REGION,
        }
        for interface in ("public", "internal", "admin")
    ]
    return {"id": f"service-{name}-{kind}", "type": kind, "name": name, "endpoints": endpoints}


def _versions(base: str, *, only_v3: bool) -> SimReply:
    v3 = {
        "id": "v3.14",
        "status": "stable",
        "updated": "2020-04-07T00:00:00Z",
        "links": [{"rel": "self", "href": f"{base}/identity/v3/"}],
        "media-types": [
            {"base": "application/json", "type": "application/vnd.openstack.identity-v3+json"}
        ],
    }
    if only_v3:
        return json_reply(200, {"version": v3})
    return json_reply(300, {"versions": {"values": [v3]}})
