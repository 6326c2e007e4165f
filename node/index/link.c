/* Linking nodes into a graph: Malkov and Yashunin (2016), algorithms 1 and 4, as FAISS does it.
 *
 * May not live here: which level a node is on, where links are kept; both are FAISS's.
 *
 * A node is not reachable before all of its own links are written: a walk that came by it would end there. Links are
 * written under the node's lock and read without one, each whole: a walk may meet old ones, which does no harm.
 */
#include "link.h"

#include <sched.h>

/* Where one thread works. */
typedef struct {
    const Linking *linking;
    Scratch scratch;
    int32_t *own; /* a node's links on all levels */
    Found *chosen;
    Pool rivals; /* the neighbours of a node that has one too many */
} Desk;

/* A node's code, to be compared with others. */
static Query query_for(const Linking *linking, int32_t node) {
    const uint8_t *code = code_of(linking->graph, node);
    return (Query){code, linking->form == OF_BYTES ? comparing.bytes : comparing.pairs_of_halves};
}

static void lock(uint8_t *one) {
    while (__atomic_exchange_n(one, 1, __ATOMIC_ACQUIRE))
        sched_yield();
}

static void unlock(uint8_t *one) { __atomic_store_n(one, 0, __ATOMIC_RELEASE); }

/* Of nodes in order, nearest to some node first, at most `most` that are nearer to it than to any chosen before. */
static int choose(Desk *desk, const Pool *from, int most) {
    const Graph *graph = desk->linking->graph;
    Found *chosen = desk->chosen;
    int size = 0;
    for (Size i = 0; i < from->size && size < most; i++) {
        const Query query = query_for(desk->linking, node_of(from->items[i]));
        int is_apart = 1;
        for (int at = 0; at < size && is_apart; at++)
            is_apart = distance_to(graph, &query, node_of(chosen[at])) >= distance_of(from->items[i]);
        if (is_apart)
            chosen[size++] = from->items[i];
    }
    return size;
}

static void write_links(int32_t *neighbors, int most, const Found *chosen, int size) {
    for (int i = 0; i < most; i++)
        __atomic_store_n(neighbors + i, i < size ? node_of(chosen[i]) : -1, __ATOMIC_RELAXED);
}

/* Makes `node` a neighbour of `other`, if it is among those that are chosen. */
static void link_back(Desk *desk, int32_t other, int32_t node, int level) {
    const Graph *graph = desk->linking->graph;
    int32_t *neighbors = neighbors_of(graph, other, level);
    int most = neighbors_max(graph, level), size = 0;
    lock(desk->linking->locks + other);
    while (size < most && is_node(graph, neighbors[size]))
        prefetch_code(graph, neighbors[size++]);
    if (size < most) {
        __atomic_store_n(neighbors + size, node, __ATOMIC_RELAXED);
    } else {
        const Query query = query_for(desk->linking, other);
        Pool *rivals = &desk->rivals;
        rivals->size = 0;
        keep(rivals, found(distance_to(graph, &query, node), node));
        for (int i = 0; i < most; i++)
            keep(rivals, found(distance_to(graph, &query, neighbors[i]), neighbors[i]));
        write_links(neighbors, most, desk->chosen, choose(desk, rivals, most));
    }
    unlock(desk->linking->locks + other);
}

/* Writes the node's own links, level by level downwards; -1: no memory. */
static int link_on(Desk *desk, int32_t node) {
    const Graph *graph = desk->linking->graph;
    const Query query = query_for(desk->linking, node);
    int levels = desk->linking->levels[node];
    int32_t nearest = graph->entry;
    for (int level = graph->top; level >= levels; level--)
        nearest = descend(graph, &query, nearest, level, desk->scratch.fresh);
    for (int level = levels - 1 < graph->top ? levels - 1 : graph->top; level >= 0; level--) {
        int most = neighbors_max(graph, level);
        Pool *pool = &desk->scratch.pool;
        if (gather(graph, &query, nearest, level, &desk->scratch) < 0)
            return -1;
        nearest = node_of(pool->items[0]);
        if (pool->size < most)
            write_links(neighbors_of(graph, node, level), most, pool->items, (int)pool->size);
        else
            write_links(neighbors_of(graph, node, level), most, desk->chosen, choose(desk, pool, most));
    }
    return 0;
}

static int link_node(Desk *desk, int32_t node) {
    const Graph *graph = desk->linking->graph;
    int levels = desk->linking->levels[node];
    if (node == graph->entry)
        return 0;
    if (link_on(desk, node) < 0)
        return -1;
    /* A copy: as soon as the first neighbour links back, others may add to the node's own links. */
    memcpy(desk->own, neighbors_of(graph, node, 0), (size_t)graph->starts[levels] * sizeof *desk->own);
    for (int level = 0; level < levels; level++) {
        const int32_t *own = desk->own + graph->starts[level];
        for (int i = 0; i < neighbors_max(graph, level) && is_node(graph, own[i]); i++)
            link_back(desk, own[i], node, level);
    }
    return 0;
}

static void clear(Desk *desk) {
    free(desk->scratch.pool.items);
    free(desk->scratch.seen);
    free(desk->scratch.touched);
    free(desk->scratch.fresh);
    free(desk->own);
    free(desk->chosen);
    free(desk->rivals.items);
}

int link_nodes(const Linking *linking) {
    const Graph *graph = linking->graph;
    size_t most = (size_t)neighbors_max(graph, 0), all = (size_t)graph->starts[graph->levels];
    for (int level = 1; level < graph->levels; level++)
        most = most < (size_t)neighbors_max(graph, level) ? (size_t)neighbors_max(graph, level) : most;
    Desk desk = {.linking = linking};
    int done = prepare(&desk.scratch, graph, linking->ef);
    desk.own = malloc(all * sizeof *desk.own);
    desk.chosen = malloc(most * sizeof *desk.chosen);
    desk.rivals = (Pool){.items = malloc((most + 1) * sizeof *desk.rivals.items), .room = (Size)most + 1};
    if (desk.own == NULL || desk.chosen == NULL || desk.rivals.items == NULL)
        done = -1;
    while (done == 0) {
        int64_t at = __atomic_fetch_add(linking->next, 1, __ATOMIC_RELAXED);
        if (at >= linking->size)
            break;
        done = link_node(&desk, linking->order[at]);
    }
    clear(&desk);
    return done;
}
