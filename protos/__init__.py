"""The vocabulary every floor speaks: ids, operations, filters, collection configuration, errors, ports.

Lives here: typed values, their decoding from and encoding to wire and log formats, and rules that
follow from a value alone (the order of point ids, the grammar of a JSON path); how whoever keeps files
writes them durably (``files``).
May not live here: anything that decides, stores or serves; any import of our other packages; ``grpc``.

Invariants: every struct is frozen; a value that exists is valid (constructors and decoders check);
formats that reach disk or another process carry a version.
"""
