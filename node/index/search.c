/* Queries in the form that codes are compared with, and what is done with each of them. */
#include "search.h"

#include <math.h>
#include <string.h>

#include "signs.h"

#define LEVELS 255.0F

/* The integers that a vector's components are nearest to. Returns 0 where one is so far outside their range that the
 * code would be another vector's. What is beyond the vector's components in the code must be zero. */
static int encode(float low, float step, const float *vector, Size dim, uint8_t *code) {
    float least = low - step, most = low + (LEVELS + 1) * step;
    int within = 1;
    for (Size i = 0; i < dim; i++) {
        float level = (vector[i] - low) / step;
        within &= vector[i] >= least && vector[i] <= most;
        level = level > 0 ? level : 0;
        code[i] = (uint8_t)(int)((level < LEVELS ? level : LEVELS) + 0.5F);
    }
    return within;
}

/* This thread's, with room for a walk; NULL: no memory. The threads that search are few and live as long as the
 * process, so what they hold is not given back. */
static __attribute__((noinline)) Scratch *scratch_for(const Coded *coded, Size ef) {
    static _Thread_local Scratch mine;
    Size width = coded->graph.width;
    Size bytes = coded->bits ? signs_query_bytes(signs_components(width), coded->bits) : width * (Size)sizeof(float);
    if (prepare(&mine, &coded->graph, ef) < 0 || allot((void **)&mine.code, &mine.code_room, bytes, 1) < 0)
        return NULL;
    return &mine;
}

int takes(const Coded *coded, Size dim) {
    return coded->bits ? dim == signs_components(coded->graph.width) : dim <= coded->graph.width;
}

/* The form in which codes are compared with a vector: integers, or floats where they have no room for it. */
static Query query_of(const Coded *coded, const float *vector, Size dim, Scratch *scratch) {
    Size width = coded->graph.width;
    if (coded->bits) {
        signs_prepare(vector, coded->centre, dim, coded->bits, scratch->code);
        return (Query){scratch->code, signs_compare};
    }
    memset(scratch->code, 0, (size_t)width * sizeof(float));
    if (encode(coded->low, coded->step, vector, dim, scratch->code))
        return (Query){scratch->code, compare};
    float *levels = (float *)(void *)scratch->code;
    for (Size i = 0; i < width; i++)
        levels[i] = i < dim ? (vector[i] - coded->low) / coded->step : 0;
    return (Query){scratch->code, compare_levels};
}

/* A distance, squared and in steps of the integers, as a pool has it. */
static float distance_by(const Query *query, Found item) {
    uint32_t bits = distance_of(item);
    float distance = (float)bits;
    if (query->compare == compare_levels)
        memcpy(&distance, &bits, sizeof distance);
    return query->compare == signs_compare ? signs_distance(bits) : distance;
}

/* Fills the pool with the nodes nearest to the query; -1: no memory. */
static int walk_for(const Graph *graph, const Query *query, Scratch *scratch) {
    int32_t node = graph->entry;
    scratch->pool.size = 0;
    if (graph->count == 0)
        return 0;
    for (int level = graph->top; level > 0; level--) {
        int32_t place = place_at(graph, node, level);
        node = node_at(graph, descend(graph, query, place, level, scratch->fresh), level);
    }
    return gather(graph, query, node, 0, scratch);
}

int search(const Coded *coded, const float *queries, Size many, Size dim, Size ef, Size count, float *distances,
           int64_t *nodes) {
    Scratch *scratch = scratch_for(coded, ef);
    if (scratch == NULL)
        return -1;
    for (Size i = 0; i < many; i++) {
        Query query = query_of(coded, queries + i * dim, dim, scratch);
        if (walk_for(&coded->graph, &query, scratch) < 0)
            return -1;
        for (Size at = 0; at < count; at++) {
            int is_there = at < scratch->pool.size;
            distances[i * count + at] = is_there ? distance_by(&query, scratch->pool.items[at]) : INFINITY;
            nodes[i * count + at] = is_there ? node_of(scratch->pool.items[at]) : -1;
        }
    }
    return 0;
}

int search_best(const Coded *coded, const Originals *originals, const Mask *mask, const Asked *asked, Size many,
                Size ef, Size wanted, Ranking ranking, int64_t *walked) {
    Scratch *scratch = scratch_for(coded, ef);
    if (scratch == NULL)
        return -1;
    for (Size i = 0; i < many; i++) {
        const float *vector = asked->vectors + i * originals->dim;
        Query query = query_of(coded, asked->compared + i * asked->dim, asked->dim, scratch);
        if (walk_for(&coded->graph, &query, scratch) < 0)
            return -1;
        Size passing = rank(originals, mask, vector, wanted, scratch, &ranking);
        if (passing < 0)
            return -1;
        walked[2 * i] = scratch->pool.size;
        walked[2 * i + 1] = passing;
        ranking.rows += ranking.size;
        ranking.scores += ranking.size;
    }
    return 0;
}

int scan_best(const Coded *coded, const Originals *originals, const uint32_t *nodes, const Admitted *admitted,
              const Asked *asked, Size many, Size wanted, Ranking ranking) {
    static const Mask ALL = {NULL, 0};
    Scratch *scratch = scratch_for(coded, wanted);
    if (scratch == NULL)
        return -1;
    for (Size i = 0; i < many; i++) {
        const float *vector = asked->vectors + i * originals->dim;
        Query query = query_of(coded, asked->compared + i * asked->dim, asked->dim, scratch);
        scan(&coded->graph, originals, nodes, admitted, &query, &scratch->pool);
        if (rank(originals, &ALL, vector, wanted, scratch, &ranking) < 0)
            return -1;
        ranking.rows += ranking.size;
        ranking.scores += ranking.size;
    }
    return 0;
}
