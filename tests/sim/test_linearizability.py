"""The checker of histories, against registers that are linearizable, ones that are not, and brute force."""

from __future__ import annotations

import itertools
import random
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests_cluster.linearizability import Kind, Operation, Outcome, Value, check

PUT, DELETE, READ = Kind.PUT, Kind.DELETE, Kind.READ
OK, FAILED, UNKNOWN = Outcome.OK, Outcome.FAILED, Outcome.UNKNOWN


def put(value: int, called: int, returned: int, outcome: Outcome = OK) -> Operation:
    return Operation(PUT, "k", value, called, returned, outcome)


def delete(called: int, returned: int, outcome: Outcome = OK) -> Operation:
    return Operation(DELETE, "k", None, called, returned, outcome)


def read(value: int | None, called: int, returned: int, outcome: Outcome = OK) -> Operation:
    return Operation(READ, "k", value, called, returned, outcome)


LINEARIZABLE = {
    "nothing": [],
    "an empty register": [read(None, 0, 1)],
    "one after another": [put(1, 0, 1), read(1, 2, 3), delete(4, 5), read(None, 6, 7)],
    "a read meets a put under way": [put(1, 0, 9), read(1, 2, 3)],
    "a read misses a put under way": [put(1, 0, 9), read(None, 2, 3)],
    "two puts under way, either order": [put(1, 0, 9), put(2, 0, 9), read(1, 10, 11)],
    "reads see both orders' values in turn": [put(1, 0, 9), put(2, 0, 9), read(2, 1, 2), read(1, 3, 4)],
    "touching times are concurrent": [put(1, 0, 5), read(None, 5, 6)],
    "an unknown put happened": [put(1, 0, 1, UNKNOWN), read(1, 2, 3)],
    "an unknown put never happened": [put(1, 0, 1, UNKNOWN), read(None, 2, 3)],
    "an unknown put happened much later": [put(1, 0, 1, UNKNOWN), read(None, 2, 3), read(1, 4, 5)],
    "an unknown delete happened later": [
        put(1, 0, 1), delete(2, 3, UNKNOWN), read(1, 4, 5), read(None, 6, 7)
    ],
    "two unknown deletes": [
        delete(0, 1, UNKNOWN), delete(0, 1, UNKNOWN),
        put(1, 2, 3), read(None, 4, 5), put(2, 6, 7), read(None, 8, 9),
    ],
    "a failed put left nothing": [put(1, 0, 1), put(2, 2, 3, FAILED), read(1, 4, 5)],
    "a read that failed says nothing": [put(1, 0, 1), read(None, 2, 3, FAILED), read(7, 2, 3, UNKNOWN)],
}  # fmt: skip

REFUSED = {
    "a stale read": [put(1, 0, 1), put(2, 2, 3), read(1, 4, 5)],
    "a lost write": [put(1, 0, 1), read(None, 2, 3)],
    "a resurrected delete": [put(1, 0, 1), delete(2, 3), read(1, 4, 5)],
    "reads that go back": [put(1, 0, 1), put(2, 2, 99), read(2, 3, 4), read(1, 5, 6)],
    "a value nobody wrote": [read(1, 0, 1)],
    "a failed put that is read": [put(1, 0, 1, FAILED), read(1, 2, 3)],
    "a value before its put": [read(1, 0, 1), put(1, 2, 3)],
    "an unknown put that comes and goes": [
        put(1, 0, 1), put(2, 2, 3, UNKNOWN), read(2, 4, 5), read(1, 6, 7)
    ],
    "an unknown put that happens twice": [
        put(2, 0, 1, UNKNOWN), put(1, 2, 3), read(2, 4, 5), delete(6, 7), read(2, 8, 9)
    ],
    "one unknown delete for two disappearances": [
        delete(0, 1, UNKNOWN), put(1, 2, 3), read(None, 4, 5), put(2, 6, 7), read(None, 8, 9)
    ],
}  # fmt: skip


@pytest.mark.parametrize("name", LINEARIZABLE)
def test_linearizable_histories_are_accepted(name: str) -> None:
    assert check(LINEARIZABLE[name]) == []


@pytest.mark.parametrize("name", REFUSED)
def test_others_are_refused(name: str) -> None:
    assert len(check(REFUSED[name])) == 1


def test_keys_are_checked_apart() -> None:
    history = [put(1, 0, 1), replace(read(None, 2, 3), key="other"), replace(read(5, 2, 3), key="third")]
    assert [found.key for found in check(history)] == ["third"]


# --- against brute force ---------------------------------------------------------------------------


def has_an_order(history: Sequence[Operation]) -> bool:
    """Try every choice of unknown writes and every order of what is left."""
    certain = [op for op in history if op.outcome is OK]
    unknown = [op for op in history if op.outcome is UNKNOWN and op.kind is not READ]
    return any(
        _explains(order)
        for size in range(len(unknown) + 1)
        for chosen in itertools.combinations(unknown, size)
        for order in itertools.permutations([*certain, *chosen])
    )


def _explains(order: Sequence[Operation]) -> bool:
    for earlier, later in itertools.combinations(order, 2):
        if later.outcome is OK and later.returned_ns < earlier.called_ns:
            return False
    value: Value = None
    for operation in order:
        if operation.kind is not READ:
            value = operation.leaves
        elif operation.value != value:
            return False
    return True


@st.composite
def tiny_histories(draw: st.DrawFn) -> list[Operation]:
    history = []
    for _ in range(draw(st.integers(1, 6))):
        kind = draw(st.sampled_from([PUT, READ, READ, DELETE]))
        called = draw(st.integers(0, 12))
        value = {PUT: st.integers(1, 2), READ: st.sampled_from([None, 1, 2]), DELETE: st.none()}[kind]
        outcome = draw(st.sampled_from([OK, OK, OK, UNKNOWN, FAILED]))
        returned = called + draw(st.integers(0, 6))
        history.append(Operation(kind, "k", draw(value), called, returned, outcome))
    return history


@settings(max_examples=150, deadline=None)
@given(tiny_histories())
def test_the_verdict_is_that_of_brute_force(history: list[Operation]) -> None:
    counterexamples = check(history)
    assert (counterexamples == []) == has_an_order(history)
    for found in counterexamples:
        assert not has_an_order(found.operations)
        assert found.stuck in found.operations


@settings(max_examples=100, deadline=None)
@given(tiny_histories())
def test_counterexamples_are_minimal(history: list[Operation]) -> None:
    for found in check(history):
        for place, operation in enumerate(found.operations):
            rest = [*found.operations[:place], *found.operations[place + 1 :]]
            is_read_there = any(op.kind is READ and op.value == operation.leaves for op in rest)
            if operation.kind is READ or not is_read_there:
                assert has_an_order(rest)


# --- against a simulated register --------------------------------------------------------------------


def simulated(
    rng: random.Random, *, operations: int, keys: int, clients: int, unknown: float = 0.02
) -> list[Operation]:
    """A history of a register that is linearizable: each operation takes effect at one moment."""
    registers: dict[int, Value] = {}
    free_at = [0] * clients
    planned = []
    for number in range(1, operations + 1):
        client = rng.randrange(clients)
        called = free_at[client] + rng.randrange(1, 20)
        returned = called + rng.randrange(1, 100)
        free_at[client] = returned
        kind = rng.choice([PUT, PUT, READ, READ, READ, DELETE])
        outcome = UNKNOWN if rng.random() < unknown else OK
        latest = returned + 1_000 if outcome is UNKNOWN else returned
        moment = rng.uniform(called, latest) if outcome is OK or rng.random() < 0.5 else None
        value = number if kind is PUT else None
        operation = Operation(kind, rng.randrange(keys), value, called, returned, outcome, client)
        planned.append((moment, number, operation))
    history = [operation for moment, _, operation in planned if moment is None]
    for _, _, operation in sorted(entry for entry in planned if entry[0] is not None):
        if operation.kind is READ:
            operation = replace(operation, value=registers.get(int(str(operation.key))))
        else:
            registers[int(str(operation.key))] = operation.leaves
        history.append(operation)
    return sorted(history, key=lambda operation: operation.called_ns)


@pytest.mark.parametrize("seed", range(8))
def test_a_simulated_register_is_linearizable(seed: int) -> None:
    rng = random.Random(seed)
    assert check(simulated(rng, operations=400, keys=rng.choice([1, 5, 20]), clients=5)) == []


def sequential(rng: random.Random, count: int) -> list[Operation]:
    """Like ``simulated``, but nothing overlaps, so every mutation is certain to be wrong."""
    return simulated(rng, operations=count, keys=3, clients=1, unknown=0)


def _writes_of(history: list[Operation], key: object, before_ns: int) -> list[Operation]:
    return [op for op in history if op.key == key and op.kind is not READ and op.called_ns < before_ns]


def stale_reads(history: list[Operation]) -> Iterator[list[Operation]]:
    """A read returns what was overwritten before it began."""
    for place, operation in enumerate(history):
        values = [op.leaves for op in _writes_of(history, operation.key, operation.called_ns)]
        if operation.kind is READ and len(values) > 1 and values[-2] != values[-1]:
            yield [*history[:place], replace(operation, value=values[-2]), *history[place + 1 :]]


def lost_writes(history: list[Operation]) -> Iterator[list[Operation]]:
    """An acknowledged put is seen by nobody: reads return what was there before."""
    for operation in history:
        lost = [op for op in history if op.kind is READ and op.value == operation.value is not None]
        if operation.kind is PUT and lost:
            earlier = _writes_of(history, operation.key, operation.called_ns)
            before = earlier[-1].leaves if earlier else None
            yield [replace(op, value=before) if op in lost else op for op in history]


def resurrected_deletes(history: list[Operation]) -> Iterator[list[Operation]]:
    """A read after an acknowledged delete returns the last value put."""
    for place, operation in enumerate(history):
        writes = _writes_of(history, operation.key, operation.called_ns)
        puts = [op.value for op in writes if op.kind is PUT]
        if operation.kind is READ and puts and writes[-1].kind is DELETE:
            yield [*history[:place], replace(operation, value=puts[-1]), *history[place + 1 :]]


def reads_that_go_back(history: list[Operation]) -> Iterator[list[Operation]]:
    """During a put that is still under way a read returns the new value, a later one the old."""
    for place, operation in enumerate(history):
        earlier = _writes_of(history, operation.key, operation.called_ns)
        old = earlier[-1].leaves if earlier else None
        if operation.kind is PUT:
            start, end = operation.called_ns, operation.returned_ns + 4
            longer = replace(operation, returned_ns=end)
            new_read = Operation(READ, operation.key, operation.value, start + 1, start + 1)
            old_read = Operation(READ, operation.key, old, start + 2, start + 2)
            yield [*history[: place + 1][:-1], longer, new_read, old_read]


@pytest.mark.parametrize("mutation", [stale_reads, lost_writes, resurrected_deletes, reads_that_go_back])
@pytest.mark.parametrize("seed", range(3))
def test_every_mutation_of_a_history_is_refused(mutation: object, seed: int) -> None:
    assert callable(mutation)
    mutants = list(itertools.islice(mutation(sequential(random.Random(seed), 100)), 20))
    assert len(mutants) > 3
    for mutant in mutants:
        assert len(check(mutant)) == 1


@pytest.mark.parametrize("seed", range(5))
def test_a_wrong_read_among_many_clients_is_found_and_told_in_a_few_lines(seed: int) -> None:
    """The value before last, where both writes after it had returned before the read began."""
    rng = random.Random(seed)
    history = simulated(rng, operations=1000, keys=10, clients=10)
    mutant = next(_stale_for_certain(history))
    (found,) = check(mutant)
    assert len(found.operations) <= 4
    assert len(str(found).splitlines()) == len(found.operations) + 1
    assert "stuck" in str(found)


def _stale_for_certain(history: list[Operation]) -> Iterator[list[Operation]]:
    for place in range(len(history) // 2, len(history)):
        operation = history[place]
        done = [
            op
            for op in _writes_of(history, operation.key, operation.called_ns)
            if op.outcome is OK and op.returned_ns < operation.called_ns
        ]
        if operation.kind is READ and operation.outcome is OK:
            for old, new in itertools.combinations(done, 2):
                if old.kind is PUT and old.returned_ns < new.called_ns:
                    yield [*history[:place], replace(operation, value=old.value), *history[place + 1 :]]


def test_a_counterexample_reads_like_a_story() -> None:
    ms = 1_000_000
    history = [
        replace(put(1, 0, 2 * ms), client=3),
        replace(put(2, 3 * ms, 4 * ms), client=1, note="node 2"),
        read(2, 5 * ms, 6 * ms),
        replace(read(1, 8 * ms, 10 * ms), client=2),
    ]
    (found,) = check(history)
    assert str(found).splitlines() == [
        "key 'k': no order explains these operations",
        "  |========                                |      0.000 ms +    2.000  client 3   put 1",
        "  |            ====                        |      3.000 ms +    1.000  client 1   put 2 [node 2]",
        "  |                                ========|      8.000 ms +    2.000  client 2   read 1  <- stuck",
    ]


def test_ten_thousand_operations_over_a_hundred_keys_take_less_than_five_seconds() -> None:
    history = simulated(random.Random(1), operations=10_000, keys=100, clients=10)
    started = time.perf_counter()
    assert check(history) == []
    assert time.perf_counter() - started < 5


@pytest.mark.slow
def test_one_hot_key_is_checked_in_bearable_time() -> None:
    history = simulated(random.Random(2), operations=3_000, keys=1, clients=10, unknown=0.005)
    started = time.perf_counter()
    assert check(history) == []
    assert time.perf_counter() - started < 30
