/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The real server on loopback, and raw sockets as its clients, all in one loop. */
#ifndef TEST_HTTP_FIXTURE_H
#define TEST_HTTP_FIXTURE_H

#include <event2/event.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "http/server.h"

#define JSON	 "Content-Type: application/json\r\n"
#define UUID	 "0f1e2d3c-4b5a-6978-8796-a5b4c3d2e1f0"
#define BIG	 (32 << 20) /* bytes that /openapi.json gets */
#define HELD_MAX 4

/* A row of cmocka's table: each case has a server of its own. */
#define TEST(function) cmocka_unit_test_setup_teardown(function, fixture_setup, fixture_teardown)

struct fixture {
	struct event_base *base;
	struct config config;
	struct http_server *server;
	unsigned int handled;
	/* Requests for /readyz are kept here until the test replies. */
	struct request *held[HELD_MAX];
	unsigned int n_held;
	size_t shared_len; /* GET /vms gets a text of so many bytes, each its own; 0: a 204 */
	/* A request for /events becomes this stream. */
	struct request *stream;
	unsigned int gone;
	/* Of the last request. */
	char *body;
	size_t body_len;
	char *query;
	char user[128];
	char caller[CALLER_TEXT_SIZE];
	int64_t token_created;
	char shown_names[128];
	bool looped;
	bool respond_async;
};

struct client {
	struct fixture *f;
	int fd;
	struct event *event;
	struct buffer in;
	bool closed; /* by the server */
	int64_t closed_at;
};

struct reply {
	int status;
	char *head; /* with the status line */
	char *body;
	size_t len;
};

/* The server listens on a port of its own choice; request_timeout is 1 s, idle_timeout 20 s. */
int fixture_setup(void **state);
int fixture_teardown(void **state);
/* For a test that changes the configuration between the two. */
void fixture_start(struct fixture *f);
void fixture_stop(struct fixture *f);
/* The server's handler: a reply of another kind for each route. */
void fixture_handle(void *arg, struct request *req);
/* Runs the loop for so long. */
void run_for(struct fixture *f, int ms);
/* Runs the loop until n requests are held. */
void wait_held(struct fixture *f, unsigned int n);
unsigned int count_connections(struct fixture *f);

/* Connects from this address of loopback. */
void client_connect_from(struct client *c, struct fixture *f, const char *addr);
/* Connects, but does not read yet. */
void client_connect(struct client *c, struct fixture *f);
void client_open(struct client *c, struct fixture *f);
void client_close(struct client *c);
void client_on_readable(evutil_socket_t fd, short what, void *arg);
void client_send_bytes(struct client *c, const char *data, size_t len);
void client_send(struct client *c, const char *text);
/* Waits until the server has closed the connection, for up to ms. */
bool client_wait_closed(struct client *c, int ms);

/* Waits for the next reply; head: it is one to HEAD. */
void read_reply(struct client *c, bool head, struct reply *r);
void reply_clear(struct reply *r);
/* A header's value, NULL for none. The caller frees. */
char *reply_header(const struct reply *r, const char *name);
void assert_header(const struct reply *r, const char *name, const char *value);
/* The next reply must have this status. */
void expect(struct client *c, int status);
/* It must be a problem that says so. */
void expect_problem(struct client *c, int status, const char *word);
/* One request on a connection of its own gets this problem. */
void refused(struct fixture *f, const char *request, int status, const char *word, bool closes);

#endif
