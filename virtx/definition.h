/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The file that defines a VM. */
#ifndef VIRTX_DEFINITION_H
#define VIRTX_DEFINITION_H

#include "proto/error.h"
#include "proto/ha.h"
#include "proto/model.h"
#include "virtx/command.h"
#include "virtx/unknown.h"

/* The options of a command that reads a definition: what stands in custom fields of it. */
#define DEFINITION_OPTIONS                                                       \
	{ 'a', "ha", ARG_WORD("POLICY", &ha_policy_enum, 0),                     \
		"whether it is booted after its host was: restart or none" },    \
	{                                                                        \
		'O', "ha-order", ARG_TEXT("N"), "in this place then, 1 to 9 (5)" \
	}

#define DEFINITION_HELP                                                                       \
	"FILE is the definition in YAML or JSON, '-' for standard input. Enums may be words " \
	"(bus: virtio-scsi) or numbers, sizes MiB or with a unit (total: 4G). What 'virtx "   \
	"get vm -o yaml' prints is taken as it is."

/* What definition_read does, without options. unknown: where keys go that are none, NULL where they
 * are errors. */
int definition_read_file(
    const char *file, struct vmdef *def, struct unknown_list *unknown, struct error *err);
/* Reads a Vmdef in YAML or JSON, or all of a VM as 'get vm' prints it, from a file, "-" for
 * standard input, into def, which is zero before. What the call's DEFINITION_OPTIONS say replaces
 * what the file does. */
int definition_read(const struct command_call *call, const char *file, struct vmdef *def,
    struct unknown_list *unknown, struct error *err);
/* The call's client, which sends options, of a request whose first field is the definition, with
 * what is unknown in it. Their JSON is in *body, NULL where nothing is, and the caller's to free
 * once the client has done its work. */
struct client definition_client(const struct command_call *call, const struct unknown_list *unknown,
    const struct model *m, const void *options, char **body);
/* The definition of the VM that operand 0 names, as the server has it, into def, which is zero
 * before; *tag is its ETag, NULL where the server has none, and the caller's to free. */
int definition_fetch(
    const struct command_call *call, struct vmdef *def, char **tag, struct error *err);
/* Gives that VM a new one. With a tag, only where the old one is still that one: else 412. */
int definition_send(const struct command_call *call, const struct vm_update_options *options,
    const char *tag, struct error *err);

#endif
