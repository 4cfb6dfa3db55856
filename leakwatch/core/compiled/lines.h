/* `rejoined` and `stretches`, as in plain.py: broken lines, and the key characters around escapes. */

#pragma once

#include "sieve.h"

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
