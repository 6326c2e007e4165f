"""The point store against a dictionary, through random changes, checkpoints and reopenings."""

from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from node.storage.points import PointStore, PointsView
from node.storage.records import pack_record, unpack_record
from protos.ids import PointId, id_key

Model = dict[bytes, tuple[int, int]]  # id key -> slot, version

UUIDS = [f"{n:08x}-0000-0000-0000-000000000000" for n in range(3)]
Numbers = st.integers(0, 30) | st.sampled_from([2**32, 2**64 - 1])
Points = st.lists(Numbers | st.sampled_from(UUIDS), min_size=1, max_size=12, unique=True)


def check(view: PointsView, model: Model, probes: list[bytes]) -> None:
    ordered = sorted((key, slot) for key, (slot, _) in model.items())
    assert view.count == len(model)
    assert list(view.iter_ids(None)) == ordered
    for probe in probes:
        assert view.slot_of(probe) == model.get(probe, (-1, 0))[0]
        assert list(view.iter_ids(probe)) == [item for item in ordered if item[0] >= probe]
    assert view.slots_of(probes).tolist() == [model.get(probe, (-1, 0))[0] for probe in probes]
    records = {slot: (key, version) for key, (slot, version) in model.items()}
    found = {slot: unpack_record(data) for slot, data in view.scan_records()}
    assert {slot: (record.key, record.version) for slot, record in found.items()} == records
    assert dict(zip(records, view.records(list(records)))) == found


class StoreMachine(RuleBasedStateMachine):
    @initialize()
    def start(self) -> None:
        self.directory = TemporaryDirectory()
        self.path = Path(self.directory.name) / "points.mdb"
        self.store = PointStore.open(self.path, 1)
        self.model: Model = {}
        self.frozen: Model = {}
        self.durable: Model = {}
        self.checkpoints = 0
        self.next_slot = 0
        self.version = 0
        self.old: list[tuple[PointsView, Model]] = []

    def slots(self, count: int) -> range:
        self.next_slot += count
        return range(self.next_slot - count, self.next_slot)

    def packed(self, keys: list[bytes]) -> list[bytes]:
        self.version += 1
        return [pack_record(self.version, key, b"{}") for key in keys]

    @rule(points=Points, many=st.booleans())
    def put(self, points: list[PointId], many: bool) -> None:
        keys = list(map(id_key, points))
        slots, records = self.slots(len(keys)), self.packed(keys)
        with self.store.change() as batch:
            if many:
                former = batch.put_many(keys, slots, records).tolist()
            else:
                former = [batch.put(*item) for item in zip(keys, slots, records)]
        assert former == [self.model.get(key, (-1, 0))[0] for key in keys]
        self.model = self.model | {key: (slot, self.version) for key, slot in zip(keys, slots)}

    @rule(points=Points)
    def delete(self, points: list[PointId]) -> None:
        keys = list(map(id_key, points))
        with self.store.change() as batch:
            former = [batch.delete(key) for key in keys]
        assert former == [self.model.get(key, (-1, 0))[0] for key in keys]
        self.model = {key: value for key, value in self.model.items() if key not in keys}

    @rule(points=Points)
    def replace_records(self, points: list[PointId]) -> None:
        keys = [key for key in map(id_key, points) if key in self.model]
        with self.store.change() as batch:
            for key, data in zip(keys, self.packed(keys)):
                batch.replace_record(batch.slot_of(key), data)
        self.model = self.model | {key: (self.model[key][0], self.version) for key in keys}

    @rule(points=Points)
    def abandon_a_change(self, points: list[PointId]) -> None:
        try:
            with self.store.change() as batch:
                for point in points:
                    batch.delete(id_key(point))
                raise InterruptedError
        except InterruptedError:
            pass

    @rule()
    def freeze(self) -> None:
        self.store.freeze()
        self.frozen = self.model

    @rule()
    def checkpoint(self) -> None:
        self.checkpoints += 1
        self.store.checkpoint(b"%d" % self.checkpoints)
        self.durable = self.frozen

    @rule()
    def keep_a_view(self) -> None:
        self.old = [*self.old[-4:], (self.store.view(), self.model)]

    @rule()
    def reopen(self) -> None:
        self.old = []
        self.store.close()
        self.store = PointStore.open(self.path, 1)
        assert self.store.meta() == (b"%d" % self.checkpoints if self.checkpoints else None)
        self.model = self.frozen = self.durable

    @invariant()
    def every_view_reads_as_when_it_was_taken(self) -> None:
        probes = [id_key(0), id_key(17), id_key(2**64 - 1), id_key(UUIDS[1])]
        for view, model in [*self.old, (self.store.view(), self.model)]:
            check(view, model, probes)

    def teardown(self) -> None:
        if hasattr(self, "store"):
            self.old = []
            self.store.close()
            self.directory.cleanup()


TestStoreMachine = pytest.mark.slow(StoreMachine.TestCase)
TestStoreMachine.settings = settings(max_examples=60, stateful_step_count=25, deadline=None)
