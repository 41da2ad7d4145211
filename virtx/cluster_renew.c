/* SPDX-License-Identifier: GPL-2.0-or-later */
/* virtx cluster renew. */
#include <stdio.h>
#include <string.h>

#include "proto/cluster.h"
#include "proto/crl.h"
#include "virtx/cluster_clients.h"
#include "virtx/cluster_edit.h"
#include "virtx/cluster_fs.h"
#include "virtx/cluster_own.h"
#include "virtx/cluster_setup.h"
#include "virtx/verbs.h"

#define OPTION_FORCE 'f'
#define SOON_MS	     (INT64_C(30) * 86400 * 1000)
#define SAME_DAY_MS  86400000 /* what the clocks of those who sign may differ by */

static const struct option_row cluster_renew_options[] = {
	{ OPTION_FORCE, "force", NULL, "also where they last for long enough" },
	CLUSTER_CERTIFICATES_OPTION,
	{ CLUSTER_OPTION_ROOT, "root", ARG_TEXT("DIR"),
	    "write to a folder instead, as a host's root, and restart nothing" },
	{ 0 },
};

static int64_t
begin_of(const char *certificate)
{
	int64_t length, end = pki_end(certificate, &length);

	return end - length;
}

/* Whoever has had one of this host's keys, and has kept it, may answer with that. */
static int
check_new(const char *certificate, const char *present, struct error *err)
{
	int64_t ignored;

	if (pki_end(certificate, &ignored) <= now_ms())
		return error_set(
		    err, CLIENT_ERROR_STATUS, "a certificate that came has ended already");
	if (begin_of(certificate) < begin_of(present) - SAME_DAY_MS)
		return error_set(err, CLIENT_ERROR_STATUS,
		    "a certificate that came is older than the one that is there");
	return 0;
}

/* Takes what is for this host's keys, of its CA. */
static int
take(struct cluster_site *site, const struct cluster_certificates *got, struct error *err)
{
	struct cluster_material *m = &site->material;
	_free_ char *host = pki_chain(str_or_empty(got->certificate), m->ca);
	_free_ char *qemu = pki_chain(str_or_empty(got->qemu_certificate), m->ca);

	if (!host || !qemu)
		return error_set(err, CLIENT_ERROR_STATUS,
		    "what came is not a certificate, with that of its CA behind it and nothing "
		    "else");
	if (!pki_matches(host, m->host_key, m->ca, PKI_HOST, site->uuid) ||
	    !pki_matches(qemu, m->qemu_key, m->ca, PKI_QEMU, site->uuid))
		return error_set(
		    err, CLIENT_ERROR_STATUS, "the certificates are not what was asked for");
	if (check_new(host, m->host_certificate, err) < 0 ||
	    check_new(qemu, m->host_certificate, err) < 0)
		return -1;
	str_set(&m->host_certificate, host);
	str_set(&m->qemu_certificate, qemu);
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

/* As virtxd, which warns of it. */
static bool
ends_soon(const struct cluster_material *m)
{
	int64_t ignored;

	return pki_end(m->host_certificate, &ignored) - now_ms() < SOON_MS;
}

/* Hosts have no key of a CA that is the site's own, and each of them lets others join. */
static bool
may_have_own_ca(const struct cluster_site *site)
{
	_free_ char *text = NULL, *key = NULL;
	struct error ignored;

	if (site->material.ca_key ||
	    cluster_fs_read(site->root, CLUSTER_VIRTXD_CONF, &text, NULL, &ignored) <= 0)
		return false;
	key = cluster_edit_get(text, "serf", "encrypt_key_file");
	return !str_empty(key);
}

/* What virtxd has read from the storage: from here on libvirt and QEMU refuse who was put out. */
static int
take_crl(const struct command_call *call, struct cluster_site *site, struct error *err)
{
	struct cluster_material *m = &site->material;
	_free_ char *text = NULL, *present = m->crl ? crl_take(m->crl, m->ca) : NULL;
	char *crl;
	int rc = cluster_fs_read(site->root, CLUSTER_CRL_NEW, &text, NULL, err);

	if (rc <= 0)
		return rc;
	crl = crl_take(text, m->ca);
	if (!crl)
		return error_set(err, CLIENT_ERROR_STATUS,
		    "'" CLUSTER_CRL_NEW "' is no CRL that the CA of '" CLUSTER_CA "' has signed");
	/* Whoever has kept one of before may have put it there, or it was left there. */
	if (crl_number(crl) < crl_number(present)) {
		fprintf(call->writer->out,
		    "'" CLUSTER_CRL_NEW "' is older than '" CLUSTER_CRL "', which stays.\n");
		free(crl);
		return cluster_fs_remove(site->root, CLUSTER_CRL_NEW, err);
	}
	free(m->crl);
	m->crl = crl;
	if (spread(call, site, true, err) < 0 ||
	    cluster_clients_drop(site, call->writer->out, err) < 0)
		return -1;
	return cluster_fs_remove(site->root, CLUSTER_CRL_NEW, err);
}

static int
renew(struct command_call *call, struct cluster_site *site, void *arg, struct error *err)
{
	const char *own = call->values[CLUSTER_OPTION_CERTIFICATES];
	const struct cluster_material *m = &site->material;
	struct cluster_note note;
	bool asks;

	if (cluster_plan_noted(site, &note, err) < 0)
		return -1;
	if (note.parts & PART_LEAVE)
		return error_set(err, CLIENT_ERROR_STATUS,
		    "this host has begun to leave its cluster: 'virtx cluster leave' goes on with "
		    "that; where it is to stay, 'virtx cluster init' or, with virtxd stopped, "
		    "'join' by a token for it alone makes it a host again");
	if (!m->ca || !m->host_key || !m->host_certificate || !m->qemu_key)
		return error_set(err, CLIENT_ERROR_STATUS,
		    "this host has no certificates of 'virtx cluster init' or 'join'");
	if (own)
		return use_own(call, site, own, err);
	if (take_crl(call, site, err) < 0)
		return -1;
	/* Those of one that stopped half-way are spread further. */
	asks = call->counts[OPTION_FORCE] || !cluster_material_lasts(m);
	if (asks && ask(call, site, err) < 0) {
		if (!may_have_own_ca(site))
			return -1;
		error_append(err,
		    "where the CA is your own, 'virtx cluster renew --certificates DIR' takes the "
		    "certificates that you have made");
		if (call->counts[OPTION_FORCE] || ends_soon(m))
			return -1;
		/* Nobody has to know of it each day for months. */
		fprintf(call->writer->out, "Not renewed: %s.\n", err->detail);
	}
	return spread(call, site, asks, err);
}

static enum command_result
cluster_renew(struct command_call *call, struct error *err)
{
	return cluster_setup_run(call, "", renew, NULL, err) < 0 ? COMMAND_FAILED : COMMAND_OK;
}

const struct command cluster_renew_command = {
	.words = "cluster renew",
	.options = cluster_renew_options,
	.summary = "Renew the certificates of this host when a third of their time is left",
	.help =
	    "As root, on the host; virtx-renew.timer does it each day. A host that has the CA's\n"
	    "key signs them. Those of your own CA are taken from a folder. virtx-renew.path does\n"
	    "it as well when a host was put out, which libvirt and QEMU refuse from then on.",
	.run = cluster_renew,
	.local = true,
};
