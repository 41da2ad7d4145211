/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What a certificate says of its owner, beside what its CA answers for. */
#ifndef PROTO_CERTIFICATE_H
#define PROTO_CERTIFICATE_H

#include <stdbool.h>
#include <stdint.h>

#include "proto/token.h"
#include "proto/uuid.h"

#define CERTIFICATE_CA "/etc/virtx/ca.pem" /* where the CLI looks for the CA's certificates */

#define CERTIFICATE_PRINT_SIZE 65	     /* SHA-256, hexadecimal, and a NUL */
#define CERTIFICATE_QEMU       "virtx:qemu:" /* begins the CN of those of QEMU; a uuid follows */

struct GENERAL_NAME_st;
struct x509_st;

/* The uuid of the host that it is for, from its one SAN `virtx:...`, which is `virtx:host:UUID`;
 * false where it has none, several, or one that is no uuid. */
bool certificate_host(struct x509_st *certificate, char ret[UUID_TEXT_SIZE]);
/* Likewise the name of the user that it is for, `virtx:user:NAME`. */
bool certificate_user(struct x509_st *certificate, char ret[TOKEN_NAME_MAX + 1]);
/* Its fingerprint, as tokens have hashes. */
void certificate_print(struct x509_st *certificate, char ret[CERTIFICATE_PRINT_SIZE]);
/* Is it one of a host's QEMU, by its CN? Whatever names it is for, it is no server of VirtX. */
bool certificate_is_qemu(struct x509_st *certificate);
/* Is it for this name or IP literal? */
bool certificate_has_name(struct x509_st *certificate, const char *name);
/* One of its names as text, where it is a DNS name or an address; the caller frees, NULL for what
 * is neither. */
char *certificate_name_text(const struct GENERAL_NAME_st *name);
/* All of these, with commas between, "" for none; the caller frees. */
char *certificate_names(struct x509_st *certificate);
/* When it ends, in ms since the epoch; 0 where that cannot be read. */
int64_t certificate_end(struct x509_st *certificate);
/* Likewise from when on it is good. */
int64_t certificate_begin(struct x509_st *certificate);

#endif
