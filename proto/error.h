/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The one shape of a user-visible failure: an HTTP status and the whole reason in words. */
#ifndef PROTO_ERROR_H
#define PROTO_ERROR_H

#include "proto/util.h"

#define ERROR_DETAIL_MAX 2048

/* What kind of failure it is, for programs. The first of a status is that of all failures with this
 * status that are of no other type. */
enum error_type {
	ERROR_BY_STATUS,
	ERROR_INVALID,
	ERROR_FOREIGN_ORIGIN,
	ERROR_NOT_FOUND,
	ERROR_METHOD,
	ERROR_REQUEST_TIMEOUT,
	ERROR_BUSY,
	ERROR_CHANGED,
	ERROR_TOO_LARGE,
	ERROR_MEDIA_TYPE,
	ERROR_EXPECTATION,
	ERROR_MISDIRECTED,
	ERROR_REFUSED,
	ERROR_FAILED,
	ERROR_INTERNAL,
	ERROR_NOT_SUPPORTED,
	ERROR_NO_ANSWER,
	ERROR_UNAVAILABLE,
	ERROR_NOT_OVER,
	ERROR_STORAGE,
	ERROR_LOOP,
	ERROR_ALREADY_RUNNING,
	ERROR_ALREADY_PAUSED,
	ERROR_ALREADY_OFF,
	ERROR_NOT_RUNNING,
	ERROR_ALREADY_ON,
	ERROR_NOT_OFF,
	ERROR_MISSING,
	ERROR_NO_NETWORK,
	ERROR_NO_HOST,
	ERROR_ALREADY_THERE,
	ERROR_NOT_A_MEMBER,
	ERROR_WHO,
	ERROR_ROLE,
	ERROR_TYPE_N,
};

#define ERROR_TYPE_PREFIX "/problems/" /* of the URI that names a type */

struct error_type_info {
	const char *name; /* "already-running" */
	int status;
	const char *title;
	const char *text; /* what it means, and what to do */
};
extern const struct error_type_info error_types[ERROR_TYPE_N];

/*
 * By value, no ownership. status 0 means no error. vm, host and operation are "" where not known;
 * operation is the id of the operation that stands in the way (409) or that failed.
 */
struct error {
	int status;
	enum error_type type;
	char detail[ERROR_DETAIL_MAX];
	char vm[37];
	char host[37];
	char operation[37];
};

/* Fills err anew (NULL allowed; vm, host and operation become "") and returns -1, so that `return
 * error_set(...)` is one line. Messages never end in a newline. */
int error_set(struct error *err, int status, const char *fmt, ...) PRINTF(3, 4);
/* As error_set with the status of the type. */
int error_set_type(struct error *err, enum error_type type, const char *fmt, ...) PRINTF(3, 4);
/* As error_set, appending ": " and strerror(errnum). errnum is positive. */
int error_errno(struct error *err, int status, int errnum, const char *fmt, ...) PRINTF(4, 5);
/* Prefixes the detail with context and ": "; keeps the status; returns -1. */
int error_wrap(struct error *err, const char *fmt, ...) PRINTF(2, 3);
/* Appends "; " and text to the detail: what could not be undone, say. */
void error_append(struct error *err, const char *fmt, ...) PRINTF(2, 3);
/* Its type, which is ERROR_BY_STATUS only for a status that we never send. */
enum error_type error_get_type(const struct error *err);
/* Whether it is of this type, or of a special one with the status of this; false where there is no
 * error. */
bool error_is(const struct error *err, enum error_type type);
/* ERROR_BY_STATUS for a name that none has. */
enum error_type error_type_find(const char *name);
/* The reason phrase of an HTTP status ("Not Found"); "Error" for one we never send. */
const char *error_title(int status);

#if defined(__clang_analyzer__) && !defined(ERROR_C)
/* Tells clang's analyzer, which looks into one file at a time, what they return. */
static inline int
error_returned(int ignored)
{
	(void)ignored;
	return -1;
}
#define error_set(...)	    error_returned(error_set(__VA_ARGS__))
#define error_set_type(...) error_returned(error_set_type(__VA_ARGS__))
#define error_errno(...)    error_returned(error_errno(__VA_ARGS__))
#define error_wrap(...)	    error_returned(error_wrap(__VA_ARGS__))
#endif

#endif
