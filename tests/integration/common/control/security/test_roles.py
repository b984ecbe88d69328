"""Every method for every kind of caller, over real TLS sockets."""

from __future__ import annotations

import asyncio
import datetime
import json
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from hedgerow.common.control.rpc import open_channel
from hedgerow.common.control.security.caller import CALLER_METADATA
from hedgerow.common.control.security.methods import METHODS, Role
from hedgerow.common.control.security.tls import TlsFiles, channel_credentials
from hedgerow.common.control.security.tokens import new_token
from hedgerow.common.pb.v1 import admin_pb2 as pb
from hedgerow.common.pb.v1 import admin_pb2_grpc
from hedgerow.sandbox.certificates import Authority
from tests.integration.common.control.security.harness import PEOPLE, House, methods_of, open_house

SERVICES = ("hedgerow.v1.Admin", "hedgerow.v1.MaintainerHost", "hedgerow.v1.Dispatch", "grpc.health.v1.Health")
CODE = grpc.StatusCode


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    async with open_house(tmp_path) as found:
        yield found


async def outcome(channel: grpc.aio.Channel, path: str, request: Any, response: Any) -> grpc.StatusCode:
    """How one call ends. Of a stream: how its beginning does."""
    kind = channel.unary_stream if path.endswith("/Watch") else channel.unary_unary
    stub: Any = kind(path, request_serializer=request.SerializeToString, response_deserializer=response.FromString)
    call = stub(request(), timeout=20)
    try:
        await (call.read() if path.endswith("/Watch") else call)
    except grpc.aio.AioRpcError as error:
        return error.code()
    finally:
        call.cancel()
    return CODE.OK


def expected(path: str, role: Role | None) -> grpc.StatusCode:
    rule = METHODS[path]
    return CODE.OK if not rule.roles or role in rule.roles else CODE.PERMISSION_DENIED


async def test_every_method_for_every_certificate(house: House) -> None:
    methods = [method for service in SERVICES for method in methods_of(service)]
    later = {"/grpc.health.v1.Health/List"}  # of later versions of grpcio-health-checking
    assert {path for path, _, _ in methods} | later == {path for path in METHODS if "reflection" not in path}
    methods = [method for method in methods if method[0] not in later]
    lines = [f"{'':45}" + "".join(f"{role or 'none':>10}" for role in PEOPLE.values())]
    wrong = []
    channels = {name: house.channel(name) for name in PEOPLE}
    for path, request, response in methods:
        line = f"{path:45}"
        for name, role in PEOPLE.items():
            found = await outcome(channels[name], path, request, response)
            line += f"{'yes' if found is CODE.OK else '-':>10}"
            if found is not expected(path, role):
                wrong.append((path, name, found))
        lines.append(line)
    for channel in channels.values():
        await channel.close()
    print("\n".join(lines))
    assert not wrong


async def test_every_method_for_every_token(house: House) -> None:
    """What is for nodes is not even served where tokens are."""
    for role, token in house.tokens.items():
        async with house.token_channel(token) as channel:
            for service in SERVICES:
                for path, request, response in methods_of(service):
                    wanted = CODE.UNIMPLEMENTED if METHODS[path].internal else expected(path, Role(role))
                    assert await outcome(channel, path, request, response) is wanted, (path, role)


async def test_reflection_needs_a_role(house: House) -> None:
    question = reflection_pb2.ServerReflectionRequest(list_services="")
    for name, wanted in (("victor", CODE.OK), ("stranger", CODE.PERMISSION_DENIED), ("node1", CODE.PERMISSION_DENIED)):
        async with house.channel(name) as channel:
            call = reflection_pb2_grpc.ServerReflectionStub(channel).ServerReflectionInfo(timeout=20)
            try:
                await call.write(question)
                answer = await call.read()
                assert "hedgerow.v1.Admin" in {one.name for one in answer.list_services_response.service}
                found = CODE.OK
            except (grpc.aio.AioRpcError, grpc.aio.UsageError):
                found = await call.code()
            assert found is wanted, name
            call.cancel()


async def get(channel: grpc.aio.Channel, **options: Any) -> tuple[grpc.StatusCode, str]:
    try:
        await admin_pb2_grpc.AdminStub(channel).Get(pb.ChangefeedRequest(name="shop"), timeout=20, **options)
    except grpc.aio.AioRpcError as error:
        return error.code(), error.details() or ""
    return CODE.OK, ""


async def test_who_is_of_another_authority_gets_no_connection(house: House, tmp_path: Path) -> None:
    other = Authority(tmp_path / "other")
    async with house.channel("ada", other) as channel:
        assert (await get(channel))[0] is CODE.UNAVAILABLE
    files = TlsFiles(other.ca_file, *house.authority.issue("ada"))
    async with open_channel(house.address, channel_credentials(files.read())) as channel:
        code, text = await get(channel)
    assert code is CODE.UNAVAILABLE, "nor does a client speak to a node of another authority"
    assert "certificate" in text.lower()


async def test_who_has_no_certificate_gets_no_connection(house: House) -> None:
    async with house.channel(None) as channel:
        assert (await get(channel))[0] is CODE.UNAVAILABLE
    async with open_channel(house.address) as channel:
        assert (await get(channel))[0] is CODE.UNAVAILABLE


async def test_an_expired_certificate_gets_no_connection(house: House) -> None:
    house.authority.renew("ada", valid=datetime.timedelta(hours=-1))
    async with house.channel("ada") as channel:
        assert (await get(channel))[0] is CODE.UNAVAILABLE


async def test_a_certificate_that_expires_ends_its_living_connection(house: House) -> None:
    house.authority.renew("ada", valid=datetime.timedelta(seconds=3))
    async with house.channel("ada") as channel:
        assert (await get(channel))[0] is CODE.OK
        async with asyncio.timeout(20):
            while (found := await get(channel))[0] is CODE.OK:  # noqa: ASYNC110
                await asyncio.sleep(0.1)
        assert found[0] is CODE.UNAUTHENTICATED
        assert "not valid now" in found[1]


async def test_a_client_does_not_speak_to_a_node_at_another_name(house: House) -> None:
    house.authority.renew("node1", hosts=["elsewhere.example.com"])
    async with house.channel("ada") as channel:
        assert (await get(channel))[0] is CODE.UNAVAILABLE


async def test_only_a_known_token_is_let_in(house: House) -> None:
    for token, wanted in (
        (house.tokens["viewer"], CODE.OK),
        (new_token(), CODE.UNAUTHENTICATED),
        ("nonsense", CODE.UNAUTHENTICATED),
        (None, CODE.UNAUTHENTICATED),
    ):
        async with house.token_channel(token) as channel:
            assert (await get(channel))[0] is wanted


async def test_signed_tokens_over_a_real_connection(tmp_path: Path) -> None:
    """Beside the token file; each refusal says why, and none shows the token."""
    key, other = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    public = json.loads(jwt.algorithms.ECAlgorithm.to_jwk(key.public_key()))
    (tmp_path / "keys.json").write_text(json.dumps({"keys": [{**public, "kid": "k1"}]}))
    jwt_settings = {"jwt_keys": tmp_path / "keys.json", "jwt_issuer": "https://i.example", "jwt_audience": "hedgerow"}
    good = {"iss": "https://i.example", "aud": "hedgerow", "sub": "bob", "exp": time.time() + 300}

    def token(signer: Any = key, alg: str = "ES256", **claims: Any) -> str:
        return jwt.encode({**good, **claims}, signer, alg, headers={"kid": "k1"})

    async with open_house(tmp_path, role_viewer=("CN:victor", "SUB:bob"), **jwt_settings) as house:
        for sent, wanted, said in (
            (token(), CODE.OK, ""),
            (house.tokens["viewer"], CODE.OK, ""),
            (token(sub="eve"), CODE.PERMISSION_DENIED, "SUB:eve has no role"),
            (token(exp=time.time() - 300), CODE.UNAUTHENTICATED, "Expired"),
            (token(aud="other"), CODE.UNAUTHENTICATED, "Audience"),
            (token(other), CODE.UNAUTHENTICATED, "Signature"),
            (token("secret" * 8, "HS256"), CODE.UNAUTHENTICATED, "Algorithm"),
        ):
            async with house.token_channel(sent) as channel:
                code, text = await get(channel)
            assert code is wanted, (text, said)
            assert said in text
            assert sent not in text
        async with house.token_channel(token()) as channel:
            with pytest.raises(grpc.aio.AioRpcError, match="SUB:bob has the role viewer"):
                await admin_pb2_grpc.AdminStub(channel).Pause(pb.ChangefeedRequest(name="shop"), timeout=20)


async def test_a_token_is_of_no_use_where_certificates_are_asked_for(house: House) -> None:
    for name, wanted in (("victor", CODE.UNAUTHENTICATED), ("node1", CODE.UNAUTHENTICATED)):
        async with house.channel(name) as channel:
            sent = (("authorization", "Bearer " + house.tokens["admin"]),)
            assert (await get(channel, metadata=sent))[0] is wanted


async def test_two_authorizations_are_none(house: House) -> None:
    tokens = [("authorization", f"Bearer {house.tokens[role]}") for role in ("viewer", "admin")]
    async with house.token_channel(None) as channel:
        assert (await get(channel, metadata=tokens[:1]))[0] is CODE.OK
        assert (await get(channel, metadata=tokens))[0] is CODE.UNAUTHENTICATED
        basic = [("authorization", "Basic " + house.tokens["viewer"])]
        assert (await get(channel, metadata=basic))[0] is CODE.UNAUTHENTICATED


async def test_a_user_cannot_play_a_node_that_forwards(house: House) -> None:
    said = ((CALLER_METADATA, b'{"name": "CN:ada", "roles": ["admin"], "via": "certificate", "address": ""}'),)
    async with house.channel("victor") as channel:
        assert (await get(channel, metadata=said))[0] is CODE.PERMISSION_DENIED
    async with house.token_channel(house.tokens["admin"]) as channel:
        assert (await get(channel, metadata=said))[0] is CODE.PERMISSION_DENIED


async def test_a_node_changes_nothing_by_its_own_name_and_forwards_by_a_users(house: House) -> None:
    viewer = ((CALLER_METADATA, b'{"name": "CN:victor", "roles": ["viewer"], "via": "certificate", "address": "a"}'),)
    admin = ((CALLER_METADATA, b'{"name": "CN:ada", "roles": ["admin"], "via": "certificate", "address": "b"}'),)
    async with house.channel("node1") as channel:
        stub = admin_pb2_grpc.AdminStub(channel)
        for metadata, wanted in ((None, CODE.PERMISSION_DENIED), (viewer, CODE.PERMISSION_DENIED), (admin, CODE.OK)):
            try:
                await stub.Remove(pb.ChangefeedRequest(name="shop"), timeout=20, metadata=metadata)
                found = CODE.OK
            except grpc.aio.AioRpcError as error:
                found = error.code()
            assert found is wanted
    seen = [(line["event"], line["who"], line.get("forwarded_by")) for line in house.audit]
    assert seen == [
        ("call-refused", "CN:node1", None),
        ("call-refused", "CN:victor", "CN:node1"),
        ("call-begun", "CN:ada", "CN:node1"),
        ("call-ended", "CN:ada", "CN:node1"),
    ]


async def test_what_was_refused_and_what_was_changed_is_written_down(house: House) -> None:
    secret = "s3cr3t"
    create = pb.CreateChangefeedRequest(
        name="shop", source=f"mysql://u:{secret}@h/", sink=f"mysql://u@h/?password={secret}"
    )
    async with house.channel("ada") as channel:
        stub = admin_pb2_grpc.AdminStub(channel)
        await stub.CreateChangefeed(create, timeout=20)
        await stub.Get(pb.ChangefeedRequest(name="shop"), timeout=20)
    async with house.channel("victor") as channel:
        with pytest.raises(grpc.aio.AioRpcError):
            await admin_pb2_grpc.AdminStub(channel).Pause(pb.ChangefeedRequest(name="shop"), timeout=20)
    async with house.token_channel(house.tokens["operator"]) as channel:
        await admin_pb2_grpc.AdminStub(channel).Pause(pb.ChangefeedRequest(name="shop"), timeout=20)
    async with house.token_channel(bad := new_token()) as channel:
        assert (await get(channel))[0] is CODE.UNAUTHENTICATED
    lines = house.audit
    method = {"create": "/hedgerow.v1.Admin/CreateChangefeed", "pause": "/hedgerow.v1.Admin/Pause"}
    assert [(line["event"], line["who"], line["method"], line.get("outcome")) for line in lines] == [
        ("call-begun", "CN:ada", method["create"], None),
        ("call-ended", "CN:ada", method["create"], "OK"),
        ("call-refused", "CN:victor", method["pause"], "Forbidden"),
        ("call-begun", "TOKEN:operators", method["pause"], None),
        ("call-ended", "TOKEN:operators", method["pause"], "OK"),
        ("call-refused", "unknown", "/hedgerow.v1.Admin/Get", "Unauthenticated"),
    ]
    assert all(line["from"].startswith("ipv4:127.0.0.1:") and line["timestamp"] for line in lines)
    assert lines[0]["request"]["name"] == "shop"
    text = (house.directory / "audit.log").read_text()
    assert not [one for one in (secret, bad, *house.tokens.values()) if one in text]


async def test_a_change_that_cannot_be_written_down_is_not_made(house: House) -> None:
    (house.directory / "audit.log").unlink()
    (house.directory / "audit.log").mkdir()
    async with house.channel("ada") as channel:
        stub = admin_pb2_grpc.AdminStub(channel)
        with pytest.raises(grpc.aio.AioRpcError, match="audit log") as caught:
            await stub.Pause(pb.ChangefeedRequest(name="shop"), timeout=20)
        assert caught.value.code() is CODE.UNAVAILABLE
        assert (await get(channel))[0] is CODE.OK, "what changes nothing goes on"


async def test_an_audit_log_that_was_moved_away_is_made_again(house: House) -> None:
    async with house.channel("ada") as channel:
        stub = admin_pb2_grpc.AdminStub(channel)
        await stub.Pause(pb.ChangefeedRequest(name="one"), timeout=20)
        (house.directory / "audit.log").rename(house.directory / "audit.log.1")
        await stub.Pause(pb.ChangefeedRequest(name="two"), timeout=20)
    assert [line["request"]["name"] for line in house.audit if line["event"] == "call-begun"] == ["two"]


async def test_health_is_answered_to_who_has_no_token(house: House) -> None:
    async with house.token_channel(None) as channel:
        answer = await health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(), timeout=20)
    assert answer.status == health_pb2.HealthCheckResponse.SERVING
