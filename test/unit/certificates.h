/* SPDX-License-Identifier: GPL-2.0-or-later */
/* CAs and certificates for tests, in a folder of their own. */
#ifndef TEST_CERTIFICATES_H
#define TEST_CERTIFICATES_H

#include "proto/util.h"

struct authority;

/* Writes NAME.pem in the folder. */
struct authority *authority_new(const char *folder, const char *name);
/* As authority_new; its certificate ends so many days from now. */
struct authority *authority_new_for(const char *folder, const char *name, int days);
void authority_free(struct authority *authority);
/* From here on certificates have the number that a host's of this subject (borrowed) has; NULL:
 * each has another one. */
void authority_number(struct authority *authority, const char *subject);
/* Writes NAME.pem and NAME.key; san as "URI:..., DNS:..." (NULL for none); valid from and to so
 * many days from now. */
void authority_sign(
    const struct authority *authority, const char *name, const char *san, int from, int to);
/* As authority_sign; it ends so many seconds from now. */
void authority_sign_briefly(
    const struct authority *authority, const char *name, const char *san, int seconds);
/* As authority_sign, for a year, and for this use alone: such as "serverAuth". */
void authority_sign_for(
    const struct authority *authority, const char *name, const char *san, const char *use);
/* As authority_sign, for a year, with a key that needs this passphrase. */
void authority_sign_secret(
    const struct authority *authority, const char *name, const char *passphrase);
/* The path of a file of the folder; the caller frees. */
char *authority_path(const struct authority *authority, const char *file);

#endif
