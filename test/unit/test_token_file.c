/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <dirent.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "domain/store.h"
#include "domain/token_file.h"
#include "proto/json.h"
#include "proto/pki.h"
#include "scratch.h"
#include "work/works.h"

/* The names in a folder. */
static size_t
scratch_entries(const char *root, const char *name)
{
	_free_ char *path = scratch_path(root, name);
	DIR *stream = opendir(path);
	size_t n = 0;

	assert_non_null(stream);
	for (const struct dirent *entry; (entry = readdir(stream));)
		n += strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0;
	closedir(stream);
	return n;
}

#define HASH "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

static int
setup(void **state)
{
	if (scratch_setup(state) < 0)
		return -1;
	scratch_mkdir(*state, "xml");
	scratch_write(*state, "xml/" STORE_MARKER, "");
	return 0;
}

static struct token_record
record_of(const char *name)
{
	return (struct token_record){
		.token = { .name = (char *)name,
		    .role = ROLE_OPERATOR,
		    .created = 1700000000000,
		    .expires = 1800000000000,
		    .user = (char *)"uid:0" },
		.hash = (char *)HASH,
	};
}

static void
save(const char *root, const char *name)
{
	struct token_record record = record_of(name);
	struct error err = { 0 };

	if (token_file_save(root, &record, &err) < 0)
		fail_msg("%s", err.detail);
}

/* The number of tokens; what is wrong with others goes to damaged. */
static size_t
count(const char *root, char **damaged)
{
	struct token_set set = { 0 };
	struct error err = { 0 };
	size_t n;

	if (token_files_load(root, "", &set, &err) < 0)
		fail_msg("%s", err.detail);
	n = set.n_items;
	str_set(damaged, set.damaged);
	model_clear(&token_set_model, &set);
	return n;
}

static void
test_save_load_remove(void **state)
{
	struct token_record record = record_of("ci");
	struct token_set set = { 0 };
	struct error err = { 0 };

	assert_int_equal(token_files_load(*state, "", &set, &err), 0);
	assert_int_equal(set.n_items, 0);
	assert_int_equal(scratch_mode(*state, "auth"), -1);

	save(*state, "ci");
	assert_int_equal(scratch_mode(*state, "auth"), 0700);
	assert_int_equal(scratch_mode(*state, "auth/ci"), 0640);
	assert_int_equal(token_files_load(*state, "", &set, &err), 0);
	assert_int_equal(set.n_items, 1);
	assert_true(model_equal(&token_record_model, &set.items[0], &record));
	assert_string_equal(set.damaged, "");
	model_clear(&token_set_model, &set);

	assert_int_equal(token_file_save(*state, &record, &err), -1);
	assert_int_equal(err.status, 422);
	assert_int_equal(token_file_remove(*state, "no", &err), -1);
	assert_int_equal(err.type, ERROR_NOT_FOUND);
	assert_int_equal(err.status, 404);
	assert_int_equal(token_file_remove(*state, "../xml/" STORE_MARKER, &err), -1);
	assert_int_equal(err.type, ERROR_NOT_FOUND);
	assert_int_equal(err.status, 404);
	assert_int_equal(token_file_remove(*state, "ci", &err), 0);
	assert_int_equal(scratch_mode(*state, "auth/ci"), -1);
	assert_int_equal(token_file_remove(*state, "ci", &err), -1);
	assert_int_equal(err.type, ERROR_NOT_FOUND);
	assert_int_equal(err.status, 404);
}

/* Sets the time of the folder. */
static void
touch(const char *root, time_t seconds)
{
	_free_ char *folder = scratch_path(root, "auth");
	const struct timespec times[] = { { .tv_sec = seconds }, { .tv_sec = seconds } };

	assert_int_equal(utimensat(AT_FDCWD, folder, times, 0), 0);
}

/* Of two hosts that make one of the same name at once, one does. */
static void
test_two_make_one(void **state)
{
	_free_ char *folder = scratch_path(*state, "auth"), *path = scratch_path(*state, "auth/ci");
	_close_ int dir = -1;
	struct error err = { 0 };

	save(*state, "other");
	dir = open(folder, O_RDONLY | O_DIRECTORY);
	assert_int_equal(store_create(dir, "ci", "one", 3, path, &err), 0);
	assert_int_equal(store_create(dir, "ci", "two", 3, path, &err), 1);
	assert_int_equal(scratch_mode(*state, "auth/ci"), 0640);
	assert_int_equal(scratch_entries(*state, "auth"), 2);
	for (int round = 0; round < 10; round++) {
		int made = 0, status;

		assert_int_equal(unlink(path), 0);
		for (int i = 0; i < 4; i++) {
			struct token_record record = record_of("ci");

			if (fork() == 0)
				_exit(token_file_save(*state, &record, &err) == 0 ? 0
				      : err.status == 422			  ? 1
										  : 2);
		}
		for (int i = 0; i < 4; i++) {
			assert_true(wait(&status) > 0);
			assert_true(WIFEXITED(status) && WEXITSTATUS(status) < 2);
			made += WEXITSTATUS(status) == 0;
		}
		assert_int_equal(made, 1);
		assert_int_equal(scratch_entries(*state, "auth"), 2);
	}
}

/* What a save that was cut off has left goes with a later one, and what may be in use does not. */
static void
test_left_behind(void **state)
{
	static const char *const kept[] = { "auth/.a.0123456789abcdef", "auth/.nfs0123456789abcdef",
		"auth/.a.swp" };
	_free_ char *old = scratch_path(*state, "auth/.b.0123456789abcdef");
	const struct timespec long_ago[] = { { .tv_sec = 1700000000 }, { .tv_sec = 1700000000 } };

	save(*state, "ci");
	scratch_write(*state, "auth/.b.0123456789abcdef", "");
	for (size_t i = 0; i < ARRAY_SIZE(kept); i++) {
		_free_ char *path = scratch_path(*state, kept[i]);

		scratch_write(*state, kept[i], "");
		if (i > 0)
			assert_int_equal(utimensat(AT_FDCWD, path, long_ago, 0), 0);
	}
	assert_int_equal(utimensat(AT_FDCWD, old, long_ago, 0), 0);
	save(*state, "other");
	assert_int_equal(access(old, F_OK), -1);
	for (size_t i = 0; i < ARRAY_SIZE(kept); i++)
		assert_true(scratch_mode(*state, kept[i]) >= 0);
}

/* A change of the folder is seen, and where there was none the files are not read. */
static void
test_stamp(void **state)
{
	_free_ char *old = NULL;
	struct token_set set = { 0 };
	struct error err = { 0 };

	save(*state, "ci");
	assert_int_equal(token_files_load(*state, "", &set, &err), 0);
	assert_int_equal(set.n_items, 1);
	assert_false(set.same);
	old = xstrdup(set.stamp);
	assert_string_not_equal(old, "");
	model_clear(&token_set_model, &set);
	assert_int_equal(token_files_load(*state, old, &set, &err), 0);
	assert_true(set.same);
	assert_int_equal(set.n_items, 0);
	model_clear(&token_set_model, &set);

	touch(*state, 1700000000);
	save(*state, "other");
	assert_int_equal(token_files_load(*state, old, &set, &err), 0);
	assert_false(set.same);
	assert_int_equal(set.n_items, 2);
	model_clear(&token_set_model, &set);
}

/* A storage whose clock is far off is no other than one whose clock is right. */
static void
test_clock_of_storage(void **state)
{
	static const time_t times[] = { 1000, 4000000000 };
	struct token_set set = { 0 };
	struct error err = { 0 };

	save(*state, "ci");
	for (size_t i = 0; i < ARRAY_SIZE(times); i++) {
		_free_ char *old = NULL;

		touch(*state, times[i]);
		assert_int_equal(token_files_load(*state, "", &set, &err), 0);
		old = xstrdup(set.stamp);
		model_clear(&token_set_model, &set);
		assert_int_equal(token_files_load(*state, old, &set, &err), 0);
		assert_true(set.same);
		model_clear(&token_set_model, &set);
	}
}

/* What is no token is left out and told, and takes no other one with it. */
static void
test_damaged(void **state)
{
	static const struct {
		const char *text, *words;
	} cases[] = {
		{ "", "name: '' is no name" },
		{ "{", "invalid JSON" },
		{ "{\"token\":{\"name\":\"bad\",\"role\":4},\"hash\":\"" HASH "\"}", "role" },
		{ "{\"token\":{\"name\":\"bad\",\"role\":0},\"hash\":\"" HASH "\"}", "role: has" },
		{ "{\"token\":{\"name\":\"bad\",\"role\":3},\"hash\":\"\"}", "hash: is no" },
		{ "{\"token\":{\"name\":\"bad\",\"role\":3},\"hash\":\"" HASH "0\"}",
		    "hash: is no" },
		{ "{\"token\":{\"name\":\"good\",\"role\":3},\"hash\":\"" HASH "\"}",
		    "name: it is that of another" },
		{ "{\"token\":{\"name\":\"bad\",\"role\":3,\"expires\":-1},\"hash\":\"" HASH "\"}",
		    "expires" },
		/* A limit that a later virtxd sets is not taken for none. */
		{ "{\"token\":{\"name\":\"bad\",\"role\":3,\"only\":\"a=b\"},\"hash\":\"" HASH
		  "\"}",
		    "only" },
	};
	_free_ char *damaged = NULL, *bad = scratch_path(*state, "auth/bad");
	_free_ char *good = scratch_path(*state, "auth/good");
	_free_ char *large = xcalloc(5001, 1);

	save(*state, "good");
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		scratch_write(*state, "auth/bad", cases[i].text);
		assert_int_equal(count(*state, &damaged), 1);
		if (!strstr(damaged, "/auth/bad'") || !strstr(damaged, cases[i].words))
			fail_msg("'%s' does not say '%s'", damaged, cases[i].words);
	}
	memset(large, ' ', 5000);
	scratch_write(*state, "auth/bad", large);
	assert_int_equal(count(*state, &damaged), 1);
	assert_non_null(strstr(damaged, "longer than 4096 bytes"));
	assert_int_equal(unlink(bad), 0);
	/* What a save that was cut off has left, and what is no name. */
	scratch_write(*state, "auth/.bad.12", "");
	scratch_write(*state, "auth/b d", "");
	assert_int_equal(count(*state, &damaged), 1);
	assert_string_equal(damaged, "");
	assert_int_equal(access(good, F_OK), 0);
}

/* Nor is what is no file read, as through a link; it can be removed all the same, but a folder. */
static void
test_no_files(void **state)
{
	_free_ char *damaged = NULL, *large = xcalloc(STORE_FILE_MAX + 2, 1);
	_free_ char *link = scratch_path(*state, "auth/link"),
		    *fifo = scratch_path(*state, "auth/fifo");
	static const char *const names[] = { "link", "fifo", "folder", "large" };
	struct error err = { 0 };

	save(*state, "good");
	assert_int_equal(symlink("good", link), 0);
	assert_int_equal(mkfifo(fifo, 0600), 0);
	scratch_mkdir(*state, "auth/folder");
	memset(large, ' ', STORE_FILE_MAX + 1);
	scratch_write(*state, "auth/large", large);
	assert_int_equal(count(*state, &damaged), 1);
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		_free_ char *word = xasprintf("/auth/%s'", names[i]);

		if (!strstr(damaged, word))
			fail_msg("'%s' does not say '%s'", damaged, word);
		if (str_equal(names[i], "folder")) {
			assert_int_equal(token_file_remove(*state, names[i], &err), -1);
			assert_int_equal(err.status, 507);
		} else {
			assert_int_equal(token_file_remove(*state, names[i], &err), 0);
		}
	}
	assert_int_equal(scratch_entries(*state, "auth"), 2);
}

/* One that the storage does not give, here as it is leased to who writes it, is told by its name,
 * and looked for again, whether the folder changes or not. */
static void
test_unread(void **state)
{
	_free_ char *path = scratch_path(*state, "auth/ci");
	struct token_set set = { 0 };
	struct error err = { 0 };
	_close_ int fd = -1;

	save(*state, "ci");
	save(*state, "good");
	signal(SIGIO, SIG_IGN);
	fd = open(path, O_RDWR | O_CLOEXEC);
	if (fcntl(fd, F_SETLEASE, F_WRLCK) < 0)
		skip();
	assert_int_equal(token_files_load(*state, "", &set, &err), 0);
	assert_int_equal(set.n_items, 1);
	assert_string_equal(set.items[0].token.name, "good");
	assert_int_equal(set.n_unread, 1);
	assert_string_equal(set.unread[0].name, "ci");
	assert_string_equal(set.stamp, "");
	assert_non_null(strstr(set.damaged, "/auth/ci'"));
	model_clear(&token_set_model, &set);
	assert_int_equal(fcntl(fd, F_SETLEASE, F_UNLCK), 0);
	assert_int_equal(token_files_load(*state, "", &set, &err), 0);
	assert_int_equal(set.n_items, 2);
	assert_int_equal(set.n_unread, 0);
	assert_string_not_equal(set.stamp, "");
	model_clear(&token_set_model, &set);
}

/* Nothing is read from a folder of others, or where the storage is not mounted. */
static void
test_refused(void **state)
{
	_free_ char *folder = scratch_path(*state, "auth"),
		    *elsewhere = scratch_path(*state, "elsewhere"),
		    *marker = scratch_path(*state, "xml/" STORE_MARKER);
	struct token_record record = record_of("ci");
	struct token_set set = { 0 };
	struct error err = { 0 };

	save(*state, "good");
	assert_int_equal(chmod(folder, 0750), 0);
	assert_int_equal(token_files_load(*state, "", &set, &err), -1);
	assert_non_null(strstr(err.detail, "is not for root alone"));
	assert_int_equal(token_file_save(*state, &record, &err), -1);
	assert_int_equal(chmod(folder, 0700), 0);

	assert_int_equal(rename(folder, elsewhere), 0);
	assert_int_equal(symlink(elsewhere, folder), 0);
	assert_int_equal(token_files_load(*state, "", &set, &err), -1);
	assert_int_equal(token_file_save(*state, &record, &err), -1);
	assert_int_equal(unlink(folder), 0);

	assert_int_equal(unlink(marker), 0);
	assert_int_equal(token_files_load(*state, "", &set, &err), -1);
	assert_int_equal(err.status, 503);
	assert_int_equal(token_file_save(*state, &record, &err), -1);
	assert_int_equal(err.status, 503);
	assert_int_equal(scratch_mode(*state, "auth"), -1);
}

static void
test_bound(void **state)
{
	struct token_record record = record_of("one-more");
	_free_ char *damaged = NULL;
	struct error err = { 0 };

	save(*state, "first");
	for (int i = 1; i < TOKENS_MAX; i++) {
		_free_ char *name = xasprintf("auth/t%d", i);
		_free_ char *text = NULL;
		struct token_record other = record_of(name + strlen("auth/"));

		text = json_encode(&token_record_model, &other, NULL);
		scratch_write(*state, name, text);
	}
	assert_int_equal(count(*state, &damaged), TOKENS_MAX);
	assert_int_equal(token_file_save(*state, &record, &err), -1);
	assert_int_equal(err.status, 507);
	/* Some host without that bound. */
	scratch_write(*state, "auth/x", "");
	scratch_write(*state, "auth/y", "");
	assert_true(count(*state, &damaged) <= TOKENS_MAX);
	assert_non_null(strstr(damaged, "more than may be"));
}

/* Whoever makes short ones by a script can go on with the same name. */
static void
test_ended(void **state)
{
	struct token_record record = record_of("ci");
	_free_ char *damaged = NULL;
	struct error err = { 0 };

	record.token.created = 1;
	record.token.expires = 2;
	assert_int_equal(token_file_save(*state, &record, &err), 0);
	save(*state, "ci");
	assert_int_equal(count(*state, &damaged), 1);
	assert_int_equal(token_file_save(*state, &record, &err), -1);
	assert_int_equal(err.status, 422);
	record.token.name = (char *)"endless";
	record.token.expires = 0;
	assert_int_equal(token_file_save(*state, &record, &err), 0);
	assert_int_equal(token_file_save(*state, &record, &err), -1);
	/* What is no token is in the way, as long as nobody has looked at it. */
	scratch_write(*state, "auth/bad", "{");
	record.token.name = (char *)"bad";
	assert_int_equal(token_file_save(*state, &record, &err), -1);
	assert_int_equal(err.status, 422);
}

/* As virtxd has written them that knew of secrets alone. */
static void
test_older(void **state)
{
	struct token_set set = { 0 };
	struct error err = { 0 };

	save(*state, "ci");
	scratch_write(*state, "auth/ci",
	    "{\"token\":{\"name\":\"ci\",\"role\":2,\"created\":1,\"expires\":0,\"user\":\"me\","
	    "\"only\":{\"name\":\"\",\"value\":\"\"}},\"hash\":\"" HASH "\"}");
	assert_int_equal(token_files_load(*state, "", &set, &err), 0);
	assert_int_equal(set.n_items, 1);
	assert_false(set.items[0].token.certificate);
	model_clear(&token_set_model, &set);
}

/* The job signs a certificate, and keeps its fingerprint, or does neither. */
static void
test_certificate(void **state)
{
	_free_ char *ca_path = scratch_path(*state, "ca.pem");
	_free_ char *ca_key_path = scratch_path(*state, "ca.key");
	char *ca_key = pki_key_new(), *key = pki_key_new();
	char print[PKI_FINGERPRINT_SIZE];
	struct token_save_result res = { 0 };
	struct token_set set = { 0 };
	struct error err = { 0 };
	_free_ char *ca = pki_ca_new(ca_key, "a CA", &err);
	_free_ char *request = pki_request_new(key, NULL, 0, &err);
	struct token_save_request req = { .env.root = *state,
		.record = record_of("alice"),
		.ca = ca_path,
		.ca_key = ca_key_path,
		.request = request };
	int64_t length;

	req.record.hash = NULL;
	req.record.token.certificate = true;
	req.record.token.expires = now_ms() + 3600 * 1000;
	assert_int_equal(work_token_save(&req, &res, &err), -1);
	assert_int_equal(err.status, 500);
	scratch_write(*state, "ca.pem", ca);
	scratch_write(*state, "ca.key", ca_key);
	req.request = (char *)"none";
	assert_int_equal(work_token_save(&req, &res, &err), -1);
	assert_int_equal(err.status, 400);
	assert_int_equal(scratch_mode(*state, "auth/alice"), -1);
	model_clear(&token_save_result_model, &res);

	req.request = request;
	assert_int_equal(work_token_save(&req, &res, &err), 0);
	assert_int_equal(pki_fingerprint(res.certificate, print, &err), 0);
	assert_string_equal(res.hash, print);
	assert_true(llabs(pki_end(res.certificate, &length) - req.record.token.expires) < 60000);
	assert_int_equal(token_files_load(*state, "", &set, &err), 0);
	assert_int_equal(set.n_items, 1);
	assert_string_equal(set.items[0].hash, print);
	assert_true(set.items[0].token.certificate);
	model_clear(&token_set_model, &set);
	model_clear(&token_save_result_model, &res);

	/* Another one of the name is handed out to nobody. */
	assert_int_equal(work_token_save(&req, &res, &err), -1);
	assert_int_equal(err.status, 422);
	model_clear(&token_save_result_model, &res);
	pki_wipe(ca_key);
	pki_wipe(key);
}

static void
test_names(void **state)
{
	static const char *const good[] = { "a", "0", "ci", "A.b_c-D",
		"abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuv" };
	static const char *const bad[] = { "", ".", "..", ".a", "-a", "_a", "a/b", "a b", "a\n",
		"ä", "a:b", "abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvw" };

	for (size_t i = 0; i < ARRAY_SIZE(good); i++)
		assert_true(token_name_valid(good[i]));
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_false(token_name_valid(bad[i]));
}

/* They are no tokens, nor are tokens hosts; what is there twice is there once. */
static void
test_hosts_put_out(void **state)
{
	static const char one[] = "a0000000-0000-4000-8000-000000000001";
	static const char two[] = "a0000000-0000-4000-8000-000000000002";
	struct token_set set = { 0 };
	struct error err = { 0 };

	/* There is no folder yet. */
	assert_int_equal(token_host_put_out(*state, one, false, &err), 0);
	assert_int_equal(token_host_put_out(*state, one, true, &err), 0);
	assert_int_equal(
	    token_host_put_out(*state, "A0000000-0000-4000-8000-000000000001", true, &err), 0);
	assert_int_equal(token_host_put_out(*state, two, true, &err), 0);
	assert_int_equal(token_host_put_out(*state, "../x", true, &err), -1);
	assert_int_equal(err.status, 400);
	save(*state, "ci");
	scratch_write(*state, "auth/.out.x", "");
	assert_int_equal(token_files_load(*state, "", &set, &err), 0);
	assert_int_equal(set.n_items, 1);
	assert_int_equal(set.n_out, 2);
	assert_string_equal(str_or_empty(set.damaged), "");
	model_clear(&token_set_model, &set);
	assert_int_equal(token_host_put_out(*state, one, false, &err), 0);
	assert_int_equal(token_host_put_out(*state, one, false, &err), 0);
	assert_int_equal(token_files_load(*state, "", &set, &err), 0);
	assert_int_equal(set.n_out, 1);
	assert_string_equal(set.out[0].name, two);
	/* Neither is a token what may be removed as one. */
	assert_int_equal(
	    token_file_remove(*state, ".out.a0000000-0000-4000-8000-000000000002", &err), -1);
	model_clear(&token_set_model, &set);
}

/* Who puts out ever more hosts is told, before one of them is let in unseen. */
static void
test_many_put_out(void **state)
{
	struct error err = { 0 };
	char name[80], uuid[40];

	assert_int_equal(
	    token_host_put_out(*state, "a0000000-0000-4000-8000-000000000001", true, &err), 0);
	for (int i = 0; i < 999; i++) {
		snprintf(uuid, sizeof(uuid), "b0000000-0000-4000-8000-00000000%04d", i);
		snprintf(name, sizeof(name), "auth/.out.%s", uuid);
		scratch_write(*state, name, "");
	}
	assert_int_equal(
	    token_host_put_out(*state, "a0000000-0000-4000-8000-000000000002", true, &err), -1);
	assert_int_equal(err.status, 507);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_save_load_remove, setup, scratch_teardown),
		cmocka_unit_test_setup_teardown(test_two_make_one, setup, scratch_teardown),
		cmocka_unit_test_setup_teardown(test_left_behind, setup, scratch_teardown),
		cmocka_unit_test_setup_teardown(test_stamp, setup, scratch_teardown),
		cmocka_unit_test_setup_teardown(test_clock_of_storage, setup, scratch_teardown),
		cmocka_unit_test_setup_teardown(test_damaged, setup, scratch_teardown),
		cmocka_unit_test_setup_teardown(test_no_files, setup, scratch_teardown),
		cmocka_unit_test_setup_teardown(test_unread, setup, scratch_teardown),
		cmocka_unit_test_setup_teardown(test_refused, setup, scratch_teardown),
		cmocka_unit_test_setup_teardown(test_ended, setup, scratch_teardown),
		cmocka_unit_test_setup_teardown(test_bound, setup, scratch_teardown),
		cmocka_unit_test_setup_teardown(test_hosts_put_out, setup, scratch_teardown),
		cmocka_unit_test_setup_teardown(test_many_put_out, setup, scratch_teardown),
		cmocka_unit_test_setup_teardown(test_older, setup, scratch_teardown),
		cmocka_unit_test_setup_teardown(test_certificate, setup, scratch_teardown),
		cmocka_unit_test(test_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
