/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "state/config.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "proto/log.h"

struct fixture {
	char dir[64];
	char file[96];
	char key_file[96];
	struct config config;
	struct error err;
};

static void
write_text(const char *file, const char *text)
{
	FILE *f = fopen(file, "w");

	assert_non_null(f);
	assert_true(fputs(text, f) >= 0);
	assert_int_equal(fclose(f), 0);
}

static int
setup(void **state)
{
	struct fixture *f = xcalloc(1, sizeof(*f));

	snprintf(f->dir, sizeof(f->dir), "/tmp/test_config.XXXXXX");
	assert_non_null(mkdtemp(f->dir));
	snprintf(f->file, sizeof(f->file), "%s/virtxd.conf", f->dir);
	snprintf(f->key_file, sizeof(f->key_file), "%s/key", f->dir);
	config_init(&f->config);
	*state = f;
	return 0;
}

static int
teardown(void **state)
{
	struct fixture *f = *state;

	config_clear(&f->config);
	(void)unlink(f->file);
	(void)unlink(f->key_file);
	assert_int_equal(rmdir(f->dir), 0);
	free(f);
	return 0;
}

/* Loads a text over fresh defaults. */
static int
load(struct fixture *f, const char *text)
{
	config_clear(&f->config);
	config_init(&f->config);
	f->err = (struct error){ 0 };
	write_text(f->file, text);
	return config_load(&f->config, f->file, true, &f->err);
}

/* The text must be refused in this line, with all these words in the error. */
static void
refuse(struct fixture *f, const char *text, int line, const char *const *words)
{
	_free_ char *where = xasprintf("%s:%d: ", f->file, line);

	assert_int_equal(load(f, text), -1);
	if (strncmp(f->err.detail, where, strlen(where)) != 0)
		fail_msg("'%s' does not start with '%s'", f->err.detail, where);
	for (; *words; words++) {
		if (!strstr(f->err.detail, *words))
			fail_msg("'%s' does not say '%s'", f->err.detail, *words);
	}
}
#define REFUSE(f, text, line, ...) refuse(f, text, line, (const char *[]){ __VA_ARGS__, NULL })

static void
assert_defaults(const struct config *c)
{
	assert_string_equal(c->storage_root, "/vms");
	assert_string_equal(c->run_dir, "/run/virtx");
	assert_int_equal(c->log_level, LOG_LEVEL_INFO);
	assert_int_equal(c->n_listen, 1);
	assert_string_equal(c->listen[0].addr, "127.0.0.1");
	assert_int_equal(c->listen[0].port, 8080);
	assert_int_equal(c->listen[0].transport, TRANSPORT_PLAIN);
	/* There is a socket for those who control this host. */
	assert_int_equal(c->listen[0].access, ACCESS_AUTH);
	assert_string_equal(c->host_names, "");
	assert_string_equal(c->allowed_origins, "");
	assert_string_equal(c->trusted_proxies, "");
	assert_false(c->allow_plain);
	assert_string_equal(c->tls_certificate, "");
	assert_string_equal(c->tls_key, "");
	assert_string_equal(c->tls_ca, "");
	assert_int_equal(c->max_connections, 1024);
	assert_int_equal(c->max_body, 1048576);
	assert_int_equal(c->max_headers, 16384);
	assert_int_equal(c->request_timeout, 30);
	assert_int_equal(c->idle_timeout, 60);
	assert_int_equal(c->reply_timeout, 300);
	assert_string_equal(c->luns, "");
	assert_string_equal(c->state_dir, "/var/lib/virtx");
	assert_string_equal(c->libvirt_uri, "qemu:///system");
	assert_int_equal(c->libvirt_retry, 5);
	assert_int_equal(c->qemu_group, 0);
	assert_string_equal(c->serf_addr, "127.0.0.1");
	assert_int_equal(c->serf_port, 7373);
	assert_string_equal(c->serf_key, "");
	assert_int_equal(c->serf_retry, 5);
	assert_int_equal(c->forget_days, 7);
	assert_int_equal(c->io_timeout, 10);
	assert_int_equal(c->answer_timeout, 10);
	assert_false(c->kill_unprotected);
	assert_false(c->ha_unsafe);
	assert_int_equal(c->jobs_max, 16);
	assert_int_equal(c->jobs_queue_max, 64);
	assert_int_equal(c->jobs_stuck_max, 32);
	assert_int_equal(c->collect_period, 15);
	assert_int_equal(c->evacuations, 2);
	assert_false(c->ha_enabled);
	assert_false(c->ha_restart);
	assert_int_equal(c->ha_boot_delay, 5);
	assert_false(c->ha_hands_over);
}

static void
test_defaults(void **state)
{
	struct fixture *f = *state;

	assert_defaults(&f->config);
	assert_int_equal(load(f, ""), 0);
	assert_defaults(&f->config);
	assert_int_equal(load(f, "# a comment\n\n; another\n[http]\n\t[jobs]  \n"), 0);
	assert_defaults(&f->config);
}

static void
test_missing_file(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(config_load(&f->config, f->file, false, &f->err), 0);
	assert_defaults(&f->config);
	assert_int_equal(config_load(&f->config, f->file, true, &f->err), -1);
	assert_non_null(strstr(f->err.detail, f->file));
	assert_non_null(strstr(f->err.detail, strerror(ENOENT)));
}

static void
test_every_key(void **state)
{
	struct fixture *f = *state;
	const struct config *c = &f->config;

	assert_int_equal(load(f, "[virtxd]\n"
				 "storage_root = /srv/vms\n"
				 "run_dir=/run/other\n"
				 "log_level = debug\n"
				 "[http]\n"
				 "listen = 10.0.0.1:80\n"
				 "  listen = [::1]:8081\n"
				 "listen = [::]:65535 ; all of IPv6\n"
				 "allow_plain = yes\n"
				 "host_names = vms.example alias\n"
				 "allowed_origins = https://ui.example http://[::1]:81\n"
				 "trusted_proxies = 192.0.2.0/24 ::1\n"
				 "max_connections = 8\n"
				 "max_body = 65536\n"
				 "max_headers = 4096\n"
				 "request_timeout = 1\n"
				 "idle_timeout = 2\n"
				 "reply_timeout = 3\n"
				 "[storage]\n"
				 "luns = /dev/disk/by-id/dm-uuid-mpath-*  /dev/mapper/x?\n"
				 "[libvirt]\n"
				 "uri = test:///default\n"
				 "qemu_group = daemon\n"
				 "retry = 4\n"
				 "[serf]\n"
				 "rpc = [fe80::1]:7374\n"
				 "rpc_auth = a secret = one\n"
				 "retry = 6\n"
				 "[sanlock]\n"
				 "io_timeout = 60\n"
				 "answer_timeout = 59\n"
				 "kill_unprotected = yes\n"
				 "[jobs]\n"
				 "running_max = 7\n"
				 "queue_max = 0\n"
				 "stuck_max = 9\n"
				 "collect_period = 11\r\n"
				 "evacuations = 12\r\n"
				 "[ha]\nenabled = yes\npolicy = restart\nboot_delay = 0\n"
				 "on_shutdown = restart\n"
				 "unsafe_without_watchdog = yes\n"),
	    0);
	assert_string_equal(c->storage_root, "/srv/vms");
	assert_string_equal(c->run_dir, "/run/other");
	assert_int_equal(c->log_level, LOG_LEVEL_DEBUG);
	assert_int_equal(c->n_listen, 3);
	assert_string_equal(c->listen[0].addr, "10.0.0.1");
	assert_int_equal(c->listen[0].port, 80);
	assert_string_equal(c->listen[1].addr, "::1");
	assert_int_equal(c->listen[1].port, 8081);
	assert_string_equal(c->listen[2].addr, "::");
	assert_int_equal(c->listen[2].port, 65535);
	assert_string_equal(c->host_names, "vms.example alias");
	assert_string_equal(c->allowed_origins, "https://ui.example http://[::1]:81");
	assert_string_equal(c->trusted_proxies, "192.0.2.0/24 ::1");
	assert_true(c->allow_plain);
	assert_int_equal(c->max_connections, 8);
	assert_int_equal(c->max_body, 65536);
	assert_int_equal(c->max_headers, 4096);
	assert_int_equal(c->request_timeout, 1);
	assert_int_equal(c->idle_timeout, 2);
	assert_int_equal(c->reply_timeout, 3);
	assert_string_equal(c->luns, "/dev/disk/by-id/dm-uuid-mpath-*  /dev/mapper/x?");
	assert_string_equal(c->libvirt_uri, "test:///default");
	assert_int_equal(c->libvirt_retry, 4);
	assert_int_equal(c->qemu_group, 1);
	assert_string_equal(c->serf_addr, "fe80::1");
	assert_int_equal(c->serf_port, 7374);
	assert_string_equal(c->serf_key, "a secret = one");
	assert_int_equal(c->serf_retry, 6);
	assert_int_equal(c->io_timeout, 60);
	assert_int_equal(c->answer_timeout, 59);
	assert_true(c->kill_unprotected);
	assert_int_equal(c->jobs_max, 7);
	assert_int_equal(c->jobs_queue_max, 0);
	assert_int_equal(c->jobs_stuck_max, 9);
	assert_int_equal(c->collect_period, 11);
	assert_int_equal(c->evacuations, 12);
	assert_true(c->ha_enabled);
	assert_true(c->ha_restart);
	assert_int_equal(c->ha_boot_delay, 0);
	assert_true(c->ha_hands_over);
	assert_true(c->ha_unsafe);
}

static void
test_unknown_names(void **state)
{
	struct fixture *f = *state;

	REFUSE(f, "[http]\nlisten = 127.0.0.1:80\nport = 1\n", 3, "'port'", "[http]", "listen",
	    "max_body");
	REFUSE(f, "\n[htpp]\n", 2, "[htpp]", "http", "sanlock");
	REFUSE(f, "[jobs]\n[HTTP]\nlisten = 127.0.0.1:80\n", 2, "[HTTP]");
	REFUSE(f, "uri = test:///default\n", 1, "'uri'", "section");
	REFUSE(f, "[http\n", 1, "]");
	REFUSE(f, "[http] listen\n", 1, "after [http]");
	REFUSE(f, "[http]\nlisten\n", 2, "key = value");
	/* A key is known in its own section only. */
	REFUSE(f, "[serf]\nuri = test:///default\n", 2, "'uri'", "rpc");
}

static void
test_bad_values(void **state)
{
	static const struct {
		const char *line;
		const char *word;
	} rows[] = {
		{ "[sanlock]\nio_timeout = 0", "1 to 60" },
		{ "[sanlock]\nio_timeout = 61", "1 to 60" },
		{ "[sanlock]\nio_timeout = 10s", "'10s'" },
		{ "[sanlock]\nio_timeout = -1", "'-1'" },
		{ "[sanlock]\nio_timeout = +5", "'+5'" },
		{ "[sanlock]\nio_timeout = 99999999999999999999", "integer" },
		{ "[sanlock]\nio_timeout =", "integer" },
		{ "[http]\nallow_plain = true", "yes or no" },
		{ "[http]\nhost_names = a, b", "spaces between" },
		{ "[http]\nhost_names = a:80", "without a port" },
		{ "[http]\nallowed_origins = ui.example", "https://NAME" },
		{ "[http]\nallowed_origins = https://a/", "without a path" },
		{ "[http]\nallowed_origins = http://a https://", "https://NAME" },
		{ "[http]\ntrusted_proxies = proxy", "IP addresses" },
		{ "[http]\ntrusted_proxies = 10.0.0.0/33", "networks" },
		{ "[http]\ntrusted_proxies = ::1/129", "networks" },
		{ "[http]\ntrusted_proxies = 10.0.0.1, 10.0.0.2", "spaces" },
		{ "[http]\nmax_connections = 1", "8 to 65536" },
		{ "[virtxd]\nlog_level = loud", "warning" },
		{ "[virtxd]\nstorage_root = vms", "absolute" },
		{ "[virtxd]\nstorage_root = /vms/", "absolute" },
		{ "[virtxd]\nstorage_root = /a//b", "absolute" },
		{ "[virtxd]\nstorage_root = /a/../b", "absolute" },
		{ "[virtxd]\nstorage_root = /a/.", "absolute" },
		{ "[virtxd]\nstorage_root = /", "absolute" },
		{ "[virtxd]\nstorage_root =", "absolute" },
		{ "[storage]\nluns = sda", "below /dev/" },
		{ "[storage]\nluns = /dev/sda /dev/", "below /dev/" },
		{ "[storage]\nluns = /dev/ /dev/sda", "below /dev/" },
		{ "[libvirt]\nuri = qemu", "URI" },
		{ "[libvirt]\nuri =", "URI" },
		{ "[libvirt]\nqemu_group = no such group", "name or the number" },
		{ "[libvirt]\nqemu_group = 4294967295", "name or the number" },
		{ "[libvirt]\nqemu_group = 1x", "name or the number" },
		{ "[libvirt]\nqemu_group = -1", "name or the number" },
		{ "[http]\nlisten = 8080", "ADDR:PORT" },
		{ "[http]\nlisten = localhost:8080", "IP address" },
		{ "[http]\nlisten = 127.0.0.1:0", "1 to 65535" },
		{ "[http]\nlisten = 127.0.0.1:65536", "1 to 65535" },
		{ "[http]\nlisten = 127.0.0.1:80x", "1 to 65535" },
		{ "[http]\nlisten = ::1:8080", "[ADDR]:PORT" },
		{ "[http]\nlisten = [127.0.0.1]:8080", "[ADDR]:PORT" },
		{ "[http]\nlisten = [::1]", "[ADDR]:PORT" },
		{ "[http]\nlisten =", "ADDR:PORT" },
		{ "[serf]\nrpc = serf:7373", "ADDR:PORT" },
		{ "[jobs]\nqueue_max = \x01", "0x01" },
		{ "[libvirt]\nuri = test:///\xff", "UTF-8" },
	};
	struct fixture *f = *state;

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		_free_ char *text = xasprintf("%s\n[jobs]\nnot reached\n", rows[i].line);

		REFUSE(f, text, 2, rows[i].word);
	}
}

static void
test_group(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(load(f, "[libvirt]\nqemu_group = 64055\n"), 0);
	assert_int_equal(f->config.qemu_group, 64055);
	assert_int_equal(load(f, "[libvirt]\nqemu_group = root\n"), 0);
	assert_int_equal(f->config.qemu_group, 0);
	assert_int_equal(load(f, "[libvirt]\nqemu_group = 4294967294\n"), 0);
	assert_int_equal(f->config.qemu_group, INT64_C(4294967294));
}

static void
test_duplicates(void **state)
{
	struct fixture *f = *state;

	REFUSE(
	    f, "[jobs]\nqueue_max = 1\n[http]\n[jobs]\nqueue_max = 1\n", 5, "queue_max", "twice");
	REFUSE(f, "[http]\nlisten = [::1]:80\nlisten = [0::1]:80\n", 3, "once");
	assert_int_equal(load(f, "[http]\nlisten = 127.0.0.1:80\nlisten = 127.0.0.1:81\n"), 0);
	assert_int_equal(f->config.n_listen, 2);
}

static void
test_plain_beyond_loopback(void **state)
{
	struct fixture *f = *state;

	REFUSE(f, "[http]\nlisten = 127.0.0.1:80\nlisten = 0.0.0.0:80\nmax_body = 65536\n", 3,
	    "0.0.0.0", "'plain'");
	REFUSE(f, "[http]\nlisten = [fe80::1]:80\nallow_plain = no\n", 2, "fe80::1");
	REFUSE(f, "[http]\nlisten = 192.0.2.1:80 plain\n", 2, "192.0.2.1", "'auth'", "'open'");
	REFUSE(f, "[http]\nlisten = 192.0.2.1:80 auth\n", 2, "'plain'");
	REFUSE(f, "[http]\nallow_plain = yes\nlisten = 192.0.2.1:80 plain\n", 3, "'open'");
	REFUSE(f, "[http]\nlisten = 192.0.2.1:80 open\n", 2, "'plain'");
	assert_int_equal(
	    load(f, "[http]\nallow_plain = yes\nlisten = 192.0.2.1:80\nlisten = [::]:1\n"), 0);
	assert_int_equal(
	    load(f, "[http]\nlisten = 127.1.2.3:80\nlisten = [::ffff:127.0.0.1]:81\n"), 0);
}

#define TLS "[tls]\ncertificate = /a/cert\nkey = /a/key\nca = /a/ca\n"

static void
test_listen_words(void **state)
{
	static const struct {
		const char *row;
		enum config_transport transport;
		enum config_access access;
	} cases[] = {
		{ "192.0.2.1:80 plain open", TRANSPORT_PLAIN, ACCESS_OPEN },
		{ "192.0.2.1:80\t plain   open", TRANSPORT_PLAIN, ACCESS_OPEN },
		{ "192.0.2.1:80 tls open", TRANSPORT_TLS, ACCESS_OPEN },
		{ "192.0.2.1:80 open", TRANSPORT_TLS, ACCESS_OPEN },
		{ "127.0.0.1:80", TRANSPORT_PLAIN, ACCESS_AUTH },
		{ "127.0.0.1:80 plain", TRANSPORT_PLAIN, ACCESS_AUTH },
		{ "127.0.0.1:80 tls", TRANSPORT_TLS, ACCESS_AUTH },
		{ "[::1]:80 open", TRANSPORT_PLAIN, ACCESS_OPEN },
		{ "192.0.2.1:80 plain auth", TRANSPORT_PLAIN, ACCESS_AUTH },
		{ "192.0.2.1:80 tls auth", TRANSPORT_TLS, ACCESS_AUTH },
		{ "192.0.2.1:80 auth", TRANSPORT_TLS, ACCESS_AUTH },
		{ "127.0.0.1:80 auth", TRANSPORT_PLAIN, ACCESS_AUTH },
	};
	static const char *const refused[] = { "192.0.2.1:80 http", "192.0.2.1:80 plain tls",
		"192.0.2.1:80 open plain", "192.0.2.1:80 open open", "192.0.2.1:80 auth open",
		"192.0.2.1:80 auth plain", "192.0.2.1:80 Plain open", "192.0.2.1:80plain",
		"plain open" };
	struct fixture *f = *state;

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_free_ char *text = xasprintf(TLS "[http]\nlisten = %s\n", cases[i].row);

		if (load(f, text) < 0)
			fail_msg("%s", f->err.detail);
		assert_int_equal(f->config.listen[0].transport, cases[i].transport);
		assert_int_equal(f->config.listen[0].access, cases[i].access);
		assert_int_equal(f->config.listen[0].port, 80);
	}
	for (size_t i = 0; i < ARRAY_SIZE(refused); i++) {
		_free_ char *text = xasprintf(TLS "[http]\nlisten = %s\n", refused[i]);

		REFUSE(f, text, 6, "'tls' or 'plain'");
	}
	REFUSE(f, "[http]\nlisten = 127.0.0.1:80 tls\n", 2, "[tls]");
	REFUSE(f, "[tls]\ncertificate = /a/cert\nkey = /a/key\n", 3, "'ca'");
	REFUSE(f, "[tls]\nca = /a/ca\n", 2, "'certificate'");
	REFUSE(f, "[tls]\nca = ca.pem\n", 2, "absolute");
}

/* A host that lets nobody in by other ways asks nobody by them. */
static void
test_wants_tls(void **state)
{
	static const struct {
		const char *text;
		bool wants;
	} cases[] = {
		{ TLS "[http]\nlisten = 192.0.2.1:80 tls auth\n", true },
		{ TLS "[http]\nlisten = 127.0.0.1:80 plain open\nlisten = [fd00::1]:80 tls auth\n",
		    true },
		{ TLS "[http]\nlisten = 127.0.0.1:80\n", true },
		/* Such as those on the way to TLS, or together with the Go virtx. */
		{ TLS "[http]\nlisten = 192.0.2.1:80 tls open\n", false },
		{ TLS "[http]\nlisten = 192.0.2.1:80 plain open\n", false },
		{ TLS "[http]\nlisten = 192.0.2.1:80 tls auth\nlisten = 192.0.2.1:81 plain auth\n",
		    false },
		{ "[http]\nlisten = 127.0.0.1:80\n", false },
	};
	struct fixture *f = *state;

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		assert_int_equal(load(f, cases[i].text), 0);
		if (config_wants_tls(&f->config) != cases[i].wants)
			fail_msg("%s", cases[i].text);
	}
}

static void
test_exposed(void **state)
{
	struct fixture *f = *state;
	_free_ char *none = NULL, *all = NULL, *known = NULL, *readable = NULL, *local = NULL;
	unsigned int plain, open;

	assert_int_equal(load(f, TLS "[http]\nlisten = 127.0.0.1:80\nlisten = [::1]:80 tls\n"), 0);
	none = config_exposed(&f->config);
	assert_string_equal(none, "");
	assert_null(config_public_listen(&f->config));
	assert_int_equal(
	    load(f, TLS "[http]\nlisten = 127.0.0.1:80\nlisten = [fd00::1]:81 plain open\n"
			"listen = 192.0.2.1:82 tls open\n"),
	    0);
	all = config_exposed(&f->config);
	assert_string_equal(all,
	    "[fd00::1]:81 is plain and open, 192.0.2.1:82 is open: whoever gets "
	    "there controls the VMs");
	config_count_exposed(&f->config, &plain, &open);
	assert_int_equal(plain, 1);
	assert_int_equal(open, 2);
	assert_int_equal(config_public_listen(&f->config)->port, 82);

	assert_int_equal(load(f, TLS "[http]\nlisten = 192.0.2.1:82 tls auth\n"), 0);
	known = config_exposed(&f->config);
	assert_string_equal(known, "");
	assert_int_equal(config_public_listen(&f->config)->port, 82);
	config_count_exposed(&f->config, &plain, &open);
	assert_int_equal(plain + open, 0);
	/* On loopback as well, where nobody is on the way. */
	assert_int_equal(
	    load(f, "[http]\nlisten = 127.0.0.1:80 open\nlisten = 127.0.0.1:81 auth\n"), 0);
	local = config_exposed(&f->config);
	assert_string_equal(local, "127.0.0.1:80 is open: whoever gets there controls the VMs");
	config_count_exposed(&f->config, &plain, &open);
	assert_int_equal(plain, 0);
	assert_int_equal(open, 1);
	/* Hosts have nothing to show there. */
	assert_int_equal(load(f, "[http]\nlisten = 192.0.2.1:82 plain auth\n"), 0);
	readable = config_exposed(&f->config);
	assert_string_equal(readable, "192.0.2.1:82 is plain: tokens can be read on their way");
	assert_null(config_public_listen(&f->config));
	config_count_exposed(&f->config, &plain, &open);
	assert_int_equal(plain, 1);
	assert_int_equal(open, 0);
}

static void
test_secret(void **state)
{
	struct fixture *f = *state;
	_free_ char *text = xasprintf("[serf]\nrpc_auth_file = %s\n", f->key_file);
	_free_ char *both = xasprintf("[serf]\nrpc_auth = x1\nrpc_auth_file = %s\n", f->key_file);
	_free_ char *huge = xcalloc(8192, 1);

	write_text(f->key_file, "s3cret key\n\n");
	assert_int_equal(load(f, text), 0);
	assert_string_equal(f->config.serf_key, "s3cret key");
	REFUSE(f, both, 3, "rpc_auth", "only one of");

	write_text(f->key_file, "\n");
	REFUSE(f, text, 2, "not empty");
	memset(huge, 'x', 8191);
	write_text(f->key_file, huge);
	REFUSE(f, text, 2, "larger than 4096");
	assert_int_equal(unlink(f->key_file), 0);
	REFUSE(f, text, 2, f->key_file, strerror(ENOENT));
	REFUSE(f, "[serf]\nrpc_auth_file = key\n", 2, "absolute");

	/* It is in no error, not even in one about itself. */
	assert_int_equal(load(f, "[serf]\nrpc_auth = hunter2\nrpc_auth = hunter2\n"), -1);
	assert_null(strstr(f->err.detail, "hunter2"));
}

static void
test_long_lines(void **state)
{
	struct fixture *f = *state;
	_free_ char *line = xcalloc(1001, 1);
	_free_ char *comment = NULL;
	_free_ char *key = NULL;

	memset(line, 'x', 1000);
	/* A comment of any length is one; a value must not come out cut, nor its end as a line. */
	comment = xasprintf("# %s\n[jobs]\nqueue_max = 5\n", line);
	assert_int_equal(load(f, comment), 0);
	assert_int_equal(f->config.jobs_queue_max, 5);
	key = xasprintf("[libvirt]\nretry = 1\nuri = test:///%s\n", line);
	REFUSE(f, key, 3, "more than");
}

static void
test_no_end_of_line(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(load(f, "[jobs]\nqueue_max = 5"), 0);
	assert_int_equal(f->config.jobs_queue_max, 5);
}

static void
test_bad_files(void **state)
{
	struct fixture *f = *state;
	_free_ char *big = xcalloc(70001, 1);
	static const char nul[] = "[jobs]\0\n";
	FILE *file;

	assert_int_equal(config_load(&f->config, f->dir, true, &f->err), -1);
	assert_non_null(strstr(f->err.detail, strerror(EISDIR)));
	assert_int_equal(config_load(&f->config, f->dir, false, &f->err), -1);

	memset(big, '\n', 70000);
	assert_int_equal(load(f, big), -1);
	assert_non_null(strstr(f->err.detail, "larger than 65536 bytes"));

	file = fopen(f->file, "w");
	assert_non_null(file);
	assert_int_equal(fwrite(nul, 1, sizeof(nul), file), sizeof(nul));
	assert_int_equal(fclose(file), 0);
	assert_int_equal(config_load(&f->config, f->file, true, &f->err), -1);
	assert_non_null(strstr(f->err.detail, "NUL"));

	/* A FIFO without a writer must not be waited for. */
	assert_int_equal(unlink(f->file), 0);
	assert_int_equal(mkfifo(f->file, 0600), 0);
	assert_int_equal(config_load(&f->config, f->file, true, &f->err), -1);
	assert_non_null(strstr(f->err.detail, "not a regular file"));

	if (geteuid() != 0) {
		assert_int_equal(unlink(f->file), 0);
		write_text(f->file, "");
		assert_int_equal(chmod(f->file, 0), 0);
		assert_int_equal(config_load(&f->config, f->file, false, &f->err), -1);
		assert_non_null(strstr(f->err.detail, strerror(EACCES)));
	}
}

/* Every key stands in the example, commented out, with its default. */
static void
test_example(void **state)
{
	struct fixture *f = *state;
	const char *root = getenv("VIRTX_SOURCE_ROOT");
	_free_ char *file = NULL;
	_buffer_ struct buffer active = { 0 };
	char line[512];
	unsigned int keys = 0;
	FILE *in;

	if (!root)
		skip();
	file = xasprintf("%s/units/virtxd.conf", root);
	assert_int_equal(config_load(&f->config, file, true, &f->err), 0);
	assert_defaults(&f->config);

	in = fopen(file, "r");
	assert_non_null(in);
	while (fgets(line, sizeof(line), in)) {
		/* "#key = value", in contrast to "# text". */
		bool key = line[0] == '#' && line[1] >= 'a' && line[1] <= 'z';

		if (key && strncmp(line, "#rpc_auth", 9) == 0) {
			keys++;
			continue;
		}
		keys += key;
		buffer_printf(&active, "%s", key ? line + 1 : line);
	}
	assert_int_equal(fclose(in), 0);
	assert_int_equal(keys, 44);
	assert_int_equal(load(f, active.data), 0);
	assert_defaults(&f->config);
}

int
main(void)
{
#define TEST(function) cmocka_unit_test_setup_teardown(function, setup, teardown)
	static const struct CMUnitTest tests[] = {
		TEST(test_defaults),
		TEST(test_missing_file),
		TEST(test_every_key),
		TEST(test_unknown_names),
		TEST(test_bad_values),
		TEST(test_group),
		TEST(test_duplicates),
		TEST(test_plain_beyond_loopback),
		TEST(test_listen_words),
		TEST(test_wants_tls),
		TEST(test_exposed),
		TEST(test_secret),
		TEST(test_long_lines),
		TEST(test_no_end_of_line),
		TEST(test_bad_files),
		TEST(test_example),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
