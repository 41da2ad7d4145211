/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "proto/routes.h"

#include <string.h>

#include "proto/cluster.h"
#include "proto/error.h"
#include "proto/gossip.h"
#include "proto/model.h"
#include "proto/token.h"
#include "proto/uuid.h"

/* No route has more. */
#define SEGMENTS_MAX 4

const struct route routes[ROUTE_N] = {
	[ROUTE_HOST_LIST] = { ROUTE_HOST_LIST, METHOD_GET, "/hosts", &host_list_options_model,
	    &host_list_model, 200, NULL, "List the hosts of the cluster", SCOPE_HERE, ROLE_VIEWER,
	    { "limit", "offset" } },
	[ROUTE_HOST_GET] = { ROUTE_HOST_GET, METHOD_GET, "/hosts/{uuid}", NULL, &host_model, 200,
	    NULL, "Show a host", SCOPE_HOST, ROLE_VIEWER, { NULL } },
	[ROUTE_HOST_FORGET] = { ROUTE_HOST_FORGET, METHOD_DELETE, "/hosts/{uuid}", NULL, NULL, 204,
	    NULL, "Forget a host that has left or failed, or put one out", SCOPE_HERE, ROLE_ADMIN,
	    { "put_out" } },
	[ROUTE_VM_LIST] = { ROUTE_VM_LIST, METHOD_GET, "/vms", &vm_list_options_model,
	    &vm_list_model, 200, NULL, "List the VMs of the cluster", SCOPE_HERE, ROLE_VIEWER,
	    { "limit", "offset" } },
	[ROUTE_VM_CREATE] = { ROUTE_VM_CREATE, METHOD_POST, "/vms", &vm_create_options_model, NULL,
	    201, "VmCreate", "Create a VM", SCOPE_BODY, ROLE_OPERATOR, { "dry_run" } },
	[ROUTE_VM_GET] = { ROUTE_VM_GET, METHOD_GET, "/vms/{uuid}", NULL, &vm_model, 200, NULL,
	    "Show a VM", SCOPE_VM, ROLE_VIEWER, { NULL } },
	[ROUTE_VM_UPDATE] = { ROUTE_VM_UPDATE, METHOD_PUT, "/vms/{uuid}", &vm_update_options_model,
	    NULL, 204, "VmUpdate", "Change the definition of a VM that is powered off", SCOPE_VM,
	    ROLE_OPERATOR, { NULL } },
	[ROUTE_VM_DELETE] = { ROUTE_VM_DELETE, METHOD_DELETE, "/vms/{uuid}",
	    &vm_delete_options_model, NULL, 204, "VmDelete", "Delete a VM that is powered off",
	    SCOPE_VM, ROLE_OPERATOR, { NULL } },
	[ROUTE_VM_RUNSTATE_GET] = { ROUTE_VM_RUNSTATE_GET, METHOD_GET, "/vms/{uuid}/runstate", NULL,
	    &vmruninfo_model, 200, NULL, "Show the run state of a VM", SCOPE_HERE, ROLE_VIEWER,
	    { NULL } },
	[ROUTE_VM_BOOT] = { ROUTE_VM_BOOT, METHOD_POST, "/vms/{uuid}/runstate/boot",
	    &vm_boot_options_model, NULL, 204, "VmBoot", "Boot a VM", SCOPE_VM, ROLE_OPERATOR,
	    { "if_needed" } },
	/* 202 for force 0; what is forced off is off when the answer comes: 204. */
	[ROUTE_VM_SHUTDOWN] = { ROUTE_VM_SHUTDOWN, METHOD_DELETE, "/vms/{uuid}/runstate/boot",
	    &vm_shutdown_options_model, NULL, 202, "VmShutdown", "Shut a VM down", SCOPE_VM,
	    ROLE_OPERATOR, { "if_needed" } },
	[ROUTE_VM_PAUSE] = { ROUTE_VM_PAUSE, METHOD_POST, "/vms/{uuid}/runstate/pause", NULL, NULL,
	    204, "VmPause", "Pause a VM", SCOPE_VM, ROLE_OPERATOR, { "if_needed" } },
	[ROUTE_VM_RESUME] = { ROUTE_VM_RESUME, METHOD_DELETE, "/vms/{uuid}/runstate/pause", NULL,
	    NULL, 204, "VmResume", "Resume a paused VM", SCOPE_VM, ROLE_OPERATOR, { "if_needed" } },
	[ROUTE_VM_RESET] = { ROUTE_VM_RESET, METHOD_POST, "/vms/{uuid}/runstate/reset", NULL, NULL,
	    204, "VmReset", "Reset a VM without asking its guest", SCOPE_VM, ROLE_OPERATOR,
	    { NULL } },
	[ROUTE_VM_REBOOT] = { ROUTE_VM_REBOOT, METHOD_POST, "/vms/{uuid}/runstate/reboot", NULL,
	    NULL, 204, "VmReboot", "Ask the guest of a VM to reboot", SCOPE_VM, ROLE_OPERATOR,
	    { NULL } },
	[ROUTE_VM_MIGRATE] = { ROUTE_VM_MIGRATE, METHOD_POST, "/vms/{uuid}/runstate/migrate",
	    &vm_migrate_options_model, NULL, 202, "VmMigrate", "Move a VM to another host",
	    SCOPE_VM, ROLE_OPERATOR, { "dry_run" } },
	[ROUTE_MIGRATION_GET] = { ROUTE_MIGRATION_GET, METHOD_GET, "/vms/{uuid}/runstate/migrate",
	    NULL, &migration_info_model, 200, NULL, "Show how far a migration is", SCOPE_VM,
	    ROLE_VIEWER, { NULL } },
	[ROUTE_MIGRATION_ABORT] = { ROUTE_MIGRATION_ABORT, METHOD_DELETE,
	    "/vms/{uuid}/runstate/migrate", NULL, NULL, 204, "VmMigrateAbort",
	    "Abort a live migration", SCOPE_VM, ROLE_OPERATOR, { NULL } },
	/* 201 where libvirt did not have it. */
	[ROUTE_VM_REGISTER] = { ROUTE_VM_REGISTER, METHOD_PUT, "/vms/{uuid}/register",
	    &vm_register_options_model, NULL, 200, "VmRegister",
	    "Make the registry and libvirt agree about a VM", SCOPE_BODY, ROLE_ADMIN, { NULL } },
	[ROUTE_VM_FAILOVER] = { ROUTE_VM_FAILOVER, METHOD_POST, "/vms/{uuid}/failover",
	    &vm_failover_options_model, NULL, 204, "VmFailover",
	    "Make a VM of a host that is dead this host's", SCOPE_BODY, ROLE_OPERATOR, { NULL } },
	[ROUTE_VM_RECALL] = { ROUTE_VM_RECALL, METHOD_POST, "/vms/{uuid}/recall",
	    &vm_recall_options_model, NULL, 204, "VmRecall",
	    "End a VM on a host that cannot be asked, and make it this host's", SCOPE_BODY,
	    ROLE_OPERATOR, { NULL } },
	[ROUTE_VM_RESERVE] = { ROUTE_VM_RESERVE, METHOD_PUT, "/vms/{uuid}/reservation",
	    &vm_reservation_model, NULL, 204, NULL,
	    "Reserve room on a host for a VM that comes to it", SCOPE_BODY, ROLE_HOST, { NULL } },
	[ROUTE_VM_RESERVE_END] = { ROUTE_VM_RESERVE_END, METHOD_DELETE, "/vms/{uuid}/reservation",
	    &vm_reservation_end_model, NULL, 204, NULL,
	    "Give up the room for a VM that does not come", SCOPE_BODY, ROLE_HOST, { NULL } },
	[ROUTE_HOST_REPAIR] = { ROUTE_HOST_REPAIR, METHOD_POST, "/hosts/{uuid}/repair",
	    &repair_options_model, &repair_list_model, 200, "HostRepair",
	    "Repair what was left behind on a host and the storage", SCOPE_HOST, ROLE_ADMIN,
	    { NULL } },
	[ROUTE_MAINTENANCE_GET] = { ROUTE_MAINTENANCE_GET, METHOD_GET, "/hosts/{uuid}/maintenance",
	    NULL, &maintenance_model, 200, NULL, "Show the maintenance of a host", SCOPE_HOST,
	    ROLE_VIEWER, { NULL } },
	/* 200 with the plan for a dry run. */
	[ROUTE_MAINTENANCE_BEGIN] = { ROUTE_MAINTENANCE_BEGIN, METHOD_POST,
	    "/hosts/{uuid}/maintenance", &maintenance_options_model, NULL, 202, "HostMaintenance",
	    "Let a host take no VMs, and move its VMs away", SCOPE_HOST, ROLE_ADMIN,
	    { "dry_run" } },
	/* 202 where VMs come back. */
	[ROUTE_MAINTENANCE_END] = { ROUTE_MAINTENANCE_END, METHOD_DELETE,
	    "/hosts/{uuid}/maintenance", &maintenance_end_options_model, NULL, 204,
	    "HostMaintenanceEnd", "End the maintenance of a host", SCOPE_HOST, ROLE_ADMIN,
	    { NULL } },
	[ROUTE_STORAGE_INIT] = { ROUTE_STORAGE_INIT, METHOD_POST, "/storage", NULL, &storage_model,
	    200, "StorageInit", "Make a new storage for the cluster", SCOPE_HERE, ROLE_ADMIN,
	    { NULL } },
	[ROUTE_TOKEN_LIST] = { ROUTE_TOKEN_LIST, METHOD_GET, "/auth/tokens", NULL,
	    &token_list_model, 200, NULL, "List the tokens", SCOPE_HERE, ROLE_ADMIN, { NULL } },
	[ROUTE_TOKEN_CREATE] = { ROUTE_TOKEN_CREATE, METHOD_POST, "/auth/tokens",
	    &token_options_model, &token_made_model, 200, NULL, "Make a token", SCOPE_HERE,
	    ROLE_ADMIN, { NULL } },
	[ROUTE_TOKEN_REVOKE] = { ROUTE_TOKEN_REVOKE, METHOD_DELETE, "/auth/tokens/{id}", NULL, NULL,
	    204, NULL, "Revoke a token", SCOPE_HERE, ROLE_ADMIN, { NULL } },
	[ROUTE_CLUSTER_TOKEN] = { ROUTE_CLUSTER_TOKEN, METHOD_POST, "/cluster/tokens",
	    &cluster_token_options_model, &cluster_token_model, 200, NULL,
	    "Make a token by which one host may join the cluster", SCOPE_HERE, ROLE_ADMIN,
	    { "ca" } },
	[ROUTE_CLUSTER_JOIN] = { ROUTE_CLUSTER_JOIN, METHOD_POST, "/cluster/join",
	    &cluster_join_model, &cluster_member_model, 200, NULL, "Join the cluster by a token",
	    SCOPE_HERE, ROLE_JOIN, { "ca" } },
	[ROUTE_CLUSTER_RENEW] = { ROUTE_CLUSTER_RENEW, METHOD_POST, "/cluster/certificates",
	    &cluster_renewal_model, &cluster_certificates_model, 200, NULL,
	    "Renew the certificates of the host that asks", SCOPE_HERE, ROLE_HOST, { NULL } },
	[ROUTE_OPERATION_LIST] = { ROUTE_OPERATION_LIST, METHOD_GET, "/operations",
	    &operation_list_options_model, &operation_list_model, 200, NULL,
	    "List the operations of a host", SCOPE_QUERY, ROLE_VIEWER, { "limit", "offset" } },
	[ROUTE_OPERATION_GET] = { ROUTE_OPERATION_GET, METHOD_GET, "/operations/{id}", NULL,
	    &operation_model, 200, NULL, "Show an operation", SCOPE_OPERATION, ROLE_VIEWER,
	    { NULL } },
	[ROUTE_GOSSIP_VMS] = { ROUTE_GOSSIP_VMS, METHOD_GET, "/gossip/vms", NULL,
	    &vm_info_list_model, 200, NULL, "List this host's own VMs for another host", SCOPE_HERE,
	    ROLE_HOST, { "limit", "after" } },
	[ROUTE_EVENTS] = { ROUTE_EVENTS, METHOD_GET, "/events", NULL, NULL, 200, NULL,
	    "Follow the changes of the cluster", SCOPE_HERE, ROLE_VIEWER, { "type" } },
	[ROUTE_METRICS] = { ROUTE_METRICS, METHOD_GET, "/metrics", NULL, NULL, 200, NULL,
	    "Show figures for Prometheus", SCOPE_HERE, ROLE_VIEWER, { "vms" } },
	[ROUTE_HA_PLAN] = { ROUTE_HA_PLAN, METHOD_GET, "/ha/plan", NULL, &ha_plan_model, 200, NULL,
	    "Show what would become of VMs if their host died", SCOPE_HERE, ROLE_VIEWER,
	    { "host" } },
	[ROUTE_PROBLEM_GET] = { ROUTE_PROBLEM_GET, METHOD_GET, ERROR_TYPE_PREFIX "{id}", NULL, NULL,
	    200, NULL, "Explain a type of problem", SCOPE_HERE, ROLE_VIEWER, { NULL } },
	[ROUTE_OPENAPI] = { ROUTE_OPENAPI, METHOD_GET, "/openapi.json", NULL, NULL, 200, NULL,
	    "This document", SCOPE_HERE, ROLE_VIEWER, { NULL } },
	[ROUTE_HEALTHZ] = { ROUTE_HEALTHZ, METHOD_GET, "/healthz", NULL, NULL, 200, NULL,
	    "Whether the daemon answers", SCOPE_HERE, ROLE_VIEWER, { NULL } },
	[ROUTE_READYZ] = { ROUTE_READYZ, METHOD_GET, "/readyz", NULL, &ready_model, 200, NULL,
	    "Whether libvirt, serf and the lockspace are joined", SCOPE_HERE, ROLE_VIEWER,
	    { NULL } },
};

static const struct {
	enum method method;
	const char *word;
} methods[] = {
	{ METHOD_GET, "GET" },
	{ METHOD_POST, "POST" },
	{ METHOD_PUT, "PUT" },
	{ METHOD_DELETE, "DELETE" },
	{ METHOD_HEAD, "HEAD" },
};

const char *
method_word(enum method method)
{
	for (size_t i = 0; i < ARRAY_SIZE(methods); i++) {
		if (methods[i].method == method)
			return methods[i].word;
	}
	return "?";
}

enum method
method_parse(const char *word)
{
	for (size_t i = 0; i < ARRAY_SIZE(methods); i++) {
		if (str_equal(methods[i].word, word))
			return methods[i].method;
	}
	return 0;
}

/* Decodes one segment, which takes no more room than it does raw; -1 where that is wrong. */
static int
decode_segment(const char *raw, size_t len, char *out)
{
	if (!memchr(raw, '%', len)) {
		memcpy(out, raw, len);
		out[len] = '\0';
		return 0;
	}
	for (size_t i = 0; i < len; i++) {
		char c = raw[i];

		if (c == '%') {
			int high = i + 2 < len ? hex_digit(raw[i + 1]) : -1;
			int low = i + 2 < len ? hex_digit(raw[i + 2]) : -1;

			if (high < 0 || low < 0)
				return -1;
			c = (char)(high << 4 | low);
			if (c == '\0' || c == '/')
				return -1;
			i += 2;
		}
		*out++ = c;
	}
	*out = '\0';
	return 0;
}

/* A path in its decoded parts, in which there is no '/'. */
struct segments {
	char *text; /* that they are in */
	const char *parts[SEGMENTS_MAX];
	unsigned int n;
};

static void
segments_clear(struct segments *s)
{
	free(s->text);
}

static enum route_match
segments_split(const char *raw, struct segments *s)
{
	char *out;

	if (*raw != '/')
		return ROUTE_NO_PATH;
	/* Each ends where its raw one does, or before, and its NUL takes the place of the '/'. */
	out = s->text = xcalloc(strlen(raw) + 1, 1);
	while (*raw == '/') {
		size_t len = strcspn(++raw, "/");

		if (s->n == SEGMENTS_MAX)
			return ROUTE_NO_PATH;
		if (decode_segment(raw, len, out) < 0)
			return ROUTE_BAD_ENCODING;
		s->parts[s->n++] = out;
		out += len + 1;
		raw += len;
	}
	return ROUTE_FOUND;
}

/* Whether the path is of this pattern; *ret_param becomes the segment of its parameter, and
 * *ret_uuid whether that must be a UUID. */
static bool
pattern_match(const char *pattern, const struct segments *s, const char **ret_param, bool *ret_uuid)
{
	const char *param = NULL;

	*ret_param = NULL;
	for (unsigned int i = 0; i < s->n; i++) {
		const char *part = s->parts[i];

		if (*pattern++ != '/')
			return false;
		if (*pattern == '{') {
			if (!*part)
				return false;
			*ret_param = part;
			param = pattern;
			while (*pattern && *pattern != '/')
				pattern++;
			continue;
		}
		for (; *part && *part == *pattern; part++)
			pattern++;
		if (*part || (*pattern != '/' && *pattern != '\0'))
			return false;
	}
	if (*pattern)
		return false;
	*ret_uuid = param && strncmp(param, "{uuid}", strlen("{uuid}")) == 0;
	return true;
}

/* The routes of which the pattern has so many segments, as far as n. */
struct level {
	unsigned int n;
	const struct route *routes[ROUTE_N];
};

static const struct level *
find_level(size_t segments)
{
	static struct level levels[SEGMENTS_MAX + 1];
	static bool filled;

	for (unsigned int i = 0; i < ROUTE_N && !filled; i++) {
		struct level *level = levels;

		for (const char *p = routes[i].path; *p; p++)
			level += *p == '/';
		level->routes[level->n++] = &routes[i];
	}
	filled = true;
	return &levels[segments];
}

/* Hands the parameter out. */
static enum route_match
take_param(const char *text, bool is_uuid, char *param, size_t param_size)
{
	char uuid[UUID_TEXT_SIZE];
	size_t len;

	if (is_uuid) {
		if (uuid_normalize(text, uuid) < 0)
			return ROUTE_BAD_UUID;
		text = uuid;
	}
	if (!param)
		return ROUTE_FOUND;
	len = strlen(text);
	/* No id is that long. */
	if (len >= param_size)
		return ROUTE_NO_PATH;
	memcpy(param, text, len + 1);
	return ROUTE_FOUND;
}

struct found {
	const struct route *route; /* NULL: none */
	const char *param;
	bool is_uuid;
};

/* Looks at the routes of these methods alone. Returns the methods that the path has of them. */
static unsigned int
find_among(const struct segments *s, unsigned int wanted, struct found *ret)
{
	const struct level *level = find_level(s->n);
	unsigned int allowed = 0;

	for (unsigned int i = 0; i < level->n; i++) {
		const struct route *route = level->routes[i];
		const char *param;
		bool is_uuid;

		if (!(route->method & wanted) || !pattern_match(route->path, s, &param, &is_uuid))
			continue;
		allowed |= route->method;
		*ret = (struct found){ route, param, is_uuid };
	}
	return allowed;
}

enum route_match
route_find(enum method method, const char *raw_path, const struct route **ret, char *param,
    size_t param_size, unsigned int *allow)
{
	__attribute__((cleanup(segments_clear))) struct segments s = { 0 };
	enum route_match match = segments_split(raw_path, &s);
	struct found found = { 0 }, other;
	unsigned int allowed;

	if (param && param_size > 0)
		param[0] = '\0';
	if (match != ROUTE_FOUND)
		return match;
	if (method == METHOD_HEAD)
		method = METHOD_GET;

	allowed = find_among(&s, method, &found);
	if (!found.route)
		allowed = find_among(&s, ~0U, &other);
	if (allowed & METHOD_GET)
		allowed |= METHOD_HEAD;
	if (allow)
		*allow = allowed;
	if (!found.route)
		return allowed ? ROUTE_NO_METHOD : ROUTE_NO_PATH;

	if (found.param) {
		match = take_param(found.param, found.is_uuid, param, param_size);
		if (match != ROUTE_FOUND)
			return match;
	}
	*ret = found.route;
	return ROUTE_FOUND;
}

/* RFC 3986's unreserved characters. */
static bool
is_unreserved(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
	       c == '-' || c == '.' || c == '_' || c == '~';
}

char *
route_path(enum route_id id, const char *param)
{
	const char *pattern = routes[id].path;
	const char *open = strchr(pattern, '{');
	struct buffer out = { 0 };

	if (!open)
		return xstrdup(pattern);
	buffer_add(&out, pattern, (size_t)(open - pattern));
	for (const char *p = str_or_empty(param); *p; p++) {
		if (is_unreserved(*p))
			buffer_add(&out, p, 1);
		else
			buffer_printf(&out, "%%%02X", (unsigned char)*p);
	}
	buffer_printf(&out, "%s", strchr(open, '}') + 1);
	return buffer_steal(&out, NULL);
}
