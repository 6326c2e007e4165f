/* ``Graph`` for Python: made of FAISS's links or of packed ones, searched, linked. */
#include "objects.h"

#include "link.h"
#include "signs.h"

#define LEVELS_MAX 64 /* of a graph; there are hardly ever ten */
#define HELD 3        /* buffers of a packed level */

/* Takes the form of codes, whose bytes are in `width`; halves of bytes lie together line by line. */
static int take_form(Coded *coded, int form) {
    Graph *graph = &coded->graph;
    graph->stride = graph->width;
    coded->form = (Form)form;
    if (form == OF_SPLIT_BYTES)
        graph->width /= 2;
    return form == OF_BYTES || (form == OF_HALVES && graph->stride % LINE_BYTES == 0) ||
           (form == OF_SPLIT_BYTES && graph->stride % (2 * LINE_BYTES) == 0);
}

/* Are they signs for each round of a block, and is there memory for them? */
static int take_rotation(GraphObject *self, const Py_buffer *signs) {
    Size block = signs->len / (ROTATION_ROUNDS * (Size)sizeof(float)), width = signs_components(self->coded.graph.width);
    if (!self->coded.bits || block < 4 || (block & (block - 1)) != 0 || width % block != 0 ||
        signs->len != ROTATION_ROUNDS * block * (Size)sizeof(float))
        return 0;
    if ((self->signs = PyMem_Malloc((size_t)signs->len)) == NULL)
        return 0;
    memcpy(self->signs, signs->buf, (size_t)signs->len);
    self->coded.rotation = (Rotation){self->signs, block, width};
    return 1;
}

/* Are they codes that can be compared, those of signs by a `centre` and perhaps after a rotation? */
static int take_codes(GraphObject *self, int form, unsigned long long centre, const Py_buffer *rotation) {
    Coded *coded = &self->coded;
    const Size width = coded->graph.width;
    if (width <= 0 || !(coded->step > 0) || coded->bits < 0 || coded->bits > 8)
        return 0;
    if (coded->bits && (centre == 0 || signs_components(width) <= 0 || signs_components(width) % 64 != 0))
        return 0;
    coded->centre = (const float *)(uintptr_t)centre;
    return take_form(coded, form) && (rotation->obj == NULL || take_rotation(self, rotation));
}

static int graph_init(GraphObject *self, PyObject *args, PyObject *keywords) {
    static char *names[] = {"owner",   "count",  "entry", "top",  "neighbors", "offsets",
                            "starts",  "codes",  "width", "low",  "step",      "centre",  "bits", "form", "rotation", NULL};
    PyObject *owner;
    unsigned long long codes, neighbors, offsets, centre = 0;
    Py_buffer starts, rotation = {.obj = NULL};
    long long count;
    Graph *graph = &self->coded.graph;
    int form = OF_BYTES;
    if (!PyArg_ParseTupleAndKeywords(args, keywords, "OLiiKKy*Knff|Kiiz*", names, &owner, &count, &graph->entry,
                                     &graph->top, &neighbors, &offsets, &starts, &codes, &graph->width,
                                     &self->coded.low, &self->coded.step, &centre, &self->coded.bits,
                                     &form, &rotation))
        return -1;
    Py_ssize_t levels = starts.len / (Py_ssize_t)sizeof(int32_t) - 1;
    int fits = self->owner == NULL && 0 <= count && count < NODES_MAX && levels >= 1;
    fits = fits && take_codes(self, form, centre, &rotation);
    fits = fits && (count == 0 || (0 <= graph->entry && graph->entry < count && graph->top < levels));
    if (fits && (self->starts = PyMem_Malloc((size_t)starts.len)) != NULL)
        memcpy(self->starts, starts.buf, (size_t)starts.len);
    PyBuffer_Release(&starts);
    PyBuffer_Release(&rotation);
    if (!fits) {
        PyErr_SetString(PyExc_ValueError, "expected the count, entry node, levels and codes of one graph");
        return -1;
    }
    if (self->starts == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    self->owner = Py_NewRef(owner);
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
    for (int i = 0; self->held != NULL && i < HELD * self->coded.graph.levels; i++)
        PyBuffer_Release(self->held + i);
    PyMem_Free(self->held);
    PyMem_Free(self->levels);
    PyMem_Free(self->starts);
    PyMem_Free(self->signs);
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
    Graph *graph = &self->coded.graph;
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
    static char *names[] = {"owner", "count", "entry",  "levels", "codes", "width",
                            "low",   "step",  "centre", "bits",   "form",  "rotation", NULL};
    PyObject *owner, *levels;
    unsigned long long codes, centre = 0;
    Py_buffer rotation = {.obj = NULL};
    long long count;
    GraphObject *self = (GraphObject *)((PyTypeObject *)type)->tp_alloc((PyTypeObject *)type, 0);
    if (self == NULL)
        return NULL;
    Graph *graph = &self->coded.graph;
    int form = OF_BYTES;
    if (!PyArg_ParseTupleAndKeywords(args, keywords, "OLiO!Knff|Kiiz*", names, &owner, &count, &graph->entry,
                                     &PyTuple_Type, &levels, &codes, &graph->width, &self->coded.low,
                                     &self->coded.step, &centre, &self->coded.bits, &form, &rotation))
        goto failed;
    graph->count = count;
    graph->codes = (const uint8_t *)(uintptr_t)codes;
    int fits = take_codes(self, form, centre, &rotation);
    PyBuffer_Release(&rotation);
    if (!fits || count < 1 || count >= NODES_MAX || !is_node(graph, graph->entry) || PyTuple_GET_SIZE(levels) < 1 ||
        PyTuple_GET_SIZE(levels) > LEVELS_MAX) {
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

static int are_matrices_of(const GraphObject *self, const Py_buffer *queries, const Py_buffer *rows,
                           const Py_buffer *scores, const Py_buffer *of_nodes) {
    if (self->owner == NULL || queries->ndim != 2 || rows->ndim != 2 || scores->ndim != 2)
        return 0;
    if (of_nodes->obj != NULL && of_nodes->len != self->coded.graph.count * (Py_ssize_t)sizeof(uint32_t))
        return 0;
    for (int i = 0; i < 2; i++)
        if (rows->shape[i] != scores->shape[i])
            return 0;
    return queries->itemsize == sizeof(float) && rows->itemsize == sizeof(int64_t) &&
           scores->itemsize == sizeof(float) && queries->shape[0] == rows->shape[0] &&
           takes(&self->coded, queries->shape[1]);
}

static PyObject *graph_search(GraphObject *self, PyObject *const *args, Py_ssize_t many) {
    /* queries, rows, scores, of_nodes */
    Py_buffer given[4] = {{.obj = NULL}, {.obj = NULL}, {.obj = NULL}, {.obj = NULL}};
    PyObject *answer = NULL;
    if (many != 7)
        return PyErr_Format(PyExc_TypeError, "expected queries, ef, whole, worth, rows, scores and of_nodes");
    Py_ssize_t ef = PyLong_AsSsize_t(args[1]), whole = PyLong_AsSsize_t(args[2]), worth = PyLong_AsSsize_t(args[3]);
    if (PyErr_Occurred() || PyObject_GetBuffer(args[0], given, PyBUF_ND) < 0 ||
        PyObject_GetBuffer(args[4], given + 1, PyBUF_ND | PyBUF_WRITABLE) < 0 ||
        PyObject_GetBuffer(args[5], given + 2, PyBUF_ND | PyBUF_WRITABLE) < 0 ||
        (args[6] != Py_None && PyObject_GetBuffer(args[6], given + 3, PyBUF_SIMPLE) < 0))
        goto end;
    if (!are_matrices_of(self, given, given + 1, given + 2, given + 3) || whole < given[1].shape[1] || ef < whole ||
        ef == 0 || worth < NEARNESS || worth > PRODUCT) {
        PyErr_SetString(PyExc_ValueError, "expected matrices that fit each other, the graph and ef");
        goto end;
    }
    Ranking ranking = {given[1].buf, given[2].buf, given[1].shape[1]};
    int done;
    Py_BEGIN_ALLOW_THREADS;
    done = search_codes(&self->coded, (Worth)worth, given[3].buf, given[0].buf, given[0].shape[0], given[0].shape[1],
                        ef, whole, ranking);
    Py_END_ALLOW_THREADS;
    answer = done < 0 ? PyErr_NoMemory() : Py_NewRef(Py_None);
end:
    for (int i = 0; i < 4; i++)
        PyBuffer_Release(given + i);
    return answer;
}

static int are_of_graph(const GraphObject *self, const Py_buffer *buffers, Py_ssize_t ef) {
    const Py_buffer *levels = buffers, *locks = buffers + 1, *order = buffers + 2, *next = buffers + 3;
    Py_ssize_t count = self->coded.graph.count;
    if (self->starts == NULL || self->coded.form == OF_SPLIT_BYTES || levels->len != count * (Py_ssize_t)sizeof(int32_t) || locks->len != count ||
        order->len % (Py_ssize_t)sizeof(int32_t) != 0 || next->len != sizeof(int64_t) || ef <= 0)
        return 0;
    for (Py_ssize_t i = 0; i < order->len / (Py_ssize_t)sizeof(int32_t); i++) {
        int32_t node = ((const int32_t *)order->buf)[i];
        if (!is_node(&self->coded.graph, node) || ((const int32_t *)levels->buf)[node] > self->coded.graph.levels)
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
        .form = self->coded.form,
        .graph = &self->coded.graph,
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
PyType_Spec graph_spec = {
    .name = "node.index.walk.Graph",
    .basicsize = sizeof(GraphObject),
    .flags = Py_TPFLAGS_DEFAULT,
    .slots = graph_slots,
};
