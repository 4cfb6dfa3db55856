/* The compiled twin of the plain modules beside it: the same functions, with the same results. What they mean stands there.

   All that is read here was written by strangers. Each function reads each byte a bounded number of times, reads nothing
   outside what it was given, and keeps nothing when it returns but what it wrote into the memory that it was handed. */

#define PY_SSIZE_T_CLEAN
#define Py_LIMITED_API 0x030b0000 /* one build for every Python from 3.11 on */
#include <Python.h>

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#if defined(__x86_64__) && defined(__GNUC__)
#include <cpuid.h>
#include <immintrin.h>
#define HAS_SHA_EXTENSIONS 1
#endif
#ifndef __SIZEOF_INT128__
#error "gcc and clang compile this, for 64 bits; elsewhere plain.py does the same"
#endif

enum { SHORTEST = 16, LONGEST = 4096, OVERLAP = 512, PARTS = 6, REACH = 4096, FEW = 8, ALIKE = 4, ALONE = 1 << 14 };

/* Characters: each that a key may have is one bit. */
enum {
    UNDERSCORE = 1,
    DOT = 2,
    COLON = 4,
    TILDE = 8,
    SLASH = 16,
    PLUS = 32,
    EQUALS = 64,
    HYPHEN = 128,
    LOWER = 256,
    UPPER = 512,
    DIGIT = 1024,
    PLAIN = LOWER | UPPER | DIGIT
};

static const uint16_t KEPT[] = {
    0,
    UNDERSCORE,
    HYPHEN,
    UNDERSCORE | HYPHEN,
    UNDERSCORE | DOT | HYPHEN,
    UNDERSCORE | DOT | TILDE | HYPHEN,
    SLASH | PLUS,
    PLUS,
    UNDERSCORE | DOT | HYPHEN | TILDE | COLON,
    UNDERSCORE | DOT | HYPHEN | SLASH | PLUS | TILDE,
};
enum { WAYS = sizeof KEPT / sizeof *KEPT };

static uint16_t KIND[256];

static void sort_characters(void)
{
    for (int c = '0'; c <= '9'; c++) KIND[c] = DIGIT;
    for (int c = 'a'; c <= 'z'; c++) KIND[c] = LOWER;
    for (int c = 'A'; c <= 'Z'; c++) KIND[c] = UPPER;
    KIND['_'] = UNDERSCORE;
    KIND['.'] = DOT;
    KIND[':'] = COLON;
    KIND['~'] = TILDE;
    KIND['/'] = SLASH;
    KIND['+'] = PLUS;
    KIND['='] = EQUALS;
    KIND['-'] = HYPHEN;
}

typedef struct {
    Py_ssize_t start, end;
} Span;

enum { BLOCK = 64, PART = 16 };

/* Which of some bytes are key characters: a bit of each, the first byte's the lowest. */
static uint64_t keys_of_part(const uint8_t *at)
{
#ifdef __SSE2__
    __m128i byte = _mm_loadu_si128((const __m128i *)at);
    __m128i letter = _mm_sub_epi8(_mm_or_si128(byte, _mm_set1_epi8(0x20)), _mm_set1_epi8('a'));
    __m128i middle = _mm_sub_epi8(byte, _mm_set1_epi8('-')); /* of - . / 0 to 9 and : */
    __m128i is_key = _mm_cmpeq_epi8(_mm_min_epu8(letter, _mm_set1_epi8(25)), letter);
    is_key = _mm_or_si128(is_key, _mm_cmpeq_epi8(_mm_min_epu8(middle, _mm_set1_epi8(':' - '-')), middle));
    __m128i other = _mm_or_si128(_mm_cmpeq_epi8(byte, _mm_set1_epi8('+')), _mm_cmpeq_epi8(byte, _mm_set1_epi8('=')));
    is_key = _mm_or_si128(is_key, _mm_cmpeq_epi8(byte, _mm_set1_epi8('_')));
    is_key = _mm_or_si128(is_key, _mm_cmpeq_epi8(byte, _mm_set1_epi8('~')));
    return (uint64_t)_mm_movemask_epi8(_mm_or_si128(is_key, other));
#else
    uint64_t keys = 0;
    for (int i = 0; i < PART; i++) keys |= (uint64_t)(KIND[at[i]] != 0) << i;
    return keys;
#endif
}

/* Which of them are letters and digits. */
static uint64_t plain_of_part(const uint8_t *at)
{
#ifdef __SSE2__
    __m128i byte = _mm_loadu_si128((const __m128i *)at);
    __m128i letter = _mm_sub_epi8(_mm_or_si128(byte, _mm_set1_epi8(0x20)), _mm_set1_epi8('a'));
    __m128i digit = _mm_sub_epi8(byte, _mm_set1_epi8('0'));
    __m128i is_letter = _mm_cmpeq_epi8(_mm_min_epu8(letter, _mm_set1_epi8(25)), letter);
    __m128i is_digit = _mm_cmpeq_epi8(_mm_min_epu8(digit, _mm_set1_epi8(9)), digit);
    return (uint64_t)_mm_movemask_epi8(_mm_or_si128(is_letter, is_digit));
#else
    uint64_t plain = 0;
    for (int i = 0; i < PART; i++) plain |= (uint64_t)((KIND[at[i]] & PLAIN) != 0) << i;
    return plain;
#endif
}

/* The same of a block; what lies beyond the end is none. */
static inline uint64_t of_block(uint64_t (*of_part)(const uint8_t *), const uint8_t *data, Py_ssize_t at, Py_ssize_t size)
{
    uint8_t last[BLOCK] = {0};
    const uint8_t *block = data + at;
    if (size - at < BLOCK) block = memcpy(last, block, (size_t)(size - at));
    return of_part(block) | of_part(block + 16) << 16 | of_part(block + 32) << 32 | of_part(block + 48) << 48;
}

static uint64_t keys_of(const uint8_t *data, Py_ssize_t at, Py_ssize_t size) { return of_block(keys_of_part, data, at, size); }

/* Where key characters end that stand from some place on. */
static Py_ssize_t end_of_keys(const uint8_t *data, Py_ssize_t at, Py_ssize_t size)
{
    for (; at < size; at += BLOCK) {
        uint64_t others = ~keys_of(data, at, size);
        if (others) return at + __builtin_ctzll(others);
    }
    return size;
}

/* Find the next run that is long enough, from a place on before which none stands. */
static bool next_run(const uint8_t *data, Py_ssize_t at, Py_ssize_t size, Span *run)
{
    while (at + SHORTEST <= size) {
        uint64_t keys = keys_of(data, at, size), starts = keys;
        for (int further = 1; further < SHORTEST; further *= 2) starts &= starts >> further; /* of twice as many */
        if (starts) {
            Py_ssize_t start = at + __builtin_ctzll(starts);
            return *run = (Span){start, end_of_keys(data, start + SHORTEST, size)}, true;
        }
        at += BLOCK - __builtin_clzll(~keys); /* to those at the end of the block, which may go on */
    }
    return false;
}

/* SHA-256, as FIPS 180-4 has it. */

typedef struct {
    uint32_t words[8];
} State;

static const State BEGINNING = {{0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19}};

static const uint32_t ROUNDS[64] = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5, 0xd807aa98, 0x12835b01, 0x243185be,
    0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174, 0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa,
    0x5cb0a9dc, 0x76f988da, 0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967, 0x27b70a85,
    0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85, 0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3,
    0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070, 0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f,
    0x682e6ff3, 0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2};

static uint32_t turned(uint32_t word, int by) { return word >> by | word << (32 - by); }

static uint32_t big_endian(uint32_t word)
{
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
    return __builtin_bswap32(word);
#else
    return word;
#endif
}

static uint32_t word_at(const uint8_t *at)
{
    uint32_t word;
    memcpy(&word, at, sizeof word);
    return big_endian(word);
}

static void put_word(uint8_t *at, uint32_t word)
{
    word = big_endian(word);
    memcpy(at, &word, sizeof word);
}

static void compress_anywhere(State *state, const uint8_t *block)
{
    uint32_t w[64], s[8];
    for (int i = 0; i < 16; i++) w[i] = word_at(block + 4 * i);
    for (int i = 16; i < 64; i++) {
        uint32_t early = turned(w[i - 15], 7) ^ turned(w[i - 15], 18) ^ w[i - 15] >> 3;
        uint32_t late = turned(w[i - 2], 17) ^ turned(w[i - 2], 19) ^ w[i - 2] >> 10;
        w[i] = w[i - 16] + early + w[i - 7] + late;
    }
    memcpy(s, state->words, sizeof s);
    for (int i = 0; i < 64; i++) {
        uint32_t one = turned(s[4], 6) ^ turned(s[4], 11) ^ turned(s[4], 25);
        uint32_t choice = (s[4] & s[5]) ^ (~s[4] & s[6]);
        uint32_t zero = turned(s[0], 2) ^ turned(s[0], 13) ^ turned(s[0], 22);
        uint32_t majority = (s[0] & s[1]) ^ (s[0] & s[2]) ^ (s[1] & s[2]);
        uint32_t first = s[7] + one + choice + ROUNDS[i] + w[i];
        memmove(s + 1, s, 7 * sizeof *s);
        s[4] += first;
        s[0] = first + zero + majority;
    }
    for (int i = 0; i < 8; i++) state->words[i] += s[i];
}

static void (*compress)(State *, const uint8_t *) = compress_anywhere;

static void compress_both_anywhere(State *one, const uint8_t *its, State *other, const uint8_t *others)
{
    compress_anywhere(one, its);
    compress_anywhere(other, others);
}

/* Two messages that have nothing to do with each other take little longer than one: each waits for its own last step. */
static void (*compress_both)(State *, const uint8_t *, State *, const uint8_t *) = compress_both_anywhere;

#ifdef HAS_SHA_EXTENSIONS
enum { LANES = 2 };
#define WITH_EXTENSIONS __attribute__((target("sha,sse4.1,ssse3")))

WITH_EXTENSIONS static inline __attribute__((always_inline)) void compress_lanes(State *const *states, const uint8_t *const *blocks, int lanes)
{
    const __m128i order = _mm_set_epi64x(0x0c0d0e0f08090a0b, 0x0405060700010203);
    __m128i abef[LANES], cdgh[LANES], w[LANES][4];
    for (int lane = 0; lane < lanes; lane++) {
        const __m128i *state = (const __m128i *)states[lane]->words;
        __m128i cdab = _mm_shuffle_epi32(_mm_loadu_si128(state), 0xb1), efgh = _mm_shuffle_epi32(_mm_loadu_si128(state + 1), 0x1b);
        abef[lane] = _mm_alignr_epi8(cdab, efgh, 8), cdgh[lane] = _mm_blend_epi16(efgh, cdab, 0xf0);
        for (int i = 0; i < 4; i++) w[lane][i] = _mm_shuffle_epi8(_mm_loadu_si128((const __m128i *)blocks[lane] + i), order);
    }
    __m128i abef_before[LANES], cdgh_before[LANES];
    for (int lane = 0; lane < lanes; lane++) abef_before[lane] = abef[lane], cdgh_before[lane] = cdgh[lane];
#pragma GCC unroll 16
    for (int i = 0; i < 16; i++) /* four rounds each */
#pragma GCC unroll 2
        for (int lane = 0; lane < lanes; lane++) {
            __m128i *words = w[lane];
            __m128i keyed = _mm_add_epi32(words[i % 4], _mm_loadu_si128((const __m128i *)ROUNDS + i));
            cdgh[lane] = _mm_sha256rnds2_epu32(cdgh[lane], abef[lane], keyed);
            abef[lane] = _mm_sha256rnds2_epu32(abef[lane], cdgh[lane], _mm_shuffle_epi32(keyed, 0x0e));
            if (i >= 12) continue; /* no round needs what would come of it */
            __m128i last = _mm_alignr_epi8(words[(i + 3) % 4], words[(i + 2) % 4], 4);
            __m128i next = _mm_add_epi32(_mm_sha256msg1_epu32(words[i % 4], words[(i + 1) % 4]), last);
            words[i % 4] = _mm_sha256msg2_epu32(next, words[(i + 3) % 4]);
        }
    for (int lane = 0; lane < lanes; lane++) {
        __m128i first = _mm_add_epi32(abef[lane], abef_before[lane]), second = _mm_add_epi32(cdgh[lane], cdgh_before[lane]);
        __m128i feba = _mm_shuffle_epi32(first, 0x1b), dchg = _mm_shuffle_epi32(second, 0xb1);
        _mm_storeu_si128((__m128i *)states[lane]->words, _mm_blend_epi16(feba, dchg, 0xf0));
        _mm_storeu_si128((__m128i *)states[lane]->words + 1, _mm_alignr_epi8(dchg, feba, 8));
    }
}

WITH_EXTENSIONS static void compress_by_extensions(State *state, const uint8_t *block)
{
    compress_lanes((State *const[]){state}, (const uint8_t *const[]){block}, 1);
}

WITH_EXTENSIONS static void compress_both_by_extensions(State *one, const uint8_t *its, State *other, const uint8_t *others)
{
    compress_lanes((State *const[]){one, other}, (const uint8_t *const[]){its, others}, LANES);
}

static bool has_extensions(void)
{
    unsigned a, b, c, d;
    bool vectors = __get_cpuid(1, &a, &b, &c, &d) && (c & bit_SSE4_1) && (c & bit_SSSE3);
    return vectors && __get_cpuid_count(7, 0, &a, &b, &c, &d) && (b & bit_SHA);
}

/* Whether the processor comes to the same as we do: what it does is taken for right only then. */
static bool agrees(void)
{
    const uint8_t *first = (const uint8_t *)ROUNDS;
    State ours = BEGINNING, theirs = BEGINNING, one = BEGINNING, other = BEGINNING;
    for (int times = 0; times < 3; times++) {
        const uint8_t *block = first + 64 * times;
        compress_anywhere(&ours, block);
        compress_by_extensions(&theirs, block);
        compress_both_by_extensions(&one, block, &other, block + 64);
    }
    State others = BEGINNING;
    for (int times = 0; times < 3; times++) compress_anywhere(&others, first + 64 * (times + 1));
    bool are_both_right = memcmp(&ours, &one, sizeof ours) == 0 && memcmp(&others, &other, sizeof other) == 0;
    return are_both_right && memcmp(&ours, &theirs, sizeof ours) == 0;
}
#endif

/* A message in blocks. */
typedef struct {
    State state;
    const uint8_t *at;
    size_t whole, blocks; /* how many of all blocks stand in the message; the others are its end */
    uint8_t end[128];
} Message;

/* A message before which `before` bytes, whole blocks, are in the state already. */
static void begin_message(Message *message, State state, const uint8_t *at, size_t size, size_t before)
{
    size_t whole = size / 64, rest = size % 64, end = rest < 56 ? 64 : 128;
    message->state = state;
    message->at = at;
    message->whole = whole;
    message->blocks = whole + end / 64;
    memset(message->end, 0, 64); /* in two, which is faster: gcc makes one slow instruction of more */
    memset(message->end + 64, 0, 64);
    memcpy(message->end, at + 64 * whole, rest);
    message->end[rest] = 0x80;
    put_word(message->end + end - 8, (uint32_t)((before + size) >> 29));
    put_word(message->end + end - 4, (uint32_t)((before + size) << 3));
}

static const uint8_t *block_of(const Message *message, size_t number)
{
    return number < message->whole ? message->at + 64 * number : message->end + 64 * (number - message->whole);
}

static void end_message(Message *message, size_t from)
{
    for (; from < message->blocks; from++) compress(&message->state, block_of(message, from));
}

static State digest(State state, const uint8_t *at, size_t size, size_t before)
{
    Message message;
    begin_message(&message, state, at, size, before);
    end_message(&message, 0);
    return message.state;
}

/* A digest as the block that it is behind another. */
static void put_digest(uint8_t block[64], const State *digested)
{
    memset(block, 0, 64);
    for (int i = 0; i < 8; i++) put_word(block + 4 * i, digested->words[i]);
    block[32] = 0x80;
    put_word(block + 60, (64 + 32) << 3);
}

/* The state after a digest, behind one block. */
static State digest_again(State state, const State *digested)
{
    uint8_t block[64];
    put_digest(block, digested);
    compress(&state, block);
    return state;
}

/* What is registered. */

typedef struct {
    const uint64_t *numbers;
    size_t count;
    const uint32_t *starts; /* of numbers that begin alike */
    int shift;              /* by which a number becomes its beginning */
} Table;

typedef struct {
    State inner, outer; /* after HMAC's two pads */
    Table ordered, loose;
    uint32_t whole[2]; /* the starts of the loose ones, which have one beginning */
} Known;

static size_t beginning_of(const Table *table, uint64_t number)
{
    return table->shift < 64 ? (size_t)(number >> table->shift) : 0;
}

static bool holds(const Table *table, uint64_t number)
{
    size_t beginning = beginning_of(table, number);
    size_t low = table->starts[beginning], high = table->starts[beginning + 1];
    if (high > table->count) high = table->count;
    if (low >= high) return false;
    for (size_t count = high - low, half = count / 2; half > 0; count -= half, half = count / 2)
        low += half & -(size_t)(table->numbers[low + half - 1] < number); /* a branch would be guessed wrong half the time */
    return table->numbers[low] == number;
}

static bool is_known(const Known *known, uint64_t number) { return holds(&known->ordered, number) || holds(&known->loose, number); }

static uint64_t first_eight(const State *state) { return (uint64_t)state->words[0] << 32 | state->words[1]; }

/* The number of an HMAC under the pepper, of which the inner half is done. */
static uint64_t number_of(const Known *known, const State *inner)
{
    State outer = digest_again(known->outer, inner);
    return first_eight(&outer);
}

/* The number of a key's digest as it is stored: SHA-256, then HMAC. */
static uint64_t keyed(const Known *known, const uint8_t *key, size_t size)
{
    State own = digest(BEGINNING, key, size, 0);
    State inner = digest_again(known->inner, &own);
    return number_of(known, &inner);
}

/* Two states after a digest each. */
static void digest_both_again(State *one, State *other, const State *first, const State *second)
{
    uint8_t blocks[2][64];
    put_digest(blocks[0], first);
    put_digest(blocks[1], second);
    compress_both(one, blocks[0], other, blocks[1]);
}

/* The numbers of two keys, whose messages have begun. */
static void keyed_both(const Known *known, Message *one, Message *other, uint64_t *first, uint64_t *second)
{
    size_t number = 0;
    for (; number < one->blocks && number < other->blocks; number++)
        compress_both(&one->state, block_of(one, number), &other->state, block_of(other, number));
    end_message(one, number);
    end_message(other, number);
    State inner[2] = {known->inner, known->inner}, outer[2] = {known->outer, known->outer};
    digest_both_again(&inner[0], &inner[1], &one->state, &other->state);
    digest_both_again(&outer[0], &outer[1], &inner[0], &inner[1]);
    *first = first_eight(&outer[0]);
    *second = first_eight(&outer[1]);
}

/* A table with the starts of its beginnings, if these are 2ⁿ and an end. */
static bool is_table(const Py_buffer *numbers, const Py_buffer *starts, Table *table)
{
    size_t beginnings = (size_t)starts->len / sizeof(uint32_t) - 1;
    int bits = 0;
    if (numbers->len % 8 || starts->len % 4 || starts->len < 8 || beginnings & (beginnings - 1)) return false;
    while ((size_t)1 << bits < beginnings) bits++;
    *table = (Table){numbers->buf, (size_t)numbers->len / 8, starts->buf, 64 - bits};
    return bits <= 32;
}

enum { PADS, ORDERED, STARTS, LOOSE, VIEWS };

/* Read what plain.Known holds, which must stay where it is. */
static bool read_known(const Py_buffer views[VIEWS], Known *known)
{
    if (views[PADS].len != 128 || views[LOOSE].len % 8 || !is_table(&views[ORDERED], &views[STARTS], &known->ordered)) {
        PyErr_SetString(PyExc_ValueError, "the pads have 128 bytes, the tables whole numbers, the starts 2^n and an end");
        return false;
    }
    known->inner = known->outer = BEGINNING;
    compress(&known->inner, views[PADS].buf);
    compress(&known->outer, (const uint8_t *)views[PADS].buf + 64);
    known->whole[1] = (uint32_t)(views[LOOSE].len / 8);
    known->loose = (Table){views[LOOSE].buf, known->whole[1], known->whole, 64};
    return true;
}

static void release(Py_buffer *views, int count)
{
    for (int view = 0; view < count; view++) PyBuffer_Release(&views[view]);
}

static PyObject *fast_is_registered(PyObject *Py_UNUSED(module), PyObject *args)
{
    Py_buffer key, v[VIEWS];
    Known known = {0};
    PyObject *result = NULL;
    if (!PyArg_ParseTuple(args, "y*(y*y*y*y*)", &key, &v[PADS], &v[ORDERED], &v[STARTS], &v[LOOSE])) return NULL;
    if (read_known(v, &known)) result = PyBool_FromLong(is_known(&known, keyed(&known, key.buf, (size_t)key.len)));
    PyBuffer_Release(&key);
    release(v, VIEWS);
    return result;
}

/* The sieve. */

/* Where lines were joined. */
typedef struct {
    const uint64_t *at; /* rising, within the text */
    Py_ssize_t count;
} Joints;

typedef struct {
    Span span;
    Joints joints;         /* within it */
    Py_ssize_t least;      /* so many of them a key goes over … */
    Py_ssize_t most;       /* … and so many characters it has */
    uint64_t mark, *place; /* where among the seen it is remembered */
    bool is_looked_at, has_key;
} Run;

typedef struct {
    Span span;
    uint64_t number;
    Run *run;
} Token;

enum { TOGETHER = 64, ALIKE_PLACES = 256, SLOTS = 1024, CROWDED = SLOTS / 2 };

typedef struct {
    uint16_t start, end; /* in the run */
    uint32_t turn;
} Asked;

typedef struct {
    const uint8_t *data;
    Joints joints;
    Py_ssize_t lines; /* up to there what goes over no joint was looked at before */
    Known known;
    uint64_t point; /* of the polynomial that runs are remembered by */
    uint64_t *seen; /* marks of runs without a registered key, each where it says itself */
    size_t places;
    Py_ssize_t room, skipped; /* for runs, and of them */
    Run runs[TOGETHER];       /* memory is slow: what is looked up in it is asked for early, for many runs together */
    size_t waiting;
    bool unsettled[ALIKE_PLACES]; /* by the last bits of where those are remembered that are looked at */
    Token *tokens;
    size_t token_count, token_room;
    Span *found;
    size_t found_count, found_room;
    bool out_of_memory;
    Asked asked[SLOTS]; /* the same part of a run is cut out in several ways */
    Run *run;
    uint16_t marks[LONGEST]; /* where in the run punctuation stands */
    size_t mark_count;
    uint32_t turn, crowd; /* the run's, counted from one, and how many of its parts are in there */
} Sift;

/* Make room for one more of some items; return where they are now, or NULL. */
static void *with_room(Sift *sift, void *items, size_t count, size_t *room, size_t size)
{
    if (count < *room) return items;
    size_t more = *room ? 2 * *room : 64;
    void *moved = realloc(items, more * size);
    if (moved == NULL) sift->out_of_memory = true;
    else *room = more;
    return moved;
}

static bool is_new(Sift *sift, Span span)
{
    uint16_t start = (uint16_t)(span.start - sift->run->span.start), end = (uint16_t)(span.end - sift->run->span.start);
    size_t slot = (start * 0x9e3779b1u ^ end * 0x85ebca6bu) % SLOTS;
    while (sift->asked[slot].turn == sift->turn) {
        if (sift->asked[slot].start == start && sift->asked[slot].end == end) return false;
        slot = (slot + 1) % SLOTS;
    }
    if (sift->crowd < CROWDED) { /* what is beyond is asked again, and found again: that costs time alone */
        sift->asked[slot] = (Asked){start, end, sift->turn};
        sift->crowd++;
    }
    return true;
}

/* How many joints stand before some place. */
static Py_ssize_t joints_before(const Joints *joints, Py_ssize_t place)
{
    Py_ssize_t low = 0, high = joints->count;
    while (low < high) {
        Py_ssize_t middle = low + (high - low) / 2;
        if ((Py_ssize_t)joints->at[middle] < place)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* Whether a part of a run goes over as many joints as it is to. */
static bool goes_over(const Joints *joints, Span part, Py_ssize_t least)
{
    if (least == 0) return true;
    Py_ssize_t first = joints->count > least ? joints_before(joints, part.start + 1) : 0;
    return first + least <= joints->count && (Py_ssize_t)joints->at[first] > part.start && (Py_ssize_t)joints->at[first + least - 1] < part.end;
}

/* Those within some span: what stands at its start is not. */
static Joints within(const Joints *joints, Span span)
{
    Py_ssize_t first = joints_before(joints, span.start + 1), last = joints_before(joints, span.end);
    return (Joints){joints->at + first, last > first ? last - first : 0};
}

/* Ask whether a part of a run is registered: what comes of it is settled later. */
static void ask(Sift *sift, Py_ssize_t start, Py_ssize_t end)
{
    Span span = {start, end};
    if (end - start < SHORTEST || end - start > sift->run->most || !goes_over(&sift->run->joints, span, sift->run->least) || !is_new(sift, span)) return;
    Token *tokens = with_room(sift, sift->tokens, sift->token_count, &sift->token_room, sizeof *tokens);
    if (tokens == NULL) return;
    sift->tokens = tokens;
    tokens[sift->token_count++] = (Token){span, 0, sift->run};
}

static uint16_t kind_at(const Sift *sift, Py_ssize_t at) { return KIND[sift->data[at]]; }

/* Ask for a part of a run, and for it without the punctuation around it. */
static void ask_edged(Sift *sift, Py_ssize_t start, Py_ssize_t end)
{
    if (end - start < SHORTEST) return; /* nor has it a part that is long enough */
    ask(sift, start, end);
    Py_ssize_t first = start, last = end;
    while (first < end && !(kind_at(sift, first) & PLAIN)) first++;
    while (last > first && !(kind_at(sift, last - 1) & PLAIN)) last--;
    if (first == start && last == end) return;
    Py_ssize_t stripped = end; /* on the right alone, whatever stands on the left */
    while (stripped > start && !(kind_at(sift, stripped - 1) & PLAIN)) stripped--;
    ask(sift, first, end);
    ask(sift, first, last);
    ask(sift, start, stripped);
    if (last < end && kind_at(sift, last) == EQUALS) {
        bool two = last + 1 < end && kind_at(sift, last + 1) == EQUALS;
        ask(sift, first, last + 1 + two);
    }
}

/* How many equals signs after a part of a run are the padding of base64. */
static Py_ssize_t padding(const Sift *sift, Py_ssize_t at, Py_ssize_t end)
{
    Py_ssize_t count = 0;
    while (at + count < end && count < 3 && kind_at(sift, at + count) == EQUALS) count++;
    bool goes_on = at + count < end && kind_at(sift, at + count) & PLAIN;
    return count > 2 || goes_on ? 0 : count;
}

/* Whether a part of the run goes over as many joints as it must, where these parts rise: `over` is the last of as many. */
static bool next_goes_over(const Sift *sift, Span part, Py_ssize_t *over)
{
    const Joints *joints = &sift->run->joints;
    Py_ssize_t before = sift->run->least - 1; /* joints of as many before the last */
    if (before < 0) return true;
    while (*over < joints->count && (Py_ssize_t)joints->at[*over - before] <= part.start) ++*over;
    return *over < joints->count && (Py_ssize_t)joints->at[*over] < part.end;
}

/* Ask for each stretch of a run that has no other punctuation than is kept. */
static void ask_cut(Sift *sift, Span run, uint16_t kept)
{
    Py_ssize_t start = run.start, over = sift->run->least - 1;
    for (size_t number = 0; number <= sift->mark_count; number++) {
        Py_ssize_t end = number < sift->mark_count ? run.start + sift->marks[number] : run.end;
        if (end < run.end && kind_at(sift, end) & kept) continue;
        if (end - start >= SHORTEST) {
            Py_ssize_t last = end + padding(sift, end, run.end);
            if (next_goes_over(sift, (Span){start, last}, &over)) ask_edged(sift, start, last);
        }
        start = end + 1;
    }
}

/* Ask for each stretch between colons, if there are few. */
static void ask_paired(Sift *sift, Span run)
{
    Py_ssize_t starts[PARTS + 1] = {run.start};
    int parts = 1;
    for (size_t number = 0; number < sift->mark_count; number++) {
        Py_ssize_t at = run.start + sift->marks[number];
        if (kind_at(sift, at) != COLON) continue;
        if (parts == PARTS) return;
        starts[parts++] = at + 1;
    }
    starts[parts] = run.end + 1;
    for (int i = 0; i < parts; i++)
        for (int j = i + 1; j <= parts; j++) ask_edged(sift, starts[i], starts[j] - 1);
}

/* Find where in a run punctuation stands; return of which kinds. */
static uint16_t find_marks(Sift *sift, Span run)
{
    uint16_t kinds = 0;
    sift->mark_count = 0;
    for (Py_ssize_t block = run.start; block < run.end; block += BLOCK) {
        uint64_t marks = ~of_block(plain_of_part, sift->data, block, run.end);
        if (run.end - block < BLOCK) marks &= ((uint64_t)1 << (run.end - block)) - 1;
        for (; marks; marks &= marks - 1) {
            Py_ssize_t at = block + __builtin_ctzll(marks);
            kinds |= kind_at(sift, at);
            sift->marks[sift->mark_count++] = (uint16_t)(at - run.start);
        }
    }
    return kinds;
}

/* Ask for every part of a run that could be a whole key. */
static void ask_run(Sift *sift, Span run)
{
    uint16_t punctuation = find_marks(sift, run), ways[WAYS];
    int count = 0;
    if (++sift->turn == 0) { /* after four thousand million runs */
        memset(sift->asked, 0, sizeof sift->asked);
        sift->turn = 1;
    }
    sift->crowd = 0;
    ask_edged(sift, run.start, run.end);
    if (punctuation & COLON) ask_paired(sift, run);
    for (int i = 0; i < WAYS && punctuation; i++) {
        uint16_t kept = KEPT[i] & punctuation;
        bool is_tried = kept == punctuation;
        for (int j = 0; j < count; j++) is_tried |= ways[j] == kept;
        if (is_tried) continue;
        ways[count++] = kept;
        ask_cut(sift, run, kept);
    }
}

static void look_at(Sift *sift, Run *run)
{
    run->is_looked_at = true;
    sift->unsettled[(size_t)(run->place - sift->seen) % ALIKE_PLACES] = true;
    sift->run = run;
}

/* Cut a run into tokens, unless it was seen or there is no room for it. */
static void look(Sift *sift, Run *run)
{
    if (__atomic_load_n(run->place, __ATOMIC_RELAXED) == run->mark) return;
    if (sift->room == 0) {
        sift->skipped++;
        return;
    }
    sift->room--;
    look_at(sift, run);
    ask_run(sift, run->span);
}

/* Let a token have its number, and ask memory early for what it is looked up in. */
static void number(Sift *sift, Token *token, uint64_t number)
{
    token->number = number;
    __builtin_prefetch(sift->known.ordered.starts + beginning_of(&sift->known.ordered, number));
}

static Message message_of(const Sift *sift, const Token *token)
{
    Message message;
    begin_message(&message, BEGINNING, sift->data + token->span.start, (size_t)(token->span.end - token->span.start), 0);
    return message;
}

/* Find the numbers of two tokens, which takes little longer than of one; of one that is left alone. */
static void number_both(Sift *sift, Token *token, Token *other)
{
    Message messages[2] = {message_of(sift, token), message_of(sift, other)};
    uint64_t numbers[2];
    keyed_both(&sift->known, &messages[0], &messages[1], &numbers[0], &numbers[1]);
    number(sift, token, numbers[0]);
    number(sift, other, numbers[1]);
}

/* Find the numbers of all tokens, those together that have as many blocks: none waits for the other. */
static void number_tokens(Sift *sift)
{
    Token *waiting[LONGEST / 64 + 2] = {0}, *end = sift->tokens + sift->token_count, *left = NULL;
    for (Token *token = sift->tokens; token < end; token++) {
        Token **alike = &waiting[(token->span.end - token->span.start + 8) / 64];
        if (*alike) number_both(sift, *alike, token);
        *alike = *alike ? NULL : token;
    }
    for (size_t blocks = 0; blocks < sizeof waiting / sizeof *waiting; blocks++) {
        if (waiting[blocks] == NULL) continue;
        if (left) number_both(sift, left, waiting[blocks]);
        left = left ? NULL : waiting[blocks];
    }
    if (left) number_both(sift, left, left);
}

/* Look all tokens up, and remember in which of some runs there is none that is registered. */
static void settle(Sift *sift, Run *run, const Run *end)
{
    const Table *table = &sift->known.ordered;
    for (size_t at = 0; at < sift->token_count; at++)
        __builtin_prefetch(table->numbers + table->starts[beginning_of(table, sift->tokens[at].number)]);
    for (size_t at = 0; at < sift->token_count; at++) {
        const Token *token = sift->tokens + at;
        if (!is_known(&sift->known, token->number)) continue;
        token->run->has_key = true;
        Span *found = with_room(sift, sift->found, sift->found_count, &sift->found_room, sizeof *found);
        if (found == NULL) break;
        sift->found = found;
        found[sift->found_count++] = token->span;
    }
    sift->token_count = 0;
    memset(sift->unsettled, 0, sizeof sift->unsettled);
    for (; run < end && !sift->out_of_memory; run++)
        if (run->is_looked_at && !run->has_key) __atomic_store_n(run->place, run->mark, __ATOMIC_RELAXED);
}

/* Whether one that is remembered at the same place is among those that are looked at and not settled: most are not even
   alike in the last bits of their places. */
static bool is_among(const Sift *sift, const Run *run, const Run *end, const uint64_t *place)
{
    if (!sift->unsettled[(size_t)(place - sift->seen) % ALIKE_PLACES]) return false;
    for (; run < end; run++)
        if (run->place == place && run->is_looked_at) return true;
    return false;
}

/* Look at all runs that wait. */
static void work_off(Sift *sift)
{
    const Run *end = sift->runs + sift->waiting;
    for (Run *first = sift->runs, *run = first; first < end; first = run) {
        for (; run < end && !is_among(sift, first, run, run->place); run++) look(sift, run);
        number_tokens(sift);
        settle(sift, first, run);
    }
    sift->waiting = 0;
}

enum { PIECE = 7 };
static const uint64_t PRIME = ((uint64_t)1 << 61) - 1;

/* Seven bytes of a run and a zero, as a number; fewer are followed by more zeros. */
static uint64_t piece_at(const uint8_t *at, Py_ssize_t left)
{
    if (left > PIECE) return ((uint64_t)word_at(at) << 32 | word_at(at + 4)) & ~(uint64_t)0xff;
    uint64_t piece = 0;
    for (int i = 0; i < PIECE; i++) piece = (piece | (i < left ? at[i] : 0)) << 8;
    return piece;
}

/* A polynomial with one coefficient more, congruent to it. */
static uint64_t advanced(const Sift *sift, uint64_t mark, uint64_t piece)
{
    unsigned __int128 next = (unsigned __int128)mark * sift->point + piece;
    mark = (uint64_t)(next & PRIME) + (uint64_t)(next >> 61);
    return (mark & PRIME) + (mark >> 61);
}

static uint64_t whole(uint64_t mark) { return mark < PRIME ? mark : mark - PRIME; }

/* What some bytes are remembered by: a polynomial at a point that nobody knows, so that nobody can write two that are one. */
static uint64_t polynomial(const Sift *sift, uint64_t mark, Span run)
{
    for (Py_ssize_t at = run.start; at < run.end; at += PIECE) mark = advanced(sift, mark, piece_at(sift->data + at, run.end - at));
    return mark;
}

/* Of joined lines it is another than of the same text as it stands, in which more is looked for. */
static uint64_t mark_of(const Sift *sift, const Run *run)
{
    uint64_t mark = polynomial(sift, (uint64_t)(run->span.end - run->span.start), run->span);
    if (run->least) mark = advanced(sift, advanced(sift, mark, (uint64_t)run->least), (uint64_t)run->most);
    for (Py_ssize_t at = 0; run->least && at < run->joints.count; at++)
        mark = advanced(sift, mark, run->joints.at[at] - (uint64_t)run->span.start);
    return whole(mark);
}

/* Let a run wait until there are enough of them. */
static void gather(Sift *sift, Span span, Joints joints, Py_ssize_t least, Py_ssize_t most)
{
    Run *run = sift->runs + sift->waiting++;
    *run = (Run){.span = span, .joints = joints, .least = least, .most = most};
    run->mark = mark_of(sift, run);
    run->place = sift->seen + run->mark % sift->places;
    __builtin_prefetch(run->place);
    if (sift->waiting == TOGETHER) work_off(sift);
}

/* Let a run wait, or each window of one that is too long; behind a backslash also without its first letter. */
static void gather_windows(Sift *sift, Span run, Joints joints, Py_ssize_t least)
{
    bool is_long = run.end - run.start > LONGEST;
    Py_ssize_t most = is_long && least > 1 ? OVERLAP : LONGEST;
    for (Span window = {run.start, run.start}; window.end < run.end; window.start += LONGEST - OVERLAP) {
        window.end = run.end - window.start > LONGEST ? window.start + LONGEST : run.end;
        gather(sift, window, is_long ? within(&joints, window) : joints, least, most);
        bool is_escape = window.start > 0 && sift->data[window.start - 1] == '\\';
        Span rest = {window.start + 1, window.end};
        if (is_escape && rest.end - rest.start >= SHORTEST) gather(sift, rest, within(&joints, rest), least, most);
    }
}

/* Where a line of a run begins, or its last one ends. */
static Py_ssize_t edge(Span run, const Joints *joints, Py_ssize_t line)
{
    return line == 0 ? run.start : line <= joints->count ? (Py_ssize_t)joints->at[line - 1] : run.end;
}

/* Whether lines are a list rather than one thing that was broken: many, or several of a length. */
static bool is_list(Span run, const Joints *joints)
{
    Py_ssize_t lines = joints->count + 1, first = edge(run, joints, 1) - run.start;
    if (lines > FEW || lines <= ALIKE) return lines > FEW;
    for (Py_ssize_t line = 1; line < lines; line++)
        if (edge(run, joints, line + 1) - edge(run, joints, line) != first) return false;
    return true;
}

/* Let all lines of a run wait, then any of them that follow one another; in a list each two, and each. */
static void gather_lines(Sift *sift, Span run)
{
    Joints joints = within(&sift->joints, run);
    bool by_two = is_list(run, &joints);
    gather_windows(sift, run, joints, by_two ? 2 : joints.count);
    Py_ssize_t fewest = run.end <= sift->lines ? 2 : 1;
    for (Py_ssize_t several = by_two ? 2 : joints.count; several >= fewest; several--)
        for (Py_ssize_t first = 0; first + several <= joints.count + 1; first++) {
            Span lines = {edge(run, &joints, first), edge(run, &joints, first + several)};
            if (lines.end - lines.start >= SHORTEST) gather_windows(sift, lines, (Joints){joints.at + first, several - 1}, several - 1);
        }
}

static void look_at_all(Sift *sift, Py_ssize_t size)
{
    for (Span run = {0, 0}; next_run(sift->data, run.end, size, &run);) gather_lines(sift, run);
    work_off(sift);
}

/* Append what is given, which may be NULL, and let go of it. */
static bool append(PyObject *list, PyObject *item)
{
    bool is_fine = item != NULL && PyList_Append(list, item) == 0;
    Py_XDECREF(item);
    return is_fine;
}

static PyObject *spans_of(const Span *found, size_t count)
{
    PyObject *list = PyList_New((Py_ssize_t)count);
    for (size_t i = 0; list != NULL && i < count; i++) {
        PyObject *span = Py_BuildValue("(nn)", found[i].start, found[i].end);
        if (span == NULL) Py_CLEAR(list);
        else PyList_SetItem(list, (Py_ssize_t)i, span);
    }
    return list;
}

static PyObject *sift_all(Sift *sift, Py_ssize_t size, Py_ssize_t room)
{
    sift->room = room;
    if (size < ALONE) {
        look_at_all(sift, size);
    } else {
        Py_BEGIN_ALLOW_THREADS
        look_at_all(sift, size);
        Py_END_ALLOW_THREADS
    }
    PyObject *spans = sift->out_of_memory ? PyErr_NoMemory() : spans_of(sift->found, sift->found_count);
    free(sift->found);
    free(sift->tokens);
    return spans ? Py_BuildValue("(Nnn)", spans, room - sift->room, sift->skipped) : NULL;
}

static bool read_joints(const Py_buffer *given, Py_ssize_t size, Joints *joints)
{
    *joints = (Joints){given->buf, given->len / 8};
    bool rise = given->len % 8 == 0 && (joints->count == 0 || joints->at[joints->count - 1] <= (uint64_t)size);
    for (Py_ssize_t number = 1; rise && number < joints->count; number++) rise = joints->at[number - 1] < joints->at[number];
    if (!rise) PyErr_SetString(PyExc_ValueError, "joints are numbers of eight bytes, which rise and lie in the text");
    return rise;
}

/* Make a sieve ready for some bytes. */
static bool sift_of(Sift *sift, const Py_buffer *data, const Py_buffer *joints, Py_ssize_t lines, const Py_buffer views[VIEWS],
                    const Py_buffer *seen)
{
    if (seen->len < 8 || seen->len % 8) {
        PyErr_SetString(PyExc_ValueError, "what is seen has whole numbers, one at least");
        return false;
    }
    if (!read_known(views, &sift->known) || !read_joints(joints, data->len, &sift->joints)) return false;
    sift->data = data->buf;
    sift->lines = lines;
    sift->seen = seen->buf;
    sift->places = (size_t)seen->len / 8;
    State nothing = digest(sift->known.inner, (const uint8_t *)"", 0, 64);
    sift->point = number_of(&sift->known, &nothing) >> 3; /* of no digest, so it is nowhere */
    return true;
}

static PyObject *fast_sift(PyObject *Py_UNUSED(module), PyObject *args)
{
    Py_buffer data, seen, joints = {0}, v[VIEWS];
    Py_ssize_t room, lines = 0;
    PyObject *result = NULL;
    if (!PyArg_ParseTuple(args, "y*(y*y*y*y*)w*n|y*n", &data, &v[PADS], &v[ORDERED], &v[STARTS], &v[LOOSE], &seen, &room, &joints, &lines))
        return NULL;
    Sift *sift = calloc(1, sizeof *sift);
    if (sift == NULL) PyErr_NoMemory();
    else if (sift_of(sift, &data, &joints, lines, v, &seen)) result = sift_all(sift, data.len, room);
    free(sift);
    PyBuffer_Release(&data);
    PyBuffer_Release(&seen);
    PyBuffer_Release(&joints);
    release(v, VIEWS);
    return result;
}

/* Places of markers, as in places.py. */

enum { NEIGHBOURS = 8, DEEPEST = 64, MOST = 1 << 16, LEAVES = 256, CATCH_ALL = 3, SET = 256, EXPRESSION = 16, END = 30, MANY = 4096, PLENTY = 256 };
static const uint64_t PLACE = (uint64_t)1 << 60;

/* Take down what hyperscan found: called for each match, so without any Python. */
static PyObject *fast_collect(PyObject *Py_UNUSED(module), PyObject *const *args, Py_ssize_t count)
{
    if (count != 5 || !PyByteArray_Check(args[4]) || PyByteArray_Size(args[4]) < 8) {
        PyErr_SetString(PyExc_TypeError, "an expression, where it begins and ends, flags, and hits with a number of them");
        return NULL;
    }
    uint64_t expression = PyLong_AsUnsignedLongLong(args[0]), room;
    if (PyErr_Occurred()) return NULL;
    uint64_t hit = PyLong_AsUnsignedLongLong(args[1]) << EXPRESSION | expression;
    Py_ssize_t size = PyByteArray_Size(args[4]);
    if (PyErr_Occurred() || PyByteArray_Resize(args[4], size + 8) < 0) return NULL;
    char *hits = PyByteArray_AsString(args[4]);
    memcpy(&room, hits, 8);
    memcpy(hits + size, &hit, 8);
    return PyBool_FromLong((uint64_t)size / 8 > room);
}

typedef struct {
    uint32_t set, least, most, is_open, after, rank;
} Node;

typedef struct {
    uint32_t first, last, has_others, reach;
} Tree;

typedef struct {
    uint32_t rank, low, high; /* from where its strings begin */
} Leaf;

/* What begins at one place. */
typedef struct {
    Py_ssize_t start;
    size_t leaf, last; /* its leaves, and behind them */
    size_t next;       /* the first hit of the next place */
    Py_ssize_t joint;  /* the first one behind it */
    bool is_cut;
    Py_ssize_t least;  /* characters of what was not read before lines were joined */
    bool is_line; /* what a narrower format takes goes up to a line's end: a catch-all goes on into the next */
    bool has_shorter, has_any; /* strings to read beside the longest; and if catch-alls had them behind lines, too */
} Begun;

typedef struct {
    Sift *sift;
    Py_ssize_t size;
    uint64_t *given; /* hits, as they were found */
    uint64_t *hits;  /* where strings begin */
    size_t given_count, hit_count, hit_room, set_count, node_count, tree_count;
    const uint8_t *sets;
    const Node *nodes;
    const Tree *trees;
    Span *runs; /* of each node, where characters of its set stand that were met last: as places rise each is met once */
    Leaf *leaves;
    size_t leaf_count, leaf_room;
    Begun *begun;
    size_t begun_count, begun_room;
    Begun *at; /* the one that is found or read now */
    Span ends[LEAVES + 2 * NEIGHBOURS]; /* from which to which, both included */
    size_t end_count;
    Message waiting; /* of a string, and its token: two are digested at once */
    size_t waiting_token;
    bool is_waiting;
    Py_ssize_t joint;           /* the first one behind where leaves are found */
    Py_ssize_t places, further; /* that are left: places that have shorter strings, and room for these */
    Py_ssize_t any;             /* places that have any, all told */
    Py_ssize_t looked, spent, skipped;
} Places;

/* Whether the tables can be walked. */
static bool is_whole(const Places *p)
{
    size_t outer[DEEPEST], depth = 0, open = 0; /* behind what stands each node among which this one is, and an open one */
    for (size_t n = 0; n < p->node_count; n++) {
        const Node *node = p->nodes + n;
        while (depth > 0 && outer[depth - 1] <= n) depth--;
        if (depth == DEEPEST || (depth > 0 && node->after > outer[depth - 1])) return false;
        outer[depth++] = node->after;
        bool is_counted = node->least > 0 && node->least <= node->most && node->most <= MOST;
        bool leads_on = node->is_open <= 1 && node->after > n && node->after <= p->node_count;
        bool is_within = node->is_open && n < open; /* another open one: all ways through both would be too many */
        if (!is_counted || !leads_on || is_within || node->set >= p->set_count || node->rank > CATCH_ALL) return false;
        if (node->is_open) open = node->after;
    }
    for (size_t t = 0; t < p->tree_count; t++) {
        const Tree *tree = p->trees + t;
        if (tree->last > p->node_count || tree->has_others > 1 || tree->reach > MOST) return false;
    }
    return true;
}

static Py_ssize_t start_of(uint64_t hit) { return (Py_ssize_t)(hit >> EXPRESSION); }

static size_t expression_of(uint64_t hit) { return (size_t)(hit & (((uint64_t)1 << EXPRESSION) - 1)); }

static int by_number(const void *one, const void *other)
{
    uint64_t a = *(const uint64_t *)one, b = *(const uint64_t *)other;
    return (a > b) - (a < b);
}

/* Put hits in order, which they nearly are. */
static void order(uint64_t *hits, size_t count)
{
    bool is_ordered = true;
    for (size_t at = 1; at < count; at++) is_ordered &= hits[at - 1] <= hits[at];
    if (!is_ordered) qsort(hits, count, sizeof *hits, by_number);
}

/* Whether the hits lie in the text, and are of some tree. */
static bool are_somewhere(const Places *p)
{
    for (size_t at = 0; at < p->given_count; at++)
        if (start_of(p->given[at]) > p->size || expression_of(p->given[at]) >= p->tree_count) return false;
    return true;
}

/* Where characters of a node's set end that stand from some place on. */
static Py_ssize_t end_of_set(const Places *p, size_t number, Py_ssize_t at)
{
    const Node *node = p->nodes + number;
    const uint8_t *data = p->sift->data, *set = p->sets + (size_t)SET * node->set;
    if (node->most == 1) return at + (at < p->size && set[data[at]]);
    Span *run = p->runs + number;
    Py_ssize_t last = p->size - at < node->most ? p->size : at + node->most;
    if (at < run->start || at >= run->end) *run = (Span){at, at};
    while (run->end < last && set[data[run->end]]) run->end++;
    return run->end < last ? run->end : last;
}

/* Add a leaf. Those from `open` on are of one open node: with the last of them it is one where it overlaps. */
static void add_leaf(Places *p, Leaf leaf, size_t open)
{
    Leaf *last = p->leaf_count > open ? p->leaves + p->leaf_count - 1 : NULL;
    if (p->at->is_cut) return;
    if (last != NULL && last->rank == leaf.rank && leaf.low <= last->high + 1) {
        last->high = leaf.high > last->high ? leaf.high : last->high;
    } else if (p->leaf_count - p->at->leaf == LEAVES) {
        p->at->is_cut = true;
    } else {
        Leaf *leaves = with_room(p->sift, p->leaves, p->leaf_count, &p->leaf_room, sizeof *leaves);
        if (leaves == NULL) return;
        p->leaves = leaves;
        leaves[p->leaf_count++] = leaf;
    }
}

/* Walk nodes that begin at a place, and what follows them. */
static void walk_on(Places *p, Py_ssize_t start, size_t number, size_t last, size_t open)
{
    for (; number < last; number = p->nodes[number].after) {
        const Node *node = p->nodes + number;
        Py_ssize_t end = end_of_set(p, number, start), least = start + node->least;
        if (end < least) continue;
        if (node->rank) add_leaf(p, (Leaf){node->rank, (uint32_t)(least - p->at->start), (uint32_t)(end - p->at->start)}, open);
        if (number + 1 == node->after) continue;
        size_t begun = node->is_open ? p->leaf_count : open;
        for (Py_ssize_t at = node->is_open ? least : end; at <= end; at++) walk_on(p, at, number + 1, node->after, begun);
    }
}

/* Walk the tree of an expression. */
static void walk(Places *p, Py_ssize_t start, const Tree *tree) { walk_on(p, start, tree->first, tree->last, SIZE_MAX); }

static bool begins(Places *p, Py_ssize_t start, const Tree *tree)
{
    Begun place = {.start = start};
    p->at = &place;
    p->leaf_count = 0;
    walk(p, start, tree);
    p->at = NULL;
    return p->leaf_count > 0;
}

static bool add_hit(Places *p, uint64_t hit)
{
    uint64_t *hits = with_room(p->sift, p->hits, p->hit_count, &p->hit_room, sizeof *hits);
    if (hits == NULL) return false;
    p->hits = hits;
    hits[p->hit_count++] = hit;
    return true;
}

/* Add where strings begin that were found by what stands in them: each place once, so what is walked rises. */
static void reach_back(Places *p, size_t expression)
{
    const Tree *tree = p->trees + expression;
    Py_ssize_t start = 0;
    for (size_t number = 0; number < p->given_count; number++) {
        Py_ssize_t at = start_of(p->given[number]), first = at - (Py_ssize_t)tree->reach;
        if (expression_of(p->given[number]) != expression) continue;
        for (start = first > start ? first : start; start < at; start++)
            if (begins(p, start, tree) && !add_hit(p, (uint64_t)start << EXPRESSION | expression)) return;
    }
}

/* Find where strings begin, in order. */
static void find_places(Places *p)
{
    for (size_t at = 0; at < p->given_count; at++)
        if (!p->trees[expression_of(p->given[at])].reach && !add_hit(p, p->given[at])) return;
    for (size_t expression = 0; expression < p->tree_count; expression++)
        if (p->trees[expression].reach) reach_back(p, expression);
    order(p->hits, p->hit_count);
}

/* Whether lines were joined at a place, before which no joint has a lower number: most stand before the first. */
static bool is_joint(const Joints *joints, Py_ssize_t first, Py_ssize_t place)
{
    if (first == joints->count || (Py_ssize_t)joints->at[first] > place) return false;
    Py_ssize_t number = joints_before(joints, place);
    return number < joints->count && (Py_ssize_t)joints->at[number] == place;
}

/* Find the first joint behind the place, and from which end on strings were not read before lines were joined. */
static void find_joint(Places *p)
{
    const Joints *joints = &p->sift->joints;
    while (p->joint < joints->count && (Py_ssize_t)joints->at[p->joint] <= p->at->start) p->joint++;
    Py_ssize_t joint = p->joint < joints->count ? (Py_ssize_t)joints->at[p->joint] - p->at->start : p->size;
    p->at->joint = p->joint;
    p->at->least = p->at->start < p->sift->lines ? joint + 1 : 0;
}

/* Leave catch-alls out if narrower formats take as much, and of the lines what was read before they were joined. */
static void leave_out(Places *p)
{
    Py_ssize_t least = p->at->least, taken = 0;
    size_t kept = p->at->leaf;
    for (size_t at = p->at->leaf; at < p->leaf_count; at++)
        if (p->leaves[at].rank < CATCH_ALL && p->leaves[at].high > taken) taken = p->leaves[at].high;
    for (size_t at = p->at->leaf; at < p->leaf_count; at++) {
        Leaf leaf = p->leaves[at];
        if (leaf.high >= least && (leaf.rank < CATCH_ALL || leaf.high > taken)) p->leaves[kept++] = leaf;
    }
    p->at->last = p->leaf_count = kept;
    p->at->is_line = taken > 0 && is_joint(&p->sift->joints, p->at->joint, p->at->start + taken);
}

/* How many strings of a leaf are shorter than the longest, and were not read before. */
static Py_ssize_t shorter_ones(const Begun *place, const Leaf *leaf)
{
    return leaf->high - (leaf->low < place->least ? place->least : (Py_ssize_t)leaf->low);
}

/* The same, as far as they are wanted. */
static Py_ssize_t wanted(const Begun *place, const Leaf *leaf) { return place->is_line && leaf->rank == CATCH_ALL ? 0 : shorter_ones(place, leaf); }

/* Find what begins at the place of a hit, the first one there; return the first of the next place. */
static const uint64_t *find_leaves(Places *p, const uint64_t *hit)
{
    Begun place = {.start = start_of(*hit), .leaf = p->leaf_count};
    p->at = &place;
    for (const uint64_t *first = hit; hit < p->hits + p->hit_count && start_of(*hit) == place.start; hit++)
        if (hit == first || hit[0] != hit[-1]) walk(p, place.start, p->trees + expression_of(*hit));
    find_joint(p);
    leave_out(p);
    p->at = NULL;
    for (const Leaf *leaf = p->leaves + place.leaf; leaf < p->leaves + place.last; leaf++) {
        place.has_shorter |= wanted(&place, leaf) > 0;
        place.has_any |= shorter_ones(&place, leaf) > 0;
    }
    place.next = (size_t)(hit - p->hits);
    Begun *begun = place.last > place.leaf ? with_room(p->sift, p->begun, p->begun_count, &p->begun_room, sizeof *begun) : NULL;
    if (begun == NULL) return hit;
    p->begun = begun;
    begun[p->begun_count++] = place;
    p->places += place.has_shorter;
    p->any += place.has_any;
    return hit;
}

/* Where there is plenty of room, let catch-alls have shorter strings behind lines, too. */
static void want_more(Places *p)
{
    if (p->any == 0 || p->further / p->any < PLENTY) return;
    p->places = p->any;
    for (Begun *place = p->begun; place < p->begun + p->begun_count; place++) {
        place->is_line = false;
        place->has_shorter = place->has_any;
    }
}

static void add_neighbour(Places *p, Py_ssize_t place)
{
    bool is_end = false;
    Py_ssize_t end = place - p->at->start; /* it may be before the first joint: that a key begins there may show only now */
    for (size_t at = p->at->leaf; at < p->at->last; at++) is_end |= p->leaves[at].low <= end && end <= p->leaves[at].high;
    if (is_end) p->ends[p->end_count++] = (Span){place, place};
}

/* Choose which strings are read: the longest, those that end where another key begins, and narrower formats' first.
   Return how many there are beside those that are always read. */
static Py_ssize_t choose(Places *p, Py_ssize_t room)
{
    const Begun *place = p->at;
    const Joints *joints = &p->sift->joints;
    const uint64_t *hit = p->hits + place->next;
    Py_ssize_t left = room, before = place->start;
    p->end_count = 0;
    for (int count = 0; count < NEIGHBOURS && hit < p->hits + p->hit_count; hit++) {
        if (start_of(*hit) == before) continue;
        add_neighbour(p, before = start_of(*hit));
        count++;
    }
    for (Py_ssize_t joint = place->joint; joint < place->joint + NEIGHBOURS && joint < joints->count; joint++)
        if ((Py_ssize_t)joints->at[joint] - place->start >= place->least) add_neighbour(p, (Py_ssize_t)joints->at[joint]);
    for (uint32_t rank = 1; rank <= CATCH_ALL; rank++)
        for (const Leaf *leaf = p->leaves + place->leaf; leaf < p->leaves + place->last; leaf++) {
            if (leaf->rank != rank) continue;
            Py_ssize_t every = wanted(place, leaf), shorter = every < left ? every : left, high = place->start + leaf->high;
            p->at->is_cut |= shorter < every;
            left -= shorter;
            p->ends[p->end_count++] = (Span){high - shorter, high};
        }
    return room - left;
}

/* Put the ends in order: they are few. */
static void order_ends(Places *p)
{
    for (size_t at = 1; at < p->end_count; at++) {
        Span end = p->ends[at];
        size_t to = at;
        for (; to > 0; to--) {
            Span before = p->ends[to - 1];
            if (before.start < end.start || (before.start == end.start && before.end <= end.end)) break;
            p->ends[to] = before;
        }
        p->ends[to] = end;
    }
}

/* What a place is remembered by: all its bytes, and where strings end among them. */
static uint64_t mark_of_place(const Places *p, Py_ssize_t start)
{
    Span all = {start, start};
    for (size_t at = 0; at < p->end_count; at++)
        if (p->ends[at].end > all.end) all.end = p->ends[at].end;
    uint64_t mark = polynomial(p->sift, PLACE | (uint64_t)(all.end - start), all);
    for (size_t at = 0; at < p->end_count; at++)
        mark = advanced(p->sift, mark, (uint64_t)(p->ends[at].start - start) << END | (uint64_t)(p->ends[at].end - start));
    return whole(advanced(p->sift, mark, p->end_count)); /* else those that differ in the last alone had one place */
}

/* A string of a place in turn, and the digest of what it begins with. */
typedef struct {
    State state;
    Py_ssize_t start, done, end; /* of the place, of what is digested, of the string */
    size_t at;                   /* the ends among which it is */
} String;

/* Go on to the next string: longer ones follow shorter ones, so each begins as the one before did. */
static bool next_string(const Places *p, String *string, Message *message)
{
    while (string->at < p->end_count && string->end >= p->ends[string->at].end) string->at++;
    if (string->at == p->end_count) return false;
    Py_ssize_t low = p->ends[string->at].start;
    string->end = string->end < low ? low : string->end + 1;
    for (; string->end - string->done >= 64; string->done += 64) compress(&string->state, p->sift->data + string->done);
    begin_message(message, string->state, p->sift->data + string->done, (size_t)(string->end - string->done),
                  (size_t)(string->done - string->start));
    return true;
}

/* Digest a string with the one that waits, or let it wait. */
static void digest_string(Places *p, Message *message, size_t token)
{
    uint64_t numbers[2];
    p->is_waiting = !p->is_waiting;
    if (p->is_waiting) {
        p->waiting = *message;
        p->waiting_token = token;
        return;
    }
    keyed_both(&p->sift->known, &p->waiting, message, &numbers[0], &numbers[1]);
    number(p->sift, p->sift->tokens + p->waiting_token, numbers[0]);
    number(p->sift, p->sift->tokens + token, numbers[1]);
}

/* Digest the strings of the place that is being read. */
static void ask_ends(Places *p)
{
    Sift *sift = p->sift;
    String string = {BEGINNING, p->at->start, p->at->start, -1, 0};
    Message message;
    while (next_string(p, &string, &message)) {
        Token *tokens = with_room(sift, sift->tokens, sift->token_count, &sift->token_room, sizeof *tokens);
        if (tokens == NULL) return;
        sift->tokens = tokens;
        tokens[sift->token_count] = (Token){{p->at->start, string.end}, 0, sift->run};
        digest_string(p, &message, sift->token_count++);
        p->looked++;
    }
}

static void settle_places(Places *p)
{
    Message none;
    if (p->is_waiting) {
        begin_message(&none, BEGINNING, p->sift->data, 0, 0);
        keyed_both(&p->sift->known, &p->waiting, &none, &p->sift->tokens[p->waiting_token].number, &(uint64_t){0});
    }
    p->is_waiting = false;
    settle(p->sift, p->sift->runs, p->sift->runs + p->sift->waiting);
    p->sift->waiting = 0;
}

/* Read all strings at a place, unless nothing was found in the same before. */
static void read_place(Places *p, Py_ssize_t room)
{
    Sift *sift = p->sift;
    Py_ssize_t start = p->at->start, further = choose(p, room);
    p->skipped += p->at->is_cut;
    order_ends(p);
    uint64_t mark = mark_of_place(p, start), *place = sift->seen + mark % sift->places;
    if (sift->waiting == TOGETHER || sift->token_count >= MANY || is_among(sift, sift->runs, sift->runs + sift->waiting, place))
        settle_places(p);
    if (__atomic_load_n(place, __ATOMIC_RELAXED) == mark) return;
    p->further -= further;
    p->spent += further;
    Run *run = sift->runs + sift->waiting++;
    *run = (Run){.span = {start, start}, .mark = mark, .place = place};
    look_at(sift, run);
    ask_ends(p);
}

static void read_all(Places *p)
{
    find_places(p);
    p->leaf_count = 0;
    for (const uint64_t *hit = p->hits; hit < p->hits + p->hit_count;) hit = find_leaves(p, hit);
    want_more(p);
    for (p->at = p->begun; p->at < p->begun + p->begun_count && !p->sift->out_of_memory; p->at++)
        read_place(p, p->at->has_shorter ? p->further / p->places-- : 0);
    settle_places(p);
}

/* The hits of expressions that have other formats too. */
static PyObject *others_of(const Places *p)
{
    PyObject *others = PyList_New(0);
    for (size_t at = 0; others != NULL && at < p->given_count; at++) {
        size_t expression = expression_of(p->given[at]);
        if (!p->trees[expression].has_others) continue;
        if (!append(others, Py_BuildValue("(nn)", start_of(p->given[at]), (Py_ssize_t)expression))) Py_CLEAR(others);
    }
    return others;
}

static PyObject *sifted_places(Places *p)
{
    if (p->size < ALONE) {
        read_all(p);
    } else {
        Py_BEGIN_ALLOW_THREADS
        read_all(p);
        Py_END_ALLOW_THREADS
    }
    PyObject *spans = p->sift->out_of_memory ? PyErr_NoMemory() : spans_of(p->sift->found, p->sift->found_count);
    PyObject *others = spans ? others_of(p) : NULL;
    if (others != NULL) return Py_BuildValue("(NnnnN)", spans, p->looked, p->spent, p->skipped, others);
    Py_XDECREF(spans);
    return NULL;
}

enum { SETS = VIEWS, NODES, TREES, JOINTS, ALL_VIEWS };

/* Read what places.Forms holds, and the hits behind their number. */
static bool read_forms(const Py_buffer v[ALL_VIEWS], const Py_buffer *hits, Places *p)
{
    p->given = (uint64_t *)hits->buf + 1;
    p->given_count = (size_t)hits->len / 8 - 1;
    p->sets = v[SETS].buf;
    p->set_count = (size_t)v[SETS].len / SET;
    p->nodes = v[NODES].buf;
    p->node_count = (size_t)v[NODES].len / sizeof *p->nodes;
    p->trees = v[TREES].buf;
    p->tree_count = (size_t)v[TREES].len / sizeof *p->trees;
    bool is_even = v[SETS].len % SET == 0 && v[NODES].len % (Py_ssize_t)sizeof *p->nodes == 0 && v[TREES].len % (Py_ssize_t)sizeof *p->trees == 0;
    if (hits->len >= 8 && hits->len % 8 == 0 && is_even && is_whole(p) && are_somewhere(p)) {
        order(p->given, p->given_count);
        return true;
    }
    PyErr_SetString(PyExc_ValueError, "forms are whole trees, hits lie in the text and are of some tree");
    return false;
}

static PyObject *fast_sift_places(PyObject *Py_UNUSED(module), PyObject *args)
{
    Py_buffer data, hits, seen, v[ALL_VIEWS];
    Py_ssize_t further, lines;
    PyObject *result = NULL;
    if (!PyArg_ParseTuple(args, "y*w*y*n(y*y*y*)(y*y*y*y*)w*n", &data, &hits, &v[JOINTS], &lines, &v[SETS], &v[NODES], &v[TREES], &v[PADS],
                          &v[ORDERED], &v[STARTS], &v[LOOSE], &seen, &further))
        return NULL;
    Sift *sift = calloc(1, sizeof *sift);
    Places *p = calloc(1, sizeof *p);
    Span *runs = calloc((size_t)v[NODES].len / sizeof(Node) + 1, sizeof *runs);
    if (sift == NULL || p == NULL || runs == NULL) {
        PyErr_NoMemory();
    } else if (sift_of(sift, &data, &v[JOINTS], lines, v, &seen)) {
        p->sift = sift;
        p->size = data.len;
        p->runs = runs;
        p->further = further > 0 ? further : 0;
        if (read_forms(v, &hits, p)) result = sifted_places(p);
    }
    if (sift != NULL) {
        free(sift->found);
        free(sift->tokens);
    }
    if (p != NULL) {
        free(p->hits);
        free(p->leaves);
        free(p->begun);
    }
    free(runs);
    free(p);
    free(sift);
    PyBuffer_Release(&data);
    PyBuffer_Release(&hits);
    PyBuffer_Release(&seen);
    release(v, ALL_VIEWS);
    return result;
}

/* Shapes. */

/* Which last characters of shapes stand in a run, each with all before it. */
static uint64_t shapes_of(const uint8_t *data, Span run, const uint64_t table[256], uint64_t lasts)
{
    uint64_t seen = 0, state = 0, firsts = 1 | lasts << 1;
    for (Py_ssize_t at = run.start; at < run.end; at++) seen |= state = (state << 1 | firsts) & table[data[at]];
    return seen & lasts;
}

/* Append a run in which shapes stand: of a long one each window, with what is before and behind it. */
static bool add_shaped(PyObject *found, const uint8_t *data, Span run, const uint64_t table[256], uint64_t lasts)
{
    for (Span window = {run.start, run.start}; window.end < run.end; window.start += LONGEST - OVERLAP) {
        window.end = run.end - window.start > LONGEST ? window.start + LONGEST : run.end;
        uint64_t seen = shapes_of(data, window, table, lasts);
        Py_ssize_t start = window.start - run.start > OVERLAP ? window.start - OVERLAP : run.start;
        Py_ssize_t end = run.end - window.end > OVERLAP ? window.end + OVERLAP : run.end;
        if (seen && !append(found, Py_BuildValue("(nnK)", start, end, (unsigned long long)seen))) return false;
    }
    return true;
}

static PyObject *shaped_of(const uint8_t *data, Py_ssize_t size, const uint64_t table[256], uint64_t lasts)
{
    PyObject *found = PyList_New(0);
    for (Span run = {0, 0}; found != NULL && next_run(data, run.end, size, &run);)
        if (!add_shaped(found, data, run, table, lasts)) Py_CLEAR(found);
    return found;
}

static PyObject *fast_shaped(PyObject *Py_UNUSED(module), PyObject *args)
{
    Py_buffer data, table;
    unsigned long long lasts;
    PyObject *result = NULL;
    if (!PyArg_ParseTuple(args, "y*y*K", &data, &table, &lasts)) return NULL;
    if (table.len == 256 * sizeof(uint64_t)) result = shaped_of(data.buf, data.len, table.buf, lasts);
    else PyErr_SetString(PyExc_ValueError, "the table has eight bytes for each byte");
    PyBuffer_Release(&data);
    PyBuffer_Release(&table);
    return result;
}

/* Text in runs of base64. */

enum { GROUP = 4, SEED = 12, NOISE = ' ', LEAST_SIX = 22, FIRST = 4, SECOND = 2, THIRD = 1, NO_SIX = 8 };
enum { ALL_LOW = FIRST << 6 | SECOND << 3 | THIRD }; /* of three characters in a row, three bits each */
enum { LOW_GROUPS = SEED / 3 - 1 };                  /* that a seed has whole, wherever it begins */


static uint8_t SIX[256], SORT[256]; /* six bits of each character; what is text, a zero, part of another character or noise */
/* As which of a group's first three characters each may stand if none of its bytes has its highest bit, as in text of any
   width; or that it is no base64. */
static uint8_t LOW[256];
static const uint16_t SIXES = PLAIN | PLUS | SLASH | HYPHEN | UNDERSCORE;

static void sort_bytes(void)
{
    static const char ALPHABET[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for (int six = 0; six < 64; six++) SIX[(uint8_t)ALPHABET[six]] = (uint8_t)six;
    SIX['-'] = SIX['+'], SIX['_'] = SIX['/'];
    for (int c = 0; c < 256; c++)
        LOW[c] = KIND[c] & SIXES ? (SIX[c] & 0x20 ? 0 : FIRST) | (SIX[c] & 0x08 ? 0 : SECOND) | (SIX[c] & 0x02 ? 0 : THIRD) : NO_SIX;
    memset(SORT, NOISE, 0x80);
    memset(SORT + ' ', 't', 0x7f - ' ');
    memset(SORT + 0x80, 'o', 0x80);
    SORT['\t'] = SORT['\n'] = SORT['\r'] = 't';
    SORT[0] = 'z';
}

/* What shows that there is text, of any width. */
static const char SEEDS[][SEED + 1] = {"tttttttttttt", "tztztztztztz", "ztztztztztzt", "tzzztzzztzzz", "zzztzzztzzzt"};

static bool has_seed(const uint8_t *sorts, Py_ssize_t size)
{
    if (size < SEED) return false;
    for (const uint8_t *last = sorts + size - SEED; sorts <= last; sorts++)
        for (size_t seed = 0; seed < sizeof SEEDS / sizeof *SEEDS; seed++)
            if (memcmp(sorts, SEEDS[seed], SEED) == 0) return true;
    return false;
}

/* A run from where a group may begin, as far as it is decoded. */
typedef struct {
    const uint8_t *run;
    Py_ssize_t length, size;       /* its characters, and how many whole bytes they are */
    uint8_t *bytes, *sorts;        /* there is room for whole groups */
} Decoded;

static void decode(const Decoded *d, Py_ssize_t group)
{
    uint8_t last[GROUP] = {'A', 'A', 'A', 'A'};
    Py_ssize_t at = group * GROUP;
    const uint8_t *four = d->length - at < GROUP ? memcpy(last, d->run + at, (size_t)(d->length - at)) : d->run + at;
    uint32_t three = (uint32_t)SIX[four[0]] << 18 | (uint32_t)SIX[four[1]] << 12 | (uint32_t)SIX[four[2]] << 6 | SIX[four[3]];
    for (Py_ssize_t byte = 0; byte < 3; byte++)
        d->sorts[3 * group + byte] = SORT[d->bytes[3 * group + byte] = (uint8_t)(three >> (16 - 8 * byte))];
}

/* From where to where there is no noise around a byte; what stands before `from` is something else. */
static Span around(const Decoded *d, Py_ssize_t byte, Py_ssize_t from)
{
    Span text = {byte, byte};
    decode(d, byte / 3);
    for (; text.start > from; text.start--) {
        if (text.start % 3 == 0) decode(d, text.start / 3 - 1);
        if (d->sorts[text.start - 1] == NOISE) break;
    }
    for (; text.end < d->size; text.end++) {
        if (text.end % 3 == 0) decode(d, text.end / 3);
        if (d->sorts[text.end] == NOISE) break;
    }
    return text;
}

/* Append a text, which is the run's from `first` on, if it has a seed. */
static bool add_text(PyObject *found, Py_ssize_t first, const Decoded *d, Span text)
{
    if (!has_seed(d->sorts + text.start, text.end - text.start)) return true;
    Py_ssize_t begin = text.start / 3, start = first + begin * GROUP, end = first + (text.end * GROUP + 2) / 3;
    return append(found, Py_BuildValue("(nny#)", start, end, d->bytes + 3 * begin, text.end - 3 * begin));
}

/* A run that is decoded four times, as any of its first characters may begin a group. */
typedef struct {
    const uint8_t *data;
    Span run; /* where it ends is not known until it is asked */
    uint8_t *bytes;
    size_t room;                        /* for bytes, twice */
    Py_ssize_t low[GROUP], done[GROUP]; /* how many groups in a row may be text, and how many bytes are done */
} Fourfold;

/* Append what is text around some groups in a row that may be, the last of which begins at a place before `last`. */
static bool add_around(PyObject *found, Fourfold *f, Py_ssize_t at, size_t way, Py_ssize_t last)
{
    Py_ssize_t low = f->low[way], first = f->run.start + (Py_ssize_t)way, group = (at - first) / GROUP, done = f->done[way];
    if (f->run.end < at)
        for (f->run.end = at; f->run.end < last && !(LOW[f->data[f->run.end]] & NO_SIX);) f->run.end++;
    f->low[way] = 0;
    if (f->run.end - f->run.start < LEAST_SIX || 3 * group + 3 <= done) return true;
    Py_ssize_t length = f->run.end - first, byte = 3 * (group - low + 1);
    Decoded d = {f->data + first, length, length * 3 / GROUP, f->bytes, f->bytes + f->room};
    Span text = around(&d, byte > done ? byte : done, done);
    f->done[way] = done = text.end + 1;
    Py_ssize_t next = (done + 2) / 3; /* the first group of which nothing is done */
    if (group >= next) f->low[way] = group + 1 - next;
    return add_text(found, first, &d, text);
}

/* Append what is text in the runs of base64 in a run: around groups in a row that may be, of which a seed has a few. */
static bool add_texts(PyObject *found, Fourfold *f, Span run)
{
    unsigned last = 0;
    size_t way = GROUP - 2; /* of the group that began two characters before: of its first three, the last is here */
    f->run = (Span){run.start, 0};
    for (Py_ssize_t at = run.start; at < run.end; at++, way = (way + 1) % GROUP) {
        unsigned low = LOW[f->data[at]];
        last = last << 3 | low;
        f->low[way] = (f->low[way] + 1) & -(Py_ssize_t)((last & ALL_LOW) == ALL_LOW);
        if (low & NO_SIX) {
            *f = (Fourfold){f->data, {at + 1, 0}, f->bytes, f->room, {0}, {0}};
            last = 0;
            way = GROUP - 3; /* the next character is the first again */
        } else if (f->low[way] >= LOW_GROUPS && !add_around(found, f, at - 2, way, run.end)) {
            return false;
        }
    }
    return true;
}

static PyObject *texts_of(const uint8_t *data, Py_ssize_t size)
{
    size_t room = ((size_t)size / GROUP + 1) * 3;
    uint8_t *bytes = malloc(2 * room);
    if (bytes == NULL) return PyErr_NoMemory();
    PyObject *found = PyList_New(0);
    for (Span run = {0, 0}; found != NULL && next_run(data, run.end, size, &run);)
        if (!add_texts(found, &(Fourfold){.data = data, .bytes = bytes, .room = room}, run)) Py_CLEAR(found);
    free(bytes);
    return found;
}

static PyObject *fast_texts(PyObject *Py_UNUSED(module), PyObject *args)
{
    Py_buffer data;
    if (!PyArg_ParseTuple(args, "y*", &data)) return NULL;
    PyObject *result = texts_of(data.buf, data.len);
    PyBuffer_Release(&data);
    return result;
}

/* What looks packed, in base64. */

enum { LOOKED_AT = 64, ZLIB_HEADER = 2, GZIP_HEADER = 10, BLOCK_END = 256, LENGTHS = 286, DISTANCES = 30, MOST_COPIED = 258 };

typedef struct {
    const uint8_t *bytes;
    int at, size; /* bits, the lowest of each byte first */
    bool is_out;  /* more were asked for than there are: they are zeros */
} Bits;

/* Take a number of so many bits, the lowest first. */
static int number_in(Bits *bits, int count)
{
    int number = 0;
    bits->is_out = bits->is_out || bits->at + count > bits->size;
    for (int bit = 0; !bits->is_out && bit < count; bit++, bits->at++) number |= (bits->bytes[bits->at / 8] >> bits->at % 8 & 1) << bit;
    return number;
}

/* Take so many bits of a code, the highest first. */
static int code_in(Bits *bits, int count, int begun)
{
    while (count-- > 0) begun = begun << 1 | number_in(bits, 1);
    return begun;
}

static bool is_stored(Bits *bits)
{
    bits->at = (bits->at + 7) / 8 * 8;
    int length = number_in(bits, 16);
    return (length ^ number_in(bits, 16)) == 0xffff;
}

static bool is_dynamic(Bits *bits)
{
    int room = 128;
    if (number_in(bits, 5) + 257 > LENGTHS || number_in(bits, 5) + 1 > DISTANCES) return false;
    for (int left = number_in(bits, 4) + 4; left > 0; left--) {
        int size = number_in(bits, 3);
        if (size) room -= 128 >> size;
    }
    return room == 0;
}

static int symbol_in(Bits *bits)
{
    int code = code_in(bits, 7, 0);
    if (code < 0x18) return BLOCK_END + code;
    code = code_in(bits, 1, code);
    if (code < 0xc0) return code - 0x30;
    return code < 0xc8 ? 280 + code - 0xc0 : 144 + code_in(bits, 1, code) - 0x190;
}

static int length_in(Bits *bits, int symbol)
{
    int more = (symbol - 261) / 4;
    if (symbol < 265) return symbol - 254;
    return symbol == LENGTHS - 1 ? MOST_COPIED : 3 + ((4 + (symbol - 265) % 4) << more) + number_in(bits, more);
}

static int distance_in(Bits *bits, int code)
{
    int more = code / 2 - 1;
    return 1 + (more > 0 ? ((2 + code % 2) << more) + number_in(bits, more) : code);
}

static bool is_fixed(Bits *bits)
{
    for (int size = 0, symbol; (symbol = symbol_in(bits)) != BLOCK_END && !bits->is_out;) {
        if (symbol < BLOCK_END) {
            size++;
            continue;
        }
        if (symbol >= LENGTHS) return false;
        int length = length_in(bits, symbol), code = code_in(bits, 5, 0);
        if (code >= DISTANCES || distance_in(bits, code) > size) return false;
        size += length;
    }
    return true;
}

static bool is_block(Bits *bits)
{
    int kind = number_in(bits, 3) >> 1;
    return kind == 0 ? is_stored(bits) : kind == 1 ? is_fixed(bits) : kind == 2 && is_dynamic(bits);
}

/* Where what is inflated begins, if it is told here. */
static int header_of(const uint8_t *bytes, int size)
{
    if (size >= ZLIB_HEADER && bytes[0] == 0x78 && (bytes[1] == 0x9c || bytes[1] == 0xda)) return ZLIB_HEADER;
    bool is_gzip = size >= GZIP_HEADER && memcmp(bytes, "\x1f\x8b\x08", 3) == 0 && bytes[3] <= 1;
    return is_gzip ? GZIP_HEADER : size;
}

static PyObject *fast_may_inflate(PyObject *Py_UNUSED(module), PyObject *args)
{
    Py_buffer data;
    Py_ssize_t at;
    uint8_t bytes[LOOKED_AT], sorts[LOOKED_AT];
    if (!PyArg_ParseTuple(args, "y*n", &data, &at)) return NULL;
    if (at < 0 || at > data.len) at = data.len;
    const uint8_t *run = (const uint8_t *)data.buf + at;
    int length = 0, most = data.len - at < LOOKED_AT ? (int)(data.len - at) : LOOKED_AT;
    while (length < most && KIND[run[length]] & SIXES) length++;
    for (int group = 0; group * GROUP < length; group++) decode(&(Decoded){run, length, 0, bytes, sorts}, group);
    int size = length * 3 / GROUP, header = header_of(bytes, size);
    PyBuffer_Release(&data);
    Bits bits = {bytes + header, 0, 8 * (size - header), false};
    return PyBool_FromLong(is_block(&bits) || bits.is_out);
}

/* Broken lines. */

typedef struct {
    const uint8_t *data;
    Py_ssize_t size;
    const uint8_t *mark; /* what ends a line */
    Py_ssize_t length;
} Text;

static bool is_key(const Text *text, Py_ssize_t at) { return at >= 0 && at < text->size && KIND[text->data[at]]; }

static bool is_blank(const Text *text, Py_ssize_t at)
{
    return at < text->size && (text->data[at] == ' ' || text->data[at] == '\t');
}

static bool is_sign(const Text *text, Py_ssize_t at)
{
    uint8_t c = at < text->size ? text->data[at] : 0;
    return c == '>' || c == '|' || c == '#' || c == '*';
}

/* Where the margin ends that begins somewhere. */
static Py_ssize_t after_margin(const Text *text, Py_ssize_t at)
{
    Py_ssize_t blank = at, sign, end;
    while (blank - at < 80 && is_blank(text, blank)) blank++;
    for (sign = blank; sign - blank < 3 && is_sign(text, sign);) sign++;
    if (sign == blank) return blank;
    for (end = sign; end - sign < 8 && is_blank(text, end);) end++;
    return end;
}

static Py_ssize_t keys_before(const Text *text, Py_ssize_t at, Py_ssize_t most)
{
    Py_ssize_t count = 0;
    while (count < most && is_key(text, at - 1 - count)) count++;
    return count;
}

static Py_ssize_t keys_after(const Text *text, Py_ssize_t at, Py_ssize_t most)
{
    Py_ssize_t count = 0;
    while (count < most && is_key(text, at + count)) count++;
    return count;
}

/* Where the next break is, from somewhere on; its end tells whether there is one. */
static Span next_break(const Text *text, Py_ssize_t from)
{
    const uint8_t *last = text->data + text->size - text->length, *at = text->data + from;
    for (; at <= last && (at = memchr(at, text->mark[0], (size_t)(last + 1 - at))) != NULL; at++) {
        Py_ssize_t here = at - text->data;
        if (here == 0 || !KIND[at[-1]] || memcmp(at, text->mark, (size_t)text->length) != 0) continue;
        Py_ssize_t end = after_margin(text, here + text->length);
        if (!is_key(text, end)) continue;
        if (keys_before(text, here, 8) == 8 || keys_after(text, end, 8) == 8) return (Span){here, end};
    }
    return (Span){0, 0};
}

static Py_ssize_t alike(const Text *text, Py_ssize_t at, Py_ssize_t stop, uint16_t kind)
{
    Py_ssize_t count = 0;
    while (at + count < stop && KIND[text->data[at + count]] == kind) count++;
    return count;
}

/* Whether a digit stands there, or letters as mixed as those of a key. */
static bool is_mixed(const Text *text, Py_ssize_t start, Py_ssize_t stop)
{
    for (Py_ssize_t at = start; at < stop; at++) {
        uint16_t kind = KIND[text->data[at]];
        if (kind == DIGIT) return true;
        if (kind != LOWER) continue;
        Py_ssize_t upper = alike(text, at + 1, stop, UPPER), next = at + 1 + upper;
        if (upper < 1 || upper > 3) continue;
        Py_ssize_t lower = alike(text, next, stop, LOWER), last = next + lower;
        if (lower < 1 || lower > 3) continue;
        Py_ssize_t again = alike(text, last, stop, UPPER);
        if (again >= 1 && again <= 3 && last + again < stop && KIND[text->data[last + again]] == LOWER) return true;
    }
    return false;
}

/* Stretches. */

/* A stretch that grows span by span. */
typedef struct {
    Py_ssize_t start;
    Span last; /* its last span; what lies before the first is -1 */
} Stretch;

/* Whether a span goes on with a stretch: there is nothing but key characters between. */
static bool goes_on(const Text *text, const Stretch *stretch, Span next)
{
    Py_ssize_t between = next.start - stretch->last.end;
    return stretch->last.end >= 0 && keys_after(text, stretch->last.end, between) == between;
}

/* Begin a stretch with a span; where the one before ended, no other begins. */
static void begin_stretch(const Text *text, Stretch *stretch, Span first)
{
    Py_ssize_t most = first.start - (stretch->last.end > 0 ? stretch->last.end : 0);
    Py_ssize_t start = first.start - keys_before(text, first.start, most < REACH ? most : REACH);
    bool is_escape = start < first.start && start > 0 && text->data[start - 1] == '\\';
    start += is_escape && text->data[start] && strchr("nrtbfva", text->data[start]);
    *stretch = (Stretch){start, first};
}

static Py_ssize_t end_of(const Text *text, const Stretch *stretch)
{
    return stretch->last.end + keys_after(text, stretch->last.end, REACH);
}

static bool add_stretch(const Text *text, PyObject *list, const Stretch *stretch)
{
    return append(list, Py_BuildValue("(nn)", stretch->start, end_of(text, stretch)));
}

static PyObject *stretches_of(const Text *text, PyObject *spans)
{
    PyObject *found = PyList_New(0);
    Stretch stretch = {0, {-1, -1}};
    bool is_fine = found != NULL;
    for (Py_ssize_t at = 0, count = PyList_Size(spans); is_fine && at < count; at++) {
        Span next;
        is_fine = PyArg_ParseTuple(PyList_GetItem(spans, at), "nn", &next.start, &next.end);
        if (is_fine && (next.start < 0 || next.start < stretch.last.end || next.end < next.start || next.end > text->size)) {
            PyErr_SetString(PyExc_ValueError, "spans rise and lie in the text");
            is_fine = false;
        }
        if (is_fine && goes_on(text, &stretch, next)) {
            stretch.last = next;
        } else if (is_fine) {
            is_fine = stretch.last.end < 0 || add_stretch(text, found, &stretch);
            begin_stretch(text, &stretch, next);
        }
    }
    is_fine = is_fine && (stretch.last.end < 0 || add_stretch(text, found, &stretch));
    if (!is_fine) Py_CLEAR(found);
    return found;
}

static PyObject *fast_stretches(PyObject *Py_UNUSED(module), PyObject *args)
{
    Py_buffer data;
    PyObject *spans;
    if (!PyArg_ParseTuple(args, "y*O!", &data, &PyList_Type, &spans)) return NULL;
    Text text = {data.buf, data.len, NULL, 0};
    PyObject *result = stretches_of(&text, spans);
    PyBuffer_Release(&data);
    return result;
}

/* Lines that are joined again. */

typedef struct {
    Span *spans;
    size_t count, room;
} Lines;

static bool add_line(Lines *lines, Span line)
{
    if (lines->count == lines->room) {
        size_t room = lines->room ? 2 * lines->room : 64;
        Span *more = realloc(lines->spans, room * sizeof *more);
        if (more == NULL) return PyErr_NoMemory(), false;
        lines->spans = more;
        lines->room = room;
    }
    lines->spans[lines->count++] = line;
    return true;
}

/* Where each line but the first begins, in the text or in all of them joined, as numbers of eight bytes. */
static PyObject *beginnings(const Lines *lines, bool is_joined)
{
    PyObject *all = PyBytes_FromStringAndSize(NULL, (Py_ssize_t)(lines->count - 1) * 8);
    uint64_t at = 0;
    for (size_t line = 1; all != NULL && line < lines->count; line++) {
        at += (uint64_t)(lines->spans[line - 1].end - lines->spans[line - 1].start);
        uint64_t begin = is_joined ? at : (uint64_t)lines->spans[line].start;
        memcpy(PyBytes_AsString(all) + 8 * (line - 1), &begin, 8);
    }
    return all;
}

/* The lines of a stretch as one, unless it is too short for a key, or looks like words. */
static bool add_joined(const Text *text, PyObject *found, Lines *lines, const Stretch *stretch)
{
    Py_ssize_t stop = end_of(text, stretch), size = 0;
    if (!is_mixed(text, stretch->start, stop)) return true;
    if (!add_line(lines, (Span){stretch->last.end, stop})) return false;
    for (size_t line = 0; line < lines->count; line++) size += lines->spans[line].end - lines->spans[line].start;
    if (size < SHORTEST) return true;
    PyObject *joined = PyBytes_FromStringAndSize(NULL, size);
    if (joined == NULL) return false;
    char *to = PyBytes_AsString(joined);
    for (size_t line = 0; line < lines->count; line++) {
        size_t length = (size_t)(lines->spans[line].end - lines->spans[line].start);
        memcpy(to, text->data + lines->spans[line].start, length);
        to += length;
    }
    PyObject *joints = beginnings(lines, true), *origins = beginnings(lines, false);
    if (joints != NULL && origins != NULL) return append(found, Py_BuildValue("(nnNNN)", stretch->start, stop, joined, joints, origins));
    Py_DECREF(joined);
    Py_XDECREF(joints);
    Py_XDECREF(origins);
    return false;
}

static PyObject *rejoined_of(const Text *text)
{
    PyObject *found = PyList_New(0);
    Lines lines = {0};
    Stretch stretch = {0, {-1, -1}};
    bool is_fine = found != NULL;
    for (Span next = next_break(text, 0); is_fine && next.end; next = next_break(text, next.end)) {
        if (goes_on(text, &stretch, next)) {
            is_fine = add_line(&lines, (Span){stretch.last.end, next.start});
            stretch.last = next;
            continue;
        }
        is_fine = stretch.last.end < 0 || add_joined(text, found, &lines, &stretch);
        begin_stretch(text, &stretch, next);
        lines.count = 0;
        is_fine = is_fine && add_line(&lines, (Span){stretch.start, next.start});
    }
    is_fine = is_fine && (stretch.last.end < 0 || add_joined(text, found, &lines, &stretch));
    free(lines.spans);
    if (!is_fine) Py_CLEAR(found);
    return found;
}

static PyObject *fast_rejoined(PyObject *Py_UNUSED(module), PyObject *args)
{
    Py_buffer data, mark;
    PyObject *result = NULL;
    if (!PyArg_ParseTuple(args, "y*y*", &data, &mark)) return NULL;
    Text text = {data.buf, data.len, mark.buf, mark.len};
    if (mark.len > 0) result = rejoined_of(&text);
    else PyErr_SetString(PyExc_ValueError, "a line ends with something");
    PyBuffer_Release(&data);
    PyBuffer_Release(&mark);
    return result;
}

/* What git keeps of an object that is much like another. */

static bool length_at(const uint8_t **at, const uint8_t *end, uint64_t *length)
{
    *length = 0;
    for (int shift = 0; *at < end && shift <= 28; shift += 7) {
        uint8_t byte = *(*at)++;
        *length |= (uint64_t)(byte & 0x7F) << shift;
        if (byte < 0x80) return true;
    }
    return false;
}

/* From where in the base how much is copied, of which only what is not zero is written down. */
static bool copied_at(const uint8_t **at, const uint8_t *end, uint8_t code, uint64_t *begin, uint64_t *count)
{
    *begin = *count = 0;
    for (int bit = 0; bit < 7; bit++) {
        if (!(code >> bit & 1)) continue;
        if (*at == end) return false;
        uint64_t byte = *(*at)++;
        if (bit < 4) *begin |= byte << 8 * bit;
        else *count |= byte << 8 * (bit - 4);
    }
    if (*count == 0) *count = 0x10000;
    return true;
}

static bool apply(const Py_buffer *base, const uint8_t *at, const uint8_t *end, char *to, uint64_t left)
{
    while (at < end) {
        uint8_t code = *at++;
        uint64_t begin = 0, count = code, size = (uint64_t)(end - at);
        const uint8_t *from = at;
        if (code & 0x80) {
            if (!copied_at(&at, end, code, &begin, &count)) return false;
            from = base->buf;
            size = (uint64_t)base->len;
        }
        if (count == 0 || count > left || begin > size || count > size - begin) return false;
        memcpy(to, from + begin, (size_t)count);
        if (!(code & 0x80)) at += count;
        to += count;
        left -= count;
    }
    return left == 0;
}

static PyObject *applied_of(const Py_buffer *base, const Py_buffer *delta, Py_ssize_t most)
{
    const uint8_t *at = delta->buf, *end = at + delta->len;
    uint64_t length, size;
    PyObject *made = NULL;
    bool is_fine = length_at(&at, end, &length) && length_at(&at, end, &size);
    if (is_fine && length == (uint64_t)base->len && most >= 0 && size <= (uint64_t)most) {
        made = PyBytes_FromStringAndSize(NULL, (Py_ssize_t)size);
        if (made == NULL) return NULL;
        if (!apply(base, at, end, PyBytes_AsString(made), size)) Py_CLEAR(made);
    }
    if (made == NULL) PyErr_SetString(PyExc_ValueError, "a delta that makes nothing of its base");
    return made;
}

static PyObject *fast_applied(PyObject *Py_UNUSED(module), PyObject *args)
{
    Py_buffer base, delta;
    Py_ssize_t most;
    if (!PyArg_ParseTuple(args, "y*y*n", &base, &delta, &most)) return NULL;
    PyObject *result = applied_of(&base, &delta, most);
    PyBuffer_Release(&base);
    PyBuffer_Release(&delta);
    return result;
}

/* What stands in plain.py too: a test compares. */
static const struct {
    const char *name;
    long value;
} NUMBERS[] = {
    {"SHORTEST", SHORTEST}, {"LONGEST", LONGEST}, {"OVERLAP", OVERLAP}, {"REACH", REACH},
    {"PARTS", PARTS},       {"PIECE", PIECE},     {"FEW", FEW},         {"ALIKE", ALIKE},
    {"NEIGHBOURS", NEIGHBOURS}, {"DEEPEST", DEEPEST}, {"MOST", MOST}, {"LEAVES", LEAVES}, {"CATCH_ALL", CATCH_ALL}, {"PLENTY", PLENTY},
};

static int begin(PyObject *module)
{
    for (size_t at = 0; at < sizeof NUMBERS / sizeof *NUMBERS; at++)
        if (PyModule_AddIntConstant(module, NUMBERS[at].name, NUMBERS[at].value) < 0) return -1;
    sort_characters();
    sort_bytes();
#ifdef HAS_SHA_EXTENSIONS
    if (has_extensions() && agrees()) {
        compress = compress_by_extensions;
        compress_both = compress_both_by_extensions;
    }
#endif
    return 0;
}

static PyMethodDef FUNCTIONS[] = {
    {"is_registered", fast_is_registered, METH_VARARGS, "As in plain.py."},
    {"shaped", fast_shaped, METH_VARARGS, "As in plain.py."},
    {"collect", (PyCFunction)(void (*)(void))fast_collect, METH_FASTCALL, "As in places.py."},
    {"sift_places", fast_sift_places, METH_VARARGS, "As in places.py."},
    {"sift", fast_sift, METH_VARARGS, "As in plain.py."},
    {"rejoined", fast_rejoined, METH_VARARGS, "As in plain.py."},
    {"stretches", fast_stretches, METH_VARARGS, "As in plain.py."},
    {"texts", fast_texts, METH_VARARGS, "As in base64_texts.py."},
    {"may_inflate", fast_may_inflate, METH_VARARGS, "As in inflating.py."},
    {"applied", fast_applied, METH_VARARGS, "As in deltas.py."},
    {NULL, NULL, 0, NULL},
};

static PyModuleDef_Slot SLOTS_OF_MODULE[] = {{Py_mod_exec, begin}, {0, NULL}};

static struct PyModuleDef MODULE = {
    PyModuleDef_HEAD_INIT, "leakwatch.core._fast", "The compiled twin of the plain modules beside it.", 0, FUNCTIONS, SLOTS_OF_MODULE, NULL, NULL, NULL,
};

PyMODINIT_FUNC PyInit__fast(void) { return PyModuleDef_Init(&MODULE); }
