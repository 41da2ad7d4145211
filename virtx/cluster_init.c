/* SPDX-License-Identifier: GPL-2.0-or-later */
/* virtx cluster init. */
#include <stdio.h>
#include <string.h>

#include "virtx/cluster_fs.h"
#include "virtx/cluster_own.h"
#include "virtx/cluster_setup.h"
#include "virtx/terminal.h"
#include "virtx/verbs.h"

#define OPTION_ADDRESS 'a'

enum { OPTION_HA = CLUSTER_OPTION_CERTIFICATES + 1, OPTION_NO_HA };

static const struct option_row cluster_init_options[] = {
	{ OPTION_ADDRESS, "address", ARG_TEXT("ADDR"),
	    "the address of this host at which other hosts reach it" },
	{ OPTION_HA, "ha", NULL,
	    "bring VMs of a host that dies back on the others; who joins does so, too" },
	{ OPTION_NO_HA, "no-ha", NULL, "do not" },
	CLUSTER_CERTIFICATES_OPTION,
	CLUSTER_SETUP_OPTIONS,
	{ 0 },
};

/* One that has joined may have the CA's key, too; what is written here is for the first host, which
 * is told of no others. */
static int
check_first(const struct cluster_site *site, bool own, struct error *err)
{
	char *serf = NULL;
	int rc;

	if (!site->material.ca_key && !own)
		return 0;
	rc = cluster_fs_read(site->root, CLUSTER_SERF_CONF, &serf, NULL, err);
	if (rc > 0 && strstr(serf, "\"retry_join\": [\""))
		rc = error_set(err, CLIENT_ERROR_STATUS,
		    "this host has joined a cluster: '" CLUSTER_SERF_CONF
		    "' tells serf of other hosts of it");
	pki_wipe(serf);
	return rc < 0 ? -1 : 0;
}

static int
use_own(const struct command_call *call, struct cluster_site *site, const char *folder,
    struct error *err)
{
	if (cluster_own_load(site, folder, NULL, err) < 0)
		return -1;
	cluster_material_serf(&site->material);
	fprintf(call->writer->out,
	    "The CA is your own: no host signs certificates for others or for users, and none is "
	    "renewed by itself. Each host joins, and renews, with --certificates.\n");
	return 0;
}

/* Who is at a terminal is asked, once for a host. */
static void
choose_ha(const struct command_call *call, struct cluster_site *site)
{
	if (call->counts[OPTION_HA])
		site->ha = CLUSTER_HA_YES;
	else if (call->counts[OPTION_NO_HA])
		site->ha = CLUSTER_HA_NO;
	else if (!site->ha_known && !call->counts['y'] && !call->counts[CLUSTER_OPTION_DRY_RUN] &&
		 terminal_is_there())
		site->ha = terminal_ask("Are VMs of a host that dies to be brought back on the "
					"others (\"High availability\" in virtxd(8))?")
			       ? CLUSTER_HA_YES
			       : CLUSTER_HA_NO;
}

/* All but the start. */
static int
set_up(struct command_call *call, struct cluster_site *site, void *arg, struct error *err)
{
	const char *own = call->values[CLUSTER_OPTION_CERTIFICATES];
	int rc;

	if (check_first(site, own, err) < 0 ||
	    (own ? use_own(call, site, own, err) : cluster_material_make(site, err)) < 0)
		return -1;
	choose_ha(call, site);
	rc = cluster_setup_ask(call, site, err);
	if (rc <= 0)
		return rc;
	if (cluster_setup_write(call, site, err) < 0)
		return -1;
	if (*site->root_path)
		return 0;
	return cluster_setup_wait(call, true, err);
}

static enum command_result
cluster_init(struct command_call *call, struct error *err)
{
	const char *address = call->values[OPTION_ADDRESS];

	if (!address) {
		error_set(err, CLIENT_ERROR_STATUS, "--address is needed");
		return COMMAND_USAGE;
	}
	if (call->counts[OPTION_HA] && call->counts[OPTION_NO_HA]) {
		error_set(err, CLIENT_ERROR_STATUS, "--ha and --no-ha exclude each other");
		return COMMAND_USAGE;
	}
	return cluster_setup_run(call, address, set_up, NULL, err) < 0 ? COMMAND_FAILED
								       : COMMAND_OK;
}

const struct command cluster_init_command = {
	.words = "cluster init",
	.options = cluster_init_options,
	.summary = "Make this host the first one of a cluster",
	.help = "As root, on the host. It makes a CA, and writes what virtxd, libvirt, QEMU,\n"
		"sanlock and serf read, restarts them, makes the storage if there is none, and\n"
		"waits until the host is ready. What was there before stays beside each file as\n"
		"FILE.virtx-old. Where all is as it is to be, nothing is changed.",
	.examples = "virtx cluster init --address 192.0.2.1 --dry-run\n"
		    "virtx cluster init --address 192.0.2.1 --ha --yes\n",
	.run = cluster_init,
	.local = true,
};
