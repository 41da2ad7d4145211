/* SPDX-License-Identifier: GPL-2.0-or-later */
/* An error as HTTP tells of it: the RFC 9457 problem document. */
#ifndef PROTO_PROBLEM_H
#define PROTO_PROBLEM_H

#include "proto/error.h"

/* The document as JSON; the caller frees. */
char *problem_encode(const struct error *err, size_t *len);
/* Reads a document back (from a job or a peer); what is none becomes the detail itself, cut to fit.
 */
void problem_decode(struct error *err, int status, const char *text, size_t len);

#endif
