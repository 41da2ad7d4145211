/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The VMs, hosts and operations that a server knows, each with its id and what people call it. */
#ifndef VIRTX_KNOWN_H
#define VIRTX_KNOWN_H

#include "virtx/client.h"

/* Neither is NULL. */
struct known {
	char *id;
	char *name;
	const char *already; /* of several: why there is nothing to be done; NULL else */
};

/* Zero-initialise it. */
struct known_list {
	struct known *items;
	size_t n;
};
void known_clear(struct known_list *known);
#define _known_ __attribute__((cleanup(known_clear)))

/* Asks for one kind and adds what the answer has: of those with names only the ones that have name
 * in it, "" for all. -1 with the client's error. */
typedef int (*known_ask)(
    const struct client *client, const char *name, struct known_list *known, struct error *err);
int known_vms(
    const struct client *client, const char *name, struct known_list *known, struct error *err);
int known_hosts(
    const struct client *client, const char *name, struct known_list *known, struct error *err);
/* They have no names: each is called by what it does, and how it stands. */
int known_operations(
    const struct client *client, const char *name, struct known_list *known, struct error *err);

#endif
