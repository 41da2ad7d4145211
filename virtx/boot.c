/* SPDX-License-Identifier: GPL-2.0-or-later */
/* virtx boot vm. */
#include <string.h>

#include "proto/model.h"
#include "proto/utf8.h"
#include "virtx/operation.h"
#include "virtx/several.h"
#include "virtx/verbs.h"

#define CLOUD_INIT_MAX (256 * 1024) /* more the server would not take */

static const struct option_row boot_vm_options[] = {
	{ 'u', "ci-userdata", ARG_FILE, "cloud-init's user-data" },
	{ 'm', "ci-metadata", ARG_FILE,
	    "cloud-init's meta-data (made by the server if not given)" },
	{ 'c', "ci-networkconfig", ARG_FILE, "cloud-init's network-config" },
	SEVERAL_ROWS,
	{ 0 },
};

/* A file of cloud-init's, which travels as a text; NULL with err set where it is none. */
static char *
read_text(const char *file, struct error *err)
{
	size_t len, at;
	char *text = command_read(file, CLOUD_INIT_MAX, &len, err);

	if (!text)
		return NULL;
	at = utf8_valid_length(text, len);
	if (strlen(text) < at)
		at = strlen(text);
	if (at == len)
		return text;
	error_set(err, CLIENT_ERROR_STATUS, "'%s': byte %zu (0x%02x) is %s%s", file, at,
	    (unsigned char)text[at], text[at] ? "no UTF-8" : "a NUL",
	    strncmp(text, "\x1f\x8b", 2) == 0 ? ": the file is compressed, give it as text" : "");
	free(text);
	return NULL;
}

static enum command_result
boot_vm(struct command_call *call, struct error *err)
{
	struct vm_boot_options options = { 0 };
	enum command_result result = COMMAND_OK;

	if (call->values['m'] && !call->values['u'] && !call->values['c']) {
		error_set(err, CLIENT_ERROR_STATUS,
		    "--ci-metadata needs --ci-userdata or --ci-networkconfig");
		return COMMAND_USAGE;
	}
	/* The long names of the options are what the API calls these files. */
	for (const struct option_row *row = boot_vm_options; row->letter; row++) {
		const char *file = call->values[row->letter];
		struct cloud_init_option *option;
		char *text;

		/* The other options are none of files. */
		if (!file || row->letter < ' ')
			continue;
		text = read_text(file, err);
		if (!text) {
			error_wrap(err, "cannot boot vm %s", call->shown[0]);
			result = COMMAND_FAILED;
			break;
		}
		option = model_append(&options.cloud_init, &options.n_cloud_init);
		option->name = xstrdup(row->name);
		option->value = text;
	}
	if (result == COMMAND_OK)
		result =
		    operation_call_vm(call, ROUTE_VM_BOOT, &options, true, "cannot boot vm", err);
	model_clear(&vm_boot_options_model, &options);
	return result;
}

static const char *
boot_vm_done(const struct command_call *call)
{
	return "running";
}

static const struct several boot_vm_several = {
	.done = boot_vm_done,
	.already = ERROR_ALREADY_RUNNING,
	.is_already = "already running",
};

const struct command boot_vm_command = {
	.words = "boot vm",
	.operands = { ARG_VM },
	.options = boot_vm_options,
	.summary = "Start a VM, or several",
	.help = "With user-data or network-config the VM gets a cloud-init CD.",
	.examples = "virtx boot vm web\n"
		    "virtx boot vm -u user-data.yaml web\n"
		    "virtx boot vm web db mail\n"
		    "virtx boot vm --filter state=poweroff,name~web,custom.owner=ann\n",
	.run = boot_vm,
	.several = &boot_vm_several,
};
