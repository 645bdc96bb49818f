"""The table against a plain model; its size; its speed."""

from __future__ import annotations

import time
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from partywall.detection.fingerprints import FingerprintTable
from partywall.detection.fingerprints import table as table_module
from partywall.tenancy import TenantId

TENANTS = [TenantId(name) for name in ("alpha", "beta", "gamma")]
prints = st.lists(st.integers(0, 60), max_size=12).map(lambda found: np.array(found, np.uint64) << np.uint64(57))
steps = st.lists(
    st.one_of(
        st.tuples(st.just("add"), st.sampled_from(TENANTS), prints),
        st.tuples(st.just("remove"), st.sampled_from(TENANTS), prints),
        st.tuples(st.just("boilerplate"), st.just(TENANTS[0]), prints),
        st.tuples(st.just("remove_tenant"), st.sampled_from(TENANTS), prints),
        st.tuples(st.just("compact"), st.just(TENANTS[0]), prints),
    ),
    max_size=25,
)


@settings(max_examples=100, deadline=None)
@given(steps)
def test_it_does_what_a_plain_model_does(taken: list[tuple[str, TenantId, np.ndarray]]) -> None:
    table, model = FingerprintTable(), Counter[tuple[int, str]]()
    for what, tenant, values in taken:
        unique = set(values.tolist())
        if what == "add":
            table.add(tenant, values)
            model.update((value, tenant) for value in unique)
        elif what == "remove":
            table.remove(tenant, values)
            model.subtract({(value, tenant) for value in unique if model[value, tenant] > 0})
        elif what == "boilerplate":
            table.add_boilerplate(values)
            model.update((value, "*") for value in unique)
        elif what == "remove_tenant":
            table.remove_tenant(tenant)
            model = Counter({key: count for key, count in model.items() if key[1] != tenant})
        else:
            table.compact()
    asked = np.arange(0, 61, dtype=np.uint64) << np.uint64(57)
    for tenant in TENANTS:
        expected = []
        for index, value in enumerate(asked.tolist()):
            holders = [holder for (held, holder), count in model.items() if held == value and count > 0]
            if len(holders) == 1 and holders[0] not in (tenant, "*"):
                expected.append((index, holders[0]))
        assert table.foreign(tenant, asked) == expected


def test_many_small_documents_are_merged_and_none_is_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(table_module, "_YOUNG", 64)
    rng, table = np.random.default_rng(1), FingerprintTable()
    documents = [rng.integers(0, 2**64, 30, np.uint64) for _ in range(60)]
    for index, document in enumerate(documents):
        table.add(TENANTS[index % 2], document)
    assert len(table) == 1_800
    for index, document in enumerate(documents):
        assert len(table.foreign(TENANTS[2], document)) == 30
        assert len(table.foreign(TENANTS[index % 2], document)) == 0


def test_what_nobody_holds_is_forgotten() -> None:
    table = FingerprintTable()
    document = np.arange(1, 1_000, dtype=np.uint64) << np.uint64(50)
    table.add(TENANTS[0], document)
    table.remove(TENANTS[0], document)
    table.compact()
    assert len(table) == 0


def test_sixteen_bytes_a_fingerprint_and_a_microsecond_a_position() -> None:
    """At 300,000 here; `python -m bench detection` does it with ten."""
    rng, table = np.random.default_rng(2), FingerprintTable()
    for tenant in TENANTS:
        table.add(tenant, rng.integers(0, 2**64, 100_000, np.uint64))
    assert table.nbytes <= 16 * len(table)
    asked = [rng.integers(0, 2**64, 200, np.uint64) for _ in range(200)]
    started = time.process_time()
    for each in asked:
        table.foreign(TENANTS[0], each)
    seconds = time.process_time() - started
    assert seconds / (len(asked) * 200 * 5) < 1e-6  # about one position in five has a fingerprint
