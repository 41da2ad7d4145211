/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "work/cpu_model.h"

#include <string.h>
#include <sys/utsname.h>

#include "proto/vmdef.h"
#include "work/hypervisor.h"

#define NAMES_MAX 1600 /* bytes of names in an answer */

static void
free_names(char **names, int n)
{
	for (int i = 0; i < n; i++)
		free(names[i]);
	free(names);
}

static bool
has_name(char **names, int n, const char *name)
{
	for (int i = 0; i < n; i++) {
		if (strcmp(names[i], name) == 0)
			return true;
	}
	return false;
}

static int
refuse(const char *host, const char *name, char **names, int n, struct error *err)
{
	_buffer_ struct buffer known = { 0 };
	int i;

	for (i = 0; i < n && known.len < NAMES_MAX; i++)
		buffer_printf(&known, ", %s", names[i]);
	if (i < n)
		buffer_printf(&known, ", and %d more", n - i);
	return error_set(err, 422,
	    "host '%s' knows no CPU model '%s', but host-passthrough, host-model, maximum%s", host,
	    name, known.data);
}

int
cpu_model_check(virConnectPtr conn, const char *host, const struct vmdef *def,
    const struct vmdef *old, struct error *err)
{
	const char *name = def->cpudef.model;
	struct utsname machine;
	char **names = NULL;
	int n, r = 0;

	if (str_empty(name) || !vmdef_names_model(def) ||
	    (old && str_equal(name, old->cpudef.model)))
		return 0;
	/* A VM is of the architecture of its host. */
	uname(&machine);
	n = virConnectGetCPUModelNames(conn, machine.machine, &names, 0);
	if (n < 0)
		return hypervisor_error(
		    err, 424, "cannot read the CPU models that host '%s' knows", host);
	/* Of an architecture without a list libvirt takes any. */
	if (n > 0 && !has_name(names, n, name))
		r = refuse(host, name, names, n, err);
	free_names(names, n);
	return r;
}

/* What follows the last colon. */
static const char *
find_list(const char *words)
{
	const char *colon = strrchr(words, ':');

	return colon ? colon + 1 : words;
}

static bool
has_item(const char *list, const char *item, size_t len)
{
	while (*list) {
		list += strspn(list, ", ");
		if (strcspn(list, ", ") == len && strncmp(list, item, len) == 0)
			return true;
		list += strcspn(list, ", ");
	}
	return false;
}

bool
cpu_model_lacks_more(const char *there, const char *here)
{
	const char *list = find_list(here);

	for (const char *item = find_list(there); *(item += strspn(item, ", "));) {
		size_t len = strcspn(item, ", ");

		if (!has_item(list, item, len))
			return true;
		item += len;
	}
	return false;
}
