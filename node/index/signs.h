/* Codes of signs: RaBitQ's (Gao and Long, "RaBitQ", 2024), one bit per component, as FAISS lays them out.
 *
 * A code is the signs of a rotated vector without the codes' centre, and two numbers that make distances unbiased: the
 * squared length of what is left, and how much a component's sign is worth. A query's components become integers of a
 * few bits, which are kept bit by bit: so comparing is counting the bits that planes and code have in common.
 */
#ifndef VECRAFT_SIGNS_H
#define VECRAFT_SIGNS_H

#include "graph.h"

#define SIGNS_NUMBERS_BYTES 8 /* behind the signs */

/* Of how many components codes of `width` bytes are; 64 are compared at a time, so they are a multiple of that. */
Size signs_components(Size width);

/* Bytes of a query of so many components, with so many bits for each. */
Size signs_query_bytes(Size components, int bits);

/* Writes the query that stands for `vector`. `centre`: of the codes. */
void signs_prepare(const float *vector, const float *centre, Size components, int bits, void *query);

/* All ways of this processor to the estimated squared distance, as a number that is ordered as it is; the quickest last,
 * which is also `signs_compare`. All give the same number. */
#define SIGNS_COMPARISONS_MAX 3
extern Compare *signs_comparisons[SIGNS_COMPARISONS_MAX], *signs_compare;
extern int signs_comparisons_size;

void signs_choose(void);

/* What such a number stands for. */
float signs_distance(uint32_t ordered);

#endif
