"""The chart's pods with TLS everywhere, as processes: by names, with one certificate for all pods."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
import trustme

from tests.deploy.rendering import one, profile, rendered
from tests.live import wait_for
from tests_cluster.kubernetes import NAMESPACE, RELEASE, installed
from tests_cluster.network import Network

pytestmark = pytest.mark.slow

VALUES = {**profile("tls"), "replicaCount": 3, "terminationGracePeriodSeconds": 60}


@pytest.fixture
def network() -> Iterator[Network]:
    with Network(4) as made:
        yield made


def test_pods_make_a_cluster_over_tls_and_one_that_is_scaled_away_leaves_it(
    network: Network, tmp_path: Path
) -> None:
    manifests = rendered(VALUES, name=RELEASE, namespace=NAMESPACE)
    certificate = one(manifests, "Certificate", f"{RELEASE}-tls")["spec"]
    authority = trustme.CA()
    made = authority.issue_cert(*certificate["dnsNames"])
    files = {
        "tls.crt": made.cert_chain_pems[0].bytes(),
        "tls.key": made.private_key_pem.bytes(),
        "ca.crt": authority.cert_pem.bytes(),
    }
    with installed(tmp_path, network, VALUES, secrets={certificate["secretName"]: files}) as release:
        release.wait_ready()
        context = ssl.create_default_context(cadata=files["ca.crt"].decode())
        context.check_hostname = False  # the names lead nowhere from here
        made.configure_cert(context)
        url = release.pods[0].url().replace("http://", "https://")
        key = {"api-key": release.secret("api-key")}
        with httpx.Client(base_url=url, verify=context, headers=key, timeout=30) as http:

            def peers() -> list[str]:
                return [peer["uri"] for peer in http.get("/cluster/peers").json()["result"]]

            assert len(peers()) == 3
            assert all(uri.startswith("https://vecraft-") for uri in peers())
            body = {"vectors": {"size": 2, "distance": "Dot"}, "shard_number": 3}
            assert http.put("/collections/docs", json=body).status_code == 200
            release.scale(2)
            wait_for(lambda: len(peers()) == 2, seconds=60, what="the last pod to leave")
            release.wait_ready()
        with pytest.raises(httpx.TransportError), httpx.Client(verify=False) as stranger:
            stranger.get(f"{url}/readyz")
        release.assert_ended_well()
