#include "record.h"

#include <string.h>
#ifdef __x86_64__
#include <nmmintrin.h>
#endif

#define FORMAT 1
#define CHECKED_FROM 6 /* format, key length, checksum; then version, key, payload */
#define NUMBER_KEY 9   /* a tag and a number, or a UUID */

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

void choose_checksum(void) {
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
    if (!is_number && !(record[1] == KEY_MAX && record[HEADER] == 1))
        return 0;
    uint32_t sum = checksum(UINT32_MAX, record, 2);
    sum = ~checksum(sum, record + CHECKED_FROM, (size_t)(size - CHECKED_FROM));
    return sum == (uint32_t)number_at(record + 2, 4, 0);
}

int read_head(PyObject *packed, Head *head) {
    if (!PyBytes_CheckExact(packed))
        return 0;
    const uint8_t *record = (const uint8_t *)PyBytes_AS_STRING(packed);
    if (!is_sound(record, PyBytes_GET_SIZE(packed)))
        return 0;
    head->version = number_at(record + CHECKED_FROM, 8, 0);
    head->key_size = record[1];
    memcpy(head->key, record + HEADER, head->key_size);
    return 1;
}

static PyObject *id_of(const Head *head) {
    static const char digits[] = "0123456789abcdef";
    const uint8_t *key = head->key + 1;
    char text[36];
    if (head->key_size == NUMBER_KEY)
        return PyLong_FromUnsignedLongLong(number_at(key, 8, 1));
    for (int i = 0, at = 0; i < 16; i++) {
        if (i == 4 || i == 6 || i == 8 || i == 10)
            text[at++] = '-';
        text[at++] = digits[key[i] >> 4];
        text[at++] = digits[key[i] & 15];
    }
    return PyUnicode_FromStringAndSize(text, sizeof text);
}

PyObject *make_point(const Head *head, PyObject *payload, PyObject *make) {
    PyObject *parts[3] = {id_of(head), PyLong_FromUnsignedLongLong(head->version), payload}, *point = NULL;
    if (parts[0] != NULL && parts[1] != NULL)
        point = PyObject_Vectorcall(make, parts, 3, NULL);
    Py_XDECREF(parts[0]);
    Py_XDECREF(parts[1]);
    return point;
}
