/* SPDX-License-Identifier: GPL-2.0-or-later */
/* virtx cluster join, on a folder that stands for the root of a host. */
#include "verb_fixture.h"

#include <netinet/in.h>
#include <string.h>
#include <sys/file.h>

#include "cluster_verb.h"
#include "proto/cluster.h"
#include "virtx/cluster_files.h"

#define NOTE   "/etc/virtx/cluster-pending"
#define SECRET "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

/* A host that has joined: all that the CA's own host has but for the key. */
static void
make_member(struct verb_fixture *f)
{
	_free_ char *key = xasprintf("%s" CLUSTER_CA_KEY, root);

	root_make(root, true);
	root_init(f, "--yes");
	assert_int_equal(unlink(key), 0);
}

static void
note(unsigned int parts, unsigned int gid)
{
	_free_ char *text = xasprintf("%u %u\n", parts, gid);

	root_put(root, NOTE, text);
}

/* One that nobody listens on, as long as the test runs. */
static uint16_t
closed_port(void)
{
	struct sockaddr_in in = { .sin_family = AF_INET };
	socklen_t len = sizeof(in);
	static int fd = -1;

	if (fd < 0) {
		fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
		in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
		assert_int_equal(bind(fd, (struct sockaddr *)&in, sizeof(in)), 0);
	}
	assert_int_equal(getsockname(fd, (struct sockaddr *)&in, &len), 0);
	return ntohs(in.sin_port);
}

/* A token of the CA's, which is used up: the host that it names is not there. */
static void
take_token(struct verb_fixture *f)
{
	_free_ char *ca = root_get(root, CLUSTER_CA);
	char print[PKI_FINGERPRINT_SIZE];
	_free_ char *text = NULL;

	assert_int_equal(pki_fingerprint(ca, print, &f->err), 0);
	text = xasprintf("virtx-join/127.0.0.1:%u/%s/" SECRET "\n", closed_port(), print);
	verb_file(f, text);
}

static char *
join_line(const char *more)
{
	return xasprintf("cluster join FILE --address 192.0.2.1 --root %s %s", root, more);
}

static void
test_member(void **state)
{
	struct verb_fixture *f = *state;
	_free_ char *line = join_line("--yes");

	make_member(f);
	take_token(f);
	verb_ok(f, line);
	assert_string_equal(f->out, "This host is of this cluster already.\n");
}

/* All is written, and something could not be restarted: that is all that is done, with the number
 * of the group that the cluster has told. */
static void
test_goes_on(void **state)
{
	struct verb_fixture *f = *state;
	_free_ char *line = join_line("--yes"), *shown = join_line("--dry-run");

	make_member(f);
	note(PART_SANLOCK | PART_VIRTXD, 444);
	take_token(f);
	verb_ok(f, shown);
	assert_null(strstr(f->out, "systemctl"));
	assert_true(root_has(NOTE));

	take_token(f);
	verb_ok(f, line);
	assert_says(f->out, "groupmod -g 444 sanlock\n");
	assert_says(f->out, "systemctl restart virtxd.service");
	assert_null(strstr(f->out, "serf"));
	assert_false(root_has(NOTE));
	take_token(f);
	verb_ok(f, line);
	assert_says(f->out, "of this cluster already");
}

/* Where files are missing the cluster has to be asked. */
static void
test_files_left(void **state)
{
	struct verb_fixture *f = *state;
	_free_ char *line = join_line("--yes");

	make_member(f);
	note(PART_FILES | PART_VIRTXD, 0);
	take_token(f);
	verb_fails(f, line, COMMAND_FAILED, "cannot connect to 127.0.0.1");
	assert_null(strstr(f->out, "restart"));
	assert_file_says(NOTE, "320 0\n");
}

/* Others would read it there. */
static void
test_argument(void **state)
{
	struct verb_fixture *f = *state;
	_free_ char *ca = NULL, *line = NULL;
	char print[PKI_FINGERPRINT_SIZE];

	make_member(f);
	ca = root_get(root, CLUSTER_CA);
	assert_int_equal(pki_fingerprint(ca, print, &f->err), 0);
	line = xasprintf("cluster join virtx-join/127.0.0.1:%u/%s/" SECRET
			 " --address 192.0.2.1 --yes --root %s",
	    f->port, print, root);
	verb_fails(f, line, COMMAND_USAGE, "not from the command line");
	assert_null(strstr(f->err.detail, SECRET));
}

/* Two at once would take each other's files. */
static void
test_locked(void **state)
{
	struct verb_fixture *f = *state;
	_free_ char *path = xasprintf("%s/etc/virtx/cluster.lock", root);
	_free_ char *joins = join_line("--yes"), *shows = join_line("--dry-run");
	_free_ char *renews = xasprintf("cluster renew --root %s", root);
	_free_ char *inits = xasprintf(INIT "%s --yes", root);
	_close_ int fd = -1;
	struct stat status;

	make_member(f);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	assert_int_equal(fstat(fd, &status), 0);
	assert_int_equal(status.st_mode & 07777, 0600);
	assert_int_equal(flock(fd, LOCK_EX | LOCK_NB), 0);
	take_token(f);
	verb_fails(f, joins, COMMAND_FAILED, "another 'virtx cluster' is at work");
	take_token(f);
	verb_ok(f, shows);
	verb_fails(f, renews, COMMAND_FAILED, "another 'virtx cluster' is at work");
	verb_fails(f, inits, COMMAND_FAILED, "another 'virtx cluster' is at work");
	assert_int_equal(flock(fd, LOCK_UN), 0);
	verb_ok(f, renews);
	/* Nothing is held any more. */
	assert_int_equal(flock(fd, LOCK_EX | LOCK_NB), 0);
}

#define JOIN_TEST(function) cmocka_unit_test_setup_teardown(function, root_setup, root_teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		JOIN_TEST(test_member),
		JOIN_TEST(test_goes_on),
		JOIN_TEST(test_files_left),
		JOIN_TEST(test_argument),
		JOIN_TEST(test_locked),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
