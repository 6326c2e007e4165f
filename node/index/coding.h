/* Vectors become codes of integers. */
#ifndef VECRAFT_CODING_H
#define VECRAFT_CODING_H

#include "graph.h"

/* What integers stand for, and how codes hold them: the integer i, of seven bits in halves, is low + i * step. */
typedef struct {
    float low, step;
    Form form;
    Size width; /* bytes of a code, in whole lines where it has halves */
} Coding;

/* Components that a code has room for. */
Size components_max(const Coding *coding);

/* The code of a row of `dim` components; zeros stand behind them. */
void write_code(const Coding *coding, const float *row, Size dim, uint8_t *code);

#endif
