/* SPDX-License-Identifier: GPL-2.0-or-later */
/* CAs and certificates for tests, in a folder of their own. */
#ifndef TEST_CERTIFICATES_H
#define TEST_CERTIFICATES_H

#include "proto/util.h"

struct authority;

/* Writes NAME.pem in the folder. */
struct authority *authority_new(const char *folder, const char *name);
void authority_free(struct authority *authority);
/* Writes NAME.pem and NAME.key; san as "URI:..., DNS:..." (NULL for none); valid from and to so
 * many days from now. */
void authority_sign(
    const struct authority *authority, const char *name, const char *san, int from, int to);
/* The path of a file of the folder; the caller frees. */
char *authority_path(const struct authority *authority, const char *file);

#endif
