/* `may_inflate`, as in inflating.py: what looks packed, in base64. */

#pragma once

#include "base64_texts.h"

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
