/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Commands of virtx cluster, run on a folder that stands for the root of a host. */
#ifndef TEST_UNIT_CLUSTER_VERB_H
#define TEST_UNIT_CLUSTER_VERB_H

#include "cluster_root.h"
#include "verb_fixture.h"

#define INIT "cluster init --address 192.0.2.1 --root "

static char *root;

static inline int
root_setup(void **state)
{
	return scratch_setup((void **)&root) < 0 ? -1 : verb_setup(state);
}

static inline int
root_teardown(void **state)
{
	return verb_teardown(state) < 0 ? -1 : scratch_teardown((void **)&root);
}

static inline void
root_init(struct verb_fixture *f, const char *more)
{
	_free_ char *line = xasprintf(INIT "%s %s", root, more);

	verb_ok(f, line);
}

static inline void
assert_file_says(const char *path, const char *words)
{
	_free_ char *text = root_get(root, path);

	assert_says(text, words);
}

static inline bool
root_has(const char *path)
{
	_free_ char *whole = xasprintf("%s%s", root, path);

	return access(whole, F_OK) == 0;
}

#endif
