/* The types of `node.index.walk`. Lives here: what its sources know of each other's objects. */
#ifndef VECRAFT_OBJECTS_H
#define VECRAFT_OBJECTS_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include "packed_rows.h"
#include "search.h"

typedef struct {
    PyObject_HEAD
    PyObject *owner; /* keeps what the pointers lead to */
    int32_t *starts;
    Level *levels;   /* of packed links */
    Py_buffer *held; /* what these are read from, three for each level */
    float *signs;    /* of the rotation */
    Coded coded;
} GraphObject;

#define ROWS_HELD 3
typedef struct {
    PyObject_HEAD
    Py_buffer held[ROWS_HELD]; /* what the pointers lead to */
    PackedRows rows;
} PackedRowsObject;

extern PyType_Spec graph_spec, scored_graph_spec, packed_rows_spec;
extern PyTypeObject *graph_type, *packed_rows_type; /* for all interpreters: modules are made once in a process */

PyObject *count_tops(PyObject *module, PyObject *args);
PyObject *pack_rows(PyObject *module, PyObject *args);
PyObject *unpackings_of(PyObject *module, PyObject *args);

#endif
