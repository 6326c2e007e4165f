/* Rotations of vectors, bit for bit as `rotate` of rotation.py has them, for queries: without threads.
 *
 * Three times signs and a Walsh-Hadamard transform, of blocks of components that are dealt out in turn.
 */
#ifndef VECRAFT_ROTATION_H
#define VECRAFT_ROTATION_H

#include "packed.h"

#define ROTATION_ROUNDS 3

typedef struct {
    const float *signs; /* for each round, of a block's components; NULL: vectors stay as they are */
    Size block, width;  /* of a block, a power of two from four on, and of what is rotated */
} Rotation;

/* Writes `width` components; those that the vector does not have are zero. */
void rotate(const Rotation *rotation, const float *vector, Size dim, float *rotated);

#endif
