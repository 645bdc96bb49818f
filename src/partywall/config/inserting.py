"""Putting a tenant into a document that people wrote, without touching a byte of what they wrote.

Promises: lines are added behind the last group, or the last of `tenants`, and nothing else changes, comments and spacing
included; what comes out says what the document said, and the new entry behind the others, or there is an error and no
file is changed. A file is replaced whole, with its mode, and only while it holds what was read.

Doesn't promise: to write into every document. Groups in `[…]`, none at all, or a document behind a link (as Kubernetes
mounts one) are its owner's to change.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

import yaml

from partywall.config.loading import decode, read
from partywall.config.yaml import Plain, parse
from partywall.errors import ConfigError

__all__ = ["replace_document", "with_group", "with_tenant"]

_GROUPS: Final = "consumer_groups"
_TENANTS: Final = "tenants"


def with_group(data: bytes, source: Path, group: Mapping[str, str | list[str]]) -> bytes:
    """The document `data`, which messages call `source`, with `group` behind its other groups.

    Raises:
        ConfigError: that takes more than adding lines.
    """
    entry: Plain = {name: value if isinstance(value, str) else [*value] for name, value in group.items()}
    return _with_entry(data, source, _groups, [dict(group)], lambda plain: _with_group(plain, entry))


def with_tenant(data: bytes, source: Path, tenant: str) -> bytes:
    """The document `data` with `tenant` declared behind the others of its `tenants`, and nothing said of it.

    Raises:
        ConfigError: that takes more than adding lines.
    """
    return _with_entry(data, source, _tenants, {tenant: {}}, lambda plain: _with_tenant(plain, tenant))


def _with_entry(
    data: bytes,
    source: Path,
    find: Callable[[yaml.Node | None], yaml.CollectionNode | None],
    entry: object,
    expected: Callable[[Plain], Plain],
) -> bytes:
    text = decode(data, source)
    place = find(yaml.compose(text, Loader=yaml.SafeLoader))
    if place is None or place.flow_style or not place.value:
        raise ConfigError(f"{source}: has no list of entries to add one to, so put the new tenant in by hand")
    lines = text.splitlines(keepends=True)
    at = _last_line(place) + 1
    ending = "\r\n" if lines[0].endswith("\r\n") else "\n"
    before = lines[:at]
    if not before[-1].endswith("\n"):
        before[-1] += ending
    written = yaml.dump(entry, sort_keys=False, width=1000).splitlines()
    added = [f"{' ' * place.start_mark.column}{line}{ending}" for line in written]
    changed = "".join([*before, *added, *lines[at:]])
    if parse(changed, str(source)) != expected(parse(text, str(source))):
        raise ConfigError(f"{source}: adding lines would change what it says, so put the new tenant in by hand")
    return data[: len(data) - len(text.encode())] + changed.encode()  # a byte-order mark stays


def replace_document(path: Path, before: bytes, after: bytes) -> None:
    """Put `after` in the place of `before`.

    Raises:
        ConfigError: the file holds something else by now, is a link, or can't be written.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        if path.is_symlink():
            raise ConfigError(f"{path}: is a link; change what it leads to")
        mode = stat.S_IMODE(path.stat().st_mode)
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
        with os.fdopen(descriptor, "wb") as file:
            file.write(after)
            file.flush()
            os.fchmod(descriptor, mode)
            os.fsync(descriptor)
        if read(path) != before:
            raise ConfigError(f"{path}: was changed by somebody else meanwhile; nothing was written")
        temporary.replace(path)
    except OSError as error:
        raise ConfigError(f"{path}: can't be written: {error.strerror}") from error
    finally:
        temporary.unlink(missing_ok=True)


def _groups(root: yaml.Node | None) -> yaml.CollectionNode | None:
    """The list of groups, in either of the two forms that documents have."""
    found = _member(root, _GROUPS)
    found = _member(found, "groups") if isinstance(found, yaml.MappingNode) else found
    return found if isinstance(found, yaml.SequenceNode) else None


def _tenants(root: yaml.Node | None) -> yaml.CollectionNode | None:
    found = _member(root, _TENANTS)
    return found if isinstance(found, yaml.MappingNode) else None


def _member(node: yaml.Node | None, name: str) -> yaml.Node | None:
    if not isinstance(node, yaml.MappingNode):
        return None
    return next((value for key, value in node.value if key.value == name), None)


def _last_line(node: yaml.Node) -> int:
    """The line of the last thing written below `node`. A collection's own end is behind the comments after it."""
    if isinstance(node, yaml.CollectionNode) and not node.flow_style and node.value:
        last = node.value[-1]
        return _last_line(last[1] if isinstance(last, tuple) else last)
    # A block of text ends at the beginning of the line after it.
    return node.end_mark.line - (node.end_mark.column == 0 and node.end_mark.line > node.start_mark.line)


def _with_group(plain: Plain, entry: Plain) -> Plain:
    """What the document says with the new group."""
    if not isinstance(plain, dict):
        return None
    groups = plain[_GROUPS]
    if isinstance(groups, list):
        return {**plain, _GROUPS: [*groups, entry]}
    if isinstance(groups, dict) and isinstance(listed := groups["groups"], list):
        return {**plain, _GROUPS: {**groups, "groups": [*listed, entry]}}
    return None


def _with_tenant(plain: Plain, tenant: str) -> Plain:
    """What the document says with the new tenant."""
    if not isinstance(plain, dict) or not isinstance(tenants := plain[_TENANTS], dict):
        return None
    return {**plain, _TENANTS: {**tenants, tenant: {}}}
