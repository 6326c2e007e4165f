/* What is done for each of many queries. */
#include "search.h"

#include <math.h>

#define BEYOND_MORE 8 /* times as many are scored again in a scan for a query that halves have no room for */

/* This thread's, with room for a walk; NULL: no memory. The threads that search are few and live as long as the
 * process, so what they hold is not given back. */
static __attribute__((noinline)) Scratch *scratch_for(const Coded *coded, Size ef) {
    static _Thread_local Scratch mine;
    if (prepare(&mine, &coded->graph, ef) < 0 ||
        allot((void **)&mine.code, &mine.code_room, query_bytes(coded), 1) < 0)
        return NULL;
    return &mine;
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

static float square_of(const float *vector, Size dim) {
    float sum = 0;
    for (Size i = 0; i < dim; i++)
        sum += vector[i] * vector[i];
    return sum;
}

/* A distance is worth `most - step * distance`. */
typedef struct {
    float most, step;
} Scale;

static Scale scale_of(const Coded *coded, Worth worth, const float *query, Size dim) {
    const float square = coded->step * coded->step;
    if (worth == NEARNESS)
        return (Scale){0, square};
    return (Scale){worth == COSINE ? 1 : square_of(query, dim) / 2, square / 2};
}

/* Ranks all of the pool; -1: no memory. */
static int rank_by_code(const Coded *coded, const Query *query, Scale scale, const uint32_t *rows, Scratch *scratch,
                        Ranking *ranking) {
    const Pool *pool = &scratch->pool;
    if (allot((void **)&scratch->scored, &scratch->scored_room, pool->size, sizeof *scratch->scored) < 0)
        return -1;
    for (Size i = 0; i < pool->size; i++) {
        int32_t node = node_of(pool->items[i]);
        float score = scale.most - scale.step * distance_by(coded, query, pool->items[i]);
        scratch->scored[i] = scored_of(score, rows == NULL ? (uint32_t)node : rows[node]);
    }
    put(scratch->scored, pool->size, ranking);
    return 0;
}

int search_codes(const Coded *coded, Worth worth, const uint32_t *rows, const float *queries, Size many, Size dim,
                 Size ef, Size whole, Ranking ranking) {
    Scratch *scratch = scratch_for(coded, ef);
    if (scratch == NULL)
        return -1;
    for (Size i = 0; i < many; i++) {
        const float *vector = queries + i * dim;
        Query query = query_of(coded, vector, dim, scratch);
        if (walk_for(&coded->graph, &query, scratch) < 0)
            return -1;
        if (coded->form == OF_SPLIT_BYTES)
            compare_whole(coded, &query, whole, scratch);
        if (rank_by_code(coded, &query, scale_of(coded, worth, vector, dim), rows, scratch, &ranking) < 0)
            return -1;
    }
    return 0;
}

int search_best(const Coded *coded, const Originals *originals, const Mask *mask, const float *queries, Size many,
                Size ef, Size wanted, Ranking ranking, int64_t *walked) {
    Scratch *scratch = scratch_for(coded, ef);
    if (scratch == NULL)
        return -1;
    for (Size i = 0; i < many; i++) {
        const float *vector = queries + i * originals->dim;
        Query query = query_of(coded, vector, originals->dim, scratch);
        if (walk_for(&coded->graph, &query, scratch) < 0)
            return -1;
        Size passing = rank(originals, mask, vector, is_beyond_halves(&query) ? ef : wanted, scratch, &ranking);
        if (passing < 0)
            return -1;
        walked[2 * i] = scratch->pool.size;
        walked[2 * i + 1] = passing;
    }
    return 0;
}

int scan_best(const Coded *coded, const Originals *originals, const uint32_t *nodes, const Admitted *admitted,
              const float *queries, Size many, Size wanted, Ranking ranking) {
    static const Mask ALL = {NULL, 0};
    Scratch *scratch = scratch_for(coded, BEYOND_MORE * wanted);
    if (scratch == NULL)
        return -1;
    const Size room = scratch->pool.room, usual = wanted < room ? wanted : room;
    for (Size i = 0; i < many; i++) {
        const float *vector = queries + i * originals->dim;
        Query query = query_of(coded, vector, originals->dim, scratch);
        scratch->pool.room = is_beyond_halves(&query) ? room : usual;
        scan(&coded->graph, originals, nodes, admitted, &query, &scratch->pool);
        if (rank(originals, &ALL, vector, scratch->pool.room, scratch, &ranking) < 0)
            return -1;
    }
    return 0;
}
