/* The best of a walk's nodes, scored on the vectors that the codes were made of.
 *
 * Lives here: which nodes are scored, and the order of what they are worth. May not live here: Python, walks, what a
 * pair of vectors is worth (`Kernel`, FAISS's own, so that a row is worth the same whichever way it was found).
 */
#ifndef VECRAFT_BEST_H
#define VECRAFT_BEST_H

#include "graph.h"
#include "packed_rows.h"

#define AHEAD_ROWS 4 /* vectors that are asked for before it is their turn */

typedef float Kernel(const float *a, const float *b, size_t dim);

/* A node's vector is the row of the same number, or the one that `rows` names. */
typedef struct {
    const float *matrix;      /* (count, dim); NULL: they are packed */
    const PackedRows *packed;
    Size count, dim;
    const uint32_t *rows; /* of each node; NULL: its own number */
    Kernel *kernel;
    int is_distance; /* the less the kernel says, the better */
} Originals;

/* Bits by row of those that may be returned; NULL: all. */
typedef struct {
    const uint8_t *bits;
    Size count;
} Mask;

/* What queries found, best first, equally good ones by row; padded with -1 and -inf. */
typedef struct {
    int64_t *rows;
    float *scores;
    Size size;
} Ranking;

/* A row and what it is worth, so that rows may be sorted. */
Scored scored_of(float score, uint32_t row);

/* Writes the best of `scored`, which is in no order afterwards, and moves the ranking on to the next query. */
void put(Scored *scored, Size size, Ranking *ranking);

/* Scores the first `wanted` of the pool's nodes that may be returned, and moves the ranking on to the next query. Returns
 * how many of them all may be; -1: no memory. */
Size rank(const Originals *originals, const Mask *mask, const float *query, Size wanted, Scratch *scratch,
          Ranking *ranking);

#endif
