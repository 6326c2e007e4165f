"""Is a recorded history of puts, deletes and reads linearizable? Checked point by point.

Each key is a register that holds a value or nothing. A history is linearizable if every operation can be
given one moment between its call and its return at which it took effect, such that each read returns
what the register then held. A write of unknown outcome may take effect at any moment after its call, or
never.

The search is Wing and Gong's ("Testing and verifying concurrent objects", 1993) as a graph search with
just-in-time linearization and memoised configurations (Lowe, "Testing for linearizability", 2017), one key
at a time, which is exact because registers are independent (Horn and Kroening, "Faster linearizability
checking via P-compositionality", 2015).

It goes through calls and returns in order of time and keeps every *configuration* the register may be in:
its value, and which of the operations under way have taken effect already. At the return of an operation
each configuration is led by all ways in which that operation comes to have taken effect. None left: not
linearizable.

What keeps configurations few, and does not change the verdict:

- a read takes effect as soon as its value is there;
- a write takes effect before its return only if a read under way waits for its value: nobody else could
  tell it from later. An unknown write that no read waits for need never take effect;
- a write during which another one took effect may have done so just before that one, where nobody saw it:
  it is *covered*, and may return so;
- of configurations alike but for the writes covered and the unknown writes used up, one that has more of
  the former and less of the latter stands for the others.
"""

from __future__ import annotations

import enum
from collections.abc import Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass

Value = Hashable  # None: nothing is there


class Kind(enum.Enum):
    PUT = "put"
    DELETE = "delete"
    READ = "read"


class Outcome(enum.Enum):
    OK = "ok"
    FAILED = "failed"  # certainly without effect
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class Operation:
    """``value``: what was put or read; None for a delete and for a read that found nothing.

    Times are of one monotonic clock. ``client`` and ``note`` are for the reader of a counterexample.
    """

    kind: Kind
    key: Hashable
    value: Value
    called_ns: int
    returned_ns: int
    outcome: Outcome = Outcome.OK
    client: int = 0
    note: str = ""

    @property
    def leaves(self) -> Value:
        """What the register holds after this write."""
        return self.value if self.kind is Kind.PUT else None


@dataclass(frozen=True)
class Counterexample:
    """Operations on one key that no order explains: leaving out any one that may be left out, the rest
    has an order. ``stuck`` is the first operation to return for which there is none."""

    key: Hashable
    operations: tuple[Operation, ...]
    stuck: Operation

    def __str__(self) -> str:
        return "\n".join([f"key {self.key!r}: no order explains these operations", *_drawn(self)])


def check(history: Iterable[Operation]) -> list[Counterexample]:
    """One counterexample for each key whose history is not linearizable; all registers start empty."""
    by_key: dict[Hashable, list[Operation]] = {}
    for operation in history:
        assert operation.called_ns <= operation.returned_ns, operation
        by_key.setdefault(operation.key, []).append(operation)
    found = (_check_key(operations) for operations in by_key.values())
    return [counterexample for counterexample in found if counterexample is not None]


def _check_key(operations: list[Operation]) -> Counterexample | None:
    relevant = _relevant(operations)
    stuck = _first_stuck(relevant)
    if stuck is None:
        return None
    before = [operation for operation in relevant if operation.called_ns <= stuck.returned_ns]
    smallest = _shrunk(before)
    stuck = _first_stuck(smallest)
    assert stuck is not None
    return Counterexample(stuck.key, tuple(smallest), stuck)


def _relevant(operations: Iterable[Operation]) -> list[Operation]:
    """In order of their calls, without what cannot matter."""
    kept = [operation for operation in operations if _has_a_say(operation)]
    read = {operation.value for operation in kept if operation.kind is Kind.READ}
    return sorted(
        (op for op in kept if op.outcome is Outcome.OK or op.leaves in read),
        key=lambda operation: (operation.called_ns, operation.returned_ns),
    )


def _has_a_say(operation: Operation) -> bool:
    if operation.kind is Kind.READ:
        return operation.outcome is Outcome.OK
    return operation.outcome is not Outcome.FAILED


# --- the search ------------------------------------------------------------------------------------

# A configuration: (value, done, covered, used). ``done`` and ``covered`` are bits of known operations under
# way, each of which has a bit to itself from its call to its return; ``used`` are bits of unknown writes.
_Configuration = tuple[Value, int, int, int]


class _Register:
    """All configurations that the events so far allow."""

    def __init__(self) -> None:
        self.configurations: set[_Configuration] = {(None, 0, 0, 0)}
        self._bits: dict[int, int] = {}  # of known operations under way, by their number
        self._reads: dict[int, Value] = {}  # under way, by bit
        self._writes: dict[int, Value] = {}
        self._unknown: dict[Value, list[int]] = {}  # bits of unknown writes by what they leave
        self._unknown_count = 0

    def call(self, number: int, operation: Operation) -> None:
        if operation.outcome is Outcome.UNKNOWN:
            self._unknown.setdefault(operation.leaves, []).append(1 << self._unknown_count)
            self._unknown_count += 1
            return
        taken = set(self._bits.values())
        bit = next(1 << place for place in range(len(taken) + 1) if 1 << place not in taken)
        self._bits[number] = bit
        if operation.kind is Kind.READ:
            self._reads[bit] = operation.value
        else:
            self._writes[bit] = operation.leaves

    def returns(self, number: int) -> bool:
        """Keep what is possible if this operation has taken effect by now. False: nothing is."""
        bit = self._bits.pop(number)
        reached = self._explored(bit)
        self._reads.pop(bit, None)
        self._writes.pop(bit, None)
        self.configurations = _undominated(
            (value, done & ~bit, covered & ~bit, used) for value, done, covered, used in reached
        )
        return bool(self.configurations)

    def _explored(self, goal: int) -> list[_Configuration]:
        """The configurations, reached from the present ones, in which ``goal`` is done or covered."""
        open_ = [self._with_reads(*configuration) for configuration in self.configurations]
        seen = set(open_)
        reached = []
        while open_:
            configuration = open_.pop()
            _, done, covered, _ = configuration
            if (done | covered) & goal:
                reached.append(configuration)
            if done & goal:
                continue
            for following in self._steps(configuration, goal):
                if following not in seen:
                    seen.add(following)
                    open_.append(following)
        return reached

    def _steps(self, configuration: _Configuration, goal: int) -> Iterator[_Configuration]:
        """What one more write leads to: ``goal``, or one that a read under way waits for."""
        _, done, _, used = configuration
        awaited = {value for bit, value in self._reads.items() if not done & bit}
        for bit, leaves in self._writes.items():
            if not done & bit and (bit == goal or leaves in awaited):
                yield self._written(leaves, done | bit, used)
        for value in awaited & self._unknown.keys():
            # Of those that leave the same, any will do: the first that is left.
            unused = next((bit for bit in self._unknown[value] if not used & bit), None)
            if unused is not None:
                yield self._written(value, done, used | unused)

    def _written(self, value: Value, done: int, used: int) -> _Configuration:
        covered = sum(bit for bit in self._writes if not done & bit)
        return self._with_reads(value, done, covered, used)

    def _with_reads(self, value: Value, done: int, covered: int, used: int) -> _Configuration:
        for bit, awaited in self._reads.items():
            if awaited == value:
                done |= bit
        return value, done, covered, used


def _undominated(configurations: Iterable[_Configuration]) -> set[_Configuration]:
    """Without those for which another stands."""
    best: dict[tuple[Value, int], list[tuple[int, int]]] = {}
    fewest_first = sorted(configurations, key=lambda found: (found[3].bit_count(), -found[2].bit_count()))
    for value, done, covered, used in fewest_first:
        others = best.setdefault((value, done), [])
        if not any(other & covered == covered and less & used == less for other, less in others):
            others.append((covered, used))
    return {(value, done, *rest) for (value, done), others in best.items() for rest in others}


def _first_stuck(operations: Sequence[Operation]) -> Operation | None:
    """The first operation, by return, that cannot have taken effect; None if all is well."""
    register = _Register()
    for _, is_return, number in _events(operations):
        if not is_return:
            register.call(number, operations[number])
        elif not register.returns(number):
            return operations[number]
    return None


def _events(operations: Sequence[Operation]) -> list[tuple[int, bool, int]]:
    """(time, is it a return, number of the operation); at one time calls come before returns."""
    calls = [(operation.called_ns, False, number) for number, operation in enumerate(operations)]
    returns = [
        (operation.returned_ns, True, number)
        for number, operation in enumerate(operations)
        if operation.outcome is Outcome.OK
    ]
    return sorted(calls + returns)


# --- counterexamples -------------------------------------------------------------------------------


def _shrunk(operations: list[Operation]) -> list[Operation]:
    """Leave out what can be left out while the rest stays without an order.

    Only what never makes a linearizable history into another one that is not: reads, and writes of a
    value that no read left returns.
    """
    size = len(operations)
    while size:
        shorter = _without_runs(operations, size)
        if len(shorter) == len(operations):
            size //= 2
        operations = shorter
    return operations


def _without_runs(operations: list[Operation], size: int) -> list[Operation]:
    start = len(operations)
    while start > 0:
        start = max(0, start - size)
        shorter = _leave_out(operations, range(start, start + size))
        if len(shorter) < len(operations) and _first_stuck(shorter) is not None:
            operations = shorter
    return operations


def _leave_out(operations: list[Operation], chosen: range) -> list[Operation]:
    reads_left = {
        operation.value
        for place, operation in enumerate(operations)
        if operation.kind is Kind.READ and place not in chosen
    }
    return [
        operation
        for place, operation in enumerate(operations)
        if place not in chosen or (operation.kind is not Kind.READ and operation.leaves in reads_left)
    ]


BAR_WIDTH = 40


def _drawn(counterexample: Counterexample) -> Iterator[str]:
    """One line per operation: when, by whom, what; its span as a bar over the whole window."""
    operations = counterexample.operations
    first = min(operation.called_ns for operation in operations)
    last = max(operation.returned_ns for operation in operations)
    scale = BAR_WIDTH / max(1, last - first)
    for operation in operations:
        left = min(BAR_WIDTH - 1, int((operation.called_ns - first) * scale))
        unknown = operation.outcome is Outcome.UNKNOWN
        right = BAR_WIDTH if unknown else max(left + 1, round((operation.returned_ns - first) * scale))
        bar = (" " * left + "=" * (right - left)).ljust(BAR_WIDTH) + ("…" if unknown else "|")
        times = f"{(operation.called_ns - first) / 1e6:10.3f} ms +{_duration_ms(operation):9.3f}"
        mark = "  <- stuck" if operation is counterexample.stuck else ""
        yield f"  |{bar} {times}  client {operation.client:<3} {_told(operation)}{mark}"


def _duration_ms(operation: Operation) -> float:
    return (operation.returned_ns - operation.called_ns) / 1e6


def _told(operation: Operation) -> str:
    found = "nothing" if operation.value is None else repr(operation.value)
    what = {
        Kind.PUT: f"put {operation.value!r}",
        Kind.DELETE: "delete",
        Kind.READ: f"read {found}",
    }[operation.kind]
    outcome = "" if operation.outcome is Outcome.OK else f" ({operation.outcome.value})"
    return what + outcome + (f" [{operation.note}]" if operation.note else "")
