/* Comparing the codes of all nodes that a filter admits. */
#include "scan.h"

#define AHEAD_CODES 8 /* that are asked for before it is their turn */
#define BLOCK 256
#define WORD 64

/* Nodes that wait to be compared. */
typedef struct {
    int32_t nodes[BLOCK];
    Size size;
} Block;

static void compare_block(const Graph *graph, const Query *query, Block *block, Pool *pool) {
    for (Size i = 0; i < block->size && i < AHEAD_CODES; i++)
        prefetch_code(graph, block->nodes[i]);
    for (Size i = 0; i < block->size; i++) {
        if (i + AHEAD_CODES < block->size)
            prefetch_code(graph, block->nodes[i + AHEAD_CODES]);
        int32_t node = block->nodes[i];
        keep(pool, found(distance_to(graph, query, node), node));
    }
    block->size = 0;
}

/* A row that is no node's is a twin, or of a damaged file. */
static inline void add(Block *block, const Graph *graph, const uint32_t *nodes, int64_t row) {
    int64_t node = nodes == NULL ? row : (int64_t)nodes[row];
    if (node < graph->count)
        block->nodes[block->size++] = (int32_t)node;
}

static uint64_t word_at(const Mask *mask, Size first) {
    uint64_t word = 0;
    Size bytes = (mask->count - first) / 8;
    memcpy(&word, mask->bits + first / 8, (size_t)(bytes < 8 ? bytes : 8));
    return word;
}

static void scan_bits(const Graph *graph, const uint32_t *nodes, const Mask *mask, Size rows, const Query *query,
                      Pool *pool) {
    Block block = {.size = 0};
    for (Size first = 0; first < mask->count && first < rows; first += WORD) {
        for (uint64_t word = word_at(mask, first); word != 0; word &= word - 1) {
            int64_t row = first + __builtin_ctzll(word);
            if (row < rows)
                add(&block, graph, nodes, row);
        }
        if (block.size > BLOCK - WORD)
            compare_block(graph, query, &block, pool);
    }
    compare_block(graph, query, &block, pool);
}

static void scan_listed(const Graph *graph, const uint32_t *nodes, const Admitted *admitted, Size rows,
                        const Query *query, Pool *pool) {
    Block block = {.size = 0};
    for (Size i = 0; i < admitted->count; i++) {
        int64_t row = admitted->rows[i];
        if (0 <= row && row < rows)
            add(&block, graph, nodes, row);
        if (block.size == BLOCK)
            compare_block(graph, query, &block, pool);
    }
    compare_block(graph, query, &block, pool);
}

void scan(const Graph *graph, const Originals *originals, const uint32_t *nodes, const Admitted *admitted,
          const Query *query, Pool *pool) {
    pool->size = pool->next = 0;
    if (admitted->rows != NULL)
        scan_listed(graph, nodes, admitted, originals->count, query, pool);
    else
        scan_bits(graph, nodes, &admitted->mask, originals->count, query, pool);
}
