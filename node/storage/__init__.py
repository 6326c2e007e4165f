"""What one shard replica keeps on disk besides vectors and payload columns: its log and its points.

Lives here: ``wal`` (the log; its bytes: ``wal_format``), ``points`` (the store: id key -> slot ->
record, with ``points_view`` for readers, ``overlay`` for what no checkpoint holds yet and
``points_file`` for LMDB), ``records`` (a point's bytes) and ``files`` (durable creation and removal).
May not live here: what an operation means, the allocation of slots, vectors, anything asynchronous.

Invariants: whatever was synced is read back unchanged or reported as damaged, never dropped in
silence; every format begins with a magic or a version; one writer, any number of reading threads.
"""
