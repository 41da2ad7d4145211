/* SPDX-License-Identifier: GPL-2.0-or-later */
/* virtx cluster join, on a folder that stands for the root of a host. */
#include "verb_fixture.h"

#include <netinet/in.h>
#include <string.h>
#include <sys/file.h>

#include "cluster_verb.h"
#include "proto/ca_key.h"
#include "proto/cluster.h"
#include "proto/json.h"
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

/* A host of the cluster that is to have the CA's key has to ask for that alone. */
static void
test_ca_key(void **state)
{
	struct verb_fixture *f = *state;
	_free_ char *line = join_line("--ca --yes"), *shown = join_line("--ca --dry-run");

	make_member(f);
	take_token(f);
	verb_ok(f, shown);
	assert_says(f->out, CLUSTER_CA_KEY " (mode 0600):\n    (secret)\n");
	assert_null(strstr(f->out, "/etc/serf"));
	take_token(f);
	verb_fails(f, line, COMMAND_FAILED, "cannot connect to 127.0.0.1");
	assert_false(root_has(CLUSTER_CA_KEY));
	/* Where it has it, there is nothing to ask for. */
	root_put(root, CLUSTER_CA_KEY, "a key\n");
	take_token(f);
	verb_ok(f, line);
	assert_says(f->out, "of this cluster already");
}

/* Who answers with what the cluster has told this host before, and with the CA's key as it is
 * sealed here ("" for not). */
/* The host that is asked has a certificate for the address that the token names. */
static void
make_server(const char *ca_key)
{
	static const char *const names[] = { "127.0.0.1" };
	_free_ char *ca = root_get(root, CLUSTER_CA), *request = NULL, *certificate = NULL;
	_free_ char *chain = NULL;
	char *key = pki_key_new();
	struct error err = { 0 };

	request = pki_request_new(key, names, ARRAY_SIZE(names), &err);
	certificate = pki_sign(ca, ca_key, request, PKI_HOST, BOARD, 100, &err);
	assert_non_null(certificate);
	chain = xasprintf("%s%s", certificate, ca);
	root_put(root, "/server.pem", chain);
	root_put(root, "/server.key", key);
	pki_wipe(key);
}

static void
answer_member(struct verb_fixture *f, const char *sealed)
{
	_free_ char *certificate = xasprintf("%s/server.pem", root);
	_free_ char *key = xasprintf("%s/server.key", root);
	_free_ char *body = NULL;
	struct cluster_member member = {
		.certificate = root_get(root, CLUSTER_HOST_CERTIFICATE),
		.qemu_certificate = root_get(root, CLUSTER_QEMU_CERTIFICATE),
		.ca = root_get(root, CLUSTER_CA),
		.serf_key = root_get(root, CLUSTER_SERF_ENCRYPT),
		.addresses = xstrdup("192.0.2.9"),
		.number = 5,
		.sanlock_group = 179,
		.io_timeout = 10,
		.storage_root = xstrdup("/vms"),
		.ha = true,
		.ca_key = xstrdup(sealed),
	};

	member.serf_key[strcspn(member.serf_key, "\n")] = '\0';
	body = json_encode(&cluster_member_model, &member, NULL);
	verb_use_tls(f, certificate, key, NULL);
	verb_answer_json(f, body);
	model_clear(&cluster_member_model, &member);
}

static void
take_token_of_server(struct verb_fixture *f)
{
	_free_ char *ca = root_get(root, CLUSTER_CA), *text = NULL;
	char print[PKI_FINGERPRINT_SIZE];

	assert_int_equal(pki_fingerprint(ca, print, &f->err), 0);
	text = xasprintf("virtx-join/127.0.0.1:%u/%s/" SECRET "\n", f->port, print);
	verb_file(f, text);
}

static void
drop_line(const char *path, const char *begin)
{
	_free_ char *text = root_get(root, path);
	char *line = strstr(text, begin), *end = line ? strchr(line, '\n') : NULL;

	assert_non_null(end);
	memmove(line, end + 1, strlen(end));
	root_put(root, path, text);
}

/* It takes the key that is sealed for it and of its CA, tells virtxd, and leaves all else alone. */
static void
test_takes_ca_key(void **state)
{
	struct verb_fixture *f = *state;
	_free_ char *line = join_line("--ca --yes"), *path = xasprintf("%s" CLUSTER_CA_KEY, root);
	_free_ char *key = NULL, *certificate = NULL, *sealed = NULL, *serf = NULL, *wrong = NULL;
	_free_ char *got = NULL, *serf_now = NULL;
	struct stat status;

	root_make(root, true);
	root_init(f, "--yes");
	key = root_get(root, CLUSTER_CA_KEY);
	make_server(key);
	certificate = root_get(root, CLUSTER_HOST_CERTIFICATE);
	serf = root_get(root, CLUSTER_SERF_CONF);
	make_member(f);
	drop_line(CLUSTER_VIRTXD_CONF, "ca_key = ");
	sealed = ca_key_seal(key, certificate, &f->err);
	wrong = ca_key_seal("another", certificate, &f->err);

	answer_member(f, "");
	take_token_of_server(f);
	verb_fails(f, line, COMMAND_FAILED, "was not sealed for this host");
	answer_member(f, wrong);
	take_token_of_server(f);
	verb_fails(f, line, COMMAND_FAILED, "is not that of the CA");
	assert_false(root_has(CLUSTER_CA_KEY));
	assert_false(root_has(NOTE));

	answer_member(f, sealed);
	take_token_of_server(f);
	verb_ok(f, line);
	verb_asked(f, f->n_requests - 1, "POST /cluster/join?ca=true", BOARD);
	assert_says(f->out, "written: " CLUSTER_CA_KEY "\nwritten: " CLUSTER_VIRTXD_CONF "\n");
	assert_says(f->out, "systemctl restart virtxd.service");
	assert_null(strstr(f->out, "PRIVATE"));
	got = root_get(root, CLUSTER_CA_KEY);
	assert_string_equal(got, key);
	assert_int_equal(stat(path, &status), 0);
	assert_int_equal(status.st_mode & 07777, 0600);
	assert_file_says(CLUSTER_VIRTXD_CONF, "ca_key = " CLUSTER_CA_KEY "\n");
	/* As the host has it that has answered. */
	assert_file_says(CLUSTER_VIRTXD_CONF, "[ha]\nenabled = yes\n");
	serf_now = root_get(root, CLUSTER_SERF_CONF);
	assert_string_equal(serf_now, serf);
	assert_file_says("/etc/libvirt/qemu-sanlock.conf", "host_id = 1\n");
	/* Once more: it has it. */
	take_token_of_server(f);
	verb_ok(f, line);
	assert_says(f->out, "of this cluster already");
}

static void
test_ca_token(void **state)
{
	struct verb_fixture *f = *state;

	verb_answer_json(
	    f, "{\"addresses\":\"192.0.2.1:8080\",\"fingerprint\":\"ab\",\"secret\":\"s\"}");
	verb_ok(f, "cluster token");
	assert_string_equal(f->out, "virtx-join/192.0.2.1:8080/ab/s\n");
	verb_ok(f, "cluster token --ca");
	verb_asked(f, 0, "POST /cluster/tokens", "");
	verb_asked(f, 1, "POST /cluster/tokens?ca=true", "");
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
		JOIN_TEST(test_ca_key),
		JOIN_TEST(test_takes_ca_key),
		JOIN_TEST(test_ca_token),
		JOIN_TEST(test_argument),
		JOIN_TEST(test_locked),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
