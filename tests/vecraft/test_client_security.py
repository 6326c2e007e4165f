"""The official client with a key over TLS, unmodified."""

from __future__ import annotations

import ssl
from pathlib import Path

import pytest
from msgspec.structs import replace
from qdrant_client import AsyncQdrantClient, models
from qdrant_client.http.exceptions import UnexpectedResponse

from router.auth.access import Match
from router.auth.claims import Claims, CollectionClaim
from router.auth.tokens import mint
from tests.certificates import HOST, Authority
from tests.vecraft.served import serving
from vecraft.listening import listening
from vecraft.settings import ServiceSettings
from vecraft.tls import CertificateFiles

API = "a" * 32
SERVICE = ServiceSettings(host=HOST, api_key=API, jwt_rbac=True)
ACME = CollectionClaim("docs", "rw", (Match("org", "acme"),))


async def test_the_official_client_works_with_keys_and_tokens_over_tls(
    tmp_path: Path, unused_tcp_port: int
) -> None:
    authority = Authority(tmp_path / "tls")
    files = CertificateFiles(replace(authority.settings, cert_ttl=None), mutual=False)
    trusted = ssl.create_default_context(cadata=authority.certificate.decode())

    def client(key: str) -> AsyncQdrantClient:
        return AsyncQdrantClient(
            url=f"https://{HOST}:{unused_tcp_port}",
            api_key=key,
            verify=trusted,
            check_compatibility=False,  # which asks without the certificate's authority
        )

    async with serving(tmp_path, SERVICE) as apps, listening(apps.rest[0], SERVICE, unused_tcp_port, files):
        admin, tenant, nobody = client(API), client(mint(API, Claims(access=(ACME,)))), client("wrong")
        config = models.VectorParams(size=2, distance=models.Distance.DOT)
        await admin.create_collection("docs", vectors_config=config)
        orgs = enumerate(("acme", "evil"))
        points = [models.PointStruct(id=at, vector=[1, at], payload={"org": org}) for at, org in orgs]
        await admin.upsert("docs", points, wait=True)
        found = await tenant.query_points("docs", [1.0, 1.0])
        assert [point.id for point in found.points] == [0]
        with pytest.raises(UnexpectedResponse) as refused:
            await tenant.delete_collection("docs")
        assert refused.value.status_code == 403
        with pytest.raises(UnexpectedResponse) as refused:
            await nobody.get_collections()
        assert refused.value.status_code == 401
        for each in (admin, tenant, nobody):
            await each.close()
