/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What virtx cluster init writes, on a folder that stands for the root of a host. */
#include "verb_fixture.h"

#include <string.h>

#include "cluster_verb.h"
#include "virtx/cluster_edit.h"
#include "virtx/cluster_files.h"

#define INIT_TEST(function) cmocka_unit_test_setup_teardown(function, root_setup, root_teardown)

static void
run(struct verb_fixture *f, const char *more)
{
	root_init(f, more);
}

/* No key that is on the host is in what is printed of it. */
static void
test_no_secret(void **state)
{
	static const char *const secrets[] = { CLUSTER_SERF_RPC, CLUSTER_SERF_ENCRYPT,
		CLUSTER_HOST_KEY, CLUSTER_CA_KEY, CLUSTER_QEMU_KEY };
	struct verb_fixture *f = *state;

	root_make(root, true);
	run(f, "--yes");
	root_put(root, "/etc/serf/virtx.json", "{}\n");
	root_put(root, CLUSTER_HOST_CERTIFICATE, "");
	for (size_t i = 0; i < ARRAY_SIZE(secrets); i++) {
		_free_ char *text = root_get(root, secrets[i]);
		char *word = strstr(text, "BEGIN") ? strchr(text, '\n') + 1 : text;

		word[strcspn(word, "\n")] = '\0';
		assert_true(strlen(word) >= 40);
		run(f, "--dry-run");
		assert_says(f->out, "/etc/serf/virtx.json");
		assert_null(strstr(f->out, word));
		run(f, "-y");
		assert_null(strstr(f->out, word));
		root_put(root, "/etc/serf/virtx.json", "{}\n");
	}
}

static void
test_debian(void **state)
{
	struct verb_fixture *f = *state;

	root_make(root, true);
	run(f, "--yes");
	assert_says(f->out, "systemctl enable --now libvirtd-tls.socket");
	assert_says(f->out, "groupmod -g 179 sanlock");
	assert_file_says(
	    "/etc/libvirt/qemu.conf", "#virtx# lock_manager = \"lockd\"\nvnc_tls = 0\n");
	assert_file_says("/etc/libvirt/qemu.conf", "\nuser = \"libvirt-qemu\"\n");
	assert_file_says("/etc/libvirt/qemu.conf", "\nlock_manager = \"sanlock\"\n");
	assert_file_says("/etc/libvirt/qemu.conf"
			 ".virtx-old",
	    "lock_manager = \"lockd\"\n");
	assert_file_says("/etc/libvirt/libvirtd.conf", "[ \"CN=virtx:host:*\" ]");
	assert_file_says("/etc/default/sanlock", "\nsanlock_opts=\"\"\n");
	assert_file_says("/etc/default/libvirt-guests", "ON_BOOT=ignore\n");
	assert_file_says("/etc/modules-load.d/virtx.conf", "softdog\n");
	assert_file_says("/etc/serf/virtx.json", "\"bind\": \"192.0.2.1\"");
	assert_file_says("/etc/virtx/virtxd.conf", "ca_key = /etc/virtx/ca.key\n");
}

/* Settings by which anybody had libvirt as root has it, and those of another CA, are comments. */
static void
test_libvirt_port(void **state)
{
	static const char *const settings[] = { "tls_no_verify_certificate = 1",
		"tls_no_sanity_certificate = 1", "auth_tls = \"sasl\"", "tls_port = \"1\"",
		"key_file = \"/k\"", "cert_file = \"/c\"", "ca_file = \"/a\"",
		"tls_allowed_dn_list = [ \"*\" ]" };
	static const char *const folders[] = { "/etc/libvirt/libvirtd.conf",
		"/etc/libvirt/virtproxyd.conf" };

	for (size_t i = 0; i < ARRAY_SIZE(folders); i++) {
		_buffer_ struct buffer before = { 0 };

		root_make(root, i == 0);
		if (i > 0)
			root_remove(root, "/etc/debian_version");
		for (size_t k = 0; k < ARRAY_SIZE(settings); k++)
			buffer_printf(&before, "%s\n", settings[k]);
		root_put(root, folders[i], before.data);
		run(*state, "--yes");
		for (size_t k = 0; k < ARRAY_SIZE(settings); k++) {
			_free_ char *was = xasprintf("#virtx# %s\n", settings[k]);

			assert_file_says(folders[i], was);
		}
		assert_file_says(folders[i], "\ntls_no_verify_certificate = 0\n");
		assert_file_says(folders[i], "\nca_file = \"/etc/pki/CA/cacert.pem\"\n");
	}
}

/* serf takes an address of IPv6 in brackets alone. */
static void
test_ipv6(void **state)
{
	_free_ char *line = xasprintf("cluster init --address 2001:db8::1 --yes --root %s", root);

	root_make(root, true);
	verb_ok(*state, line);
	assert_file_says("/etc/serf/virtx.json", "\"bind\": \"[2001:db8::1]\",");
	assert_file_says("/etc/virtx/virtxd.conf", "listen = [2001:db8::1]:8080 tls auth\n");
}

/* virtxd has to start with what is written. */
static void
test_virtxd_conf(void **state)
{
	static const char path[] = "/etc/virtx/virtxd.conf";
	struct verb_fixture *f = *state;

	root_make(root, true);
	root_put(root, path, "[serf]\nrpc_auth = abc\nretry = 7\n[tls]\nca: /x.pem\n");
	run(f, "--yes");
	assert_file_says(path, "[serf]\n#virtx# rpc_auth = abc\nretry = 7\n");
	assert_file_says(path, "[tls]\n#virtx# ca: /x.pem\n");
	/* And says so before anything is restarted. */
	assert_true(strstr(f->out, "virtxd --check-config\n") < strstr(f->out, "systemctl stop"));
	assert_says(f->out, "virtxd --check-config\n");
}

/* Nobody without a token gets to virtxd by a listener of before, nor does a token go unencrypted.
 */
static void
test_listeners(void **state)
{
	static const struct {
		const char *line;
		bool stays;
	} rows[] = {
		{ "listen = 0.0.0.0:8080 plain open", false },
		{ "listen = 0.0.0.0:8080 tls auth", false },
		{ "listen: [::]:8080 tls auth", false },
		{ "listen = 192.0.2.1:8080 plain open", false },
		{ "listen = 192.0.2.7:80 tls open", false },
		{ "listen = 192.0.2.7:80 plain auth", false },
		{ "listen = 192.0.2.7:80", false },
		{ "listen = 127.0.0.1:8080 open", false },
		{ "allow_plain = yes", false },
		{ "allow_plain = no", true },
		{ "listen = 192.0.2.7:80 tls auth", true },
		{ "listen = 192.0.2.7:80 auth ; open", true },
		{ "listen = 0.0.0.0:443 tls auth", true },
		{ "listen = 127.0.0.1:8080 plain auth", true },
		{ "listen = [::1]:8080", true },
	};
	static const char path[] = "/etc/virtx/virtxd.conf";
	_buffer_ struct buffer before = { 0 };
	struct verb_fixture *f = *state;

	root_make(root, true);
	buffer_printf(&before, "[http]\n");
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		buffer_printf(&before, "%s\n", rows[i].line);
	root_put(root, path, before.data);
	run(f, "--yes");
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		_free_ char *after =
		    xasprintf("\n%s%s\n", rows[i].stays ? "" : "#virtx# ", rows[i].line);
		_free_ char *shown = xasprintf("    a comment: %s\n", rows[i].line);

		assert_file_says(path, after);
		if (strncmp(rows[i].line, "listen", 6) == 0)
			assert_int_equal(strstr(f->out, shown) == NULL, rows[i].stays);
	}
	/* What may be a secret is not shown. */
	root_put(root, path, "[serf]\n rpc_auth = abcde\n");
	run(f, "--dry-run");
	assert_says(f->out, "    a comment: rpc_auth\n");
	assert_null(strstr(f->out, "abcde"));
}

static void
test_suse(void **state)
{
	struct verb_fixture *f = *state;

	root_make(root, false);
	root_put(root, "/dev/watchdog", "");
	run(f, "--yes");
	assert_says(f->out, "virtproxyd-tls.socket");
	assert_null(strstr(f->out, "libvirtd.service"));
	assert_null(strstr(f->out, "softdog"));
	assert_file_says("/etc/libvirt/virtproxyd.conf", "[ \"CN=virtx:host:*\" ]");
	assert_file_says("/etc/libvirt/qemu.conf", "group = \"qemu\"\n");
	assert_file_says("/etc/sysconfig/libvirt-guests", "ON_BOOT=ignore\n");
}

/* The kernel's own watchdog is loaded at each boot, whoever has loaded it now; a board's has a
 * driver of its own. */
static void
test_softdog(void **state)
{
	static const char module[] = "/etc/modules-load.d/virtx.conf";
	static const char identity[] = "/sys/class/watchdog/watchdog0/identity";
	struct verb_fixture *f = *state;

	root_make(root, true);
	root_put(root, "/dev/watchdog", "");
	root_put(root, identity, "iTCO_wdt\n");
	run(f, "--yes");
	assert_false(root_has(module));
	root_put(root, identity, "Software Watchdog\n");
	run(f, "--yes");
	assert_file_says(module, "softdog\n");
	/* It is loaded. */
	assert_null(strstr(f->out, "modprobe"));
	assert_null(strstr(f->out, "wdmd"));
	run(f, "--yes");
	assert_says(f->out, "nothing is written");
}

#define SANLOCK_CONF "/etc/sanlock/sanlock.conf"

/* A name that is the same after each start of sanlock goes, whoever has set it, and nothing else.
 */
static void
test_sanlock_name(void **state)
{
	static const char before[] = "our_host_name = mine\nmax_worker_threads = 9\n";
	static const char earlier[] = "max_worker_threads = 9\n" CLUSTER_EDIT_BEGIN
				      "\nour_host_name = h1\n" CLUSTER_EDIT_END "\n";
	static const char after[] =
	    CLUSTER_EDIT_WAS "our_host_name = mine\nmax_worker_threads = 9\n";
	struct verb_fixture *f = *state;
	_free_ char *now = NULL, *then = NULL, *kept = NULL;

	root_make(root, true);
	run(f, "--yes");
	assert_false(root_has(SANLOCK_CONF));

	root_put(root, SANLOCK_CONF, earlier);
	run(f, "--dry-run");
	assert_says(f->out, SANLOCK_CONF " (without our_host_name):\n");
	run(f, "--yes");
	now = root_get(root, SANLOCK_CONF);
	assert_string_equal(now, "max_worker_threads = 9\n");
	assert_says(f->out, "systemctl restart sanlock.service");
	run(f, "--yes");
	assert_says(f->out, "nothing is written");

	root_put(root, SANLOCK_CONF, before);
	run(f, "--dry-run");
	assert_says(
	    f->out, SANLOCK_CONF " (without our_host_name):\n    a comment: our_host_name\n");
	run(f, "--yes");
	then = root_get(root, SANLOCK_CONF);
	assert_string_equal(then, after);
	run(f, "--yes");
	assert_says(f->out, "nothing is written");
	kept = root_get(root, SANLOCK_CONF);
	assert_string_equal(kept, after);
}

static void
test_modes(void **state)
{
	static const struct {
		const char *path;
		mode_t mode;
	} rows[] = {
		{ CLUSTER_CA_KEY, 0600 },
		{ CLUSTER_HOST_KEY, 0600 },
		{ CLUSTER_SERF_RPC, 0600 },
		{ CLUSTER_SERF_ENCRYPT, 0600 },
		{ CLUSTER_QEMU_KEY, 0640 },
		{ "/etc/serf/virtx.json", 0600 },
		{ "/etc/pki/libvirt/private/serverkey.pem", 0600 },
		{ "/etc/pki/libvirt/private/clientkey.pem", 0600 },
		{ "/etc/virtx/virtxd.conf", 0640 },
	};
	struct verb_fixture *f = *state;

	root_make(root, true);
	run(f, "--yes");
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		_free_ char *path = xasprintf("%s%s", root, rows[i].path);
		struct stat status;

		assert_int_equal(stat(path, &status), 0);
		assert_int_equal(status.st_mode & 07777, rows[i].mode);
		/* One that others may read by now is made a secret again. */
		assert_int_equal(chmod(path, 0666), 0);
		run(f, "--yes");
		assert_int_equal(stat(path, &status), 0);
		if (strcmp(rows[i].path, "/etc/virtx/virtxd.conf") != 0)
			assert_int_equal(status.st_mode & 07777, rows[i].mode);
		/* No copy of it is left as it was. */
		free(path);
		path = xasprintf("%s%s.virtx-old", root, rows[i].path);
		assert_int_equal(access(path, F_OK), -1);
	}
}

/* What is replaced, and anybody could read, is kept for those alone who may read the new one. */
static void
test_kept_mode(void **state)
{
	static const char path[] = "/etc/serf/virtx.json";
	_free_ char *whole = xasprintf("%s%s", root, path);
	_free_ char *kept = xasprintf("%s.virtx-old", whole);
	struct stat status;

	root_make(root, true);
	root_put(root, path, "{\"encrypt_key\": \"abc\"}\n");
	assert_int_equal(chmod(whole, 0664), 0);
	run(*state, "--yes");
	assert_int_equal(stat(kept, &status), 0);
	assert_int_equal(status.st_mode & 07777, 0600);
}

/* What was there before the first run is kept, whatever was written since. */
static void
test_first_kept(void **state)
{
	struct verb_fixture *f = *state;
	_free_ char *moved = xasprintf("cluster init --address 192.0.2.2 --yes --root %s", root);

	root_make(root, true);
	root_put(root, "/etc/serf/virtx.json", "{\"mine\": 1}\n");
	run(f, "--yes");
	verb_ok(f, moved);
	run(f, "--yes");
	assert_file_says("/etc/serf/virtx.json.virtx-old", "{\"mine\": 1}\n");
	assert_file_says("/etc/libvirt/qemu.conf.virtx-old", "lock_manager = \"lockd\"\n");
	/* A note of its own is nothing to keep. */
	root_put(root, "/etc/virtx/cluster-pending", "64\n");
	root_put(root, "/etc/sanlock/sanlock.conf", "our_host_name = other\n");
	run(f, "--yes");
	assert_false(root_has("/etc/virtx/cluster-pending.virtx-old"));
}

/* What stands behind a block without an end is not dropped. */
static void
test_end_lost(void **state)
{
	static const char *const paths[] = { "/etc/libvirt/qemu.conf",
		"/etc/libvirt/libvirtd.conf" };
	struct verb_fixture *f = *state;
	_free_ char *line = xasprintf(INIT "%s --yes", root);

	root_make(root, true);
	for (size_t i = 0; i < ARRAY_SIZE(paths); i++) {
		_free_ char *text = NULL;

		root_put(root, paths[i], CLUSTER_EDIT_BEGIN "\nmax_files = 4\n");
		verb_fails(f, line, COMMAND_FAILED, paths[i]);
		assert_says(f->err.detail, CLUSTER_EDIT_LOST);
		text = root_get(root, paths[i]);
		assert_says(text, "max_files = 4\n");
		root_put(root, paths[i], "");
	}
	assert_false(root_has(CLUSTER_CA));
}

/* A link in the folder leads to nothing outside of it. */
static void
test_links(void **state)
{
	struct verb_fixture *f = *state;
	_free_ char *link = xasprintf("%s/etc/sysctl.d", root);
	_free_ char *line = xasprintf(INIT "%s --yes", root);
	char outside[] = "/tmp/virtx-outside-XXXXXX";

	root_make(root, true);
	assert_non_null(mkdtemp(outside));
	assert_int_equal(symlink(outside, link), 0);
	verb_fails(f, line, COMMAND_FAILED, "not written: '/etc/sysctl.d/99-virtx.conf'");
	/* It is empty. */
	assert_int_equal(rmdir(outside), 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		INIT_TEST(test_no_secret),
		INIT_TEST(test_debian),
		INIT_TEST(test_libvirt_port),
		INIT_TEST(test_ipv6),
		INIT_TEST(test_virtxd_conf),
		INIT_TEST(test_listeners),
		INIT_TEST(test_suse),
		INIT_TEST(test_softdog),
		INIT_TEST(test_sanlock_name),
		INIT_TEST(test_modes),
		INIT_TEST(test_kept_mode),
		INIT_TEST(test_first_kept),
		INIT_TEST(test_end_lost),
		INIT_TEST(test_links),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
