"""The plugins that hold the fixtures of all tests."""

from __future__ import annotations

import pytest

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
    "support.store",
    "support.tls",
]
