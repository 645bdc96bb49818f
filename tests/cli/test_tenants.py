from __future__ import annotations

import asyncio
import hashlib
import os
import pwd
import re
from functools import partial
from pathlib import Path

import orjson
import pytest
from tests.cli.helpers import Command, Ended, status_of
from tests.support.documents import KEYS, base_document, headers_of, key_hash, merged, write_document
from tests.support.process import serve
from tests.support.records import recorded, until

from partywall.platform import Platform
from partywall.platform.remembered import remembered_document

_ME = f"cli:{pwd.getpwuid(os.getuid()).pw_name}"


def test_a_minted_key_and_its_digest_belong_together(partywall: Command, tmp_path: Path) -> None:
    made = partywall("tenants", "mint-key", "--tenant", "alpha", "--format", "json").json
    assert made["tenant"] == "alpha"
    assert made["api_key_digest"] == f"sha256:{hashlib.sha256(made['api_key'].encode()).hexdigest()}"
    assert list(tmp_path.iterdir()) == []


def test_people_are_told_what_to_do_with_it(partywall: Command) -> None:
    ended = partywall("tenants", "mint-key", "--tenant", "beta")
    assert ended.code == 0
    key = re.findall(r"^  (pw_\S+)$", ended.out, re.MULTILINE)
    digest = re.findall(r"^  - sha256:([0-9a-f]{64})$", ended.out, re.MULTILINE)
    assert digest == [hashlib.sha256(key[0].encode()).hexdigest()]
    assert "`beta`" in ended.out


def test_each_is_another(partywall: Command) -> None:
    arguments = ("tenants", "mint-key", "--tenant", "alpha", "--format", "json")
    assert partywall(*arguments).json["api_key"] != partywall(*arguments).json["api_key"]


@pytest.mark.parametrize("tenant", ["Alpha", "alpha/../beta", "", "älpha", "a" * 64])
def test_what_is_no_tenant_id_gets_no_key(partywall: Command, tenant: str) -> None:
    ended = partywall("tenants", "mint-key", "--tenant", tenant)
    assert (ended.code, ended.out) == (2, "")
    assert "no tenant id" in ended.err


# -- create ---

SEALED = {"encryption": {"encrypted_per_tenant": ["agent_memory"]}}


@pytest.fixture
def document(tmp_path: Path) -> Path:
    return write_document(tmp_path / "doc.yaml", merged(base_document(), **SEALED))


def _one_line(ended: Ended) -> str:
    """What a command said when it couldn't do its work."""
    assert (ended.code, ended.out, ended.err.count("\n")) == (2, "", 1), ended
    return ended.err.rstrip("\n")


def test_a_new_tenant_is_made_shown_and_let_in(partywall: Command, tmp_path: Path, document: Path) -> None:
    data = tmp_path / "data"
    before = document.read_bytes()
    ended = partywall("tenants", "create", "gamma", document, "--data-dir", data)
    assert ended.code == 0
    assert "Made the key of `gamma`; version 1 seals from now on." in ended.out
    (key,) = re.findall(r"^  (pw_\S+)$", ended.out, re.MULTILINE)
    entry = ended.out[ended.out.index("    - name:") : ended.out.index("A running gateway")]
    assert document.read_bytes() == before
    assert (data / "keys" / "gamma" / "keys.json").exists()
    assert key not in "".join(file.read_text("latin-1") for file in data.rglob("*") if file.is_file())
    indented = "".join(f"{line[2:]}\n" for line in entry.splitlines())  # the test's document indents less than ours
    document.write_text(document.read_text().replace("policies:\n", f"{indented}policies:\n", 1))
    shown = {"authorization": f"Bearer {key}", "x-user-id": "zoe"}

    async def main() -> None:
        async with Platform.open(document, data_dir=data) as platform:
            scope = await platform.authenticate(shown)
            assert (scope.tenant, scope.group) == ("gamma", "gamma-app")

    asyncio.run(main())
    (record,) = recorded(data, "gamma")
    assert (record.path, record.reason, record.credential_id) == ("tenants create", "onboarding", f"operator:{_ME}")


def test_the_document_gets_the_entry_when_told_to(partywall: Command, tmp_path: Path) -> None:
    path, data = tmp_path / "partywall.yaml", tmp_path / "data"
    partywall("init", path)
    before = path.read_text().splitlines()
    made = partywall("tenants", "create", "gamma", path, "--data-dir", data, "--write", "--format", "json").json
    assert made["written"]
    after = path.read_text().splitlines()
    assert len(after) == len(before) + 5  # the group, and the tenant among those that are declared
    assert [line for line in after if line in before] == before  # comments and all
    shown = {"authorization": f"Bearer {made['api_key']}", "x-user-id": "zoe"}

    async def main() -> None:
        async with Platform.open(path, data_dir=data) as platform:
            assert (await platform.authenticate(shown)).tenant == "gamma"

    asyncio.run(main())
    again = partywall("tenants", "create", "gamma", path, "--data-dir", data, "--write")
    assert again.code == 0
    assert "lets `gamma` in already" in again.out
    assert path.read_text().splitlines() == after


def test_a_document_that_cannot_be_added_to_is_left_alone_and_nothing_is_made(
    partywall: Command, tmp_path: Path, document: Path
) -> None:
    text = document.read_text()
    flow = tmp_path / "flow.yaml"
    start, end = text.index("consumer_groups:"), text.index("policies:")
    digest = key_hash(KEYS["alpha"])
    group = f"consumer_groups: [{{name: alpha, api_keys: [{digest}], upstream: alpha-target}}]\n"
    flow.write_text(text[:start] + group + text[end:])
    before = flow.read_bytes()
    said = partywall("tenants", "create", "gamma", flow, "--data-dir", tmp_path / "data", "--write")
    assert "by hand" in _one_line(said)
    assert flow.read_bytes() == before
    assert not (tmp_path / "data").exists()


def test_a_tenant_of_the_document_gets_what_is_missing_and_no_api_key(
    partywall: Command, tmp_path: Path, document: Path
) -> None:
    arguments = ("tenants", "create", "alpha", document, "--data-dir", tmp_path / "data")
    first = partywall(*arguments)
    assert first.out.splitlines() == [
        "Made the key of `alpha`; version 1 seals from now on.",
        f"{document} lets `alpha` in already; `partywall tenants mint-key` makes another API key.",
    ]
    assert partywall(*arguments).out.splitlines()[0] == "`alpha` has its key already; version 1 seals."
    said = partywall(*arguments, "--format", "json").json
    assert said == {
        "tenant": "alpha",
        "key_version": 1,
        "made_key": False,
        "in_document": True,
        "api_key": None,
        "group": None,
        "written": False,
    }


def test_where_tenants_are_declared_the_new_one_is_to_be(partywall: Command, tmp_path: Path) -> None:
    path = write_document(tmp_path / "doc.yaml", merged(base_document(), tenants={"alpha": {}, "beta": {}}))
    told = partywall("tenants", "create", "gamma", path, "--data-dir", tmp_path / "data").out
    assert "and this under `tenants`:\n\n  gamma: {}\n" in told
    assert "gamma: {}" not in partywall("tenants", "create", "alpha", path, "--data-dir", tmp_path / "data").out


def test_a_name_that_a_group_has_is_not_given_to_another(partywall: Command, tmp_path: Path) -> None:
    groups = base_document()["consumer_groups"]
    groups["groups"].append({"name": "gamma-app", "tenant": "beta", "upstream": "beta-target"})
    path = write_document(tmp_path / "doc.yaml", merged(base_document(), consumer_groups=groups))
    made = partywall("tenants", "create", "gamma", path, "--data-dir", tmp_path / "data", "--format", "json").json
    assert (made["group"]["name"], made["group"]["tenant"]) == ("gamma-app-2", "gamma")
    assert made["group"]["api_keys"] == [f"sha256:{hashlib.sha256(made['api_key'].encode()).hexdigest()}"]
    assert (made["key_version"], made["made_key"]) == (None, False)  # a document without `encryption`


def test_who_was_destroyed_stays_gone(partywall: Command, tmp_path: Path, document: Path) -> None:
    data = tmp_path / "data"
    partywall("tenants", "create", "gamma", document, "--data-dir", data)
    destroyed = partywall("keys", "destroy", "--tenant", "gamma", "--yes", "--config", document, "--data-dir", data)
    assert destroyed.code == 0, destroyed
    assert "the key of `gamma` was destroyed" in _one_line(
        partywall("tenants", "create", "gamma", document, "--data-dir", data)
    )


# -- suspend, resume ---


def test_a_suspended_tenant_is_refused_by_a_running_gateway(partywall: Command, tmp_path: Path, document: Path) -> None:
    data = tmp_path / "data"
    with serve(document, data) as served:
        asked = {tenant: partial(status_of, served.url, "/v1/models", KEYS[tenant]) for tenant in KEYS}
        assert [ask() for ask in asked.values()] == [200, 200]
        ended = partywall("tenants", "suspend", "alpha", "--data-dir", data, "--reason", "unpaid")
        assert (ended.code, ended.out, ended.err) == (0, "alpha: suspended\n", "")
        assert [ask() for ask in asked.values()] == [403, 200]
        again = partywall("tenants", "suspend", "alpha", "--data-dir", data, "--reason", "still unpaid")
        assert again.out == "alpha: suspended; it was suspended already\n"
        told = partywall("tenants", "list", "--data-dir", data, "--format", "json").json
        assert [(each["tenant"], each["standing"]) for each in told] == [("alpha", "suspended"), ("beta", "active")]
        assert (told[0]["suspended"]["by"], told[0]["suspended"]["why"]) == (_ME, "unpaid")
        ended = partywall("tenants", "resume", "alpha", "--data-dir", data, "--reason", "paid", "--format", "json")
        assert ended.json == {"tenant": "alpha", "standing": "active", "changed": True}
        until(lambda: [ask() for ask in asked.values()] == [200, 200])
    acts = [(r.path, r.reason, r.credential_id) for r in recorded(data, "alpha") if r.method == "OPERATOR"]
    assert [act[:2] for act in acts] == [
        ("tenants suspend", "unpaid"),
        ("tenants suspend", "still unpaid"),
        ("tenants resume", "paid"),
    ]
    assert {act[2] for act in acts} == {f"operator:{_ME}"}
    assert not [r for r in recorded(data, "beta") if r.method == "OPERATOR"]


def test_sessions_that_cannot_be_ended_keep_nobody_from_being_suspended(
    partywall: Command, tmp_path: Path, document: Path
) -> None:
    data = tmp_path / "data"

    async def main() -> None:
        async with Platform.open(document, data_dir=data) as platform:
            for tenant in KEYS:
                await platform.stores.sessions.start(await platform.authenticate(headers_of(tenant)))

    asyncio.run(main())
    sessions = data / "tenants" / "alpha" / "sessions.db"
    sessions.rename(data / "aside")
    sessions.write_bytes(b"no database " * 400)
    ended = partywall("tenants", "suspend", "alpha", "--data-dir", data, "--reason", "unpaid")
    assert (ended.code, ended.out) == (2, "alpha: suspended\n")
    assert ended.err.startswith("`alpha` is suspended; run this again to end its sessions: ")
    (data / "aside").rename(sessions)
    again = partywall("tenants", "suspend", "alpha", "--data-dir", data, "--reason", "unpaid")
    assert (again.code, again.out) == (0, "alpha: suspended; it was suspended already\n")


@pytest.mark.parametrize("what", ["suspend", "resume"])
def test_a_reason_is_asked_for_and_the_tenant_must_be_named(
    partywall: Command, tmp_path: Path, document: Path, what: str
) -> None:
    ended = partywall("tenants", what, "alpha", document, "--data-dir", tmp_path / "data")
    assert ended.code == 2
    assert "--reason" in ended.err
    said = partywall("tenants", what, "gamma", document, "--data-dir", tmp_path / "data", "--reason", "x")
    assert "names no tenant `gamma`" in _one_line(said)
    empty = partywall("tenants", "suspend", "alpha", document, "--data-dir", tmp_path / "data", "--reason", " ")
    assert "the reason" in _one_line(empty)


def test_a_command_leaves_the_note_of_the_gateway_alone(partywall: Command, tmp_path: Path, document: Path) -> None:
    data = tmp_path / "data"
    with serve(document, data):
        pass
    other = write_document(tmp_path / "other.yaml", merged(base_document(), **SEALED))
    assert partywall("tenants", "suspend", "beta", other, "--data-dir", data, "--reason", "x").code == 0
    assert remembered_document(data) == document


def test_key_uses_of_a_command_are_the_commands(partywall: Command, tmp_path: Path, document: Path) -> None:
    data = tmp_path / "data"
    partywall("tenants", "create", "gamma", document, "--data-dir", data)
    audited = partywall(
        "keys", "audit", "--tenant", "gamma", "--config", document, "--data-dir", data, "--format", "json"
    )
    services = {orjson.loads(line)["service"] for line in audited.out.splitlines()}
    assert services == {"cli"}


# -- list, show ---


def test_listing_before_anything_was_served_makes_nothing(partywall: Command, tmp_path: Path, document: Path) -> None:
    ended = partywall("tenants", "list", document, "--data-dir", tmp_path / "data")
    assert (ended.code, ended.err) == (0, "")
    assert [line.split() for line in ended.out.splitlines()[2:]] == [
        ["alpha", "active", "-", "-", "-"],
        ["beta", "active", "-", "-", "-"],
    ]
    assert [path.name for path in tmp_path.iterdir()] == ["doc.yaml"]


def test_what_each_has_is_counted_and_nobody_elses(partywall: Command, tmp_path: Path, document: Path) -> None:
    data = tmp_path / "data"

    async def main() -> None:
        async with Platform.open(document, data_dir=data) as platform:
            alpha = await platform.authenticate(headers_of("alpha"))
            for number in range(3):
                await platform.memory.add(alpha, "helper", f"note {number}")
            await platform.preferences.put(alpha, "language", "de")

    asyncio.run(main())
    partywall("tenants", "create", "beta", document, "--data-dir", data)
    partywall("keys", "rotate", "--tenant", "beta", "--data-dir", data)
    files = sorted(str(path) for path in data.rglob("*"))
    told = partywall("tenants", "list", "--data-dir", data, "--format", "json").json
    counts = [{store: count for store, count in each["records"].items() if count} for each in told]
    assert counts[0]["preferences"] == 1
    assert counts[0]["memory"] >= 3
    assert counts[1] == {}
    assert [each["key"]["current"] for each in told] == [1, 2]
    assert told[0]["last_decision"] is None
    assert told[1]["last_decision"].startswith("20")
    lines = partywall("tenants", "list", "--data-dir", data).out.splitlines()
    assert re.search(r"^alpha +active +1 +memory \d+, preferences 1 +-$", lines[2].rstrip())
    assert re.search(r"^beta +active +2 +none +20", lines[3])
    assert {path for path in map(str, data.rglob("*")) if not path.endswith(("-shm", "-wal"))} == {
        path for path in files if not path.endswith(("-shm", "-wal"))
    }


def test_one_tenants_broken_file_hides_nobody(partywall: Command, tmp_path: Path, document: Path) -> None:
    data = tmp_path / "data"
    for tenant in ("alpha", "beta"):
        partywall("tenants", "create", tenant, document, "--data-dir", data)
    (data / "tenants" / "alpha" / "decisions.db").write_bytes(b"no database " * 400)
    (data / "tenants" / "alpha" / "memory.db").write_bytes(b"no database " * 400)
    ended = partywall("tenants", "list", "--data-dir", data, "--format", "json")
    assert ended.code == 0
    alpha, beta = ended.json
    assert (alpha["records"], alpha["last_decision"]) == (None, None)
    assert beta["last_decision"] is not None
    assert len(ended.err.splitlines()) == 2
    assert "beta" not in ended.err


def test_a_standing_that_cannot_be_read_is_no_standing(partywall: Command, tmp_path: Path, document: Path) -> None:
    data = tmp_path / "data"
    partywall("tenants", "create", "alpha", document, "--data-dir", data)
    (data / "platform" / "standing.json").write_text("{")
    assert "standing.json" in _one_line(partywall("tenants", "list", "--data-dir", data))


def test_one_tenant_in_full(partywall: Command, tmp_path: Path) -> None:
    own = {"alpha": {"name": "Alpha Ltd", "regions": ["eu"], "require_zero_data_retention": True}, "beta": {}}
    path = write_document(tmp_path / "doc.yaml", merged(base_document(), tenants=own, **SEALED))
    data = tmp_path / "data"
    partywall("tenants", "suspend", "alpha", path, "--data-dir", data, "--reason", "audit")
    shown = partywall("tenants", "show", "alpha", path, "--data-dir", data, "--format", "json").json
    assert (shown["tenant"], shown["name"], shown["standing"]) == ("alpha", "Alpha Ltd", "suspended")
    assert (shown["regions"], shown["require_zero_data_retention"]) == (["eu"], True)
    assert [group["name"] for group in shown["groups"]] == ["alpha-app"]
    assert shown["groups"][0]["api_keys"] == [f"{key_hash(KEYS['alpha'])[:19]}…"]
    assert [(route["group"], route["chain"]) for route in shown["routes"]] == [("alpha-app", ["rbac", "audit-logger"])]
    text = partywall("tenants", "show", "alpha", path, "--data-dir", data)
    assert "beta" not in text.out
    assert key_hash(KEYS["alpha"]) not in text.out
    assert re.search(r"^standing +suspended$", text.out, re.MULTILINE)
    assert "names no tenant `gamma`" in _one_line(partywall("tenants", "show", "gamma", path, "--data-dir", data))


def test_every_command_is_in_the_help(partywall: Command) -> None:
    listed = partywall("tenants", "--help").out
    for name in ("create", "list", "show", "suspend", "resume", "mint-key"):
        assert f"  {name} " in listed
        assert partywall("tenants", name, "--help").code == 0
