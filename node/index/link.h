/* Linking the nodes of a graph, by as many threads as call. */
#ifndef VECRAFT_LINK_H
#define VECRAFT_LINK_H

#include "graph.h"

typedef struct {
    const Graph *graph;    /* its codes are there; its entry node need not be linked */
    Form form;             /* of the codes: bytes or halves */
    const int32_t *levels; /* how many levels each node is on */
    uint8_t *locks;        /* of each node, 0: free */
    const int32_t *order;  /* the nodes to link; none is on a level above the entry node's */
    Size size;
    int64_t *next; /* in `order`; all threads share it */
    Size ef;       /* nodes that a walk keeps, of which neighbours are chosen */
} Linking;

/* Links nodes until all were taken by some thread; -1: no memory. */
int link_nodes(const Linking *linking);

#endif
