/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A host's maintenance, kept beside its registry: ROOT/xml/HOST/maintenance. It may hang: jobs
 * only. */
#ifndef DOMAIN_MAINTENANCE_FILE_H
#define DOMAIN_MAINTENANCE_FILE_H

#include "proto/error.h"
#include "proto/model.h"

/* Saves atomically; one that is not in maintenance has no file. */
int maintenance_file_save(
    const char *root, const char *host, const struct maintenance *maintenance, struct error *err);
/* The status of a file that can be read and is malformed; saving writes it anew. */
#define MAINTENANCE_FILE_DAMAGED 422

/* Reads into ret, which is zero before and stays so where there is no file. */
int maintenance_file_load(
    const char *root, const char *host, struct maintenance *ret, struct error *err);

#endif
