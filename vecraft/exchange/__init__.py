"""Points between a server and files: JSON lines, NumPy arrays, Parquet.

Lives here: the formats (``jsonl``, ``arrays``, ``parquet``; ``formats`` chooses one), how far a job has come
(``journal``), and the two jobs (``importing``, ``exporting``). May not live here: the command line, tables.

A point is passed on as the JSON text that the server speaks (``points.Point``); only formats that need
numbers read them. Memory is bounded by what is under way: a few batches, whatever the size of a collection.

**Positions.** A source numbers its points by positions that grow: bytes, or rows. A job remembers up to which
position everything is done; after a kill it goes on there. What was under way then is done again, which
changes nothing: a point's id is in the source, or follows from its row, and an upsert replaces all of it.
"""
