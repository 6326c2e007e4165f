/* Packed records into the points that a search answers with. See unpacking.pyi; the layout is that of records.py. */
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <stdint.h>
#include <string.h>
#ifdef __x86_64__
#include <nmmintrin.h>
#endif

#define FORMAT 1
#define CHECKED_FROM 6 /* format, key length, checksum; then version, key, payload */
#define HEADER 14
#define NUMBER_KEY 9 /* a tag and a number, or a UUID */
#define UUID_KEY 17

/* --- checksums: CRC-32C, reflected ------------------------------------------------------------------------------ */

#define POLYNOMIAL UINT32_C(0x82f63b78)

static uint32_t table[256];

static uint32_t checksum_anywhere(uint32_t sum, const uint8_t *data, size_t size) {
    for (size_t i = 0; i < size; i++)
        sum = table[(sum ^ data[i]) & 0xff] ^ sum >> 8;
    return sum;
}

#ifdef __x86_64__
__attribute__((target("sse4.2"))) static uint32_t checksum_sse(uint32_t sum, const uint8_t *data, size_t size) {
    uint64_t wide = sum, word;
    for (; size >= sizeof word; size -= sizeof word, data += sizeof word) {
        memcpy(&word, data, sizeof word);
        wide = _mm_crc32_u64(wide, word);
    }
    sum = (uint32_t)wide;
    for (; size > 0; size--)
        sum = _mm_crc32_u8(sum, *data++);
    return sum;
}
#endif

static uint32_t (*checksum)(uint32_t, const uint8_t *, size_t) = checksum_anywhere;

static void choose_checksum(void) {
    for (uint32_t i = 0; i < 256; i++) {
        table[i] = i;
        for (int bit = 0; bit < 8; bit++)
            table[i] = table[i] & 1 ? table[i] >> 1 ^ POLYNOMIAL : table[i] >> 1;
    }
#ifdef __x86_64__
    __builtin_cpu_init();
    if (__builtin_cpu_supports("sse4.2"))
        checksum = checksum_sse;
#endif
}

/* --- records ---------------------------------------------------------------------------------------------------- */

static uint64_t number_at(const uint8_t *bytes, int size, int is_big) {
    uint64_t number = 0;
    for (int i = 0; i < size; i++)
        number = number << 8 | bytes[is_big ? i : size - 1 - i];
    return number;
}

/* Is it a record, and whole, of a point whose id is known here? */
static int is_sound(const uint8_t *record, Py_ssize_t size) {
    if (size < HEADER || record[0] != FORMAT || HEADER + record[1] > size)
        return 0;
    int is_number = record[1] == NUMBER_KEY && record[HEADER] == 0;
    if (!is_number && !(record[1] == UUID_KEY && record[HEADER] == 1))
        return 0;
    uint32_t sum = checksum(UINT32_MAX, record, 2);
    sum = ~checksum(sum, record + CHECKED_FROM, (size_t)(size - CHECKED_FROM));
    return sum == (uint32_t)number_at(record + 2, 4, 0);
}

static PyObject *id_of(const uint8_t *key, int size) {
    static const char digits[] = "0123456789abcdef";
    char text[36];
    if (size == NUMBER_KEY)
        return PyLong_FromUnsignedLongLong(number_at(key + 1, 8, 1));
    for (int i = 0, at = 0; i < 16; i++) {
        if (i == 4 || i == 6 || i == 8 || i == 10)
            text[at++] = '-';
        text[at++] = digits[key[1 + i] >> 4];
        text[at++] = digits[key[1 + i] & 15];
    }
    return PyUnicode_FromStringAndSize(text, sizeof text);
}

static PyObject *point_of(PyObject *packed, PyObject *make, int with_payload) {
    const uint8_t *record = (const uint8_t *)PyBytes_AS_STRING(packed);
    const uint8_t *payload = record + HEADER + record[1];
    Py_ssize_t left = PyBytes_GET_SIZE(packed) - HEADER - record[1];
    PyObject *parts[3] = {NULL, NULL, NULL}, *point = NULL;
    parts[0] = id_of(record + HEADER, record[1]);
    parts[1] = parts[0] == NULL ? NULL : PyLong_FromUnsignedLongLong(number_at(record + CHECKED_FROM, 8, 0));
    if (parts[1] != NULL)
        parts[2] = with_payload ? PyBytes_FromStringAndSize((const char *)payload, left) : Py_NewRef(Py_None);
    if (parts[2] != NULL)
        point = PyObject_Vectorcall(make, parts, 3, NULL);
    for (int i = 0; i < 3; i++)
        Py_XDECREF(parts[i]);
    return point;
}

static PyObject *points(PyObject *Py_UNUSED(module), PyObject *const *args, Py_ssize_t many) {
    if (many != 3 || !PyList_CheckExact(args[0]))
        return PyErr_Format(PyExc_TypeError, "expected a list, what makes a point, and whether with payloads");
    int with_payload = PyObject_IsTrue(args[2]);
    Py_ssize_t size = PyList_GET_SIZE(args[0]);
    if (with_payload < 0)
        return NULL;
    PyObject *found = PyList_New(size);
    for (Py_ssize_t i = 0; found != NULL && i < size; i++) {
        PyObject *packed = PyList_GET_ITEM(args[0], i);
        int is_record = PyBytes_CheckExact(packed) &&
                        is_sound((const uint8_t *)PyBytes_AS_STRING(packed), PyBytes_GET_SIZE(packed));
        if (!is_record) {
            Py_DECREF(found);
            return Py_NewRef(Py_None);
        }
        Py_INCREF(packed);
        PyObject *point = point_of(packed, args[1], with_payload);
        Py_DECREF(packed);
        if (point == NULL)
            Py_CLEAR(found);
        else
            PyList_SET_ITEM(found, i, point);
    }
    return found;
}

static PyMethodDef module_methods[] = {
    {"points", (PyCFunction)(void (*)(void))points, METH_FASTCALL, "See unpacking.pyi."},
    {NULL, NULL, 0, NULL},
};

static int module_exec(PyObject *Py_UNUSED(module)) {
    choose_checksum();
    return 0;
}

static PyModuleDef_Slot module_slots[] = {{Py_mod_exec, module_exec}, {0, NULL}};
static struct PyModuleDef module = {
    PyModuleDef_HEAD_INIT,
    .m_name = "node.storage.unpacking",
    .m_doc = "See unpacking.pyi.",
    .m_methods = module_methods,
    .m_slots = module_slots,
};

PyMODINIT_FUNC PyInit_unpacking(void) { return PyModuleDef_Init(&module); }
