/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The host's own commands. */
#ifndef VIRTX_CLUSTER_RUN_H
#define VIRTX_CLUSTER_RUN_H

#include "proto/error.h"

/* Runs one command, argv[0] from the system's own folders, to its end or for at most so many
 * seconds. */
int cluster_run(const char *const *argv, int seconds, struct error *err);
/* The same, where what it writes to standard output is wanted; the caller frees. */
int cluster_run_read(const char *const *argv, int seconds, char **ret, struct error *err);

#endif
