/* ``PackedRows`` for Python: rows of float32 in 28 bits a component (packed_rows.h), read and scored. */
#include "objects.h"

#define TOGETHER_BYTES 16384 /* of rows that are unpacked before the next query is compared with them */

PyTypeObject *packed_rows_type;

static int packed_rows_init(PackedRowsObject *self, PyObject *args, PyObject *keywords) {
    static char *names[] = {"data", "dim", "tops", "marked", "others", NULL};
    Py_buffer tops = {.obj = NULL};
    PyObject *data, *marked, *others;
    PackedRows *rows = &self->rows;
    if (self->held[0].obj != NULL)
        return PyErr_Format(PyExc_ValueError, "made already"), -1;
    if (!PyArg_ParseTupleAndKeywords(args, keywords, "OLy*OO", names, &data, &rows->dim, &tops, &marked, &others))
        return -1;
    int fits = tops.len == TOPS;
    memcpy(rows->tops, tops.buf, fits ? TOPS : 0);
    PyBuffer_Release(&tops);
    if (PyObject_GetBuffer(data, self->held, PyBUF_ND) < 0 || PyObject_GetBuffer(marked, self->held + 1, PyBUF_SIMPLE) < 0 ||
        PyObject_GetBuffer(others, self->held + 2, PyBUF_ND) < 0)
        return -1;
    const Py_buffer *held = self->held;
    fits = fits && held[0].ndim == 2 && held[0].itemsize == 1 && 0 < rows->dim && rows->dim < COMPONENTS_MAX;
    fits = fits && held[0].shape[1] == packed_row_bytes(rows->dim) && 8 * held[1].len >= held[0].shape[0];
    fits = fits && held[2].itemsize == sizeof(Other) && held[0].shape[0] < NODES_MAX;
    if (!fits) {
        PyErr_SetString(PyExc_ValueError, "expected packed rows of so many components, sixteen bytes, a bit for each row");
        return -1;
    }
    rows->data = held[0].buf;
    rows->count = held[0].shape[0];
    rows->stride = held[0].shape[1];
    rows->marked = held[1].buf;
    rows->others = held[2].buf;
    rows->others_count = held[2].len / (Py_ssize_t)sizeof(Other);
    return 0;
}

static void packed_rows_dealloc(PackedRowsObject *self) {
    PyTypeObject *type = Py_TYPE(self);
    for (int i = 0; i < ROWS_HELD; i++)
        PyBuffer_Release(self->held + i);
    type->tp_free((PyObject *)self);
    Py_DECREF(type);
}

/* Are all of `wanted` rows? */
static int are_rows(const PackedRows *rows, const int64_t *wanted, Py_ssize_t count) {
    int are = 1;
    for (Py_ssize_t i = 0; i < count; i++)
        are &= 0 <= wanted[i] && wanted[i] < rows->count;
    return are;
}

static PyObject *packed_rows_read(PackedRowsObject *self, PyObject *const *args, Py_ssize_t many) {
    /* wanted, floats */
    Py_buffer given[2] = {{.obj = NULL}, {.obj = NULL}};
    PyObject *answer = NULL;
    if (many != 2)
        return PyErr_Format(PyExc_TypeError, "expected rows and where to write them");
    if (PyObject_GetBuffer(args[0], given, PyBUF_ND) < 0 || PyObject_GetBuffer(args[1], given + 1, PyBUF_ND | PyBUF_WRITABLE) < 0)
        goto end;
    const int64_t *wanted = given[0].buf;
    const Py_ssize_t count = given[0].len / (Py_ssize_t)sizeof(int64_t);
    if (given[0].itemsize != sizeof(int64_t) || given[1].ndim != 2 || given[1].itemsize != sizeof(float) ||
        given[1].shape[0] != count || given[1].shape[1] != self->rows.dim || !are_rows(&self->rows, wanted, count)) {
        PyErr_SetString(PyExc_ValueError, "expected rows that are there and as much room");
        goto end;
    }
    Py_BEGIN_ALLOW_THREADS;
    for (Py_ssize_t i = 0; i < count; i++)
        unpack_row(&self->rows, wanted[i], (float *)given[1].buf + i * self->rows.dim);
    Py_END_ALLOW_THREADS;
    answer = Py_NewRef(Py_None);
end:
    for (int i = 0; i < 2; i++)
        PyBuffer_Release(given + i);
    return answer;
}

static Py_ssize_t rows_together(const PackedRows *rows) {
    Py_ssize_t fitting = TOGETHER_BYTES / (Py_ssize_t)(rows->dim * (int64_t)sizeof(float));
    return fitting < 1 ? 1 : fitting;
}

/* Rows are unpacked once for all queries, a few at a time: so that they stay in the nearest cache, and that none is read
 * the moment it was written. */
static void score_rows(const PackedRows *rows, Kernel *kernel, int is_distance, const float *queries, Py_ssize_t asked,
                       const int64_t *wanted, Py_ssize_t count, float *unpacked, float *scores) {
    const Py_ssize_t together = rows_together(rows);
    for (Py_ssize_t first = 0; first < count; first += together) {
        Py_ssize_t some = count - first < together ? count - first : together;
        for (Py_ssize_t i = 0; i < some; i++) {
            if (first + i + AHEAD_ROWS < count)
                prefetch_start(rows->data + wanted[first + i + AHEAD_ROWS] * rows->stride, rows->stride);
            unpack_row(rows, wanted[first + i], unpacked + i * rows->dim);
        }
        for (Py_ssize_t query = 0; query < asked; query++)
            for (Py_ssize_t i = 0; i < some; i++) {
                float worth = kernel(queries + query * rows->dim, unpacked + i * rows->dim, (size_t)rows->dim);
                scores[query * count + first + i] = is_distance ? -worth : worth;
            }
    }
}

static PyObject *packed_rows_score(PackedRowsObject *self, PyObject *args) {
    Py_buffer queries, wanted, scores;
    unsigned long long kernel;
    int is_distance;
    if (!PyArg_ParseTuple(args, "y*y*y*Kp", &queries, &wanted, &scores, &kernel, &is_distance))
        return NULL;
    const Py_ssize_t count = wanted.len / (Py_ssize_t)sizeof(int64_t);
    const int64_t dim = self->rows.dim;
    int fits = kernel != 0 && queries.len % (dim * (int64_t)sizeof(float)) == 0;
    Py_ssize_t asked = queries.len / (Py_ssize_t)(dim * (int64_t)sizeof(float));
    fits = fits && scores.len == asked * count * (Py_ssize_t)sizeof(float) && !scores.readonly;
    fits = fits && are_rows(&self->rows, wanted.buf, count);
    float *unpacked = fits ? PyMem_Malloc((size_t)(rows_together(&self->rows) * dim) * sizeof(float)) : NULL;
    if (!fits)
        PyErr_SetString(PyExc_ValueError, "expected queries, rows that are there, and room for the scores of all pairs");
    else if (unpacked == NULL)
        PyErr_NoMemory();
    else {
        Py_BEGIN_ALLOW_THREADS;
        score_rows(&self->rows, (Kernel *)(uintptr_t)kernel, is_distance, queries.buf, asked, wanted.buf, count, unpacked,
                   scores.buf);
        Py_END_ALLOW_THREADS;
    }
    PyMem_Free(unpacked);
    PyBuffer_Release(&queries);
    PyBuffer_Release(&wanted);
    PyBuffer_Release(&scores);
    return PyErr_Occurred() ? NULL : Py_NewRef(Py_None);
}

PyObject *unpackings_of(PyObject *Py_UNUSED(module), PyObject *args) {
    PyObject *rows, *found = NULL;
    long long row;
    if (!PyArg_ParseTuple(args, "O!L", packed_rows_type, &rows, &row))
        return NULL;
    const PackedRows *packed = &((PackedRowsObject *)rows)->rows;
    if (row < 0 || row >= packed->count)
        return PyErr_Format(PyExc_ValueError, "expected a row that is there");
    found = PyList_New(0);
    for (int i = 0; found != NULL && i < unpackings_size; i++) {
        PyObject *floats = PyBytes_FromStringAndSize(NULL, (Py_ssize_t)(packed->dim * (int64_t)sizeof(float)));
        if (floats != NULL)
            unpackings[i](packed, packed->data + row * packed->stride, (float *)(void *)PyBytes_AS_STRING(floats));
        if (floats == NULL || PyList_Append(found, floats) < 0)
            Py_CLEAR(found);
        Py_XDECREF(floats);
    }
    return found;
}

static PyMethodDef packed_rows_methods[] = {
    {"read", (PyCFunction)(void (*)(void))packed_rows_read, METH_FASTCALL, "See walk.pyi."},
    {"score", (PyCFunction)packed_rows_score, METH_VARARGS, "See walk.pyi."},
    {NULL, NULL, 0, NULL},
};
static PyType_Slot packed_rows_slots[] = {
    {Py_tp_new, PyType_GenericNew}, {Py_tp_init, packed_rows_init}, {Py_tp_dealloc, packed_rows_dealloc},
    {Py_tp_methods, packed_rows_methods}, {0, NULL},
};
PyType_Spec packed_rows_spec = {
    .name = "node.index.walk.PackedRows",
    .basicsize = sizeof(PackedRowsObject),
    .flags = Py_TPFLAGS_DEFAULT,
    .slots = packed_rows_slots,
};

/* --- writing ------------------------------------------------------------------------------------------------ */

PyObject *count_tops(PyObject *Py_UNUSED(module), PyObject *args) {
    Py_buffer rows, counts;
    if (!PyArg_ParseTuple(args, "y*w*", &rows, &counts))
        return NULL;
    int fits = rows.len % (Py_ssize_t)sizeof(float) == 0 && counts.len == 256 * (Py_ssize_t)sizeof(int64_t);
    if (fits) {
        const uint8_t *bytes = rows.buf;
        int64_t *found = counts.buf;
        Py_BEGIN_ALLOW_THREADS;
        for (Py_ssize_t at = 3; at < rows.len; at += 4)
            found[bytes[at]]++;
        Py_END_ALLOW_THREADS;
    } else
        PyErr_SetString(PyExc_ValueError, "expected float32 rows and 256 numbers");
    PyBuffer_Release(&rows);
    PyBuffer_Release(&counts);
    return fits ? Py_NewRef(Py_None) : NULL;
}

static int note_others(PyObject *found, const float *row, int64_t number, const int32_t *places, int64_t size) {
    for (int64_t i = 0; i < size; i++) {
        uint32_t bits;
        memcpy(&bits, row + places[i], sizeof bits);
        PyObject *one = PyLong_FromUnsignedLongLong(other(number, places[i], (uint8_t)(bits >> 24)));
        int failed = one == NULL || PyList_Append(found, one) < 0;
        Py_XDECREF(one);
        if (failed)
            return -1;
    }
    return 0;
}

PyObject *pack_rows(PyObject *Py_UNUSED(module), PyObject *args) {
    Py_buffer rows, tops, packed;
    long long first, dim;
    uint8_t names[256];
    PyObject *found = NULL;
    if (!PyArg_ParseTuple(args, "y*LLy*w*", &rows, &dim, &first, &tops, &packed))
        return NULL;
    int fits = 0 < dim && dim < COMPONENTS_MAX && tops.len == TOPS && first >= 0;
    const Py_ssize_t count = fits ? rows.len / (Py_ssize_t)(dim * (long long)sizeof(float)) : 0;
    fits = fits && rows.len == count * dim * (Py_ssize_t)sizeof(float) && packed.len == count * packed_row_bytes(dim);
    int32_t *places = fits ? PyMem_Malloc((size_t)dim * sizeof *places) : NULL;
    if (!fits)
        PyErr_SetString(PyExc_ValueError, "expected rows of so many components, sixteen bytes, and room");
    else if (places == NULL)
        PyErr_NoMemory();
    else
        found = PyList_New(0);
    memset(names, TOPS, sizeof names);
    for (int i = TOPS - 1; fits && i >= 0; i--)
        names[((const uint8_t *)tops.buf)[i]] = (uint8_t)i;
    for (Py_ssize_t i = 0; found != NULL && i < count; i++) {
        const float *row = (const float *)rows.buf + i * dim;
        int64_t size = pack_row(row, dim, names, (uint8_t *)packed.buf + i * packed_row_bytes(dim), places);
        if (note_others(found, row, first + i, places, size) < 0)
            Py_CLEAR(found);
    }
    PyMem_Free(places);
    PyBuffer_Release(&rows);
    PyBuffer_Release(&tops);
    PyBuffer_Release(&packed);
    return found;
}
