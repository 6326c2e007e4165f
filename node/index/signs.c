/* Comparing codes of signs. */
#include "signs.h"

#include <math.h>
#ifdef __x86_64__
#include <immintrin.h>
#endif

#define WORD_BITS 64
#define SUMS 16
#define INLINE static inline __attribute__((always_inline))

typedef struct {
    float square;              /* of the query's length without the centre */
    float dot, ones, constant; /* what a common bit, a set bit and the query itself add to the inner product */
    int64_t bits;
    uint64_t planes[]; /* for each bit, of each 64 components those that have it */
} Planes;

Size signs_components(Size width) { return 8 * (width - SIGNS_NUMBERS_BYTES); }

Size signs_query_bytes(Size components, int bits) {
    return (Size)sizeof(Planes) + components / WORD_BITS * bits * (Size)sizeof(uint64_t);
}

/* The least and the greatest component without the centre's, and the sum of their squares. */
static void measure(const float *vector, const float *centre, Size components, float *least, float *most, float *square) {
    float lows[SUMS], highs[SUMS], sums[SUMS] = {0};
    for (int at = 0; at < SUMS; at++) {
        lows[at] = INFINITY;
        highs[at] = -INFINITY;
    }
    for (Size i = 0; i < components; i += SUMS)
        for (int at = 0; at < SUMS; at++) {
            float component = vector[i + at] - centre[i + at];
            lows[at] = component < lows[at] ? component : lows[at];
            highs[at] = component > highs[at] ? component : highs[at];
            sums[at] += component * component;
        }
    for (int at = 0; at < SUMS; at++) {
        *least = lows[at] < *least ? lows[at] : *least;
        *most = highs[at] > *most ? highs[at] : *most;
        *square += sums[at];
    }
}

/* One bit of each of a word's bytes: of eight bytes a product brings theirs together. */
static uint64_t bits_of(const uint8_t *levels, int bit) {
    uint64_t word = 0;
    for (int at = 0; at < WORD_BITS; at += 8) {
        uint64_t eight;
        memcpy(&eight, levels + at, sizeof eight);
        eight = (eight >> bit & UINT64_C(0x0101010101010101)) * UINT64_C(0x0102040810204080) >> 56;
        word |= eight << at;
    }
    return word;
}

void signs_prepare(const float *vector, const float *centre, Size components, int bits, void *prepared) {
    Planes *query = prepared;
    float least = INFINITY, most = -INFINITY, square = 0;
    uint64_t sum = 0;
    measure(vector, centre, components, &least, &most, &square);
    float step = (most - least) / (float)((1 << bits) - 1), worth = 1 / sqrtf((float)components);
    memset(query->planes, 0, (size_t)(components / WORD_BITS * bits) * sizeof(uint64_t));
    for (Size i = 0; i < components && step > 0 && isfinite(square); i += WORD_BITS) {
        uint8_t levels[WORD_BITS];
        for (Size at = 0; at < WORD_BITS; at++)
            levels[at] = (uint8_t)(int)((vector[i + at] - centre[i + at] - least) / step + 0.5F);
        for (Size at = 0; at < WORD_BITS; at++)
            sum += levels[at];
        for (int bit = 0; bit < bits; bit++)
            query->planes[bit * (components / WORD_BITS) + i / WORD_BITS] = bits_of(levels, bit);
    }
    query->square = square;
    query->dot = 2 * step * worth;
    query->ones = 2 * least * worth;
    query->constant = worth * (step * (float)sum + (float)components * least);
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

/* How many components of a code are set, and the sum of the query's integers of these. */
typedef struct {
    uint64_t ones, dot;
} Counts;

static inline uint32_t estimate(const Planes *query, const uint8_t *code, Size words, Counts counts) {
    float numbers[2];
    memcpy(numbers, code + words * (Size)sizeof(uint64_t), sizeof numbers);
    float product = query->dot * (float)counts.dot + query->ones * (float)counts.ones - query->constant;
    return ordered(numbers[0] + query->square - 2 * numbers[1] * product);
}

static inline Size words_of(Size width) { return (width - SIGNS_NUMBERS_BYTES) / (Size)sizeof(uint64_t); }

INLINE Counts count_words(const Planes *query, const uint8_t *code, Size words, int bits) {
    uint64_t common[8] = {0};
    Counts counts = {0, 0};
    for (Size i = 0; i < words; i++) {
        uint64_t signs;
        memcpy(&signs, code + i * (Size)sizeof signs, sizeof signs);
        counts.ones += (uint64_t)__builtin_popcountll(signs);
        for (int bit = 0; bit < bits; bit++)
            common[bit] += (uint64_t)__builtin_popcountll(signs & query->planes[bit * words + i]);
    }
    for (int bit = 0; bit < bits; bit++)
        counts.dot += common[bit] << bit;
    return counts;
}

INLINE uint32_t compare_words(const uint8_t *prepared, const uint8_t *code, Size width) {
    const Planes *query = (const Planes *)(const void *)prepared;
    Size words = words_of(width);
    if (query->bits == 4) /* so that the compiler unrolls it */
        return estimate(query, code, words, count_words(query, code, words, 4));
    if (query->bits == 8)
        return estimate(query, code, words, count_words(query, code, words, 8));
    return estimate(query, code, words, count_words(query, code, words, (int)query->bits));
}

static uint32_t compare_anywhere(const uint8_t *query, const uint8_t *code, Size width) {
    return compare_words(query, code, width);
}

#ifdef __x86_64__
__attribute__((target("popcnt"))) static uint32_t compare_counting(const uint8_t *query, const uint8_t *code,
                                                                   Size width) {
    return compare_words(query, code, width);
}

#define ONES_SHIFT 40 /* a code's components are fewer than 2^24, and count 255 each */
#define VECTORS __attribute__((target("avx512f,avx512vpopcntdq,popcnt")))

/* The bits one above the other, so that a common component counts as much as its bit does; how many are set stands
 * above these sums, so that lanes are added up once. */
VECTORS INLINE Counts count_vectors(const Planes *query, const uint8_t *code, Size words, int bits) {
    __m512i counts = _mm512_setzero_si512();
    for (Size i = 0; i < words; i += 8) {
        __mmask8 within = (__mmask8)(words - i >= 8 ? 0xff : (1 << (words - i)) - 1);
        __m512i signs = _mm512_maskz_loadu_epi64(within, code + i * (Size)sizeof(uint64_t)), sum = _mm512_setzero_si512();
        for (int bit = bits - 1; bit >= 0; bit--) {
            __m512i plane = _mm512_maskz_loadu_epi64(within, query->planes + bit * words + i);
            __m512i common = _mm512_popcnt_epi64(_mm512_and_si512(signs, plane));
            sum = _mm512_add_epi64(_mm512_add_epi64(sum, sum), common);
        }
        sum = _mm512_add_epi64(sum, _mm512_slli_epi64(_mm512_popcnt_epi64(signs), ONES_SHIFT));
        counts = _mm512_add_epi64(counts, sum);
    }
    uint64_t both = (uint64_t)_mm512_reduce_add_epi64(counts);
    return (Counts){both >> ONES_SHIFT, both & ((UINT64_C(1) << ONES_SHIFT) - 1)};
}

VECTORS static uint32_t compare_vectors(const uint8_t *prepared, const uint8_t *code, Size width) {
    const Planes *query = (const Planes *)(const void *)prepared;
    Size words = words_of(width);
    if (query->bits == 4)
        return estimate(query, code, words, count_vectors(query, code, words, 4));
    return estimate(query, code, words, count_vectors(query, code, words, (int)query->bits));
}
#endif

Compare *signs_comparisons[SIGNS_COMPARISONS_MAX] = {compare_anywhere};
int signs_comparisons_size = 1;
Compare *signs_compare = compare_anywhere;

void signs_choose(void) {
    signs_comparisons_size = 1;
#ifdef __x86_64__
    __builtin_cpu_init();
    if (__builtin_cpu_supports("popcnt"))
        signs_comparisons[signs_comparisons_size++] = compare_counting;
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vpopcntdq"))
        signs_comparisons[signs_comparisons_size++] = compare_vectors;
#endif
    signs_compare = signs_comparisons[signs_comparisons_size - 1];
}
