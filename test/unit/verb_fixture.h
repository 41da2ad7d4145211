/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A server that says what a test tells it, and commands of virtx that are run against it. */
#ifndef TEST_VERB_FIXTURE_H
#define TEST_VERB_FIXTURE_H

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "virtx/command.h"

#define VM_UUID	       "11111111-2222-3333-4444-55555555555a"
#define HOST_UUID      "99999999-2222-3333-4444-555555555555"
#define OPERATION_UUID "0be7a710-2222-3333-4444-555555555555"
#define ANSWERS_MAX    12
#define REQUESTS_MAX   64

/* A row of cmocka's table: each case has a server of its own. */
#define TEST(function) cmocka_unit_test_setup_teardown(function, verb_setup, verb_teardown)

struct verb_request {
	char *head; /* with the request line */
	char *body;
};

struct verb_fixture {
	/* The server. It has a thread, and one connection at a time. */
	int fd;
	uint16_t port;
	pthread_t thread;
	pthread_mutex_t answering;  /* held while an answer is in use */
	char *answers[ANSWERS_MAX]; /* as they are sent; the last one again and again */
	size_t n_answers;
	size_t next;
	struct verb_request requests[REQUESTS_MAX];
	size_t n_requests;
	struct ssl_ctx_st *tls; /* with which it answers, NULL for plain HTTP */
	char *token;		/* that the client has, NULL for none; borrowed */
	int file;		/* what FILE stands for, or -1 */
	int width;		/* of the terminal, 0 for none */
	bool colour;
	/* Of the last command. */
	char *out;
	char *said; /* on stderr */
	struct error err;
};

/* The server answers 204, until it is told otherwise. Times are UTC. */
int verb_setup(void **state);
int verb_teardown(void **state);

/* The server has this certificate and key from now on, and sends the CA's behind it where one is
 * given. */
void verb_use_tls(struct verb_fixture *f, const char *certificate, const char *key, const char *ca);
/* Forgets the answers. */
void verb_forget(struct verb_fixture *f);
/* The next answer, byte for byte; the connection is closed behind it. */
void verb_answer_raw(struct verb_fixture *f, const char *text);
/* The next answer; headers are whole lines, or "". */
void verb_answer(struct verb_fixture *f, int status, const char *headers, const char *body);
/* Replaces the answers by this one. */
void verb_answer_json(struct verb_fixture *f, const char *body);

/* The content of the file that the word FILE of a command line stands for. */
void verb_file(struct verb_fixture *f, const char *content);
/*
 * Runs a command line, the words of which have a space between: it is parsed by the list of the
 * commands, asks the fixture's server, and has written to f->out and f->said what it had to.
 */
enum command_result verb_run(struct verb_fixture *f, const char *line);
/* The same; a result other than the expected one fails the test. */
void verb_ok(struct verb_fixture *f, const char *line);
/* It must fail, and say so. */
void verb_fails(
    struct verb_fixture *f, const char *line, enum command_result result, const char *words);
/* The request at a place from 0 must have this line ("GET /vms") and these words in its body. */
void verb_asked(struct verb_fixture *f, size_t at, const char *line, const char *words);
/* The text must have these words. */
void assert_says(const char *text, const char *words);

/* Each command of virtx; NULL-terminated. */
extern const struct command *const verbs[];

#endif
