"""Projects, users, roles and the catalog, and their `clouds.yaml`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from keystoneauth1 import session
from keystoneauth1.identity import v3

from tests.openstack.settings import Site

REGION = "RegionOne"
USERS = {
    "cinder": ("service", ("admin", "service")),
    "backup": ("prod", ("member",)),
    "reader": ("prod", ("reader",)),
}
"""User: (project, roles). `backup` is the one that vbsbatch signs in as, `reader` may only look."""


def auth(site: Site, user: str) -> dict[str, str]:
    """What keystoneauth's password plugin and clouds.yaml call `auth`."""
    project = "admin" if user == "admin" else USERS[user][0]
    domains = {"user_domain_name": "Default", "project_domain_name": "Default"}
    return {
        "auth_url": site.keystone_url,
        "username": user,
        "password": site.password,
        "project_name": project,
        **domains,
    }


def signed_in(site: Site, user: str) -> session.Session:
    return session.Session(auth=v3.Password(**auth(site, user)))


def make_accounts(site: Site) -> None:
    """Fill a Keystone that knows nothing but its `admin`."""
    admin = signed_in(site, "admin")

    def post(kind: str, **values: Any) -> str:
        answer = admin.post(f"{site.keystone_url}/{kind}s", json={kind: values})
        return str(answer.json()[kind]["id"])

    known = admin.get(f"{site.keystone_url}/roles").json()["roles"]
    roles = {role["name"]: role["id"] for role in known}
    projects: dict[str, str] = {}
    for user, (project, wanted) in USERS.items():
        if project not in projects:
            projects[project] = post("project", name=project, domain_id="default")
        person = post("user", name=user, password=site.password, domain_id="default")
        for role in wanted:
            place = f"projects/{projects[project]}/users/{person}/roles/{roles[role]}"
            admin.put(f"{site.keystone_url}/{place}")
    for kind, name in (("block-storage", "cinder"), ("volumev3", "cinderv3")):
        service = post("service", type=kind, name=name)
        url = f"{site.cinder_url}/v3/%(project_id)s"
        post("endpoint", service_id=service, interface="public", region_id=REGION, url=url)


def write_clouds(site: Site, path: Path) -> None:
    """A clouds.yaml (JSON is YAML) with one entry a user."""
    entries = {
        user: {"auth": auth(site, user), "region_name": REGION, "identity_api_version": "3"}
        for user in ("admin", *USERS)
    }
    path.write_text(json.dumps({"clouds": entries}, indent=1))
    path.chmod(0o600)
