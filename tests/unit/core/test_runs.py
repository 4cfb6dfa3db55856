"""Every run that could be a whole key, and how it is cut; what is remembered of it. Of both twins."""

import re
import sys
from array import array
from collections.abc import Callable, Iterable
from hashlib import sha256
from importlib.util import module_from_spec, spec_from_file_location
from itertools import accumulate, product
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from leakwatch.core import _fast, deltas, places, plain, twins
from leakwatch.core.plain import LONGEST, OVERLAP, SHORTEST, Known, Span, cuts
from leakwatch.core.sieve import _indexed
from leakwatch.scan.synthetic import ALPHABETS, fill
from tests.unit.core.making import PEPPER, numbers

Sift = Callable[..., tuple[list[Span], int, int]]
Rejoin = Callable[[bytes, bytes], list[tuple[int, int, bytes, bytes, bytes]]]
UNHURRIED = settings(deadline=None)
HEX = fill("{hex:32}", Random(1))
UUID = fill("{uuid:4}", Random(2))
ALNUM = fill("{alnum:40}", Random(3))
# A key for each set of characters that one may hold beside letters and digits.
KEPT = {
    "none": ALNUM,
    "_": fill("ab_{alnum:12}_{alnum:12}", Random(4)),
    "-": UUID,
    "_-": fill("{alnum:9}-{alnum:9}_{alnum:9}", Random(5)),
    "_.-": fill("{alnum:12}.{alnum:9}-_{alnum:9}.{alnum:20}", Random(6)),
    "_.~-": fill("{alnum:3}8Q~{alnum:12}-_.{alnum:12}", Random(7)),
    "/+": fill("{alnum:12}/{alnum:12}+{alnum:12}", Random(8)),
    "+": fill("{alnum:12}+{alnum:12}", Random(9)),
    "_.-~:": fill("{alnum:8}-_.~:{alnum:16}", Random(10)),
    "_.-/+~": fill("{alnum:8}-_.~/+{alnum:16}", Random(11)),
    "_.-/+~:": fill("{digits:1}/{digits:16}:{alnum:16}-_.~+{alnum:8}", Random(12)),
}
AROUND = [
    ("", ""),
    ("key=", ""),
    ("", "=="),
    ("a:", ":b"),
    ("https://example.org/", "/models"),
    ("--", "--"),
    ("name.", "."),
    ("~", "/"),
]
WHOLE = {"_.-~:", "_.-/+~", "_.-/+~:", "/+"}  # what these hold also parts keys in a path, or a pair
RUNS = st.text(ALPHABETS["alnum"] + "_.:~/+=-", min_size=SHORTEST, max_size=200)


@pytest.fixture(params=[plain.sift, _fast.sift], ids=["plain", "fast"])
def sift(request: pytest.FixtureRequest) -> Sift:
    """Each of the twins."""
    found: Sift = request.param
    return found


def known(*keys: str) -> Known:
    return indexed(numbers(*keys))


def indexed(rising: Iterable[int]) -> Known:
    return _indexed(Known(PEPPER.pads, array("Q", rising), array("I", [0, 0]), array("Q")))


def packed(*numbers: int) -> bytes:
    return array("Q", numbers).tobytes()


def remembering(places: int = 4096) -> "array[int]":
    return array("Q", [0]) * places


def found(sift: Sift, text: str, *keys: str) -> set[str]:
    """What is found in a text of all that is registered."""
    data = text.encode()
    spans, _, skipped = sift(data, known(*keys), remembering(), 1000)
    assert not skipped
    return {data[start:end].decode() for start, end in spans}


def tokens(run: str) -> set[str]:
    return {run[start:end] for start, end in cuts(run.encode())}


@pytest.mark.parametrize("key", KEPT.values(), ids=KEPT)
@pytest.mark.parametrize("quote", ['"', " ", "`", ",", "(", "\0", "é"])
def test_a_run_ends_at_what_no_key_holds(sift: Sift, key: str, quote: str) -> None:
    assert found(sift, f"{quote}{key}{quote}", key) == {key}


@pytest.mark.parametrize(("before", "after"), AROUND)
@pytest.mark.parametrize("kept", [kept for kept in KEPT if kept not in WHOLE])
def test_a_key_is_cut_out_of_its_run(sift: Sift, kept: str, before: str, after: str) -> None:
    glued = {*(before[-1:] + after[:1])} & {*kept} and (before.strip("-~.") or after.strip("-~./"))
    if not glued:
        assert found(sift, f"{before}{KEPT[kept]}{after}", KEPT[kept]) == {KEPT[kept]}


@pytest.mark.parametrize("key", KEPT.values(), ids=KEPT)
@pytest.mark.parametrize("name", ["KEY=", "export KEY=", "a.b-c_d=", "&key=", "--key="])
def test_a_key_of_any_characters_is_cut_from_the_name_that_it_is_assigned_to(sift: Sift, name: str, key: str) -> None:
    assert found(sift, f"{name}{key}", key) == {key}


@pytest.mark.parametrize("padding", ["=", "=="])
def test_padding_may_be_part_of_a_key(sift: Sift, padding: str) -> None:
    key = KEPT["/+"] + padding
    for run in (key, f"KEY={key}", f"{key}/", f"-{key}", f"name:{key}"):
        assert found(sift, run, key, KEPT["/+"]) == {key, KEPT["/+"]}, run


def test_a_pair_is_whole_and_each_of_its_parts(sift: Sift) -> None:
    parts = [fill("{alnum:20}", Random(n)) for n in range(3)]
    pairs = {":".join(parts[i:j]) for i in range(3) for j in range(i + 1, 4)}
    assert found(sift, ":".join(parts), *pairs) == pairs


def test_a_list_of_many_between_colons_is_no_pair(sift: Sift) -> None:
    parts = [fill("{alnum:20}", Random(n)) for n in range(9)]
    assert found(sift, ":".join(parts), *parts, ":".join(parts[:2])) == {*parts}


def test_of_a_run_that_is_too_long_each_window_is_looked_at(sift: Sift) -> None:
    longest = "a" * LONGEST
    assert found(sift, longest, longest) == {longest}
    assert found(sift, longest + "b", longest + "b") == set()


@pytest.mark.parametrize("before", [0, 1, 3000, LONGEST - OVERLAP - 20, LONGEST - 20, LONGEST, 3 * LONGEST])
def test_a_key_stands_whole_in_one_of_the_windows(sift: Sift, before: int) -> None:
    key = fill(f"{{alnum:{OVERLAP - 2}}}", Random(12))
    text = ("ab/" * (before // 3 + 1))[:before] + f":{key}:" + "cd+" * 4000
    assert found(sift, text, key) == {key}


@UNHURRIED
@given(RUNS)
def test_every_token_is_part_of_its_run_and_their_number_is_bounded(run: str) -> None:
    cut = cuts(run.encode())
    assert all(0 <= start <= end - SHORTEST and end <= len(run) for start, end in cut)
    assert len(cut) <= 3 * len(run) + 60
    assert (0, len(run)) in cut


@pytest.mark.parametrize("letter", "nrt")
def test_the_letter_of_an_escape_is_no_part_of_the_run(sift: Sift, letter: str) -> None:
    assert found(sift, f"first\\{letter}{ALNUM}", ALNUM) == {ALNUM}


def test_a_letter_or_digit_that_is_glued_hides_a_key(sift: Sift) -> None:
    """What the finder cannot see: docs/formats.md."""
    assert not found(sift, f"x{HEX}", HEX)
    assert not found(sift, f"{HEX}1", HEX)


def test_a_key_of_fewer_characters_is_not_seen(sift: Sift) -> None:
    short = fill("{alnum:15}", Random(1))
    assert not found(sift, short, short)


def test_where_a_token_stands_is_told_each_time(sift: Sift) -> None:
    text = f'"id": "{UUID}", "k": "name={HEX}", "again": "{HEX}"'
    spans, looked, skipped = sift(text.encode(), known(HEX), remembering(), 10)
    assert [text[start:end] for start, end in spans] == [HEX, HEX]
    assert [start for start, _ in spans] == [57, 102]
    assert (looked, skipped) == (3, 0)


def test_what_is_registered_may_lie_in_either_table(sift: Sift) -> None:
    both = known(HEX)._replace(loose=numbers(UUID))
    spans, _, _ = sift(f"{UUID} {HEX}".encode(), both, remembering(), 10)
    assert len(spans) == 2


def test_runs_beyond_the_room_are_counted(sift: Sift) -> None:
    text = " ".join([*(fill("{hex:32}", Random(seed)) for seed in range(10, 15)), HEX])
    assert sift(text.encode(), known(HEX), remembering(), 2) == ([], 2, 4)


def test_a_run_in_which_there_was_nothing_is_not_looked_at_again(sift: Sift) -> None:
    seen = remembering()
    for looked in (1, 0):
        assert sift(HEX.encode(), known(UUID), seen, 1) == ([], looked, 0)
    assert sum(map(bool, seen)) == 1
    for _ in range(2):
        spans, looked, _ = sift(UUID.encode(), known(UUID), seen, 1)
        assert (spans, looked) == ([(0, 36)], 1), "what matched is not remembered"


def test_no_more_runs_are_remembered_than_there_is_room_for(sift: Sift) -> None:
    seen = remembering(1)
    for key in (HEX, ALNUM, HEX):
        assert sift(key.encode(), known(), seen, 1) == ([], 1, 0)


def test_marks_of_runs_are_keyed_so_that_none_can_be_made_to_pass_for_another(sift: Sift) -> None:
    one, other = remembering(1), remembering(1)
    sift(HEX.encode(), known(), one, 1)
    sift(HEX.encode(), known()._replace(pads=PEPPER.pads[::-1]), other, 1)
    assert one != other


PIECES = st.one_of(
    st.text("aB3", min_size=14, max_size=18),
    st.text("aB3_.:~/+=-", max_size=80),
    st.lists(st.text("aB3=", max_size=20), max_size=9).map(":".join),
    st.integers(LONGEST - 1, LONGEST + 1).map(lambda n: "x" * n),
    st.integers(2 * LONGEST - OVERLAP - 1, 2 * LONGEST - OVERLAP + 1).map(lambda n: ("xy/" * n)[:n]),
    st.integers(4, 9).map(lambda n: "\n".join(["aB3aB3aB3a"] * n)),
    st.sampled_from(["\\", " ", "\n", "\r\n", "\\n", "\\\n", "é", "\n  > ", "\n# ", '"', "\0", "=", "=="]),
)
TEXTS = st.lists(PIECES, max_size=30).map(lambda pieces: "".join(pieces).encode())


@settings(UNHURRIED, max_examples=300)
@given(TEXTS, st.randoms(use_true_random=False), st.sampled_from([0, 1, 3, 1000]), st.sampled_from([1, 2, 8, 64]))
def test_the_twins_find_the_same_and_remember_the_same(data: bytes, chance: Random, room: int, places: int) -> None:
    joints = array("Q", sorted(chance.sample(range(len(data) + 1), min(len(data), chance.choice([0, 1, 3, 12, 40])))))
    every = [data[at + start : at + end] for at, run in plain.runs(data) for start, end in cuts(run)]
    every += [data[start:end] for start, end in product(joints, joints) if end - start >= SHORTEST]
    every = [token for token in every if token.isascii()]
    some = {token.decode() for token in every if chance.random() < 0.2}
    noise = [chance.getrandbits(64) for _ in range(chance.choice([0, 3, 300]))]
    both = indexed(sorted([*numbers(*some), *noise]))._replace(loose=numbers(*list(some)[:1]))
    memories = remembering(places), remembering(places)
    lines = chance.choice([0, len(data) // 2, len(data)])
    for _ in range(2):
        (spans, *counts), (same, *others) = (
            twin(data, both, seen, room, joints, lines)
            for twin, seen in zip((plain.sift, _fast.sift), memories, strict=True)
        )
        assert (sorted(spans), counts) == (sorted(same), others)
        assert memories[0] == memories[1]


@settings(UNHURRIED, max_examples=300)
@given(TEXTS, st.sampled_from([b"\n", b"\r\n", b"\\n", b"\\\n"]))
def test_the_twins_break_lines_alike(data: bytes, end: bytes) -> None:
    assert plain.rejoined(data, end) == _fast.rejoined(data, end)


@pytest.mark.parametrize(
    ("sizes", "chains"),
    [([20] * 4, 6), ([20] * 5, 5), ([20] * 4 + [19], 10), ([20] * 8, 8), ([20] * 7 + [17], 28), ([20] * 8 + [19], 9)],
)
def test_of_a_list_all_lines_each_two_and_each_are_looked_at_and_of_few_others_all_that_follow_one_another(
    sift: Sift, sizes: list[int], chains: int
) -> None:
    lines = [fill(f"{{alnum:{size}}}", Random(number)) for number, size in enumerate(sizes)]
    text, joints = "".join(lines).encode(), array("Q", list(accumulate(map(len, lines)))[:-1])
    ends = [0, *joints, len(text)]
    assert sift(text, known(), remembering(), 1000, joints) == ([], chains + len(lines), 0)
    every = {(a, b) for a, b in product(ends, ends) if a < b}
    few = {(a, b) for a, b in every if ends.index(b) - ends.index(a) <= 2}
    spans = {span for span in every if sift(text, known(text[slice(*span)].decode()), remembering(), 99, joints)[0]}
    assert spans == ({(0, len(text))} | (every if chains in {6, 10, 28} else few))


def test_of_lines_that_were_looked_at_before_they_were_joined_what_goes_over_joints_is_looked_at(sift: Sift) -> None:
    lines = [fill("{alnum:20}", Random(number)) for number in range(9)]
    text, joints = f"{''.join(lines)} {lines[0]}".encode(), array("Q", range(20, 180, 20))
    there = known(lines[3], lines[5] + lines[6], "".join(lines))
    every = [(0, 180), (60, 80), (100, 140)]
    for before, found_ in ((0, every), (179, every), (180, [every[0], every[2]]), (201, [every[0], every[2]])):
        assert sorted(sift(text, there, remembering(), 99, joints, before)[0]) == found_


@pytest.mark.parametrize(("size", "around"), [(OVERLAP, 4000), (OVERLAP + 1, 4000), (4 * OVERLAP, 1900)])
def test_among_many_lines_a_key_over_several_has_so_many_characters(sift: Sift, size: int, around: int) -> None:
    key, before = fill(f"{{alnum:{size}}}", Random(1)), fill(f"{{alnum:{around - 1}}}", Random(2))
    text = f"{before}.{key}".encode()
    found_ = sift(text, known(key), remembering(), 999, array("Q", range(100, len(text), 100)))[0]
    assert found_ == ([] if size == OVERLAP + 1 else [(around, len(text))])


def test_joints_rise_and_lie_in_the_text(sift: Sift) -> None:
    text = HEX.encode()
    for joints in ([3, 3], [5, 2], [5, len(text) + 1]):
        with pytest.raises(ValueError, match=r"rise|array"):
            sift(text, known(), remembering(), 9, array("Q", joints))
    with pytest.raises(ValueError, match="eight bytes"):
        _fast.sift(text, known(), remembering(), 9, array("B", [1]))
    assert sift(text, known(HEX), remembering(), 9, array("Q", [0, len(text)]))[0] == [(0, len(text))]


def test_a_line_that_was_looked_at_where_it_stands_is_not_looked_at_again_where_it_is_joined(sift: Sift) -> None:
    seen = remembering()
    assert sift(f"{ALNUM}\n{HEX}".encode(), known(), seen, 9) == ([], 2, 0)
    assert sift(f"{ALNUM}{HEX}".encode(), known(), seen, 9, array("Q", [len(ALNUM)])) == ([], 1, 0)


def test_joined_lines_in_which_nothing_stands_say_nothing_of_the_same_text_in_one_line(sift: Sift) -> None:
    """Nor of the same that was joined elsewhere: in each another part is looked for."""
    seen, there = remembering(), known(f"{ALNUM}{HEX}")
    text = f"{ALNUM}{HEX}{UUID}".encode()
    joints = [array("Q", those) for those in ([20], [60, len(ALNUM + HEX)], [len(ALNUM + HEX)])]
    assert [len(sift(text, there, seen, 9, those)[0]) for those in joints] == [0, 1, 1]
    assert sift(text, there, seen, 9, joints[0]) == ([], 0, 0), "it is remembered"


@pytest.mark.parametrize("rejoined", [plain.rejoined, _fast.rejoined], ids=["plain", "fast"])
def test_lines_are_joined_again_if_a_key_may_have_been_broken_over_them(rejoined: Rejoin) -> None:
    left, middle, right = ALNUM[:20], ALNUM[20:30], ALNUM[30:]
    text = f'KEY = "{left}\n    # {right}"'.encode()
    assert rejoined(text, b"\n") == [(7, len(text) - 1, (left + right).encode(), packed(20), packed(34))]
    text = f"{left}\n> {middle}\n{right}\n".encode()
    assert rejoined(text, b"\n") == [(0, len(text) - 1, ALNUM.encode(), packed(20, 30), packed(23, 34))]
    assert rejoined(b"first1st\nline", b"\n") == [], "too short for a key"
    assert rejoined(b"a sentence goesonhere\nwithout a number", b"\n") == []


@settings(UNHURRIED, max_examples=300)
@given(TEXTS, st.sampled_from([rb"\\.", rb"[\n\r]+", rb"a", rb"[ \0]?", rb"=+"]))
def test_the_twins_find_the_same_stretches(data: bytes, pattern: bytes) -> None:
    spans = [match.span() for match in re.finditer(pattern, data, re.DOTALL)]
    assert plain.stretches(data, spans) == _fast.stretches(data, spans)


@settings(UNHURRIED, max_examples=100)
@given(st.binary(min_size=SHORTEST, max_size=300), st.binary(min_size=128, max_size=128))
def test_the_compiled_digest_is_that_of_the_library(key: bytes, pads: bytes) -> None:
    run = key.hex().encode()
    inner, outer = sha256(pads[:64] + sha256(run).digest()), sha256(pads[64:])
    outer.update(inner.digest())
    number = int.from_bytes(outer.digest()[:8], "big")
    for registered, spans in ((number, [(0, len(run))]), (number ^ 1, [])):
        one = indexed([registered])._replace(pads=pads)
        assert _fast.sift(run, one, remembering(1), 1)[0] == spans


@pytest.mark.parametrize("size", [1, 2, 63, 64, 65, 2000])
def test_every_number_of_a_table_is_found_however_they_lie(size: int) -> None:
    keys = [fill("{alnum:24}", Random(seed)) for seed in range(size)]
    text = " ".join(keys).encode()
    for crowd in ([], list(range(500)), [2**64 - 1 - n for n in range(500)]):
        spans, _, _ = _fast.sift(text, indexed(sorted([*numbers(*keys[::2]), *crowd])), remembering(), size)
        assert {text[start:end].decode() for start, end in spans} == {*keys[::2]}


def test_what_the_compiled_twin_is_given_is_looked_at_first() -> None:
    assert _fast.sift(b"", known(), remembering(1), 1) == ([], 0, 0)
    with pytest.raises(ValueError, match="128"):
        _fast.sift(b"", known()._replace(pads=b"short"), remembering(1), 1)
    with pytest.raises(ValueError, match="128"):
        _fast.is_registered(b"", known()._replace(pads=b"short"))
    with pytest.raises(ValueError, match="seen"):
        _fast.sift(b"", known(), array("Q"), 1)
    for starts in ([], [0], [0, 0, 0, 1]):
        with pytest.raises(ValueError, match="starts"):
            _fast.sift(b"", known(HEX)._replace(starts=array("I", starts)), remembering(1), 1)
    for starts in ([0, 2**32 - 1], [2**32 - 1, 1], [1, 0]):
        assert _fast.sift(ALNUM.encode(), known(HEX)._replace(starts=array("I", starts)), remembering(1), 1)[0] == []
    with pytest.raises(ValueError, match="ends"):
        _fast.rejoined(b"text", b"")
    for spans in ([(2, 1)], [(0, 5)], [(2, 3), (1, 4)], [(-1, 2)]):
        with pytest.raises(ValueError, match="rise"):
            _fast.stretches(b"text", spans)


def test_the_twins_go_by_the_same_numbers() -> None:
    compiled = {name: value for name, value in vars(_fast).items() if isinstance(value, int)}
    assert len(compiled) == 14
    ours = {**vars(places), **vars(plain)}
    assert compiled == {name: ours.get(name, ours.get(f"_{name}")) for name in compiled}


def test_without_a_compiler_the_plain_twins_do_the_work(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "leakwatch.core._fast", None)
    spec = spec_from_file_location(twins.__name__, twins.__file__)
    assert spec
    assert spec.loader
    left = module_from_spec(spec)
    spec.loader.exec_module(left)
    assert not left.is_compiled
    assert (left.rejoined, left.sift, left.stretches) == (plain.rejoined, plain.sift, plain.stretches)
    assert left.applied is deltas.applied
    assert (left.collect, left.sift_places) == (places.collect, places.sift_places)
    assert twins.is_compiled, "who develops or tests has a compiler"


@UNHURRIED
@given(st.text("abc123", min_size=1, max_size=90), st.booleans())
def test_the_twins_know_the_same_keys(key: str, is_in_order: bool) -> None:
    there = known(key, ALNUM) if is_in_order else known(ALNUM)._replace(loose=numbers(key))
    for twin in (plain, _fast):
        assert twin.is_registered(key.encode(), there)
        assert twin.is_registered(ALNUM.encode(), there)
        assert not twin.is_registered(HEX.encode(), there)


@UNHURRIED
@given(st.lists(st.text("ab=", max_size=40) | st.text("ab ", max_size=9), max_size=9), st.integers(0, 70))
def test_runs_stand_where_they_do_wherever_a_text_is_cut_into_blocks(words: list[str], before: int) -> None:
    """Looked for with a room of nothing, each is counted once."""
    text = (" " * before + " ".join(words)).encode()
    count = len([*plain.runs(text)])
    for twin in (plain, _fast):
        assert twin.sift(text, known(), remembering(), 0) == ([], 0, count)
