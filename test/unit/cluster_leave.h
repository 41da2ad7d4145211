/* SPDX-License-Identifier: GPL-2.0-or-later */
/* virtx cluster leave, run on a folder that stands for the root of a host, whose own virtxd is the
 * fixture's server. */
#ifndef TEST_UNIT_CLUSTER_LEAVE_H
#define TEST_UNIT_CLUSTER_LEAVE_H

#include <ftw.h>
#include <string.h>

#include "cluster_root.h"
#include "verb_fixture.h"
#include "virtx/cluster_files.h"
#include "virtx/cluster_setup.h"

#define JSON	   "Content-Type: application/json\r\n"
#define READY	   "{\"ready\":true}"
#define NO_VMS	   "{\"items\":[]}"
#define ONE_VM	   "{\"items\":[{\"uuid\":\"" VM_UUID "\",\"fields\":{\"name\":\"web\"}}]}"
#define MAINTAINED "{\"since\":1,\"leaving\":false}"
#define PENDING	   "/etc/virtx/cluster-pending"
#define LOCK	   "/etc/virtx/cluster.lock"

static char *root;
static const char *own_socket; /* of virtxd of the host; NULL: the fixture's server */

struct client __wrap_cluster_setup_own_client(
    const struct command_call *call, struct server *server);

struct client
__wrap_cluster_setup_own_client(const struct command_call *call, struct server *server)
{
	struct client client = *call->client;

	client.server.socket = (char *)own_socket;
	return client;
}

static inline int
setup(void **state)
{
	own_socket = NULL;
	return scratch_setup((void **)&root) < 0 ? -1 : verb_setup(state);
}

static inline int
teardown(void **state)
{
	return verb_teardown(state) < 0 ? -1 : scratch_teardown((void **)&root);
}

#define LEAVE_TEST(function) cmocka_unit_test_setup_teardown(function, setup, teardown)

static inline char *
line(const char *command)
{
	return xasprintf("cluster %s --root %s", command, root);
}

static inline void
run(struct verb_fixture *f, const char *command)
{
	_free_ char *text = line(command);

	verb_ok(f, text);
}

static inline void
fails(struct verb_fixture *f, const char *command, const char *words)
{
	_free_ char *text = line(command);

	verb_fails(f, text, COMMAND_FAILED, words);
}

/* What the host says, each time that it is asked. */
static inline void
answer_maintenance(
    struct verb_fixture *f, const char *ready, const char *vms, const char *maintenance)
{
	verb_forget(f);
	for (int i = 0; i < 2; i++) {
		verb_answer(f, 200, JSON, ready);
		verb_answer(f, 200, JSON, vms);
		verb_answer(f, 200, JSON, maintenance);
	}
}

static inline void
answer(struct verb_fixture *f, const char *ready, const char *vms)
{
	answer_maintenance(f, ready, vms, MAINTAINED);
}

/* The names of all files, in no order, but for the one that keeps others off. */
static struct buffer tree;
static unsigned int files;

static inline int
look(const char *path, const struct stat *status, int type, struct FTW *ftw)
{
	if (!S_ISREG(status->st_mode) || strcmp(path + strlen(root), LOCK) == 0)
		return 0;
	files++;
	buffer_printf(&tree, "%s\n", path + strlen(root));
	return 0;
}

static inline unsigned int
count_files(void)
{
	files = 0;
	buffer_clear(&tree);
	nftw(root, look, 16, FTW_PHYS);
	return files;
}

static inline bool
is_there(const char *path)
{
	_free_ char *whole = xasprintf("%s%s", root, path);

	return access(whole, F_OK) == 0;
}

static inline void
assert_same(const char *path, const char *text)
{
	_free_ char *now = root_get(root, path);

	assert_string_equal(now, text);
}

#endif
