/* Comparing two codes of bytes, as each kind of processor does it best. All ways give the same number. */
#include "graph.h"
#ifdef __x86_64__
#include <immintrin.h>
#endif

#define SUMS 16

static inline __attribute__((always_inline)) uint32_t sum_of_squares(const uint8_t *a, const uint8_t *b,
                                                                     Size width) {
    int32_t sum = 0;
    for (Size i = 0; i < width; i++) {
        int16_t difference = (int16_t)(a[i] - b[i]);
        sum += (int32_t)difference * difference;
    }
    return (uint32_t)sum;
}

static uint32_t compare_anywhere(const uint8_t *a, const uint8_t *b, Size width) {
    return sum_of_squares(a, b, width);
}

/* Sixteen sums, each of every sixteenth component, so that every processor adds up in the same order. */
static inline __attribute__((always_inline)) uint32_t distance_of_levels(const float *levels, const uint8_t *code,
                                                                         Size width) {
    float sums[SUMS] = {0}, sum = 0;
    uint32_t bits;
    Size i = 0;
    for (; i + SUMS <= width; i += SUMS)
        for (int at = 0; at < SUMS; at++) {
            float difference = levels[i + at] - (float)code[i + at];
            sums[at] += difference * difference;
        }
    for (; i < width; i++)
        sums[0] += (levels[i] - (float)code[i]) * (levels[i] - (float)code[i]);
    for (int at = 0; at < SUMS; at++)
        sum += sums[at];
    memcpy(&bits, &sum, sizeof bits); /* as numbers, the bits of floats that are not negative are in their order */
    return bits;
}

static uint32_t compare_levels_anywhere(const uint8_t *levels, const uint8_t *code, Size width) {
    return distance_of_levels((const float *)levels, code, width);
}

#ifdef __x86_64__
__attribute__((target("avx2"))) static uint32_t compare_levels_avx2(const uint8_t *levels, const uint8_t *code,
                                                                    Size width) {
    return distance_of_levels((const float *)levels, code, width);
}

__attribute__((target("avx2"))) static uint32_t compare_avx2(const uint8_t *a, const uint8_t *b,
                                                             Size width) {
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
    __m256i sums = _mm256_add_epi32(evens, odds);
    __m128i four = _mm_add_epi32(_mm256_castsi256_si128(sums), _mm256_extracti128_si256(sums, 1));
    four = _mm_add_epi32(four, _mm_shuffle_epi32(four, 0x4e));
    four = _mm_add_epi32(four, _mm_shuffle_epi32(four, 0xb1));
    return (uint32_t)_mm_cvtsi128_si32(four) + sum_of_squares(a + i, b + i, width - i);
}

__attribute__((target("avx512f,avx512bw,avx512vl,avx512vnni"))) static uint32_t
compare_vnni(const uint8_t *a, const uint8_t *b, Size width) {
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
#endif

Compare *comparisons[3] = {compare_anywhere};
int comparisons_size = 1;
Compare *compare = compare_anywhere;
Compare *compare_levels = compare_levels_anywhere;

void choose_comparison(void) {
    comparisons_size = 1;
#ifdef __x86_64__
    __builtin_cpu_init();
    if (__builtin_cpu_supports("avx2")) {
        comparisons[comparisons_size++] = compare_avx2;
        compare_levels = compare_levels_avx2;
    }
    if (__builtin_cpu_supports("avx512vnni") && __builtin_cpu_supports("avx512bw") &&
        __builtin_cpu_supports("avx512vl"))
        comparisons[comparisons_size++] = compare_vnni;
#endif
    compare = comparisons[comparisons_size - 1];
}
