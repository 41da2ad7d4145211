/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the cluster's CA signs. */
#ifndef WORK_CLUSTER_SIGN_H
#define WORK_CLUSTER_SIGN_H

#include "proto/error.h"

/* The certificate of a user for the request, by the CA of these files; NULL with the reason. */
char *cluster_sign_user(const char *ca, const char *ca_key, const char *request, const char *name,
    int64_t seconds, struct error *err);

/* The CRL of those hosts, see crl_sign; NULL with the reason. */
char *cluster_sign_crl(const char *ca, const char *ca_key, const char *const *hosts, size_t n,
    int64_t before, struct error *err);

#endif
