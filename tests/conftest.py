"""The plugins that hold the fixtures of all tests."""

from __future__ import annotations

import os

import pytest

# Before torch is loaded. The suite runs a process for each core, and the threads of small networks wait for
# each other longer than they work.
os.environ.setdefault("OMP_NUM_THREADS", "1")

pytest.register_assert_rewrite("support")

pytest_plugins = [
    "support.dcmtk",
    "support.fhir_server_peer",
    "support.http_peer",
    "support.orthanc_peer",
    "support.peers",
    "support.postgresql",
    "support.repository",
    "support.shipped_model",
    "support.small_images",
    "support.store",
    "support.tls",
]
