/* Searches of a graph: vectors become queries, and of what a walk or a scan finds the best are scored again.
 *
 * Lives here: which form a query has, and what is done for each of many. May not live here: Python, walks (graph.h),
 * scans (scan.h), scoring (best.h).
 */
#ifndef VECRAFT_SEARCH_H
#define VECRAFT_SEARCH_H

#include "best.h"
#include "graph.h"
#include "scan.h"

/* A graph, and what its codes stand for. */
typedef struct {
    Graph graph;
    float low, step; /* the integer i stands for low + i * step */
    const float *centre;
    int bits;  /* of a query's components, where codes are of signs; 0: they are of integers */
    Form form; /* of codes of integers */
} Coded;

/* Vectors, and what codes are compared with in their stead, of `dim` components. */
typedef struct {
    const float *vectors, *compared;
    Size dim;
} Asked;

/* Are vectors of `dim` components what codes are compared with? */
int takes(const Coded *coded, Size dim);

/* One walk per query; -1: no memory. The `count` nodes nearest to each, padded with -1 and infinity. */
int search(const Coded *coded, const float *queries, Size many, Size dim, Size ef, Size count, float *distances,
           int64_t *nodes);

/* One walk per query, and of each the first `wanted` nodes that may be returned are scored again; -1: no memory.
 * `walked`, two numbers for each query: nodes that the walk kept, and how many of them may be returned. */
int search_best(const Coded *coded, const Originals *originals, const Mask *mask, const Asked *asked, Size many,
                Size ef, Size wanted, Ranking ranking, int64_t *walked);

/* All admitted nodes are compared, and the first `wanted` of them scored again; otherwise as `search_best`. */
int scan_best(const Coded *coded, const Originals *originals, const uint32_t *nodes, const Admitted *admitted,
              const Asked *asked, Size many, Size wanted, Ranking ranking);

#endif
