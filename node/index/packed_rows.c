/* Rows of float32 in 28 bits a component. */
#include "packed_rows.h"

#include <string.h>

#ifdef __x86_64__
#include <immintrin.h>
#endif

#define GROUP 16      /* components whose tops are named by */
#define GROUP_BYTES 8 /* so many bytes */
#define INLINE static inline __attribute__((always_inline))

static int64_t groups_of(int64_t dim) { return (dim + GROUP - 1) / GROUP; }

int64_t packed_row_bytes(int64_t dim) { return 3 * dim + GROUP_BYTES * groups_of(dim); }

/* Of a group those of the even components are in the first four bytes, one after another, then those of the odd ones. */
INLINE int64_t name_byte(int64_t i) { return i / GROUP * GROUP_BYTES + i % 2 * (GROUP_BYTES / 2) + i % GROUP / 4; }
INLINE int name_shift(int64_t i) { return i % 4 / 2 * 4; }

/* The components from `i` on, which are at the end of a whole group. */
INLINE void unpack_from(int64_t i, const PackedRows *rows, const uint8_t *packed, float *floats) {
    const uint8_t *thirds = packed + 2 * rows->dim, *names = thirds + rows->dim;
    for (; i < rows->dim; i++) {
        uint32_t bits = (uint32_t)packed[2 * i] | (uint32_t)packed[2 * i + 1] << 8 | (uint32_t)thirds[i] << 16 |
                        (uint32_t)rows->tops[names[name_byte(i)] >> name_shift(i) & 15] << 24;
        memcpy(floats + i, &bits, sizeof bits);
    }
}

static void unpack_anywhere(const PackedRows *rows, const uint8_t *packed, float *floats) {
    unpack_from(0, rows, packed, floats);
}

#ifdef __x86_64__
#define AVX2 __attribute__((target("avx2")))
#define AVX512 __attribute__((target("avx512f,avx512bw,avx512vl")))

AVX2 static void unpack_avx2(const PackedRows *rows, const uint8_t *packed, float *floats) {
    const uint8_t *thirds = packed + 2 * rows->dim, *names = thirds + rows->dim;
    const __m128i tops = _mm_loadu_si128((const __m128i *)rows->tops), low = _mm_set1_epi8(15);
    const __m128i order = _mm_setr_epi8(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
    int64_t i = 0;
    for (; i + GROUP <= rows->dim; i += GROUP, names += GROUP_BYTES) {
        __m128i both = _mm_loadl_epi64((const __m128i *)names);
        __m128i name = _mm_unpacklo_epi64(_mm_and_si128(both, low), _mm_and_si128(_mm_srli_epi16(both, 4), low));
        __m128i top = _mm_shuffle_epi8(tops, _mm_shuffle_epi8(name, order));
        __m128i third = _mm_loadu_si128((const __m128i *)(thirds + i));
        __m128i first = _mm_unpacklo_epi8(third, top), last = _mm_unpackhi_epi8(third, top);
        __m128i a = _mm_loadu_si128((const __m128i *)(packed + 2 * i));
        __m128i b = _mm_loadu_si128((const __m128i *)(packed + 2 * i + 16));
        _mm_storeu_si128((__m128i *)(floats + i), _mm_unpacklo_epi16(a, first));
        _mm_storeu_si128((__m128i *)(floats + i + 4), _mm_unpackhi_epi16(a, first));
        _mm_storeu_si128((__m128i *)(floats + i + 8), _mm_unpacklo_epi16(b, last));
        _mm_storeu_si128((__m128i *)(floats + i + 12), _mm_unpackhi_epi16(b, last));
    }
    unpack_from(i, rows, packed, floats);
}

AVX512 static void unpack_avx512(const PackedRows *rows, const uint8_t *packed, float *floats) {
    const uint8_t *thirds = packed + 2 * rows->dim, *names = thirds + rows->dim;
    const __m512i tops = _mm512_slli_epi32(_mm512_cvtepu8_epi32(_mm_loadu_si128((const __m128i *)rows->tops)), 24);
    const __m512i shifts = _mm512_setr_epi32(0, 0, 4, 4, 8, 8, 12, 12, 16, 16, 20, 20, 24, 24, 28, 28);
    for (int64_t i = 0; i < rows->dim; i += GROUP, names += GROUP_BYTES) {
        __mmask16 within = (__mmask16)(rows->dim - i >= GROUP ? 0xffff : (1 << (rows->dim - i)) - 1);
        int64_t both;
        memcpy(&both, names, sizeof both);
        __m512i name = _mm512_srlv_epi32(_mm512_set1_epi64(both), shifts); /* more above it, which is not looked at */
        __m512i top = _mm512_permutexvar_epi32(name, tops);
        __m512i third = _mm512_cvtepu8_epi32(_mm_maskz_loadu_epi8(within, thirds + i));
        __m512i lower = _mm512_cvtepu16_epi32(_mm256_maskz_loadu_epi16(within, packed + 2 * i));
        __m512i upper = _mm512_or_si512(top, _mm512_slli_epi32(third, 16));
        _mm512_mask_storeu_epi32(floats + i, within, _mm512_or_si512(upper, lower));
    }
}
#endif

Unpack *unpackings[UNPACKINGS_MAX] = {unpack_anywhere};
int unpackings_size = 1;

void choose_unpacking(void) {
    unpackings_size = 1;
#ifdef __x86_64__
    __builtin_cpu_init();
    if (__builtin_cpu_supports("avx2"))
        unpackings[unpackings_size++] = unpack_avx2;
    if (__builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl"))
        unpackings[unpackings_size++] = unpack_avx512;
#endif
}

/* The place of the first of the others of a row. */
static int64_t first_other(const PackedRows *rows, int64_t row) {
    int64_t first = 0, end = rows->others_count;
    while (first < end) {
        int64_t middle = first + (end - first) / 2;
        if (rows->others[middle] < other(row, 0, 0))
            first = middle + 1;
        else
            end = middle;
    }
    return first;
}

static __attribute__((noinline)) void put_others(const PackedRows *rows, int64_t row, float *floats) {
    for (int64_t i = first_other(rows, row); i < rows->others_count; i++) {
        Other one = rows->others[i];
        int64_t component = (int64_t)(one >> 8 & (COMPONENTS_MAX - 1));
        uint32_t bits;
        if ((int64_t)(one >> 32) != row)
            return;
        if (component >= rows->dim)
            continue; /* of a damaged file */
        memcpy(&bits, floats + component, sizeof bits);
        bits = (bits & UINT32_C(0xffffff)) | (uint32_t)(one & 0xff) << 24;
        memcpy(floats + component, &bits, sizeof bits);
    }
}

void unpack_row(const PackedRows *rows, int64_t row, float *floats) {
    unpackings[unpackings_size - 1](rows, rows->data + row * rows->stride, floats);
    if (rows->marked[row >> 3] >> (row & 7) & 1)
        put_others(rows, row, floats);
}

int64_t pack_row(const float *row, int64_t dim, const uint8_t *names, uint8_t *packed, int32_t *others) {
    uint8_t *thirds = packed + 2 * dim, *halves = thirds + dim;
    int64_t size = 0;
    memset(halves, 0, (size_t)(GROUP_BYTES * groups_of(dim)));
    for (int64_t i = 0; i < dim; i++) {
        uint32_t bits;
        memcpy(&bits, row + i, sizeof bits);
        packed[2 * i] = (uint8_t)bits;
        packed[2 * i + 1] = (uint8_t)(bits >> 8);
        thirds[i] = (uint8_t)(bits >> 16);
        uint8_t name = names[bits >> 24];
        others[size] = (int32_t)i;
        size += name == TOPS;
        halves[name_byte(i)] |= (uint8_t)((name & 15) << name_shift(i));
    }
    return size;
}
