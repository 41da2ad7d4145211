/* SPDX-License-Identifier: GPL-2.0-or-later */
/* virtx cluster renew, on a folder that stands for the root of a host. */
#include "verb_fixture.h"

#include <string.h>

#include "cluster_verb.h"
#include "proto/cluster.h"
#include "proto/crl.h"
#include "proto/json.h"
#include "proto/pem.h"
#include "virtx/cluster_files.h"
#include "virtx/cluster_setup.h"

#define NOTE	    "/etc/virtx/cluster-pending"
#define SERVER	    "/etc/pki/libvirt/servercert.pem"
#define CLIENT	    "/etc/pki/qemu/client-cert.pem"
#define LONG_ENOUGH "The certificates last for long enough.\n"
#define READ_AGAIN  "virt-admin -c libvirtd:///system server-update-tls libvirtd"

static unsigned int asked; /* this host */

struct client __wrap_cluster_setup_own_client(
    const struct command_call *call, struct server *server);

struct client
__wrap_cluster_setup_own_client(const struct command_call *call, struct server *server)
{
	struct client client = *call->client;

	asked++;
	client.token = NULL;
	client.timeout = 1;
	return client;
}

static void
renew(struct verb_fixture *f)
{
	_free_ char *line = xasprintf("cluster renew --root %s", root);

	verb_ok(f, line);
	/* Nobody is asked for certificates. */
	assert_int_equal(f->n_requests, 0);
}

static void
test_lasts(void **state)
{
	struct verb_fixture *f = *state;

	root_make(root, true);
	root_init(f, "--yes");
	renew(f);
	assert_string_equal(f->out, LONG_ENOUGH);
}

/* It ended between two files: the certificates that are there come to the others. */
static void
test_half_written(void **state)
{
	struct verb_fixture *f = *state;
	_free_ char *host = NULL, *qemu = NULL, *server = NULL, *client = NULL;

	root_make(root, true);
	root_init(f, "--yes");
	root_put(root, SERVER, "of before\n");
	root_put(root, CLIENT, "of before\n");
	renew(f);
	assert_says(f->out, "written: " SERVER "\nwritten: " CLIENT "\n");
	assert_says(f->out, READ_AGAIN);
	host = root_get(root, CLUSTER_HOST_CERTIFICATE);
	server = root_get(root, SERVER);
	assert_string_equal(server, host);
	qemu = root_get(root, CLUSTER_QEMU_CERTIFICATE);
	client = root_get(root, CLIENT);
	assert_string_equal(client, qemu);
	assert_false(root_has(NOTE));
	renew(f);
	assert_string_equal(f->out, LONG_ENOUGH);
}

/* All was written, and libvirt could not be told. */
static void
test_not_read(void **state)
{
	struct verb_fixture *f = *state;
	_free_ char *note = xasprintf("%u\n", PART_TLS);

	root_make(root, true);
	root_init(f, "--yes");
	root_put(root, NOTE, note);
	renew(f);
	assert_says(f->out, READ_AGAIN);
	assert_false(root_has(NOTE));
}

/* What init or join have left is not done by the way, and stays noted. */
static void
test_left_by_others(void **state)
{
	struct verb_fixture *f = *state;
	_free_ char *note = xasprintf("%u\n", PART_TLS | PART_WDMD);
	_free_ char *left = xasprintf("%u 0\n", PART_WDMD);

	root_make(root, true);
	root_init(f, "--yes");
	root_put(root, NOTE, note);
	renew(f);
	assert_says(f->out, READ_AGAIN);
	assert_null(strstr(f->out, "wdmd"));
	assert_file_says(NOTE, left);
	renew(f);
	assert_string_equal(f->out, LONG_ENOUGH);
	assert_file_says(NOTE, left);
}

static const char *const crl_files[] = { CLUSTER_CRL, "/etc/pki/CA/cacrl.pem",
	"/etc/pki/qemu/ca-crl.pem" };

/* virtxd has got it from the storage: it is installed, and libvirt reads it. */
static void
test_crl(void **state)
{
	static const char *const out[] = { BOARD };
	struct verb_fixture *f = *state;
	_free_ char *line = xasprintf("cluster renew --root %s", root);
	struct error err = { 0 };
	char *ca, *ca_key, *other_key = pki_key_new();
	char *other = pki_ca_new(other_key, "a CA", &err);
	_free_ char *crl = NULL, *older = NULL, *newer = NULL;
	_free_ char *others = crl_sign(other, other_key, out, 1, 0, &err);

	root_make(root, true);
	root_init(f, "--yes");
	ca = root_get(root, CLUSTER_CA);
	ca_key = root_get(root, CLUSTER_CA_KEY);
	crl = crl_sign(ca, ca_key, out, 1, 0, &err);

	root_put(root, CLUSTER_CRL_NEW, others);
	verb_fails(f, line, COMMAND_FAILED, "is no CRL that the CA of '/etc/virtx/ca.pem'");
	for (size_t i = 0; i < ARRAY_SIZE(crl_files); i++)
		assert_false(root_has(crl_files[i]));
	root_put(root, CLUSTER_CRL_NEW, crl);
	renew(f);
	assert_says(f->out, READ_AGAIN);
	for (size_t i = 0; i < ARRAY_SIZE(crl_files); i++) {
		_free_ char *is = root_get(root, crl_files[i]);

		assert_string_equal(is, crl);
	}
	assert_false(root_has(CLUSTER_CRL_NEW));
	assert_file_says("/etc/libvirt/libvirtd.conf", "crl_file = \"/etc/pki/CA/cacrl.pem\"\n");
	/* One of before is not, though the CA has signed it. */
	older = crl_sign(ca, ca_key, out, 0, 0, &err);
	newer = crl_sign(ca, ca_key, out, 0, crl_number(crl) + 1000000, &err);
	root_put(root, CLUSTER_CRL, newer);
	root_put(root, CLUSTER_CRL_NEW, older);
	renew(f);
	assert_says(f->out, "is older than '" CLUSTER_CRL "', which stays");
	assert_false(root_has(CLUSTER_CRL_NEW));
	assert_file_says(CLUSTER_CRL, newer);
	root_put(root, CLUSTER_CRL, crl);
	renew(f);
	renew(f);
	assert_string_equal(f->out, LONG_ENOUGH);
	/* Who sets the host up again keeps it. */
	root_remove(root, crl_files[2]);
	root_init(f, "--yes");
	assert_says(f->out, "written: /etc/pki/qemu/ca-crl.pem\n");
	pki_wipe(ca_key);
	pki_wipe(other_key);
	free(ca);
	free(other);
}

static const struct command *
find(const char *words)
{
	size_t i = 0;

	while (verbs[i] && strcmp(verbs[i]->words, words) != 0)
		i++;
	assert_non_null(verbs[i]);
	return verbs[i];
}

/* Root may have logged in elsewhere: no other server is asked for this host's certificates, nor
 * gets a token, and what is for this host alone does not even look which one is chosen. */
static void
test_own_host(void **state)
{
	static const char *const commands[] = { "cluster init", "cluster join", "cluster leave",
		"cluster renew" };
	struct verb_fixture *f = *state;
	_free_ char *line = xasprintf("cluster renew --force --root %s", root);
	char secret[] = "virtx_secret";

	root_make(root, true);
	root_init(f, "--yes");
	verb_forget(f);
	verb_answer(f, 403, "", "");
	f->token = secret;
	asked = 0;
	verb_fails(f, line, COMMAND_FAILED, "403");
	assert_int_equal(asked, 1);
	assert_null(strcasestr(f->requests[0].head, "Authorization"));
	for (size_t i = 0; i < ARRAY_SIZE(commands); i++)
		assert_true(find(commands[i])->local);
}

/* As if it had been signed some days from now on. */
static char *
put_off(const char *text, const char *ca_key_text, int days)
{
	_x509_ X509 *certificate = pem_certificate(text);
	_key_ EVP_PKEY *ca_key = pem_key(ca_key_text);
	_bio_ BIO *bio = BIO_new(BIO_s_mem());

	X509_gmtime_adj(X509_getm_notBefore(certificate), days * 86400L);
	assert_true(X509_sign(certificate, ca_key, EVP_sha256()) > 0);
	assert_int_equal(PEM_write_bio_X509(bio, certificate), 1);
	return pem_take(bio);
}

struct answer_case {
	int days;	  /* that the certificates last */
	const char *junk; /* behind them */
	const char *words;
};

static void
answer_with(struct verb_fixture *f, const struct answer_case *row, const char *ca_key)
{
	static const char *const names[] = { "h1" };
	const char *const keys[] = { CLUSTER_HOST_KEY, CLUSTER_QEMU_KEY };
	struct cluster_certificates got = { 0 };
	_free_ char *body = NULL;
	struct error err = { 0 };
	size_t len;

	got.ca = root_get(root, CLUSTER_CA);
	for (int i = 0; i < 2; i++) {
		char *key = root_get(root, keys[i]);
		_free_ char *request = pki_request_new(key, names, 1, &err);
		_free_ char *one = pki_sign(
		    got.ca, ca_key, request, i ? PKI_QEMU : PKI_HOST, BOARD, row->days, &err);

		assert_non_null(one);
		*(i ? &got.qemu_certificate : &got.certificate) =
		    xasprintf("%s%s%s", one, got.ca, row->junk);
		pki_wipe(key);
	}
	body = json_encode(&cluster_certificates_model, &got, &len);
	verb_answer_json(f, body);
	model_clear(&cluster_certificates_model, &got);
}

/* Whoever signs, or says so, has no other certificate or key written, nor one of before. */
static void
test_answers(void **state)
{
	struct verb_fixture *f = *state;
	_free_ char *line = xasprintf("cluster renew --force --root %s", root);
	struct error err = { 0 };
	char *other_key = pki_key_new(), *ca_key;
	_free_ char *other = pki_ca_new(other_key, "a CA", &err);
	const struct answer_case cases[] = {
		{ 365, other, "and nothing else" },
		{ 365, other_key, "and nothing else" },
		{ -1, "", "has ended already" },
		{ 365, "", NULL },
		{ 365, "junk!\n", NULL },
	};
	_free_ char *is = NULL, *later = NULL;

	root_make(root, true);
	root_init(f, "--yes");
	ca_key = root_get(root, CLUSTER_CA_KEY);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_free_ char *before = root_get(root, CLUSTER_HOST_CERTIFICATE), *after = NULL;

		answer_with(f, &cases[i], ca_key);
		if (cases[i].words)
			verb_fails(f, line, COMMAND_FAILED, cases[i].words);
		else
			verb_ok(f, line);
		after = root_get(root, CLUSTER_HOST_CERTIFICATE);
		assert_int_equal(strcmp(before, after) == 0, cases[i].words != NULL);
		/* What was between them is left out. */
		assert_null(strstr(after, "junk!"));
	}
	is = root_get(root, CLUSTER_HOST_CERTIFICATE);
	later = put_off(is, ca_key, 2);
	root_put(root, CLUSTER_HOST_CERTIFICATE, later);
	answer_with(f, &(struct answer_case){ 365, "", NULL }, ca_key);
	verb_fails(f, line, COMMAND_FAILED, "is older than the one that is there");
	assert_file_says(CLUSTER_HOST_CERTIFICATE, later);
	pki_wipe(other_key);
	pki_wipe(ca_key);
}

#define RENEW_TEST(function) cmocka_unit_test_setup_teardown(function, root_setup, root_teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		RENEW_TEST(test_lasts),
		RENEW_TEST(test_half_written),
		RENEW_TEST(test_not_read),
		RENEW_TEST(test_left_by_others),
		RENEW_TEST(test_crl),
		RENEW_TEST(test_own_host),
		RENEW_TEST(test_answers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
