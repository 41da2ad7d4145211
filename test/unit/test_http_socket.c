/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The server's UNIX socket: who gets in, and who had it before. */
#include "http_fixture.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define GET	 "GET /vms/" UUID "/runstate HTTP/1.1\r\nHost: localhost\r\n\r\n"
#define CROWD	 100
#define NAME_LEN 90 /* of a client's own end: more than evhttp has room for */

static char folder[] = "/tmp/virtx-socket-XXXXXX";
static char path[sizeof(folder) + 32];
static char gate[sizeof(path) + 8];

static int
make_folder(void **state)
{
	if (!mkdtemp(folder))
		return -1;
	snprintf(path, sizeof(path), "%s/run/virtxd.sock", folder);
	snprintf(gate, sizeof(gate), "%s.gate", path);
	return 0;
}

static int
remove_folder(void **state)
{
	_free_ char *run = xasprintf("%s/run", folder);

	unlink(path);
	rmdir(run);
	return rmdir(folder);
}

static struct sockaddr_un
address(const char *name)
{
	struct sockaddr_un sa = { .sun_family = AF_UNIX };

	assert_true(strlen(name) < sizeof(sa.sun_path));
	memcpy(sa.sun_path, name, strlen(name));
	return sa;
}

/* From this path, where it is not NULL. */
static void
client_open_socket(struct client *c, struct fixture *f, const char *from)
{
	struct sockaddr_un to = address(path), own = address(from ? from : "");

	*c = (struct client){ .f = f };
	c->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	assert_true(c->fd >= 0);
	if (from)
		assert_int_equal(bind(c->fd, (struct sockaddr *)&own, sizeof(own)), 0);
	/* The backlog is full until the server has its turn. */
	while (connect(c->fd, (struct sockaddr *)&to, sizeof(to)) < 0) {
		assert_int_equal(errno, EAGAIN);
		event_base_loop(f->base, EVLOOP_ONCE);
	}
	assert_int_equal(fcntl(c->fd, F_SETFL, 0), 0);
	c->event = event_new(f->base, c->fd, EV_READ | EV_PERSIST, client_on_readable, c);
	event_add(c->event, NULL);
}

static void
must_open(struct fixture *f)
{
	struct error err = { 0 };

	if (http_server_open_socket(f->server, path, &err) < 0)
		fail_msg("%s", err.detail);
}

static void
cannot_open(struct fixture *f, const char *word)
{
	struct error err = { 0 };
	struct http_server *other = http_server_new(f->base, &f->config, fixture_handle, f, &err);

	assert_non_null(other);
	assert_int_equal(http_server_open_socket(other, path, &err), -1);
	if (!strstr(err.detail, word) || !strstr(err.detail, path))
		fail_msg("'%s' does not say '%s'", err.detail, word);
	http_server_free(other);
}

static void
test_requests(void **state)
{
	_free_ char *user = xasprintf("uid:%u", getuid());
	struct fixture *f = *state;
	struct client c;
	struct reply r;

	must_open(f);
	client_open_socket(&c, f, NULL);
	for (int i = 0; i < 3; i++) {
		client_send(&c, GET);
		expect(&c, 200);
	}
	assert_string_equal(f->user, user);
	/* Nobody is asked for by another there. */
	client_send(
	    &c, "GET /hosts HTTP/1.1\r\nHost: localhost\r\nX-Forwarded-For: 10.0.0.1\r\n\r\n");
	read_reply(&c, false, &r);
	assert_string_equal(r.body, "unix");
	reply_clear(&r);
	assert_string_equal(f->user, user);
	client_close(&c);
}

/* What the clients get in by is for this process's user alone, and is no other way in. */
static void
test_gate(void **state)
{
	struct fixture *f = *state;
	struct sockaddr_un sa = address(gate);
	struct stat st;
	struct client c;
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	char byte;

	must_open(f);
	assert_int_equal(stat(gate, &st), 0);
	assert_true(S_ISSOCK(st.st_mode));
	assert_int_equal(st.st_mode & 07777, 0600);
	assert_int_equal(connect(fd, (struct sockaddr *)&sa, sizeof(sa)), 0);
	run_for(f, 100);
	assert_int_equal(recv(fd, &byte, 1, MSG_DONTWAIT), 0);
	client_open_socket(&c, f, NULL);
	client_send(&c, GET);
	expect(&c, 200);
	client_close(&c);
	close(fd);
	fixture_stop(f);
	assert_int_equal(access(gate, F_OK), -1);
	fixture_start(f);
}

/* What a client calls its own end is of no concern, however long it is. */
static void
test_bound_client(void **state)
{
	struct fixture *f = *state;
	char name[NAME_LEN + 1];
	struct client c;

	must_open(f);
	memset(name, 'x', NAME_LEN);
	name[NAME_LEN] = '\0';
	memcpy(name, folder, strlen(folder));
	name[strlen(folder)] = '/';
	client_open_socket(&c, f, name);
	client_send(&c, GET);
	expect(&c, 200);
	client_close(&c);
	unlink(name);
}

/* More than wait at once. */
static void
test_crowd(void **state)
{
	_free_ struct client *crowd = xcalloc(CROWD, sizeof(*crowd));
	struct fixture *f = *state;

	must_open(f);
	for (int i = 0; i < CROWD; i++) {
		client_open_socket(&crowd[i], f, NULL);
		client_send(&crowd[i], GET);
	}
	for (int i = 0; i < CROWD; i++)
		expect(&crowd[i], 200);
	assert_int_equal(count_connections(f), CROWD);
	for (int i = 0; i < CROWD; i++)
		client_close(&crowd[i]);
}

/* One that has hung up before it got in takes nobody else's place. */
static void
test_hang_up(void **state)
{
	struct fixture *f = *state;
	struct client c, d;

	must_open(f);
	client_open_socket(&c, f, NULL);
	client_close(&c);
	client_open_socket(&d, f, NULL);
	client_send(&d, GET);
	expect(&d, 200);
	client_close(&d);
}

static void
test_place(void **state)
{
	struct fixture *f = *state;
	struct sockaddr_un sa = address(path);
	struct stat st;
	int fd;

	must_open(f);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0660);
	cannot_open(f, "another virtxd serves there");
	fixture_stop(f);
	assert_int_equal(access(path, F_OK), -1);

	/* Left by one that was killed. */
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&sa, sizeof(sa)), 0);
	close(fd);
	fixture_start(f);
	must_open(f);
	fixture_stop(f);

	/* What is no socket is not removed. */
	close(creat(path, 0600));
	fixture_start(f);
	cannot_open(f, "no socket");
	assert_int_equal(access(path, F_OK), 0);
	unlink(path);
}

/* What another one has put in its place is not removed, as that may be just about to listen. */
static void
test_other_file(void **state)
{
	struct fixture *f = *state;
	struct sockaddr_un sa = address(path);
	int fd;

	must_open(f);
	unlink(path);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&sa, sizeof(sa)), 0);
	fixture_stop(f);
	assert_int_equal(access(path, F_OK), 0);
	close(fd);
	unlink(path);
	fixture_start(f);
}

static void
test_long_path(void **state)
{
	struct fixture *f = *state;
	char name[200];
	struct error err = { 0 };

	memset(name, 'x', sizeof(name) - 1);
	name[0] = '/';
	name[sizeof(name) - 1] = '\0';
	assert_int_equal(http_server_open_socket(f->server, name, &err), -1);
	assert_non_null(strstr(err.detail, "more than 107 bytes"));
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		TEST(test_requests),
		TEST(test_gate),
		TEST(test_bound_client),
		TEST(test_crowd),
		TEST(test_hang_up),
		TEST(test_place),
		TEST(test_other_file),
		TEST(test_long_path),
	};

	return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
