/* One packed record, and the point that a search answers with. The layout is that of records.py. */
#ifndef VECRAFT_RECORD_H
#define VECRAFT_RECORD_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <stdint.h>

#define HEADER 14  /* bytes before the key; the payload is behind it */
#define KEY_MAX 17 /* a UUID's */

/* What a record says besides the payload; a slot goes along for those who keep many. */
typedef struct {
    uint64_t version;
    uint32_t slot;
    uint8_t key_size; /* 0: of no record */
    uint8_t key[KEY_MAX];
} Head;

/* Call it once before any other. */
void choose_checksum(void);

/* Is it a record, and whole, of a point whose id is known here? Then it fills ``head``, but for the slot. */
int read_head(PyObject *packed, Head *head);

/* What ``make`` makes of the id, the version and ``payload``, which stays the caller's; NULL: it raised. */
PyObject *make_point(const Head *head, PyObject *payload, PyObject *make);

#endif
