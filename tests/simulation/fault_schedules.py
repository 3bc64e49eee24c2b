"""The faults of a night, drawn from its seed."""

from __future__ import annotations

from dataclasses import replace
from random import Random
from typing import Any

from vbsbatch.model import Rate, Settings
from vbsbatch.simulator import (
    BackupScript,
    Busy,
    Do,
    Fault,
    GatewayLimit,
    Kind,
    Scenario,
    Services,
    VaultScript,
)

from .night import Night, with_settings

RATES = (Rate(count=1), Rate(count=5), Rate(count=20), Rate(count=100, per=60.0))

CREATE_FAULTS: tuple[dict[str, Any], ...] = (
    {"do": Do.STATUS, "status": 503, "code": "VolumeBackup.0900"},
    {"do": Do.STATUS, "status": 503, "code": "VolumeBackup.0900", "after": True},
    {"do": Do.STATUS, "status": 500, "after": True},
    {"do": Do.STATUS, "status": 400, "code": "VolumeBackup.0014", "after": True},
    {"do": Do.STATUS, "status": 400, "code": "VolumeBackup.0017"},
    {"do": Do.STATUS, "status": 400, "code": "VolumeBackup.0012"},
    {"do": Do.STATUS, "status": 409},
    {"do": Do.HTML},
    {"do": Do.HTML, "after": True},
    {"do": Do.DROP_BEFORE},
    {"do": Do.DROP_AFTER},
    {"do": Do.HANG},
    {"do": Do.HANG_AFTER},
    {"do": Do.GARBAGE},
    {"do": Do.CUT},
    {"do": Do.DELAY, "delay": (1.0, 50.0)},
    {"do": Do.THROTTLE},
    {"do": Do.THROTTLE, "retry_after": "7"},
    {"do": Do.FAIL, "code": "VolumeBackup.0064"},
    {"do": Do.FAIL, "code": "VolumeBackup.0017", "early": True},
    {"do": Do.FAIL, "code": "VolumeBackup.0027", "early": True},
    {"do": Do.REVOKE},
    {"do": Do.NULL},
    {"do": Do.HTML, "status": 404},
    {"do": Do.HTML, "status": 403},
    {"do": Do.HTML, "status": 200, "after": True},
    {"do": Do.STATUS, "status": 401, "message": "The request requires authentication."},
    {"do": Do.STATUS, "status": 498, "message": "Too Many Requests", "retry_after": "2"},
    {"do": Do.STATUS, "status": 403, "message": "Request rate exceeded"},
    {"do": Do.STATUS, "status": 413, "message": "Over limit", "retry_after": "0"},
    {
        "do": Do.STATUS,
        "status": 413,
        "message": "This request was rate-limited.",
        "retry_after": "3",
        "retry_after_key": "retryAfter",
    },
    {"do": Do.STATUS, "status": 503, "retry_after": "5"},
    {"do": Do.STATUS, "status": 503, "retry_after": "5", "after": True},
)
BUSY = "Volume to be backed up must be available or in-use, but the current status is"
CINDER_FAULTS: tuple[dict[str, Any], ...] = (
    {"do": Do.STATUS, "status": 503},
    {"do": Do.STATUS, "status": 500, "after": True},
    {"do": Do.STATUS, "status": 400, "message": f'{BUSY} "attaching".'},
    {"do": Do.STATUS, "status": 400, "message": f'{BUSY} "backing-up".'},
    {"do": Do.STATUS, "status": 404, "message": "Service cinder-backup could not be found."},
    {"do": Do.FAIL, "code": "Service not found for creating backup."},
    {"do": Do.FAIL, "code": "incomplete backup reset on manager restart"},
)
CBR_FAULTS: tuple[dict[str, Any], ...] = (
    {"do": Do.STATUS, "status": 500, "code": "BackupService.9910"},
    {"do": Do.STATUS, "status": 500, "code": "BackupService.9910", "after": True},
    {"do": Do.STATUS, "status": 500, "code": "BackupService.0002"},
    {"do": Do.STATUS, "status": 400, "code": "BackupService.0001"},
    {"do": Do.STATUS, "status": 400, "code": "BackupService.6125"},
    {"do": Do.STATUS, "status": 400, "code": "BackupService.6203"},
    {"do": Do.STATUS, "status": 400, "code": "BackupService.6113"},
    {"do": Do.STATUS, "status": 400, "code": "BackupService.7202"},
    {"do": Do.STATUS, "status": 500, "code": "BackupService.9998"},
    {"do": Do.FAIL, "code": "BackupService.7202"},
    {"do": Do.FAIL, "code": "BackupService.7202", "early": True},
)
READ_FAULTS: tuple[dict[str, Any], ...] = (
    {"do": Do.STATUS, "status": 503},
    {"do": Do.STATUS, "status": 429, "retry_after": "3"},
    {"do": Do.DROP_BEFORE},
    {"do": Do.HANG},
    {"do": Do.GARBAGE},
    {"do": Do.HTML},
    {"do": Do.CUT},
    {"do": Do.NULL},
    {"do": Do.NO_MARKER},
    {"do": Do.NO_PAGING},
    {"do": Do.HTML, "status": 404},
    {"do": Do.HTML, "status": 200},
    {"do": Do.STATUS, "status": 403, "code": "APIG.0302"},
    {"do": Do.STATUS, "status": 401, "message": "The request requires authentication."},
    {"do": Do.STATUS, "status": 413, "message": "Over limit", "retry_after": "3"},
    {"do": Do.STATUS, "status": 498, "message": "Too Many Requests"},
    {"do": Do.STATUS, "status": 504, "longer": 200},
    {"do": Do.HANG, "longer": 40},
)


def stormy(seed: int) -> Night:
    """A night in which anything may go wrong, any number of times, including kills."""
    random = Random(f"weather {seed}")
    night = Night(
        seed=seed,
        volumes=random.randint(1, 30),
        scenario=scenario(random),
        settings=settings(random),
        lives=random.choice((1, 3, 6)),
        stops=40,
        backup_name=random.choice(("n-{no}-{run}", "same-name")),
    )
    return unsteady(night) if seed % 2 else night


BY = (-2 * 86400.0, -86400.0, -3600.0, -90.0, -7.0, 7.0, 90.0, 3600.0, 86400.0, 2 * 86400.0)
"""Seconds by which clocks are set: from seconds to days, both ways."""


def on_cbr(night: Night) -> Night:
    """The same night on CBR, with several jobs in a create; what its reference leaves open is
    drawn."""
    random = Random(f"cbr {night.seed}")
    drawn = [
        Fault(on=Kind.CREATE, share=random.choice((0.05, 0.15)), **fault)
        for fault in random.sample(CBR_FAULTS, random.randint(0, 3))
    ]
    limits = replace(night.settings.limits, per_checkpoint=random.choice((1, 3, 32)))
    return replace(
        night,
        scenario=replace(
            night.scenario,
            services=Services.CBR,
            vaults=vault_script(random),
            faults=(*night.scenario.faults, *drawn),
        ),
        settings=replace(night.settings, limits=limits),
    )


def vault_script(random: Random) -> VaultScript:
    """Vaults, and a setting of each switch."""
    return VaultScript(
        number=random.choice((None, 2, 5)),
        busy=random.choice(tuple(Busy)),
        busy_code=random.choice([f"BackupService.{code}" for code in ("6203", "6125", "0002")]),
        busy_status=random.choice((400, 409, 500)),
        refuses_all=random.random() < 0.5,
        silent=random.choice((0.0, 0.0, 0.3)),
        suffix=random.choice("-_"),
        as_text=random.random() < 0.5,
        zone=random.random() < 0.5,
        logs_after=(0.0, random.choice((0.0, 20.0))),
        progress=random.random() < 0.5,
        restore_job=random.random() < 0.5,
        restores_at_once=random.random() < 0.5,
        hides_restores=random.random() < 0.5,
    )


def unsteady(night: Night, *, cloud: bool = True) -> Night:
    """The same night with unreliable clocks: the machine's clock is set several times, the cloud's
    too, and the machine sleeps."""
    random = Random(f"clocks {night.seed}")
    events = tuple(
        (random.uniform(0.0, 600.0), random.choice(("set", "set", "sleep")), random.choice(BY))
        for _ in range(random.randint(1, 5))
    )
    steps = [(random.uniform(0.0, 600.0), random.choice(BY)) for _ in range(random.randint(0, 2))]
    return replace(
        night,
        clock_events=tuple((at, what, abs(s) if what == "sleep" else s) for at, what, s in events),
        scenario=replace(night.scenario, clock_steps=tuple(steps) if cloud else ()),
    )


FATES = (
    {"do": Do.STATUS, "status": 503},
    {"do": Do.STATUS, "status": 500},
    {"do": Do.HANG},
    {"do": Do.HTML},
    {"do": Do.DROP_BEFORE},
    {"do": Do.STATUS, "status": 409},
    {"do": Do.STATUS, "status": 400, "code": "VolumeBackup.0040"},
    {"do": Do.FAIL, "code": "VolumeBackup.0064"},
)
"""What may happen to every create of a volume that can never be backed up."""


def fated(seed: int) -> tuple[Night, frozenset[str]]:
    """A night in which a few volumes, often the first of the plan, can never be backed up; returns
    which."""
    random = Random(f"fates {seed}")
    volumes, bad = random.randint(10, 60), random.randint(1, 9)
    ids = [job.volume_id for job in Night(seed=seed, volumes=volumes).jobs()]
    doomed = ids[:bad] if random.random() < 0.5 else random.sample(ids, bad)
    chosen = random.choices(FATES, k=random.randint(1, 2))
    faults = [
        Fault(on=Kind.CREATE, volumes=frozenset(doomed[n :: len(chosen)]), **fate)
        for n, fate in enumerate(chosen)
        if doomed[n :: len(chosen)]
    ]
    night = Night(
        seed=seed,
        volumes=volumes,
        scenario=Scenario(
            faults=tuple(faults), services=random.choice((Services.VBS, Services.CINDER))
        ),
        settings=settings(random),
        lives=random.choice((1, 3)),
        stops=3,
    )
    return night, frozenset(doomed)


def scenario(random: Random) -> Scenario:
    slow = random.choice((5.0, 60.0, 600.0))
    services = random.choice((Services.VBS, Services.VBS, Services.CINDER))
    return Scenario(
        backups=BackupScript(
            duration=(slow * 0.7, slow * 1.3),
            visible_after=(0.0, random.choice((0.5, 15.0))),
            fail=random.choice((0.0, 0.1)),
            fail_early=random.choice((0.0, 0.1)),
        ),
        token_life=random.choice((60.0, 3600.0, 86400.0)),
        limit=random.choice((None, None, GatewayLimit(count=2), GatewayLimit(count=60, per=60.0))),
        latency=(0.01, random.choice((0.02, 3.0))),
        clock_ahead=random.choice((0.0, 0.0, -40.0, 300.0)),
        services=services,
        busy_after=random.choice((0.0, 5.0, 86400.0)),
        revoked_after=random.choice((0.0, 0.0, 30.0)),
        page=random.choice((1000, 1000, 7, 1)),
        links=random.choice((True, True, False)),
        faults=faults(random, services),
    )


def faults(random: Random, services: Services) -> tuple[Fault, ...]:
    known = CREATE_FAULTS + (CINDER_FAULTS if services is Services.CINDER else ())
    drawn = [
        Fault(on=Kind.CREATE, share=random.choice((0.05, 0.3)), **fault)
        for fault in random.sample(known, random.randint(0, 4))
    ]
    for fault in random.sample(READ_FAULTS, random.randint(0, 2)):
        kind = random.choice((Kind.LIST, Kind.JOB, Kind.BACKUP, Kind.DELETE))
        drawn.append(Fault(on=kind, share=random.choice((0.05, 0.3)), **fault))
    if random.random() < 0.3:
        begin = random.uniform(0, 60)
        lasts = random.choice((20.0, 600.0, 7200.0))
        down = random.choice((Do.REFUSE, Do.STATUS, Do.HANG, Do.HTML))
        status = random.choice((None, 404)) if down is Do.HTML else None
        window = (begin, begin + (min(lasts, 600.0) if status else lasts))  # or it is a verdict
        where = random.choice((None, Kind.CREATE))
        drawn.insert(0, Fault(on=where, do=down, status=status, between=window))
    return tuple(drawn)


def settings(random: Random) -> Settings:
    return with_settings(
        limits={
            "rate": random.choice(RATES),
            "in_flight": random.choice((1, 4, 30)),
            "connections": random.choice((1, 4, 16)),
        },
        retry={
            "settle": 30.0,
            "later_every": 30.0,
            "attempts": random.choice((3, 6, 12)),
            "base": random.choice((0.5, 2.0)),
        },
        timeouts={"read": random.choice((10.0, 60.0))},
        delete_errored=random.random() < 0.8,
    )
