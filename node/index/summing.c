/* The loops over what sparse vectors hold: postings of an inverted index, and elements of rows. See summing.pyi. */
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <stdint.h>
#include <string.h>

#define SIEVE_BITS 65536 /* indices are first looked up by their low bits: most that do not match fall out */

/* --- postings ------------------------------------------------------------------------------------------------ */

/* Of one index: rows, and codes of so many bytes (float32, float16, or steps), which stand for code * factor + base. */
typedef struct {
    const int32_t *rows;
    const char *codes;
    Py_ssize_t size, code_bytes;
    float factor, base;
} Postings;

static inline float from_half(uint16_t half) {
    uint32_t bits = (uint32_t)(half & 0x7fff) << 13, scale = UINT32_C(239) << 23; /* 2^112 */
    float value, factor;
    memcpy(&value, &bits, sizeof value);
    memcpy(&factor, &scale, sizeof factor);
    value *= factor;
    if ((half & 0x7c00) == 0x7c00) { /* no number, or infinite */
        bits |= UINT32_C(0xff) << 23;
        memcpy(&value, &bits, sizeof value);
    }
    return half >> 15 ? -value : value;
}

static inline float code_at(const Postings *postings, Py_ssize_t i) {
    float whole;
    uint16_t half;
    switch (postings->code_bytes) {
    case 1:
        return (float)((const uint8_t *)postings->codes)[i];
    case 2:
        memcpy(&half, postings->codes + 2 * i, sizeof half);
        return from_half(half);
    default:
        memcpy(&whole, postings->codes + 4 * i, sizeof whole);
        return whole;
    }
}

/* Returns 0 if one is of a row that there is not. */
static inline __attribute__((always_inline)) int add(const Postings *postings, float *scores, Py_ssize_t count) {
    for (Py_ssize_t i = 0; i < postings->size; i++) {
        uint32_t row = (uint32_t)postings->rows[i];
        if (row >= (uint64_t)count)
            return 0;
        scores[row] += code_at(postings, i) * postings->factor + postings->base;
    }
    return 1;
}

static int add_by_code(Postings *postings, float *scores, Py_ssize_t count) {
    switch (postings->code_bytes) { /* so that each has a loop of its own */
    case 1:
        postings->code_bytes = 1;
        return add(postings, scores, count);
    case 2:
        postings->code_bytes = 2;
        return add(postings, scores, count);
    default:
        postings->code_bytes = 4;
        return add(postings, scores, count);
    }
}

typedef struct {
    Py_buffer scores, rows, codes, starts, ends, factors, bases;
} Terms;

static int are_terms(const Terms *terms) {
    Py_ssize_t size = terms->starts.len / (Py_ssize_t)sizeof(int64_t), all = terms->rows.len / (Py_ssize_t)sizeof(int32_t);
    Py_ssize_t bytes = terms->codes.itemsize;
    int fits = terms->scores.itemsize == sizeof(float) && terms->rows.itemsize == sizeof(int32_t);
    fits = fits && (bytes == 1 || bytes == 2 || bytes == 4) && terms->codes.len == all * bytes;
    fits = fits && terms->starts.itemsize == sizeof(int64_t) && terms->ends.itemsize == sizeof(int64_t);
    fits = fits && terms->ends.len == terms->starts.len && terms->factors.len == size * (Py_ssize_t)sizeof(float);
    fits = fits && terms->bases.len == terms->factors.len;
    for (Py_ssize_t i = 0; fits && i < size; i++) {
        int64_t start = ((const int64_t *)terms->starts.buf)[i], end = ((const int64_t *)terms->ends.buf)[i];
        fits = 0 <= start && start <= end && end <= all;
    }
    return fits;
}

static int add_terms(const Terms *terms) {
    int is_sound = 1;
    for (Py_ssize_t i = 0; is_sound && i < terms->starts.len / (Py_ssize_t)sizeof(int64_t); i++) {
        int64_t start = ((const int64_t *)terms->starts.buf)[i], end = ((const int64_t *)terms->ends.buf)[i];
        Postings postings = {
            .rows = (const int32_t *)terms->rows.buf + start,
            .codes = (const char *)terms->codes.buf + start * terms->codes.itemsize,
            .size = (Py_ssize_t)(end - start),
            .code_bytes = terms->codes.itemsize,
            .factor = ((const float *)terms->factors.buf)[i],
            .base = ((const float *)terms->bases.buf)[i],
        };
        is_sound = add_by_code(&postings, terms->scores.buf, terms->scores.len / (Py_ssize_t)sizeof(float));
    }
    return is_sound;
}

static PyObject *add_postings(PyObject *Py_UNUSED(module), PyObject *const *args, Py_ssize_t many) {
    Terms terms = {.scores = {.obj = NULL}};
    Py_buffer *buffers[] = {&terms.scores, &terms.rows,    &terms.codes, &terms.starts,
                            &terms.ends,   &terms.factors, &terms.bases};
    PyObject *answer = NULL;
    int held = 0, is_sound;
    if (many != 7)
        return PyErr_Format(PyExc_TypeError, "expected scores, rows, codes, starts, ends, factors and bases");
    for (; held < 7; held++)
        if (PyObject_GetBuffer(args[held], buffers[held], held == 0 ? PyBUF_ND | PyBUF_WRITABLE : PyBUF_ND) < 0)
            goto end;
    if (!are_terms(&terms)) {
        PyErr_SetString(PyExc_ValueError, "expected arrays that fit each other");
        goto end;
    }
    Py_BEGIN_ALLOW_THREADS;
    is_sound = add_terms(&terms);
    Py_END_ALLOW_THREADS;
    answer = PyBool_FromLong(is_sound);
end:
    while (held > 0)
        PyBuffer_Release(buffers[--held]);
    return answer;
}

/* --- rows ----------------------------------------------------------------------------------------------------- */

typedef struct {
    Py_buffer offsets, indices, values, rows, query, weights, scores, shared;
} Rows;

typedef struct {
    const uint32_t *indices;
    const float *weights;
    Py_ssize_t size;
    uint64_t sieve[SIEVE_BITS / 64];
} Query;

/* Where the query has an index; -1: it has it not. */
static inline Py_ssize_t place_of(const Query *query, uint32_t index) {
    Py_ssize_t low = 0, high = query->size;
    uint32_t bit = index % SIEVE_BITS;
    if (!(query->sieve[bit / 64] >> bit % 64 & 1))
        return -1;
    while (low < high) {
        Py_ssize_t middle = (low + high) / 2;
        if (query->indices[middle] < index)
            low = middle + 1;
        else
            high = middle;
    }
    return low < query->size && query->indices[low] == index ? low : -1;
}

static int are_rows(const Rows *given, int is_listed) {
    Py_ssize_t rows = given->offsets.len / (Py_ssize_t)sizeof(int64_t) - 1;
    Py_ssize_t elements = given->indices.len / (Py_ssize_t)sizeof(uint32_t);
    Py_ssize_t count = is_listed ? given->rows.len / (Py_ssize_t)sizeof(int64_t) : rows;
    const int64_t *listed = given->rows.buf;
    int fits = given->offsets.itemsize == sizeof(int64_t) && rows >= 0 && given->indices.itemsize == sizeof(uint32_t);
    fits = fits && given->values.itemsize == sizeof(float) && given->values.len == given->indices.len;
    fits = fits && given->query.itemsize == sizeof(uint32_t) && given->weights.itemsize == sizeof(float);
    fits = fits && given->weights.len == given->query.len && given->scores.itemsize == sizeof(float);
    fits = fits && (!is_listed || given->rows.itemsize == sizeof(int64_t));
    fits = fits && given->scores.len == count * (Py_ssize_t)sizeof(float) && given->shared.len == count;
    for (Py_ssize_t i = 0; fits && i < count; i++) {
        int64_t row = is_listed ? listed[i] : i;
        fits = 0 <= row && row < rows;
        const int64_t *offset = (const int64_t *)given->offsets.buf + (fits ? row : 0);
        fits = fits && 0 <= offset[0] && offset[0] <= offset[1] && offset[1] <= elements;
    }
    return fits;
}

static void dot(const Rows *given, int is_listed, const Query *query) {
    const uint32_t *indices = given->indices.buf;
    const float *values = given->values.buf;
    for (Py_ssize_t i = 0; i < given->shared.len; i++) {
        int64_t row = is_listed ? ((const int64_t *)given->rows.buf)[i] : i;
        const int64_t *offset = (const int64_t *)given->offsets.buf + row;
        double sum = 0;
        char shares = 0;
        for (int64_t at = offset[0]; at < offset[1]; at++) {
            Py_ssize_t place = place_of(query, indices[at]);
            if (place >= 0) {
                sum += (double)values[at] * (double)query->weights[place];
                shares = 1;
            }
        }
        ((float *)given->scores.buf)[i] = (float)sum;
        ((char *)given->shared.buf)[i] = shares;
    }
}

static PyObject *dot_rows(PyObject *Py_UNUSED(module), PyObject *const *args, Py_ssize_t many) {
    Rows given = {.offsets = {.obj = NULL}};
    Py_buffer *buffers[] = {&given.offsets, &given.indices, &given.values, &given.rows,
                            &given.query,   &given.weights, &given.scores, &given.shared};
    PyObject *answer = NULL;
    Query *query = NULL;
    int held = 0, is_listed;
    if (many != 8)
        return PyErr_Format(PyExc_TypeError, "expected offsets, indices, values, rows, a query, scores and shared");
    is_listed = args[3] != Py_None;
    for (; held < 8; held++)
        if ((held != 3 || is_listed) &&
            PyObject_GetBuffer(args[held], buffers[held], held >= 6 ? PyBUF_ND | PyBUF_WRITABLE : PyBUF_ND) < 0)
            goto end;
    if (!are_rows(&given, is_listed)) {
        PyErr_SetString(PyExc_ValueError, "expected arrays that fit each other");
        goto end;
    }
    if ((query = PyMem_Calloc(1, sizeof *query)) == NULL) {
        PyErr_NoMemory();
        goto end;
    }
    query->indices = given.query.buf;
    query->weights = given.weights.buf;
    query->size = given.query.len / (Py_ssize_t)sizeof(uint32_t);
    Py_BEGIN_ALLOW_THREADS;
    for (Py_ssize_t i = 0; i < query->size; i++)
        query->sieve[query->indices[i] % SIEVE_BITS / 64] |= UINT64_C(1) << query->indices[i] % 64;
    dot(&given, is_listed, query);
    Py_END_ALLOW_THREADS;
    answer = Py_NewRef(Py_None);
end:
    PyMem_Free(query);
    while (held > 0)
        PyBuffer_Release(buffers[--held]); /* does nothing to one that was not taken */
    return answer;
}

/* --- the module ----------------------------------------------------------------------------------------------- */

static PyMethodDef module_methods[] = {
    {"add_postings", (PyCFunction)(void (*)(void))add_postings, METH_FASTCALL, "See summing.pyi."},
    {"dot_rows", (PyCFunction)(void (*)(void))dot_rows, METH_FASTCALL, "See summing.pyi."},
    {NULL, NULL, 0, NULL},
};
static PyModuleDef_Slot module_slots[] = {{0, NULL}};
static struct PyModuleDef module = {
    PyModuleDef_HEAD_INIT,
    .m_name = "node.index.summing",
    .m_doc = "See summing.pyi.",
    .m_methods = module_methods,
    .m_slots = module_slots,
};

PyMODINIT_FUNC PyInit_summing(void) { return PyModuleDef_Init(&module); }
