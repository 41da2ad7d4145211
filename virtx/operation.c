/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Operations: calling for one, waiting for it, showing it. */
#include "virtx/operation.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "proto/model.h"
#include "proto/uuid.h"
#include "virtx/interrupt.h"
#include "virtx/progress.h"
#include "virtx/verbs.h"

#define POLL_FIRST_MS 50
#define POLL_MS	      500

/* Who tells of an operation: without a host, the one that answers. */
struct teller {
	char host[UUID_TEXT_SIZE];
	char vm[UUID_TEXT_SIZE]; /* whose operation it is, "" where that is not known */
};

/* Looks into the list of the host. */
static int
ask_host(const struct client *client, const char *id, const struct teller *teller,
    struct operation *ret, struct error *err)
{
	_free_ char *query =
	    xasprintf("host=%s%s%s", teller->host, *teller->vm ? "&vm=" : "", teller->vm);
	struct client asking = *client;
	struct operation_list list = { 0 };
	bool found = false;

	asking.query = query;
	if (client_get(&asking, ROUTE_OPERATION_LIST, NULL, NULL, &list, err) < 0)
		return -1;
	for (size_t i = 0; i < list.n_items && !found; i++) {
		found = str_equal(list.items[i].id, id);
		if (found) {
			*ret = list.items[i];
			list.items[i] = (struct operation){ 0 };
		}
	}
	model_clear(&operation_list_model, &list);
	return found ? 0
		     : error_set(
			   err, 404, "no operation '%s' is kept on host '%s'", id, teller->host);
}

/* A host knows its own operations and those that it forwarded: of the others each is asked. err
 * says that the one that answers has none. */
static int
ask_others(const struct client *client, const char *id, struct teller *ret,
    struct operation *operation, struct error *err)
{
	struct host_list hosts = { 0 };
	struct error ignored;
	bool listed = client_get(client, ROUTE_HOST_LIST, NULL, NULL, &hosts, &ignored) == 0;
	int rc = -1;

	for (size_t i = 0; listed && i < hosts.n_items && rc < 0; i++) {
		struct teller teller = { 0 };
		struct error why;

		if (hosts.items[i].fields.cstate != CSTATE_ACTIVE ||
		    uuid_normalize(str_or_empty(hosts.items[i].uuid), teller.host) < 0)
			continue;
		rc = ask_host(client, id, &teller, operation, &why);
		if (rc < 0 && !error_is(&why, ERROR_NOT_FOUND))
			error_append(err, "host '%s': %s", teller.host, why.detail);
		if (rc < 0)
			continue;
		(void)uuid_normalize(str_or_empty(operation->vm), teller.vm);
		*ret = teller;
	}
	model_clear(&host_list_model, &hosts);
	return rc;
}

/* How an operation is. teller is zero at first, and kept for the next time. */
static int
ask(const struct client *client, const char *id, struct teller *teller, struct operation *ret,
    struct error *err)
{
	if (teller->host[0])
		return ask_host(client, id, teller, ret, err);
	if (client_get(client, ROUTE_OPERATION_GET, id, NULL, ret, err) == 0)
		return 0;
	return error_is(err, ERROR_NOT_FOUND) ? ask_others(client, id, teller, ret, err) : -1;
}

/* What an operation that has ended leaves; a failed one is an error with its message. */
static int
operation_result(const struct client *client, const struct operation *operation, const char *id,
    char *vm, struct error *err)
{
	const char *msg = str_or_empty(operation->msg);

	if (vm)
		snprintf(vm, 37, "%s", str_or_empty(operation->vm));
	if (!str_equal(operation->state, "completed"))
		return error_set(err, CLIENT_ERROR_STATUS, "operation '%s' %s: %s", id,
		    str_or_empty(operation->state), msg);
	if (*msg) {
		_free_ char *text = writer_safe(msg);

		/* Why the host was chosen comes alone or behind a warning. */
		fprintf(stderr, "virtx: %s%s%s%s\n", str_or_empty(client->vm),
		    client->vm ? ": " : "",
		    strncmp(text, "placed on ", strlen("placed on ")) == 0 ? "" : "warning: ",
		    text);
	}
	return 0;
}

/* That it goes on, and how to look. */
static int
goes_on(const char *id, const char *why, struct error *err)
{
	error_set(err, CLIENT_GOES_ON_STATUS,
	    "operation '%s' goes on: %s; 'virtx wait operation %s' waits for its end, 'virtx get "
	    "operation %s' shows it",
	    id, why, id, id);
	snprintf(err->operation, sizeof(err->operation), "%s", id);
	return -1;
}

/* Waits for the end of an operation. One that gets on is not given up. */
static int
poll_operation(const struct client *client, const char *id, struct progress *progress, char *vm,
    struct error *err)
{
	int64_t since = monotonic_ms();
	int wait = POLL_FIRST_MS, percent = -1;
	struct teller teller = { 0 };
	_free_ char *why = NULL;

	while (monotonic_ms() - since < client->timeout * INT64_C(1000)) {
		struct timespec pause = { .tv_nsec = wait * 1000000L };
		struct operation operation = { 0 };
		bool ended;
		int rc;

		if (ask(client, id, &teller, &operation, err) < 0)
			return error_wrap(err, "operation '%s'", id);
		ended = !str_equal(operation.state, "started");
		if (ended) {
			progress_end(progress);
			rc = operation_result(client, &operation, id, vm, err);
		} else {
			progress_draw(progress, operation.op, operation.progress);
			if (operation.progress > percent) {
				percent = operation.progress;
				since = monotonic_ms();
			}
		}
		model_clear(&operation_model, &operation);
		if (ended)
			return rc;
		nanosleep(&pause, NULL);
		wait = wait * 2 < POLL_MS ? wait * 2 : POLL_MS;
	}
	why = xasprintf("not ended within %d s", client->timeout);
	return goes_on(id, why, err);
}

/* The same where a signal says what goes on. */
static int
operation_wait(const struct client *client, const char *id, struct progress *progress, char *vm,
    struct error *err)
{
	struct error interrupted;
	int rc;

	goes_on(id, "interrupted", &interrupted);
	interrupt_say(&interrupted, client->json);
	rc = poll_operation(client, id, progress, vm, err);
	interrupt_forget();
	return rc;
}

int
operation_follow(const struct client *client, const char *id, struct error *err)
{
	struct progress progress;
	int rc;

	progress_start(&progress, !client->debug && progress_possible());
	rc = operation_wait(client, id, &progress, NULL, err);
	progress_end(&progress);
	return rc;
}

int
operation_call(const struct client *client, enum route_id id, const char *param,
    const void *request, bool wait, struct answer *ret, char *vm, struct error *err)
{
	/* Only a person at a terminal looks at the progress; a server may know no operations. */
	bool watched = wait && !client->debug && !client->vm && progress_possible();
	struct client asking = *client, following = *client;
	_answer_ struct answer answer = { 0 };
	struct progress progress;
	int rc = 0;

	if (vm)
		vm[0] = '\0';
	asking.async = watched;
	following.success = 0;
	following.if_match = following.body = NULL;
	progress_start(&progress, watched);
	if (client_call(&asking, id, param, request, &answer, err) < 0)
		return -1;
	if (wait && answer.operation[0])
		rc = operation_wait(&following, answer.operation, &progress, vm, err);
	else if (wait && answer.status == 202)
		fprintf(stderr, "virtx: warning: the server names no operation, so that its end is "
				"not waited for\n");
	progress_end(&progress);
	if (rc < 0)
		return -1;
	if (ret) {
		*ret = answer;
		answer = (struct answer){ 0 };
	}
	return 0;
}

enum command_result
operation_call_vm(struct command_call *call, enum route_id id, const void *request, bool wait,
    const char *verb, struct error *err)
{
	if (operation_call(call->client, id, call->operands[0], request, wait, NULL, NULL, err) <
	    0) {
		error_wrap(err, "%s %s", verb, call->shown[0]);
		return COMMAND_FAILED;
	}
	return COMMAND_OK;
}

void
operation_show(struct writer *w, const struct operation_list *list)
{
	static const char *const titles[] = { "ID", "OPERATION", "~VM", "~HOST", "STATE",
		"~>PROGRESS", "~START", "~END", "~USER", "MESSAGE" };
	char time[WRITER_TIME_SIZE];

	writer_begin(w, titles, ARRAY_SIZE(titles));
	for (size_t i = 0; i < list->n_items; i++) {
		const struct operation *operation = &list->items[i];

		writer_cell(w, "%s", str_or_empty(operation->id));
		writer_cell(w, "%s", str_or_empty(operation->op));
		writer_cell(w, "%s", str_or_empty(operation->vm));
		writer_cell(w, "%s", str_or_empty(operation->host));
		writer_cell(w, "%s", str_or_empty(operation->state));
		if (operation->progress < 0)
			writer_cell(w, "-");
		else
			writer_cell(w, "%d%%", operation->progress);
		writer_cell(w, "%s", writer_time(operation->ts, time));
		writer_cell(w, "%s", writer_time(operation->te, time));
		writer_cell(w, "%s", str_or_empty(operation->user));
		writer_cell(w, "%s", str_or_empty(operation->msg));
	}
	writer_end(w);
}

static enum command_result
get_operation(struct command_call *call, struct error *err)
{
	struct operation operation = { 0 };
	struct writer *w = call->writer;
	struct teller teller = { 0 };
	char time[WRITER_TIME_SIZE];

	if (ask(call->client, call->operands[0], &teller, &operation, err) < 0) {
		error_wrap(err, "cannot get operation '%s'", call->operands[0]);
		return COMMAND_FAILED;
	}
	writer_document(w, &operation_model, &operation);
	writer_field(w, "id", "%s", str_or_empty(operation.id));
	writer_field(w, "operation", "%s", str_or_empty(operation.op));
	writer_field(w, "vm", "%s", str_or_empty(operation.vm));
	writer_field(w, "host", "%s", str_or_empty(operation.host));
	writer_field(w, "user", "%s", str_or_empty(operation.user));
	writer_field(w, "state", "%s", str_or_empty(operation.state));
	if (operation.progress >= 0)
		writer_field(w, "progress", "%d%%", operation.progress);
	writer_field(w, "start", "%s", writer_time(operation.ts, time));
	writer_field(w, "end", "%s", writer_time(operation.te, time));
	writer_field(w, "message", "%s", str_or_empty(operation.msg));
	model_clear(&operation_model, &operation);
	return COMMAND_OK;
}

const struct command get_operation_command = {
	.words = "get operation",
	.operands = { ARG_OPERATION },
	.summary = "Show an operation",
	.run = get_operation,
};
