/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A line is of words KEY=VALUE; a value with anything but a few harmless characters is in quotes,
 * and escaped. What has changed something, or was begun, is always told. What was not even begun
 * anybody can send, as fast as the network takes it, so only the first of a minute are told, and
 * how many more there were: of those that nobody knows apart from the others.
 */
#include "http/audit.h"

#include <ctype.h>
#include <string.h>

#include "proto/log.h"
#include "proto/token_secret.h"

#define BURST_UNKNOWN 60  /* a minute, of those that have shown nothing, or something wrong */
#define BURST_KNOWN   600 /* of all others */
#define VALUE_MAX     256 /* bytes */

static void
add_value(struct buffer *out, const char *key, const char *value)
{
	_free_ char *text = xstrndup(value, VALUE_MAX);
	bool bare = *text;

	token_secret_hide(text);
	for (const char *p = text; *p; p++)
		bare &= isalnum((unsigned char)*p) || strchr("-._~:@/{}[]%+,", *p) != NULL;
	buffer_printf(out, "%s%s=%s", out->len ? " " : "", key, bare ? "" : "\"");
	for (const char *p = text; *p; p++) {
		if (*p < ' ' || *p > '~')
			buffer_printf(out, "\\x%02x", (unsigned char)*p);
		else
			buffer_printf(out, "%s%c", strchr("\"\\", *p) ? "\\" : "", *p);
	}
	if (!bare)
		buffer_add(out, "\"", 1);
}

static void
add_text(struct buffer *out, const char *key, const char *value)
{
	if (!str_empty(value))
		add_value(out, key, value);
}

/* On which VM, host or other thing. */
static void
add_object(struct buffer *out, const struct request *req)
{
	const char *path = req->route->path;

	if (!str_empty(req->vm))
		add_value(out, "vm", req->vm);
	else if (strncmp(path, "/vms/", 5) == 0)
		add_text(out, "vm", req->param);
	else if (strncmp(path, "/hosts/", 7) == 0)
		add_text(out, "host", req->param);
	else
		add_text(out, "name", req->param);
}

static void
write_entry(const struct audit_entry *entry)
{
	const struct caller *caller = entry->caller;
	const struct request *req = entry->req;
	_buffer_ struct buffer out = { 0 };

	add_value(&out, "user", caller->user);
	add_value(&out, "role", role_name(caller->role));
	add_value(&out, "by", caller_by_word(caller->by));
	add_value(&out, "from", caller->from);
	if (!str_equal(caller->from, req->client))
		add_text(&out, "peer", req->client);
	add_value(&out, "method", entry->method);
	add_value(&out, "route", req->route ? req->route->path : entry->path);
	if (req->route)
		add_object(&out, req);
	buffer_printf(&out, " status=%d ms=%lld", entry->status, (long long)entry->ms);
	add_text(&out, "operation", req->operation);
	log_notice("audit", "%s", out.data);
}

/* What hosts ask each other all the time is no change that anybody has asked for; that the CA's key
 * is used is seldom, and matters. */
static bool
changes(const struct request *req)
{
	return req->route && req->route->method != METHOD_GET &&
	       (req->route->role != ROLE_HOST || req->route->id == ROUTE_CLUSTER_RENEW);
}

void
audit_note(const struct audit_entry *entry)
{
	static struct log_limit unknown, known;
	bool begun = entry->status < 400 || !str_empty(entry->req->operation);
	bool nobody = entry->refused && entry->caller->role == ROLE_NONE;

	if (!entry->refused && !changes(entry->req))
		return;
	if (begun || log_limit_take(
			 nobody ? &unknown : &known, nobody ? BURST_UNKNOWN : BURST_KNOWN, "audit"))
		write_entry(entry);
}
