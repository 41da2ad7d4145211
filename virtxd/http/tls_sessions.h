/* SPDX-License-Identifier: GPL-2.0-or-later */
/* TLS sessions with other hosts, to be resumed: that spares them and us most of a handshake. */
#ifndef HTTP_TLS_SESSIONS_H
#define HTTP_TLS_SESSIONS_H

struct ssl_session_st;
struct tls_sessions;

struct tls_sessions *tls_sessions_new(void);
void tls_sessions_free(struct tls_sessions *sessions);
/* The latest with this host (a uuid); copied. */
void tls_sessions_keep(
    struct tls_sessions *sessions, const char *host, const struct ssl_session_st *session);
/* Borrowed; NULL for none. */
struct ssl_session_st *tls_sessions_find(const struct tls_sessions *sessions, const char *host);
/* None is resumed any more: by what they were checked is not what counts now. */
void tls_sessions_drop(struct tls_sessions *sessions);

#endif
