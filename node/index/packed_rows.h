/* Rows of float32 in 28 bits a component, without loss.
 *
 * Lives here: the form, reading and writing it. May not live here: Python, files, what rows are worth.
 *
 * The uppermost byte of a float32 is its sign and all but the last bit of its exponent: components of vectors have few
 * of them. Sixteen, the `tops`, are named by half a byte each. Components that have another one are written with the
 * first of the tops, and are among the `others`; `marked` has a bit for each row that has such ones.
 *
 * A row is its components' lower two bytes, little-endian, then their third bytes, then eight bytes for every sixteen
 * components: halves of bytes, the lower ones first, of those with even numbers, then of those with odd ones.
 * docs/decisions/0019-packed-rows.md
 */
#ifndef VECRAFT_PACKED_ROWS_H
#define VECRAFT_PACKED_ROWS_H

#include <stddef.h>
#include <stdint.h>

#define TOPS 16
#define COMPONENTS_MAX (INT64_C(1) << 24)

/* A component whose uppermost byte is none of the tops, in one number: its row, itself, the byte. */
typedef uint64_t Other;

static inline Other other(int64_t row, int64_t component, uint8_t top) {
    return (uint64_t)row << 32 | (uint64_t)component << 8 | top;
}

typedef struct {
    const uint8_t *data; /* (count, stride) */
    int64_t count, dim, stride;
    uint8_t tops[TOPS];
    const uint8_t *marked;
    const Other *others; /* ascending */
    int64_t others_count;
} PackedRows;

int64_t packed_row_bytes(int64_t dim);

/* Writes the components of `row`, which is there, to `floats`. */
void unpack_row(const PackedRows *rows, int64_t row, float *floats);

/* Writes a row; returns how many of its components are to be among the others, of which the places are in `others`
 * (dim). `names`: for each byte which of the tops it is, or TOPS. */
int64_t pack_row(const float *row, int64_t dim, const uint8_t *names, uint8_t *packed, int32_t *others);

/* By what this processor can do. */
void choose_unpacking(void);

/* All ways of unpacking that this processor has, the quickest last; for tests. */
#define UNPACKINGS_MAX 3
typedef void Unpack(const PackedRows *rows, const uint8_t *packed, float *floats);
extern Unpack *unpackings[UNPACKINGS_MAX];
extern int unpackings_size;

#endif
