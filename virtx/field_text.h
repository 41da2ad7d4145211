/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The values of fields as people write them: the words of enums, sizes with a unit. */
#ifndef VIRTX_FIELD_TEXT_H
#define VIRTX_FIELD_TEXT_H

#include "proto/error.h"
#include "proto/table.h"

/*
 * Sets the field of obj, which is no struct and no array, to what the text says. A number is a
 * number of the API's unit; where that is one of size, one with K, M, G or T behind it is made one.
 * quoted: it was written as a string, which no bare number is. Else -1: err, of
 * CLIENT_ERROR_STATUS, says what the text is instead, and the field is as it was.
 */
int field_read(const struct field *f, void *obj, const char *text, bool quoted, struct error *err);

#endif
