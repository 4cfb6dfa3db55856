/* The compiled twin of the plain modules beside it: the same functions, with the same results. What they mean stands there.

   All that is read here was written by strangers. Each function reads each byte a bounded number of times, reads nothing
   outside what it was given, and keeps nothing when it returns but what it wrote into the memory that it was handed. */

#include "compiled/base64_texts.h"
#include "compiled/deltas.h"
#include "compiled/inflating.h"
#include "compiled/lines.h"
#include "compiled/places.h"
#include "compiled/shapes.h"
#include "compiled/sieve.h"

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
