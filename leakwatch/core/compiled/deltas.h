/* `applied`, as in deltas.py: what git keeps of an object that is much like another. */

#pragma once

#include "base.h"

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
