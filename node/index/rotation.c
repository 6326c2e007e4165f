/* Rotating vectors. */
#include "rotation.h"

#include <math.h>

static void deal(const Rotation *rotation, const float *vector, Size dim, float *dealt) {
    const Size blocks = rotation->width / rotation->block;
    for (Size first = 0; first < blocks; first++, dealt += rotation->block)
        for (Size i = 0; i < rotation->block; i++) {
            Size at = i * blocks + first;
            dealt[i] = at < dim ? vector[at] : 0;
        }
}

static void transform(float *components, Size size) {
    for (Size half = 1; half < size; half *= 2)
        for (float *first = components; first < components + size; first += 2 * half)
            for (Size i = 0; i < half; i++) {
                float a = first[i], b = first[half + i];
                first[i] = a + b;
                first[half + i] = a - b;
            }
}

void rotate(const Rotation *rotation, const float *vector, Size dim, float *rotated) {
    const Size block = rotation->block;
    const float scale = (float)(1 / ((double)block * sqrt((double)block)));
    deal(rotation, vector, dim, rotated);
    for (float *part = rotated; part < rotated + rotation->width; part += block) {
        for (int round = 0; round < ROTATION_ROUNDS; round++) {
            for (Size i = 0; i < block; i++)
                part[i] *= rotation->signs[round * block + i];
            transform(part, block);
        }
        for (Size i = 0; i < block; i++)
            part[i] *= scale;
    }
}
