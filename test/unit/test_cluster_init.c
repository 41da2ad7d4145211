/* SPDX-License-Identifier: GPL-2.0-or-later */
/* virtx cluster init on a folder that stands for the root of a host: how it is asked, and again. */
#include "verb_fixture.h"

#include <ftw.h>
#include <string.h>

#include "cluster_verb.h"
#include "proto/pki.h"
#include "virtx/cluster_edit.h"
#include "virtx/cluster_files.h"

#define INIT_TEST(function) cmocka_unit_test_setup_teardown(function, setup, root_teardown)

static void
run(struct verb_fixture *f, const char *more)
{
	root_init(f, more);
}

static bool at_terminal;
static unsigned int asked; /* of high availability */

bool __wrap_terminal_is_there(void);
bool __wrap_terminal_ask(const char *question);

bool
__wrap_terminal_is_there(void)
{
	return at_terminal;
}

bool
__wrap_terminal_ask(const char *question)
{
	asked += strstr(question, "host that dies") != NULL;
	return true;
}

static int
setup(void **state)
{
	at_terminal = false;
	asked = 0;
	return root_setup(state);
}

static unsigned int files;

static int
count(const char *path, const struct stat *status, int type, struct FTW *ftw)
{
	files++;
	return 0;
}

static unsigned int
count_files(void)
{
	files = 0;
	nftw(root, count, 16, FTW_PHYS);
	return files;
}

static void
test_dry_run(void **state)
{
	unsigned int before;

	root_make(root, true);
	before = count_files();
	run(*state, "--dry-run");
	assert_int_equal(count_files(), before);
	assert_says(((struct verb_fixture *)*state)->out, "/etc/virtx/virtxd.conf (a new file):\n");
	assert_says(((struct verb_fixture *)*state)->out, "    listen = 192.0.2.1:8080 tls auth\n");
	/* What it would make is in no output. */
	run(*state, "--yes");
	assert_null(strstr(((struct verb_fixture *)*state)->out, "PRIVATE"));
}

/* What is written for the first host would have one that has joined, and was given the CA's key,
 * forget the others. */
static void
test_has_joined(void **state)
{
	struct verb_fixture *f = *state;
	_free_ char *line = xasprintf(INIT "%s --yes", root);

	root_make(root, true);
	run(f, "--yes");
	run(f, "--yes");
	root_put(root, CLUSTER_SERF_CONF, "{\n    \"retry_join\": [\"192.0.2.2\"]\n}\n");
	verb_fails(f, line, COMMAND_FAILED, "this host has joined a cluster");
	assert_file_says(CLUSTER_SERF_CONF, "192.0.2.2");
}

/* Run again, nothing changes, and what somebody has changed meanwhile is all that is written. */
static void
test_again(void **state)
{
	struct verb_fixture *f = *state;
	_free_ char *ca = NULL, *again = NULL;
	unsigned int before;

	root_make(root, true);
	run(f, "--yes");
	ca = root_get(root, CLUSTER_CA);
	before = count_files();
	run(f, "--yes");
	assert_string_equal(f->out, "All files are as they are to be: nothing is written.\n");
	assert_int_equal(count_files(), before);
	again = root_get(root, CLUSTER_CA);
	assert_string_equal(again, ca);

	root_put(root, "/etc/sanlock/sanlock.conf", "our_host_name = other\n");
	run(f, "--yes");
	assert_says(f->out, "written: /etc/sanlock/sanlock.conf\n");
	assert_null(strstr(f->out, "written: /etc/virtx"));
	assert_says(f->out, "systemctl restart sanlock.service");
	assert_null(strstr(f->out, "restart virtxd"));
}

#define YES "[ha]\nenabled = yes\n"
#define NO  "[ha]\nenabled = no\n"

static void
assert_ha(const char *words)
{
	_free_ char *text = root_get(root, CLUSTER_VIRTXD_CONF);

	if (*words)
		assert_says(text, words);
	else
		assert_null(strstr(text, "enabled"));
}

/* Whether VMs of dead hosts are brought back: as an option says, or who is asked, and so it stays.
 */
static void
test_ha(void **state)
{
	struct verb_fixture *f = *state;
	_free_ char *line = xasprintf(INIT "%s", root);
	_free_ char *both = xasprintf(INIT "%s --yes --ha --no-ha", root);

	root_make(root, true);
	verb_fails(f, both, COMMAND_USAGE, "exclude each other");
	run(f, "--yes");
	assert_ha("");
	run(f, "--yes --ha");
	assert_ha(YES);
	assert_says(f->out, "systemctl restart virtxd.service");
	run(f, "--yes");
	assert_says(f->out, "nothing is written");
	run(f, "--yes --no-ha");
	assert_ha(NO);
	run(f, "--yes");
	assert_says(f->out, "nothing is written");
	/* Nobody is asked what was said once. */
	at_terminal = true;
	verb_ok(f, line);
	assert_int_equal(asked, 0);
}

static void
test_ha_asked(void **state)
{
	struct verb_fixture *f = *state;
	_free_ char *line = xasprintf(INIT "%s", root);

	root_make(root, true);
	at_terminal = true;
	run(f, "--dry-run");
	assert_int_equal(asked, 0);
	verb_ok(f, line);
	assert_int_equal(asked, 1);
	assert_ha(YES);
	verb_ok(f, line);
	assert_int_equal(asked, 1);
}

/* What the host says outside of the block stays there, until an option says something else. */
static void
test_ha_of_others(void **state)
{
	struct verb_fixture *f = *state;
	_free_ char *line = xasprintf(INIT "%s", root);

	root_make(root, true);
	root_put(root, CLUSTER_VIRTXD_CONF, YES);
	at_terminal = true;
	verb_ok(f, line);
	assert_int_equal(asked, 0);
	run(f, "--yes");
	assert_says(f->out, "nothing is written");
	run(f, "--yes --no-ha");
	assert_ha("[ha]\n" CLUSTER_EDIT_WAS "enabled = yes\n");
	assert_ha(NO);
}

/* What was to be restarted when it was interrupted, is so by the next. */
static void
test_interrupted(void **state)
{
	struct verb_fixture *f = *state;

	root_make(root, true);
	run(f, "--yes");
	root_put(root, "/etc/virtx/cluster-pending", "64\n");
	run(f, "--yes");
	assert_says(f->out, "systemctl restart virtxd.service");
	assert_null(strstr(f->out, "restart serf"));
	run(f, "--yes");
	assert_null(strstr(f->out, "restart"));
}

static void
check_uuid(struct verb_fixture *f, const char *uuid)
{
	_free_ char *certificate = NULL, *key = NULL, *ca = NULL;

	run(f, "--yes");
	certificate = root_get(root, CLUSTER_HOST_CERTIFICATE);
	key = root_get(root, CLUSTER_HOST_KEY);
	ca = root_get(root, CLUSTER_CA);
	assert_true(pki_matches(certificate, key, ca, PKI_HOST, uuid));
}

static void
test_uuid(void **state)
{
	struct verb_fixture *f = *state;
	_free_ char *conf = NULL, *after = NULL;

	root_make(root, true);
	check_uuid(f, BOARD);
	conf = root_get(root, "/etc/libvirt/libvirtd.conf");
	assert_null(strstr(conf, "host_uuid"));
	/* The certificate follows. */
	root_put(root, "/etc/libvirt/libvirtd.conf", "host_uuid = \"" HOST_UUID "\"\n");
	check_uuid(f, HOST_UUID);
	/* A board that has none: libvirt would make another at each start. */
	root_put(root, "/etc/libvirt/libvirtd.conf", "");
	root_put(root, "/sys/class/dmi/id/product_uuid", "00000000-0000-0000-0000-000000000000\n");
	run(f, "--yes");
	free(conf);
	conf = root_get(root, "/etc/libvirt/libvirtd.conf");
	assert_says(conf, "host_uuid = \"");
	run(f, "--yes");
	after = root_get(root, "/etc/libvirt/libvirtd.conf");
	assert_string_equal(conf, after);
}

static void
test_refused(void **state)
{
	static const char *const addresses[] = { "", "127.0.0.1", "0.0.0.0", "::1", "h1", "1.2.3",
		"fe80::1", "192.0.2.1:8080" };
	struct verb_fixture *f = *state;
	_free_ char *without = xasprintf("cluster init --root %s", root);
	_free_ char *unasked = xasprintf(INIT "%s", root);

	root_make(root, true);
	verb_fails(f, without, COMMAND_USAGE, "--address is needed");
	for (size_t i = 0; i < ARRAY_SIZE(addresses); i++) {
		_free_ char *line =
		    xasprintf("cluster init --yes --root %s --address=%s", root, addresses[i]);

		if (*addresses[i])
			verb_fails(f, line, COMMAND_FAILED, "is no IP address of this host");
	}
	verb_fails(f, INIT "relative --yes", COMMAND_FAILED, "absolute");
	root_put(root, "/etc/passwd", "root:x:0:0::/:/bin/sh\n");
	verb_fails(f, unasked, COMMAND_FAILED, "libvirt-qemu");
}

/* It has joined a cluster, whose CA is elsewhere. */
static void
test_joined(void **state)
{
	struct verb_fixture *f = *state;
	_free_ char *line = xasprintf(INIT "%s --yes", root);
	_free_ char *path = xasprintf("%s" CLUSTER_CA_KEY, root);

	root_make(root, true);
	run(f, "--yes");
	assert_int_equal(unlink(path), 0);
	verb_fails(f, line, COMMAND_FAILED, "has its key elsewhere");
}

/* That files are missing is noted until the last one is written. */
static void
test_files_noted(void **state)
{
	static const char note[] = "/etc/virtx/cluster-pending";
	struct verb_fixture *f = *state;
	_free_ char *in_the_way = xasprintf("%s/etc/serf/virtx.json.virtx-new", root);
	_free_ char *line = xasprintf(INIT "%s --yes", root);
	_free_ char *text = NULL;

	root_make(root, true);
	root_put(root, "/etc/serf/virtx.json.virtx-new/file", "");
	verb_fails(f, line, COMMAND_FAILED, "not written: '/etc/serf/virtx.json'");
	text = root_get(root, note);
	assert_true(strtoul(text, NULL, 10) & PART_FILES);
	assert_says(text, " 179\n");
	/* Then nothing is missing. */
	assert_int_equal(nftw(in_the_way, scratch_unlink, 16, FTW_DEPTH | FTW_PHYS), 0);
	run(f, "--yes");
	assert_false(root_has(note));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		INIT_TEST(test_dry_run),
		INIT_TEST(test_has_joined),
		INIT_TEST(test_again),
		INIT_TEST(test_ha),
		INIT_TEST(test_ha_asked),
		INIT_TEST(test_ha_of_others),
		INIT_TEST(test_interrupted),
		INIT_TEST(test_uuid),
		INIT_TEST(test_refused),
		INIT_TEST(test_joined),
		INIT_TEST(test_files_noted),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
