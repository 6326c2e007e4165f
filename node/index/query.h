/* Vectors become queries: what codes are compared with.
 *
 * Lives here: which form a query has, and what its comparisons tell. May not live here: walks (graph.h), how codes are
 * compared (compare.c, signs.c).
 */
#ifndef VECRAFT_QUERY_H
#define VECRAFT_QUERY_H

#include "graph.h"
#include "rotation.h"

/* A graph, and what its codes stand for. */
typedef struct {
    Graph graph;
    float low, step; /* the integer i stands for low + i * step */
    const float *centre; /* of codes of signs */
    Rotation rotation;   /* that they were made after */
    int bits;  /* of a query's components, where codes are of signs; 0: they are of integers */
    Form form; /* of codes of integers */
} Coded;

/* Are vectors of `dim` components what codes are compared with? */
int takes(const Coded *coded, Size dim);

/* The form in which codes are compared with a vector: integers, or floats where they have no room for it. It lies in
 * `scratch->code`, of which there must be `query_bytes`. */
Query query_of(const Coded *coded, const float *vector, Size dim, Scratch *scratch);
Size query_bytes(const Coded *coded);

/* Halves of a byte end where a sixtieth of the components does. That is nothing to most queries; but one that they have
 * no room for consists of few components, and what is best for it of those that were cut off. */
int is_beyond_halves(const Query *query);

/* A distance, squared and in steps of the integers, as a pool has it. */
float distance_by(const Coded *coded, const Query *query, Found item);

/* Leaves the first `count` of the pool, in no order, with their distances by the whole of their split bytes. */
void compare_whole(const Coded *coded, const Query *query, Size count, Scratch *scratch);

#endif
