/* The nearest of the nodes that a filter admits, by comparing the codes of all of them, and no walk.
 *
 * Lives here: which nodes those are, and reading their codes in the order they lie in. May not live here: Python,
 * walks, scoring again (best.h).
 *
 * Why it exists: a walk compares codes that lie scattered, and most are of nodes that a strict filter does not admit.
 * docs/decisions/0004-filtered-search.md has the figures.
 */
#ifndef VECRAFT_SCAN_H
#define VECRAFT_SCAN_H

#include "best.h"

/* Rows that may be returned, listed in ascending order or else as bits. */
typedef struct {
    const int64_t *rows; /* NULL: as bits */
    Size count;          /* of the list */
    Mask mask;
} Admitted;

/* Fills the pool, whose room says how many are wanted, with the admitted nodes nearest to `query`.
 * `nodes`: of each row its node, none where that is no node's number; NULL: nodes are numbered as rows are. */
void scan(const Graph *graph, const Originals *originals, const uint32_t *nodes, const Admitted *admitted,
          const Query *query, Pool *pool);

#endif
