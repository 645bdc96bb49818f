"""The root in AWS KMS: boto3 against moto, with IAM's signatures and policies enforced."""

from __future__ import annotations

import asyncio
import os
import traceback
from dataclasses import replace
from pathlib import Path

import boto3.session  # type: ignore[import-untyped]  # ships no types
import pytest
from botocore.config import Config  # type: ignore[import-untyped]  # ships no types
from botocore.exceptions import BotoCoreError, ClientError  # type: ignore[import-untyped]  # ships no types
from tests.keys.roots.subjects import ALPHA, BETA, new_name, opened, random_key, warmed
from tests.support.engines.impostor import Impostor, Said
from tests.support.engines.kms import REGION, Kms
from tests.support.engines.proxy import Manner, Proxy

from partywall.errors import KeyUnavailable, SealBroken
from partywall.keys.roots import AwsCredentials, AwsKmsRootSettings, Root
from partywall.tenancy import Secret, TenantId

PLACE = b"place"
ALL = ("kms:Encrypt", "kms:Decrypt", "kms:RotateKeyOnDemand", "kms:ScheduleKeyDeletion", "kms:DescribeKey")


def new_settings(kms: Kms, key_id: str | None = None, tenant: TenantId | None = None) -> AwsKmsRootSettings:
    """A root on a key of its own, as a user of its own who may do everything a root needs."""
    key_id = key_id or kms.new_key()
    credentials = kms.new_user(new_name("aws"), *ALL)
    return AwsKmsRootSettings(key_id, REGION, kms.endpoint_url, credentials, timeout_seconds=10.0, tenant=tenant)


async def refused(settings: AwsKmsRootSettings, wrapped: bytes | None = None) -> str:
    """What a fresh root says."""
    async with opened(settings) as root:
        with pytest.raises(KeyUnavailable) as caught:
            await (root.unwrap(ALPHA, wrapped, PLACE) if wrapped is not None else root.check())
        return str(caught.value)


def test_the_tenant_and_the_context_are_the_encryption_context(kms: Kms) -> None:
    """So that a key policy can hold a credential to a tenant, and CloudTrail shows whose key was used."""
    settings = new_settings(kms)

    async def main() -> bytes:
        async with opened(settings) as root:
            return await root.wrap(ALPHA, b"a" * 32, PLACE)

    wrapped = asyncio.run(main())
    assert settings.credentials is not None
    session = boto3.session.Session(
        settings.credentials.access_key_id, settings.credentials.secret_access_key.reveal(), region_name=REGION
    )
    client = session.client("kms", endpoint_url=kms.endpoint_url, config=Config(proxies={}))
    right = {"partywall:tenant": "alpha", "partywall:context": PLACE.hex()}
    ask = {"KeyId": settings.key_id, "CiphertextBlob": wrapped}
    assert client.decrypt(**ask, EncryptionContext=right)["Plaintext"] == b"a" * 32
    for wrong in ({}, right | {"partywall:tenant": "beta"}, {"partywall:tenant": "alpha"}, right | {"more": "x"}):
        with pytest.raises(ClientError, match="InvalidCiphertextException"):
            client.decrypt(**ask, EncryptionContext=wrong)


def test_a_blob_of_another_kms_key_does_not_open_though_we_may_use_that_key(kms: Kms) -> None:
    """KMS finds the key in the blob; unnamed, whoever can write blobs would choose the key."""
    first, second = new_settings(kms), new_settings(kms)

    async def main() -> None:
        async with opened(first) as one, opened(second) as other:
            wrapped = await other.wrap(ALPHA, random_key(), PLACE)
            with pytest.raises(SealBroken, match="under another KMS key"):
                await one.unwrap(ALPHA, wrapped, PLACE)

    asyncio.run(main())


# -- Aliases, rotation, destruction ---


def test_an_alias_names_a_key_for_everything_a_root_does(kms: Kms) -> None:
    key_id, alias = kms.new_key(), f"alias/{new_name('root')}"
    kms.new_alias(alias, key_id)

    async def main() -> None:
        async with opened(new_settings(kms, alias, ALPHA)) as root:
            await root.prepare(ALPHA)
            wrapped = await root.wrap(ALPHA, b"a" * 32, PLACE)
            await root.rotate(ALPHA)
            assert kms.rotations(key_id) == 1
            assert await root.unwrap(ALPHA, wrapped, PLACE) == b"a" * 32
            kms.move_alias(alias, kms.new_key())
            with pytest.raises(SealBroken, match="under another KMS key"):
                await root.unwrap(ALPHA, wrapped, PLACE)
            kms.move_alias(alias, key_id)
            assert "is unusable from now on" in await root.destroy(ALPHA)

    asyncio.run(main())
    assert kms.state(key_id) == "PendingDeletion"


def test_a_shared_key_is_never_deleted(kms: Kms) -> None:
    settings = new_settings(kms)

    async def main() -> None:
        async with opened(settings) as root:
            said = await root.destroy(ALPHA)
            assert said == f"The KMS key `{settings.key_id}` serves every tenant of this root and was left alone."
            await root.check()

    asyncio.run(main())
    assert kms.state(settings.key_id) == "Enabled"


def test_a_tenant_s_own_key_is_scheduled_for_deletion_and_unusable_at_once(kms: Kms) -> None:
    settings = replace(new_settings(kms, tenant=ALPHA), deletion_window_days=9)

    async def main() -> None:
        async with opened(settings) as root:
            wrapped = await root.wrap(ALPHA, random_key(), PLACE)
            assert await root.destroy(ALPHA) == (
                f"The KMS key `{settings.key_id}` is unusable from now on, and AWS deletes it in 9 days."
            )
            with pytest.raises(KeyUnavailable, match="can't be used in its state, such as pending deletion"):
                await root.unwrap(ALPHA, wrapped, PLACE)
            assert "was gone, or waiting for its deletion, already" in await root.destroy(ALPHA)

    asyncio.run(main())


def test_a_destruction_that_isn_t_allowed_is_no_destruction(kms: Kms) -> None:
    settings = replace(new_settings(kms, tenant=ALPHA), credentials=kms.new_user(new_name("aws")))

    async def main() -> None:
        async with opened(settings) as root:
            for call, action in ((root.destroy, "kms:ScheduleKeyDeletion"), (root.rotate, "kms:RotateKeyOnDemand")):
                with pytest.raises(KeyUnavailable, match=f"no policy or grant allows `{action}`"):
                    await call(ALPHA)
            await root.check()

    asyncio.run(main())
    assert kms.state(settings.key_id) == "Enabled"


# -- The tenant's own (BYOK) ---


@pytest.mark.parametrize("revoked", ["key", "policy", "credential"])
def test_what_a_tenant_revokes_is_gone_for_it_alone(kms: Kms, revoked: str) -> None:
    name, own_key = new_name("customer"), kms.new_key()
    credentials = kms.new_user(name)
    theirs = replace(new_settings(kms, own_key, ALPHA), credentials=credentials)

    async def main() -> None:
        async with opened(theirs) as alpha, opened(new_settings(kms)) as platform:
            a, b = await alpha.wrap(ALPHA, b"a" * 32, PLACE), await platform.wrap(BETA, b"b" * 32, PLACE)
            assert await alpha.unwrap(ALPHA, a, PLACE) == b"a" * 32
            if revoked == "key":
                kms.disable(own_key)
            elif revoked == "policy":
                kms.allow(name, "kms:DescribeKey")
            else:
                kms.delete_access_key(name, credentials)
            with pytest.raises(KeyUnavailable, match="refuses"):
                await alpha.unwrap(ALPHA, a, PLACE)
            with pytest.raises(SealBroken):
                await platform.unwrap(ALPHA, a, PLACE)
            assert await platform.unwrap(BETA, b, PLACE) == b"b" * 32

    asyncio.run(main())


def test_a_tenant_s_own_root_serves_nobody_else(kms: Kms) -> None:
    async def main() -> None:
        async with opened(new_settings(kms, tenant=ALPHA)) as root:
            wrapped = await root.wrap(ALPHA, random_key(), PLACE)
            for call in (
                lambda: root.prepare(BETA),
                lambda: root.wrap(BETA, random_key(), PLACE),
                lambda: root.unwrap(BETA, wrapped, PLACE),
                lambda: root.rotate(BETA),
                lambda: root.destroy(BETA),
            ):
                with pytest.raises(
                    KeyUnavailable, match="is `alpha`'s own root and serves no other tenant; `beta` asked"
                ):
                    await call()

    asyncio.run(main())


# -- What is said ---


def test_each_refusal_says_which_it_is(kms: Kms) -> None:
    good = new_settings(kms)
    assert good.credentials is not None
    unknown = AwsCredentials("AKIA0000000000000000", Secret("x"))
    wrong = replace(good.credentials, secret_access_key=Secret("wrong"))
    cases = {
        "the access key is unknown or was revoked": replace(good, credentials=unknown),
        "the secret access key is wrong": replace(good, credentials=wrong),
        "has no key `no-such-key` in this region": replace(good, key_id="no-such-key"),
        "has no key `alias/no-such-key` in this region": replace(good, key_id="alias/no-such-key"),
        "is down: no connection": replace(good, endpoint_url="http://127.0.0.1:1"),
        "shows a certificate that is not trusted, or speaks no TLS": replace(
            good, endpoint_url=kms.endpoint_url.replace("http:", "https:")
        ),
    }
    for says, settings in cases.items():
        assert says in asyncio.run(refused(settings))


@pytest.mark.parametrize(
    ("code", "says"),
    [
        ("ThrottlingException", "is overloaded (throttled)"),
        ("KMSInternalException", "is failing (KMSInternal)"),
        ("ExpiredTokenException", "the temporary credentials have expired"),
        ("KeyUnavailableException", "is failing (KeyUnavailable)"),
        ("SomethingNew", "failed to `kms:Encrypt` (SomethingNew)"),
        ("some\x1b[31m words of the server", "failed to `kms:Encrypt` (an unknown code)"),
    ],
)
def test_a_code_is_told_in_our_words(kms: Kms, code: str, says: str) -> None:
    body = b'{"__type":"%s","message":"words of the server"}' % code.encode("unicode_escape").replace(
        b"\\x1b", b"\\u001b"
    )
    with Impostor(lambda _: Said(400, body, {"Content-Type": "application/x-amz-json-1.1"})) as impostor:
        said = asyncio.run(refused(replace(new_settings(kms), endpoint_url=impostor.address)))
    assert says in said
    assert "words" not in said


def test_an_answer_that_is_none_is_no_key(kms: Kms) -> None:
    bodies = [b"{}", b"<html>log in</html>", b'{"CiphertextBlob": 1}', b"[]"]
    expected = len(bodies)
    with Impostor(lambda _: Said(200, bodies.pop())) as impostor:
        settings = replace(new_settings(kms), endpoint_url=impostor.address)
        for _ in range(expected):
            said = asyncio.run(refused(settings))
            assert "answered with what KMS would not" in said or "could not be asked" in said
    assert bodies == []


def test_no_secret_and_no_request_is_in_an_error(kms: Kms) -> None:
    key = b"k" * 32

    async def main() -> None:
        with Proxy(kms.port) as proxy:
            settings = replace(new_settings(kms), endpoint_url=f"http://127.0.0.1:{proxy.port}")
            assert settings.credentials is not None
            async with opened(replace(settings, timeout_seconds=2.0)) as root:
                await warmed(root.check)
                for manner in (Manner.REFUSE, Manner.CUT):
                    proxy.behave(manner)
                    with pytest.raises(KeyUnavailable) as caught:
                        await root.wrap(ALPHA, key, PLACE)
                    said = "".join(traceback.format_exception(caught.value))
                    assert settings.credentials.secret_access_key.reveal() not in said
                    assert key.decode() not in said
                    chain: BaseException | None = caught.value
                    while chain is not None:
                        assert not isinstance(chain, BotoCoreError | ClientError)
                        chain = chain.__cause__ or chain.__context__

    asyncio.run(main())


# -- The environment ---


def test_the_environment_chooses_neither_endpoint_nor_proxy(kms: Kms, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = replace(new_settings(kms), endpoint_url=kms.endpoint_url)
    with Impostor(lambda _: Said(500)) as wrong:
        for name in ("AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_KMS", "HTTP_PROXY", "http_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, wrong.address)
        for name in ("NO_PROXY", "no_proxy"):
            monkeypatch.setenv(name, "")
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIASOMEBODYELSE")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "somebody else's")

        async def main() -> None:
            async with opened(settings) as root:
                await root.check()

        asyncio.run(main())
        assert wrong.asked == []


def test_credentials_come_from_the_environment_where_none_are_given(
    kms: Kms, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    settings = new_settings(kms)
    assert settings.credentials is not None
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    ambient = replace(settings, credentials=None)
    assert "none in the settings, none in the environment" in asyncio.run(refused(ambient))
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", settings.credentials.access_key_id)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", settings.credentials.secret_access_key.reveal())

    async def main() -> None:
        async with opened(ambient) as root:
            await root.check()

    asyncio.run(main())


def test_a_hanging_kms_is_given_up_on_and_serves_again_once_it_goes_on(kms: Kms) -> None:
    async def scenario(root: Root) -> None:
        wrapped = await root.wrap(ALPHA, b"a" * 32, PLACE)
        kms.suspend()
        try:
            for _ in range(2):
                with pytest.raises(KeyUnavailable, match="did not answer within 2 s"):
                    await root.unwrap(ALPHA, wrapped, PLACE)
        finally:
            kms.resume()
        await asyncio.sleep(0.2)
        assert await root.unwrap(ALPHA, wrapped, PLACE) == b"a" * 32

    async def main() -> None:
        async with opened(replace(new_settings(kms), timeout_seconds=2.0)) as root:
            await warmed(root.check)
            await scenario(root)

    asyncio.run(main())
