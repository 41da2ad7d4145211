/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A table with a line for each host, of which more is asked than the list of hosts tells. */
#ifndef VIRTX_HOST_TABLE_H
#define VIRTX_HOST_TABLE_H

#include "proto/model.h"
#include "virtx/command.h"

/* Writes the cells of one host. */
typedef void (*host_table_show)(const struct command_call *call, const struct host_list_item *item);

/* Shows all hosts; as a document it is the list. Where it cannot, what tells in err what that was:
 * "show the cluster". */
enum command_result host_table(struct command_call *call, const char *const *titles,
    size_t n_titles, host_table_show show, const char *what, struct error *err);

#endif
