/* What tells a registered key: the number of its digest, looked up. */

#pragma once

#include "runs.h"
#include "sha256.h"

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
