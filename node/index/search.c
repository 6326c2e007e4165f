/* Queries in the form that codes are compared with, and what is done with each of them. */
#include "search.h"

#include <math.h>
#include <string.h>

#include "signs.h"

#define SUMS 16
#define WHOLE_MORE 14 /* as planner.py has it: candidates beyond those that are wanted */
#define BEYOND_MORE 8 /* times as many are scored again in a scan for a query that halves have no room for */
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

/* Room for them in a code of integers. */
static Size components_of(const Coded *coded) { return coded->graph.width * (coded->form == OF_BYTES ? 1 : 2); }

/* Of split bytes a query has two forms: what the upper halves are compared with, and behind it the bytes' own; and room
 * for the bytes of a code. Both are floats at most. */
static Size query_bytes(const Coded *coded) {
    Size components = components_of(coded);
    if (coded->bits)
        return signs_query_bytes(signs_components(coded->graph.width), coded->bits);
    return components * (Size)(coded->form == OF_SPLIT_BYTES ? 2 * sizeof(float) + 1 : sizeof(float));
}

/* This thread's, with room for a walk; NULL: no memory. The threads that search are few and live as long as the
 * process, so what they hold is not given back. */
static __attribute__((noinline)) Scratch *scratch_for(const Coded *coded, Size ef) {
    static _Thread_local Scratch mine;
    if (prepare(&mine, &coded->graph, ef) < 0 ||
        allot((void **)&mine.code, &mine.code_room, query_bytes(coded), 1) < 0)
        return NULL;
    return &mine;
}

int takes(const Coded *coded, Size dim) {
    return coded->bits ? dim == signs_components(coded->graph.width) : dim <= components_of(coded);
}

/* An upper half stands for the middle of sixteen integers, which is this of seven bits: eight times the half and 3.75. */
static uint8_t for_upper_half(uint8_t integer) { return integer > 6 ? (uint8_t)((2 * integer - 13) >> 2) : 0; }
static float level_for_upper_half(float level) { return level / 2 - 3.75F; }

/* The form in which codes are compared with a vector: integers, or floats where they have no room for it. */
static Query query_of(const Coded *coded, const float *vector, Size dim, Scratch *scratch) {
    const Size components = components_of(coded);
    const int is_split = coded->form == OF_SPLIT_BYTES;
    uint8_t *integers = scratch->code + (is_split ? components : 0);
    if (coded->bits) {
        signs_prepare(vector, coded->centre, dim, coded->bits, scratch->code);
        return (Query){scratch->code, signs_compare};
    }
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

/* Halves of a byte end where a sixtieth of the components does. That is nothing to most queries; but one that they have
 * no room for consists of few components, and what is best for it of those that were cut off. */
static int is_beyond_halves(const Query *query) { return query->compare == comparing.levels_of_halves; }

static int by_distance(const void *a, const void *b) {
    Found x = *(const Found *)a, y = *(const Found *)b;
    return (x > y) - (x < y);
}

/* Orders the best of the pool, as many as it takes that the first `count` are, by the whole of their split bytes. */
static void compare_whole(const Coded *coded, const Query *query, Size count, Scratch *scratch) {
    const Size components = components_of(coded), width = coded->graph.width;
    const int is_beyond = is_beyond_halves(query);
    const uint8_t *whole = scratch->code + components * (is_beyond ? (Size)sizeof(float) : 1);
    uint8_t *bytes = scratch->code + query_bytes(coded) - components;
    Compare *compare = is_beyond ? comparing.levels : comparing.bytes;
    Pool *pool = &scratch->pool;
    Size wanted = 2 * count > count + WHOLE_MORE ? 2 * count : count + WHOLE_MORE;
    pool->size = wanted < pool->size && !is_beyond ? wanted : pool->size;
    for (Size i = 0; i < pool->size; i++)
        prefetch(code_of(&coded->graph, node_of(pool->items[i])) + width, width);
    for (Size i = 0; i < pool->size; i++) {
        int32_t node = node_of(pool->items[i]);
        read_split_bytes(code_of(&coded->graph, node), width, bytes);
        pool->items[i] = found(compare(whole, bytes, components), node);
    }
    qsort(pool->items, (size_t)pool->size, sizeof *pool->items, by_distance);
}

/* A distance, squared and in steps of the integers, as a pool has it. */
static float distance_by(const Coded *coded, const Query *query, Found item) {
    uint32_t bits = distance_of(item);
    float distance = (float)bits;
    if (query->compare == comparing.levels || is_beyond_halves(query))
        memcpy(&distance, &bits, sizeof distance);
    return coded->bits ? signs_distance(bits) : distance;
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
        if (coded->form == OF_SPLIT_BYTES)
            compare_whole(coded, &query, count, scratch);
        for (Size at = 0; at < count; at++) {
            int is_there = at < scratch->pool.size;
            distances[i * count + at] = is_there ? distance_by(coded, &query, scratch->pool.items[at]) : INFINITY;
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
        Size passing = rank(originals, mask, vector, is_beyond_halves(&query) ? ef : wanted, scratch, &ranking);
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
    Scratch *scratch = scratch_for(coded, BEYOND_MORE * wanted);
    if (scratch == NULL)
        return -1;
    const Size room = scratch->pool.room, usual = wanted < room ? wanted : room;
    for (Size i = 0; i < many; i++) {
        const float *vector = asked->vectors + i * originals->dim;
        Query query = query_of(coded, asked->compared + i * asked->dim, asked->dim, scratch);
        scratch->pool.room = is_beyond_halves(&query) ? room : usual;
        scan(&coded->graph, originals, nodes, admitted, &query, &scratch->pool);
        if (rank(originals, &ALL, vector, scratch->pool.room, scratch, &ranking) < 0)
            return -1;
        ranking.rows += ranking.size;
        ranking.scores += ranking.size;
    }
    return 0;
}
