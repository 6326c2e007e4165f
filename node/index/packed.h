/* Links of one level of a graph, packed: as many bits for each as its number takes, and no room for those that are not.
 *
 * Lives here: where a place's links are, and reading them. May not live here: what links lead to is like (graph.h),
 * files (packed_links.py, which also writes what is read here).
 *
 * A link takes so few bits that a walk, which waits for memory, is no slower for unpacking it, and reads one line of
 * the cache less. docs/decisions/0002-graphs-over-codes.md has the figures.
 *
 * Invariant: whatever the bytes are, nothing outside them is read, and every link leads to a place of the level.
 */
#ifndef VECRAFT_PACKED_H
#define VECRAFT_PACKED_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

typedef ptrdiff_t Size;

#define LINKS_MAX 255    /* of a place: a byte says how many */
#define BLOCK_PLACES 24  /* whose numbers of links stand together, behind how many there are before them (u64) */
#define BLOCK_BYTES 32
#define LINK_BITS_MAX 31 /* so that a link is within eight bytes wherever it begins */
#define SPARE_BYTES 8    /* behind the last link */

/* Little-endian, as are the processors that this is for. */
typedef struct {
    const uint8_t *blocks;
    const uint8_t *links;  /* `width` bits each */
    const uint32_t *nodes; /* of each place, ascending; NULL: its own number */
    int64_t count;         /* of places */
    uint64_t size;         /* of links */
    int width;
} Level;

static inline const uint8_t *block_of(const Level *level, int32_t place) {
    return level->blocks + (size_t)((uint32_t)place / BLOCK_PLACES) * BLOCK_BYTES;
}

/* Where among the level's links those of a place begin, and how many there are. */
typedef struct {
    uint64_t first;
    int size;
} Run;

/* The sum of the first `most` of 24 bytes. */
static inline uint64_t sum_of_bytes(const uint8_t *bytes, int most) {
    const uint64_t each_second = UINT64_C(0x00ff00ff00ff00ff);
    uint64_t sums = 0;
    for (int at = 0; at < BLOCK_PLACES; at += 8) {
        uint64_t word, wanted = most - at >= 8 ? 8 : most > at ? (uint64_t)(most - at) : 0;
        memcpy(&word, bytes + at, sizeof word);
        word = wanted == 8 ? word : word & ((UINT64_C(1) << 8 * wanted) - 1);
        sums += (word & each_second) + (word >> 8 & each_second);
    }
    return sums * UINT64_C(0x0001000100010001) >> 48;
}

static inline Run run_of(const Level *level, int32_t place) {
    const uint8_t *block = block_of(level, place), *sizes = block + sizeof(uint64_t);
    int at = (int)((uint32_t)place % BLOCK_PLACES);
    Run run = {.size = sizes[at]};
    memcpy(&run.first, block, sizeof run.first);
    run.first += sum_of_bytes(sizes, at);
    if (run.first > level->size || level->size - run.first < (uint64_t)run.size)
        run = (Run){0, 0}; /* of a damaged file */
    return run;
}

static inline uint32_t packed_at(const uint8_t *links, uint64_t bit, uint64_t mask) {
    uint64_t word;
    memcpy(&word, links + (bit >> 3), sizeof word);
    return (uint32_t)(word >> (bit & 7) & mask);
}

/* Returns how many there are. */
static inline int unpack_links(const Level *level, int32_t place, int32_t *links) {
    Run run = run_of(level, place);
    uint64_t bit = run.first * (uint64_t)level->width, mask = (UINT64_C(1) << level->width) - 1;
    for (int i = 0; i < run.size; i++, bit += (uint64_t)level->width) {
        uint32_t link = packed_at(level->links, bit, mask);
        if (link >= level->count)
            return i;
        links[i] = (int32_t)link;
    }
    return run.size;
}

static inline void prefetch_packed(const Level *level, int32_t place) {
    Run run = run_of(level, place);
    const uint8_t *first = level->links + (run.first * (uint64_t)level->width >> 3);
    Size bytes = ((Size)run.size * level->width + 14) / 8;
    for (Size i = 0; i < bytes; i += 64)
        __builtin_prefetch(first + i);
    if (bytes > 0)
        __builtin_prefetch(first + bytes - 1);
}

/* The place of a node, or where it would be. */
static inline int32_t place_of(const Level *level, int32_t node) {
    int64_t low = 0, high = level->count - 1;
    if (level->nodes == NULL)
        return node;
    while (low < high) {
        int64_t middle = (low + high) / 2;
        if (level->nodes[middle] < (uint32_t)node)
            low = middle + 1;
        else
            high = middle;
    }
    return (int32_t)low;
}

#endif
