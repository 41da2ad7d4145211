/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "virtx/cluster_check.h"

#include <string.h>

#include "virtx/client.h"
#include "virtx/cluster_units.h"

#define ASK_S 10 /* for the answer of sanlock */

/* As "s NAME:ID:PATH:OFFSET" tells, in a line of its own. */
static bool
names_lockspace(const char *text)
{
	return strncmp(text, "s ", 2) == 0 || strstr(text, "\ns ");
}

/* A host in a lockspace has its watchdog armed: neither wdmd nor sanlock ends then. */
static int
check_lockspace(const struct cluster_site *site, struct error *err)
{
	static const char *const gets[] = { "sanlock", "client", "gets", NULL };
	_free_ char *text = NULL;
	struct error ignored;

	/* It does not answer where it does not run. */
	if (cluster_units_read(gets, ASK_S, &text, &ignored) < 0 || !names_lockspace(text))
		return 0;
	return error_set(err, CLIENT_ERROR_STATUS,
	    "this host is in a lockspace of sanlock, which has to be restarted, and cannot be as "
	    "long; nothing was written. 'virtx maintain host %s --wait' moves its VMs away, "
	    "'systemctl stop virtx-lockspace' then leaves the lockspace; after that, this command "
	    "again, and 'virtx maintain host %s --end'",
	    site->uuid, site->uuid);
}

int
cluster_check(const struct cluster_site *site, unsigned int parts, struct error *err)
{
	if (*site->root_path)
		return 0;
	return parts & (PART_WDMD | PART_SANLOCK) ? check_lockspace(site, err) : 0;
}
