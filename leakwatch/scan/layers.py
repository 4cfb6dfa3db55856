"""A text and what is under its disguises, layer by layer, each position traced back to the text itself."""

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import accumulate, pairwise
from typing import Final, final

from leakwatch.core import NO_JOINTS, Span
from leakwatch.scan import disguises, encoded
from leakwatch.scan.disguises import Decoder, Undone, has_text, numbers
from leakwatch.scan.hints import hints

DEPTH: Final = 4  # disguises over one another
BETWEEN: Final = b"\x7f\n\x7f"  # what parts the stretches of a layer: no key goes over it, and no decoder
_BETWEEN: Final = len(BETWEEN)
_SHARE: Final = 4  # times a text's own size that all its layers may have …
_LEAST: Final = 1_000_000  # … and bytes that they may have in any case
Thing = tuple[bytes, bytes]
"""What was under a disguise, and where lines were joined in it."""

# Decoders that joints outlast: of each where it is in what becomes of some bytes, which begin somewhere.
_OUTLASTED: Final[Mapping[Decoder, Callable[[bytes, int, Sequence[int]], Iterable[int]]]] = {
    encoded.base64: lambda _data, start, joints: [(joint - start) * 3 // 4 for joint in joints],
    encoded.hexadecimal: lambda _data, start, joints: [(joint - start) // 2 for joint in joints],
    disguises.quoted_printable: lambda data, start, joints: accumulate(
        disguises.quoted_size(data[at:then]) for at, then in pairwise([start, *joints])
    ),
}


@final
@dataclass(slots=True)
class Budget:
    """How many bytes may be laid bare, and how many were left alone for want of it."""

    left: int
    skipped: int = 0

    @classmethod
    def of(cls, data: bytes) -> "Budget":
        """Return the budget of a text: so many times its size."""
        return cls(left=_SHARE * len(data) + _LEAST)

    def take(self, size: int) -> bool:
        """Whether there is room for so many bytes more."""
        if size > self.left:
            self.skipped += size
            return False
        self.left -= size
        return True


@final
@dataclass(frozen=True, slots=True)
class Layer:
    """Some bytes, and where they come from."""

    data: bytes
    below: "Layer | None" = None  # None: this is the text itself
    stretches: Sequence[Undone] = ()  # of the layer below, in the order in which they stand here
    starts: Sequence[int] = field(default=(), repr=False)  # where in `data` each of them begins
    joints: "array[int]" = field(default_factory=lambda: NO_JOINTS, repr=False)  # where in `data` lines were joined
    lines: int = 0  # up to there in `data` stands nothing else: what goes over no joint stood in the layer below

    def origin(self, offset: int) -> int:
        """Return where in the text itself something stands."""
        if self.below is None:
            return offset
        index = bisect_right(self.starts, offset) - 1
        return self.below.origin(self.stretches[index].origin(offset - self.starts[index]))

    def is_joint(self, offset: int) -> bool:
        """Whether lines were joined there."""
        at = bisect_left(self.joints, offset)
        return at < len(self.joints) and self.joints[at] == offset

    def disguise(self, start: int, end: int) -> Span:
        """Return from where to where in the text itself the disguise reaches under which something stands."""
        layer = self
        while layer.below is not None:
            index = bisect_right(layer.starts, start) - 1
            at = layer.starts[index]
            start, end = layer.stretches[index].disguise(start - at, end - at)
            layer = layer.below
        return start, end


def peel(data: bytes, budget: Budget | None = None, depth: int = DEPTH) -> Iterator[Layer]:
    """Yield the text itself, then what is under its disguises, then under those, as far as the budget goes."""
    budget = budget or Budget.of(data)
    layer: Layer | None = Layer(data)
    known: set[Thing] = set()
    for deep in range(depth + 1):
        if layer is None:
            return
        yield layer
        layer = _under(layer, budget, known) if deep < depth else None


def _under(layer: Layer, budget: Budget, known: set[Thing]) -> Layer | None:
    """Return all that the decoders make of a layer, as one, but what is known: each thing once in all layers."""
    undone: list[Undone] = []
    take = budget.take
    lines = 0
    for decoder, spans in hints().places(layer.data):
        for start, end in spans:
            for found in decoder(layer.data[start:end]):
                inner = _between(layer.joints, start + found.start, start + found.end) if layer.joints else NO_JOINTS
                is_old = start + found.end <= layer.lines and not inner  # it was undone before lines were joined
                budget.skipped += 0 if is_old else found.left
                if is_old or not has_text(found.data):
                    continue
                stretch = found.moved(start) if start else found
                if inner and decoder in _OUTLASTED:
                    stretch = stretch._replace(joints=_outlasting(decoder, layer.data, stretch, inner))
                thing = stretch.data, stretch.joints
                if thing not in known and take(len(stretch.data) + _BETWEEN):
                    known.add(thing)
                    undone.append(stretch)
        if decoder is disguises.broken_lines:
            lines = len(undone)
    return _joined(layer, undone, lines) if undone else None


def _between(joints: "array[int]", start: int, end: int) -> "array[int]":
    """The joints behind one place and before another."""
    first = bisect_right(joints, start)
    return joints[first : bisect_left(joints, end, first)] if first < len(joints) and joints[first] < end else NO_JOINTS


def _outlasting(decoder: Decoder, data: bytes, stretch: Undone, joints: "array[int]") -> bytes:
    """Where in a decoded stretch those lines begin that were joined to what it was decoded from."""
    ats = dict.fromkeys(_OUTLASTED[decoder](data, stretch.start, joints))
    return array("Q", [at for at in ats if 0 < at < len(stretch.data)]).tobytes()


def _joined(below: Layer, stretches: Sequence[Undone], lines: int) -> Layer:
    """Put stretches together as a layer, of which the first few are joined lines."""
    starts = tuple(accumulate((len(one.data) + _BETWEEN for one in stretches), initial=0))
    joints = array("Q")
    for start, one in zip(starts, stretches, strict=False):
        if one.joints:
            joints.extend(map(start.__add__, numbers(one.joints)))
    return Layer(BETWEEN.join([one.data for one in stretches]), below, stretches, starts, joints, starts[lines])
