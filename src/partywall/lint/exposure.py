"""Rules about the addresses that we call, and what others on the way can read."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import Final
from urllib.parse import urlsplit

from partywall.lint.examples import example
from partywall.lint.findings import Level
from partywall.lint.rule import Hit, Rule
from partywall.lint.subject import Subject, target_path

__all__ = ["RULES", "is_loopback"]

_METADATA: Final = tuple(
    map(ip_network, ("169.254.0.0/16", "fe80::/10", "fd00:ec2::/32", "100.100.100.200/32", "168.63.129.16/32"))
)
"""Where clouds answer whoever asks with the machine's own credentials."""
_METADATA_NAMES: Final = frozenset({"metadata.google.internal", "metadata", "instance-data", "metadata.azure.internal"})
_INSIDE: Final = (".local", ".internal", ".svc", ".lan", ".intranet", ".corp", ".home.arpa", ".localhost", ".test")


def _host(url: str | None) -> tuple[str, str]:
    """Scheme and host of an address, both empty when it has none."""
    try:
        parts = urlsplit(url or "")
        return parts.scheme.lower(), (parts.hostname or "").rstrip(".")
    except ValueError:
        return "", ""


def _address(host: str) -> IPv4Address | IPv6Address | None:
    try:
        address = ip_address(host)
    except ValueError:
        return None
    return address.ipv4_mapped or address if isinstance(address, IPv6Address) else address


def is_loopback(host: str) -> bool:
    """Whether `host` is this machine."""
    address = _address(host)
    return host == "localhost" or (address is not None and address.is_loopback)


def _is_inside(host: str) -> bool:
    """Whether `host` is of a private network, by its address or by its kind of name."""
    address = _address(host)
    if address is not None:
        return address.is_private
    return "." not in host or host.endswith(_INSIDE)


def _addresses(subject: Subject) -> Iterator[tuple[int, str, str, str]]:
    """Index, id, scheme and host of each target with a `base_url`."""
    for index, target in enumerate(subject.document.providers.targets):
        scheme, host = _host(target.base_url)
        if host:
            yield index, target.id, scheme, host


def _in_clear(subject: Subject) -> Iterator[Hit]:
    for index, name, scheme, host in _addresses(subject):
        if scheme == "http" and not _is_inside(host) and not _is_metadata(host):
            message = f"prompts, answers and the credential of `{name}` cross the network to `{host}` in clear text"
            yield Hit(target_path(index, "base_url"), message)


def _in_clear_inside(subject: Subject) -> Iterator[Hit]:
    for index, name, scheme, host in _addresses(subject):
        if scheme == "http" and _is_inside(host) and not is_loopback(host) and not _is_metadata(host):
            message = f"`{name}` is reached without TLS, so whoever is on the network of `{host}` reads along"
            yield Hit(target_path(index, "base_url"), message)


def _is_metadata(host: str) -> bool:
    address = _address(host)
    return host in _METADATA_NAMES or (address is not None and any(address in network for network in _METADATA))


def _metadata(subject: Subject) -> Iterator[Hit]:
    for index, name, _, host in _addresses(subject):
        if _is_metadata(host):
            yield Hit(target_path(index, "base_url"), f"`{name}` leads to `{host}`, a metadata service of the cloud")


def _private_network(subject: Subject) -> Iterator[Hit]:
    for index, target in enumerate(subject.document.providers.targets):
        host = _host(target.base_url)[1]
        if target.allow_private_network and not (host and _is_inside(host)):
            where = f"the public name `{host}`" if host else "its vendor's own name"
            message = f"`{target.id}` may be led to a private address by whoever answers for {where}"
            yield Hit(target_path(index, "allow_private_network"), message)


def _tenants_in_metrics(subject: Subject) -> Iterator[Hit]:
    telemetry = subject.document.telemetry
    if telemetry is not None and telemetry.tenant_metric_labels:
        yield Hit(
            ("telemetry", "tenant_metric_labels"), "who reads the metrics reads the tenants' names and their load"
        )


def _one_target(rest: str) -> str:
    return example(f"""\
providers:
  targets:
    - {{id: alpha-llm, provider: vllm, {rest}}}
    - {{id: beta-llm, provider: parrot}}
""")


RULES = (
    Rule(
        id="upstream-in-clear",
        level=Level.ERROR,
        title="An upstream that is called without TLS",
        why="Prompts, answers and the tenant's credential cross public networks as plain text.",
        mend="Use `https://`.",
        bad=_one_target('base_url: "http://llm.example.com/v1"'),
        good=_one_target('base_url: "https://llm.example.com/v1"'),
        check=_in_clear,
    ),
    Rule(
        id="upstream-in-clear-inside",
        level=Level.NOTE,
        title="An upstream inside the network that is called without TLS",
        why="All tenants' traffic passes there in clear text, and the network's other users aren't ours to know.",
        mend="Use `https://`, or a mesh that encrypts, or keep the engine on this machine.",
        bad=_one_target('base_url: "http://vllm.models.svc:8000"'),
        good=_one_target('base_url: "http://127.0.0.1:8000"'),
        check=_in_clear_inside,
    ),
    Rule(
        id="metadata-upstream",
        level=Level.ERROR,
        title="An upstream that is a metadata service",
        why="The cloud's metadata service gives the machine's own credentials to whoever asks from it. The gateway "
        "never calls it; a document that names it was written by mistake or by an attacker.",
        mend="Write the address of the model's server.",
        bad=_one_target('base_url: "http://169.254.169.254/v1"'),
        good=_one_target('base_url: "http://127.0.0.1:8000/v1"'),
        check=_metadata,
    ),
    Rule(
        id="private-network-upstream",
        level=Level.WARNING,
        title="A public name that may lead into the private network",
        why="Names outside our control can be answered with any address. With `allow_private_network` a vendor's name "
        "that is taken over leads tenants' prompts and the credential to a machine inside.",
        mend="Leave `allow_private_network` out, or name the inner server by an inner name or by its address.",
        bad=_one_target('base_url: "https://llm.example.com/v1", allow_private_network: true'),
        good=_one_target('base_url: "https://llm.models.svc/v1", allow_private_network: true'),
        check=_private_network,
    ),
    Rule(
        id="tenants-in-metrics",
        level=Level.NOTE,
        title="Tenants' names on metrics",
        why="Metrics are read by more people than data is. With labels they show who the customers are and when they "
        "work.",
        mend="Leave `tenant_metric_labels` off, or give the metrics the readers that the data has.",
        bad=example("""\
telemetry: {tenant_metric_labels: true}
"""),
        good=example("""\
telemetry: {tenant_metric_labels: false}
"""),
        check=_tenants_in_metrics,
        also=frozenset({"not-built"}),
    ),
)
