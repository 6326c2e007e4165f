/* Comparing codes of signs. */
#include "signs.h"

#include <math.h>

#define WORD_BITS 64

typedef struct {
    float square;              /* of the query's length without the centre */
    float dot, ones, constant; /* what a common bit, a set bit and the query itself add to the inner product */
    int64_t bits;
    uint64_t planes[]; /* for each 64 components, of each bit those that have it */
} Planes;

Size signs_components(Size width) { return 8 * (width - SIGNS_NUMBERS_BYTES); }

Size signs_query_bytes(Size components, int bits) {
    return (Size)sizeof(Planes) + components / WORD_BITS * bits * (Size)sizeof(uint64_t);
}

void signs_prepare(const float *vector, const float *centre, Size components, int bits, void *prepared) {
    Planes *query = prepared;
    float least = INFINITY, most = -INFINITY, square = 0, sum = 0;
    for (Size i = 0; i < components; i++) {
        float component = vector[i] - centre[i];
        least = component < least ? component : least;
        most = component > most ? component : most;
        square += component * component;
    }
    float step = (most - least) / (float)((1 << bits) - 1), worth = 1 / sqrtf((float)components);
    memset(query->planes, 0, (size_t)(components / WORD_BITS * bits) * sizeof(uint64_t));
    for (Size i = 0; i < components && step > 0 && isfinite(square); i++) {
        uint32_t level = (uint32_t)((vector[i] - centre[i] - least) / step + 0.5F);
        sum += (float)level;
        for (int bit = 0; bit < bits; bit++)
            query->planes[i / WORD_BITS * bits + bit] |= (uint64_t)(level >> bit & 1) << (i % WORD_BITS);
    }
    query->square = square;
    query->dot = 2 * step * worth;
    query->ones = 2 * least * worth;
    query->constant = worth * (step * sum + (float)components * least);
    query->bits = bits;
}

/* Floats as numbers of the same order. */
static inline uint32_t ordered(float value) {
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits >> 31 ? ~bits : bits | UINT32_C(1) << 31;
}

float signs_distance(uint32_t number) {
    uint32_t bits = number >> 31 ? number & ~(UINT32_C(1) << 31) : ~number;
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

static inline __attribute__((always_inline)) uint32_t estimate(const Planes *query, const uint8_t *code, Size words,
                                                               int bits) {
    uint64_t common[8] = {0}, ones = 0, dot = 0;
    for (Size i = 0; i < words; i++) {
        uint64_t signs;
        memcpy(&signs, code + i * (Size)sizeof signs, sizeof signs);
        ones += (uint64_t)__builtin_popcountll(signs);
        for (int bit = 0; bit < bits; bit++)
            common[bit] += (uint64_t)__builtin_popcountll(signs & query->planes[i * bits + bit]);
    }
    for (int bit = 0; bit < bits; bit++)
        dot += common[bit] << bit;
    float numbers[2];
    memcpy(numbers, code + words * (Size)sizeof(uint64_t), sizeof numbers);
    float product = query->dot * (float)dot + query->ones * (float)ones - query->constant;
    return ordered(numbers[0] + query->square - 2 * numbers[1] * product);
}

static inline __attribute__((always_inline)) uint32_t compare_words(const uint8_t *prepared, const uint8_t *code,
                                                                    Size width) {
    const Planes *query = (const Planes *)(const void *)prepared;
    Size words = (width - SIGNS_NUMBERS_BYTES) / (Size)sizeof(uint64_t);
    if (query->bits == 4) /* so that the compiler unrolls it */
        return estimate(query, code, words, 4);
    if (query->bits == 8)
        return estimate(query, code, words, 8);
    return estimate(query, code, words, (int)query->bits);
}

#ifdef __x86_64__
__attribute__((target("popcnt"))) static uint32_t compare_counting(const uint8_t *query, const uint8_t *code,
                                                                   Size width) {
    return compare_words(query, code, width);
}
#endif

uint32_t signs_compare(const uint8_t *query, const uint8_t *code, Size width) {
#ifdef __x86_64__
    if (__builtin_cpu_supports("popcnt"))
        return compare_counting(query, code, width);
#endif
    return compare_words(query, code, width);
}
