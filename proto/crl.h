/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The certificates of hosts that the cluster's CA has taken back: a CRL, as PEM text, by which
 * libvirt and QEMU refuse them. Which certificates a host has had follows from proto/serial.h.
 */
#ifndef PROTO_CRL_H
#define PROTO_CRL_H

#include "proto/pki.h"

#define CRL_MAX (1024 * 1024) /* bytes of one */

/* A CRL of all certificates that these hosts, and their QEMU, may have, each a UUID as that of
 * pki_sign: without a number behind it what was signed before the host was let in again; as good as
 * long as the CA. Its number is above that of the ones before it (0 for none), and the time, in ms.
 * NULL with the reason. */
char *crl_sign(const char *ca, const char *ca_key, const char *const *hosts, size_t n_hosts,
    int64_t before, struct error *err);
/* The CRL that the text is, in its one form, where the CA has signed it; NULL where it is none. The
 * caller frees. */
char *crl_take(const char *text, const char *ca);
/* Its number, by which a later one is told from an earlier one; 0 for NULL, and for none. */
int64_t crl_number(const char *text);
/* Whether it is for these hosts, and for no others. */
bool crl_is_for(const char *crl, const char *const *hosts, size_t n_hosts);
/* Whether it is for the host, among others. */
bool crl_has(const char *crl, const char *host);
/* Whether the certificate was signed for a host before it had been let in again so often. */
bool crl_is_before(const struct x509_st *certificate, const char *host, int again);

#endif
