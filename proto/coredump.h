/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef PROTO_COREDUMP_H
#define PROTO_COREDUMP_H

/* No core is written of the calling process, nor can others of its user trace it: it has had
 * secrets in it, as tokens and keys, and passwords of cloud-init. A program that it runs has to ask
 * for the latter anew. */
void coredump_forbid(void);

#endif
