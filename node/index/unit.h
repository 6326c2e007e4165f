/* Vectors scaled to unit length, to the same bits on every processor: replicas store what they make of a vector. */
#ifndef VECRAFT_UNIT_H
#define VECRAFT_UNIT_H

#include <stddef.h>

/* One row of `dim` components; which rows stay as they are: see distances.py. */
void scale_to_unit(const float *row, ptrdiff_t dim, float *unit);

#endif
