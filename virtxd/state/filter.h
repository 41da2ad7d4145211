/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The list filters: a zero field does not filter, the others are ANDed. */
#ifndef STATE_FILTER_H
#define STATE_FILTER_H

#include "proto/model.h"

/* Of what is found. */
struct list_page {
	size_t offset;
	size_t limit; /* 0: all */
	bool exact;   /* the filter's name is the whole name, else a part of it */
	/* Of VMs: those with this custom field alone, whatever the filter is; borrowed, empty for
	 * all. */
	struct custom_field only;
};

/* runstate is that which is told of the VM. */
bool filter_vm(
    const struct vm *vm, enum vmrunstate runstate, const struct vm_list_fields *filter, bool exact);
bool filter_host(
    const struct host_list_fields *host, const struct host_list_fields *filter, bool exact);
bool filter_operation(
    const struct operation *operation, const struct operation_list_fields *filter);
/* The custom field that is wanted: of this name, and of this value unless that is empty; NULL where
 * none is wanted or the VM has it not. */
const struct custom_field *filter_custom(
    const struct vmdef *def, const struct custom_field *wanted);

#endif
