"""One spelling per server; every spelling that parsers disagree on is refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from partywall.errors import ConfigError
from partywall.upstream.client import Origin, OriginError, parse_base_url


@pytest.mark.parametrize(
    ("text", "origin", "prefix", "authority"),
    [
        ("https://api.openai.com/v1", Origin("https", "api.openai.com", 443), b"/v1", "api.openai.com"),
        ("https://api.openai.com/v1/", Origin("https", "api.openai.com", 443), b"/v1", "api.openai.com"),
        ("https://API.OpenAI.com:443", Origin("https", "api.openai.com", 443), b"", "api.openai.com"),
        ("http://localhost:11434", Origin("http", "localhost", 11434), b"", "localhost:11434"),
        ("http://127.0.0.1:8000/", Origin("http", "127.0.0.1", 8000), b"", "127.0.0.1:8000"),
        ("http://[::1]:8000/v1", Origin("http", "::1", 8000), b"/v1", "[::1]:8000"),
        ("http://[0:0:0:0:0:0:0:1]", Origin("http", "::1", 80), b"", "[::1]"),
        ("http://my_vllm:8000/a/b%20c", Origin("http", "my_vllm", 8000), b"/a/b%20c", "my_vllm:8000"),
        ("https://xn--mller-kva.example", Origin("https", "xn--mller-kva.example", 443), b"", "xn--mller-kva.example"),
        ("http://x:443", Origin("http", "x", 443), b"", "x:443"),
    ],
)
def test_good(text: str, origin: Origin, prefix: bytes, authority: str) -> None:
    assert parse_base_url(text) == (origin, prefix)
    assert origin.authority == authority
    assert str(origin) == f"{origin.scheme}://{authority}"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "api.openai.com",
        "//api.openai.com",
        "ftp://api.openai.com",
        "https://",
        "https:///v1",
        "https://user:hunter2@api.openai.com",
        "https://api.openai.com@evil.example",
        "https://api.openai.com\\@evil.example",
        "https://api.openai.com?x=1",
        "https://api.openai.com/v1?x=1",
        "https://api.openai.com/v1#x",
        "https://api.openai.com/v1\r\nx: y",
        "https://api.openai.com\n",
        " https://api.openai.com",
        "https://api openai.com",
        "https://api.openai.com.",
        "https://.openai.com",
        "https://api..openai.com",
        "https://-api.openai.com",
        "https://müller.example",
        "https://api.openai.com\N{FULLWIDTH SOLIDUS}v1",
        "https://api.openai.com:0",
        "https://api.openai.com:65536",
        "https://api.openai.com:",
        "https://api.openai.com:x",
        "https://" + "a" * 64 + ".example",
        "https://" + "a." * 127 + "example",
        "http://127.1",
        "http://2130706433",
        "http://0x7f000001",
        "http://0x7f.1",
        "http://0177.0.0.1",
        "http://127.0.0.1.1",
        "http://1.2.3.256",
        "http://x.0x",
        "http://[::1",
        "http://[::1%25eth0]",
        "http://[127.0.0.1]",
        "http://[::g]",
        "https://x/v1/../admin",
        "https://x/v1/%2e%2E/admin",
        "https://x/./v1",
        "https://x//v1",
        "https://x/v1%",
        "https://x/v1%4",
        "https://x/v1%zz",
    ],
)
def test_bad(text: str) -> None:
    with pytest.raises(OriginError) as caught:
        parse_base_url(text)
    assert isinstance(caught.value, ConfigError)
    assert "hunter2" not in str(caught.value)


@given(st.text(max_size=60) | st.from_regex(r"\Ahttps?://[a-z0-9.:\[\]@/%-]{0,40}\Z"))
def test_whatever_is_accepted_reads_back_the_same(text: str) -> None:
    try:
        origin, prefix = parse_base_url(text)
    except OriginError:
        return
    assert parse_base_url(f"{origin}{prefix.decode()}") == (origin, prefix)
