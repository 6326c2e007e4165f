/* Scoring a walk's nodes again, and sorting them. */
#include "best.h"

#include <math.h>

#define INSERTED_MAX 64

/* Numbers in the order of what rows are worth, the best first; rows of equal worth by row, what is no number last. */
static uint64_t order_of(float score, uint32_t row) {
    uint32_t bits;
    score += 0.0F; /* there is one zero */
    memcpy(&bits, &score, sizeof bits);
    if (isnan(score))
        bits = UINT32_MAX;
    else
        bits = bits >> 31 ? bits : ~(bits | UINT32_C(1) << 31);
    return (uint64_t)bits << 32 | row;
}

Scored scored_of(float score, uint32_t row) { return (Scored){order_of(score, row), score, row}; }

static int by_order(const void *a, const void *b) {
    uint64_t x = ((const Scored *)a)->order, y = ((const Scored *)b)->order;
    return (x > y) - (x < y);
}

/* Sorts the best of them, at most `most`, to the front. Most of what does not belong there is seen at a glance. */
static void sort_best(Scored *items, Size size, Size most) {
    if (most > INSERTED_MAX) {
        qsort(items, (size_t)size, sizeof *items, by_order);
        return;
    }
    for (Size i = 0, kept = 0; i < size; i++) {
        Scored item = items[i];
        if (kept == most && items[kept - 1].order <= item.order)
            continue;
        Size at = kept < most ? kept++ : kept - 1;
        for (; at > 0 && items[at - 1].order > item.order; at--)
            items[at] = items[at - 1];
        items[at] = item;
    }
}

void put(Scored *scored, Size size, Ranking *ranking) {
    sort_best(scored, size, ranking->size);
    for (Size i = 0; i < ranking->size; i++) {
        ranking->rows[i] = i < size ? (int64_t)scored[i].row : -1;
        ranking->scores[i] = i < size ? scored[i].score : -INFINITY;
    }
    ranking->rows += ranking->size;
    ranking->scores += ranking->size;
}

static int may_return(const Originals *originals, const Mask *mask, int64_t row) {
    if (row >= originals->count)
        return 0; /* of a damaged file */
    return mask->bits == NULL || (row < mask->count && mask->bits[row >> 3] >> (row & 7) & 1);
}

/* Returns how many of the pool's nodes may be returned; the first `wanted` of them are in `scored`. */
static Size pick(const Originals *originals, const Mask *mask, const Pool *pool, Size wanted, Scored *scored) {
    Size size = 0;
    for (Size at = 0; at < pool->size; at++) {
        int32_t node = node_of(pool->items[at]);
        uint32_t row = originals->rows == NULL ? (uint32_t)node : originals->rows[node];
        if (!may_return(originals, mask, row))
            continue;
        if (size < wanted)
            scored[size].row = row;
        size++;
    }
    return size;
}

static void ask_for(const Originals *originals, uint32_t row) {
    const PackedRows *packed = originals->packed;
    const uint8_t *vector = packed != NULL ? packed->data : (const uint8_t *)originals->matrix;
    Size bytes = packed != NULL ? packed->stride : originals->dim * (Size)sizeof(float);
    prefetch_start(vector + (Size)row * bytes, bytes);
}

static const float *vector_of(const Originals *originals, uint32_t row, float *unpacked) {
    if (originals->packed == NULL)
        return originals->matrix + (Size)row * originals->dim;
    unpack_row(originals->packed, row, unpacked);
    return unpacked;
}

static void score(const Originals *originals, const float *query, Scored *scored, Size size, float *unpacked) {
    for (Size i = 0; i < size && i < AHEAD_ROWS; i++)
        ask_for(originals, scored[i].row);
    for (Size i = 0; i < size; i++) {
        if (i + AHEAD_ROWS < size)
            ask_for(originals, scored[i + AHEAD_ROWS].row);
        const float *vector = vector_of(originals, scored[i].row, unpacked);
        float worth = originals->kernel(query, vector, (size_t)originals->dim);
        scored[i] = scored_of(originals->is_distance ? -worth : worth, scored[i].row);
    }
}

Size rank(const Originals *originals, const Mask *mask, const float *query, Size wanted, Scratch *scratch,
          Ranking *ranking) {
    wanted = wanted < scratch->pool.size ? wanted : scratch->pool.size;
    if (allot((void **)&scratch->scored, &scratch->scored_room, wanted, sizeof *scratch->scored) < 0 ||
        (originals->packed != NULL &&
         allot((void **)&scratch->unpacked, &scratch->unpacked_room, originals->dim, sizeof *scratch->unpacked) < 0))
        return -1;
    Size passing = pick(originals, mask, &scratch->pool, wanted, scratch->scored);
    Size size = passing < wanted ? passing : wanted;
    score(originals, query, scratch->scored, size, scratch->unpacked);
    put(scratch->scored, size, ranking);
    return passing;
}
