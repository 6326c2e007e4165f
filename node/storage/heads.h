/* Heads of records that were read, kept by slot. Lives here: what the module knows of them. */
#ifndef VECRAFT_HEADS_H
#define VECRAFT_HEADS_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>

extern PyType_Spec heads_spec;

#endif
