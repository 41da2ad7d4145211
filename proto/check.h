/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Values that a client sent. Each returns 0, or -1 with a 400 that names the field as
 * "PREFIX.FIELD". */
#ifndef PROTO_CHECK_H
#define PROTO_CHECK_H

#include "proto/error.h"
#include "proto/table.h"

/* A string of min..max bytes; NULL is an empty one. */
int check_length(const char *text, size_t min, size_t max, const char *prefix, const char *field,
    struct error *err);
/* What people call something: max bytes at most, and something to see. */
int check_name(
    const char *text, size_t max, const char *prefix, const char *field, struct error *err);
/* Letters, digits and underscores; NULL and none at all are fine. */
int check_word(const char *text, const char *prefix, const char *field, struct error *err);
/* An integer of min..max. */
int check_range(long long value, long long min, long long max, const char *prefix,
    const char *field, struct error *err);
/* What holds for every field of its kind, in all that is in obj: the characters of strings, enums
 * in range. */
int check_fields(const struct model *m, const void *obj, const char *prefix, struct error *err);

#endif
