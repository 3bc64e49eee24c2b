"""What the public error reference says about every code, in the tests' own form.

A line: code (without `VolumeBackup.`), status or `-`, verdict of a create, meaning.
"""

from __future__ import annotations

from typing import NamedTuple

_LINES = """\
common.0011 404 query the job query failed
0002 400 fail the request format is incorrect
0003 400 fail name too long
0004 400 fail name has invalid characters
0005 400 fail name starts with auto
0006 400 fail description too long or invalid characters
0007 400 fail name empty
0008 400 reauth failed to obtain the permission
0009 400 retry failed to obtain the key
0010 400 fail volume_id empty
0011 400 fail volume_id malformed
0012 400 later the disk is not available or in-use
0013 400 later the previous backup creation task of the disk is not complete
0014 400 unknown failed to submit the task
0017 - retry failed to create the snapshot
0018 - retry the snapshot creation result is empty
0019 - retry failed to query the snapshot during backup creation
0020 - retry the snapshot query result is empty
0021 - fail the disk does not exist or has been deleted
0022 - retry failed to create the temporary disk
0023 - retry the result of creating the temporary disk is empty
0024 - retry failed to query the temporary disk
0025 - retry the result of querying the temporary disk is empty
0026 - fail name too short
0027 - unknown failed to create the backup
0028 - unknown the backup creation result is empty
0029 - unknown failed to query the backup result
0030 - unknown the backup query result is empty
0035 - retry failed to query all disks of a user
0036 - retry failed to query all backups of a user
0037 - retry failed to query the snapshot status
0038 - retry failed to query the status of the temporary disk
0039 - unknown failed to query the backup status
0040 - fail the disk has reached the limit of 20 backups
0041 401 stop failed to check user rights
0042 403 stop the user may not perform the operation
0043 - retry failed to query the disk or backup
0044 401 reauth user rights are invalid
0049 - fail the tag parameter is invalid
0050 - fail too many tags
0053 - fail DESS disks do not support backup
0062 - retry the snapshot is in error
0063 - retry the temporary disk is in error
0064 - retry the backup is in error
0070 - retry failed to query the quota
0071 - stop SAS disk count quota used up
0072 - stop SAS disk capacity quota used up
0073 - stop SATA disk count quota used up
0074 - stop SATA disk capacity quota used up
0075 - stop SSD disk count quota used up
0076 - stop SSD disk capacity quota used up
0077 - stop SAS snapshot quota used up
0078 - stop SATA snapshot quota used up
0079 - stop SSD snapshot quota used up
0080 - stop backup count quota used up
0081 - stop backup capacity quota used up
0082 - stop disk count quota used up
0083 - stop disk capacity quota used up
0084 - stop snapshot count quota used up
0089 - fail the disk's backup is unavailable
0100 - retry failed to submit the subtask
0111 - fail the disk or the backup does not exist
0113 - fail the backup has been used to create an image and cannot be deleted
0206 - later a backup is being created for the disk
0900 - unknown the service is unavailable
APIG.0308 429 throttle the gateway's throttling threshold is reached
APIG.0101 404 stop the API does not exist
APIG.0301 401 reauth wrong authentication at the gateway
"""


class Fact(NamedTuple):
    code: str
    status: int | None
    verdict: str
    meaning: str


def _fact(line: str) -> Fact:
    code, status, verdict, meaning = line.split(" ", 3)
    whole = f"VolumeBackup.{code}" if code.isdigit() else code
    return Fact(whole, None if status == "-" else int(status), verdict, meaning)


FACTS = tuple(map(_fact, _LINES.splitlines()))
ONLY_ELSEWHERE = {
    "VolumeBackup.0089": "restore",
    "VolumeBackup.0100": "delete",
    "VolumeBackup.0111": "restore",
    "VolumeBackup.0113": "delete",
    "VolumeBackup.0206": "restore",
    "common.0011": "query",
}
ALIASES = {"APIGW.0308": "APIG.0308", "APIGW.0101": "APIG.0101", "APIGW.0301": "APIG.0301"}
"""The gateway's newer spelling of its codes."""
