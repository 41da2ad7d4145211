/* SPDX-License-Identifier: GPL-2.0-or-later */
/* virtx cluster renew. */
#include <stdio.h>
#include <string.h>

#include "proto/cluster.h"
#include "virtx/cluster_own.h"
#include "virtx/cluster_setup.h"
#include "virtx/verbs.h"

#define OPTION_FORCE 'f'

static const struct option_row cluster_renew_options[] = {
	{ OPTION_FORCE, "force", NULL, "also where they last for long enough" },
	CLUSTER_CERTIFICATES_OPTION,
	{ CLUSTER_OPTION_ROOT, "root", ARG_TEXT("DIR"),
	    "write to a folder instead, as a host's root, and restart nothing" },
	{ 0 },
};

/* Takes what is for this host's keys, of its CA. */
static int
take(struct cluster_site *site, const struct cluster_certificates *got, struct error *err)
{
	struct cluster_material *m = &site->material;

	if (!pki_matches(
		str_or_empty(got->certificate), m->host_key, m->ca, PKI_HOST, site->uuid) ||
	    !pki_matches(
		str_or_empty(got->qemu_certificate), m->qemu_key, m->ca, PKI_QEMU, site->uuid))
		return error_set(
		    err, CLIENT_ERROR_STATUS, "the certificates are not what was asked for");
	str_set(&m->host_certificate, got->certificate);
	str_set(&m->qemu_certificate, got->qemu_certificate);
	return 0;
}

/* By virtxd of this host, which finds who signs. The names are those of the present certificate:
 * the host is reached by them. */
static int
ask(const struct command_call *call, struct cluster_site *site, struct error *err)
{
	const struct cluster_material *m = &site->material;
	struct cluster_certificates got = { 0 };
	struct cluster_renewal renewal = { 0 };
	struct server server = { 0 };
	struct client own = cluster_setup_own_client(call, &server);
	int rc = -1;

	/* It waits for another host, which signs. */
	own.timeout = call->client->timeout;

	renewal.request = pki_request_again(m->host_key, m->host_certificate, err);
	if (renewal.request)
		renewal.qemu_request = pki_request_again(m->qemu_key, m->host_certificate, err);
	if (renewal.qemu_request &&
	    client_get(&own, ROUTE_CLUSTER_RENEW, NULL, &renewal, &got, err) == 0)
		rc = take(site, &got, err);
	model_clear(&cluster_certificates_model, &got);
	model_clear(&cluster_renewal_model, &renewal);
	server_clear(&server);
	return rc;
}

/* Writes what is not everywhere yet, and has it read. */
static int
spread(
    const struct command_call *call, const struct cluster_site *site, bool asked, struct error *err)
{
	struct cluster_plan plan;

	if (cluster_plan_make_certificates(site, &plan, err) < 0) {
		cluster_plan_clear(&plan);
		return -1;
	}
	if (!asked && plan.n_items == 0 && plan.parts == 0)
		fprintf(call->writer->out, "The certificates last for long enough.\n");
	return cluster_setup_write_plan(call, site, &plan, err);
}

/* Those that the site's own CA has signed, with the keys that they are for. */
static int
use_own(const struct command_call *call, struct cluster_site *site, const char *folder,
    struct error *err)
{
	struct cluster_plan plan;

	if (cluster_own_load(site, folder, NULL, err) < 0)
		return -1;
	if (cluster_plan_make_own(site, &plan, err) == 0)
		return cluster_setup_write_plan(call, site, &plan, err);
	cluster_plan_clear(&plan);
	return -1;
}

static int
renew(struct command_call *call, struct cluster_site *site, struct error *err)
{
	const char *own = call->values[CLUSTER_OPTION_CERTIFICATES];
	const struct cluster_material *m = &site->material;
	bool asks;

	if (cluster_setup_lock(call, site, err) < 0 || cluster_material_load(site, err) < 0)
		return -1;
	if (!m->ca || !m->host_key || !m->host_certificate || !m->qemu_key)
		return error_set(err, CLIENT_ERROR_STATUS,
		    "this host has no certificates of 'virtx cluster init' or 'join'");
	if (own)
		return use_own(call, site, own, err);
	/* Those of one that stopped half-way are spread further. */
	asks = call->counts[OPTION_FORCE] || !cluster_material_lasts(m);
	if (asks && ask(call, site, err) < 0)
		return -1;
	return spread(call, site, asks, err);
}

static enum command_result
cluster_renew(struct command_call *call, struct error *err)
{
	struct cluster_site site = { .root = -1, .lock = -1 };
	const char *root;
	int rc;

	if (cluster_setup_begin(call, &root, err) < 0)
		return COMMAND_FAILED;
	rc = cluster_site_find(&site, root, "", err);
	if (rc == 0)
		rc = renew(call, &site, err);
	cluster_site_clear(&site);
	return rc < 0 ? COMMAND_FAILED : COMMAND_OK;
}

const struct command cluster_renew_command = {
	.words = "cluster renew",
	.options = cluster_renew_options,
	.summary = "Renew the certificates of this host when a third of their time is left",
	.help =
	    "As root, on the host; virtx-renew.timer does it each day. A host that has the CA's\n"
	    "key signs them. Those of your own CA are taken from a folder.",
	.run = cluster_renew,
	.local = true,
};
