/* ``ScoredGraph`` for Python: what a graph's walks and scans find is scored again on the vectors. */
#include "objects.h"

typedef struct {
    PyObject_HEAD
    GraphObject *graph;
    PyObject *packed;       /* NULL: vectors are those of the matrix */
    Py_buffer matrix, rows; /* obj NULL: there is none */
    Originals originals;
    uint32_t *nodes; /* of each row, where nodes are not numbered as rows are; made by the first scan */
} ScoredGraphObject;

/* Are they vectors? */
static int take_vectors(ScoredGraphObject *self) {
    Originals *originals = &self->originals;
    if (self->packed != NULL) {
        const PackedRows *packed = &((PackedRowsObject *)self->packed)->rows;
        *originals = (Originals){.packed = packed, .count = packed->count, .dim = packed->dim};
        return packed->data != NULL;
    }
    if (self->matrix.ndim != 2 || self->matrix.itemsize != sizeof(float))
        return 0;
    *originals = (Originals){
        .matrix = self->matrix.buf, .count = self->matrix.shape[0], .dim = self->matrix.shape[1]};
    return 1;
}

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
    if (Py_TYPE(matrix) == packed_rows_type)
        self->packed = Py_NewRef(matrix);
    else if (PyObject_GetBuffer(matrix, &self->matrix, PyBUF_ND) < 0)
        return -1;
    if (rows != Py_None && PyObject_GetBuffer(rows, &self->rows, PyBUF_ND) < 0)
        return -1;
    const Coded *coded = &((GraphObject *)graph)->coded;
    int fits = ((GraphObject *)graph)->owner != NULL && kernel != 0 && take_vectors(self);
    const Originals *vectors = &self->originals;
    fits = fits && vectors->count < NODES_MAX && takes(coded, vectors->dim);
    if (fits && rows != Py_None)
        fits = self->rows.ndim == 1 && self->rows.itemsize == sizeof(uint32_t) &&
               self->rows.shape[0] == coded->graph.count;
    else if (fits)
        fits = coded->graph.count <= vectors->count;
    if (!fits) {
        PyErr_SetString(PyExc_ValueError, "expected the vectors of the graph's nodes");
        return -1;
    }
    self->graph = (GraphObject *)Py_NewRef(graph);
    self->originals.rows = self->rows.buf;
    self->originals.kernel = (Kernel *)(uintptr_t)kernel;
    self->originals.is_distance = is_distance;
    return 0;
}

static void scored_graph_dealloc(ScoredGraphObject *self) {
    PyTypeObject *type = Py_TYPE(self);
    Py_XDECREF(self->packed);
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

static PyObject *scored_graph_search(ScoredGraphObject *self, PyObject *const *args, Py_ssize_t many) {
    /* queries, rows, scores, walked, allowed */
    Py_buffer given[5] = {{.obj = NULL}, {.obj = NULL}, {.obj = NULL}, {.obj = NULL}, {.obj = NULL}};
    PyObject *answer = NULL;
    if (many != 7)
        return PyErr_Format(PyExc_TypeError, "expected queries, ef, wanted, rows, scores, walked and allowed");
    Py_ssize_t ef = PyLong_AsSsize_t(args[1]), wanted = PyLong_AsSsize_t(args[2]);
    if (PyErr_Occurred() || PyObject_GetBuffer(args[0], given, PyBUF_ND) < 0 ||
        PyObject_GetBuffer(args[3], given + 1, PyBUF_ND | PyBUF_WRITABLE) < 0 ||
        PyObject_GetBuffer(args[4], given + 2, PyBUF_ND | PyBUF_WRITABLE) < 0 ||
        PyObject_GetBuffer(args[5], given + 3, PyBUF_WRITABLE) < 0 ||
        (args[6] != Py_None && PyObject_GetBuffer(args[6], given + 4, PyBUF_SIMPLE) < 0))
        goto end;
    if (!are_for_ranking(self, given, given + 1, given + 2, given + 3) || ef <= 0 || wanted <= 0) {
        PyErr_SetString(PyExc_ValueError, "expected matrices that fit each other and the graph");
        goto end;
    }
    Mask mask = {given[4].buf, 8 * given[4].len};
    Ranking ranking = {given[1].buf, given[2].buf, given[1].shape[1]};
    int done;
    Py_BEGIN_ALLOW_THREADS;
    done = search_best(&self->graph->coded, &self->originals, &mask, given[0].buf, given[0].shape[0], ef, wanted,
                       ranking, given[3].buf);
    Py_END_ALLOW_THREADS;
    answer = done < 0 ? PyErr_NoMemory() : Py_NewRef(Py_None);
end:
    for (int i = 0; i < 5; i++)
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
    for (int64_t node = 0; node < self->graph->coded.graph.count; node++)
        if (originals->rows[node] < originals->count)
            nodes[originals->rows[node]] = (uint32_t)node;
    self->nodes = nodes;
    return 1;
}

static int are_for_scanning(const ScoredGraphObject *self, const Py_buffer *queries, const Py_buffer *rows,
                            const Py_buffer *scores, const Py_buffer *listed, const Py_buffer *allowed) {
    if (self->graph == NULL || self->graph->coded.bits || queries->ndim != 2 || rows->ndim != 2 || scores->ndim != 2)
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
    if (!are_for_scanning(self, given, given + 1, given + 2, given + 3, given + 4) || wanted <= 0) {
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
    int done;
    Py_BEGIN_ALLOW_THREADS;
    done = scan_best(&self->graph->coded, &self->originals, self->nodes, &admitted, given[0].buf, given[0].shape[0],
                     wanted, ranking);
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
PyType_Spec scored_graph_spec = {
    .name = "node.index.walk.ScoredGraph",
    .basicsize = sizeof(ScoredGraphObject),
    .flags = Py_TPFLAGS_DEFAULT,
    .slots = scored_graph_slots,
};
