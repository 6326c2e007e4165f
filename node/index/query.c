/* Vectors in the form that codes are compared with. */
#include "query.h"

#include <math.h>
#include <string.h>

#include "signs.h"

#define SUMS 16
#define ROUNDING (1.0F / 12) /* what it takes from a component of a code, squared and in its steps, on average */

/* The integer that is nearest to a component, and what their range takes from it, squared. */
static inline uint8_t encode_one(const Coded *coded, float component, float most, float *lost) {
    float level = (component - coded->low) / coded->step, kept = level > 0 ? level : 0;
    kept = kept < most ? kept : most;
    *lost += (level - kept) * (level - kept);
    return (uint8_t)(int)(kept + 0.5F);
}

/* The integers that stand for a vector. Returns 0 where their range takes more from it than twice what rounding takes
 * from a code: it would be another vector. What is beyond the vector's components must be zero. */
static int encode(const Coded *coded, const float *vector, Size dim, uint8_t *integers) {
    const int has_halves = coded->form == OF_HALVES;
    const float most = has_halves ? HALVES_MOST : UINT8_MAX, unit = has_halves ? HALF_STEPS : 1;
    float lost[SUMS] = {0}, sum = 0;
    Size i = 0;
    for (; i + SUMS <= dim; i += SUMS)
        for (int at = 0; at < SUMS; at++)
            integers[i + at] = encode_one(coded, vector[i + at], most, lost + at);
    for (; i < dim; i++)
        integers[i] = encode_one(coded, vector[i], most, lost);
    for (int at = 0; at < SUMS; at++)
        sum += lost[at];
    return sum <= 2 * ROUNDING * unit * unit * (float)dim;
}

/* Room for them in a code. */
static Size components_of(const Coded *coded) {
    if (coded->bits)
        return signs_components(coded->graph.width);
    return coded->graph.width * (coded->form == OF_BYTES ? 1 : 2);
}

/* Of split bytes a query has two forms, the bytes' own behind what the upper halves are compared with, and room for the
 * bytes of a code. Both are floats at most. Of signs the rotated vector is behind what they are compared with. */
Size query_bytes(const Coded *coded) {
    Size components = components_of(coded);
    if (coded->bits)
        return signs_query_bytes(components, coded->bits) + components * (Size)sizeof(float);
    return components * (Size)(coded->form == OF_SPLIT_BYTES ? 2 * sizeof(float) + 1 : sizeof(float));
}

int takes(const Coded *coded, Size dim) {
    if (coded->bits && coded->rotation.signs == NULL)
        return dim == components_of(coded);
    return dim <= components_of(coded);
}

/* An upper half stands for the middle of sixteen integers, which is this of seven bits: eight times the half and 3.75. */
static uint8_t for_upper_half(uint8_t integer) { return integer > 6 ? (uint8_t)((2 * integer - 13) >> 2) : 0; }
static float level_for_upper_half(float level) { return level / 2 - 3.75F; }

static Query query_of_signs(const Coded *coded, const float *vector, Size dim, uint8_t *query) {
    const Size components = components_of(coded);
    float *rotated = (float *)(void *)(query + signs_query_bytes(components, coded->bits));
    if (coded->rotation.signs != NULL) {
        rotate(&coded->rotation, vector, dim, rotated);
        vector = rotated;
    }
    signs_prepare(vector, coded->centre, components, coded->bits, query);
    return (Query){query, signs_compare};
}

Query query_of(const Coded *coded, const float *vector, Size dim, Scratch *scratch) {
    const Size components = components_of(coded);
    const int is_split = coded->form == OF_SPLIT_BYTES;
    uint8_t *integers = scratch->code + (is_split ? components : 0);
    if (coded->bits)
        return query_of_signs(coded, vector, dim, scratch->code);
    memset(scratch->code, 0, (size_t)query_bytes(coded));
    if (encode(coded, vector, dim, integers)) {
        for (Size i = 0; is_split && i < components; i++)
            scratch->code[i] = for_upper_half(integers[i]);
        return (Query){scratch->code, coded->form == OF_BYTES ? comparing.bytes : comparing.halves};
    }
    float *walked = (float *)(void *)scratch->code, *levels = walked + (is_split ? components : 0);
    memset(scratch->code, 0, (size_t)query_bytes(coded));
    for (Size i = 0; i < dim; i++) {
        levels[i] = (vector[i] - coded->low) / coded->step;
        walked[i] = is_split ? level_for_upper_half(levels[i]) : levels[i];
    }
    return (Query){scratch->code, coded->form == OF_BYTES ? comparing.levels : comparing.levels_of_halves};
}

int is_beyond_halves(const Query *query) { return query->compare == comparing.levels_of_halves; }

void compare_whole(const Coded *coded, const Query *query, Size count, Scratch *scratch) {
    const Size components = components_of(coded), width = coded->graph.width;
    const int is_beyond = is_beyond_halves(query);
    const uint8_t *whole = scratch->code + components * (is_beyond ? (Size)sizeof(float) : 1);
    uint8_t *bytes = scratch->code + query_bytes(coded) - components;
    Compare *compare = is_beyond ? comparing.levels : comparing.bytes;
    Pool *pool = &scratch->pool;
    pool->size = count < pool->size && !is_beyond ? count : pool->size;
    for (Size i = 0; i < pool->size; i++)
        prefetch(code_of(&coded->graph, node_of(pool->items[i])) + width, width);
    for (Size i = 0; i < pool->size; i++) {
        int32_t node = node_of(pool->items[i]);
        read_split_bytes(code_of(&coded->graph, node), width, bytes);
        pool->items[i] = found(compare(whole, bytes, components), node);
    }
}

float distance_by(const Coded *coded, const Query *query, Found item) {
    uint32_t bits = distance_of(item);
    float distance = (float)bits;
    if (query->compare == comparing.levels || is_beyond_halves(query))
        memcpy(&distance, &bits, sizeof distance);
    return coded->bits ? signs_distance(bits) : distance;
}
