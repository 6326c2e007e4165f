"""REST on aiohttp: bodies into domain values, results into JSON, errors into status codes.

Lives here: the application (``app``), the route table (``routes``), topics (``collections``,
``points``, ``reads``, ``query``, ``service``), decoding (``bodies``, ``params``) and encoding.
May not live here: decisions about data. A handler decodes, calls one operation of ``router`` and
encodes; whatever gRPC needs too belongs one level up.

Invariants: only this package knows status codes and JSON names; a body is decoded once, into typed
structs; stored payloads are passed through as the bytes they are.
"""
