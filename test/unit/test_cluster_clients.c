/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Whose connection to libvirt is ended: virt-admin says what libvirt's own does. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <string.h>

#include "cluster_root.h"
#include "proto/crl.h"
#include "virtx/client.h"
#include "virtx/cluster_clients.h"
#include "virtx/cluster_fs.h"
#include "virtx/cluster_run.h"

#define OUT   "99999999-2222-3333-4444-555555555555"
#define STAYS "99999999-2222-3333-4444-666666666666"
#define LIST                                             \
	" Id   Transport   Connected since\n"            \
	"--------------------------------------------\n" \
	" 1    unix        2026-12-02 09:55:14+0000\n"   \
	" 21   tls         2026-12-02 09:55:14+0000\n"   \
	" 22   tls         2026-12-02 09:55:14+0000\n"   \
	" 23   tls         2026-12-02 09:55:14+0000\n\n"
#define LIST_LATER " 22   tls         2026-12-02 09:55:14+0000\n"
#define INFO(host) \
	"id             : 21\ntransport      : tls\ntls_x509_dname : CN=virtx:host:" host "\n\n"

static struct buffer ran;
static const char *fails;
static const char *gone; /* the client that goes before it is looked at, NULL for none */
static bool stays;	 /* it does not go, and cannot be looked at */

int __wrap_cluster_run_read(const char *const *argv, int seconds, char **ret, struct error *err);

int
__wrap_cluster_run_read(const char *const *argv, int seconds, char **ret, struct error *err)
{
	const char *verb = str_or_empty(argv[3]), *id = str_or_empty(argv[5]), *text = "";

	for (size_t i = 0; argv[i]; i++)
		buffer_printf(&ran, "%s%s", i ? " " : "", argv[i]);
	buffer_printf(&ran, "\n");
	if (fails && strcmp(verb, fails) == 0)
		return error_set(err, CLIENT_ERROR_STATUS, "it ended with 1");
	if (gone && strcmp(id, gone) == 0)
		return error_set(err, CLIENT_ERROR_STATUS, "client %s not found", id);
	if (strcmp(verb, "client-list") == 0)
		text = gone && !stays && ran.len > 100 ? LIST_LATER : LIST;
	else if (strcmp(verb, "client-info") == 0)
		text = strcmp(id, "21") == 0   ? INFO(STAYS)
		       : strcmp(id, "22") == 0 ? INFO(OUT)
					       : "id : 23\n";
	*ret = xstrdup(text);
	return 0;
}

static struct cluster_site site;
static char *told;
static size_t told_len;
static FILE *out;

/* The host's own root, on which systemd runs. */
static int
setup(void **state)
{
	static const char *const hosts[] = { OUT };
	struct error err = { 0 };
	char *key = pki_key_new(), *ca = pki_ca_new(key, "a CA", &err);

	if (scratch_setup(state) < 0)
		return -1;
	root_make(*state, true);
	root_put(*state, "/run/systemd/system/x", "");
	if (cluster_site_find(&site, *state, "", &err) < 0)
		fail_msg("%s", err.detail);
	site.root_path = "";
	site.material.crl = crl_sign(ca, key, hosts, 1, 0, &err);
	pki_wipe(key);
	free(ca);
	out = open_memstream(&told, &told_len);
	fails = gone = NULL;
	stays = false;
	return 0;
}

static int
teardown(void **state)
{
	cluster_site_clear(&site);
	fclose(out);
	free(told);
	buffer_clear(&ran);
	return scratch_teardown(state);
}

#define LIBVIRTD "virt-admin -c libvirtd:///system "

static void
test_dropped(void **state)
{
	struct error err = { 0 };

	assert_int_equal(cluster_clients_drop(&site, out, &err), 0);
	assert_string_equal(ran.data,
	    LIBVIRTD "client-list libvirtd\n" LIBVIRTD "client-info libvirtd 21\n" LIBVIRTD
		     "client-info libvirtd 22\n" LIBVIRTD "client-disconnect libvirtd 22\n" LIBVIRTD
		     "client-info libvirtd 23\n");
	fflush(out);
	assert_string_equal(told, "disconnected from libvirtd: host " OUT "\n");
}

static void
test_modular(void **state)
{
	struct error err = { 0 };

	site.where = ON_SUSE | ON_MODULAR;
	assert_int_equal(cluster_clients_drop(&site, out, &err), 0);
	assert_non_null(strstr(
	    ran.data, "virt-admin -c virtproxyd:///system client-disconnect virtproxyd 22\n"));
}

static void
test_failed(void **state)
{
	static const char *const verbs[] = { "client-list", "client-info", "client-disconnect" };

	for (size_t i = 0; i < ARRAY_SIZE(verbs); i++) {
		struct error err = { 0 };

		fails = verbs[i];
		assert_int_equal(cluster_clients_drop(&site, out, &err), -1);
		assert_non_null(strstr(err.detail, verbs[i]));
		assert_non_null(strstr(err.detail, "it ended with 1"));
	}
}

/* Who connects and hangs up again keeps nobody else connected. */
static void
test_one_goes(void **state)
{
	struct error err = { 0 };

	gone = "21";
	assert_int_equal(cluster_clients_drop(&site, out, &err), 0);
	assert_non_null(strstr(ran.data, "client-disconnect libvirtd 22\n"));
	assert_non_null(strstr(ran.data, "client-info libvirtd 23\n"));
	/* One that stays and is not told of may be anybody. */
	stays = true;
	ran.len = 0;
	assert_int_equal(cluster_clients_drop(&site, out, &err), -1);
	assert_non_null(strstr(err.detail, "client 21 not found"));
	assert_non_null(strstr(ran.data, "client-disconnect libvirtd 22\n"));
}

/* Of a folder that stands for a host nobody is asked. */
static void
test_folder(void **state)
{
	struct error err = { 0 };

	site.root_path = *state;
	assert_int_equal(cluster_clients_drop(&site, out, &err), 0);
	site.root_path = "";
	free(steal_ptr(site.material.crl));
	assert_int_equal(cluster_clients_drop(&site, out, &err), 0);
	assert_int_equal(ran.len, 0);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_dropped),
		TEST(test_modular),
		TEST(test_failed),
		TEST(test_one_goes),
		TEST(test_folder),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
