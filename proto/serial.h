/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Serial numbers of certificates. Those of a host follow from its subject and from when they were
 * signed, so that its certificates can be taken back without a list of them: a new number with each
 * period. Certificates last two periods at most, and are renewed in less than two thirds of that.
 */
#ifndef PROTO_SERIAL_H
#define PROTO_SERIAL_H

#include <stdint.h>

#define SERIAL_PERIOD_DAYS 183

struct asn1_string_st;
struct x509_st;

int64_t serial_period_now(void);
/* What certificates of this subject that are signed in the period have; the caller frees. */
struct asn1_string_st *serial_number(const char *subject, int64_t period);
/* Gives a certificate that of its subject and of now, or with NULL one that nobody knows before. */
void serial_set(struct x509_st *certificate, const char *subject);

#endif
