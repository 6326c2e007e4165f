/* ``Heads`` for Python: ids and versions of points that were found before. See unpacking.pyi.

A slot's head has one place, which the next slot that falls there takes over. Nothing but the interpreter's lock
keeps threads apart: between two calls into Python nobody else touches the places.
*/
#include "heads.h"

#include <structmember.h>

#include "record.h"

typedef struct {
    PyObject_HEAD
    Head *places;
    size_t mask; /* how many there are, a power of two, less one */
    Py_ssize_t nbytes;
} HeadsObject;

typedef struct {
    Head head;
    int is_kept; /* once it is read: nothing lies above the slot */
} Wanted;

static int heads_init(HeadsObject *self, PyObject *args, PyObject *keywords) {
    static char *names[] = {"room", NULL};
    Py_ssize_t room;
    if (!PyArg_ParseTupleAndKeywords(args, keywords, "n", names, &room))
        return -1;
    if (self->places != NULL || room <= 0 || (room & (room - 1)) != 0)
        return PyErr_Format(PyExc_ValueError, "expected a power of two, once"), -1;
    self->places = PyMem_RawCalloc((size_t)room, sizeof *self->places); /* pages come when they are used */
    self->mask = (size_t)room - 1;
    self->nbytes = room * (Py_ssize_t)sizeof *self->places;
    return self->places == NULL ? PyErr_NoMemory(), -1 : 0;
}

static void heads_dealloc(HeadsObject *self) {
    PyTypeObject *type = Py_TYPE(self);
    PyMem_RawFree(self->places);
    type->tp_free((PyObject *)self);
    Py_DECREF(type);
}

static int64_t slot_at(const Py_buffer *slots, Py_ssize_t i) {
    Py_ssize_t row = i / slots->shape[1], column = i % slots->shape[1];
    return *(const int64_t *)((const char *)slots->buf + row * slots->strides[0] + column * slots->strides[1]);
}

/* Does one of ``above`` hold the slot? -1: it raised. */
static int lies_below(PyObject *above, PyObject *slot) {
    int held = 0;
    for (Py_ssize_t i = 0; held == 0 && i < PyTuple_GET_SIZE(above); i++)
        held = PySequence_Contains(PyTuple_GET_ITEM(above, i), slot);
    return held;
}

/* Fill in what is known. Returns the slots of the others, in order; NULL: it raised. */
static PyObject *look_up(HeadsObject *self, const Py_buffer *slots, PyObject *above, Wanted *wanted) {
    Py_ssize_t many = slots->shape[0] * slots->shape[1];
    for (Py_ssize_t i = 0; i < many; i++)
        __builtin_prefetch(self->places + ((size_t)slot_at(slots, i) & self->mask));
    PyObject *unknown = PyList_New(0);
    int is_well = unknown != NULL;
    for (Py_ssize_t i = 0; is_well && i < many; i++) {
        int64_t slot = slot_at(slots, i);
        const Head *place = self->places + ((size_t)slot & self->mask);
        wanted[i] = (Wanted){.head = *place, .is_kept = 1};
        int is_known = place->key_size != 0 && place->slot == slot;
        if (is_known && PyTuple_GET_SIZE(above) == 0)
            continue;
        PyObject *number = PyLong_FromLongLong(slot);
        int held = number == NULL ? -1 : lies_below(above, number);
        is_well = held >= 0;
        if (is_well && (held || !is_known)) {
            wanted[i] = (Wanted){.head = {.slot = (uint32_t)slot}, .is_kept = !held};
            is_well = PyList_Append(unknown, number) == 0;
        }
        Py_XDECREF(number);
    }
    if (!is_well)
        Py_CLEAR(unknown);
    return unknown;
}

/* Fill in what was read. 0: one of them is not sound, or not there. */
static int take_in(HeadsObject *self, PyObject *packed, Wanted *wanted, Py_ssize_t many) {
    Py_ssize_t next = 0;
    for (Py_ssize_t i = 0; i < many; i++) {
        Head *head = &wanted[i].head;
        if (head->key_size != 0)
            continue;
        if (next >= PyList_GET_SIZE(packed) || !read_head(PyList_GET_ITEM(packed, next++), head))
            return 0;
        if (wanted[i].is_kept)
            self->places[head->slot & self->mask] = *head;
    }
    return 1;
}

static PyObject *points_of(const Wanted *wanted, Py_ssize_t many, PyObject *make) {
    PyObject *row = PyList_New(many);
    for (Py_ssize_t i = 0; row != NULL && i < many; i++) {
        PyObject *point = make_point(&wanted[i].head, Py_None, make);
        if (point == NULL)
            Py_CLEAR(row);
        else
            PyList_SET_ITEM(row, i, point);
    }
    return row;
}

static PyObject *rows_of(const Wanted *wanted, const Py_buffer *slots, PyObject *make) {
    PyObject *rows = PyList_New(slots->shape[0]);
    for (Py_ssize_t i = 0; rows != NULL && i < slots->shape[0]; i++) {
        PyObject *row = points_of(wanted + i * slots->shape[1], slots->shape[1], make);
        if (row == NULL)
            Py_CLEAR(rows);
        else
            PyList_SET_ITEM(rows, i, row);
    }
    return rows;
}

/* ``look_up``, then what ``read`` tells of the others. 1: all are known; 0: not all can be; -1: it raised. */
static int find_all(HeadsObject *self, const Py_buffer *slots, PyObject *read, PyObject *above, Wanted *wanted) {
    PyObject *unknown = look_up(self, slots, above, wanted), *packed = NULL;
    int found = unknown == NULL ? -1 : 1;
    if (found == 1 && PyList_GET_SIZE(unknown) > 0) {
        packed = PyObject_CallOneArg(read, unknown);
        if (packed == NULL || !PyList_CheckExact(packed))
            found = packed == NULL ? -1 : 0;
        else
            found = take_in(self, packed, wanted, slots->shape[0] * slots->shape[1]);
    }
    Py_XDECREF(packed);
    Py_XDECREF(unknown);
    return found;
}

static PyObject *heads_points(HeadsObject *self, PyObject *const *args, Py_ssize_t many) {
    /* slots, make, read, above */
    Py_buffer slots;
    PyObject *answer = NULL;
    if (many != 4 || !PyTuple_CheckExact(args[3]))
        return PyErr_Format(PyExc_TypeError, "expected slots, what makes a point, what reads, and a tuple");
    if (PyObject_GetBuffer(args[0], &slots, PyBUF_STRIDES) < 0)
        return NULL;
    Wanted *wanted = NULL;
    if (self->places == NULL || slots.ndim != 2 || slots.itemsize != sizeof(int64_t))
        PyErr_SetString(PyExc_ValueError, "expected a matrix of slots");
    else if ((wanted = PyMem_New(Wanted, slots.shape[0] * slots.shape[1] + 1)) == NULL)
        PyErr_NoMemory();
    else {
        int found = find_all(self, &slots, args[2], args[3], wanted);
        if (found >= 0)
            answer = found ? rows_of(wanted, &slots, args[1]) : Py_NewRef(Py_None);
    }
    PyMem_Free(wanted);
    PyBuffer_Release(&slots);
    return answer;
}

static PyMethodDef heads_methods[] = {
    {"points", (PyCFunction)(void (*)(void))heads_points, METH_FASTCALL, "See unpacking.pyi."},
    {NULL, NULL, 0, NULL},
};
static PyMemberDef heads_members[] = {
    {"nbytes", T_PYSSIZET, offsetof(HeadsObject, nbytes), READONLY, "See unpacking.pyi."},
    {NULL, 0, 0, 0, NULL},
};
static PyType_Slot heads_slots[] = {
    {Py_tp_new, PyType_GenericNew}, {Py_tp_init, heads_init}, {Py_tp_dealloc, heads_dealloc},
    {Py_tp_methods, heads_methods}, {Py_tp_members, heads_members}, {0, NULL},
};
PyType_Spec heads_spec = {
    .name = "node.storage.unpacking.Heads",
    .basicsize = sizeof(HeadsObject),
    .flags = Py_TPFLAGS_DEFAULT,
    .slots = heads_slots,
};
