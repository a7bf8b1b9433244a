"""Where the node may listen."""

from __future__ import annotations

import pytest

from boneage_node.net.listening import Listening

BOTH = {"allowed_ae_titles": ("A",), "allowed_addresses": ("10.0.0.0/8",)}


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "localhost", "127.9.9.9"])
def test_loopback_needs_no_allow_list(host: str) -> None:
    assert Listening(host=host).unsafe() is None


@pytest.mark.parametrize("lists", [{}, {"allowed_ae_titles": ("A",)}, {"allowed_addresses": ("10.0.0.0/8",)}])
@pytest.mark.parametrize("host", ["", "0.0.0.0", "::", "192.0.2.1", "no.such.host.invalid"])
def test_wide_listening_without_both_lists_is_unsafe(host: str, lists: dict[str, tuple[str, ...]]) -> None:
    problem = Listening(host=host, **lists).unsafe()
    assert problem is not None
    assert "allowed_ae_titles" in problem


def test_wide_listening_with_both_lists_or_said_open() -> None:
    assert Listening(host="0.0.0.0", **BOTH).unsafe() is None
    assert Listening(host="0.0.0.0", open_to_all=True).unsafe() is None
