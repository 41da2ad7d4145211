/* SPDX-License-Identifier: GPL-2.0-or-later */
/* virtx apply vm. */
#include <stdio.h>

#include "proto/model.h"
#include "proto/uuid.h"
#include "virtx/definition.h"
#include "virtx/difference.h"
#include "virtx/failure.h"
#include "virtx/named.h"
#include "virtx/operation.h"
#include "virtx/verbs.h"

static const struct option_row apply_options[] = {
	{ 'n', "dry-run", NULL, "change nothing: tell what would be, and the fields that differ" },
	{ 's', "storage", NULL, "delete the managed disks that the new definition has no more" },
	{ 'f', "files", NULL, "says nothing: files follow, as others have it" },
	{ 0 },
};

/* One line, and what differs below it. It is there as soon as it is done. */
static void
show(const struct command_call *call, const struct vmdef *def, const char *what,
    const struct buffer *fields)
{
	bool dry_run = call->counts['n'] > 0;
	_free_ char *name = writer_safe(def->name);
	FILE *out = call->writer->out;

	fprintf(out, "%s %s%s\n", name, what, dry_run ? " (dry run)" : "");
	if (dry_run && fields && fields->len > 0) {
		_free_ char *safe = writer_safe_json(fields->data);

		fputs(safe, out);
	}
	fflush(out);
}

static int
create(const struct command_call *call, const struct vmdef *def, struct error *err)
{
	const struct vm_create_options options = { .vmdef = *def };

	if (call->counts['n'] == 0 && operation_call(call->client, ROUTE_VM_CREATE, NULL, &options,
					  true, NULL, NULL, err) < 0)
		return error_wrap(err, "cannot create vm '%s'", def->name);
	show(call, def, "created", NULL);
	return 0;
}

/* shown is what the VM is like that operand 0 of the call names, and tag its ETag. */
static int
configure(const struct command_call *call, const struct vmdef *def, const struct vmdef *shown,
    const char *tag, struct error *err)
{
	const struct vm_update_options options = {
		.vmdef = *def,
		.deletestorage = call->counts['s'] > 0,
	};
	_buffer_ struct buffer fields = { 0 };
	struct vmdef filled = { 0 };
	size_t n;

	model_copy(&vmdef_model, &filled, def);
	difference_fill(&filled, shown);
	n = difference_list(shown, &filled, "  ", "\n", &fields);
	model_clear(&vmdef_model, &filled);
	if (n > 0 && call->counts['n'] == 0 && definition_send(call, &options, tag, err) < 0)
		return -1;
	show(call, def, n > 0 ? "configured" : "unchanged", &fields);
	return 0;
}

static int
update(
    const struct command_call *call, const struct vmdef *def, const char *uuid, struct error *err)
{
	struct command_call one = *call;
	struct vmdef shown = { 0 };
	_free_ char *tag = NULL;
	int rc;

	one.operands[0] = uuid;
	rc = definition_fetch(&one, &shown, &tag, err);
	if (rc == 0)
		rc = configure(&one, def, &shown, tag, err);
	model_clear(&vmdef_model, &shown);
	return rc < 0 ? error_wrap(err, "cannot update vm '%s' (%s)", def->name, uuid) : 0;
}

/* The file before this one that defines a VM of that name, NULL for none. */
static const char *
find_before(const struct command_call *call, char *const *names, size_t at)
{
	for (size_t i = 0; i < at; i++)
		if (str_equal(names[i], names[at]))
			return call->more[i];
	return NULL;
}

/* names has what the files before it define, and gets what this one does. */
static int
apply_file(const struct command_call *call, size_t at, char **names, struct error *err)
{
	const char *file = call->more[at], *before;
	struct vmdef def = { 0 };
	char uuid[UUID_TEXT_SIZE];
	int rc = definition_read_file(file, &def, NULL, err);

	if (rc == 0 && str_empty(def.name))
		rc = error_set(err, CLIENT_FILE_STATUS, "name: missing, which says what VM it is");
	if (rc == 0) {
		names[at] = xstrdup(def.name);
		before = find_before(call, names, at);
		if (before)
			rc = error_set(err, CLIENT_FILE_STATUS,
			    "name: '%s' defines vm '%s' already", before, def.name);
	}
	if (rc == 0)
		rc = named_find_vm(call->client, def.name, uuid, err);
	if (rc == 0)
		rc = create(call, &def, err);
	else if (rc > 0)
		rc = update(call, &def, uuid, err);
	model_clear(&vmdef_model, &def);
	return rc < 0 ? error_wrap(err, "cannot apply '%s'", file) : 0;
}

static size_t
rank(enum failure_code code)
{
	size_t i = 0;

	while (i < FAILURE_CODES && failure_order[i] != code)
		i++;
	return i;
}

/* One after the other, as a file may be standard input. Each failure is told when it comes, and the
 * others go on, but behind one that was not waited for. */
static enum command_result
apply(struct command_call *call, struct error *err)
{
	struct error worst = { 0 };
	char **names = xcalloc(call->n_more, sizeof(*names));
	size_t failed = 0, i = 0;

	while (i < call->n_more && worst.status != CLIENT_GOES_ON_STATUS) {
		struct error one = { 0 };
		enum failure_code code;

		if (apply_file(call, i++, names, &one) == 0)
			continue;
		code = failure_code(COMMAND_FAILED, &one);
		if (call->n_more > 1)
			failure_print(stderr, code, &one, call->client->json);
		if (failed++ == 0 || one.status == CLIENT_GOES_ON_STATUS ||
		    rank(code) < rank(failure_code(COMMAND_FAILED, &worst)))
			worst = one;
	}
	for (size_t k = 0; k < call->n_more; k++)
		free(names[k]);
	free(names);
	if (failed == 0)
		return COMMAND_OK;
	*err = worst;
	if (call->n_more > 1)
		error_set(err, worst.status, "%zu of %zu files were not applied", failed, i);
	if (i < call->n_more)
		error_append(err, "%zu more were not begun", call->n_more - i);
	return COMMAND_FAILED;
}

const struct command apply_vm_command = {
	.words = "apply vm",
	.operands = { ARG_FILE },
	.more = true,
	.options = apply_options,
	.summary = "Create or update the VMs that files define, and say what was done",
	.help = DEFINITION_HELP
	" The VM with the definition's name is created where there is none, updated where it "
	"differs, and left alone where it is so already. What the file leaves to the server, "
	"as MAC addresses and sizes, stays.",
	.examples = "virtx apply vm web.yaml db.yaml\n"
		    "virtx apply vm --dry-run web.yaml\n",
	.run = apply,
};
