/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Commands about tokens, and the file that has the secret of one. */
#include "verb_fixture.h"

#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "virtx/secret_file.h"

#define SECRET "virtx_0123456789abcdef"

static void
test_create(void **state)
{
	struct verb_fixture *f = *state;

	verb_answer_json(f, "{\"token\":{\"name\":\"ci\",\"role\":2},\"secret\":\"" SECRET "\"}");
	verb_ok(f, "token create ci --role operator");
	/* A file that it is written to has nothing else. */
	assert_string_equal(f->out, SECRET "\n");
	assert_string_equal(f->said, "");
	verb_asked(f, 0, "POST /auth/tokens", "{\"name\":\"ci\",\"role\":2,\"lifetime\":0,");
	verb_ok(f, "token create ci -r viewer -e 90d");
	verb_asked(f, 1, "POST /auth/tokens", "{\"name\":\"ci\",\"role\":1,\"lifetime\":7776000,");
	verb_ok(f, "token create ci -r 3 -e 12h -o json");
	verb_asked(f, 2, "POST /auth/tokens", "{\"name\":\"ci\",\"role\":3,\"lifetime\":43200,");
	assert_string_equal(f->out, "\"" SECRET "\"\n");
	verb_ok(f, "token create ci -r admin -e 30m");
	verb_asked(f, 3, "POST /auth/tokens", "\"lifetime\":1800");
	verb_asked(f, 3, "POST /auth/tokens", "\"only\":{\"name\":\"\",\"value\":\"\"}");
	verb_ok(f, "token create ci -r operator --only owner=alice");
	verb_asked(f, 4, "POST /auth/tokens", "\"only\":{\"name\":\"owner\",\"value\":\"alice\"}");
}

/* By it a host joins the cluster of whoever was asked, which is not to be a surprise. */
static void
test_cluster_token(void **state)
{
	struct verb_fixture *f = *state;

	verb_answer_json(f, "{\"addresses\":\"192.0.2.1:8080\",\"fingerprint\":\"ab12\","
			    "\"secret\":\"" SECRET "\",\"expires\":1}");
	verb_ok(f, "cluster token");
	assert_string_equal(f->out, "virtx-join/192.0.2.1:8080/ab12/" SECRET "\n");
	assert_string_equal(f->said, "virtx: a host joins the cluster of 192.0.2.1:8080 by it\n");
}

static void
test_secret_file(void **state)
{
	struct verb_fixture *f = *state;
	char folder[] = "/tmp/virtx-secret-XXXXXX";
	_free_ char *path = NULL, *line = NULL;
	struct error err = { 0 };
	struct stat st;
	char *secret;
	mode_t mask;

	assert_non_null(mkdtemp(folder));
	path = xasprintf("%s/ci", folder);
	line = xasprintf("token create ci -r viewer --secret-file %s", path);
	verb_answer_json(f, "{\"token\":{\"name\":\"ci\",\"role\":1},\"secret\":\"" SECRET "\"}");
	mask = umask(0);
	verb_ok(f, line);
	umask(mask);
	assert_string_equal(f->out, "");
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	assert_int_equal(secret_file_read(path, &secret, &err), 0);
	assert_string_equal(secret, SECRET);
	secret_file_free(secret);
	/* What is there stays, and no token is made for it. */
	verb_fails(f, line, COMMAND_FAILED, path);
	assert_int_equal(f->n_requests, 1);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(unlink(path), 0);
	/* Nothing is left where there is no secret. */
	verb_forget(f);
	verb_answer(f, 422, "Content-Type: application/problem+json\r\n",
	    "{\"title\":\"T\",\"status\":422,\"detail\":\"there is one\"}");
	verb_fails(f, line, COMMAND_FAILED, "there is one");
	assert_int_equal(stat(path, &st), -1);
	assert_int_equal(rmdir(folder), 0);
}

static void
test_create_badly(void **state)
{
	static const char *const times[] = { "90", "d", "0d", "-1d", "1.5d", "90dd", "3651d", "1w",
		"99999999999999999999d", "+1d" };
	struct verb_fixture *f = *state;

	verb_fails(f, "token create ci", COMMAND_USAGE, "--role");
	verb_fails(f, "token create ci -r viewer -O owner", COMMAND_USAGE, "is not NAME=VALUE");
	verb_fails(f, "token create ci -r viewer -O =alice", COMMAND_USAGE, "is not NAME=VALUE");
	verb_fails(f, "token create ci -r viewer -O owner=", COMMAND_USAGE, "is not NAME=VALUE");
	verb_fails(f, "token create ci -r none", COMMAND_USAGE, "--role");
	verb_fails(f, "token create ci -r root", COMMAND_USAGE, "root");
	for (size_t i = 0; i < ARRAY_SIZE(times); i++) {
		_free_ char *line = xasprintf("token create ci -r viewer --expires=%s", times[i]);

		verb_fails(f, line, COMMAND_USAGE, "is no time");
	}
	assert_int_equal(f->n_requests, 0);
	verb_forget(f);
	verb_answer(f, 422, "", "there is one");
	verb_fails(f, "token create ci -r viewer", COMMAND_FAILED,
	    "cannot make token 'ci': 422: there is one");
}

static void
test_list(void **state)
{
	struct verb_fixture *f = *state;

	verb_answer_json(f,
	    "{\"items\":[{\"name\":\"ci\",\"role\":2,\"created\":1700000000000,\"expires\":0,"
	    "\"user\":\"uid:0\"},{\"name\":\"old\",\"role\":1,\"created\":1700000000000,"
	    "\"expires\":1700000000001,\"user\":\"token:ci\",\"certificate\":true,"
	    "\"only\":{\"name\":\"owner\",\"value\":\"alice\"}}]}");
	verb_ok(f, "token list");
	assert_string_equal(f->out,
	    "NAME  KIND         ROLE      CREATED                   BY        EXPIRES           "
	    "               ONLY\n"
	    "ci    secret       operator  2023-11-14T22:13:20+0000  uid:0     never             "
	    "               -\n"
	    "old   certificate  viewer    2023-11-14T22:13:20+0000  token:ci  "
	    "2023-11-14T22:13:20+0000 (over)  owner=alice\n");
	verb_asked(f, 0, "GET /auth/tokens", "");
}

/* A folder of its own, in which the test is until leave_folder(). */
static char *
enter_folder(void)
{
	static char folder[sizeof("/tmp/virtx-user-XXXXXX")];

	snprintf(folder, sizeof(folder), "/tmp/virtx-user-XXXXXX");
	assert_non_null(mkdtemp(folder));
	assert_int_equal(chdir(folder), 0);
	return folder;
}

static void
leave_folder(const char *folder)
{
	assert_int_equal(chdir("/"), 0);
	assert_int_equal(rmdir(folder), 0);
}

#define MADE                                                                               \
	"{\"token\":{\"name\":\"alice\",\"role\":2,\"certificate\":true},\"secret\":\"\"," \
	"\"certificate\":\"a certificate\"}"

static void
test_user(void **state)
{
	struct verb_fixture *f = *state;
	char *folder = enter_folder();
	struct error err = { 0 };
	_free_ char *key = NULL;
	struct stat st;
	mode_t mask;
	size_t len;

	verb_answer_json(f, MADE);
	mask = umask(0);
	verb_ok(f, "user certificate alice -r operator");
	umask(mask);
	assert_string_equal(f->out, "written: alice.key, alice.pem\n");
	verb_asked(f, 0, "POST /auth/tokens", "{\"name\":\"alice\",\"role\":2,\"lifetime\":0,");
	verb_asked(f, 0, "POST /auth/tokens", "\"request\":\"-----BEGIN CERTIFICATE REQUEST-----");
	assert_int_equal(stat("alice.key", &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	/* The key stays here. */
	key = command_read("alice.key", 4096, &len, &err);
	assert_non_null(key);
	assert_int_equal(strncmp(key, "-----BEGIN PRIVATE KEY-----", 27), 0);
	assert_null(strstr(f->requests[0].body, "PRIVATE"));
	/* What is there stays, and no certificate is made. */
	verb_fails(f, "user certificate alice -r operator", COMMAND_FAILED, "alice.key");
	assert_int_equal(unlink("alice.key"), 0);
	verb_fails(f, "user certificate alice -r operator", COMMAND_FAILED, "alice.pem");
	assert_int_equal(stat("alice.key", &st), -1);
	assert_int_equal(f->n_requests, 1);
	assert_int_equal(unlink("alice.pem"), 0);
	verb_ok(f, "user certificate alice -r viewer -e 30d --only owner=alice");
	verb_asked(f, 1, "POST /auth/tokens",
	    "\"lifetime\":2592000,\"only\":{\"name\":\"owner\",\"value\":\"alice\"}");
	assert_int_equal(unlink("alice.pem") | unlink("alice.key"), 0);
	leave_folder(folder);
}

static void
test_user_badly(void **state)
{
	struct verb_fixture *f = *state;
	char *folder = enter_folder();

	verb_fails(f, "user certificate alice", COMMAND_USAGE, "--role");
	verb_fails(f, "user certificate alice -r admin -e 366d", COMMAND_USAGE, "is no time");
	verb_fails(f, "user certificate ../alice -r admin", COMMAND_USAGE, "'../alice'");
	verb_fails(f, "user certificate /tmp/alice -r admin", COMMAND_USAGE, "'/tmp/alice'");
	assert_int_equal(f->n_requests, 0);
	/* Nothing is left where there is no certificate. */
	verb_forget(f);
	verb_answer(f, 501, "Content-Type: application/problem+json\r\n",
	    "{\"title\":\"T\",\"status\":501,\"detail\":\"it has no key\"}");
	verb_fails(f, "user certificate alice -r admin", COMMAND_FAILED,
	    "cannot make a certificate for 'alice': 501: it has no key");
	leave_folder(folder);
}

/* The secret is one word of a file, and goes to the server but to no debugging text. */
static void
test_secret(void **state)
{
	static const char *const bad[] = { "", "\n", "a b\n", "a\nb", "\x01", "a\r\nX: y" };
	char path[] = "/tmp/virtx-secret-XXXXXX";
	int fd = mkstemp(path);
	struct error err = { 0 };
	char *secret;

	assert_true(fd >= 0);
	assert_int_equal(write_all(fd, SECRET "\n", strlen(SECRET) + 1), 0);
	assert_int_equal(secret_file_read(path, &secret, &err), 0);
	assert_string_equal(secret, SECRET);
	secret_file_free(secret);
	/* Others than its owner are not to have it. */
	for (mode_t mode = 0640; mode <= 0644; mode += 4) {
		assert_int_equal(fchmod(fd, mode == 0644 ? 0604 : mode), 0);
		assert_int_equal(secret_file_read(path, &secret, &err), -1);
		assert_null(secret);
		assert_says(err.detail, path);
		assert_says(err.detail, "chmod 600");
	}
	assert_int_equal(fchmod(fd, 0400), 0);
	assert_int_equal(secret_file_read(path, &secret, &err), 0);
	secret_file_free(secret);
	assert_int_equal(secret_file_read("/nowhere", &secret, &err), -1);
	assert_says(err.detail, "/nowhere");
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		assert_int_equal(ftruncate(fd, 0), 0);
		assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
		assert_int_equal(write_all(fd, bad[i], strlen(bad[i])), 0);
		assert_int_equal(secret_file_read(path, &secret, &err), -1);
		assert_null(secret);
		assert_says(err.detail, path);
	}
	close(fd);
	unlink(path);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_create),
		TEST(test_cluster_token),
		TEST(test_secret_file),
		TEST(test_create_badly),
		TEST(test_list),
		TEST(test_user),
		TEST(test_user_badly),
		cmocka_unit_test(test_secret),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
