/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The one shape of a user-visible failure: an HTTP status and the whole reason in words. */
#ifndef PROTO_ERROR_H
#define PROTO_ERROR_H

#include "proto/util.h"

#define ERROR_DETAIL_MAX 2048

/*
 * By value, no ownership. status 0 means no error. vm, host and operation are "" where not known;
 * operation is the id of the operation that stands in the way (409) or that failed.
 */
struct error {
	int status;
	char detail[ERROR_DETAIL_MAX];
	char vm[37];
	char host[37];
	char operation[37];
};

/* Fills err anew (NULL allowed; vm, host and operation become "") and returns -1, so that `return
 * error_set(...)` is one line. Messages never end in a newline. */
int error_set(struct error *err, int status, const char *fmt, ...) PRINTF(3, 4);
/* As error_set, appending ": " and strerror(errnum). errnum is positive. */
int error_errno(struct error *err, int status, int errnum, const char *fmt, ...) PRINTF(4, 5);
/* Prefixes the detail with context and ": "; keeps the status; returns -1. */
int error_wrap(struct error *err, const char *fmt, ...) PRINTF(2, 3);
/* Appends "; " and text to the detail: what could not be undone, say. */
void error_append(struct error *err, const char *fmt, ...) PRINTF(2, 3);
/* The reason phrase of an HTTP status ("Not Found"); "Error" for one we never send. */
const char *error_title(int status);
/* The RFC 9457 problem document as JSON; the caller frees. */
char *error_to_json(const struct error *err, size_t *len);
/* Reads a problem document back (from a job or a peer); what is no problem document becomes the
 * detail itself, cut to fit. */
void error_from_json(struct error *err, int status, const char *text, size_t len);

#if defined(__clang_analyzer__) && !defined(ERROR_C)
/* Tells clang's analyzer, which looks into one file at a time, what they return. */
static inline int
error_returned(int ignored)
{
	(void)ignored;
	return -1;
}
#define error_set(...)	 error_returned(error_set(__VA_ARGS__))
#define error_errno(...) error_returned(error_errno(__VA_ARGS__))
#define error_wrap(...)	 error_returned(error_wrap(__VA_ARGS__))
#endif

#endif
