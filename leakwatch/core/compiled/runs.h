/* Key characters and the runs of them, as in plain.py. */

#pragma once

#include "base.h"

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
    UNDERSCORE | DOT | HYPHEN | SLASH | PLUS | TILDE | COLON,
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
