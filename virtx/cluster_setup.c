/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "virtx/cluster_setup.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "proto/model.h"
#include "virtx/cluster_check.h"
#include "virtx/cluster_fs.h"
#include "virtx/cluster_units.h"
#include "virtx/terminal.h"

#define LOCK	"/etc/virtx/cluster.lock"
#define LOOK_US (500 * 1000)
#define CALL_S	30 /* for one question to virtxd */

/* Whether the caller may write the files of the host whose root folder it is, "" for this one. */
static int
check_root(const char *root, struct error *err)
{
	if (*root == '\0' && geteuid() != 0)
		return error_set(err, CLIENT_ERROR_STATUS,
		    "this reads and writes what is root's on this host: run it as root");
	if (*root && *root != '/')
		return error_set(err, CLIENT_ERROR_STATUS, "--root needs an absolute path");
	return 0;
}

/* Until the site is cleared. */
static int
lock_files(const struct command_call *call, struct cluster_site *site, struct error *err)
{
	if (call->counts[CLUSTER_OPTION_DRY_RUN])
		return 0;
	site->lock = cluster_fs_lock(site->root, LOCK, err);
	return site->lock < 0 ? -1 : 0;
}

int
cluster_setup_run(
    struct command_call *call, const char *address, cluster_work work, void *arg, struct error *err)
{
	const char *root = str_or_empty(call->values[CLUSTER_OPTION_ROOT]);
	struct cluster_site site = { .root = -1, .lock = -1 };
	int rc;

	if (check_root(root, err) < 0)
		return -1;
	rc = cluster_site_find(&site, root, address, err);
	if (rc == 0)
		rc = lock_files(call, &site, err);
	if (rc == 0)
		rc = cluster_material_load(&site, err);
	if (rc == 0)
		rc = cluster_site_load_ha(&site, err);
	if (rc == 0)
		rc = work(call, &site, arg, err);
	cluster_site_clear(&site);
	return rc;
}

int
cluster_setup_ask_user(const struct command_call *call, const char *question, struct error *err)
{
	if (call->counts['y'])
		return 1;
	if (!terminal_is_there())
		return error_set(err, CLIENT_ERROR_STATUS,
		    "nobody can be asked whether this is to be done: --yes does it, --dry-run "
		    "only shows it");
	return terminal_ask(question);
}

int
cluster_setup_ask(
    const struct command_call *call, const struct cluster_site *site, struct error *err)
{
	FILE *out = call->writer->out;
	struct cluster_plan plan;
	unsigned int parts;
	bool changes;

	if (cluster_plan_make(site, &plan, err) < 0) {
		cluster_plan_clear(&plan);
		return -1;
	}
	parts = plan.parts;
	changes = plan.n_items > 0 || parts != 0;
	cluster_plan_clear(&plan);
	if (!changes)
		fprintf(out, "All files are as they are to be: nothing is written.\n");
	else if (cluster_plan_show(site, out, err) < 0)
		return -1;
	fflush(out);
	if (cluster_check(site, parts, err) < 0)
		return -1;
	if (call->counts[CLUSTER_OPTION_DRY_RUN])
		return 0;
	if (!changes)
		return 1;
	return cluster_setup_ask_user(call, "Write these files, and restart what reads them?", err);
}

int
cluster_setup_write_plan(const struct command_call *call, const struct cluster_site *site,
    struct cluster_plan *plan, struct error *err)
{
	FILE *out = call->writer->out;
	int rc = cluster_plan_write(site, plan, err);

	for (size_t i = 0; rc == 0 && i < plan->n_items; i++)
		fprintf(out, "written: %s\n", plan->items[i].file->path);
	if (rc == 0 && plan->parts)
		rc = cluster_units_apply(site, plan->parts, out, err);
	cluster_plan_clear(plan);
	return rc;
}

int
cluster_setup_write(
    const struct command_call *call, const struct cluster_site *site, struct error *err)
{
	struct cluster_plan plan;

	if (cluster_plan_make(site, &plan, err) == 0)
		return cluster_setup_write_plan(call, site, &plan, err);
	cluster_plan_clear(&plan);
	return -1;
}

int
cluster_setup_go_on(const struct command_call *call, const struct cluster_site *site,
    unsigned int parts, struct error *err)
{
	FILE *out = call->writer->out;
	int rc = !call->counts[CLUSTER_OPTION_DRY_RUN];

	if (cluster_check(site, parts, err) < 0)
		return -1;
	fprintf(out, "All files are written. What reads them is yet to be restarted.\n");
	fflush(out);
	if (rc > 0)
		rc = cluster_setup_ask_user(call, "Restart it", err);
	if (rc > 0 && cluster_units_apply(site, parts, out, err) < 0)
		rc = -1;
	return rc;
}

struct client
cluster_setup_own_client(const struct command_call *call, struct server *server)
{
	struct client client = *call->client;
	struct error ignored;

	(void)server_parse("unix:" API_SOCKET, server, &ignored);
	client.server = *server;
	client.timeout = CALL_S;
	client.token = NULL;
	client.success = 0;
	return client;
}

/* What virtxd says is missing, in words; "" when it is ready. The caller frees. */
static char *
what_is_missing(const struct client *client, bool *ret_storage)
{
	static const struct {
		const char *what;
		size_t offset;
	} rows[] = {
		{ "libvirt", offsetof(struct ready, libvirt) },
		{ "serf", offsetof(struct ready, serf) },
		{ "storage", offsetof(struct ready, storage) },
		{ "lockspace", offsetof(struct ready, lockspace) },
		{ "listen", offsetof(struct ready, listen) },
	};
	struct client asks = *client;
	struct ready ready = { 0 };
	struct buffer b = { 0 };
	struct error err = { 0 };

	*ret_storage = false;
	if (client_get(&asks, ROUTE_READYZ, NULL, NULL, &ready, &err) == 0)
		return xstrdup("");
	/* What is missing comes with a 503. */
	asks.success = 503;
	if (client_get(&asks, ROUTE_READYZ, NULL, NULL, &ready, &err) < 0)
		return xasprintf("virtxd: %s", err.detail);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		const char *why = *(char **)((char *)&ready + rows[i].offset);

		if (!str_empty(why))
			buffer_printf(&b, "%s%s: %s", b.len ? "; " : "", rows[i].what, why);
	}
	*ret_storage = !str_empty(ready.storage);
	model_clear(&ready_model, &ready);
	return buffer_steal(&b, NULL);
}

/* One that is made already is as good. */
static int
make_storage(const struct client *client, struct error *err)
{
	struct storage storage = { 0 };

	if (client_get(client, ROUTE_STORAGE_INIT, NULL, NULL, &storage, err) == 0)
		model_clear(&storage_model, &storage);
	else if (!error_is(err, ERROR_BUSY))
		return -1;
	return 0;
}

int
cluster_setup_wait(const struct command_call *call, bool new_storage, struct error *err)
{
	int64_t deadline = monotonic_ms() + CLUSTER_READY_S * INT64_C(1000);
	_free_ char *missing = NULL, *told = xstrdup("");
	struct server server = { 0 };
	struct client client = cluster_setup_own_client(call, &server);
	struct error why = { 0 };
	bool storage;

	for (;;) {
		free(missing);
		missing = what_is_missing(&client, &storage);
		if (!*missing || monotonic_ms() > deadline)
			break;
		if (strcmp(missing, told) != 0)
			fprintf(stderr, "waiting: %s\n", missing);
		str_set(&told, missing);
		if (new_storage && storage && make_storage(&client, &why) == 0)
			new_storage = false;
		usleep(LOOK_US);
	}
	server_clear(&server);
	if (!*missing) {
		fprintf(call->writer->out, "This host is ready.\n");
		return 0;
	}
	error_set(err, CLIENT_ERROR_STATUS,
	    "all is written, and this is still missing after %d s: %s", CLUSTER_READY_S, missing);
	if (new_storage && why.status)
		error_append(err, "the storage could not be made: %s", why.detail);
	return -1;
}
