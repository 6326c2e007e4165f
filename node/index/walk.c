/* The walk over an HNSW graph of FAISS's whose codes are bytes that are compared as integers.
 *
 * Lives here: reading links and codes where FAISS keeps them (or where its file is mapped), and the search of
 * Malkov and Yashunin, "Efficient and robust approximate nearest neighbor search using Hierarchical Navigable
 * Small World graphs" (2016), algorithms 2 and 5. May not live here: building graphs, files, other codes.
 *
 * Why it exists: a walk compares about a thousand codes that lie scattered over the file, and waits for memory
 * at each. Here all neighbours of a node are asked for before the first of them is compared, and the links of
 * the nodes that are likely next before that. docs/decisions/0012-native-walk.md has the figures.
 *
 * Invariants: nothing is written to the graph; any number of threads may walk one graph; a file whose links
 * lead outside the graph gives wrong candidates, never an access outside it.
 */
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#ifdef __x86_64__
#include <immintrin.h>
#endif

#define CACHE_LINE 64
#define PREFETCHED_MAX 2048 /* bytes of a code; the processor sees by itself that more of them are wanted */
#define AHEAD 2             /* nodes whose links are asked for before it is their turn */
#define LEVELS 255.0F
#define NODES_MAX (INT64_C(1) << 31)

typedef struct {
    PyObject_HEAD
    PyObject *owner; /* keeps what the pointers lead to */
    const uint8_t *codes;
    const int32_t *neighbors;
    const uint64_t *offsets; /* of each node's first neighbour */
    int32_t *starts;         /* of each level's neighbours among a node's, and the end of the last level's */
    int64_t count;
    Py_ssize_t width;      /* bytes of a code: a vector's components and zeros */
    float low, step;       /* the integer i stands for low + i * step */
    int32_t entry;
    int top; /* the entry node's level */
} Graph;

/* A distance, a node, and whether its neighbours were looked at, in one number: numbers are ordered as the
 * distances are, and where these are equal as the nodes. */
typedef uint64_t Found;

static inline Found found(uint32_t distance, int32_t node) {
    return (uint64_t)distance << 32 | (uint64_t)(uint32_t)node << 1;
}
static inline uint32_t distance_of(Found item) { return (uint32_t)(item >> 32); }
static inline int32_t node_of(Found item) { return (int32_t)((uint32_t)item >> 1); }
static inline int is_expanded(Found item) { return (int)(item & 1); }

/* The best nodes so far, in order. */
typedef struct {
    Found *items;
    Py_ssize_t size, room;
    Py_ssize_t next; /* all before it were expanded */
} Pool;

/* What one thread needs for a walk. */
typedef struct {
    Pool pool;
    Py_ssize_t pool_room; /* of the memory; the pool's own is the walk's ef */
    uint64_t *seen;       /* bits by node; zero between walks */
    Py_ssize_t seen_words;
    int32_t *touched; /* the nodes whose bits are set */
    Py_ssize_t touched_size, touched_room;
    int32_t *fresh; /* of one node's neighbours those not seen before */
    Py_ssize_t fresh_room;
    uint8_t *codes; /* of the queries */
    Py_ssize_t codes_room;
} Scratch;

/* --- comparing codes: squared Euclidean distance ------------------------------------------------------------ */

typedef uint32_t Compare(const uint8_t *a, const uint8_t *b, Py_ssize_t width);

static inline __attribute__((always_inline)) uint32_t sum_of_squares(const uint8_t *a, const uint8_t *b,
                                                                     Py_ssize_t width) {
    int32_t sum = 0;
    for (Py_ssize_t i = 0; i < width; i++) {
        int16_t difference = (int16_t)(a[i] - b[i]);
        sum += (int32_t)difference * difference;
    }
    return (uint32_t)sum;
}

static uint32_t compare_anywhere(const uint8_t *a, const uint8_t *b, Py_ssize_t width) {
    return sum_of_squares(a, b, width);
}

#ifdef __x86_64__
__attribute__((target("avx2"))) static uint32_t compare_avx2(const uint8_t *a, const uint8_t *b,
                                                             Py_ssize_t width) {
    return sum_of_squares(a, b, width);
}

__attribute__((target("avx512f,avx512bw,avx512vl,avx512vnni"))) static uint32_t
compare_vnni(const uint8_t *a, const uint8_t *b, Py_ssize_t width) {
    __m512i evens = _mm512_setzero_si512(), odds = evens; /* two sums, so that neither waits for the other */
    for (Py_ssize_t i = 0; i < width; i += 64) {
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

/* What this processor can do, the quickest last. */
static Compare *comparisons[3] = {compare_anywhere};
static int comparisons_size = 1;
static Compare *compare = compare_anywhere;

static void choose_comparison(void) {
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

/* Returns 0 where a component is so far outside the range of the integers that the code would be another
 * vector's. What is beyond the vector's components in the code must be zero. */
static int encode(const Graph *graph, const float *vector, Py_ssize_t dim, uint8_t *code) {
    float low = graph->low, step = graph->step, least = low - step, most = low + (LEVELS + 1) * step;
    int within = 1;
    for (Py_ssize_t i = 0; i < dim; i++) {
        float level = (vector[i] - low) / step;
        within &= vector[i] >= least && vector[i] <= most;
        level = level > 0 ? level : 0;
        code[i] = (uint8_t)(int)((level < LEVELS ? level : LEVELS) + 0.5F);
    }
    return within;
}

/* --- the graph ---------------------------------------------------------------------------------------------- */

static inline const uint8_t *code_of(const Graph *graph, int32_t node) {
    return graph->codes + (size_t)node * (size_t)graph->width;
}

static inline const int32_t *neighbors_of(const Graph *graph, int32_t node, int level) {
    return graph->neighbors + graph->offsets[node] + graph->starts[level];
}

static inline int neighbors_max(const Graph *graph, int level) {
    return graph->starts[level + 1] - graph->starts[level];
}

/* A node's neighbours end with -1 where there are fewer than the most. */
static inline int is_node(const Graph *graph, int32_t node) { return node >= 0 && node < graph->count; }

static inline void prefetch(const void *memory, Py_ssize_t bytes) {
    for (Py_ssize_t i = 0; i < bytes; i += CACHE_LINE)
        __builtin_prefetch((const char *)memory + i);
}

static inline void prefetch_code(const Graph *graph, int32_t node) {
    prefetch(code_of(graph, node), graph->width < PREFETCHED_MAX ? graph->width : PREFETCHED_MAX);
}

/* --- what was found ----------------------------------------------------------------------------------------- */

/* Returns whether it is one of the best. */
static int keep(Pool *pool, Found item) {
    Py_ssize_t low = 0, high = pool->size;
    if (pool->size == pool->room) {
        if (item >= pool->items[pool->size - 1])
            return 0;
        high = --pool->size;
    }
    while (low < high) {
        Py_ssize_t middle = (low + high) / 2;
        if (pool->items[middle] < item)
            low = middle + 1;
        else
            high = middle;
    }
    memmove(pool->items + low + 1, pool->items + low, (size_t)(pool->size - low) * sizeof(Found));
    pool->items[low] = item;
    pool->size++;
    if (low < pool->next)
        pool->next = low;
    return 1;
}

/* The nearest node whose neighbours were not looked at yet; -1: there is none. */
static int32_t expand_next(Pool *pool) {
    while (pool->next < pool->size && is_expanded(pool->items[pool->next]))
        pool->next++;
    if (pool->next == pool->size)
        return -1;
    pool->items[pool->next] |= 1;
    return node_of(pool->items[pool->next++]);
}

static void prefetch_links(const Graph *graph, const Pool *pool) {
    int wanted = AHEAD;
    for (Py_ssize_t at = pool->next; at < pool->size && wanted > 0; at++)
        if (!is_expanded(pool->items[at])) {
            const int32_t *neighbors = neighbors_of(graph, node_of(pool->items[at]), 0);
            prefetch(neighbors, neighbors_max(graph, 0) * (Py_ssize_t)sizeof *neighbors);
            wanted--;
        }
}

/* --- the walk ----------------------------------------------------------------------------------------------- */

/* Returns whether `node` was not seen before in this walk; there must be room for one more. */
static inline int see(Scratch *scratch, int32_t node) {
    uint64_t bit = UINT64_C(1) << (node & 63), *word = scratch->seen + (node >> 6);
    if (*word & bit)
        return 0;
    *word |= bit;
    scratch->touched[scratch->touched_size++] = node;
    return 1;
}

static void forget(Scratch *scratch) {
    for (Py_ssize_t i = 0; i < scratch->touched_size; i++)
        scratch->seen[scratch->touched[i] >> 6] = 0;
    scratch->touched_size = 0;
}

/* Room to see `more` nodes; -1: no memory. */
static int make_room(Scratch *scratch, Py_ssize_t more) {
    Py_ssize_t wanted = scratch->touched_size + more;
    if (wanted <= scratch->touched_room)
        return 0;
    int32_t *grown = realloc(scratch->touched, (size_t)(2 * wanted) * sizeof *grown);
    if (grown == NULL)
        return -1;
    scratch->touched = grown;
    scratch->touched_room = 2 * wanted;
    return 0;
}

/* Where one gets from `node` by always going to the nearest neighbour. */
static int32_t descend(const Graph *graph, const uint8_t *query, int32_t node, int level) {
    uint32_t nearest = compare(query, code_of(graph, node), graph->width);
    int most = neighbors_max(graph, level);
    for (int32_t last = -1; last != node;) {
        const int32_t *neighbors = neighbors_of(graph, node, level);
        last = node;
        for (int i = 0; i < most && is_node(graph, neighbors[i]); i++)
            prefetch_code(graph, neighbors[i]);
        for (int i = 0; i < most && is_node(graph, neighbors[i]); i++) {
            uint32_t distance = compare(query, code_of(graph, neighbors[i]), graph->width);
            if (distance < nearest) {
                nearest = distance;
                node = neighbors[i];
            }
        }
    }
    return node;
}

/* Compares all neighbours of `node` that were not seen before. */
static void expand(const Graph *graph, const uint8_t *query, int32_t node, Scratch *scratch) {
    const int32_t *neighbors = neighbors_of(graph, node, 0);
    int most = neighbors_max(graph, 0), size = 0;
    for (int i = 0; i < most && is_node(graph, neighbors[i]); i++)
        if (see(scratch, neighbors[i])) {
            prefetch_code(graph, neighbors[i]);
            scratch->fresh[size++] = neighbors[i];
        }
    prefetch_links(graph, &scratch->pool);
    for (int i = 0; i < size; i++) {
        int32_t neighbor = scratch->fresh[i];
        uint32_t distance = compare(query, code_of(graph, neighbor), graph->width);
        if (keep(&scratch->pool, found(distance, neighbor)))
            prefetch(graph->offsets + neighbor, 1);
    }
}

/* Fills the pool with the nearest nodes; -1: no memory. */
static int walk(const Graph *graph, const uint8_t *query, Scratch *scratch) {
    Pool *pool = &scratch->pool;
    int most = neighbors_max(graph, 0), done = make_room(scratch, 1);
    int32_t node = graph->entry;
    pool->size = pool->next = 0;
    if (graph->count == 0 || done < 0)
        return done;
    for (int level = graph->top; level > 0; level--)
        node = descend(graph, query, node, level);
    see(scratch, node);
    keep(pool, found(compare(query, code_of(graph, node), graph->width), node));
    while ((node = expand_next(pool)) >= 0 && (done = make_room(scratch, most)) == 0)
        expand(graph, query, node, scratch);
    forget(scratch);
    return done;
}

/* At least `wanted` elements at `*memory`, which has `*room`; -1: no memory. What was there is lost. */
static int allot(void **memory, Py_ssize_t *room, Py_ssize_t wanted, size_t element) {
    if (*room >= wanted)
        return 0;
    free(*memory);
    *memory = calloc((size_t)wanted, element);
    *room = *memory == NULL ? 0 : wanted;
    return *memory == NULL ? -1 : 0;
}

/* This thread's, with room for a walk; NULL: no memory. The threads that search are few and live as long as the
 * process, so what they hold is not given back. */
static __attribute__((noinline)) Scratch *scratch_for(const Graph *graph, Py_ssize_t ef) {
    static _Thread_local Scratch mine;
    Py_ssize_t words = (graph->count + 63) / 64, room = ef < graph->count ? ef : graph->count;
    int done = allot((void **)&mine.seen, &mine.seen_words, words, sizeof *mine.seen);
    done |= allot((void **)&mine.pool.items, &mine.pool_room, room, sizeof *mine.pool.items);
    done |= allot((void **)&mine.fresh, &mine.fresh_room, neighbors_max(graph, 0), sizeof *mine.fresh);
    mine.pool.room = room;
    return done < 0 ? NULL : &mine;
}

/* One walk per query; 0: the codes have no room for a query, nothing was done; -1: no memory. */
static int search(const Graph *graph, const float *queries, Py_ssize_t many, Py_ssize_t dim, Py_ssize_t ef,
                  Py_ssize_t count, float *distances, int64_t *nodes) {
    Scratch *scratch = scratch_for(graph, ef);
    if (scratch == NULL || allot((void **)&scratch->codes, &scratch->codes_room, many * graph->width, 1) < 0)
        return -1;
    memset(scratch->codes, 0, (size_t)(many * graph->width));
    for (Py_ssize_t i = 0; i < many; i++)
        if (!encode(graph, queries + i * dim, dim, scratch->codes + i * graph->width))
            return 0;
    for (Py_ssize_t i = 0; i < many; i++) {
        if (walk(graph, scratch->codes + i * graph->width, scratch) < 0)
            return -1;
        for (Py_ssize_t at = 0; at < count; at++) {
            int is_there = at < scratch->pool.size;
            distances[i * count + at] = is_there ? (float)distance_of(scratch->pool.items[at]) : INFINITY;
            nodes[i * count + at] = is_there ? node_of(scratch->pool.items[at]) : -1;
        }
    }
    return 1;
}

/* --- Python ------------------------------------------------------------------------------------------------- */

static int graph_init(Graph *self, PyObject *args, PyObject *keywords) {
    static char *names[] = {"owner",   "count",  "entry", "top", "neighbors", "offsets", "starts",
                            "codes",   "width",  "low",   "step", NULL};
    PyObject *owner;
    unsigned long long codes, neighbors, offsets;
    Py_buffer starts;
    long long count;
    if (!PyArg_ParseTupleAndKeywords(args, keywords, "OLiiKKy*Knff", names, &owner, &count, &self->entry,
                                     &self->top, &neighbors, &offsets, &starts, &codes, &self->width,
                                     &self->low, &self->step))
        return -1;
    Py_ssize_t levels = starts.len / (Py_ssize_t)sizeof(int32_t) - 1;
    int fits = self->starts == NULL && self->width > 0 && self->step > 0;
    fits = fits && 0 <= count && count < NODES_MAX && levels >= 1;
    fits = fits && (count == 0 || (0 <= self->entry && self->entry < count && self->top < levels));
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
    self->codes = (const uint8_t *)(uintptr_t)codes;
    self->neighbors = (const int32_t *)(uintptr_t)neighbors;
    self->offsets = (const uint64_t *)(uintptr_t)offsets;
    self->count = count;
    return 0;
}

static void graph_dealloc(Graph *self) {
    PyTypeObject *type = Py_TYPE(self);
    PyMem_Free(self->starts);
    Py_XDECREF(self->owner);
    type->tp_free((PyObject *)self);
    Py_DECREF(type);
}

static int are_matrices_of(const Graph *graph, const Py_buffer *queries, const Py_buffer *distances,
                           const Py_buffer *nodes, Py_ssize_t ef) {
    if (graph->starts == NULL || queries->ndim != 2 || distances->ndim != 2 || nodes->ndim != 2)
        return 0;
    for (int i = 0; i < 2; i++)
        if (nodes->shape[i] != distances->shape[i])
            return 0;
    return queries->itemsize == sizeof(float) && distances->itemsize == sizeof(float) &&
           nodes->itemsize == sizeof(int64_t) && queries->shape[0] == nodes->shape[0] &&
           queries->shape[1] <= graph->width && 0 < ef && nodes->shape[1] <= ef;
}

static PyObject *graph_search(Graph *self, PyObject *const *args, Py_ssize_t many) {
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
    answer = done < 0 ? PyErr_NoMemory() : PyBool_FromLong(done);
end:
    for (int i = 0; i < 3; i++)
        PyBuffer_Release(found + i);
    return answer;
}

static PyMethodDef graph_methods[] = {
    {"search", (PyCFunction)(void (*)(void))graph_search, METH_FASTCALL, "See walk.pyi."},
    {NULL, NULL, 0, NULL},
};
static PyType_Slot graph_slots[] = {
    {Py_tp_new, PyType_GenericNew}, {Py_tp_init, graph_init}, {Py_tp_dealloc, graph_dealloc},
    {Py_tp_methods, graph_methods}, {0, NULL},
};
static PyType_Spec graph_spec = {
    .name = "node.index.walk.Graph",
    .basicsize = sizeof(Graph),
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

static PyMethodDef module_methods[] = {
    {"distances", distances, METH_VARARGS, "See walk.pyi."},
    {NULL, NULL, 0, NULL},
};

static int module_exec(PyObject *module) {
    choose_comparison();
    PyObject *type = PyType_FromModuleAndSpec(module, &graph_spec, NULL);
    if (type == NULL)
        return -1;
    int added = PyModule_AddObjectRef(module, "Graph", type);
    Py_DECREF(type);
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
