/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "verb_fixture.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <openssl/ssl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "proto/error.h"
#include "virtx/named.h"
#include "virtx/output.h"
#include "virtx/verbs.h"

#define REQUEST_MAX (1 << 20)
#define TLS_S	    60 /* for a handshake under valgrind */

#define VERB_ROW(name) &name##_command,
const struct command *const verbs[] = { VERBS(VERB_ROW) NULL };

/* What a client is connected by; without TLS ssl is NULL. */
struct link {
	int fd;
	SSL *ssl;
};

static ssize_t
link_read(const struct link *link, char *data, size_t len)
{
	if (link->ssl)
		return SSL_read(link->ssl, data, (int)len);
	return recv(link->fd, data, len, 0);
}

static void
link_write(const struct link *link, const char *text)
{
	if (link->ssl) {
		(void)SSL_write(link->ssl, text, (int)strlen(text));
		(void)SSL_shutdown(link->ssl);
	} else {
		(void)send(link->fd, text, strlen(text), MSG_NOSIGNAL);
	}
}

/* Reads a request to its end; false when the client has gone before. */
static bool
read_request(const struct link *link, struct verb_request *ret)
{
	_buffer_ struct buffer in = { 0 };
	char chunk[4096];
	const char *end = NULL, *length;
	size_t head = 0, body = 0;
	ssize_t n;

	while (!end || in.len < head + body) {
		n = link_read(link, chunk, sizeof(chunk));
		if (n <= 0 || in.len > REQUEST_MAX)
			return false;
		buffer_add(&in, chunk, (size_t)n);
		end = strstr(in.data, "\r\n\r\n");
		if (!end)
			continue;
		head = (size_t)(end - in.data) + 4;
		length = strcasestr(in.data, "\r\nContent-Length: ");
		if (length && length < end)
			body = strtoul(length + strlen("\r\nContent-Length: "), NULL, 10);
	}
	ret->head = xstrndup(in.data, head);
	ret->body = xstrndup(in.data + head, body);
	return true;
}

static void
answer_request(struct verb_fixture *f, const struct link *link)
{
	const char *text;

	if (f->n_requests == REQUESTS_MAX || !read_request(link, &f->requests[f->n_requests]))
		return;
	pthread_mutex_lock(&f->answering);
	f->n_requests++;
	text = f->answers[f->next];
	if (f->next + 1 < f->n_answers)
		f->next++;
	link_write(link, text);
	pthread_mutex_unlock(&f->answering);
}

static void
answer_connection(struct verb_fixture *f, int fd)
{
	struct link link = { fd, f->tls ? SSL_new(f->tls) : NULL };

	if (link.ssl)
		SSL_set_fd(link.ssl, fd);
	if (!link.ssl || SSL_accept(link.ssl) == 1)
		answer_request(f, &link);
	SSL_free(link.ssl);
}

static void *
serve(void *arg)
{
	struct verb_fixture *f = arg;

	for (;;) {
		_close_ int fd = accept(f->fd, NULL, NULL);

		if (fd < 0)
			return NULL;
		answer_connection(f, fd);
	}
}

int
verb_setup(void **state)
{
	struct verb_fixture *f = xcalloc(1, sizeof(*f));
	struct sockaddr_in in = { .sin_family = AF_INET };
	socklen_t len = sizeof(in);

	(void)signal(SIGPIPE, SIG_IGN);
	setenv("TZ", "UTC", 1);
	tzset();
	f->file = -1;
	pthread_mutex_init(&f->answering, NULL);
	verb_answer(f, 204, "", "");
	in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	f->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_true(f->fd >= 0);
	assert_int_equal(bind(f->fd, (struct sockaddr *)&in, sizeof(in)), 0);
	assert_int_equal(listen(f->fd, 8), 0);
	assert_int_equal(getsockname(f->fd, (struct sockaddr *)&in, &len), 0);
	f->port = ntohs(in.sin_port);
	assert_int_equal(pthread_create(&f->thread, NULL, serve, f), 0);
	*state = f;
	return 0;
}

int
verb_teardown(void **state)
{
	struct verb_fixture *f = *state;

	shutdown(f->fd, SHUT_RDWR); /* ends accept() */
	pthread_join(f->thread, NULL);
	close(f->fd);
	SSL_CTX_free(f->tls);
	verb_forget(f);
	pthread_mutex_destroy(&f->answering);
	for (size_t i = 0; i < f->n_requests; i++) {
		free(f->requests[i].head);
		free(f->requests[i].body);
	}
	util_close(&f->file);
	free(f->out);
	free(f->said);
	free(f);
	return 0;
}

void
verb_use_tls(struct verb_fixture *f, const char *certificate, const char *key, const char *ca)
{
	SSL_CTX_free(f->tls);
	f->tls = SSL_CTX_new(TLS_server_method());
	assert_non_null(f->tls);
	assert_int_equal(SSL_CTX_use_certificate_chain_file(f->tls, certificate), 1);
	assert_int_equal(SSL_CTX_use_PrivateKey_file(f->tls, key, SSL_FILETYPE_PEM), 1);
	if (ca)
		assert_int_equal(SSL_CTX_load_verify_file(f->tls, ca), 1);
}

void
verb_forget(struct verb_fixture *f)
{
	/* A client may have its answer before send() is back. */
	pthread_mutex_lock(&f->answering);
	for (size_t i = 0; i < f->n_answers; i++)
		free(f->answers[i]);
	f->n_answers = f->next = 0;
	pthread_mutex_unlock(&f->answering);
}

void
verb_answer_raw(struct verb_fixture *f, const char *text)
{
	assert_true(f->n_answers < ANSWERS_MAX);
	f->answers[f->n_answers++] = xstrdup(text);
}

void
verb_answer(struct verb_fixture *f, int status, const char *headers, const char *body)
{
	_free_ char *text = xasprintf("HTTP/1.1 %d %s\r\n%sContent-Length: %zu\r\n\r\n%s", status,
	    error_title(status), headers, strlen(body), body);

	if (status == 204) {
		free(text);
		text = xasprintf("HTTP/1.1 204 No Content\r\n%s\r\n", headers);
	}
	verb_answer_raw(f, text);
}

void
verb_answer_json(struct verb_fixture *f, const char *body)
{
	verb_forget(f);
	verb_answer(f, 200, "Content-Type: application/json\r\n", body);
}

void
verb_file(struct verb_fixture *f, const char *content)
{
	util_close(&f->file);
	f->file = memfd_create("file", MFD_CLOEXEC);
	assert_true(f->file >= 0);
	assert_int_equal(write_all(f->file, content, strlen(content)), 0);
}

/* What the command writes while stderr is a file of memory. */
static enum command_result
run_captured(struct verb_fixture *f, struct command_call *call)
{
	int saved = dup(STDERR_FILENO), fd = memfd_create("stderr", MFD_CLOEXEC);
	_buffer_ struct buffer said = { 0 };
	enum command_result result;

	assert_true(saved >= 0 && fd >= 0);
	fflush(stderr);
	dup2(fd, STDERR_FILENO);
	result = named_run(call, &f->err);
	fflush(stderr);
	dup2(saved, STDERR_FILENO);
	close(saved);
	assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
	assert_int_equal(read_all(fd, &said, REQUEST_MAX), 0);
	close(fd);
	f->said = buffer_steal(&said, NULL);
	return result;
}

enum command_result
verb_run(struct verb_fixture *f, const char *line)
{
	struct client client = { .server = { .host = (char *)"127.0.0.1", .port = f->port },
		.timeout = f->tls ? TLS_S : 5 };
	struct writer writer = { 0 };
	struct command_call call = { .client = &client, .writer = &writer };
	_free_ char *copy = xasprintf("virtx %s", line);
	_free_ char *file = xasprintf("/dev/fd/%d", f->file);
	char *argv[24] = { NULL };
	enum command_result result;
	size_t len;
	long timeout;
	int argc = 0;

	for (char *word = strtok(copy, " "); word; word = strtok(NULL, " "))
		argv[argc++] = strcmp(word, "FILE") == 0 ? file : word;
	free(steal_ptr(f->out));
	free(steal_ptr(f->said));
	f->err = (struct error){ 0 };
	result = command_parse(verbs, argc, argv, &call, &f->err);
	if (result != COMMAND_OK)
		return result;
	assert_non_null(call.command);
	if (output_configure(&call, &writer, &f->err) < 0)
		return COMMAND_USAGE;
	assert_int_equal(
	    command_number(&call, COMMAND_OPTION_TIMEOUT, 1, 10, &timeout, &f->err), 0);
	writer.table.width = f->width;
	writer.colour = f->colour;
	writer.out = open_memstream(&f->out, &len);
	client.timeout = timeout ? (int)timeout : client.timeout;
	client.debug = call.counts['D'] > 0;
	client.token = f->token;
	result = run_captured(f, &call);
	assert_int_equal(writer_finish(&writer), 0);
	fclose(writer.out);
	if (result == COMMAND_OK && writer.wrong.detail[0]) {
		f->err = writer.wrong;
		result = COMMAND_USAGE;
	}
	return result;
}

void
verb_ok(struct verb_fixture *f, const char *line)
{
	if (verb_run(f, line) != COMMAND_OK)
		fail_msg("'%s': %s", line, f->err.detail);
}

void
verb_fails(struct verb_fixture *f, const char *line, enum command_result result, const char *words)
{
	enum command_result got = verb_run(f, line);

	if (got != result || !strstr(f->err.detail, words))
		fail_msg("'%s': result %d: '%s' instead of %d: '%s'", line, got, f->err.detail,
		    result, words);
}

void
verb_asked(struct verb_fixture *f, size_t at, const char *line, const char *words)
{
	const struct verb_request *request = &f->requests[at];
	_free_ char *start = xasprintf("%s HTTP/1.1\r\n", line);

	assert_true(at < f->n_requests);
	if (strncmp(request->head, start, strlen(start)) != 0)
		fail_msg("'%s' is not '%s'", request->head, line);
	assert_says(request->body, words);
}

void
assert_says(const char *text, const char *words)
{
	if (!strstr(text, words))
		fail_msg("'%s' has no '%s'", text, words);
}
