/* The module `node.index.walk`: its types, and functions over codes, links and rows that need no graph. */
#include "objects.h"

#include "coding.h"
#include "signs.h"
#include "unit.h"

PyTypeObject *graph_type;

/* --- codes and rows ----------------------------------------------------------------------------------------- */

static PyObject *distances(PyObject *Py_UNUSED(module), PyObject *args) {
    Py_buffer query, code;
    PyObject *found = NULL;
    int has_halves = 0;
    if (!PyArg_ParseTuple(args, "y*y*|p", &query, &code, &has_halves))
        return NULL;
    int is_pair = query.len == code.len;
    if (has_halves ? code.len % LINE_BYTES != 0 || (!is_pair && query.len != 2 * code.len) : !is_pair)
        PyErr_SetString(PyExc_ValueError, "expected a query and a code of as many components");
    else
        found = PyList_New(0);
    for (int i = 0; found != NULL && i < comparisons_size; i++) {
        const Comparing *way = comparisons + i;
        Compare *compare = !has_halves ? way->bytes : is_pair ? way->pairs_of_halves : way->halves;
        PyObject *distance = PyLong_FromUnsignedLong(compare(query.buf, code.buf, code.len));
        if (distance == NULL || PyList_Append(found, distance) < 0)
            Py_CLEAR(found);
        Py_XDECREF(distance);
    }
    PyBuffer_Release(&query);
    PyBuffer_Release(&code);
    return found;
}

static PyObject *sign_distances(PyObject *Py_UNUSED(module), PyObject *args) {
    Py_buffer vector, centre, code;
    PyObject *found = NULL;
    void *query = NULL;
    int bits;
    if (!PyArg_ParseTuple(args, "y*y*y*i", &vector, &centre, &code, &bits))
        return NULL;
    Size components = vector.len / (Size)sizeof(float);
    if (vector.len != centre.len || components % 64 != 0 || bits < 1 || bits > 8 || code.len <= SIGNS_NUMBERS_BYTES ||
        components != signs_components(code.len))
        PyErr_SetString(PyExc_ValueError, "expected a query, a centre and a code of as many components");
    else if ((query = PyMem_Malloc((size_t)signs_query_bytes(components, bits))) == NULL)
        PyErr_NoMemory();
    else {
        signs_prepare(vector.buf, centre.buf, components, bits, query);
        found = PyList_New(0);
    }
    for (int i = 0; found != NULL && i < signs_comparisons_size; i++) {
        PyObject *distance = PyFloat_FromDouble(signs_distance(signs_comparisons[i](query, code.buf, code.len)));
        if (distance == NULL || PyList_Append(found, distance) < 0)
            Py_CLEAR(found);
        Py_XDECREF(distance);
    }
    PyMem_Free(query);
    PyBuffer_Release(&vector);
    PyBuffer_Release(&centre);
    PyBuffer_Release(&code);
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

/* Are `rows` float32 (n, dim) and `codes` as many codes, each with room for a row? Takes their width. */
static int are_codable(const Py_buffer *rows, const Py_buffer *codes, Coding *coding) {
    if (rows->ndim != 2 || codes->ndim != 2 || rows->shape[0] != codes->shape[0] || rows->itemsize != sizeof(float) ||
        codes->itemsize != 1 || !(coding->step > 0) || coding->form < OF_BYTES || coding->form > OF_SPLIT_BYTES)
        return 0;
    Size line = coding->form == OF_BYTES ? 1 : coding->form == OF_HALVES ? LINE_BYTES : 2 * LINE_BYTES;
    coding->width = codes->shape[1];
    return coding->width % line == 0 && rows->shape[1] <= components_max(coding);
}

static PyObject *encode(PyObject *Py_UNUSED(module), PyObject *args) {
    Py_buffer rows = {.obj = NULL}, codes = {.obj = NULL};
    PyObject *given[2], *answer = NULL;
    Coding coding;
    int form;
    if (!PyArg_ParseTuple(args, "OffiO", given, &coding.low, &coding.step, &form, given + 1))
        return NULL;
    coding.form = (Form)form;
    if (PyObject_GetBuffer(given[0], &rows, PyBUF_ND) < 0 ||
        PyObject_GetBuffer(given[1], &codes, PyBUF_ND | PyBUF_WRITABLE) < 0)
        goto end;
    if (!are_codable(&rows, &codes, &coding)) {
        PyErr_SetString(PyExc_ValueError, "expected float32 rows, and codes with room for them");
        goto end;
    }
    Py_BEGIN_ALLOW_THREADS;
    for (Py_ssize_t i = 0; i < rows.shape[0]; i++)
        write_code(&coding, (const float *)rows.buf + i * rows.shape[1], rows.shape[1],
                   (uint8_t *)codes.buf + i * coding.width);
    Py_END_ALLOW_THREADS;
    answer = Py_NewRef(Py_None);
end:
    PyBuffer_Release(&rows);
    PyBuffer_Release(&codes);
    return answer;
}

/* Are they signs for each round of a block, of which whole ones make up a rotated row? Takes them. */
static int are_rotatable(const Py_buffer *rows, const Py_buffer *signs, const Py_buffer *rotated, Rotation *rotation) {
    if (rows->ndim != 2 || rotated->ndim != 2 || rows->shape[0] != rotated->shape[0] || rows->shape[1] > rotated->shape[1] ||
        rows->itemsize != sizeof(float) || rotated->itemsize != sizeof(float) || signs->itemsize != sizeof(float))
        return 0;
    Size block = signs->len / (ROTATION_ROUNDS * (Size)sizeof(float)), width = rotated->shape[1];
    *rotation = (Rotation){signs->buf, block, width};
    return block >= 4 && (block & (block - 1)) == 0 && width % block == 0 &&
           signs->len == ROTATION_ROUNDS * block * (Size)sizeof(float);
}

static PyObject *rotate_rows(PyObject *Py_UNUSED(module), PyObject *const *args, Py_ssize_t many) {
    Py_buffer found[3] = {{.obj = NULL}, {.obj = NULL}, {.obj = NULL}}; /* rows, signs, rotated */
    PyObject *answer = NULL;
    Rotation rotation;
    if (many != 3)
        return PyErr_Format(PyExc_TypeError, "expected rows, signs and where to write");
    for (int i = 0; i < 3; i++)
        if (PyObject_GetBuffer(args[i], found + i, i == 2 ? PyBUF_ND | PyBUF_WRITABLE : PyBUF_ND) < 0)
            goto end;
    if (!are_rotatable(found, found + 1, found + 2, &rotation)) {
        PyErr_SetString(PyExc_ValueError, "expected float32 rows, signs of blocks, and room for as many rows");
        goto end;
    }
    Size dim = found[0].shape[1];
    Py_BEGIN_ALLOW_THREADS;
    for (Py_ssize_t i = 0; i < found[0].shape[0]; i++)
        rotate(&rotation, (const float *)found[0].buf + i * dim, dim, (float *)found[2].buf + i * rotation.width);
    Py_END_ALLOW_THREADS;
    answer = Py_NewRef(Py_None);
end:
    for (int i = 0; i < 3; i++)
        PyBuffer_Release(found + i);
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

/* --- the module --------------------------------------------------------------------------------------------- */

static PyMethodDef module_methods[] = {
    {"pack", pack, METH_VARARGS, "See walk.pyi."},
    {"unpack", unpack, METH_VARARGS, "See walk.pyi."},
    {"count_tops", count_tops, METH_VARARGS, "See walk.pyi."},
    {"pack_rows", pack_rows, METH_VARARGS, "See walk.pyi."},
    {"unpackings", unpackings_of, METH_VARARGS, "See walk.pyi."},
    {"normalize", (PyCFunction)(void (*)(void))normalize, METH_FASTCALL, "See walk.pyi."},
    {"rotate", (PyCFunction)(void (*)(void))rotate_rows, METH_FASTCALL, "See walk.pyi."},
    {"encode", encode, METH_VARARGS, "See walk.pyi."},
    {"distances", distances, METH_VARARGS, "See walk.pyi."},
    {"sign_distances", sign_distances, METH_VARARGS, "See walk.pyi."},
    {NULL, NULL, 0, NULL},
};

/* -1: it could not be made. */
static int add_type(PyObject *module, PyType_Spec *spec, const char *name, PyTypeObject **kept) {
    PyObject *type = PyType_FromModuleAndSpec(module, spec, NULL);
    int added = type == NULL ? -1 : PyModule_AddObjectRef(module, name, type);
    if (kept != NULL)
        Py_XSETREF(*kept, (PyTypeObject *)type);
    else
        Py_XDECREF(type);
    return added;
}

static int module_exec(PyObject *module) {
    choose_comparison();
    choose_unpacking();
    signs_choose();
    if (add_type(module, &graph_spec, "Graph", &graph_type) < 0 ||
        add_type(module, &packed_rows_spec, "PackedRows", &packed_rows_type) < 0)
        return -1;
    return add_type(module, &scored_graph_spec, "ScoredGraph", NULL);
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
