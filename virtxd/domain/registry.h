/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The VM registry on shared storage: ROOT/xml/HOST/VM.xml. Everything here may hang: jobs only. A
 * host or VM that is no UUID is a 400, what the storage refuses a 507; ROOT itself is never made.
 */
#ifndef DOMAIN_REGISTRY_H
#define DOMAIN_REGISTRY_H

#include <sys/stat.h>

#include "proto/error.h"

struct registry_entry {
	char uuid[37];
	char host[37];
};

/* Saves atomically: temporary file, fsync, rename, fsync of the directory; mode 0640; makes the
 * host's directory. */
int registry_save(
    const char *root, const char *host, const char *uuid, const char *xml, struct error *err);
/* Reads; *ret is the caller's, NULL when it is not there. Capped at 1 MiB. */
int registry_load(
    const char *root, const char *host, const char *uuid, char **ret, struct error *err);
/* Opens the folder of a host for registry_stat(), the caller's to close; -1 with *absent and no
 * error where there is none. */
int registry_open(const char *root, const char *host, bool *absent, struct error *err);
/* The state of a VM's file in there, as a reader who opens it now would find it; 1 where it is
 * absent. */
int registry_stat(int folder, const char *uuid, struct stat *ret, struct error *err);
/* Removes; a file that is not there is fine. */
int registry_remove(const char *root, const char *host, const char *uuid, struct error *err);
/* Moves to another host's directory by one rename, which exactly one mover wins: 1 for the others,
 * as for a file that is not there. Looks at the target before calling ENOENT a failure. */
int registry_move(
    const char *root, const char *from, const char *to, const char *uuid, struct error *err);
/* Removes what saves of this host's own processes, killed on the way, have left in its directory.
 */
int registry_sweep(const char *root, const char *host, struct error *err);
/* Every entry of one host (or of all, host NULL); *ret is the caller's to free(). Names that are no
 * UUID.xml are passed over. */
int registry_list(
    const char *root, const char *host, struct registry_entry **ret, size_t *n, struct error *err);
/* The host under which the VM is registered, "" for none. */
int registry_find(const char *root, const char *uuid, char host[37], struct error *err);
/* The same, passing by one host (NULL: none). */
int registry_find_other(
    const char *root, const char *except, const char *uuid, char host[37], struct error *err);
/* The hosts that have a directory; *ret is an array of n texts of 37 bytes, the caller's. */
int registry_hosts(const char *root, char (**ret)[37], size_t *n, struct error *err);
/* The cached sanlock host_id: 1..2000, 0 when there is none. */
int registry_load_lockid(const char *root, const char *host, int *ret, struct error *err);
int registry_save_lockid(const char *root, const char *host, int lockid, struct error *err);

#endif
