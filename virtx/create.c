/* SPDX-License-Identifier: GPL-2.0-or-later */
/* virtx create vm. */
#include "proto/json.h"
#include "proto/model.h"
#include "virtx/definition.h"
#include "virtx/difference.h"
#include "virtx/named.h"
#include "virtx/operation.h"
#include "virtx/placement.h"
#include "virtx/verbs.h"

static const struct option_row create_vm_options[] = {
	{ 'h', "host", ARG_HOST, "create it on this host (default: the one that is best for it)" },
	{ 'n', "dry-run", NULL, "only tell which host that is, and why" },
	{ 'i', "if-needed", NULL, "where a VM of that name is so already, print its UUID" },
	{ 'f', "force", NULL, "send keys as well that are not known here" },
	DEFINITION_OPTIONS,
	{ 0 },
};

/* Prints the new VM's uuid, which is the answer, or the VM of the operation that it was put off
 * to. */
static int
show_uuid(struct writer *w, const struct answer *answer, const char *vm, struct error *err)
{
	_free_ char *uuid = NULL;

	if (vm[0]) {
		writer_text(w, vm);
		return 0;
	}
	if (json_decode_string(answer->body, answer->len, &uuid, err) < 0) {
		err->status = CLIENT_ERROR_STATUS;
		return error_wrap(err, "the VM was created, but the server's answer");
	}
	writer_text(w, uuid);
	return 0;
}

/* Whether it is there already: 1 with its UUID printed, 0 for no. Another one of its name is a 409.
 */
static int
find_equal(const struct command_call *call, const struct vmdef *def, struct error *err)
{
	struct command_call one = *call;
	struct vmdef shown = { 0 }, filled = { 0 };
	_buffer_ struct buffer fields = { 0 };
	_free_ char *tag = NULL;
	char uuid[37];
	int rc = named_find_vm(call->client, str_or_empty(def->name), uuid, err);

	if (rc <= 0)
		return rc;
	one.operands[0] = uuid;
	rc = definition_fetch(&one, &shown, &tag, err);
	if (rc == 0) {
		model_copy(&vmdef_model, &filled, def);
		difference_fill(&filled, &shown);
		rc = 1;
		if (difference_list(&shown, &filled, "; ", "", &fields) > 0)
			rc = error_set(err, 409, "VM '%s' (%s) is another one%s", def->name, uuid,
			    fields.data);
		else
			writer_text(call->writer, uuid);
	}
	model_clear(&vmdef_model, &filled);
	model_clear(&vmdef_model, &shown);
	return rc;
}

static enum command_result
create_vm(struct command_call *call, struct error *err)
{
	struct vm_create_options options = { 0 };
	_unknown_ struct unknown_list unknown = { 0 };
	const struct client *own = call->client;
	_answer_ struct answer answer = { 0 };
	_free_ char *body = NULL;
	struct client client;
	char vm[37] = "";
	bool dry_run = call->counts['n'] > 0;
	bool there = false;
	int rc;

	options.host = xstrdup(call->values['h']);
	rc = definition_read(call, call->operands[0], &options.vmdef, &unknown, err);
	client = definition_client(call, &unknown, &vm_create_options_model, &options, &body);
	call->client = &client;
	if (rc == 0 && call->counts['i'] > 0) {
		rc = find_equal(call, &options.vmdef, err);
		there = rc > 0;
	}
	if (rc == 0 && dry_run)
		rc = placement_call(call, ROUTE_VM_CREATE, NULL, &options, err);
	else if (rc == 0)
		rc = operation_call(
		    call->client, ROUTE_VM_CREATE, NULL, &options, true, &answer, vm, err);
	call->client = own;
	if (rc < 0)
		error_wrap(err, "cannot create a vm from '%s'", call->operands[0]);
	else if (!dry_run && !there)
		rc = show_uuid(call->writer, &answer, vm, err);
	model_clear(&vm_create_options_model, &options);
	return rc < 0 ? COMMAND_FAILED : COMMAND_OK;
}

const struct command create_vm_command = {
	.words = "create vm",
	.operands = { ARG_FILE },
	.options = create_vm_options,
	.summary = "Create a VM and print its UUID",
	.help = DEFINITION_HELP,
	.examples = "virtx create vm web.yaml\n"
		    "virtx create vm -n web.yaml\n"
		    "virtx create vm --if-needed web.yaml\n"
		    "virtx create vm --ha restart --ha-order 1 web.yaml\n",
	.run = create_vm,
};
