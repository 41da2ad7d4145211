/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The operations of this host: one for each mutating request, the last 1000. */
#ifndef STATE_OPERATIONS_H
#define STATE_OPERATIONS_H

#include "proto/error.h"
#include "proto/model.h"
#include "state/filter.h"
#include "state/operation_counts.h"

#define OPERATIONS_MAX 1000

struct operations;

struct operations *operations_new(void);
void operations_free(struct operations *operations);

/* Told of each that is new or has changed, as it is now (borrowed). One observer; NULL for none. */
typedef void (*operations_changed)(void *arg, const struct operation *operation);
void operations_observe(struct operations *operations, operations_changed changed, void *arg);
/* How many are kept, by what they are. */
struct operations_stats {
	size_t started, completed, failed;
};
void operations_get_stats(const struct operations *operations, struct operations_stats *ret);
/* How many there were of each kind; borrowed. */
const struct operation_counts *operations_get_counts(const struct operations *operations);

/* Begins one; op is "VmBoot" or the like. Returns its id, valid as long as the operation is kept.
 */
const char *operations_start(struct operations *operations, const char *op, const char *vm,
    const char *host, const char *user);
/* An unknown id is passed over by all of these. */
void operations_progress(struct operations *operations, const char *id, int percent);
/* What is to be known of it before it ends. */
void operations_say(struct operations *operations, const char *id, const char *msg);
/* err NULL: completed, with msg (NULL for none). Else failed with its detail. A finished one stays
 * as it is. */
void operations_finish(
    struct operations *operations, const char *id, const char *msg, const struct error *err);
/* Nobody works on it any more: it ends with the VM's next operations_finish_vm. */
void operations_leave(struct operations *operations, const char *id);
/* Finishes what was left on this VM. What is still worked on ends with that work, so that who sees
 * its end can begin the next. */
void operations_finish_vm(struct operations *operations, const char *vm, const char *msg);

/* An operation that another host keeps: the last 1000 of these are remembered. One that is kept
 * here is nobody else's. */
void operations_set_elsewhere(struct operations *operations, const char *id, const char *host);
/* The host (borrowed until the next change) that keeps it; NULL for one that nobody told of. */
const char *operations_find_elsewhere(const struct operations *operations, const char *id);

/* Whether one of that name on this VM is. */
bool operations_is_under_way(const struct operations *operations, const char *op, const char *vm);
/* Borrowed; NULL when it is not known (any more). */
const struct operation *operations_find(const struct operations *operations, const char *id);
/* The newest first; page NULL: all. Items are borrowed: free() ret->items alone. */
void operations_list(const struct operations *operations,
    const struct operation_list_fields *filter, const struct list_page *page,
    struct operation_list *ret);
/* The same of those that are(arg) there for somebody. */
typedef bool (*operations_are)(void *arg, const struct operation *operation);
void operations_list_some(const struct operations *operations,
    const struct operation_list_fields *filter, const struct list_page *page, operations_are are,
    void *arg, struct operation_list *ret);

#endif
