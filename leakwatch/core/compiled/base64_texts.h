/* `texts`, as in base64_texts.py: text in runs of base64. */

#pragma once

#include "sieve.h"

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
