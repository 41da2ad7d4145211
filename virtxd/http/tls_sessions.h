/* SPDX-License-Identifier: GPL-2.0-or-later */
/* TLS sessions with other hosts, to be resumed: that spares them and us most of a handshake. */
#ifndef HTTP_TLS_SESSIONS_H
#define HTTP_TLS_SESSIONS_H

#include <stdint.h>

struct ssl_session_st;
struct tls_sessions;

struct tls_sessions *tls_sessions_new(void);
void tls_sessions_free(struct tls_sessions *sessions);
/* The latest with this host (a uuid); copied. checked is when its certificate was, monotonic ms. */
void tls_sessions_keep(struct tls_sessions *sessions, const char *host,
    const struct ssl_session_st *session, int64_t checked);
/* Borrowed; NULL for none whose certificate was checked in the last ten minutes. */
struct ssl_session_st *tls_sessions_find(
    const struct tls_sessions *sessions, const char *host, int64_t *ret_checked);
/* None is resumed any more: by what they were checked is not what counts now. */
void tls_sessions_drop(struct tls_sessions *sessions);

#endif
