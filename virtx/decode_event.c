/* SPDX-License-Identifier: GPL-2.0-or-later */
/* virtx decode-event: for the event handlers of a serf agent. */
#include <stdio.h>
#include <string.h>

#include "proto/binary.h"
#include "proto/gossip.h"
#include "proto/json.h"
#include "virtx/verbs.h"

#define PAYLOAD_MAX 9216 /* serf's own limit, bytes */

/* One label's payload. */
struct label {
	const char *name;
	const struct model *model;
	bool may_go_on; /* newer writers append to it */
};

static const struct label labels[] = {
	{ "HI", &host_info_model, true },
	{ "VI", &vm_info_model, true },
	{ "VE", &vm_event_model, false },
	{ "TK", &tokens_event_model, false },
};

static const struct label *
find_label(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(labels); i++) {
		if (str_equal(labels[i].name, name))
			return &labels[i];
	}
	return NULL;
}

/* Both are of sufficient size for any of the models. */
union payload {
	struct host_info host;
	struct vm_info info;
	struct vm_event event;
	struct tokens_event tokens;
};

static int
print_event(FILE *out, const struct label *label, const char *data, size_t len, struct error *err)
{
	union payload payload = { 0 };
	_free_ char *json = NULL, *safe = NULL;
	long used;

	used = binary_decode(label->model, data, len, &payload, err);
	if (used < 0)
		return error_wrap(err, "the payload of event '%s'", label->name);
	/* The same object, with the event's name in front. */
	json = json_encode(label->model, &payload, NULL);
	model_clear(label->model, &payload);
	/* The serf agent adds one to a payload that does not end in it. */
	if ((size_t)used + 1 == len && data[used] == '\n')
		len--;
	if ((size_t)used < len && !label->may_go_on)
		return error_set(err, CLIENT_ERROR_STATUS,
		    "the payload of event '%s' has %zu bytes left over", label->name,
		    len - (size_t)used);
	safe = writer_safe_json(json + 1);
	fprintf(out, "{\"event\":\"%s\",%s\n", label->name, safe);
	return 0;
}

static enum command_result
decode_event(struct command_call *call, struct error *err)
{
	const char *name = getenv("SERF_USER_EVENT");
	const struct label *label = find_label(name);
	_free_ char *data = NULL;
	size_t len;

	if (!name) {
		error_set(err, CLIENT_ERROR_STATUS,
		    "SERF_USER_EVENT is not set: this is for the event handlers of serf");
		return COMMAND_USAGE;
	}
	if (!label) {
		error_set(err, CLIENT_ERROR_STATUS,
		    "event '%s' is none of virtxd's: HI, VI, VE and TK are", name);
		return COMMAND_FAILED;
	}
	data = command_read("-", PAYLOAD_MAX, &len, err);
	if (!data || print_event(call->writer->out, label, data, len, err) < 0)
		return COMMAND_FAILED;
	return COMMAND_OK;
}

const struct command decode_event_command = {
	.words = "decode-event",
	.summary = "Print a serf event of virtxd as a line of JSON",
	.help = "For the event handlers of a serf agent: the payload comes on standard input, the\n"
		"event's name in SERF_USER_EVENT.",
	.examples = "serf agent -event-handler 'user:VE=virtx decode-event | logger -t virtx'\n",
	.run = decode_event,
	.local = true,
};
