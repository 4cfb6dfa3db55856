/* What all parts need. */

#pragma once

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
