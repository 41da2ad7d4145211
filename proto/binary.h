/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The gossip's bytes: little-endian, strings and arrays with a uint16 length, enums as int16, no
 * padding. */
#ifndef PROTO_BINARY_H
#define PROTO_BINARY_H

#include "proto/error.h"
#include "proto/table.h"

/* Appends the object. A string of over 65535 bytes or an array of over 65535 elements fails with
 * -EMSGSIZE (out is then unchanged). */
int binary_encode(const struct model *m, const void *obj, struct buffer *out);
/*
 * Reads one object from the front of data into obj (zero before); returns the number of bytes used,
 * or -1 with err set and obj cleared: short input, an enum out of range, bytes that are no UTF-8.
 * The caller decides about bytes left over. An array's count is believed only as far as bytes are
 * there to back it.
 */
long binary_decode(
    const struct model *m, const void *data, size_t len, void *obj, struct error *err);

#endif
