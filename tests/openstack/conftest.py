from __future__ import annotations

import os

# Only `make test-openstack`, which brings the cloud up, says where it is.
collect_ignore = [] if os.environ.get("VBSBATCH_OPENSTACK") else ["scenarios"]
