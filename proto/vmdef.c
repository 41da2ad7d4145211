/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "proto/vmdef.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "proto/check.h"
#include "proto/ha.h"
#include "proto/utf8.h"
#include "proto/uuid.h"

#define NAME_MAX_BYTES 32
#define VLANID_MAX     4094
#define MAC_LENGTH     17

/* One that a person can tell from others on a line, and type; the characters are checked. A VM that
 * has another one by other means keeps it until it is changed. */
static int
check_new_name(const char *name, const char *prefix, struct error *err)
{
	uint32_t code = 0, first = 0;

	for (const char *p = name; *p;) {
		size_t n = utf8_char(p, strlen(p), &code);

		if (p == name)
			first = code;
		p += n;
	}
	if (utf8_is_space(first) || utf8_is_space(code))
		return error_set(
		    err, 400, "%s.name: '%s' begins or ends with a space", prefix, name);
	if (utf8_is_combining(first))
		return error_set(err, 400,
		    "%s.name: it begins with a combining mark (U+%04X), which needs a character "
		    "before it",
		    prefix, (unsigned int)first);
	if (str_equal(name, ".") || str_equal(name, ".."))
		return error_set(err, 400, "%s.name: '%s' is no name", prefix, name);
	return 0;
}

static int
check_cpu(const struct cpudef *cpu, const char *prefix, struct error *err)
{
	_free_ char *path = xasprintf("%s.cpudef", prefix);
	long long vcpus = (long long)cpu->sockets * cpu->cores * cpu->threads;

	if (check_name(cpu->model, NAME_MAX_BYTES, path, "model", err) < 0 ||
	    check_range(cpu->sockets, 1, INT16_MAX, path, "sockets", err) < 0 ||
	    check_range(cpu->cores, 1, INT16_MAX, path, "cores", err) < 0 ||
	    check_range(cpu->threads, 1, 1, path, "threads", err) < 0)
		return -1;
	/* As many as the gossip can tell of. */
	if (vcpus > INT16_MAX)
		return error_set(
		    err, 400, "%s: %lld virtual CPUs are more than %d", path, vcpus, INT16_MAX);
	return 0;
}

/* A unicast address in six pairs of hex digits with colons. */
static bool
mac_is_valid(const char *mac)
{
	unsigned int all = 0, first = 0;

	if (strlen(mac) != MAC_LENGTH)
		return false;
	for (unsigned int i = 0; i < MAC_LENGTH; i++) {
		int digit = hex_digit(mac[i]);

		if (i % 3 == 2 ? mac[i] != ':' : digit < 0)
			return false;
		if (i % 3 != 2)
			all |= (unsigned int)digit;
		if (i == 1)
			first = (unsigned int)digit;
	}
	return all != 0 && (first & 1) == 0;
}

static int
check_nets(const struct vmdef *def, const char *prefix, struct error *err)
{
	if (def->n_nets > VMDEF_NETS_MAX)
		return error_set(err, 400, "%s.nets: %zu networks are more than %d", prefix,
		    def->n_nets, VMDEF_NETS_MAX);
	for (size_t i = 0; i < def->n_nets; i++) {
		const struct net *net = &def->nets[i];
		_free_ char *where = xasprintf("%s.nets[%zu]", prefix, i);

		if (check_name(net->name, NAME_MAX_BYTES, where, "name", err) < 0)
			return -1;
		if (!str_empty(net->mac) && !mac_is_valid(net->mac))
			return error_set(err, 400,
			    "%s.mac: '%s' is no unicast MAC address of the form 52:54:00:12:34:56",
			    where, net->mac);
		for (size_t k = 0; k < i && !str_empty(net->mac); k++) {
			if (strcasecmp(net->mac, str_or_empty(def->nets[k].mac)) == 0)
				return error_set(err, 400, "%s.mac: '%s' is also %s.nets[%zu].mac",
				    where, net->mac, prefix, k);
		}
	}
	return 0;
}

static int
check_custom(const struct vmdef *def, const char *prefix, struct error *err)
{
	if (def->n_custom > VMDEF_CUSTOM_MAX)
		return error_set(err, 400, "%s.custom: %zu fields are more than %d", prefix,
		    def->n_custom, VMDEF_CUSTOM_MAX);
	for (size_t i = 0; i < def->n_custom; i++) {
		_free_ char *where = xasprintf("%s.custom[%zu]", prefix, i);

		if (check_length(
			def->custom[i].name, 0, VMDEF_CUSTOM_BYTES_MAX, where, "name", err) < 0 ||
		    check_length(
			def->custom[i].value, 0, VMDEF_CUSTOM_BYTES_MAX, where, "value", err) < 0)
			return -1;
		if (check_word(def->custom[i].name, where, "name", err) < 0 ||
		    check_word(def->custom[i].value, where, "value", err) < 0)
			return -1;
	}
	return 0;
}

void
vmdef_drop_nameless(struct vmdef *def)
{
	size_t kept = 0;

	for (size_t i = 0; i < def->n_custom; i++) {
		if (str_empty(def->custom[i].name))
			model_clear(&custom_field_model, &def->custom[i]);
		else
			def->custom[kept++] = def->custom[i];
	}
	def->n_custom = kept;
}

int
vmdef_check(struct vmdef *def, const char *root, const char *prefix, struct error *err)
{
	return vmdef_check_update(def, NULL, root, prefix, err);
}

int
vmdef_check_update(struct vmdef *def, const struct vmdef *old, const char *root, const char *prefix,
    struct error *err)
{
	_free_ char *memory = xasprintf("%s.memory", prefix);
	char uuid[UUID_TEXT_SIZE];

	if (check_fields(&vmdef_model, def, prefix, err) < 0 ||
	    check_name(def->name, NAME_MAX_BYTES, prefix, "name", err) < 0 ||
	    (!(old && str_equal(old->name, def->name)) &&
		check_new_name(def->name, prefix, err) < 0) ||
	    check_cpu(&def->cpudef, prefix, err) < 0 ||
	    check_range(def->memory.total, 1, INT32_MAX, memory, "total", err) < 0)
		return -1;
	if (vmdef_disks_check(def, old, root, prefix, err) < 0 ||
	    check_nets(def, prefix, err) < 0 ||
	    check_range(def->vlanid, 0, VLANID_MAX, prefix, "vlanid", err) < 0)
		return -1;
	if (!str_empty(def->genid) && !str_equal(def->genid, "auto") &&
	    uuid_normalize(def->genid, uuid) < 0)
		return error_set(err, 400,
		    "%s.genid: '%s' is neither empty nor 'auto' nor a UUID of 36 characters",
		    prefix, def->genid);
	/* Errors in what is kept name its place in the request. */
	if (check_custom(def, prefix, err) < 0 || ha_check(def, old, prefix, err) < 0)
		return -1;
	vmdef_drop_nameless(def);
	return 0;
}

unsigned int
vmdef_vcpus(const struct vmdef *def)
{
	return (unsigned int)def->cpudef.sockets * (unsigned int)def->cpudef.cores *
	       (unsigned int)def->cpudef.threads;
}

bool
vmdef_names_model(const struct vmdef *def)
{
	static const char *const modes[] = { "host-passthrough", "host-model", "maximum" };

	for (size_t i = 0; i < ARRAY_SIZE(modes); i++) {
		if (str_equal(def->cpudef.model, modes[i]))
			return false;
	}
	return true;
}
