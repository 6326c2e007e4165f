/* Scaling to unit length. */
#include "unit.h"

#include <float.h>
#include <math.h>
#include <string.h>

#define LANES 8 /* sums that are added up in this order, whatever the processor does at once */
#define UNIT_TOLERANCE 1e-6F

/* Squares of floats are exact as doubles; their sum cannot overflow. */
static double sum_of_squares(const float *row, ptrdiff_t dim) {
    double lanes[LANES] = {0}, sum = 0;
    ptrdiff_t i = 0;
    for (; i + LANES <= dim; i += LANES)
        for (int lane = 0; lane < LANES; lane++)
            lanes[lane] += (double)row[i + lane] * row[i + lane];
    for (; i < dim; i++)
        lanes[i % LANES] += (double)row[i] * row[i];
    for (int lane = 0; lane < LANES; lane++)
        sum += lanes[lane];
    return sum;
}

void scale_to_unit(const float *row, ptrdiff_t dim, float *unit) {
    double wide = sum_of_squares(row, dim);
    float squared = (float)wide, length = sqrtf(squared);
    if (squared < FLT_EPSILON || fabsf(squared - 1.0F) <= UNIT_TOLERANCE) {
        memmove(unit, row, (size_t)dim * sizeof *row);
        return;
    }
    if (isinf(squared)) { /* beyond what a float holds */
        double wide_length = sqrt(wide);
        for (ptrdiff_t i = 0; i < dim; i++)
            unit[i] = (float)(row[i] / wide_length);
        return;
    }
    for (ptrdiff_t i = 0; i < dim; i++)
        unit[i] = row[i] / length;
}
