"""A short name of a host is a Service in the pool's namespace, for the operator as for pods."""

from __future__ import annotations

import pytest

from forq.store.targets import parse
from forq_operator.cluster.hosts import in_namespace


@pytest.mark.parametrize(
    ("url", "full"),
    [
        ("redis://redis:6379/0", "redis://redis.shop.svc:6379/0"),
        ("redis://redis", "redis://redis.shop.svc"),
        (
            "rediss://u:p/w@redis:6380/1?ssl_cert_reqs=none",
            "rediss://u:p/w@redis.shop.svc:6380/1?ssl_cert_reqs=none",
        ),
        ("redis://:pw@redis", "redis://:pw@redis.shop.svc"),
        (
            "redis+sentinel://a:1,b.lab:2,c/main/0",
            "redis+sentinel://a.shop.svc:1,b.lab:2,c.shop.svc/main/0",
        ),
        ("redis+cluster://node-0,10.0.0.1:7000", "redis+cluster://node-0.shop.svc,10.0.0.1:7000"),
        *(
            (same, same)
            for same in (
                "redis://redis.lab:6379/0",
                "redis://redis.lab.svc.cluster.local/0",
                "redis://localhost:6379",
                "redis://:6379/0",
                "redis://[::1]:6379/0",
                "redis://127.0.0.1/0",
            )
        ),
    ],
)
def test_short_names_are_those_of_the_pools_namespace(url: str, full: str) -> None:
    assert in_namespace(url, "shop") == full
    assert len(parse(full).addresses) == len(parse(url).addresses)
    assert in_namespace(full, "other") == full
