/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The key of the cluster's CA on its way to another host: as CMS, which that host's key alone
 * opens, whoever else sees it on the way or in the memory of a daemon. */
#ifndef PROTO_CA_KEY_H
#define PROTO_CA_KEY_H

#include "proto/error.h"

/* Seals it (PEM) for the owner of the certificate (PEM); the caller frees. NULL with the reason. */
char *ca_key_seal(const char *ca_key, const char *certificate, struct error *err);
/* Opens it by the owner's key, for pki_wipe. NULL with the reason where that is the wrong one, or
 * what is in it is not the key of this CA. */
char *ca_key_open(const char *sealed, const char *key, const char *ca, struct error *err);

#endif
