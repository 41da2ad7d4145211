/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Certificates of a site's own CA, on a folder that stands for the root of a host. */
#include "verb_fixture.h"

#include <string.h>

#include "certificates.h"
#include "cluster_verb.h"
#include "proto/cluster.h"
#include "proto/json.h"
#include "proto/pki.h"
#include "virtx/cluster_files.h"

#define SITE   "/site" /* in the root, for the sake of the test */
#define NOTE   "/etc/virtx/cluster-pending"
#define SECRET "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define OTHER  "44abfff2-fb05-4c5f-ab3e-13275fc4c40c"

static char *ca, *ca_key; /* the site's */

static void
put_secret(const char *path, const char *text)
{
	_free_ char *whole = xasprintf("%s%s", root, path);

	root_put(root, path, text);
	assert_int_equal(chmod(whole, 0600), 0);
}

/* A certificate and its key, as NAME.pem and NAME.key. */
static void
put_certificate(const char *name, enum pki_kind kind, const char *uuid, const char *address)
{
	_free_ char *pem = xasprintf(SITE "/%s.pem", name), *file = xasprintf(SITE "/%s.key", name);
	_free_ char *request = NULL, *certificate = NULL;
	char *key = pki_key_new(), self[256] = "";
	const char *names[] = { self, address };
	struct error err = { 0 };

	gethostname(self, sizeof(self) - 1);
	request = pki_request_new(key, names, ARRAY_SIZE(names), &err);
	certificate = pki_sign(ca, ca_key, request, kind, uuid, 100, &err);
	assert_non_null(certificate);
	root_put(root, pem, certificate);
	put_secret(file, key);
	pki_wipe(key);
}

static int
setup(void **state)
{
	struct error err = { 0 };

	if (root_setup(state) < 0)
		return -1;
	ca_key = pki_key_new();
	ca = pki_ca_new(ca_key, "the site", &err);
	root_make(root, true);
	root_put(root, SITE "/ca.pem", ca);
	put_certificate("host", PKI_HOST, BOARD, "192.0.2.1");
	put_certificate("qemu", PKI_QEMU, BOARD, "192.0.2.1");
	return 0;
}

static int
teardown(void **state)
{
	pki_wipe(steal_ptr(ca_key));
	free(steal_ptr(ca));
	return root_teardown(state);
}

static char *
init_line(void)
{
	return xasprintf(INIT "%s --certificates %s" SITE " --yes", root, root);
}

static void
assert_same_file(const char *path, const char *other)
{
	_free_ char *one = root_get(root, path), *two = root_get(root, other);

	assert_string_equal(one, two);
}

static void
test_init(void **state)
{
	struct verb_fixture *f = *state;
	_free_ char *line = init_line(), *plain = xasprintf(INIT "%s --yes", root);
	_free_ char *now = NULL;

	verb_ok(f, line);
	assert_says(f->out, "no host signs certificates");
	assert_false(root_has(CLUSTER_CA_KEY));
	assert_same_file(CLUSTER_CA, SITE "/ca.pem");
	assert_same_file(CLUSTER_HOST_KEY, SITE "/host.key");
	assert_same_file(CLUSTER_QEMU_KEY, SITE "/qemu.key");
	/* By that of the CA behind it others know whose it is. */
	assert_file_says(CLUSTER_HOST_CERTIFICATE, ca);
	now = root_get(root, CLUSTER_VIRTXD_CONF);
	assert_says(now, "encrypt_key_file = " CLUSTER_SERF_ENCRYPT "\n");
	assert_null(strstr(now, "ca_key"));
	verb_ok(f, line);
	assert_says(f->out, "nothing is written");
	verb_fails(f, plain, COMMAND_FAILED, "--certificates");
}

/* What would not do is refused before anything is written. */
static void
test_refused(void **state)
{
	struct verb_fixture *f = *state;
	_free_ char *line = init_line(), *path = xasprintf("%s" SITE "/qemu.key", root);
	_free_ char *host = root_get(root, SITE "/host.pem"),
		    *key = root_get(root, SITE "/host.key"), *combined = NULL, *twice = NULL;
	char *other = pki_key_new();

	combined = xasprintf("%s%s", host, key);
	root_put(root, SITE "/host.pem", combined);
	verb_fails(f, line, COMMAND_FAILED, "'host.pem' has a key in it, too");
	put_certificate("host", PKI_HOST, OTHER, "192.0.2.1");
	verb_fails(f, line, COMMAND_FAILED, "with the SAN URI:virtx:host:" BOARD);
	put_certificate("host", PKI_HOST, BOARD, "192.0.2.7");
	verb_fails(f, line, COMMAND_FAILED, "'host.pem' is not for the name '");
	root_put(root, SITE "/host.pem", host);
	put_secret(SITE "/host.key", other);
	verb_fails(f, line, COMMAND_FAILED, "for the key of 'host.key'");
	put_secret(SITE "/host.key", key);
	put_certificate("qemu", PKI_HOST, BOARD, "192.0.2.1");
	verb_fails(f, line, COMMAND_FAILED, "without the SAN URI:virtx:host:");
	put_certificate("qemu", PKI_QEMU, BOARD, "192.0.2.1");
	twice = xasprintf("%s%s", ca, ca);
	root_put(root, SITE "/ca.pem", twice);
	verb_fails(f, line, COMMAND_FAILED, "more than the certificate of one CA");
	root_put(root, SITE "/ca.pem", ca);
	assert_int_equal(chmod(path, 0644), 0);
	verb_fails(f, line, COMMAND_FAILED, "'qemu.key' is open to others");
	root_remove(root, SITE "/qemu.key");
	verb_fails(f, line, COMMAND_FAILED, "there is no 'qemu.key'");
	assert_false(root_has(CLUSTER_CA));
	assert_false(root_has(CLUSTER_HOST_KEY));
	pki_wipe(other);
}

/* What the authority has signed for this subject, as NAME.pem and NAME.key. */
static void
put_signed(const char *name, const char *subject)
{
	static const char *const kinds[] = { "pem", "key" };

	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		_free_ char *from = xasprintf(SITE "/%s.%s", subject, kinds[i]);
		_free_ char *to = xasprintf(SITE "/%s.%s", name, kinds[i]);
		_free_ char *text = root_get(root, from);

		put_secret(to, text);
	}
}

/* libvirt takes who has the subject of a host, and nobody else. */
static void
test_subjects(void **state)
{
	static const char host[] = "virtx:host:" BOARD, qemu[] = "virtx:host:x", other[] = "qemu1";
	struct verb_fixture *f = *state;
	_free_ char *line = init_line(), *folder = xasprintf("%s" SITE, root);
	struct authority *authority = authority_new(folder, "ca");
	char self[256] = "";
	_free_ char *names = NULL, *san = NULL;

	gethostname(self, sizeof(self) - 1);
	names = xasprintf("DNS:%s, IP:192.0.2.1", self);
	san = xasprintf("URI:virtx:host:" BOARD ", %s", names);
	authority_sign(authority, "h1", san, -1, 30);
	authority_sign(authority, host, san, -1, 30);
	authority_sign(authority, qemu, names, -1, 30);
	authority_sign(authority, other, names, -1, 30);
	put_signed("qemu", other);
	put_signed("host", "h1");
	verb_fails(
	    f, line, COMMAND_FAILED, "the subject of 'host.pem' is not 'CN=virtx:host:" BOARD);
	put_signed("host", host);
	put_signed("qemu", qemu);
	verb_fails(f, line, COMMAND_FAILED, "'qemu.pem' passes for a host");
	put_signed("qemu", other);
	authority_sign(authority, host, san, -30, -1);
	put_signed("host", host);
	verb_fails(f, line, COMMAND_FAILED, "'host.pem' has ended");
	assert_false(root_has(CLUSTER_CA));
	authority_free(authority);
}

/* What others would refuse is not written: it would cut this host off. */
static void
test_refused_by_others(void **state)
{
	static const char host[] = "virtx:host:" BOARD, qemu[] = "qemu1";
	static const char *const uses[] = { "serverAuth", "clientAuth" };
	struct verb_fixture *f = *state;
	_free_ char *line = init_line(), *folder = xasprintf("%s" SITE, root);
	struct authority *authority = authority_new(folder, "ca");
	char self[256] = "", *issuing_key = pki_key_new(), *root_key = steal_ptr(ca_key);
	_free_ char *names = NULL, *san = NULL, *request = NULL, *issuing = NULL, *root_ca = NULL;

	gethostname(self, sizeof(self) - 1);
	names = xasprintf("DNS:%s, IP:192.0.2.1", self);
	san = xasprintf("URI:virtx:host:" BOARD ", %s", names);
	authority_sign(authority, qemu, names, -1, 30);
	put_signed("qemu", qemu);
	for (size_t i = 0; i < ARRAY_SIZE(uses); i++) {
		authority_sign_for(authority, host, san, uses[i]);
		put_signed("host", host);
		verb_fails(f, line, COMMAND_FAILED, "others would refuse 'host.pem'");
	}
	authority_free(authority);

	/* A CA that another one has signed. */
	root_ca = steal_ptr(ca);
	request = pki_request_new(issuing_key, (const char *[]){ "issuing" }, 1, &f->err);
	issuing = pki_sign(root_ca, root_key, request, PKI_QEMU, BOARD, 100, &f->err);
	assert_non_null(issuing);
	ca = xstrdup(issuing);
	ca_key = issuing_key;
	root_put(root, SITE "/ca.pem", ca);
	put_certificate("host", PKI_HOST, BOARD, "192.0.2.1");
	put_certificate("qemu", PKI_QEMU, BOARD, "192.0.2.1");
	verb_fails(f, line, COMMAND_FAILED, "others would refuse 'host.pem'");
	assert_false(root_has(CLUSTER_CA));
	pki_wipe(root_key);
}

/* A cluster that has a CA already keeps it. */
static void
test_other_ca(void **state)
{
	struct verb_fixture *f = *state;
	_free_ char *line = init_line();

	root_init(f, "--yes");
	verb_fails(f, line, COMMAND_FAILED, "another CA than this host has");
	root_remove(root, CLUSTER_CA);
	verb_fails(f, line, COMMAND_FAILED, "has a CA of 'virtx cluster init'");
}

/* The host that is asked has a certificate of the same CA. */
static void
answer(struct verb_fixture *f)
{
	_free_ char *certificate = xasprintf("%s/server.pem", root), *body = NULL;
	_free_ char *key = xasprintf("%s" SITE "/server.key", root), *pem = NULL, *chain = NULL;
	struct cluster_member member = {
		.ca = ca,
		.serf_key = (char[]){ "0123456789ABCDEF0123456789ABCDEF0123456789A=" },
		.addresses = (char[]){ "192.0.2.9" },
		.number = 5,
		.sanlock_group = 179,
		.io_timeout = 10,
		.storage_root = (char[]){ "/vms" },
	};

	put_certificate("server", PKI_HOST, OTHER, "127.0.0.1");
	pem = root_get(root, SITE "/server.pem");
	chain = xasprintf("%s%s", pem, ca);
	root_put(root, "/server.pem", chain);
	body = json_encode(&cluster_member_model, &member, NULL);
	verb_use_tls(f, certificate, key, NULL);
	verb_answer_json(f, body);
}

static void
take_token(struct verb_fixture *f, const char *of)
{
	_free_ char *text = NULL;
	char print[PKI_FINGERPRINT_SIZE];

	assert_int_equal(pki_fingerprint(of, print, &f->err), 0);
	text = xasprintf("virtx-join/127.0.0.1:%u/%s/" SECRET "\n", f->port, print);
	verb_file(f, text);
}

static void
test_join(void **state)
{
	struct verb_fixture *f = *state;
	_free_ char *line = xasprintf("cluster join FILE --address 192.0.2.1 --root %s "
				      "--certificates %s" SITE " --yes",
	    root, root);
	char *key = pki_key_new();
	_free_ char *other = pki_ca_new(key, "another", &f->err);

	answer(f);
	take_token(f, other);
	verb_fails(f, line, COMMAND_FAILED, "is not the CA that the token is of");
	assert_int_equal(f->n_requests, 0);
	take_token(f, ca);
	verb_ok(f, line);
	/* Nobody has to sign anything. */
	verb_asked(f, 0, "POST /cluster/join", "\"request\":\"\",\"qemu_request\":\"\"");
	assert_same_file(CLUSTER_HOST_KEY, SITE "/host.key");
	assert_file_says(CLUSTER_HOST_CERTIFICATE, ca);
	assert_file_says("/etc/libvirt/qemu-sanlock.conf", "host_id = 5\n");
	assert_file_says(CLUSTER_SERF_CONF, "\"retry_join\": [\"192.0.2.9\"]");
	assert_file_says(CLUSTER_VIRTXD_CONF, "encrypt_key_file = ");
	take_token(f, ca);
	verb_ok(f, line);
	assert_says(f->out, "of this cluster already");
	assert_int_equal(f->n_requests, 1);
	pki_wipe(key);
}

/* With keys of their own. */
static void
test_renew(void **state)
{
	struct verb_fixture *f = *state;
	_free_ char *line = init_line();
	_free_ char *renew =
	    xasprintf("cluster renew --root %s --certificates %s" SITE, root, root);

	verb_ok(f, line);
	put_certificate("host", PKI_HOST, BOARD, "192.0.2.1");
	put_certificate("qemu", PKI_QEMU, BOARD, "192.0.2.1");
	verb_ok(f, renew);
	assert_says(f->out, "written: " CLUSTER_HOST_KEY "\n");
	assert_null(strstr(f->out, "virtx.json"));
	assert_same_file(CLUSTER_HOST_KEY, SITE "/host.key");
	assert_same_file(CLUSTER_QEMU_KEY, SITE "/qemu.key");
	assert_same_file("/etc/pki/libvirt/private/serverkey.pem", SITE "/host.key");
	root_put(root, SITE "/ca.pem", "none\n");
	verb_fails(f, renew, COMMAND_FAILED, "'ca.pem'");
}

/* Certificates of the site that have been good for long, and are so for some days more. */
static void
put_old_certificates(int days)
{
	static const char host[] = "virtx:host:" BOARD, qemu[] = "qemu1";
	_free_ char *folder = xasprintf("%s" SITE, root), *names = NULL, *san = NULL;
	struct authority *authority = authority_new(folder, "ca");
	char self[256] = "";

	gethostname(self, sizeof(self) - 1);
	names = xasprintf("DNS:%s, IP:192.0.2.1", self);
	san = xasprintf("URI:virtx:host:" BOARD ", %s", names);
	authority_sign(authority, host, san, -300, days);
	authority_sign(authority, qemu, names, -300, days);
	put_signed("host", host);
	put_signed("qemu", qemu);
	authority_free(authority);
}

/* The timer of a host finds nobody who signs: that is told in time, and not each day. */
static void
test_renew_by_nobody(void **state)
{
	struct verb_fixture *f = *state;
	_free_ char *line = init_line(), *renew = xasprintf("cluster renew --root %s", root);
	_free_ char *forced = xasprintf("%s --force", renew);

	put_old_certificates(40);
	verb_ok(f, line);
	verb_ok(f, renew);
	assert_says(f->out, "Not renewed: ");
	assert_says(f->out, "--certificates DIR' takes the certificates that you have made");
	verb_fails(f, forced, COMMAND_FAILED, "--certificates DIR' takes");
}

static void
test_renew_by_nobody_soon(void **state)
{
	struct verb_fixture *f = *state;
	_free_ char *line = init_line(), *renew = xasprintf("cluster renew --root %s", root);

	put_old_certificates(20);
	verb_ok(f, line);
	verb_fails(f, renew, COMMAND_FAILED, "--certificates DIR' takes");
}

/* What is left of something else is left after it. */
static void
test_renew_half_way(void **state)
{
	static const struct {
		unsigned int parts, left;
		const char *refused; /* NULL: it is not */
	} rows[] = {
		{ PART_FILES | PART_SERF, PART_FILES | PART_SERF, NULL },
		{ PART_SOME | PART_SERF, PART_SERF, NULL },
		{ PART_FILES | PART_LEAVE, PART_FILES | PART_LEAVE,
		    "'virtx cluster leave' goes on" },
	};
	struct verb_fixture *f = *state;
	_free_ char *line = init_line();
	_free_ char *renew =
	    xasprintf("cluster renew --root %s --certificates %s" SITE, root, root);

	verb_ok(f, line);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		_free_ char *note = xasprintf("%u 0 " BOARD "\n", rows[i].parts), *after = NULL;

		root_put(root, NOTE, note);
		put_certificate("host", PKI_HOST, BOARD, "192.0.2.1");
		if (rows[i].refused)
			verb_fails(f, renew, COMMAND_FAILED, rows[i].refused);
		else
			verb_ok(f, renew);
		after = root_get(root, NOTE);
		assert_int_equal(strtoul(after, NULL, 10), rows[i].left);
	}
}

#undef TEST
#define TEST(function) cmocka_unit_test_setup_teardown(function, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_init),
		TEST(test_refused),
		TEST(test_subjects),
		TEST(test_refused_by_others),
		TEST(test_other_ca),
		TEST(test_join),
		TEST(test_renew),
		TEST(test_renew_by_nobody),
		TEST(test_renew_by_nobody_soon),
		TEST(test_renew_half_way),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
