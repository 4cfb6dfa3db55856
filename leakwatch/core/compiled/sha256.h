/* SHA-256, as FIPS 180-4 has it, with the processor's own instructions where it has them. */

#pragma once

#include "base.h"

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
