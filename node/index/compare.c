/* Comparing a query with a code, as each kind of processor does it best. All ways give the same number. */
#include "graph.h"
#ifdef __x86_64__
#include <immintrin.h>
#endif

#define SUMS 16
#define INLINE static inline __attribute__((always_inline))

INLINE uint32_t sum_of_squares(const uint8_t *a, const uint8_t *b, Size width) {
    int32_t sum = 0;
    for (Size i = 0; i < width; i++) {
        int16_t difference = (int16_t)(a[i] - b[i]);
        sum += (int32_t)difference * difference;
    }
    return (uint32_t)sum;
}

static inline uint8_t half(uint8_t byte, int is_second) { return is_second ? byte >> 4 : byte & 15; }

/* The integers that the first or second 64 halves of a line stand for. */
INLINE void read_line(const uint8_t *line, int is_second, uint8_t *integers) {
    for (int i = 0; i < LINE_BYTES; i++)
        integers[i] = (uint8_t)(half(line[i], is_second) * HALF_STEPS);
}

void read_split_bytes(const uint8_t *code, Size width, uint8_t *bytes) {
    for (Size at = 0; at < width; at += LINE_BYTES)
        for (int second = 0; second < 2; second++, bytes += LINE_BYTES)
            for (int i = 0; i < LINE_BYTES; i++)
                bytes[i] = (uint8_t)(half(code[at + i], second) << 4 | half(code[width + at + i], second));
}

static uint32_t compare_bytes(const uint8_t *query, const uint8_t *code, Size width) {
    return sum_of_squares(query, code, width);
}

static uint32_t compare_halves(const uint8_t *query, const uint8_t *code, Size width) {
    uint8_t integers[LINE_BYTES];
    uint32_t sum = 0;
    for (Size at = 0; at < width; at += LINE_BYTES)
        for (int second = 0; second < 2; second++, query += LINE_BYTES) {
            read_line(code + at, second, integers);
            sum += sum_of_squares(query, integers, LINE_BYTES);
        }
    return sum;
}

static uint32_t compare_pairs_of_halves(const uint8_t *a, const uint8_t *b, Size width) {
    int32_t sum = 0;
    for (Size i = 0; i < width; i++)
        for (int second = 0; second < 2; second++) {
            int32_t difference = half(a[i], second) - half(b[i], second);
            sum += difference * difference;
        }
    return (uint32_t)sum * HALF_STEPS * HALF_STEPS;
}

/* --- queries that are not within the range of the integers -------------------------------------------------------- */

/* Adds to sixteen sums, each of every sixteenth component, so that every processor adds up in the same order. */
INLINE void add_squares(float *sums, const float *levels, const uint8_t *integers, Size size) {
    Size i = 0;
    for (; i + SUMS <= size; i += SUMS)
        for (int at = 0; at < SUMS; at++) {
            float difference = levels[i + at] - (float)integers[i + at];
            sums[at] += difference * difference;
        }
    for (; i < size; i++)
        sums[0] += (levels[i] - (float)integers[i]) * (levels[i] - (float)integers[i]);
}

/* As numbers, the bits of floats that are not negative are in their order. */
INLINE uint32_t total_of(const float *sums) {
    float sum = 0;
    uint32_t bits;
    for (int at = 0; at < SUMS; at++)
        sum += sums[at];
    memcpy(&bits, &sum, sizeof bits);
    return bits;
}

INLINE uint32_t distance_of_levels(const uint8_t *query, const uint8_t *code, Size width) {
    float sums[SUMS] = {0};
    add_squares(sums, (const float *)(const void *)query, code, width);
    return total_of(sums);
}

static uint32_t compare_levels(const uint8_t *query, const uint8_t *code, Size width) {
    return distance_of_levels(query, code, width);
}

static uint32_t compare_levels_of_halves(const uint8_t *query, const uint8_t *code, Size width) {
    const float *levels = (const float *)(const void *)query;
    uint8_t integers[LINE_BYTES];
    float sums[SUMS] = {0};
    for (Size at = 0; at < width; at += LINE_BYTES)
        for (int second = 0; second < 2; second++, levels += LINE_BYTES) {
            read_line(code + at, second, integers);
            add_squares(sums, levels, integers, LINE_BYTES);
        }
    return total_of(sums);
}

/* --- by kind of processor --------------------------------------------------------------------------------------- */

#ifdef __x86_64__
#define AVX2 __attribute__((target("avx2")))
#define VNNI __attribute__((target("avx512f,avx512bw,avx512vl,avx512vnni")))

AVX2 static uint32_t compare_levels_avx2(const uint8_t *query, const uint8_t *code, Size width) {
    return distance_of_levels(query, code, width);
}

AVX2 INLINE uint32_t sum_of_eight(__m256i sums) {
    __m128i four = _mm_add_epi32(_mm256_castsi256_si128(sums), _mm256_extracti128_si256(sums, 1));
    four = _mm_add_epi32(four, _mm_shuffle_epi32(four, 0x4e));
    four = _mm_add_epi32(four, _mm_shuffle_epi32(four, 0xb1));
    return (uint32_t)_mm_cvtsi128_si32(four);
}

AVX2 static uint32_t compare_bytes_avx2(const uint8_t *a, const uint8_t *b, Size width) {
    /* Not widened byte by byte, as compilers do it: that costs twice as much. */
    __m256i evens = _mm256_setzero_si256(), odds = evens;
    const __m256i low = _mm256_set1_epi16(0xff);
    Size i = 0;
    for (; i + 32 <= width; i += 32) {
        __m256i x = _mm256_loadu_si256((const __m256i *)(a + i)), y = _mm256_loadu_si256((const __m256i *)(b + i));
        __m256i difference = _mm256_or_si256(_mm256_subs_epu8(x, y), _mm256_subs_epu8(y, x));
        __m256i even = _mm256_and_si256(difference, low), odd = _mm256_srli_epi16(difference, 8);
        evens = _mm256_add_epi32(evens, _mm256_madd_epi16(even, even));
        odds = _mm256_add_epi32(odds, _mm256_madd_epi16(odd, odd));
    }
    return sum_of_eight(_mm256_add_epi32(evens, odds)) + sum_of_squares(a + i, b + i, width - i);
}

/* Differences are of seven bits: the squares of two of them fit sixteen. */
AVX2 INLINE __m256i squares_avx2(__m256i query, __m256i integers) {
    __m256i difference = _mm256_abs_epi8(_mm256_sub_epi8(query, integers));
    return _mm256_madd_epi16(_mm256_maddubs_epi16(difference, difference), _mm256_set1_epi16(1));
}

AVX2 static uint32_t compare_halves_avx2(const uint8_t *query, const uint8_t *code, Size width) {
    const __m256i mask = _mm256_set1_epi8(15 * HALF_STEPS);
    __m256i lower = _mm256_setzero_si256(), upper = lower;
    for (Size at = 0; at < width; at += 32) {
        const uint8_t *first = query + at / LINE_BYTES * 2 * LINE_BYTES + at % LINE_BYTES;
        __m256i bytes = _mm256_loadu_si256((const __m256i *)(code + at));
        __m256i x = _mm256_loadu_si256((const __m256i *)first);
        __m256i y = _mm256_loadu_si256((const __m256i *)(first + LINE_BYTES));
        lower = _mm256_add_epi32(lower, squares_avx2(x, _mm256_and_si256(_mm256_slli_epi16(bytes, 3), mask)));
        upper = _mm256_add_epi32(upper, squares_avx2(y, _mm256_and_si256(_mm256_srli_epi16(bytes, 1), mask)));
    }
    return sum_of_eight(_mm256_add_epi32(lower, upper));
}

/* Differences are of four bits. */
AVX2 INLINE __m256i squares_of_halves_avx2(__m256i a, __m256i b) {
    const __m256i mask = _mm256_set1_epi8(15);
    __m256i difference = _mm256_abs_epi8(_mm256_sub_epi8(_mm256_and_si256(a, mask), _mm256_and_si256(b, mask)));
    return _mm256_maddubs_epi16(difference, difference);
}

AVX2 static uint32_t compare_pairs_of_halves_avx2(const uint8_t *a, const uint8_t *b, Size width) {
    const __m256i ones = _mm256_set1_epi16(1);
    __m256i sums = _mm256_setzero_si256();
    for (Size at = 0; at < width; at += 32) {
        __m256i x = _mm256_loadu_si256((const __m256i *)(a + at)), y = _mm256_loadu_si256((const __m256i *)(b + at));
        __m256i lower = squares_of_halves_avx2(x, y);
        __m256i upper = squares_of_halves_avx2(_mm256_srli_epi16(x, 4), _mm256_srli_epi16(y, 4));
        sums = _mm256_add_epi32(sums, _mm256_madd_epi16(_mm256_add_epi16(lower, upper), ones));
    }
    return sum_of_eight(sums) * HALF_STEPS * HALF_STEPS;
}

VNNI static uint32_t compare_bytes_vnni(const uint8_t *a, const uint8_t *b, Size width) {
    __m512i evens = _mm512_setzero_si512(), odds = evens; /* two sums, so that neither waits for the other */
    for (Size i = 0; i < width; i += 64) {
        __mmask64 within = width - i >= 64 ? ~UINT64_C(0) : (UINT64_C(1) << (width - i)) - 1;
        __m512i x = _mm512_maskz_loadu_epi8(within, a + i), y = _mm512_maskz_loadu_epi8(within, b + i);
        __m512i difference = _mm512_or_si512(_mm512_subs_epu8(x, y), _mm512_subs_epu8(y, x));
        __m512i even = _mm512_and_si512(difference, _mm512_set1_epi16(0xff));
        __m512i odd = _mm512_srli_epi16(difference, 8);
        evens = _mm512_dpwssd_epi32(evens, even, even);
        odds = _mm512_dpwssd_epi32(odds, odd, odd);
    }
    return (uint32_t)_mm512_reduce_add_epi32(_mm512_add_epi32(evens, odds));
}

VNNI static uint32_t compare_halves_vnni(const uint8_t *query, const uint8_t *code, Size width) {
    const __m512i mask = _mm512_set1_epi8(15 * HALF_STEPS);
    __m512i lower = _mm512_setzero_si512(), upper = lower;
    for (Size at = 0; at < width; at += LINE_BYTES, query += 2 * LINE_BYTES) {
        __m512i bytes = _mm512_loadu_si512(code + at);
        __m512i x = _mm512_and_si512(_mm512_slli_epi16(bytes, 3), mask);
        __m512i y = _mm512_and_si512(_mm512_srli_epi16(bytes, 1), mask);
        x = _mm512_abs_epi8(_mm512_sub_epi8(_mm512_loadu_si512(query), x));
        y = _mm512_abs_epi8(_mm512_sub_epi8(_mm512_loadu_si512(query + LINE_BYTES), y));
        lower = _mm512_dpbusd_epi32(lower, x, x);
        upper = _mm512_dpbusd_epi32(upper, y, y);
    }
    return (uint32_t)_mm512_reduce_add_epi32(_mm512_add_epi32(lower, upper));
}

VNNI static uint32_t compare_pairs_of_halves_vnni(const uint8_t *a, const uint8_t *b, Size width) {
    const __m512i mask = _mm512_set1_epi8(15);
    __m512i lower = _mm512_setzero_si512(), upper = lower;
    for (Size at = 0; at < width; at += LINE_BYTES) {
        __m512i x = _mm512_loadu_si512(a + at), y = _mm512_loadu_si512(b + at);
        __m512i low = _mm512_abs_epi8(_mm512_sub_epi8(_mm512_and_si512(x, mask), _mm512_and_si512(y, mask)));
        x = _mm512_and_si512(_mm512_srli_epi16(x, 4), mask);
        y = _mm512_and_si512(_mm512_srli_epi16(y, 4), mask);
        __m512i high = _mm512_abs_epi8(_mm512_sub_epi8(x, y));
        lower = _mm512_dpbusd_epi32(lower, low, low);
        upper = _mm512_dpbusd_epi32(upper, high, high);
    }
    return (uint32_t)_mm512_reduce_add_epi32(_mm512_add_epi32(lower, upper)) * HALF_STEPS * HALF_STEPS;
}
#endif

Comparing comparisons[COMPARISONS_MAX] = {
    {compare_bytes, compare_halves, compare_pairs_of_halves, compare_levels, compare_levels_of_halves},
};
int comparisons_size = 1;
Comparing comparing;

void choose_comparison(void) {
    comparisons_size = 1;
#ifdef __x86_64__
    __builtin_cpu_init();
    Comparing quicker = {compare_bytes_avx2, compare_halves_avx2, compare_pairs_of_halves_avx2, compare_levels_avx2,
                         compare_levels_of_halves};
    if (__builtin_cpu_supports("avx2"))
        comparisons[comparisons_size++] = quicker;
    quicker.bytes = compare_bytes_vnni;
    quicker.halves = compare_halves_vnni;
    quicker.pairs_of_halves = compare_pairs_of_halves_vnni;
    if (__builtin_cpu_supports("avx512vnni") && __builtin_cpu_supports("avx512bw") &&
        __builtin_cpu_supports("avx512vl"))
        comparisons[comparisons_size++] = quicker;
#endif
    comparing = comparisons[comparisons_size - 1];
}
