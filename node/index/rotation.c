/* Rotating vectors. */
#include "rotation.h"

#include <math.h>
#include <string.h>

static void deal(const Rotation *rotation, const float *vector, Size dim, float *dealt) {
    const Size blocks = rotation->width / rotation->block;
    for (Size first = 0; first < blocks; first++, dealt += rotation->block)
        for (Size i = 0; i < rotation->block; i++) {
            Size at = i * blocks + first;
            dealt[i] = at < dim ? vector[at] : 0;
        }
}

typedef float Four __attribute__((vector_size(16)));
typedef int32_t Places __attribute__((vector_size(16)));

static Four load(const float *components) {
    Four four;
    memcpy(&four, components, sizeof four);
    return four;
}

static void store(float *components, Four four) { memcpy(components, &four, sizeof four); }

/* The first two of a transform's steps, of components that are neighbours and of those two apart. */
static void transform_fours(float *components, Size size) {
    const Four odd = {1, -1, 1, -1}, upper = {1, 1, -1, -1};
    for (float *first = components; first < components + size; first += 4) {
        Four four = load(first);
        four = __builtin_shuffle(four, (Places){1, 0, 3, 2}) + four * odd;
        store(first, __builtin_shuffle(four, (Places){2, 3, 0, 1}) + four * upper);
    }
}

/* Of a multiple of four components. */
static void transform(float *components, Size size) {
    transform_fours(components, size);
    for (Size half = 4; half < size; half *= 2)
        for (float *first = components; first < components + size; first += 2 * half)
            for (Size i = 0; i < half; i += 4) {
                Four a = load(first + i), b = load(first + half + i);
                store(first + i, a + b);
                store(first + half + i, a - b);
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
