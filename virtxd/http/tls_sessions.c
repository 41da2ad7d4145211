/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "http/tls_sessions.h"

#include <openssl/ssl.h>
#include <string.h>
#include <uthash.h>

#include "proto/util.h"
#include "proto/uuid.h"

#define SESSIONS_MAX 256    /* a few KiB each */
#define CHECKED_MS   600000 /* for which a check of a certificate counts */

struct entry {
	UT_hash_handle hh;
	char host[UUID_TEXT_SIZE];
	SSL_SESSION *session;
	int64_t checked;
};

struct tls_sessions {
	struct entry *entries; /* the oldest first */
};

static void
drop(struct tls_sessions *sessions, struct entry *entry)
{
	HASH_DEL(sessions->entries, entry);
	SSL_SESSION_free(entry->session);
	free(entry);
}

struct tls_sessions *
tls_sessions_new(void)
{
	return xcalloc(1, sizeof(struct tls_sessions));
}

void
tls_sessions_free(struct tls_sessions *sessions)
{
	tls_sessions_drop(sessions);
	free(sessions);
}

void
tls_sessions_keep(
    struct tls_sessions *sessions, const char *host, const SSL_SESSION *session, int64_t checked)
{
	SSL_SESSION *copy = SSL_SESSION_dup(session);
	struct entry *entry;

	if (!copy)
		return;
	HASH_FIND_STR(sessions->entries, host, entry);
	if (entry)
		drop(sessions, entry);
	else if (HASH_COUNT(sessions->entries) >= SESSIONS_MAX)
		drop(sessions, sessions->entries);
	entry = xcalloc(1, sizeof(*entry));
	memcpy(entry->host, host, strnlen(host, sizeof(entry->host) - 1));
	entry->session = copy;
	entry->checked = checked;
	HASH_ADD_STR(sessions->entries, host, entry);
}

SSL_SESSION *
tls_sessions_find(const struct tls_sessions *sessions, const char *host, int64_t *ret_checked)
{
	struct entry *entry;

	HASH_FIND_STR(sessions->entries, host, entry);
	if (!entry || monotonic_ms() - entry->checked >= CHECKED_MS)
		return NULL;
	*ret_checked = entry->checked;
	return entry->session;
}

void
tls_sessions_drop(struct tls_sessions *sessions)
{
	struct entry *entry, *next;

	HASH_ITER (hh, sessions->entries, entry, next)
		drop(sessions, entry);
}
