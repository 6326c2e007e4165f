"""gRPC over HTTP/2, as a server: calls in, answers out, on the event loop.

nghttp2 (by ``ngh2``, its binding without sockets) does HTTP/2: frames, HPACK, windows, streams, and floods of
frames. Lives here: what gRPC adds to it. Messages and their compression (``messages``), headers and trailers
(``headers``), calls and how their methods are run (``calls``), what a connection may hold (``flow``), the
connection itself (``connection``, the only module that knows ngh2), the ports (``server``).
May not live here: services, protobuf, errors of ours.

Invariants: a call is answered once, or its stream is gone; a call whose client has left, or whose deadline is
over, is cancelled; whatever a client sends, what it makes this process hold is bounded (``flow``).

Source: "gRPC over HTTP2" and "gRPC status codes" of gRPC's documentation; RFC 9113.
"""
