/* An HNSW graph whose codes are compared as integers or as signs, and the walk over it.
 *
 * Lives here: reading links where FAISS keeps them or where they are mapped, packed (packed.h), and the search of
 * Malkov and Yashunin, "Efficient and robust approximate nearest neighbor search using Hierarchical Navigable
 * Small World graphs" (2016), algorithms 2 and 5. May not live here: Python, files, what queries are (query.h).
 *
 * Why it exists: a walk compares about a thousand codes that lie scattered over the file, and waits for memory
 * at each. Here all neighbours of a node are asked for before the first of them is compared, and the links of
 * the nodes that are likely next before that. docs/decisions/0012-native-walk.md has the figures.
 *
 * Invariants: a walk writes nothing to the graph; any number of threads may walk one, also while links are
 * made; links that lead outside the graph give wrong candidates, never an access outside it.
 */
#ifndef VECRAFT_GRAPH_H
#define VECRAFT_GRAPH_H

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "packed.h"

#define CACHE_LINE 64
#define PREFETCHED_MAX 2048 /* bytes of a code or row; the processor sees by itself that more of them are wanted */
#define AHEAD 2             /* nodes whose links are asked for before it is their turn */
#define NODES_MAX (INT64_C(1) << 31)

/* Codes where FAISS has them; links there, too, or packed. Packed links lead from *place* to place: a node's
 * number among those of its level. In FAISS's form, and on the lowest level, that is the node. */
typedef struct {
    const uint8_t *codes;
    const Level *packed; /* by level; NULL: links are FAISS's, and what follows is theirs */
    int32_t *neighbors;
    const uint64_t *offsets; /* of each node's first neighbour */
    const int32_t *starts;   /* of each level's neighbours among a node's, and the end of the last level's */
    int64_t count;
    Size width;  /* bytes of a code that walks compare; a vector's components are followed by zeros */
    Size stride; /* bytes from one code to the next */
    int levels; /* that nodes may have */
    int32_t entry;
    int top; /* the entry node's level */
} Graph;

/* A distance, a node, and whether its neighbours were looked at, in one number: numbers are ordered as the
 * distances are, and where these are equal as the nodes. */
typedef uint64_t Found;

static inline Found found(uint32_t distance, int32_t node) {
    return (uint64_t)distance << 32 | (uint64_t)(uint32_t)node << 1;
}
static inline uint32_t distance_of(Found item) { return (uint32_t)(item >> 32); }
static inline int32_t node_of(Found item) { return (int32_t)((uint32_t)item >> 1); }
static inline int is_expanded(Found item) { return (int)(item & 1); }

/* The best nodes so far, in order. */
typedef struct {
    Found *items;
    Size size, room;
    Size next; /* all before it were expanded */
} Pool;

/* A vector that was scored again. */
typedef struct {
    uint64_t order; /* the less, the better */
    float score;
    uint32_t row;
} Scored;

/* What one thread needs for a walk. */
typedef struct {
    Pool pool;
    Size pool_room; /* of the memory; the pool's own is the walk's ef */
    uint64_t *seen;       /* bits by node; zero between walks */
    Size seen_words;
    int32_t *touched; /* the nodes whose bits are set */
    Size touched_size, touched_room;
    int32_t *fresh; /* one node's neighbours, and of them those not seen before */
    Size fresh_room;
    uint8_t *code; /* of the query */
    Size code_room;
    Scored *scored; /* the candidates of one query */
    Size scored_room;
    float *unpacked; /* one vector */
    Size unpacked_room;
} Scratch;

/* The squared Euclidean distance of a query and a code, or a number that orders codes by it. */
typedef uint32_t Compare(const uint8_t *query, const uint8_t *code, Size width);

/* What a walk is to come near to: a code, or a vector in the form that `compare` takes. */
typedef struct {
    const uint8_t *code;
    Compare *compare;
} Query;

/* Codes are of a byte for each component, of half of one, or of bytes split in halves: all the upper ones come first,
 * which walks compare, and then the lower ones. Of halves each line holds 128, the first 64 in the lower halves of its
 * bytes. Such a half is the upper four of seven bits; a query has all seven. */
typedef enum { OF_BYTES, OF_HALVES, OF_SPLIT_BYTES } Form;
#define LINE_BYTES 64
#define HALF_STEPS 8
#define HALVES_MOST 127

/* Numbers told by `levels` are the bits of a float32. Their queries are float32, in the unit of the integers, and need
 * not be within their range. Of a pair of codes of halves the first takes the place of a query. */
typedef struct {
    Compare *bytes, *halves, *pairs_of_halves, *levels, *levels_of_halves;
} Comparing;

/* All that this processor can do, the quickest last, which is also `comparing`. */
#define COMPARISONS_MAX 3
extern Comparing comparisons[COMPARISONS_MAX], comparing;
extern int comparisons_size;

void choose_comparison(void);

/* The bytes that were split: as many halves are behind the `width` bytes of upper ones. */
void read_split_bytes(const uint8_t *code, Size width, uint8_t *bytes);

/* --- the graph ---------------------------------------------------------------------------------------------- */

static inline const uint8_t *code_of(const Graph *graph, int32_t node) {
    return graph->codes + (size_t)node * (size_t)graph->stride;
}

static inline uint32_t distance_to(const Graph *graph, const Query *query, int32_t node) {
    return query->compare(query->code, code_of(graph, node), graph->width);
}

static inline int32_t *neighbors_of(const Graph *graph, int32_t node, int level) {
    return graph->neighbors + graph->offsets[node] + graph->starts[level];
}

static inline int neighbors_max(const Graph *graph, int level) {
    return graph->starts[level + 1] - graph->starts[level];
}

/* A node's neighbours end with -1 where there are fewer than the most. Others may be writing them. */
static inline int32_t neighbor_at(const int32_t *neighbors, int at) {
    return __atomic_load_n(neighbors + at, __ATOMIC_RELAXED);
}

static inline int is_node(const Graph *graph, int32_t node) { return node >= 0 && node < graph->count; }

/* How many links a node may have on a level; for packed ones, how many any may have. */
static inline int links_max(const Graph *graph, int level) {
    return graph->packed != NULL ? LINKS_MAX : neighbors_max(graph, level);
}

/* Where the links of `place` lead to, in `links`, which has room for `links_max`; returns how many there are. */
static inline int links_of(const Graph *graph, int32_t place, int level, int32_t *links) {
    if (graph->packed != NULL)
        return unpack_links(graph->packed + level, place, links);
    const int32_t *neighbors = neighbors_of(graph, place, level);
    int most = neighbors_max(graph, level), size = 0;
    while (size < most && is_node(graph, links[size] = neighbor_at(neighbors, size)))
        size++;
    return size;
}

/* On the levels above the lowest; a place of a damaged file is some node all the same. */
static inline int32_t node_at(const Graph *graph, int32_t place, int level) {
    if (graph->packed == NULL || graph->packed[level].nodes == NULL)
        return place;
    uint32_t node = graph->packed[level].nodes[place];
    return node < graph->count ? (int32_t)node : 0;
}

static inline int32_t place_at(const Graph *graph, int32_t node, int level) {
    return graph->packed == NULL ? node : place_of(graph->packed + level, node);
}

/* Asks for all lines that `bytes` of memory are in; they may begin within one. */
static inline void prefetch(const void *memory, Size bytes) {
    const char *end = (const char *)memory + bytes;
    for (const char *line = end - bytes - (uintptr_t)memory % CACHE_LINE; line < end; line += CACHE_LINE)
        __builtin_prefetch(line);
}

/* Of what is read from its start to its end. */
static inline void prefetch_start(const void *memory, Size bytes) {
    prefetch(memory, bytes < PREFETCHED_MAX ? bytes : PREFETCHED_MAX);
}

static inline void prefetch_code(const Graph *graph, int32_t node) {
    prefetch_start(code_of(graph, node), graph->width);
}

/* --- what was found ----------------------------------------------------------------------------------------- */

/* Returns whether it is one of the best. */
static inline int keep(Pool *pool, Found item) {
    Size low = 0, left = pool->size;
    if (pool->size == pool->room) {
        if (item >= pool->items[pool->size - 1])
            return 0;
        left = --pool->size;
    }
    while (left > 0) { /* without a branch, as nobody can tell which half it will be */
        Size half = (left + 1) / 2;
        low += pool->items[low + half - 1] < item ? half : 0;
        left -= half;
    }
    memmove(pool->items + low + 1, pool->items + low, (size_t)(pool->size - low) * sizeof(Found));
    pool->items[low] = item;
    pool->size++;
    if (low < pool->next)
        pool->next = low;
    return 1;
}

/* Is the nearest node whose neighbours were not looked at yet likely to be `node`, which was kept just now? */
static inline int is_next(const Pool *pool, int32_t node) {
    return pool->next < pool->size && node_of(pool->items[pool->next]) == node;
}

/* The nearest node whose neighbours were not looked at yet; -1: there is none. */
static inline int32_t expand_next(Pool *pool) {
    while (pool->next < pool->size && is_expanded(pool->items[pool->next]))
        pool->next++;
    if (pool->next == pool->size)
        return -1;
    pool->items[pool->next] |= 1;
    return node_of(pool->items[pool->next++]);
}

/* Asks for what tells where the links of `place` are. */
static inline void prefetch_place(const Graph *graph, int32_t place, int level) {
    if (graph->packed != NULL)
        __builtin_prefetch(block_of(graph->packed + level, place));
    else
        __builtin_prefetch(graph->offsets + place);
}

static inline void prefetch_links(const Graph *graph, int32_t place, int level) {
    if (graph->packed != NULL) {
        prefetch_packed(graph->packed + level, place);
        return;
    }
    const int32_t *neighbors = neighbors_of(graph, place, level);
    prefetch(neighbors, neighbors_max(graph, level) * (Size)sizeof *neighbors);
}

static inline void prefetch_next(const Graph *graph, const Pool *pool, int level) {
    int wanted = AHEAD;
    for (Size at = pool->next; at < pool->size && wanted > 0; at++)
        if (!is_expanded(pool->items[at])) {
            prefetch_links(graph, node_of(pool->items[at]), level);
            wanted--;
        }
}

/* --- the walk ----------------------------------------------------------------------------------------------- */

/* Returns whether `node` was not seen before in this walk; there must be room for one more. */
static inline int see(Scratch *scratch, int32_t node) {
    uint64_t bit = UINT64_C(1) << (node & 63), *word = scratch->seen + (node >> 6);
    if (*word & bit)
        return 0;
    *word |= bit;
    scratch->touched[scratch->touched_size++] = node;
    return 1;
}

static inline void forget(Scratch *scratch) {
    for (Size i = 0; i < scratch->touched_size; i++)
        scratch->seen[scratch->touched[i] >> 6] = 0;
    scratch->touched_size = 0;
}

/* Room to see `more` nodes; -1: no memory. */
static inline int make_room(Scratch *scratch, Size more) {
    Size wanted = scratch->touched_size + more;
    if (wanted <= scratch->touched_room)
        return 0;
    int32_t *grown = realloc(scratch->touched, (size_t)(2 * wanted) * sizeof *grown);
    if (grown == NULL)
        return -1;
    scratch->touched = grown;
    scratch->touched_room = 2 * wanted;
    return 0;
}

/* The place where one gets from `place` by always going to the nearest neighbour. `links`: room for a place's. */
static inline int32_t descend(const Graph *graph, const Query *query, int32_t place, int level, int32_t *links) {
    uint32_t nearest = distance_to(graph, query, node_at(graph, place, level));
    for (int32_t last = -1; last != place;) {
        int size = links_of(graph, place, level, links);
        last = place;
        for (int i = 0; i < size; i++)
            prefetch_code(graph, node_at(graph, links[i], level));
        for (int i = 0; i < size; i++) {
            uint32_t distance = distance_to(graph, query, node_at(graph, links[i], level));
            if (distance < nearest) {
                nearest = distance;
                place = links[i];
            }
        }
    }
    return place;
}

/* Compares all neighbours of `node` that were not seen before. */
static inline void expand(const Graph *graph, const Query *query, int32_t node, int level, Scratch *scratch) {
    int32_t *links = scratch->fresh;
    int most = links_of(graph, node, level, links), size = 0;
    for (int i = 0; i < most; i++)
        if (see(scratch, links[i])) {
            prefetch_code(graph, links[i]);
            links[size++] = links[i];
        }
    prefetch_next(graph, &scratch->pool, level);
    for (int i = 0; i < size; i++)
        if (keep(&scratch->pool, found(distance_to(graph, query, links[i]), links[i]))) {
            if (is_next(&scratch->pool, links[i]))
                prefetch_links(graph, links[i], level);
            else
                prefetch_place(graph, links[i], level);
        }
}

/* Fills the pool with the nodes of `level` nearest to `query`, from `node` on; -1: no memory. The level is the
 * lowest, or links are FAISS's: elsewhere a place is no node. */
static inline int gather(const Graph *graph, const Query *query, int32_t node, int level, Scratch *scratch) {
    Pool *pool = &scratch->pool;
    int most = links_max(graph, level), done = make_room(scratch, 1);
    pool->size = pool->next = 0;
    if (done < 0)
        return done;
    see(scratch, node);
    keep(pool, found(distance_to(graph, query, node), node));
    while ((node = expand_next(pool)) >= 0 && (done = make_room(scratch, most)) == 0)
        expand(graph, query, node, level, scratch);
    forget(scratch);
    return done;
}

/* At least `wanted` elements at `*memory`, which has `*room`; -1: no memory. What was there is lost. */
static inline int allot(void **memory, Size *room, Size wanted, size_t element) {
    if (*room >= wanted)
        return 0;
    free(*memory);
    *memory = calloc((size_t)wanted, element);
    *room = *memory == NULL ? 0 : wanted;
    return *memory == NULL ? -1 : 0;
}

/* Room for walks that keep `ef` nodes; -1: no memory. */
static inline int prepare(Scratch *scratch, const Graph *graph, Size ef) {
    Size words = (graph->count + 63) / 64, room = ef < graph->count ? ef : graph->count;
    int done = allot((void **)&scratch->seen, &scratch->seen_words, words, sizeof *scratch->seen);
    done |= allot((void **)&scratch->pool.items, &scratch->pool_room, room, sizeof *scratch->pool.items);
    Size links = graph->packed != NULL ? LINKS_MAX : graph->starts[graph->levels];
    done |= allot((void **)&scratch->fresh, &scratch->fresh_room, links, sizeof *scratch->fresh);
    scratch->pool.room = room;
    return done;
}

#endif
