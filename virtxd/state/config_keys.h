/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The keys of the configuration: one row for each, with its default, its range and its setter. */
#ifndef STATE_CONFIG_KEYS_H
#define STATE_CONFIG_KEYS_H

#include "state/config.h"

#define CONFIG_LISTEN_MAX   16
#define CONFIG_KEYS_MAX	    64
#define CONFIG_KEYS_NOWHERE SIZE_MAX /* the offset of a key that is more than one member */

/* Where values are stored, one after the other. */
struct config_target {
	struct config *config;		    /* borrowed */
	int line;			    /* of the value */
	int listen_line[CONFIG_LISTEN_MAX]; /* of each listener in config */
	bool default_listen; /* those in config are the defaults, which the first value replaces */
	char allowed[256];   /* what a setter returns may live here */
};

struct config_key {
	const char *section;
	const char *name;
	/* Stores a value; on failure returns what would have been allowed, else NULL. */
	const char *(*set)(
	    struct config_target *target, const struct config_key *key, const char *value);
	size_t offset; /* in struct config */
	int min, max;
	const char *value; /* the default; NULL for none */
};

/* The keys of a section stand together. */
extern const struct config_key config_keys[];
extern const size_t config_keys_n; /* CONFIG_KEYS_MAX at most */

/* Whether values must not be shown. */
bool config_key_is_secret(const struct config_key *key);
/* Whether each value adds to those before it. */
bool config_key_is_list(const struct config_key *key);

#endif
