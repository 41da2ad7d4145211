/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Setting a host up: what init and join have in common. */
#ifndef VIRTX_CLUSTER_SETUP_H
#define VIRTX_CLUSTER_SETUP_H

#include "virtx/cluster_plan.h"
#include "virtx/command.h"

enum {
	CLUSTER_OPTION_ROOT = 20,
	CLUSTER_OPTION_DRY_RUN,
	CLUSTER_OPTION_CA,
	CLUSTER_OPTION_CERTIFICATES,
};

/* With virtx/cluster_own.h. */
#define CLUSTER_CERTIFICATES_OPTION                                                            \
	{                                                                                      \
		CLUSTER_OPTION_CERTIFICATES, "certificates", ARG_TEXT("DIR"), CLUSTER_OWN_HELP \
	}

#define CLUSTER_SETUP_OPTIONS                                                           \
	{ CLUSTER_OPTION_DRY_RUN, "dry-run", NULL, "only show what would be written" }, \
	    { 'y', "yes", NULL, "do not ask" },                                         \
	{                                                                               \
		CLUSTER_OPTION_ROOT, "root", ARG_TEXT("DIR"),                           \
		    "write to a folder instead, as a host's root, and restart nothing"  \
	}

#define CLUSTER_CA_QUERY "ca=true" /* of tokens, and of who joins by one */
#define CLUSTER_READY_S	 300	   /* until a host that was set up has to be ready */

/* What a command does with a host's files: 0 or more, or -1 with err. */
typedef int (*cluster_work)(
    struct command_call *call, struct cluster_site *site, void *arg, struct error *err);

/* Does the work where the caller may write a host's files, with what is there loaded; keeps others
 * off meanwhile who write the same ones, but where the work only shows. address: by which the
 * others know this host, "" where that does not change. Returns what the work does. */
int cluster_setup_run(struct command_call *call, const char *address, cluster_work work, void *arg,
    struct error *err);
/* What is there already, and whether somebody wants what is not: 1 to go on, 0 not to, -1 with
 * err. */
int cluster_setup_ask(
    const struct command_call *call, const struct cluster_site *site, struct error *err);
/* Whether the user says yes to the question: 1, 0, or -1 where nobody can be asked. */
int cluster_setup_ask_user(
    const struct command_call *call, const char *question, struct error *err);
/* Writes what is missing and restarts what reads it. */
int cluster_setup_write(
    const struct command_call *call, const struct cluster_site *site, struct error *err);
/* Does what the plan says, and clears it. */
int cluster_setup_write_plan(const struct command_call *call, const struct cluster_site *site,
    struct cluster_plan *plan, struct error *err);
/* Goes on where all is written: does the parts that were left, when somebody wants that. As
 * cluster_setup_ask. */
int cluster_setup_go_on(const struct command_call *call, const struct cluster_site *site,
    unsigned int parts, struct error *err);
/* The client of this host's own virtxd, whatever server the user has chosen; the caller clears the
 * server. */
struct client cluster_setup_own_client(const struct command_call *call, struct server *server);
/* Waits until virtxd says that the host is ready, or -1 with what is missing; makes the storage
 * where new_storage is set and there is none. */
int cluster_setup_wait(const struct command_call *call, bool new_storage, struct error *err);

#endif
