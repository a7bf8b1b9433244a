"""Destinations as people write them."""

from __future__ import annotations

import pytest

from boneage_node.net.addresses import Station, is_loopback, parse_base_url


@pytest.mark.parametrize(
    ("text", "destination"),
    [
        ("PACS@10.0.0.5:104", Station("PACS", "10.0.0.5", 104)),
        ("MY PACS@pacs.example:11112", Station("MY PACS", "pacs.example", 11112)),
        ("A@[fd00::5]:104", Station("A", "fd00::5", 104)),
        ("PACS@pacs.example:2762/tls", Station("PACS", "pacs.example", 2762, tls=True)),
        ("A@[fd00::5]:2762/tls", Station("A", "fd00::5", 2762, tls=True)),
    ],
)
def test_a_destination_reads_back_as_it_is_written(text: str, destination: Station) -> None:
    assert Station.parse(f" {text}\n") == destination
    assert str(destination) == text


@pytest.mark.parametrize(
    "text",
    [
        "",
        "PACS",
        "10.0.0.5:104",
        "PACS@10.0.0.5",
        "PACS@10.0.0.5:0",
        "PACS@10.0.0.5:65536",
        "P\\Q@h:1",
        "SEVENTEEN-LETTERS@h:1",
        "A@fd00::5:104",
        "@h:1",
        " @h:1",
        "A@h/x:1",
        "A@h:1/",
        "A@h:1/ssl",
        "A@h/tls:1",
        "A@pacs..example:1",
        f"A@{'h' * 64}.example:1",
    ],
)
def test_anything_else_is_no_destination(text: str) -> None:
    with pytest.raises(ValueError, match="AE@host:port"):
        Station.parse(text)


@pytest.mark.parametrize("host", ["pacs..example", f"{'h' * 64}.example"])
def test_a_host_that_no_resolver_takes_is_no_host(host: str) -> None:
    with pytest.raises(ValueError, match="is not a URL"):
        parse_base_url(f"https://{host}/dicom-web")
    assert not is_loopback(host)
