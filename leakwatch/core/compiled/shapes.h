/* `shaped`, as in plain.py: the runs in which shapes stand. */

#pragma once

#include "sieve.h"

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
