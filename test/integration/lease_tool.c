/* SPDX-License-Identifier: GPL-2.0-or-later */
/* disk/lease.h from the command line, for test_lease.py: VERB ROOT [ARGUMENT...]. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "disk/lease.h"

static int
create(const char *root, char **args, struct error *err)
{
	return lease_create(root, args[0], args[1], err);
}

static int
owner(const char *root, char **args, struct error *err)
{
	char uuid[37];

	if (lease_owner(root, args[0], uuid, err) < 0)
		return -1;
	puts(uuid);
	return 0;
}

/* Says that it holds the lease, and holds it until stdin ends. */
static int
hold(const char *root, char **args, struct error *err)
{
	struct lease lease = LEASE_INIT;
	char c;

	if (lease_acquire(root, args[0], args[1], &lease, err) < 0)
		return -1;
	puts("held");
	fflush(stdout);
	while (read(STDIN_FILENO, &c, 1) > 0)
		;
	lease_release(&lease);
	return 0;
}

static int delete (const char *root, char **args, struct error *err)
{
	struct lease lease = LEASE_INIT;

	if (lease_acquire(root, args[0], args[1], &lease, err) < 0)
		return -1;
	if (lease_delete(root, &lease, err) == 0)
		return 0;
	lease_release(&lease);
	return -1;
}

static int
undo(const char *root, char **args, struct error *err)
{
	return lease_undo(root, args[0], args[1], err);
}

static int
list(const char *root, char **args, struct error *err)
{
	_free_ char(*names)[LEASE_NAME_SIZE] = NULL;
	size_t n;

	if (lease_list(root, &names, &n, err) < 0)
		return -1;
	for (size_t i = 0; i < n; i++)
		puts(names[i]);
	return 0;
}

/* Makes the lockspace where there is none, joins it, and says with which host_id. */
static int
join(const char *root, char **args, struct error *err)
{
	int io_timeout = atoi(args[1]), id;

	if (lockspace_create(root, io_timeout, err) < 0 ||
	    lockspace_join(root, atoi(args[0]), io_timeout, &id, err) < 0)
		return -1;
	printf("%d\n", id);
	return 0;
}

static int
state(const char *root, char **args, struct error *err)
{
	static const char *const words[] = {
		[LOCKSPACE_JOINED] = "joined",
		[LOCKSPACE_JOINING] = "joining",
		[LOCKSPACE_LOST] = "lost",
		[LOCKSPACE_ABSENT] = "absent",
	};
	enum lockspace_state is;
	int id = 0;

	if (lockspace_state(root, &is, &id, err) < 0)
		return -1;
	printf("%s %d\n", words[is], id);
	return 0;
}

static const struct {
	const char *name;
	int n_args;
	int (*run)(const char *root, char **args, struct error *err);
} verbs[] = {
	{ "create", 2, create }, /* NAME UUID */
	{ "owner", 1, owner },	 /* NAME */
	{ "hold", 2, hold },	 /* NAME UUID */
	{ "delete", 2, delete }, /* NAME UUID */
	{ "undo", 2, undo },	 /* NAME UUID */
	{ "list", 0, list },
	{ "join", 2, join }, /* HOST_ID IO_TIMEOUT */
	{ "state", 0, state },
};

int
main(int argc, char **argv)
{
	struct error err = { 0 };

	for (size_t i = 0; argc >= 3 && i < ARRAY_SIZE(verbs); i++) {
		if (strcmp(argv[1], verbs[i].name) != 0 || argc - 3 != verbs[i].n_args)
			continue;
		if (verbs[i].run(argv[2], argv + 3, &err) == 0)
			return 0;
		fprintf(stderr, "%d %s\n", err.status, err.detail);
		return 1;
	}
	fprintf(stderr, "usage: lease_tool VERB ROOT [ARGUMENT...]\n");
	return 2;
}
