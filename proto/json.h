/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Models to JSON and back. What comes from outside is read by yajl's streaming parser, which json.c
 * alone uses. */
#ifndef PROTO_JSON_H
#define PROTO_JSON_H

#include "proto/error.h"
#include "proto/table.h"

/* The object as one line of JSON, all fields present; NUL-terminated, the caller frees; len may be
 * NULL. Bytes that are no UTF-8 become U+FFFD, a float that is no number 0. */
char *json_encode(const struct model *m, const void *obj, size_t *len);
/* The same, indented for people; no newline at the end. */
char *json_encode_pretty(const struct model *m, const void *obj, size_t *len);
/* Adds what json_encode gives to the end of out. */
void json_append(struct buffer *out, const struct model *m, const void *obj);
/* A text as a JSON string with its quotes; the caller frees. */
char *json_quote(const char *text);

/*
 * Reads JSON into obj, which must be zero or cleared before. Unknown fields are ignored, missing
 * ones and null stay zero, of a doubled key the last wins. On failure obj is cleared and err is a
 * 400 that names the field by its path ("vmdef.disks[2].size") or the byte offset of a syntax
 * error. Depth is capped at 16. Empty input (only white space) gives the zero object.
 */
int json_decode(const struct model *m, const char *text, size_t len, void *obj, struct error *err);
/* For what a client asks: a doubled field is an error, too, since what is meant cannot be told. */
int json_decode_request(
    const struct model *m, const char *text, size_t len, void *obj, struct error *err);
/* For what a person has written: unknown and doubled fields are errors, too, and the nearest name
 * is told. Those that begin with '$' are comments. */
int json_decode_exact(
    const struct model *m, const char *text, size_t len, void *obj, struct error *err);
/* Reads a document that is one JSON string (the answer of POST /vms); the caller frees *ret. */
int json_decode_string(const char *text, size_t len, char **ret, struct error *err);

#endif
