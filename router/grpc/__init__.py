"""gRPC: protobuf into domain values, results into protobuf, errors into status codes (reference 2.2, 17).

Lives here: the server (``server``), gRPC itself (``transport``), what surrounds every method (``methods``),
the services by topic (``collections``, ``cluster``, ``updates``, ``queries``, ``service``), and ``convert``,
the only place that knows both protobuf messages and ours.
May not live here: decisions about data. A handler converts, calls the operation of ``router`` that REST calls
too, and converts the answer.

Invariants: only this package knows gRPC's codes; methods are read off the descriptors of ``protos.qdrant``,
so one exists exactly if the API has it; whatever a client sends, the code says whose fault it was.
"""
