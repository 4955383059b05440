"""A Pod's own port through the API server, as kubectl asks for it."""

from __future__ import annotations

import json

import pytest

from tests.localcluster.kubernetes.cluster import Cluster, manifest

pytestmark = pytest.mark.slow


def test_a_pods_port_answers_through_the_api_server(cluster: Cluster) -> None:
    cluster.apply(manifest("proxied", "fast:v1"))
    cluster.available("proxied")
    pod = cluster.pods("proxied")[0]["metadata"]["name"]
    pods = "/api/v1/namespaces/default/pods"
    answer = json.loads(cluster.run("get", "--raw", f"{pods}/{pod}:9000/proxy/some/path?a=b").stdout)
    assert (answer["label"], answer["path"]) == ("v1", "/some/path?a=b")
    assert json.loads(cluster.run("get", "--raw", f"{pods}/{pod}/proxy/first").stdout)["path"] == "/first"
    posted = cluster.run("create", "--raw", f"{pods}/{pod}:9000/proxy/x", "-f", "-", stdin="{}")
    assert json.loads(posted.stdout)["path"] == "/x"
    for path, words in (
        (f"{pod}:1234/proxy/x", "listens on the ports 6000, 9000, 9500, not 1234"),
        (f"{pod}:6000/proxy/x", "error trying to reach service"),
        ("nobody:9000/proxy/x", 'pods "nobody" not found'),
        (f"{pod}:http/proxy/x", "give its number"),
    ):
        refused = cluster.run("get", "--raw", f"{pods}/{path}", check=False)
        assert refused.returncode == 1
        assert words in refused.stderr
    cluster.run("delete", "sdep", "proxied")
