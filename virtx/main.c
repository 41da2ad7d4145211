/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The commands of virtx, and how one is run. */
#include <errno.h>
#include <locale.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "virtx/client.h"
#include "virtx/command.h"
#include "virtx/verbs.h"

static const struct command commands[] = {
	{ { "list", "host" }, { NULL }, list_host_options, list_host, "List hosts",
	    "Options narrow the list; a host must match all of them." },
	{ { "list", "vm" }, { NULL }, list_vm_options, list_vm, "List VMs",
	    "Options narrow the list; a VM must match all of them." },
	{ { "list", "operation" }, { NULL }, NULL, list_operation,
	    "List what the server's host was asked to do", NULL },
	{ { "get", "host" }, { "UUID" }, get_host_options, get_host, "Show a host",
	    "Several options may be given; without one everything is shown." },
	{ { "get", "vm" }, { "UUID" }, get_vm_options, get_vm, "Show a VM",
	    "Several options may be given; without one the definition and the latest operations "
	    "are shown." },
	{ { "get", "runstate", "vm" }, { "UUID" }, NULL, get_runstate_vm,
	    "Show the state of a VM and its host", NULL },
	{ { "get", "operation" }, { "ID" }, NULL, get_operation, "Show an operation", NULL },
	{ { "create", "vm" }, { "FILE" }, create_vm_options, create_vm,
	    "Create a VM and print its UUID",
	    "FILE is its definition in JSON, '-' for standard input." },
	{ { "update", "vm" }, { "UUID", "FILE" }, update_vm_options, update_vm,
	    "Give a powered-off VM a new definition",
	    "FILE is the definition in JSON, '-' for standard input." },
	{ { "delete", "vm" }, { "UUID" }, delete_vm_options, delete_vm, "Delete a powered-off VM",
	    NULL },
	{ { "boot", "vm" }, { "UUID" }, boot_vm_options, boot_vm, "Start a VM",
	    "With user-data or network-config the VM gets a cloud-init CD." },
	{ { "shutdown", "vm" }, { "UUID" }, shutdown_vm_options, shutdown_vm, "Shut down a VM",
	    "Without an option the guest is asked by ACPI, and the command does not wait for it." },
	{ { "pause", "vm" }, { "UUID" }, NULL, pause_vm, "Stop the CPUs of a VM", NULL },
	{ { "resume", "vm" }, { "UUID" }, NULL, resume_vm, "Let a paused VM run on", NULL },
	{ { "migrate", "vm" }, { "UUID" }, migrate_vm_options, migrate_vm,
	    "Move a VM to another host", NULL },
	{ { "get", "migrate", "vm" }, { "UUID" }, NULL, get_migrate_vm,
	    "Show how far the migration of a VM is", NULL },
	{ { "abort", "migrate", "vm" }, { "UUID" }, NULL, abort_migrate_vm,
	    "Abort the live migration of a VM", NULL },
	{ { "maintain", "host" }, { "UUID" }, maintain_host_options, maintain_host,
	    "Let a host take no VMs, and move its VMs away",
	    "The command ends when that has begun: see -w. The host stays in maintenance until\n"
	    "that is ended with -e." },
	{ { "get", "maintain", "host" }, { "UUID" }, NULL, get_maintain_host,
	    "Show the maintenance of a host: its VMs, and why some stay", NULL },
	{ { "forget", "host" }, { "UUID" }, NULL, forget_host,
	    "Forget a host that has left or failed, and its VMs",
	    "All hosts that are active forget it. It comes back when it is active again." },
	{ { "storage", "init" }, { NULL }, NULL, storage_init,
	    "Make a new storage for a cluster, and print its UUID",
	    "Once for all hosts, when it is mounted on the host of the server." },
	{ { "watch" }, { NULL }, NULL, watch, "Print the changes of the cluster as they come",
	    "It goes on until it is interrupted, over restarts of the server too." },
	{ { "decode-event" }, { NULL }, NULL, decode_event,
	    "Print a serf event of virtxd as a line of JSON",
	    "For the event handlers of a serf agent: the payload comes on standard input, the\n"
	    "event's name in SERF_USER_EVENT." },
	{ { "register", "vm" }, { "UUID" }, register_vm_options, register_vm,
	    "Make registry and libvirt agree about a VM",
	    "What libvirt has goes to the registry; what only the registry has goes to libvirt." },
	{ { "repair" }, { NULL }, repair_options, repair,
	    "Show, or put in order, what failures left behind", NULL },
	{ .words = { NULL } },
};

/* The program's own options: server, format, timeout. */
static enum command_result
configure(
    struct command_call *call, struct client *client, struct writer *writer, struct error *err)
{
	const char *server = call->values['A'];
	long timeout;
	int format;

	if (!server)
		server = getenv("VIRTX_API_SERVER");
	if (server_parse(str_empty(server) ? "localhost" : server, &client->server, err) < 0 ||
	    command_enum(call, 'o', &writer_format_enum, &format, err) < 0 ||
	    command_number(call, COMMAND_OPTION_TIMEOUT, 1, 86400, &timeout, err) < 0)
		return COMMAND_USAGE;
	client->timeout = timeout ? (int)timeout : CLIENT_TIMEOUT;
	client->debug = call->counts['D'] > 0;
	writer->format = (enum writer_format)format;
	return COMMAND_OK;
}

int
main(int argc, char **argv)
{
	struct writer writer = { .out = stdout };
	struct client client = { 0 };
	struct command_call call = { .client = &client, .writer = &writer };
	struct error err = { 0 };
	enum command_result result;
	int rc;

	setlocale(LC_TIME, "");
	signal(SIGPIPE, SIG_IGN);
	result = command_parse(commands, argc, argv, &call, &err);
	if (result == COMMAND_OK && call.command) {
		result = configure(&call, &client, &writer, &err);
		if (result == COMMAND_OK)
			result = call.command->run(&call, &err);
	}
	rc = writer_finish(&writer);
	server_clear(&client.server);
	if (rc < 0 && result == COMMAND_OK) {
		result = COMMAND_FAILED;
		error_errno(&err, CLIENT_ERROR_STATUS, -rc, "cannot write the output");
	}
	if (result != COMMAND_OK) {
		_free_ char *text = writer_safe(err.detail);

		fprintf(stderr, "virtx: %s\n", text);
	}
	if (result == COMMAND_USAGE)
		fprintf(stderr, "Try 'virtx --help' or 'virtx COMMAND --help'.\n");
	return result;
}
