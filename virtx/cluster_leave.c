/* SPDX-License-Identifier: GPL-2.0-or-later */
/* virtx cluster leave. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "proto/model.h"
#include "virtx/cluster_check.h"
#include "virtx/cluster_setup.h"
#include "virtx/cluster_undo.h"
#include "virtx/cluster_units.h"
#include "virtx/verbs.h"

#define OPTION_FORCE  'f'
#define OPTION_CA_KEY 30

static const struct option_row cluster_leave_options[] = {
	{ OPTION_FORCE, "force", NULL, "also where nobody tells whether VMs are on it" },
	{ OPTION_CA_KEY, "delete-ca-key", NULL,
	    "also where it has the key of the CA, which is gone then" },
	CLUSTER_SETUP_OPTIONS,
	{ 0 },
};

/* Nobody is sure that there are none: somebody has to be. */
static int
take_risk(const struct command_call *call, struct error *err)
{
	if (call->counts[OPTION_FORCE])
		return 0;
	error_append(err, "where you know that there are none, --force leaves");
	return error_wrap(err, "nobody tells whether VMs are on this host");
}

/* In maintenance it gets none until it has left: by a migration, a failback, or somebody who makes
 * one. Those that come in are in no list yet. */
static int
check_maintenance(const struct command_call *call, const struct client *client,
    const struct cluster_site *site, struct error *err)
{
	struct maintenance maintenance = { 0 };
	bool keeps_off;

	if (client_get(client, ROUTE_MAINTENANCE_GET, site->uuid, NULL, &maintenance, err) < 0)
		return take_risk(call, err);
	keeps_off = maintenance.since != 0 && !maintenance.restoring;
	model_clear(&maintenance_model, &maintenance);
	if (keeps_off)
		return 0;
	return error_set(err, CLIENT_ERROR_STATUS,
	    "VMs may come to this host until it has left: it has to be in maintenance before, by "
	    "'virtx maintain host %s --wait'",
	    site->uuid);
}

/* The list of a host that is not ready may lack VMs; those that are in it are there all the same.
 */
static int
check_vms(const struct command_call *call, const struct client *client, struct cluster_site *site,
    struct error *err)
{
	struct vm_list_options options = { .filter.host = site->uuid };
	struct vm_list list = { 0 };
	struct ready ready = { 0 };
	struct error why = { 0 };
	int told, rc = client_get(client, ROUTE_READYZ, NULL, NULL, &ready, err);

	model_clear(&ready_model, &ready);
	told = client_get(client, ROUTE_VM_LIST, NULL, &options, &list, rc == 0 ? err : &why);
	if (list.n_items > 0)
		rc = error_set(err, CLIENT_ERROR_STATUS,
		    "%zu VMs are on this host, as '%s', on or off: they have to be moved, as by "
		    "'virtx maintain host %s', or deleted before",
		    list.n_items, str_or_empty(list.items[0].fields.name), site->uuid);
	else if (rc < 0 || told < 0)
		rc = take_risk(call, err);
	else
		rc = check_maintenance(call, client, site, err);
	model_clear(&vm_list_model, &list);
	return rc;
}

/* Whether virtxd of this host does not run at all. */
static bool
is_stopped(const struct client *own)
{
	int fd = own->server.socket ? server_open_socket(own->server.socket) : -ENOTSUP;

	if (fd >= 0)
		close(fd);
	return fd == -ENOENT || fd == -ECONNREFUSED;
}

/* It is this host that has to tell, and not a server that the user has logged in to. One that was
 * interrupted may have stopped virtxd when that had told; while it runs it is a host as any, and
 * one of no cluster once all is back. VMs that run without it keep the lockspace. */
static int
ask_host(const struct command_call *call, struct cluster_site *site,
    const struct cluster_note *note, struct error *err)
{
	struct server server = { 0 };
	struct client own = cluster_setup_own_client(call, &server);
	int rc = 0;

	if (!(note->parts & PART_LEAVE) || (!(note->parts & PART_BACK) && !is_stopped(&own)))
		rc = check_vms(call, &own, site, err);
	server_clear(&server);
	return rc;
}

/* The others know this host by the UUID of its certificate, and its VMs are listed by it. Of one
 * that was interrupted all may be gone that has it, but the note. */
static int
take_uuid(struct cluster_site *site, const struct cluster_note *note, struct error *err)
{
	char uuid[UUID_TEXT_SIZE] = "";

	if (note->parts & PART_LEAVE)
		memcpy(uuid, note->uuid, sizeof(uuid));
	if (!*uuid && !pki_host(str_or_empty(site->material.host_certificate), uuid))
		return 0;
	if (!(note->parts & PART_LEAVE) && strcmp(uuid, site->uuid) != 0)
		return error_set(err, CLIENT_ERROR_STATUS,
		    "the certificate '" CLUSTER_HOST_CERTIFICATE "' is of host '%s', as which the "
		    "others know this one, and by libvirt's configuration it is '%s': host_uuid "
		    "there has to be the former before",
		    uuid, site->uuid);
	memcpy(site->uuid, uuid, sizeof(site->uuid));
	return 0;
}

/* A host that was set up by hand has certificates by these names, too, perhaps: 1, 0, or -1. */
static int
has_settings(const struct cluster_site *site, struct error *err)
{
	_free_ char *text = NULL;

	if (cluster_fs_read(site->root, CLUSTER_VIRTXD_CONF, &text, NULL, err) < 0)
		return -1;
	return cluster_edit_has(str_or_empty(text));
}

static int
check(const struct command_call *call, struct cluster_site *site, const struct cluster_note *note,
    struct error *err)
{
	const struct cluster_material *m = &site->material;
	int ours = has_settings(site, err);

	if (ours < 0)
		return -1;
	/* Of one that was interrupted they may be gone. */
	if (!(note->parts & PART_LEAVE) && (!m->ca || !m->host_certificate || !ours))
		return error_set(err, CLIENT_ERROR_STATUS,
		    "this host is of no cluster that 'virtx cluster init' or 'join' has made it "
		    "one of");
	if (take_uuid(site, note, err) < 0)
		return -1;
	if (m->ca_key && !call->counts[OPTION_CA_KEY])
		return error_set(err, CLIENT_ERROR_STATUS,
		    "'%s' would be removed: without it no host can join, and no certificate be "
		    "renewed; where another host has it, as by 'virtx cluster join --ca', or this "
		    "is the last one, --delete-ca-key leaves",
		    CLUSTER_CA_KEY);
	return ask_host(call, site, note, err);
}

/* What is going to be done, and whether somebody wants it: 1, 0, or -1. */
static int
ask(const struct command_call *call, const struct cluster_site *site,
    const struct cluster_undo *undo, struct error *err)
{
	FILE *out = call->writer->out;
	_free_ char *storage = cluster_check_storage_left(site);

	cluster_undo_show(undo, out);
	if (storage)
		fprintf(out, "virtxd: stays stopped, as the storage is at '%s'\n", storage);
	fflush(out);
	if (call->counts[CLUSTER_OPTION_DRY_RUN])
		return 0;
	return cluster_setup_ask_user(
	    call, "Leave the cluster, and undo this? The keys are gone then.", err);
}

/* What is left to do for who is at the host. */
static void
tell_rest(const struct cluster_site *site, FILE *out)
{
	_free_ char *storage = cluster_check_storage_left(site);

	fprintf(out,
	    "This host has left. On another one, 'virtx forget host %s' has all of them forget "
	    "it.\n",
	    site->uuid);
	if (storage)
		fprintf(out,
		    "The storage is still at '%s', and virtxd stays stopped: as long as it is, "
		    "virtxd would be of that storage's cluster. Unmount it, take it out of "
		    "/etc/fstab, and then 'systemctl enable --now virtxd'.\n",
		    storage);
}

/* serf tells the others before its keys go. Who makes it a host of a cluster again before all is
 * done has to write all files. */
static int
undo_all(const struct command_call *call, const struct cluster_site *site,
    const struct cluster_note *note, const struct cluster_undo *undo, struct error *err)
{
	FILE *out = call->writer->out;

	if (cluster_plan_note(site, PART_LEAVE | PART_FILES, 0, err) < 0 ||
	    (!(note->parts & PART_BACK) && cluster_units_leave(site, out, err) < 0) ||
	    cluster_undo_apply(site, undo, out, err) < 0 ||
	    cluster_plan_note(site, PART_BACK, 0, err) < 0 || cluster_undo_tidy(site, err) < 0 ||
	    cluster_units_left(site, out, err) < 0 || cluster_plan_note(site, 0, ~0u, err) < 0)
		return -1;
	tell_rest(site, out);
	return 0;
}

static int
leave(struct command_call *call, struct cluster_site *site, void *arg, struct error *err)
{
	struct cluster_undo undo = { 0 };
	struct cluster_note note;
	int rc;

	if (cluster_plan_noted(site, &note, err) < 0 || check(call, site, &note, err) < 0)
		return -1;
	/* What is there when all is back is none of ours. */
	rc = note.parts & PART_BACK ? 0 : cluster_undo_make(site, &undo, err);
	if (rc == 0)
		rc = ask(call, site, &undo, err);
	/* Whoever was asked has taken his time. */
	if (rc > 0 && ask_host(call, site, &note, err) < 0)
		rc = -1;
	if (rc > 0)
		rc = undo_all(call, site, &note, &undo, err);
	cluster_undo_clear(&undo);
	return rc;
}

static enum command_result
cluster_leave(struct command_call *call, struct error *err)
{
	return cluster_setup_run(call, "", leave, NULL, err) < 0 ? COMMAND_FAILED : COMMAND_OK;
}

const struct command cluster_leave_command = {
	.words = "cluster leave",
	.options = cluster_leave_options,
	.summary = "Take this host out of its cluster",
	.help =
	    "As root, on a host in maintenance, without VMs. What 'virtx cluster init' or 'join' "
	    "has written is\n"
	    "taken back, keys and certificates are removed, serf leaves, and virtxd stays stopped\n"
	    "as long as the storage is here.",
	.examples = "virtx maintain host h1 --wait\n"
		    "virtx cluster leave --dry-run\n"
		    "virtx cluster leave --yes\n",
	.run = cluster_leave,
	.local = true,
};
