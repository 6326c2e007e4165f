/* Searches of a graph: of what a walk or a scan finds for each of many queries the best are scored again.
 *
 * May not live here: Python, queries (query.h), walks (graph.h), scans (scan.h), scoring (best.h).
 */
#ifndef VECRAFT_SEARCH_H
#define VECRAFT_SEARCH_H

#include "best.h"
#include "query.h"
#include "scan.h"

/* What distances by code tell: minus the squared distance, the cosine of vectors of unit length, or the inner product. */
typedef enum { NEARNESS, COSINE, PRODUCT } Worth;

/* One walk per query, and what its nodes are worth by their codes; -1: no memory. Of codes of split bytes the first
 * `whole` of a walk are compared by all of these. `rows`: of each node; NULL: its own number. */
int search_codes(const Coded *coded, Worth worth, const uint32_t *rows, const float *queries, Size many, Size dim,
                 Size ef, Size whole, Ranking ranking);

/* One walk per query, and of each the first `wanted` nodes that may be returned are scored again; -1: no memory.
 * `walked`, two numbers for each query: nodes that the walk kept, and how many of them may be returned. */
int search_best(const Coded *coded, const Originals *originals, const Mask *mask, const float *queries, Size many,
                Size ef, Size wanted, Ranking ranking, int64_t *walked);

/* All admitted nodes are compared, and the first `wanted` of them scored again; otherwise as `search_best`. */
int scan_best(const Coded *coded, const Originals *originals, const uint32_t *nodes, const Admitted *admitted,
              const float *queries, Size many, Size wanted, Ranking ranking);

#endif
