import base64
import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from random import Random
from time import process_time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.recall import variable
from leakwatch import pem
from leakwatch.core import plain
from leakwatch.errors import DefinitionError
from leakwatch.match import canonical
from leakwatch.model import Candidate, Document, Field, Position, Reference
from leakwatch.scan import synthetic
from leakwatch.scan.detectors import Detector, shipped
from leakwatch.scan.formats import Format
from leakwatch.scan.markers import Markers
from leakwatch.scan.scanner import SPACING, Scanner
from tests.unit.core.making import sieve_of
from tests.unit.scan.making import MARKED, made, named

UNHURRIED = settings(deadline=None)  # the first of a process takes longer than the others
SCANNER = Scanner(shipped())
PLAIN = Scanner(shipped(), plain=True)
BOUNDLESS = Scanner(shipped(), limit=1_000_000, plain=True)
KeysIn = Callable[[str], list[str]]
KEY_CHARACTERS = synthetic.ALPHABETS["alnum"] + "-_+/="
GLUED = st.text(KEY_CHARACTERS, max_size=40)
ANYTHING = st.text(st.characters(), max_size=40)


TOKENS = set((plain.PLAIN + plain.EDGES).decode())
NOWHERE = Reference(url="", id="")


def document(text: str, **around: Any) -> Document:
    return Document(reference=replace(NOWHERE, **around), text=text)


def scanned(text: str, scanner: Scanner = SCANNER) -> tuple[Candidate, ...]:
    return scanner.scan(document(text)).candidates


def first(text: str) -> Candidate:
    return scanned(text)[0]


@UNHURRIED
@given(st.sampled_from(MARKED), st.integers(), st.tuples(ANYTHING, GLUED), st.tuples(GLUED, ANYTHING))
def test_a_key_is_a_candidate_whatever_stands_around_it(
    detector: Detector, seed: int, left: tuple[str, str], right: tuple[str, str]
) -> None:
    key = made(detector, seed)
    found = {c.plaintext.reveal(): c for c in scanned("".join([*left, key, *right]))}
    assert detector.key(key) in found
    assert found[detector.key(key)].masked.endswith("…" + detector.key(key)[-4:])


@UNHURRIED
@given(st.lists(st.tuples(st.sampled_from(MARKED), st.integers()), max_size=8), st.sampled_from(["", " ", "\n", "_"]))
def test_keys_of_all_kinds_are_found_beside_one_another(parts: list[tuple[Detector, int]], between: str) -> None:
    texts = [made(detector, seed) for detector, seed in parts]
    found = {candidate.plaintext.reveal() for candidate in scanned(between.join(texts))}
    assert found >= {detector.key(text) for (detector, _), text in zip(parts, texts, strict=True)}


@pytest.mark.parametrize("detector", [d for d in MARKED if d.breadth != "any"], ids=lambda detector: detector.id)
def test_two_hundred_keys_glued_together_are_all_found(detector: Detector) -> None:
    random = Random(2)
    texts = [synthetic.synthesize(detector, random) for _ in range(200)]
    scan = SCANNER.scan(document("".join(texts)))
    assert {candidate.plaintext.reveal() for candidate in scan.candidates} >= set(map(detector.key, texts))


@pytest.mark.parametrize(
    "prefix", ["AIza", "sk-ant-api03-", "sk-proj-", "nvapi-", "hf_", "gsk_", "r8_", "JQQJ99BA", "sk-", "eyJ", "rt_"]
)
def test_a_repeated_prefix_hides_no_key(prefix: str) -> None:
    for detector in MARKED:
        text = made(detector, 3)
        found = {c.plaintext.reveal() for c in scanned(prefix * 20 + text + prefix * 3)}
        assert detector.key(text) in found


def test_a_prefix_within_a_key_begins_another_candidate(keys_in: KeysIn) -> None:
    outer = synthetic.fill("nvapi-{alnum:10}AIza{alnum:50}", Random(1))
    assert keys_in(outer) == [outer, outer[16:55]]


def test_a_longer_run_still_yields_the_key_of_fixed_length(keys_in: KeysIn) -> None:
    key = synthetic.fill("sk-ant-api03-{base64url:93}AA", Random(1))
    assert keys_in(f"{key}_and_more")[0] == key


def test_of_one_place_the_most_specific_reading_is_first_and_all_share_their_position() -> None:
    key = made(named("openai-project"), 1)
    candidates = scanned(f"  {key}-more")
    assert (candidates[0].detector, candidates[0].plaintext.reveal()) == ("openai-project", key)
    assert candidates[1].plaintext.reveal() == f"{key}-more"
    assert {candidate.detector for candidate in candidates[1:-1]} == {"openai-any"}
    assert candidates[-1].detector == "sk-short"  # what any key that begins with sk- could be
    assert {candidate.position.column for candidate in candidates} == {3}


@pytest.mark.parametrize("detector", MARKED, ids=lambda detector: detector.id)
def test_a_key_is_named_by_its_own_detector_and_masked_by_its_prefix(detector: Detector) -> None:
    for template in detector.examples:
        text = synthetic.fill(template, Random(4))
        key, candidate = detector.key(text), first(f'{variable(detector)}="{text}"')
        shown = re.match(detector.prefix, key)
        assert shown is not None
        assert (candidate.plaintext.reveal(), candidate.detector) == (key, detector.id)
        assert candidate.masked == f"{shown[0]}…{key[-4:]}"


def test_a_narrower_name_wins_where_several_detectors_take_the_same_string() -> None:
    for service, name in (("AAABACOG", "azure-openai"), ("AAAYACOG", "azure-ai-services"), ("AAAAAZEG", "azure-any")):
        key = synthetic.fill(f"{{cask:{service}}}", Random(1))
        assert [candidate.detector for candidate in scanned(key)] == [name]


def test_a_failed_structure_check_drops_nothing() -> None:
    for template in ("gsk_{alnum:52}", "{alnum:52}JQQJ99BA{alnum:12}AAABACOG{alnum:4}"):
        key = synthetic.fill(template, Random(1))
        assert first(key).plaintext.reveal() == key


def test_of_equally_narrow_readings_the_sound_one_is_first() -> None:
    key = synthetic.fill("sk-ant-oat01-{base64url:93}AA", Random(1))
    assert first(f"{key}glued").plaintext.reveal() == key


def test_every_part_of_a_document_is_looked_at_in_order() -> None:
    parts = ("url", "page", "title", "author", "path", "id")
    keys = {part: synthetic.fill("xai-{alnum:80}", Random(part)) for part in ("text", *parts)}
    whole = document(f"\n {keys['text']}", **{part: f"/{keys[part]}" for part in parts})
    candidates = SCANNER.scan(whole).candidates
    assert [candidate.plaintext.reveal() for candidate in candidates] == list(keys.values())
    assert candidates[0].position == Position(field=Field.TEXT, line=2, column=2)
    assert [candidate.position for candidate in candidates[1:]] == [
        Position(field=field, line=1, column=2)
        for field in (Field.URL, Field.URL, Field.TITLE, Field.AUTHOR, Field.PATH, Field.ID)
    ]


def test_a_string_at_several_places_is_one_candidate_at_the_first() -> None:
    key = made(named("xai-api"), 1)
    scan = SCANNER.scan(document(f"a\n{key} {key}", url=f"https://example.org/{key}"))
    assert [candidate.position for candidate in scan.candidates] == [Position(field=Field.TEXT, line=2, column=1)]


@UNHURRIED
@given(st.lists(st.tuples(ANYTHING, st.integers(0, 99)), max_size=5))
def test_positions_agree_with_a_naive_count(parts: list[tuple[str, int]]) -> None:
    text = ""
    expected: dict[str, tuple[int, int]] = {}
    for before, seed in parts:
        text += before + "\r"
        key = made(named("huggingface-user"), seed)
        lines = re.split(r"\r\n|\r|\n", text)
        expected.setdefault(key, (len(lines), len(lines[-1]) + 1))
        text += key + " "
    found = {c.plaintext.reveal(): (c.position.line, c.position.column) for c in scanned(text)}
    assert found == expected


@pytest.mark.parametrize("broken", ["\0", "\ufffd", chr(0xD800), chr(0xDFFF) + chr(0xD800), "é", "\U0001f600"])
def test_broken_text_breaks_nothing(broken: str) -> None:
    key = made(named("xai-api"), 1)
    candidate = first(f"{broken}{key}{broken}")
    assert candidate.plaintext.reveal() == key
    assert candidate.position.column == len(broken) + 1


def test_threads_share_a_scanner() -> None:
    shared = Scanner(shipped())
    texts = ["x = 1\n" * 20_000 + made(detector, seed) for detector in MARKED for seed in range(4)]
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda text: scanned(text, shared), texts))
    assert found == [scanned(text) for text in texts]


def test_what_is_beyond_the_limit_is_counted() -> None:
    key = synthetic.fill("xai-{alnum:80}", Random(1))
    bait = "AKIA" * 1000  # denser than keys can be
    scan = Scanner(shipped(), limit=5).scan(document(f"{bait} {key}", title=key))
    assert [c.plaintext.reveal() for c in scan.candidates if c.position.field is Field.TITLE] == [key]
    assert scan.skipped > 0


@pytest.mark.parametrize("between", ["\n", ",", " = ", '","'])
def test_a_dump_of_nothing_but_keys_is_read_to_its_end_where_one_waits_for_it(between: str) -> None:
    random = Random(1)
    keys = [synthetic.fill("sk-{alnum:48}", random) for _ in range(500)]
    dump = between.join(keys)
    patient, other = Scanner(shipped(), limit=5, spacing=16), Scanner(shipped(), limit=5)
    assert {c.plaintext.reveal() for c in scanned(dump, patient)} >= set(keys)
    assert other.scan(document(dump)).skipped > 0


@pytest.mark.parametrize("between", ["\n", ",", " = ", '","'])
def test_of_a_dump_that_is_denser_than_what_is_read_what_is_registered_is_found(between: str) -> None:
    texts = [made(detector, seed) for seed in range(20) for detector in MARKED if detector.form == "as-found"]
    keys = {key for key in texts if len(key) >= plain.SHORTEST and not set(key) - TOKENS}
    assert len(keys) > 2_000
    few = Scanner(shipped(), limit=5)
    scan = few.scan(document(between.join(texts)), sieve_of(*keys))
    assert {c.plaintext.reveal() for c in scan.candidates} == keys
    assert scan.skipped > 0


@pytest.mark.parametrize("glued", ["x", "9", "/a"])
def test_of_a_dump_that_is_denser_than_what_is_read_without_the_core_it_finds_what_has_something_glued_to_it(
    glued: str,
) -> None:
    keys = {made(detector, seed) for seed in range(20) for detector in MARKED if Format(detector).rows}
    scan = Scanner(shipped(), limit=5).scan(document("\n".join(glued + key for key in keys)), sieve_of(*keys))
    assert {c.plaintext.reveal() for c in scan.candidates} == keys


@pytest.mark.parametrize(("others", "is_found"), [(0, True), (20, True), (80, False)])
def test_behind_a_line_that_is_a_key_all_lengths_are_tried_where_a_text_has_few_such_lines(
    others: int, is_found: bool
) -> None:
    chance = Random(1)
    key = synthetic.fill("sk-ant-abc12-{base64url:40}", chance)
    list_ = "\n\n".join(synthetic.fill("sk-ant-api03-{base64url:47}", chance) + "\nabcdefgh1" for _ in range(others))
    scan = SCANNER.scan(document(f"key: {key[:25]}\n{key[25:]}Z9 end\n\n{list_}"), sieve_of(key))
    assert [candidate.plaintext.reveal() for candidate in scan.candidates] == [key] * is_found


def test_what_is_denser_than_keys_can_be_is_not_read_to_its_end_and_that_is_counted() -> None:
    key = made(named("xai-api"), 1)
    found = [SCANNER.scan(document("AIza" * count + "x" + key), sieve_of(key)) for count in (1_000, 50_000)]
    assert [len(scan.candidates) for scan in found] == [1, 0]
    assert [scan.skipped for scan in found] == [0, 1]


def test_what_the_core_does_not_read_is_read_at_so_many_places_and_the_rest_is_counted() -> None:
    chance = Random(1)
    template = "-----BEGIN PRIVATE KEY-----" + "\\n{alnum:70}" * 3 + "\\n-----END PRIVATE KEY-----"
    keys = [synthetic.fill(template, chance) for _ in range(60)]
    few = Scanner(shipped(), limit=100, spacing=10_000)
    scan = few.scan(document("\n".join(keys)), sieve_of(*map(pem.body, keys)))
    assert 0 < scan.skipped < len(keys)
    assert len(scan.candidates) == len(keys), "the others are found as runs"


def test_a_key_ends_where_the_next_one_begins_however_long_its_format_may_be(keys_in: KeysIn) -> None:
    long = named("google-oauth-access")
    key, neighbour = synthetic.fill(long.examples[1], Random(1)), made(named("anthropic-api"), 1)
    assert key in keys_in(key + neighbour * 5)


def test_what_is_bounded_is_places_not_how_many_formats_may_begin_at_each() -> None:
    markers = Markers([Format(detector) for detector in MARKED if not detector.reach])
    text = "\n".join(made(named("anthropic-api"), seed) for seed in range(9)).encode()
    every = markers.reader(text, 10_000, 0)
    assert max(len(every.longest(start)) for start in every.starts) > 1
    for limit in range(1, len(every.starts) + 1):
        assert markers.reader(text, limit, 0).starts == every.starts[:limit]


def test_counting_ends_when_there_are_very_many() -> None:
    text = "AIza" * 100_000
    scan = Scanner(shipped(), limit=5).scan(document(text))
    assert 10 * len(text) / SPACING < scan.skipped < len(text)


def test_further_readings_are_shared_fairly_and_what_is_cut_is_counted() -> None:
    random = Random(1)
    keys = [synthetic.fill("sk-ant-oat01-{base64url:93}AA", random) for _ in range(10)]
    only = Scanner([named("anthropic-oauth-access")], limit=10)
    scan = only.scan(document(" ".join(f"{key}xy" for key in keys)))
    assert {candidate.plaintext.reveal() for candidate in scan.candidates} >= set(keys)
    assert scan.skipped == 10


@pytest.mark.parametrize(
    "text",
    [
        "AIza" * 50_000,
        "sk-ant-oat01-" * 20_000,
        "sk-T3BlbkFJ" * 20_000,
        "JQQJ99BA" * 20_000,
        ("ya29." + "a" * 1000) * 200,
        "sk-" * 50_000,
        "eyJ" * 50_000,
        ("eyJ" + "a" * 400 + ".") * 500,
        "rt_" * 50_000,
        "secret_" * 20_000,
        ("-----BEGIN PRIVATE KEY-----" + "A" * 100) * 2_000,
        "".join(made(detector, seed) for seed in range(40) for detector in MARKED),
    ],
    ids=["prefix", "overlapping", "marker", "azure", "long", "sk", "jwt", "long-jwt", "rt", "secret", "pem", "keys"],
)
def test_the_worst_texts_yield_a_bounded_number_of_candidates(text: str) -> None:
    limit = 100
    scan = Scanner(shipped(), limit=limit).scan(document(text))
    assert len(scan.candidates) <= 3 * (limit + len(text) // SPACING) + len(shipped())


@pytest.mark.parametrize("character", ["a", "A", "0", "-", "=", "/", "\n", "é"])
def test_a_long_run_of_one_character_holds_nothing(character: str) -> None:
    assert not scanned(character * 1_000_000)


def test_a_scanner_without_detectors_is_a_mistake() -> None:
    with pytest.raises(DefinitionError):
        Scanner([])


def test_a_pattern_that_takes_more_than_ascii_breaks_nothing() -> None:
    wide = named("groq").model_copy(update={"pattern": "gsk_.{4}", "find": ("gsk_.{4}",), "prefix": ""})
    (candidate,) = scanned("gsk_abcé", Scanner([wide]))
    assert candidate.plaintext.reveal() == "gsk_abc\ufffd"


def test_the_scanner_knows_its_detectors_by_id() -> None:
    assert SCANNER.detectors["groq"].name == "Groq API key"


@pytest.mark.parametrize(
    ("text", "is_glued"),
    [
        ("{key}", False),
        ("KEY={key}\n", False),
        ("a-{key}-b", False),
        ("first\\n{key}", False),
        ("x{key}", True),
        ("{key}x", True),
        ("1{key} ", True),
        ("{key}{other}", False),
        ("{key}{key}", False),
        ("{key}\u00e9", False),
        ("aword1\n{left}\n{right}\nanother", False),
        ("aword1\nx{left}\n{right}\nanother", True),
        ("aword1\n{left}\n{right}x\nanother", True),
    ],
)
def test_a_letter_or_digit_right_beside_a_key_is_told(text: str, is_glued: bool) -> None:
    key = made(named("openai-project"), 1)
    text = text.format(key=key, left=key[:40], right=key[40:], other=made(named("groq"), 1))
    found = {c.plaintext.reveal(): c.is_glued for c in scanned(text)}
    assert found[key] is is_glued


def test_the_same_joined_lines_broken_elsewhere_hide_nothing() -> None:
    key = synthetic.fill("{alnum:48}", Random(2))
    decoy, there = f"first1{key[:20]}\n{key[20:]}last2", f"first1\n{key[:24]}\n{key[24:]}\nlast2"
    found = SCANNER.scan(document(f"{decoy}\n\n{there}"), sieve_of(key)).candidates
    assert [candidate.plaintext.reveal() for candidate in found] == [key]


@pytest.mark.parametrize("width", [12, 13, 16])
@pytest.mark.parametrize("format_", ["anthropic-session", "letta"])
def test_a_list_of_keys_of_no_one_length_that_are_broken_over_many_lines_is_found(format_: str, width: int) -> None:
    keys = [made(named(format_), seed) for seed in range(1_000)]
    text = "\n".join(key[at : at + width] for key in keys for at in range(0, len(key), width))
    found = SCANNER.scan(document(text), sieve_of(*keys)).candidates
    assert {candidate.plaintext.reveal() for candidate in found} == {*keys}


def test_twice_as_many_keys_amid_broken_lines_take_about_twice_as_long() -> None:
    """Without a sieve each of them is asked whether it ends where lines were joined."""

    def seconds(keys: int) -> float:
        broken = [f"gsk_{synthetic.fill('{alnum:26}', Random(n))}\n{'a1' * 13}x" for n in range(keys)]
        text = "\n".join([*broken, *["abcdefg1\nb"] * (keys * 20)])
        before = process_time()
        assert len(Scanner(shipped(), spacing=16).scan(document(text)).candidates) >= keys
        return process_time() - before

    seconds(10)
    many, few = (min(seconds(keys) for _ in range(3)) for keys in (3_000, 1_000))
    assert many < 6 * few


@pytest.mark.parametrize("form", ["google-oauth-access", "anthropic-any", "openai-any", "openai-none"])
@pytest.mark.parametrize("others", ["groq", "openai-project"])
def test_a_key_to_which_letters_are_glued_is_found_before_many_others(form: str, others: str) -> None:
    key = made(named(form), 1)
    text = "\n".join([f"{key}{'x' * 40}", *(made(named(others), seed) for seed in range(500))])
    scan = SCANNER.scan(document(text), sieve_of(key))
    assert key in {candidate.plaintext.reveal() for candidate in scan.candidates}


def test_a_key_whose_first_line_looks_like_one_of_a_narrower_format_is_found_with_letters_glued_to_it() -> None:
    first = made(named("anthropic-api"), 1)
    key = f"{first}Ab3"
    scan = SCANNER.scan(document(f"KEY={first}\nAb3x1 z\n"), sieve_of(key))
    assert key in {candidate.plaintext.reveal() for candidate in scan.candidates}


def test_a_key_ends_where_another_begins_that_is_broken_over_lines() -> None:
    """In its line alone the other shows no marker yet."""
    key, other = (synthetic.fill(f"{{alnum:{size}}}", Random(size)) for size in (50, 30))
    key = f"sk-None-{key}T3Blbk" + f"FJ{synthetic.fill('{alnum:17}', Random(1))}"
    text = f"KEY={key}sk-ab-{other}T3Blbk" + f"FJ\n{synthetic.fill('{alnum:20}', Random(2))}\n"
    assert key in {c.plaintext.reveal() for c in SCANNER.scan(document(text), sieve_of(key)).candidates}


@pytest.mark.parametrize("between", ["\\n", "\\r\\n", "\\\\r\\\\n", "\\n\\n", "%0D%0A", "\n", "\\n    "])
@pytest.mark.parametrize("width", [5, 16, 64])
def test_a_private_key_is_found_however_short_its_lines_are(between: str, width: int) -> None:
    body = synthetic.fill("MII{base64:3269}", Random(width))
    lines = (body[at : at + width] for at in range(0, len(body), width))
    text = between.join(["-----BEGIN PRIVATE KEY-----", *lines, "-----END PRIVATE KEY-----"])
    assert [c.plaintext.reveal() for c in SCANNER.scan(document(f'"{text}"'), sieve_of(body)).candidates] == [body]


def test_of_ordinary_keys_of_openai_all_is_read() -> None:
    keys = [made(named("openai-project"), seed) for seed in range(300)]
    scan = SCANNER.scan(document("\n".join(f"OPENAI_API_KEY={key}" for key in keys)), sieve_of(*keys))
    assert (len(scan.candidates), scan.skipped) == (300, 0)


def test_many_keys_of_openai_of_lengths_that_we_do_not_know_are_found_with_letters_glued_to_them() -> None:
    keys = [made(named("openai-any"), seed) for seed in range(30)]
    scan = SCANNER.scan(document("\n".join(f"{key}{'x' * 40}" for key in keys)), sieve_of(*keys))
    assert {candidate.plaintext.reveal() for candidate in scan.candidates} == {*keys}


def test_the_first_layer_leaves_room_for_a_glued_key_in_the_next() -> None:
    key = made(named("anthropic-any"), 1)
    hidden = base64.b64encode(f"{key}{'x' * 30}".encode()).decode()
    text = "\n".join([*(made(named("anthropic-any"), seed) for seed in range(2, 200)), "", f"  {hidden}  "])
    found = SCANNER.scan(document(text), sieve_of(key)).candidates
    assert [candidate.plaintext.reveal() for candidate in found] == [key]


@pytest.mark.parametrize("margin", ["", "  # ", "> "])
@pytest.mark.parametrize(("lines", "pieces"), [(2, 2), (5, 3), (7, 5), (8, 8), (40, 2)])
def test_a_key_that_is_broken_over_some_of_many_lines_is_found_where_it_begins(
    lines: int, pieces: int, margin: str
) -> None:
    """With a marker or without one, what stands before it and behind it being no part of it."""
    bare, marked = synthetic.fill("{alnum:80}", Random(2)), made(named("openai-project"), 1)
    for key in (bare, marked):
        size = -(-len(key) // pieces)
        broken = [key[at : at + size] for at in range(0, len(key), size)]
        before = [synthetic.fill("{alnum:22}", Random(seed)) + "z" * (seed % 2) for seed in range(lines - pieces)]
        text = "\n".join(margin + line for line in [*before[::2], *broken, *before[1::2]])
        (candidate,) = [
            c for c in SCANNER.scan(document(text), sieve_of(key)).candidates if c.plaintext.reveal() == key
        ]
        place = Position(field=Field.TEXT, line=len(before[::2]) + 1, column=len(margin) + 1)
        assert candidate.position == place


def test_what_was_glued_after_a_key_is_told() -> None:
    key = made(named("groq"), 1)
    found = {c.plaintext.reveal(): c.is_glued for c in scanned(f"{key}xyz")}
    assert found[key]


def test_a_candidate_is_sound_where_its_checksum_agrees_and_where_nothing_is_known_of_it() -> None:
    key = made(named("github-pat-classic"), 1)
    for text, sound in ((key, True), (key[:-1] + ("0" if key[-1] != "0" else "1"), False)):
        candidate = next(c for c in scanned(text) if c.detector.startswith("github"))
        assert SCANNER.sound(candidate) is sound
    token = first(made(named("groq"), 1))
    assert SCANNER.sound(replace(token, detector="unknown"))
    assert SCANNER.sound(token)


@UNHURRIED
@given(st.lists(st.tuples(ANYTHING, st.none() | st.tuples(st.sampled_from(MARKED), st.integers())), max_size=6))
def test_texts_that_are_looked_at_as_one_are_told_apart(
    parts: list[tuple[str, tuple[Detector, int] | None]],
) -> None:
    texts = [around + (made(*key) if key else "") + around for around, key in parts]
    marked = SCANNER.marked([text.encode("utf-8", "surrogatepass") for text in texts])
    assert marked >= {number for number, (_, key) in enumerate(parts) if key}
    assert marked >= {number for number, text in enumerate(texts) if scanned(text, PLAIN)}
    assert marked <= set(range(len(texts)))


def test_a_plain_scan_leaves_disguises_alone() -> None:
    plain, hidden = made(named("groq"), 3), made(named("groq"), 4)
    text = f"{plain} {base64.b64encode(hidden.encode()).decode()}"
    keys = {candidate.plaintext.reveal() for candidate in scanned(text, PLAIN)}
    assert plain in keys
    assert hidden not in keys
    assert {plain, hidden} <= {candidate.plaintext.reveal() for candidate in scanned(text)}


@UNHURRIED
@given(
    st.lists(st.tuples(st.sampled_from(MARKED), st.integers(), st.booleans()), max_size=6),
    st.sampled_from([" ", "\n", '", "']),
    st.sampled_from([str, lambda text: base64.b64encode(text.encode()).decode()]),
)
def test_with_a_sieve_what_may_be_registered_is_a_candidate_and_with_strangers_all_that_has_a_marker(
    parts: list[tuple[Detector, int, bool]], between: str, disguise: Callable[[str], str]
) -> None:
    text = disguise(between.join(made(detector, seed) for detector, seed, _ in parts))
    keys = {detector.key(made(detector, seed)) for detector, seed, is_ours in parts if is_ours}
    sieve = sieve_of(*keys)
    every, ours = scanned(text), SCANNER.scan(document(text), sieve).candidates
    assert {c.plaintext.reveal() for c in ours} == keys
    assert {c.plaintext.reveal(): c for c in ours}.items() <= {c.plaintext.reveal(): c for c in every}.items()
    assert set(SCANNER.scan(document(text), sieve, strangers=True).candidates) == set(every)


@settings(UNHURRIED, max_examples=200)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(MARKED),
            st.integers(0, 9),
            st.integers(0, 12),
            st.sampled_from(["", "", "=", "a", "Ab-", "\n", " ", "'", "T3BlbkFJ"]),
        ),
        min_size=1,
        max_size=6,
    ),
    st.randoms(use_true_random=False),
)
def test_where_a_sieve_decides_the_core_finds_what_is_found_without_it(
    parts: list[tuple[Detector, int, int, str]], chance: Random
) -> None:
    """Each candidate that is registered, with its name and its place, however keys are glued, cut and repeated."""
    text = "".join(key[: len(key) - cut] + after for key, cut, after in ((made(d, n), c, a) for d, n, c, a in parts))
    every = {c.plaintext.reveal(): c for c in BOUNDLESS.scan(document(text)).candidates}
    ours = {key for key in every if chance.random() < 0.2} | set(chance.sample(sorted(every), min(1, len(every))))
    scan = BOUNDLESS.scan(document(text), sieve_of(*ours))
    assert not scan.skipped
    assert [c for c in scan.candidates if c.plaintext.reveal() in every] == [every[key] for key in every if key in ours]


@pytest.mark.parametrize("detector", MARKED, ids=lambda detector: detector.id)
def test_what_is_read_is_what_a_customer_digests(detector: Detector) -> None:
    """The sieve is asked for the reading's own characters, the database for their canonical form."""
    for candidate in scanned(made(detector, 4)):
        key = candidate.plaintext.reveal()
        assert canonical(key) == key.encode()
