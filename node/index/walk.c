/* Graphs for Python: searching them, and linking their nodes. */
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <math.h>

#include "best.h"
#include "graph.h"
#include "link.h"
#include "scan.h"
#include "signs.h"
#include "unit.h"

#define LEVELS 255.0F
#define LEVELS_MAX 64 /* of a graph; there are hardly ever ten */
#define HELD 3        /* buffers of a packed level */

typedef struct {
    PyObject_HEAD
    PyObject *owner; /* keeps what the pointers lead to */
    int32_t *starts;
    Level *levels;    /* of packed links */
    Py_buffer *held;  /* what these are read from, three for each level */
    float low, step; /* the integer i stands for low + i * step */
    const float *centre;
    int bits; /* of a query's components, where codes are of signs; 0: they are of integers */
    Graph graph;
} GraphObject;

/* --- searching ---------------------------------------------------------------------------------------------- */

/* The integers that a vector's components are nearest to. Returns 0 where one is so far outside their range that the
 * code would be another vector's. What is beyond the vector's components in the code must be zero. */
static int encode(float low, float step, const float *vector, Py_ssize_t dim, uint8_t *code) {
    float least = low - step, most = low + (LEVELS + 1) * step;
    int within = 1;
    for (Py_ssize_t i = 0; i < dim; i++) {
        float level = (vector[i] - low) / step;
        within &= vector[i] >= least && vector[i] <= most;
        level = level > 0 ? level : 0;
        code[i] = (uint8_t)(int)((level < LEVELS ? level : LEVELS) + 0.5F);
    }
    return within;
}

/* This thread's, with room for a walk; NULL: no memory. The threads that search are few and live as long as the
 * process, so what they hold is not given back. */
static __attribute__((noinline)) Scratch *scratch_for(const GraphObject *self, Py_ssize_t ef) {
    static _Thread_local Scratch mine;
    Size width = self->graph.width;
    Size bytes = self->bits ? signs_query_bytes(signs_components(width), self->bits) : width * (Size)sizeof(float);
    if (prepare(&mine, &self->graph, ef) < 0 || allot((void **)&mine.code, &mine.code_room, bytes, 1) < 0)
        return NULL;
    return &mine;
}

/* Are vectors of `dim` components what codes are compared with? */
static int takes(const GraphObject *self, Py_ssize_t dim) {
    return self->bits ? dim == signs_components(self->graph.width) : dim <= self->graph.width;
}

/* The form in which codes are compared with a vector: integers, or floats where they have no room for it. */
static Query query_of(const GraphObject *self, const float *vector, Py_ssize_t dim, Scratch *scratch) {
    Py_ssize_t width = self->graph.width;
    if (self->bits) {
        signs_prepare(vector, self->centre, dim, self->bits, scratch->code);
        return (Query){scratch->code, signs_compare};
    }
    memset(scratch->code, 0, (size_t)width * sizeof(float));
    if (encode(self->low, self->step, vector, dim, scratch->code))
        return (Query){scratch->code, compare};
    float *levels = (float *)(void *)scratch->code;
    for (Py_ssize_t i = 0; i < width; i++)
        levels[i] = i < dim ? (vector[i] - self->low) / self->step : 0;
    return (Query){scratch->code, compare_levels};
}

/* A distance, squared and in steps of the integers, as a pool has it. */
static float distance_by(const Query *query, Found item) {
    uint32_t bits = distance_of(item);
    float distance = (float)bits;
    if (query->compare == compare_levels)
        memcpy(&distance, &bits, sizeof distance);
    return query->compare == signs_compare ? signs_distance(bits) : distance;
}

/* Fills the pool with the nodes nearest to the query; -1: no memory. */
static int walk_for(const Graph *graph, const Query *query, Scratch *scratch) {
    int32_t node = graph->entry;
    scratch->pool.size = 0;
    if (graph->count == 0)
        return 0;
    for (int level = graph->top; level > 0; level--) {
        int32_t place = place_at(graph, node, level);
        node = node_at(graph, descend(graph, query, place, level, scratch->fresh), level);
    }
    return gather(graph, query, node, 0, scratch);
}

/* One walk per query; -1: no memory. */
static int search(const GraphObject *self, const float *queries, Py_ssize_t many, Py_ssize_t dim, Py_ssize_t ef,
                  Py_ssize_t count, float *distances, int64_t *nodes) {
    Scratch *scratch = scratch_for(self, ef);
    if (scratch == NULL)
        return -1;
    for (Py_ssize_t i = 0; i < many; i++) {
        Query query = query_of(self, queries + i * dim, dim, scratch);
        if (walk_for(&self->graph, &query, scratch) < 0)
            return -1;
        for (Py_ssize_t at = 0; at < count; at++) {
            int is_there = at < scratch->pool.size;
            distances[i * count + at] = is_there ? distance_by(&query, scratch->pool.items[at]) : INFINITY;
            nodes[i * count + at] = is_there ? node_of(scratch->pool.items[at]) : -1;
        }
    }
    return 0;
}

/* Vectors, and what codes are compared with in their stead, of `dim` components. */
typedef struct {
    const float *vectors, *compared;
    Py_ssize_t dim;
} Asked;

/* Likewise, and of each walk the first `wanted` nodes that may be returned are scored again. `walked`, two numbers
 * for each query: nodes that the walk kept, and how many of them may be returned. */
static int search_best(const GraphObject *self, const Originals *originals, const Mask *mask, const Asked *asked,
                       Py_ssize_t many, Py_ssize_t ef, Py_ssize_t wanted, Ranking ranking, int64_t *walked) {
    Scratch *scratch = scratch_for(self, ef);
    if (scratch == NULL)
        return -1;
    for (Py_ssize_t i = 0; i < many; i++) {
        const float *vector = asked->vectors + i * originals->dim;
        Query query = query_of(self, asked->compared + i * asked->dim, asked->dim, scratch);
        if (walk_for(&self->graph, &query, scratch) < 0)
            return -1;
        Size passing = rank(originals, mask, vector, wanted, scratch, &ranking);
        if (passing < 0)
            return -1;
        walked[2 * i] = scratch->pool.size;
        walked[2 * i + 1] = passing;
        ranking.rows += ranking.size;
        ranking.scores += ranking.size;
    }
    return 0;
}

/* All admitted nodes are compared, and the first `wanted` of them scored again; otherwise as `search_best`. */
static int scan_best(const GraphObject *self, const Originals *originals, const uint32_t *nodes,
                     const Admitted *admitted, const Asked *asked, Py_ssize_t many, Py_ssize_t wanted,
                     Ranking ranking) {
    static const Mask ALL = {NULL, 0};
    Scratch *scratch = scratch_for(self, wanted);
    if (scratch == NULL)
        return -1;
    for (Py_ssize_t i = 0; i < many; i++) {
        const float *vector = asked->vectors + i * originals->dim;
        Query query = query_of(self, asked->compared + i * asked->dim, asked->dim, scratch);
        scan(&self->graph, originals, nodes, admitted, &query, &scratch->pool);
        if (rank(originals, &ALL, vector, wanted, scratch, &ranking) < 0)
            return -1;
        ranking.rows += ranking.size;
        ranking.scores += ranking.size;
    }
    return 0;
}

/* --- Python ------------------------------------------------------------------------------------------------- */

static int graph_init(GraphObject *self, PyObject *args, PyObject *keywords) {
    static char *names[] = {"owner",   "count",  "entry", "top",  "neighbors", "offsets",
                            "starts",  "codes",  "width", "low",  "step",      "centre",  "bits", NULL};
    PyObject *owner;
    unsigned long long codes, neighbors, offsets, centre = 0;
    Py_buffer starts;
    long long count;
    Graph *graph = &self->graph;
    if (!PyArg_ParseTupleAndKeywords(args, keywords, "OLiiKKy*Knff|Ki", names, &owner, &count, &graph->entry,
                                     &graph->top, &neighbors, &offsets, &starts, &codes, &graph->width,
                                     &self->low, &self->step, &centre, &self->bits))
        return -1;
    Py_ssize_t levels = starts.len / (Py_ssize_t)sizeof(int32_t) - 1;
    int fits = self->owner == NULL && graph->width > 0 && self->step > 0;
    fits = fits && 0 <= count && count < NODES_MAX && levels >= 1 && 0 <= self->bits && self->bits <= 8;
    fits = fits && (!self->bits || (centre != 0 && signs_components(graph->width) > 0 &&
                                    signs_components(graph->width) % 64 == 0));
    fits = fits && (count == 0 || (0 <= graph->entry && graph->entry < count && graph->top < levels));
    if (fits && (self->starts = PyMem_Malloc((size_t)starts.len)) != NULL)
        memcpy(self->starts, starts.buf, (size_t)starts.len);
    PyBuffer_Release(&starts);
    if (!fits) {
        PyErr_SetString(PyExc_ValueError, "expected the count, entry node, levels and codes of one graph");
        return -1;
    }
    if (self->starts == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    self->owner = Py_NewRef(owner);
    self->centre = (const float *)(uintptr_t)centre;
    graph->starts = self->starts;
    graph->levels = (int)levels;
    graph->codes = (const uint8_t *)(uintptr_t)codes;
    graph->neighbors = (int32_t *)(uintptr_t)neighbors;
    graph->offsets = (const uint64_t *)(uintptr_t)offsets;
    graph->count = count;
    return 0;
}

static void graph_dealloc(GraphObject *self) {
    PyTypeObject *type = Py_TYPE(self);
    for (int i = 0; self->held != NULL && i < HELD * self->graph.levels; i++)
        PyBuffer_Release(self->held + i);
    PyMem_Free(self->held);
    PyMem_Free(self->levels);
    PyMem_Free(self->starts);
    Py_XDECREF(self->owner);
    type->tp_free((PyObject *)self);
    Py_DECREF(type);
}

/* Fills `level` from what is held for it. `width`: of its links, which lead to its own places. */
static int read_level(const Py_buffer *held, int64_t places, Level *level) {
    const Py_buffer *blocks = held, *links = held + 1, *nodes = held + 2;
    int has_nodes = nodes->obj != NULL;
    int64_t count = has_nodes ? nodes->len / (Py_ssize_t)sizeof(uint32_t) : places;
    int width = 1;
    while (width < LINK_BITS_MAX && (count - 1) >> width > 0)
        width++;
    *level = (Level){blocks->buf, links->buf, has_nodes ? nodes->buf : NULL, count, 0, width};
    if (count < 1 || count > places || blocks->len / BLOCK_BYTES < (count + BLOCK_PLACES - 1) / BLOCK_PLACES ||
        links->len < SPARE_BYTES)
        return 0;
    level->size = (uint64_t)(links->len - SPARE_BYTES) * 8 / (uint64_t)width;
    return 1;
}

static int hold_levels(GraphObject *self, PyObject *levels) {
    Graph *graph = &self->graph;
    graph->levels = (int)PyTuple_GET_SIZE(levels);
    self->levels = PyMem_Calloc((size_t)graph->levels, sizeof *self->levels);
    self->held = PyMem_Calloc((size_t)(HELD * graph->levels), sizeof *self->held);
    if (self->levels == NULL || self->held == NULL)
        return PyErr_NoMemory(), -1;
    for (int i = 0; i < graph->levels; i++) {
        PyObject *level = PyTuple_GET_ITEM(levels, i);
        int fits = PyTuple_Check(level) && PyTuple_GET_SIZE(level) == HELD;
        for (int at = 0; fits && at < HELD; at++) {
            PyObject *part = PyTuple_GET_ITEM(level, at);
            int has_no_nodes = i == 0 && at == HELD - 1; /* there a place is a node */
            fits = (part == Py_None) == has_no_nodes;
            if (fits && !has_no_nodes && PyObject_GetBuffer(part, self->held + HELD * i + at, PyBUF_SIMPLE) < 0)
                return -1;
        }
        if (!fits || !read_level(self->held + HELD * i, graph->count, self->levels + i))
            return PyErr_Format(PyExc_ValueError, "expected blocks, links and nodes of level %d", i), -1;
    }
    return 0;
}

static PyObject *graph_packed(PyObject *type, PyObject *args, PyObject *keywords) {
    static char *names[] = {"owner", "count", "entry", "levels", "codes", "width", "low", "step", NULL};
    PyObject *owner, *levels;
    unsigned long long codes;
    long long count;
    GraphObject *self = (GraphObject *)((PyTypeObject *)type)->tp_alloc((PyTypeObject *)type, 0);
    if (self == NULL)
        return NULL;
    Graph *graph = &self->graph;
    if (!PyArg_ParseTupleAndKeywords(args, keywords, "OLiO!Knff", names, &owner, &count, &graph->entry, &PyTuple_Type,
                                     &levels, &codes, &graph->width, &self->low, &self->step))
        goto failed;
    graph->count = count;
    graph->codes = (const uint8_t *)(uintptr_t)codes;
    if (graph->width <= 0 || !(self->step > 0) || count < 1 || count >= NODES_MAX || !is_node(graph, graph->entry) ||
        PyTuple_GET_SIZE(levels) < 1 || PyTuple_GET_SIZE(levels) > LEVELS_MAX) {
        PyErr_SetString(PyExc_ValueError, "expected the count, entry node, levels and codes of one graph");
        goto failed;
    }
    if (hold_levels(self, levels) < 0)
        goto failed;
    self->owner = Py_NewRef(owner);
    graph->packed = self->levels;
    graph->top = graph->levels - 1;
    return (PyObject *)self;
failed:
    Py_DECREF(self);
    return NULL;
}

static int are_matrices_of(const GraphObject *self, const Py_buffer *queries, const Py_buffer *distances,
                           const Py_buffer *nodes, Py_ssize_t ef) {
    if (self->owner == NULL || queries->ndim != 2 || distances->ndim != 2 || nodes->ndim != 2)
        return 0;
    for (int i = 0; i < 2; i++)
        if (nodes->shape[i] != distances->shape[i])
            return 0;
    return queries->itemsize == sizeof(float) && distances->itemsize == sizeof(float) &&
           nodes->itemsize == sizeof(int64_t) && queries->shape[0] == nodes->shape[0] &&
           takes(self, queries->shape[1]) && 0 < ef && nodes->shape[1] <= ef;
}

static PyObject *graph_search(GraphObject *self, PyObject *const *args, Py_ssize_t many) {
    Py_buffer found[3] = {{.obj = NULL}, {.obj = NULL}, {.obj = NULL}}; /* queries, distances, nodes */
    PyObject *answer = NULL;
    if (many != 4)
        return PyErr_Format(PyExc_TypeError, "expected queries, ef, distances and nodes");
    Py_ssize_t ef = PyLong_AsSsize_t(args[1]);
    if ((ef == -1 && PyErr_Occurred()) || PyObject_GetBuffer(args[0], found, PyBUF_ND) < 0 ||
        PyObject_GetBuffer(args[2], found + 1, PyBUF_ND | PyBUF_WRITABLE) < 0 ||
        PyObject_GetBuffer(args[3], found + 2, PyBUF_ND | PyBUF_WRITABLE) < 0)
        goto end;
    if (!are_matrices_of(self, found, found + 1, found + 2, ef)) {
        PyErr_SetString(PyExc_ValueError, "expected matrices that fit each other, the graph and ef");
        goto end;
    }
    int done;
    Py_BEGIN_ALLOW_THREADS;
    done = search(self, found[0].buf, found[0].shape[0], found[0].shape[1], ef, found[2].shape[1], found[1].buf,
                  found[2].buf);
    Py_END_ALLOW_THREADS;
    answer = done < 0 ? PyErr_NoMemory() : Py_NewRef(Py_None);
end:
    for (int i = 0; i < 3; i++)
        PyBuffer_Release(found + i);
    return answer;
}

static int are_of_graph(const GraphObject *self, const Py_buffer *buffers, Py_ssize_t ef) {
    const Py_buffer *levels = buffers, *locks = buffers + 1, *order = buffers + 2, *next = buffers + 3;
    Py_ssize_t count = self->graph.count;
    if (self->starts == NULL || levels->len != count * (Py_ssize_t)sizeof(int32_t) || locks->len != count ||
        order->len % (Py_ssize_t)sizeof(int32_t) != 0 || next->len != sizeof(int64_t) || ef <= 0)
        return 0;
    for (Py_ssize_t i = 0; i < order->len / (Py_ssize_t)sizeof(int32_t); i++) {
        int32_t node = ((const int32_t *)order->buf)[i];
        if (!is_node(&self->graph, node) || ((const int32_t *)levels->buf)[node] > self->graph.levels)
            return 0;
    }
    return 1;
}

static PyObject *graph_link(GraphObject *self, PyObject *const *args, Py_ssize_t many) {
    Py_buffer buffers[4] = {{.obj = NULL}, {.obj = NULL}, {.obj = NULL}, {.obj = NULL}};
    PyObject *answer = NULL;
    if (many != 5)
        return PyErr_Format(PyExc_TypeError, "expected levels, locks, order, next and ef");
    Py_ssize_t ef = PyLong_AsSsize_t(args[4]);
    if (ef == -1 && PyErr_Occurred())
        return NULL;
    for (int i = 0; i < 4; i++)
        if (PyObject_GetBuffer(args[i], buffers + i, i % 2 ? PyBUF_WRITABLE : PyBUF_SIMPLE) < 0)
            goto end;
    if (!are_of_graph(self, buffers, ef)) {
        PyErr_SetString(PyExc_ValueError, "expected levels, locks and nodes of this graph");
        goto end;
    }
    int done;
    Linking linking = {
        .graph = &self->graph,
        .levels = buffers[0].buf,
        .locks = buffers[1].buf,
        .order = buffers[2].buf,
        .size = buffers[2].len / (Py_ssize_t)sizeof(int32_t),
        .next = buffers[3].buf,
        .ef = ef,
    };
    Py_BEGIN_ALLOW_THREADS;
    done = link_nodes(&linking);
    Py_END_ALLOW_THREADS;
    answer = done < 0 ? PyErr_NoMemory() : Py_NewRef(Py_None);
end:
    for (int i = 0; i < 4; i++)
        PyBuffer_Release(buffers + i);
    return answer;
}

/* --- scoring again ------------------------------------------------------------------------------------------ */

typedef struct {
    PyObject_HEAD
    GraphObject *graph;
    Py_buffer matrix, rows; /* obj NULL: there is none */
    Originals originals;
    uint32_t *nodes; /* of each row, where nodes are not numbered as rows are; made by the first scan */
} ScoredGraphObject;

static PyTypeObject *graph_type; /* one for all interpreters: modules are made once in a process */

static int scored_graph_init(ScoredGraphObject *self, PyObject *args, PyObject *keywords) {
    static char *names[] = {"graph", "matrix", "rows", "kernel", "is_distance", NULL};
    PyObject *graph, *matrix, *rows;
    unsigned long long kernel;
    int is_distance;
    if (self->graph != NULL)
        return PyErr_Format(PyExc_ValueError, "made already"), -1;
    if (!PyArg_ParseTupleAndKeywords(args, keywords, "O!OOKp", names, graph_type, &graph, &matrix, &rows, &kernel,
                                     &is_distance))
        return -1;
    if (PyObject_GetBuffer(matrix, &self->matrix, PyBUF_ND) < 0 ||
        (rows != Py_None && PyObject_GetBuffer(rows, &self->rows, PyBUF_ND) < 0))
        return -1;
    const Graph *links = &((GraphObject *)graph)->graph;
    int fits = ((GraphObject *)graph)->owner != NULL && kernel != 0;
    fits = fits && self->matrix.ndim == 2 && self->matrix.itemsize == sizeof(float);
    fits = fits && self->matrix.shape[0] < NODES_MAX;
    fits = fits && (((GraphObject *)graph)->bits || self->matrix.shape[1] <= links->width);
    if (fits && rows != Py_None)
        fits = self->rows.ndim == 1 && self->rows.itemsize == sizeof(uint32_t) &&
               self->rows.shape[0] == links->count;
    else if (fits)
        fits = links->count <= self->matrix.shape[0];
    if (!fits) {
        PyErr_SetString(PyExc_ValueError, "expected the vectors of the graph's nodes");
        return -1;
    }
    self->graph = (GraphObject *)Py_NewRef(graph);
    self->originals = (Originals){
        .matrix = self->matrix.buf,
        .count = self->matrix.shape[0],
        .dim = self->matrix.shape[1],
        .rows = self->rows.buf,
        .kernel = (Kernel *)(uintptr_t)kernel,
        .is_distance = is_distance,
    };
    return 0;
}

static void scored_graph_dealloc(ScoredGraphObject *self) {
    PyTypeObject *type = Py_TYPE(self);
    PyBuffer_Release(&self->matrix);
    PyBuffer_Release(&self->rows);
    PyMem_Free(self->nodes);
    Py_XDECREF(self->graph);
    type->tp_free((PyObject *)self);
    Py_DECREF(type);
}

static int are_for_ranking(const ScoredGraphObject *self, const Py_buffer *queries, const Py_buffer *rows,
                           const Py_buffer *scores, const Py_buffer *walked) {
    if (self->graph == NULL || queries->ndim != 2 || rows->ndim != 2 || scores->ndim != 2)
        return 0;
    return queries->itemsize == sizeof(float) && rows->itemsize == sizeof(int64_t) &&
           scores->itemsize == sizeof(float) && queries->shape[1] == self->originals.dim &&
           queries->shape[0] == rows->shape[0] && rows->shape[0] == scores->shape[0] &&
           rows->shape[1] == scores->shape[1] &&
           walked->len == 2 * queries->shape[0] * (Py_ssize_t)sizeof(int64_t);
}

/* Rows of floats that codes are compared with, as many as there are queries. */
static int are_compared_for(const ScoredGraphObject *self, const Py_buffer *compared, const Py_buffer *queries) {
    return self->graph != NULL && compared->ndim == 2 && compared->itemsize == sizeof(float) &&
           compared->shape[0] == queries->shape[0] && takes(self->graph, compared->shape[1]);
}

static PyObject *scored_graph_search(ScoredGraphObject *self, PyObject *const *args, Py_ssize_t many) {
    /* queries, rows, scores, walked, allowed, compared */
    Py_buffer given[6] = {{.obj = NULL}, {.obj = NULL}, {.obj = NULL}, {.obj = NULL}, {.obj = NULL}, {.obj = NULL}};
    PyObject *answer = NULL;
    if (many != 7 && many != 8)
        return PyErr_Format(PyExc_TypeError, "expected queries, ef, wanted, rows, scores, walked and allowed");
    Py_ssize_t ef = PyLong_AsSsize_t(args[1]), wanted = PyLong_AsSsize_t(args[2]);
    if (PyErr_Occurred() || PyObject_GetBuffer(args[0], given, PyBUF_ND) < 0 ||
        PyObject_GetBuffer(args[3], given + 1, PyBUF_ND | PyBUF_WRITABLE) < 0 ||
        PyObject_GetBuffer(args[4], given + 2, PyBUF_ND | PyBUF_WRITABLE) < 0 ||
        PyObject_GetBuffer(args[5], given + 3, PyBUF_WRITABLE) < 0 ||
        (args[6] != Py_None && PyObject_GetBuffer(args[6], given + 4, PyBUF_SIMPLE) < 0) ||
        (many == 8 && args[7] != Py_None && PyObject_GetBuffer(args[7], given + 5, PyBUF_ND) < 0))
        goto end;
    const Py_buffer *compared = given + (given[5].obj == NULL ? 0 : 5);
    if (!are_for_ranking(self, given, given + 1, given + 2, given + 3) || ef <= 0 || wanted <= 0 ||
        !are_compared_for(self, compared, given)) {
        PyErr_SetString(PyExc_ValueError, "expected matrices that fit each other and the graph");
        goto end;
    }
    Mask mask = {given[4].buf, 8 * given[4].len};
    Ranking ranking = {given[1].buf, given[2].buf, given[1].shape[1]};
    Asked asked = {given[0].buf, compared->buf, compared->shape[1]};
    int done;
    Py_BEGIN_ALLOW_THREADS;
    done = search_best(self->graph, &self->originals, &mask, &asked, given[0].shape[0], ef, wanted, ranking,
                       given[3].buf);
    Py_END_ALLOW_THREADS;
    answer = done < 0 ? PyErr_NoMemory() : Py_NewRef(Py_None);
end:
    for (int i = 0; i < 6; i++)
        PyBuffer_Release(given + i);
    return answer;
}

/* Of each row its node. It is called with the interpreter's lock; 0: no memory. */
static int number_nodes(ScoredGraphObject *self) {
    const Originals *originals = &self->originals;
    if (originals->rows == NULL || self->nodes != NULL)
        return 1;
    uint32_t *nodes = PyMem_Malloc((size_t)originals->count * sizeof *nodes + 1);
    if (nodes == NULL)
        return 0;
    memset(nodes, 0xff, (size_t)originals->count * sizeof *nodes); /* no node's number */
    for (int64_t node = 0; node < self->graph->graph.count; node++)
        if (originals->rows[node] < originals->count)
            nodes[originals->rows[node]] = (uint32_t)node;
    self->nodes = nodes;
    return 1;
}

static int are_for_scanning(const ScoredGraphObject *self, const Py_buffer *queries, const Py_buffer *rows,
                            const Py_buffer *scores, const Py_buffer *listed, const Py_buffer *allowed) {
    if (self->graph == NULL || self->graph->bits || queries->ndim != 2 || rows->ndim != 2 || scores->ndim != 2)
        return 0;
    if ((listed->obj == NULL) == (allowed->obj == NULL) ||
        (listed->obj != NULL && (listed->ndim != 1 || listed->itemsize != sizeof(int64_t))))
        return 0;
    return queries->itemsize == sizeof(float) && rows->itemsize == sizeof(int64_t) &&
           scores->itemsize == sizeof(float) && queries->shape[1] == self->originals.dim &&
           queries->shape[0] == rows->shape[0] && rows->shape[0] == scores->shape[0] &&
           rows->shape[1] == scores->shape[1];
}

static PyObject *scored_graph_scan(ScoredGraphObject *self, PyObject *const *args, Py_ssize_t many) {
    /* queries, rows, scores, listed, allowed */
    Py_buffer given[5] = {{.obj = NULL}, {.obj = NULL}, {.obj = NULL}, {.obj = NULL}, {.obj = NULL}};
    PyObject *answer = NULL;
    if (many != 6)
        return PyErr_Format(PyExc_TypeError, "expected queries, wanted, rows, scores, listed and allowed");
    Py_ssize_t wanted = PyLong_AsSsize_t(args[1]);
    if (PyErr_Occurred() || PyObject_GetBuffer(args[0], given, PyBUF_ND) < 0 ||
        PyObject_GetBuffer(args[2], given + 1, PyBUF_ND | PyBUF_WRITABLE) < 0 ||
        PyObject_GetBuffer(args[3], given + 2, PyBUF_ND | PyBUF_WRITABLE) < 0 ||
        (args[4] != Py_None && PyObject_GetBuffer(args[4], given + 3, PyBUF_ND) < 0) ||
        (args[5] != Py_None && PyObject_GetBuffer(args[5], given + 4, PyBUF_SIMPLE) < 0))
        goto end;
    if (!are_for_scanning(self, given, given + 1, given + 2, given + 3, given + 4) || wanted <= 0 ||
        !are_compared_for(self, given, given)) {
        PyErr_SetString(PyExc_ValueError, "expected matrices that fit each other, and rows or bits");
        goto end;
    }
    if (!number_nodes(self)) {
        PyErr_NoMemory();
        goto end;
    }
    Admitted admitted = {given[3].buf, given[3].len / (Py_ssize_t)sizeof(int64_t),
                         {given[4].buf, 8 * given[4].len}};
    Ranking ranking = {given[1].buf, given[2].buf, given[1].shape[1]};
    Asked asked = {given[0].buf, given[0].buf, given[0].shape[1]};
    int done;
    Py_BEGIN_ALLOW_THREADS;
    done = scan_best(self->graph, &self->originals, self->nodes, &admitted, &asked, given[0].shape[0], wanted,
                     ranking);
    Py_END_ALLOW_THREADS;
    answer = done < 0 ? PyErr_NoMemory() : Py_NewRef(Py_None);
end:
    for (int i = 0; i < 5; i++)
        PyBuffer_Release(given + i);
    return answer;
}

static PyMethodDef scored_graph_methods[] = {
    {"scan", (PyCFunction)(void (*)(void))scored_graph_scan, METH_FASTCALL, "See walk.pyi."},
    {"search", (PyCFunction)(void (*)(void))scored_graph_search, METH_FASTCALL, "See walk.pyi."},
    {NULL, NULL, 0, NULL},
};
static PyType_Slot scored_graph_slots[] = {
    {Py_tp_new, PyType_GenericNew}, {Py_tp_init, scored_graph_init}, {Py_tp_dealloc, scored_graph_dealloc},
    {Py_tp_methods, scored_graph_methods}, {0, NULL},
};
static PyType_Spec scored_graph_spec = {
    .name = "node.index.walk.ScoredGraph",
    .basicsize = sizeof(ScoredGraphObject),
    .flags = Py_TPFLAGS_DEFAULT,
    .slots = scored_graph_slots,
};

/* --- the module --------------------------------------------------------------------------------------------- */

static PyMethodDef graph_methods[] = {
    {"packed", (PyCFunction)(void (*)(void))graph_packed, METH_VARARGS | METH_KEYWORDS | METH_CLASS, "See walk.pyi."},
    {"link", (PyCFunction)(void (*)(void))graph_link, METH_FASTCALL, "See walk.pyi."},
    {"search", (PyCFunction)(void (*)(void))graph_search, METH_FASTCALL, "See walk.pyi."},
    {NULL, NULL, 0, NULL},
};
static PyType_Slot graph_slots[] = {
    {Py_tp_new, PyType_GenericNew}, {Py_tp_init, graph_init}, {Py_tp_dealloc, graph_dealloc},
    {Py_tp_methods, graph_methods}, {0, NULL},
};
static PyType_Spec graph_spec = {
    .name = "node.index.walk.Graph",
    .basicsize = sizeof(GraphObject),
    .flags = Py_TPFLAGS_DEFAULT,
    .slots = graph_slots,
};

static PyObject *distances(PyObject *Py_UNUSED(module), PyObject *args) {
    Py_buffer a, b;
    PyObject *found = NULL;
    if (!PyArg_ParseTuple(args, "y*y*", &a, &b))
        return NULL;
    if (a.len != b.len)
        PyErr_SetString(PyExc_ValueError, "expected codes of one width");
    else
        found = PyList_New(0);
    for (int i = 0; found != NULL && i < comparisons_size; i++) {
        PyObject *distance = PyLong_FromUnsignedLong(comparisons[i](a.buf, b.buf, a.len));
        if (distance == NULL || PyList_Append(found, distance) < 0)
            Py_CLEAR(found);
        Py_XDECREF(distance);
    }
    PyBuffer_Release(&a);
    PyBuffer_Release(&b);
    return found;
}

static PyObject *normalize(PyObject *Py_UNUSED(module), PyObject *const *args, Py_ssize_t many) {
    Py_buffer rows = {.obj = NULL}, units = {.obj = NULL};
    PyObject *answer = NULL;
    if (many != 2)
        return PyErr_Format(PyExc_TypeError, "expected rows and where to write them");
    if (PyObject_GetBuffer(args[0], &rows, PyBUF_ND) < 0 ||
        PyObject_GetBuffer(args[1], &units, PyBUF_ND | PyBUF_WRITABLE) < 0)
        goto end;
    if (rows.ndim < 1 || rows.itemsize != sizeof(float) || units.itemsize != sizeof(float) ||
        rows.len != units.len) {
        PyErr_SetString(PyExc_ValueError, "expected float32 rows and as much room");
        goto end;
    }
    Py_ssize_t dim = rows.shape[rows.ndim - 1], step = dim * (Py_ssize_t)sizeof(float);
    Py_BEGIN_ALLOW_THREADS;
    for (Py_ssize_t at = 0; step > 0 && at < rows.len; at += step)
        scale_to_unit((const float *)((const char *)rows.buf + at), dim, (float *)((char *)units.buf + at));
    Py_END_ALLOW_THREADS;
    answer = Py_NewRef(Py_None);
end:
    PyBuffer_Release(&rows);
    PyBuffer_Release(&units);
    return answer;
}

/* --- packing ------------------------------------------------------------------------------------------------ */

static int are_packed(const Py_buffer *links, const Py_buffer *packed, int width, long long first) {
    if (width < 1 || width > LINK_BITS_MAX || first < 0 || links->itemsize != sizeof(int32_t) || packed->len < SPARE_BYTES)
        return 0;
    long long room = (packed->len - SPARE_BYTES) * 8 / width;
    return links->len / (Py_ssize_t)sizeof(int32_t) <= room - first;
}

static PyObject *pack(PyObject *Py_UNUSED(module), PyObject *args) {
    Py_buffer links, packed;
    int width;
    long long first;
    if (!PyArg_ParseTuple(args, "y*iLw*", &links, &width, &first, &packed))
        return NULL;
    int fits = are_packed(&links, &packed, width, first);
    uint64_t bit = (uint64_t)first * (uint64_t)width;
    for (Py_ssize_t i = 0; fits && i < links.len / (Py_ssize_t)sizeof(int32_t); i++, bit += (uint64_t)width) {
        uint8_t *at = (uint8_t *)packed.buf + (bit >> 3);
        uint64_t word, link = ((const uint32_t *)links.buf)[i];
        memcpy(&word, at, sizeof word);
        word |= link << (bit & 7);
        memcpy(at, &word, sizeof word);
        fits = link >> width == 0;
    }
    PyBuffer_Release(&links);
    PyBuffer_Release(&packed);
    if (!fits)
        return PyErr_Format(PyExc_ValueError, "expected links of so many bits, and room for them");
    return Py_NewRef(Py_None);
}

static PyObject *unpack(PyObject *Py_UNUSED(module), PyObject *args) {
    Py_buffer links, packed;
    int width;
    long long first;
    if (!PyArg_ParseTuple(args, "y*iLw*", &packed, &width, &first, &links))
        return NULL;
    int fits = are_packed(&links, &packed, width, first);
    for (Py_ssize_t i = 0; fits && i < links.len / (Py_ssize_t)sizeof(int32_t); i++)
        ((uint32_t *)links.buf)[i] = packed_at(packed.buf, (uint64_t)(first + i) * (uint64_t)width,
                                               (UINT64_C(1) << width) - 1);
    PyBuffer_Release(&links);
    PyBuffer_Release(&packed);
    if (!fits)
        return PyErr_Format(PyExc_ValueError, "expected links of so many bits, and room for them");
    return Py_NewRef(Py_None);
}

static PyMethodDef module_methods[] = {
    {"pack", pack, METH_VARARGS, "See walk.pyi."},
    {"unpack", unpack, METH_VARARGS, "See walk.pyi."},
    {"normalize", (PyCFunction)(void (*)(void))normalize, METH_FASTCALL, "See walk.pyi."},
    {"distances", distances, METH_VARARGS, "See walk.pyi."},
    {NULL, NULL, 0, NULL},
};

static int module_exec(PyObject *module) {
    choose_comparison();
    PyObject *graph = PyType_FromModuleAndSpec(module, &graph_spec, NULL);
    PyObject *scored = PyType_FromModuleAndSpec(module, &scored_graph_spec, NULL);
    int added = graph == NULL || scored == NULL || PyModule_AddObjectRef(module, "Graph", graph) < 0 ||
                        PyModule_AddObjectRef(module, "ScoredGraph", scored) < 0
                    ? -1
                    : 0;
    Py_XSETREF(graph_type, (PyTypeObject *)graph);
    Py_XDECREF(scored);
    return added;
}

static PyModuleDef_Slot module_slots[] = {{Py_mod_exec, module_exec}, {0, NULL}};
static struct PyModuleDef module = {
    PyModuleDef_HEAD_INIT,
    .m_name = "node.index.walk",
    .m_doc = "See walk.pyi.",
    .m_methods = module_methods,
    .m_slots = module_slots,
};

PyMODINIT_FUNC PyInit_walk(void) { return PyModuleDef_Init(&module); }
