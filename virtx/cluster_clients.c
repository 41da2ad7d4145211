/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "virtx/cluster_clients.h"

#include <string.h>

#include "proto/crl.h"
#include "virtx/client.h"
#include "virtx/cluster_run.h"
#include "virtx/cluster_units.h"

#define DEADLINE_S 30
#define SUBJECT	   "CN=virtx:host:" /* a UUID follows */
#define ID_SIZE	   21

/* Who serves others by TLS. */
struct daemon {
	const char *uri, *server;
};
static const struct daemon monolithic = { "libvirtd:///system", "libvirtd" };
static const struct daemon modular = { "virtproxyd:///system", "virtproxyd" };

/* What it says; the caller frees. NULL with the reason. */
static char *
ask(const struct daemon *daemon, const char *verb, const char *id, struct error *err)
{
	const char *const argv[] = { "virt-admin", "-c", daemon->uri, verb, daemon->server, id,
		NULL };
	char *text = NULL;

	if (cluster_run_read(argv, DEADLINE_S, &text, err) == 0)
		return text ? text : xstrdup("");
	error_wrap(err, "'virt-admin -c %s %s %s%s%s'", daemon->uri, verb, daemon->server,
	    id ? " " : "", str_or_empty(id));
	return NULL;
}

/* The next line of a table: "ID TRANSPORT ...". False at its end. */
static bool
next_row(const char **at, char id[ID_SIZE], bool *ret_tls)
{
	while (**at) {
		const char *line = *at;
		size_t len = strcspn(line, "\n"), n;

		*at += len + (line[len] == '\n');
		line += strspn(line, " ");
		n = strspn(line, "0123456789");
		if (n == 0 || n >= ID_SIZE || line[n] != ' ')
			continue;
		memcpy(id, line, n);
		id[n] = '\0';
		line += n + strspn(line + n, " ");
		*ret_tls = strncmp(line, "tls ", 4) == 0;
		return true;
	}
	return false;
}

/* The host whose certificate the client has shown; false where it is none of one. */
static bool
find_host(const char *info, char ret[UUID_TEXT_SIZE])
{
	const char *subject = strstr(info, SUBJECT);
	_free_ char *uuid =
	    subject ? xasprintf("%.*s", UUID_TEXT_SIZE - 1, subject + strlen(SUBJECT)) : NULL;

	return uuid && uuid_normalize(uuid, ret) == 0;
}

static int
look_at(const struct cluster_site *site, const struct daemon *daemon, const char *id, FILE *out,
    struct error *err)
{
	_free_ char *info = ask(daemon, "client-info", id, err), *done = NULL;
	char host[UUID_TEXT_SIZE];

	if (!info)
		return -1;
	if (!find_host(info, host) || !crl_has(site->material.crl, host))
		return 0;
	done = ask(daemon, "client-disconnect", id, err);
	if (done)
		fprintf(out, "disconnected from %s: host %s\n", daemon->server, host);
	return done ? 0 : -1;
}

/* One look at all that are connected, or, where some could not be looked at before, at those. Whom
 * that is so of now are left in failed, with the first one's reason: clients come and go meanwhile,
 * and one that does so keeps no other one connected. */
static int
look_at_all(const struct cluster_site *site, const struct daemon *daemon, struct buffer *failed,
    FILE *out, struct error *err)
{
	_buffer_ struct buffer before = *failed;
	_free_ char *list = ask(daemon, "client-list", NULL, err);
	const char *at = list;
	char id[ID_SIZE];
	bool tls;

	*failed = (struct buffer){ 0 };
	if (!list)
		return -1;
	while (next_row(&at, id, &tls)) {
		_free_ char *word = xasprintf(" %s ", id);
		struct error why = { 0 };

		if (!tls || (before.len && !strstr(before.data, word)) ||
		    look_at(site, daemon, id, out, &why) == 0)
			continue;
		if (failed->len == 0)
			*err = why;
		buffer_printf(failed, "%s", word);
	}
	return failed->len ? -1 : 0;
}

int
cluster_clients_drop(const struct cluster_site *site, FILE *out, struct error *err)
{
	const struct daemon *daemon = site->where & ON_MODULAR ? &modular : &monolithic;
	_buffer_ struct buffer failed = { 0 };
	int rc;

	if (!cluster_units_run(site) || !site->material.crl)
		return 0;
	rc = look_at_all(site, daemon, &failed, out, err);
	/* Who comes later is looked at by the CRL. */
	if (rc < 0 && failed.len) {
		*err = (struct error){ 0 };
		rc = look_at_all(site, daemon, &failed, out, err);
	}
	return rc;
}
