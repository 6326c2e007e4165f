/* Comparing two codes of bytes, as each kind of processor does it best. All ways give the same number. */
#include "graph.h"
#ifdef __x86_64__
#include <immintrin.h>
#endif

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

#ifdef __x86_64__
__attribute__((target("avx2"))) static uint32_t compare_avx2(const uint8_t *a, const uint8_t *b,
                                                             Size width) {
    return sum_of_squares(a, b, width);
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

void choose_comparison(void) {
    comparisons_size = 1;
#ifdef __x86_64__
    __builtin_cpu_init();
    if (__builtin_cpu_supports("avx2"))
        comparisons[comparisons_size++] = compare_avx2;
    if (__builtin_cpu_supports("avx512vnni") && __builtin_cpu_supports("avx512bw") &&
        __builtin_cpu_supports("avx512vl"))
        comparisons[comparisons_size++] = compare_vnni;
#endif
    compare = comparisons[comparisons_size - 1];
}
