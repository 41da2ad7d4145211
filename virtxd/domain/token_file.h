/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The tokens as the hosts share them: ROOT/auth/NAME, in a folder for root alone, and beside them
 * the hosts that were put out of the cluster: ROOT/auth/.out.UUID, how often one was let in again:
 * ROOT/auth/.again.UUID.N, and the CRL of their certificates: ROOT/auth/.crl. It may hang: jobs
 * only. */
#ifndef DOMAIN_TOKEN_FILE_H
#define DOMAIN_TOKEN_FILE_H

#include "proto/token.h"

/* Makes a new one; -1 with a 422 where there is one of this name, a 507 where there are as many as
 * may be. */
int token_file_save(const char *root, const struct token_record *record, struct error *err);
/* Removes one; -1 with a 404 where there is none. */
int token_file_remove(const char *root, const char *name, struct error *err);
/* Notes that a host was put out, or is not any more; either may be so already. -1 with a 507 where
 * there are as many as may be. */
int token_host_put_out(const char *root, const char *uuid, bool out, struct error *err);
/* How often the host was let in again; once_more: it is at this moment, which is kept before. Its
 * certificates are numbered by that. -1 with a 503 where another host does so, too, and a 507 where
 * that was too often. */
int token_host_again(
    const char *root, const char *uuid, bool once_more, int *ret, struct error *err);
/* The CRL, whatever it is; *ret is NULL where there is none, the caller's. */
int token_crl_load(const char *root, char **ret, struct error *err);
int token_crl_save(const char *root, const char *text, struct error *err);
/* Reads all but that into ret, which is zero before, unless their folder has the stamp that is
 * known: that is to be of a read which began 2 s after the stamp had been seen first, since a
 * change right after another one may leave it. What is no token is left out, and told, whatever it
 * is; what the storage does not give is told, too. Neither takes another one with it: -1 is about
 * the folder. */
int token_files_load(const char *root, const char *known, struct token_set *ret, struct error *err);

#endif
