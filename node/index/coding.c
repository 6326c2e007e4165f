/* Writing codes: to the same bits as codes.py, which tells what they are. */
#include "coding.h"

#define LINE_COMPONENTS (2 * LINE_BYTES)
#define WHOLE 8388608.0F /* a float of this size has no fraction: adding it rounds, to even ones where that is equally near */

Size components_max(const Coding *coding) { return coding->width * (coding->form == OF_HALVES ? 2 : 1); }

/* The integers from 0 to `most` that components are nearest to. */
static inline void round_to(const float *row, Size size, float low, float step, float most, uint8_t *integers) {
    for (Size i = 0; i < size; i++) {
        float level = (row[i] - low) / step, whole;
        uint32_t bits;
        level = level > 0 ? level : 0;
        whole = (level < most ? level : most) + WHOLE;
        memcpy(&bits, &whole, sizeof bits);
        integers[i] = (uint8_t)bits;
    }
}

/* Those of one line of halves. */
static inline void round_line(const float *row, Size dim, Size at, float low, float step, float most, uint8_t *integers) {
    Size size = dim <= at ? 0 : dim - at < LINE_COMPONENTS ? dim - at : LINE_COMPONENTS;
    if (size < LINE_COMPONENTS)
        memset(integers, 0, LINE_COMPONENTS);
    round_to(row + at, size, low, step, most, integers);
}

static inline void join_line(const uint8_t *integers, int bit, uint8_t *line) {
    for (int i = 0; i < LINE_BYTES; i++)
        line[i] = (uint8_t)((integers[i] >> bit & 15) | (integers[LINE_BYTES + i] >> bit & 15) << 4);
}

void write_code(const Coding *coding, const float *row, Size dim, uint8_t *code) {
    uint8_t integers[LINE_COMPONENTS];
    if (coding->form == OF_BYTES) {
        round_to(row, dim, coding->low, coding->step, UINT8_MAX, code);
        memset(code + dim, 0, (size_t)(coding->width - dim));
        return;
    }
    if (coding->form == OF_HALVES) {
        for (Size at = 0; at < coding->width; at += LINE_BYTES) {
            round_line(row, dim, 2 * at, coding->low, coding->step * HALF_STEPS, HALVES_MOST / HALF_STEPS, integers);
            join_line(integers, 0, code + at);
        }
        return;
    }
    for (Size at = 0, half = coding->width / 2; at < half; at += LINE_BYTES) {
        round_line(row, dim, 2 * at, coding->low, coding->step, UINT8_MAX, integers);
        join_line(integers, 4, code + at);
        join_line(integers, 0, code + half + at);
    }
}
