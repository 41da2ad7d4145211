/* SPDX-License-Identifier: GPL-2.0-or-later */
/* virtx watch. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "proto/json.h"
#include "proto/model.h"
#include "proto/sse.h"
#include "virtx/verbs.h"

#define PAUSE_MAX 10 /* seconds between two attempts */

struct watch {
	struct command_call *call;
	struct sse sse;
	int errnum; /* of the output */
};

static void
add_vm(struct buffer *out, const struct sse_event *event)
{
	struct vm_list_item vm = { 0 };
	char time[WRITER_TIME_SIZE];

	if (json_decode(&vm_list_item_model, event->data, strlen(event->data), &vm, NULL) == 0)
		buffer_printf(out, "%s vm %s '%s' is %s on host %s%s%s",
		    writer_time(vm.fields.ts, time), str_or_empty(vm.uuid),
		    str_or_empty(vm.fields.name), writer_runstate(vm.fields.runstate),
		    str_or_empty(vm.fields.host), str_empty(vm.reason) ? "" : ": ",
		    str_or_empty(vm.reason));
	model_clear(&vm_list_item_model, &vm);
}

static void
add_host(struct buffer *out, const struct sse_event *event)
{
	struct host_list_item host = { 0 };
	char time[WRITER_TIME_SIZE];

	if (json_decode(&host_list_item_model, event->data, strlen(event->data), &host, NULL) == 0)
		buffer_printf(out, "%s host %s '%s' is %s%s, memory available %d MiB",
		    writer_time(host.fields.ts, time), str_or_empty(host.uuid),
		    str_or_empty(host.fields.name), enum_word(&cstate_enum, host.fields.cstate),
		    host.maintenance ? " (maintenance)" : "", host.fields.memoryavailable);
	model_clear(&host_list_item_model, &host);
}

static void
add_operation(struct buffer *out, const struct sse_event *event)
{
	struct operation operation = { 0 };
	char time[WRITER_TIME_SIZE];

	if (json_decode(&operation_model, event->data, strlen(event->data), &operation, NULL) ==
	    0) {
		buffer_printf(out, "%s operation %s %s of VM %s: %s",
		    writer_time(operation.te ? operation.te : operation.ts, time),
		    str_or_empty(operation.id), str_or_empty(operation.op),
		    str_or_empty(operation.vm), str_or_empty(operation.state));
		if (operation.progress >= 0 && !operation.te)
			buffer_printf(out, ", %d%%", operation.progress);
		if (!str_empty(operation.msg))
			buffer_printf(out, ": %s", operation.msg);
	}
	model_clear(&operation_model, &operation);
}

/* One line for an event. */
static char *
format_text(const struct sse_event *event)
{
	_buffer_ struct buffer out = { 0 };
	char time[WRITER_TIME_SIZE];

	if (strcmp(event->type, "vm") == 0)
		add_vm(&out, event);
	else if (strcmp(event->type, "host") == 0)
		add_host(&out, event);
	else if (strcmp(event->type, "operation") == 0)
		add_operation(&out, event);
	else if (strcmp(event->type, "reset") == 0)
		buffer_printf(&out, "%s reset: changes before this are not told",
		    writer_time(now_ms(), time));
	if (out.len == 0)
		buffer_printf(&out, "%s %s", event->type, event->data);
	return writer_safe(out.data);
}

static char *
format_json(const struct sse_event *event)
{
	_free_ char *id = json_quote(event->id), *type = json_quote(event->type);
	_free_ char *line =
	    xasprintf("{\"id\":%s,\"event\":%s,\"data\":%s}", id, type, event->data);

	return writer_safe_json(line);
}

static bool
on_event(void *arg, const struct sse_event *event)
{
	struct watch *watch = arg;
	struct writer *w = watch->call->writer;
	_free_ char *line = w->format == WRITER_JSON ? format_json(event) : format_text(event);

	if (fprintf(w->out, "%s\n", line) < 0 || fflush(w->out) != 0)
		watch->errnum = errno;
	return !watch->errnum;
}

static bool
on_data(void *arg, const char *data, size_t len)
{
	struct watch *watch = arg;

	return sse_feed(&watch->sse, data, len, on_event, watch);
}

static enum command_result
watch(struct command_call *call, struct error *err)
{
	struct watch watch = { .call = call };
	struct client_stream stream = { .data = on_data, .arg = &watch };
	bool begun = false;
	int pause = 1, r;

	for (;;) {
		_free_ char *text = NULL;

		stream.last_event_id = str_or_empty(watch.sse.id);
		r = client_follow(call->client, ROUTE_EVENTS, &stream, err);
		begun |= stream.begun;
		if (r == 0 || !begun)
			break;
		/* It was there before, and may come again. */
		text = writer_safe(err->detail);
		fprintf(stderr, "virtx: %s; trying again\n", text);
		pause = stream.begun ? 1 : pause < PAUSE_MAX ? pause + 1 : PAUSE_MAX;
		nanosleep(&(struct timespec){ .tv_sec = pause }, NULL);
		sse_restart(&watch.sse);
	}
	if (r == 0 && watch.errnum)
		error_errno(err, CLIENT_ERROR_STATUS, watch.errnum, "cannot write the output");
	else if (r == 0)
		error_set(err, CLIENT_ERROR_STATUS, "what the server sends are no events");
	else
		error_wrap(err, "cannot watch");
	sse_clear(&watch.sse);
	return COMMAND_FAILED;
}

const struct command watch_command = {
	.words = "watch",
	.summary = "Print the changes of the cluster as they come",
	.help = "It goes on until it is interrupted, over restarts of the server too.",
	.examples = "virtx watch -o json | jq .data\n",
	.run = watch,
};
