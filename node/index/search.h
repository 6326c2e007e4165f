/* Searches of a graph: of what a walk or a scan finds for each of many queries the best are scored again.
 *
 * May not live here: Python, queries (query.h), walks (graph.h), scans (scan.h), scoring (best.h).
 */
#ifndef VECRAFT_SEARCH_H
#define VECRAFT_SEARCH_H

#include "best.h"
#include "query.h"
#include "scan.h"

/* Vectors, and what codes are compared with in their stead, of `dim` components. */
typedef struct {
    const float *vectors, *compared;
    Size dim;
} Asked;

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
