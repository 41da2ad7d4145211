/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Small files under ROOT/xml/HOST, written atomically. Private to the layer. Every failure is a 507
 * unless said otherwise. */
#ifndef DOMAIN_STORE_H
#define DOMAIN_STORE_H

#include <sys/stat.h>

#include "proto/error.h"

#define STORE_FILE_MAX	  (1024 * 1024)
#define STORE_ENTRIES_MAX 100000 /* of one directory */
#define STORE_MARKER	  ".virtx-storage"

/* A checked and normalised host or VM; 400 with the word what ("host") for no UUID. */
int store_check(const char *text, const char *what, char out[37], struct error *err);

/*
 * Opens ROOT/xml/HOST, or ROOT/xml for a NULL host, and returns the descriptor. make makes that
 * one where it is missing, else a missing directory gives *absent and -1 without an error. A host's
 * is made beside the storage's marker alone: without it the storage is not mounted (503), as
 * without ROOT.
 */
int store_open(const char *root, const char *host, bool make, bool *absent, struct error *err);
/* Opens ROOT/NAME, which is for root alone (0700), and makes it first where asked to; *absent as
 * above. Without the storage's marker it is a 503 in any case. */
int store_open_private(
    const char *root, const char *name, bool make, bool *absent, struct error *err);
/* Has the kernel ask a server for the folder, which what is found in it stands on: for some seconds
 * NFS else shows a file where it was before another host moved it. What fails here fails in what is
 * done next, too. store_open does it. */
void store_refresh(int dir, const char *folder);
/* Sets the 503 that says so and what to do; returns -1. */
int store_no_marker(const char *root, struct error *err);

/* Writes a file of mode 0640 in place of the one that may be there. path says in messages what is
 * meant. */
int store_save(
    int dir, const char *name, const void *data, size_t len, const char *path, struct error *err);
/* As store_save, for a file of which there is none: 1 where there is one. Several hosts may do it
 * at once, one of them makes it. */
int store_create(
    int dir, const char *name, const void *data, size_t len, const char *path, struct error *err);
/* Removes what a store_create that was cut off has left so many seconds before the file name was
 * written; both are of the storage's clock. What fails is left for the next time. */
void store_sweep_old(int dir, const char *name, int64_t seconds);
/* Reads a file, NUL-terminated, the caller's; *ret is NULL when it is not there. */
int store_load(
    int dir, const char *name, const char *path, char **ret, size_t *len, struct error *err);
/* What it is, from a descriptor: NFS asks its server for that. 1 where it is absent. */
int store_stat(int dir, const char *name, const char *path, struct stat *ret, struct error *err);
/* Removes a file for good; one that is not there is fine. */
int store_remove(int dir, const char *name, const char *path, struct error *err);
/* Removes the temporary files that processes which are no more have left. */
int store_sweep(int dir, const char *path, struct error *err);
/* Makes what was done to a directory last. */
int store_sync(int dir, const char *path, struct error *err);

/* The entries that are a UUID and this suffix, without it, in no order; *ret is the caller's. */
int store_list(
    int dir, const char *suffix, const char *path, char (**ret)[37], size_t *n, struct error *err);

#endif
