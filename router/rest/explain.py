"""How a query is answered: an extension of Qdrant's API (docs/EXPLAIN.md)."""

from __future__ import annotations

from aiohttp import web

from router.auth.needs import Need
from router.queries.explaining import Explanation
from router.queries.operations import SearchOperations
from router.rest.bodies import queries, schemas
from router.rest.bodies.reading import read_body
from router.rest.envelope import enveloped_route
from router.rest.params import collection_name, read_options
from router.rest.routes import Route

_PATH = "/collections/{collection_name}/points/query/explain"


def explain_routes(searches: SearchOperations) -> list[Route]:
    async def explain(request: web.Request) -> Explanation:
        name, options = collection_name(request), read_options(request)
        query = queries.decode_query(await read_body(request))
        return await searches.explain(name, query, options)

    return [
        enveloped_route(
            "POST",
            _PATH,
            explain,
            Need.READ_COLLECTION,
            "Explain a query: per shard the ways taken, estimates, points scored, time (not of Qdrant's API)",
            ("timeout",),
            tag="Search",
            body=schemas.QueryBody,
            result=Explanation,
        )
    ]
