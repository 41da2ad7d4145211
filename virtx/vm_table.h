/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The table of VMs. */
#ifndef VIRTX_VM_TABLE_H
#define VIRTX_VM_TABLE_H

#include "virtx/writer.h"

/* Opens the table and fills it, for writer_end; with the column of a custom field or without. */
void vm_table_begin(struct writer *w, const struct vm_list *list, bool custom);

#endif
