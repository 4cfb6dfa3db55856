"""What stands at the places of markers: which strings are looked up, and what is remembered of them. Of both twins."""

from array import array
from collections.abc import Callable, Sequence
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from leakwatch.core import Forms, _fast, places
from leakwatch.core.places import DEEPEST, LEAVES, MOST, NEIGHBOURS
from leakwatch.core.plain import Known
from leakwatch.scan.rows import Row, Unit, forms, rows
from tests.unit.core.making import numbers
from tests.unit.core.test_runs import indexed, known, remembering

UNHURRIED = settings(deadline=None)
Twin = Callable[..., tuple[list[tuple[int, int]], int, int, int, list[tuple[int, int]]]]
NO_JOINTS = array("Q")
PLENTY = 100_000


@pytest.fixture(params=[places.sift_places, _fast.sift_places], ids=["plain", "fast"])
def sift(request: pytest.FixtureRequest) -> Twin:
    """Each of the twins."""
    found: Twin = request.param
    return found


def found_at(*those: tuple[int, int], room: int = PLENTY) -> bytearray:
    """What is taken down of what was found: where, and of which expression."""
    return bytearray(array("Q", [room, *(start << 16 | expression for start, expression in those)]).tobytes())


def taking(*patterns: str, rank: int = 1, has_others: bool = False, reach: int = 0) -> Forms:
    """The tables of formats, each of an expression of its own."""
    return forms([([(row, rank) for row in rows(pattern)], has_others, reach) for pattern in patterns])


def looked_up(sift: Twin, text: str, tables: Forms, hits: bytearray, **how: Any) -> set[str]:
    """Which strings of a text are looked up: those that are found if they are registered, each alone."""
    every = [(a, b) for a in range(len(text)) for b in range(a + 1, len(text) + 1)]
    all_of_it = indexed(sorted({*numbers(*{text[a:b] for a, b in every})}))
    spans, looked, _, _, _ = sift(
        text.encode(),
        hits,
        how.get("joints", NO_JOINTS),
        how.get("lines", 0),
        tables,
        all_of_it,
        remembering(),
        how.get("further", 0),
    )
    assert looked == len(spans)
    return {text[start:end] for start, end in spans}


def test_a_string_goes_as_far_as_its_format_does(sift: Twin) -> None:
    text = "k_abcabcab.abc k_abc"
    assert looked_up(sift, text, taking("k_[a-c]{3,6}"), found_at((0, 0), (15, 0))) == {"k_abcabc", "k_abc"}
    assert looked_up(sift, text, taking("k_[a-c]{3,9}[.][a-c]{2}"), found_at((0, 0), (15, 0))) == {"k_abcabcab.ab"}
    assert looked_up(sift, text, taking("k_[a-c]{20}"), found_at((0, 0), (15, 0))) == set()


def test_of_each_row_the_longest_is_looked_up(sift: Twin) -> None:
    assert looked_up(sift, "k_abcab==", taking("k_[a-c]{3,9}={0,2}"), found_at((0, 0))) == {
        "k_abcab==",
        "k_abcab=",
        "k_abcab",
    }


def test_shorter_strings_are_looked_up_as_far_as_there_is_room(sift: Twin) -> None:
    text, tables = "k_abcabc", taking("k_[a-c]{3,9}")
    every = ["k_abc", "k_abca", "k_abcab", "k_abcabc"]
    for further in range(4):
        assert looked_up(sift, text, tables, found_at((0, 0)), further=further) == {*every[3 - further :]}
        counts = sift(text.encode(), found_at((0, 0)), NO_JOINTS, 0, tables, known(), remembering(), further)[2:4]
        assert counts == (further, further < 3)


def test_each_place_has_its_share_and_what_one_leaves_goes_to_the_next(sift: Twin) -> None:
    text, tables = "k_abc k_abcabc k_abcabcabc", taking("k_[a-c]{3,9}")
    hits = found_at((0, 0), (6, 0), (15, 0))
    longest = {"k_abc", "k_abcabc", "k_abcabcabc"}
    assert looked_up(sift, text, tables, hits, further=2) == {*longest, "k_abcab", "k_abcabcab"}
    assert looked_up(sift, text, tables, hits, further=6) == {
        *longest,
        *("k_abcab", "k_abca", "k_abc"),
        *("k_abcabcab", "k_abcabca", "k_abcabc"),
    }


def test_places_of_strings_of_one_length_take_no_share(sift: Twin) -> None:
    text, tables = "k_abcabc" + " o_abc" * 50, taking("k_[a-c]{3,9}", "o_[a-c]{3}")
    hits = found_at((0, 0), *((at, 1) for at, letter in enumerate(text) if letter == "o"))
    assert looked_up(sift, text, tables, hits, further=3) == {"k_abcabc"[:n] for n in range(5, 9)} | {"o_abc"}


def test_narrower_formats_have_the_room_first(sift: Twin) -> None:
    narrow, wide = "k_[a-c]{3,9}", "k_[a-d]{3,9}"
    both = forms([([(row, rank) for row in rows(p)], False, 0) for rank, p in ((2, wide), (1, narrow))])
    hits = found_at((0, 0), (0, 1))
    assert looked_up(sift, "k_abcabdd", both, hits, further=2) == {"k_abcabdd", "k_abcab", "k_abca", "k_abc"}


def test_a_catch_all_adds_nothing_where_a_narrower_format_takes_as_much(sift: Twin) -> None:
    pairs = ((3, "k_[a-d]{3,9}"), (1, "k_[a-c]{6}"))
    both = forms([([(row, rank) for row in rows(p)], False, 0) for rank, p in pairs])
    hits = found_at((0, 0), (0, 1))
    assert looked_up(sift, "k_abcabc", both, hits, further=9) == {"k_abcabc"}
    assert looked_up(sift, "k_abcabcd", both, hits, further=9) == {"k_abc" + "abcd"[:n] for n in range(5)}


def test_a_key_may_end_where_another_begins_and_at_a_joint(sift: Twin) -> None:
    tables = taking("k_[a-z_]{3,30}", "z")
    text = "k_abcdezfzghijkz"
    after = found_at(*((at, 1) for at, letter in enumerate(text) if letter == "z"), (0, 0), (0, 0))
    assert looked_up(sift, text, tables, after) == {text, "k_abcde", "k_abcdezf", "k_abcdezfzghijk", "z"}
    assert looked_up(sift, text, tables, found_at((0, 0)), joints=array("Q", [0, 3, 8, 12])) == {
        text,
        text[:8],
        text[:12],
    }


def test_what_was_found_within_strings_begins_before_it(sift: Twin) -> None:
    """Each beginning counts once, however often it is reached, and none that lies farther away."""
    tables = taking("k_[a-z_]{2,6}MM[a-z]{2,4}", reach=10)
    text = "k_ab k_k_abMMxyz MM k_aMMxy k_abcdefMMxyzMMxyMMx"
    hits = found_at(*((at, 0) for at in range(len(text)) if text.startswith("MM", at)))
    for further, shorter in ((0, set()), (9, {"k_k_abMMxy", "k_abMMxy", "k_abcdefMMxy"})):
        every = {"k_k_abMMxyz", "k_abMMxyz", "k_abcdefMMxyz", *shorter}
        assert looked_up(sift, text, tables, hits, further=further) == every
    near = taking("k_[a-z_]{2,6}MM[a-z]{2,4}", reach=4)
    assert looked_up(sift, text, near, hits, further=9) == {"k_abMMxyz", "k_abMMxy"}
    assert hits == found_at(*((at, 0) for at in range(len(text)) if text.startswith("MM", at)))


def test_where_an_open_set_ends_is_tried_at_each_character(sift: Twin) -> None:
    text, tables = "k_aMMbMMcdefghij", taking("k_[a-zM]{1,9}MM[a-z]{1,4}")
    assert looked_up(sift, text, tables, found_at((0, 0)), further=9) == {
        "k_aMMb",  # other ends than those behind the second, so they are none of the shorter ones of that
        *("k_aMMbMMc", "k_aMMbMMcd", "k_aMMbMMcde", "k_aMMbMMcdef"),
    }
    overlapping = taking("k_[a-zM]{1,9}MM[a-zM]{1,4}")
    assert looked_up(sift, text, overlapping, found_at((0, 0))) == {"k_aMMbMMcdef"}, "of one, the longest"
    assert len(looked_up(sift, text, overlapping, found_at((0, 0)), further=9)) == 7


def test_what_two_formats_share_is_one_place(sift: Twin) -> None:
    """A catch-all that is found by what stands within adds nothing where a narrower one takes as much."""
    narrow, wide = "k_[a-z]{2}MM[a-z]{2}", "k_[a-z]{2,6}MM[a-z]{2,4}"
    both = forms([([(row, rank) for row in rows(p)], False, at) for p, rank, at in ((narrow, 1, 0), (wide, 3, 8))])
    assert looked_up(sift, "k_abMMcd", both, found_at((0, 0), (4, 1)), further=9) == {"k_abMMcd"}
    assert looked_up(sift, "k_abMMcdx", both, found_at((0, 0), (4, 1)), further=9) == {"k_abMMcd", "k_abMMcdx"}


@pytest.mark.parametrize(("lines", "least"), [(0, 5), (4, 5), (5, 9), (15, 9)])
def test_what_goes_over_no_joint_was_read_before_the_lines_were_joined(sift: Twin, lines: int, least: int) -> None:
    text = "abc k_abcabcabc"  # joined behind its eighth character
    hits = found_at((4, 0))
    found = looked_up(sift, text, taking("k_[a-c]{3,9}"), hits, joints=array("Q", [8]), lines=lines, further=9)
    assert found == {text[4 : 4 + size] for size in range(least - (lines > 4) * 4, 12)}


def test_a_place_within_a_line_ends_a_string_that_was_read_before(sift: Twin) -> None:
    """That a key begins there may show only when lines are joined."""
    tables, joints = taking("k_[a-zo_]{3,30}", "o_[a-z]{6}"), array("Q", [9])
    found = looked_up(sift, "k_abco_defghi", tables, found_at((0, 0), (5, 1)), joints=joints, lines=13)
    assert found == {"k_abco_defghi", "k_abc", "o_defghi"}


@pytest.mark.parametrize(("joint", "further", "shorter"), [(8, 9, 0), (9, 9, 2), (8, PLENTY, 3)])
def test_behind_a_line_that_a_narrower_format_takes_a_catch_all_is_read_in_all_lengths_if_there_is_plenty_of_room(
    sift: Twin, joint: int, further: int, shorter: int
) -> None:
    pairs = ((3, "k_[a-d]{8,20}"), (1, "k_[a-c]{6}"))
    both = forms([([(row, rank) for row in rows(p)], False, 0) for rank, p in pairs])
    text, hits = "k_abcabcdddd", found_at((0, 0), (0, 1))
    found = looked_up(sift, text, both, hits, joints=array("Q", [joint]), further=further)
    assert found >= {"k_abcabc", text}
    assert sift(text.encode(), hits, array("Q", [joint]), 0, both, known(), remembering(), further)[2] == min(
        2, shorter
    )


def test_of_what_follows_the_next_few_places_count(sift: Twin) -> None:
    text = "k_abc" + "zy" * 9
    hits = found_at((0, 0), *((at, 1) for at, letter in enumerate(text) if letter == "z"))
    assert looked_up(sift, text, taking("k_[a-z_]{3,30}", "zyzyzyzyzyzyzyzyzyzyzy"), hits) == {
        text,
        *("k_abc" + "zy" * n for n in range(NEIGHBOURS)),
    }


def test_hits_are_put_in_order_and_those_of_others_are_returned(sift: Twin) -> None:
    tables = forms([([], True, 0), ([(row, 1) for row in rows("b{2}")], False, 0)])
    hits = found_at((5, 0), (3, 1), (1, 0))
    assert sift(b"abbbbb", hits, NO_JOINTS, 0, tables, known(), remembering(), 0) == ([], 1, 0, 0, [(1, 0), (5, 0)])
    assert hits == found_at((1, 0), (3, 1), (5, 0))


def test_a_place_at_which_there_was_nothing_is_not_looked_at_again(sift: Twin) -> None:
    seen = remembering()
    text, tables, hits = b"k_abcabc k_abcabc", taking("k_[a-c]{3,9}"), found_at((0, 0), (9, 0))
    assert sift(text, hits, NO_JOINTS, 0, tables, known(), seen, 0) == ([], 1, 0, 2, [])
    assert sift(text, hits, NO_JOINTS, 0, tables, known(), seen, 0) == ([], 0, 0, 2, [])
    assert sift(text, hits, NO_JOINTS, 0, tables, known(), seen, 9) == ([], 4, 3, 0, []), "in more ways"
    assert sum(map(bool, seen)) == 2
    for _ in range(2):
        ours = known("k_abcabc")
        assert sift(text, hits, NO_JOINTS, 0, tables, ours, remembering(), 0) == ([(0, 8), (9, 17)], 2, 0, 2, [])


def test_a_place_and_a_run_of_the_same_bytes_are_not_taken_for_one_another() -> None:
    text = "abcabcabcabcabcabcabc"
    run, place = remembering(), remembering()
    _fast.sift(text.encode(), known(), run, 1)
    _fast.sift_places(text.encode(), found_at((0, 0)), NO_JOINTS, 0, taking("[a-c]{21}"), known(), place, 0)
    assert sum(map(bool, run)) == sum(map(bool, place)) == 1
    assert run != place


UNITS = st.builds(
    lambda letters, least, more, is_open: Unit(frozenset(map(ord, letters)), least, least + more, is_open),
    st.sampled_from(["a", "b", "ab", "abc", "=", ".b"]),
    st.integers(1, 3),
    st.sampled_from([0, 0, 1, 5, 70]),
    st.booleans(),
)
ROWS = st.lists(UNITS, min_size=1, max_size=4).map(tuple).filter(lambda row: sum(unit.is_open for unit in row) < 2)
EXPRESSIONS = st.lists(
    st.tuples(
        st.lists(st.tuples(ROWS, st.integers(1, 3)), max_size=4), st.booleans(), st.sampled_from([0, 0, 1, 5, 90])
    ),
    min_size=1,
    max_size=4,
)
TEXTS = st.lists(st.text("abc=.", max_size=9) | st.sampled_from(["a" * 80, "ab" * 70]), max_size=9)


@settings(UNHURRIED, max_examples=150)
@given(
    TEXTS.map("".join),
    EXPRESSIONS,
    st.randoms(use_true_random=False),
    st.sampled_from([0, 1, 10, 300, PLENTY]),
    st.sampled_from([1, 2, 64]),
)
def test_the_twins_find_the_same_and_remember_the_same(
    text: str,
    expressions: Sequence[tuple[Sequence[tuple[Row, int]], bool, int]],
    chance: Random,
    further: int,
    room: int,
) -> None:
    tables, data = forms(expressions), text.encode()
    often = chance.choice([0.05, 0.3, 1])
    hits = [(at, e) for at in range(len(data) + 1) for e in range(len(expressions)) if chance.random() < often]
    chance.shuffle(hits)
    joints = array("Q", sorted(chance.sample(range(len(data) + 1), chance.randrange(min(9, len(data) + 2)))))
    lines = chance.choice([0, 0, len(data) // 2, len(data)])
    ours = [text[a : a + chance.randrange(1, 30)] for a in chance.choices(range(len(data) + 1), k=3)]
    there = indexed(numbers(*{*ours[:2], "x"}))._replace(loose=numbers(ours[2]))
    memories = remembering(room), remembering(room)
    for _ in range(2):
        taken = found_at(*hits), found_at(*hits)
        one, other = (
            twin(data, those, joints, lines, tables, there, seen, further)
            for twin, those, seen in zip((places.sift_places, _fast.sift_places), taken, memories, strict=True)
        )
        assert one == other
        assert taken[0] == taken[1]
        assert memories[0] == memories[1]


def test_very_many_strings_and_rows_are_no_matter() -> None:
    """More places and strings than are looked up together, and more rows at one place than are read."""
    many = forms([([(row, 1) for n in range(LEAVES + 9) for row in rows(f"[ab]{{{n + 1},{n + 2}}}")], False, 0)])
    text = "ab" * 5000
    hits = [(at, 0) for at in range(0, len(text), 7)]
    ours = known(text[700:900], text[7:9])
    for tables in (many, taking("[ab]{3,5000}")):
        data = text.encode()
        small = data[:1000] if tables is many else data[:400]
        one, other = (
            twin(
                small,
                found_at(*(h for h in hits if h[0] < len(small))),
                NO_JOINTS,
                0,
                tables,
                ours,
                remembering(),
                PLENTY,
            )
            for twin in (places.sift_places, _fast.sift_places)
        )
        assert one == other
    _, looked, _, _, _ = _fast.sift_places(
        text.encode(), found_at(*hits), NO_JOINTS, 0, taking("[ab]{3,5000}"), ours, remembering(), PLENTY
    )
    assert looked > PLENTY


@settings(UNHURRIED, max_examples=300)
@given(
    st.binary(max_size=60),
    st.builds(
        Forms,
        st.binary(max_size=90),
        st.lists(st.integers(0, 70) | st.integers(0, 2**32 - 1), max_size=36).map(lambda nodes: array("I", nodes)),
        st.lists(st.integers(0, 9) | st.integers(0, 2**32 - 1), max_size=9).map(lambda trees: array("I", trees)),
    ),
    st.lists(st.integers(0, 2**23) | st.integers(0, 2**64 - 1), max_size=9),
    st.integers(-9, 99) | st.integers(-(2**63), 2**63 - 1),
)
def test_whatever_the_compiled_twin_is_given_it_keeps_to_the_text(
    data: bytes, tables: Forms, hits: list[int], lines: int
) -> None:
    taken = bytearray(array("Q", hits).tobytes())
    try:
        spans, *_ = _fast.sift_places(data, taken, array("Q", hits), lines, tables, known("ab"), remembering(2), 9)
    except ValueError:
        return
    assert all(0 <= start < end <= len(data) for start, end in spans)


def broken(number: int, value: int) -> "array[int]":
    nodes = taking("ab{2,3}").nodes[:]
    nodes[number] = value
    return nodes


@pytest.mark.parametrize(("number", "value"), [(0, 2), (1, 0), (1, 2), (2, MOST + 1), (3, 2), (4, 0), (4, 3), (5, 4)])
def test_tables_that_cannot_be_walked_are_refused(number: int, value: int) -> None:
    tables = taking("ab{2,3}")
    there: tuple[Known, Any, int] = (known(), remembering(), 9)
    assert _fast.sift_places(b"abbb", found_at((0, 0)), NO_JOINTS, 0, tables, *there)[1] == 2
    whole = tables._replace(nodes=broken(number, value))
    with pytest.raises(ValueError, match="whole trees"):
        _fast.sift_places(b"abbb", found_at((0, 0)), NO_JOINTS, 0, whole, *there)


def test_nodes_stand_within_one_another_and_not_too_deep() -> None:
    def walked(*afters: int) -> None:
        nodes = array("I", [number for after in afters for number in (0, 1, 1, 0, after, 1)])
        tables = Forms(bytes([1]) * 256, nodes, array("I", [0, len(afters), 0, 0]))
        _fast.sift_places(b"abbb", found_at((0, 0)), NO_JOINTS, 0, tables, known(), remembering(), 9)

    walked(*[DEEPEST] * DEEPEST)
    for wrong in ([DEEPEST + 1] * (DEEPEST + 1), [2, 3, 3]):
        with pytest.raises(ValueError, match="whole trees"):
            walked(*wrong)


def test_of_open_sets_one_stands_in_a_row() -> None:
    nodes = taking("[ab]{1,3}bc").nodes[:]
    assert [*nodes[3::6]] == [1, 0, 0]
    nodes[9] = 1
    with pytest.raises(ValueError, match="whole trees"):
        _fast.sift_places(
            b"aabbc",
            found_at((0, 0)),
            NO_JOINTS,
            0,
            taking("[ab]{1,3}bc")._replace(nodes=nodes),
            known(),
            remembering(),
            9,
        )


def test_what_is_no_table_and_lies_nowhere_is_refused() -> None:
    tables = taking("ab{2,3}")
    there: tuple[Known, Any, int] = (known(), remembering(), 9)
    for wrong in (
        tables._replace(sets=b"short"),
        tables._replace(nodes=array("I", [1])),
        tables._replace(trees=array("I", [0, 9, 0, 0])),
        tables._replace(trees=array("I", [0, 1, 2, 0])),
        tables._replace(trees=array("I", [0, 1, 0, MOST + 1])),
        tables._replace(trees=array("I", [0])),
    ):
        with pytest.raises(ValueError, match="whole trees"):
            _fast.sift_places(b"abbb", found_at((0, 0)), NO_JOINTS, 0, wrong, *there)
    for hits in (found_at((5, 0)), found_at((0, 1)), bytearray(), bytearray(9)):
        with pytest.raises(ValueError, match="whole trees"):
            _fast.sift_places(b"abbb", hits, NO_JOINTS, 0, tables, *there)
    with pytest.raises(ValueError, match="128"):
        _fast.sift_places(b"", found_at(), NO_JOINTS, 0, tables, known()._replace(pads=b""), *there[1:])
    with pytest.raises(ValueError, match="seen"):
        _fast.sift_places(b"", found_at(), NO_JOINTS, 0, tables, known(), array("Q"), 9)


@pytest.mark.parametrize("collect", [places.collect, _fast.collect], ids=["plain", "fast"])
def test_what_is_found_is_taken_down_until_there_is_one_more_than_room(collect: Callable[..., bool]) -> None:
    hits = found_at(room=2)
    assert [collect(3, at, at + 9, 0, hits) for at in (7, 2**31, 5)] == [False, False, True]
    assert hits == found_at((7, 3), (2**31, 3), (5, 3), room=2)


def test_what_the_compiled_twin_cannot_take_down_is_refused() -> None:
    wrong: list[tuple[Any, ...]] = [
        (1, 2, 3, 0),
        (1, 2, 3, 0, b"12345678"),
        (1, 2, 3, 0, bytearray(7)),
        ("1", 2, 3, 0, found_at()),
        (1, "2", 3, 0, found_at()),
    ]
    for given_ in wrong:
        with pytest.raises(TypeError):
            _fast.collect(*given_)
    with pytest.raises(OverflowError):
        _fast.collect(1, -2, 3, 0, found_at())
