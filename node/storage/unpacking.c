/* Packed records into the points that a search answers with. See unpacking.pyi. */
#include "heads.h"
#include "record.h"

static PyObject *point_of(PyObject *packed, const Head *head, PyObject *make, int with_payload) {
    Py_ssize_t start = HEADER + head->key_size, size = PyBytes_GET_SIZE(packed);
    if (!with_payload)
        return make_point(head, Py_None, make);
    PyObject *payload = PyBytes_FromStringAndSize(PyBytes_AS_STRING(packed) + start, size - start);
    PyObject *point = payload == NULL ? NULL : make_point(head, payload, make);
    Py_XDECREF(payload);
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
        Head head;
        PyObject *packed = Py_NewRef(PyList_GET_ITEM(args[0], i));
        int is_sound = read_head(packed, &head);
        PyObject *point = is_sound ? point_of(packed, &head, args[1], with_payload) : NULL;
        Py_DECREF(packed);
        if (point != NULL) {
            PyList_SET_ITEM(found, i, point);
            continue;
        }
        Py_CLEAR(found);
        if (!is_sound)
            return Py_NewRef(Py_None);
    }
    return found;
}

static PyMethodDef module_methods[] = {
    {"points", (PyCFunction)(void (*)(void))points, METH_FASTCALL, "See unpacking.pyi."},
    {NULL, NULL, 0, NULL},
};

static int module_exec(PyObject *module) {
    choose_checksum();
    PyObject *heads = PyType_FromModuleAndSpec(module, &heads_spec, NULL);
    int added = heads == NULL ? -1 : PyModule_AddObjectRef(module, "Heads", heads);
    Py_XDECREF(heads);
    return added;
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
