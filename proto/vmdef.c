/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "proto/vmdef.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "proto/utf8.h"
#include "proto/uuid.h"

#define NAME_MAX_BYTES	  32
#define VLANID_MAX	  4094
#define RESOURCE_NAME_MAX 48 /* SANLK_NAME_LEN */
#define MAC_LENGTH	  17

/* A string of min..max bytes. */
static int
check_length(const char *text, size_t min, size_t max, const char *prefix, const char *field,
    struct error *err)
{
	size_t len = strlen(str_or_empty(text));

	if (len < min)
		return error_set(err, 400, "%s.%s: must not be empty", prefix, field);
	if (len > max)
		return error_set(
		    err, 400, "%s.%s: %zu bytes are more than %zu", prefix, field, len, max);
	return 0;
}

/* What people call something: max bytes at most, and something to see. */
static int
check_name(const char *text, size_t max, const char *prefix, const char *field, struct error *err)
{
	uint32_t code = 0;

	if (check_length(text, 1, max, prefix, field, err) < 0)
		return -1;
	for (const char *p = text; *p;) {
		size_t n = utf8_char(p, strlen(p), &code);

		if (n == 0 || !utf8_is_space(code))
			return 0;
		p += n;
	}
	return error_set(err, 400, "%s.%s: there are only spaces in it", prefix, field);
}

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

/* An integer of min..max. */
static int
check_range(long long value, long long min, long long max, const char *prefix, const char *field,
    struct error *err)
{
	if (value >= min && value <= max)
		return 0;
	if (min == max)
		return error_set(err, 400, "%s.%s: %lld must be %lld", prefix, field, value, min);
	return error_set(
	    err, 400, "%s.%s: %lld is out of range %lld..%lld", prefix, field, value, min, max);
}

/* What neither a terminal nor an XML document can show. */
static int
check_characters(const char *text, const char *path, struct error *err)
{
	size_t len = strlen(text);

	for (size_t at = 0; at < len;) {
		uint32_t code = 0;
		size_t n = utf8_char(text + at, len - at, &code);

		if (n == 0)
			return error_set(err, 400, "%s: no UTF-8 at byte %zu", path, at);
		if (utf8_is_control(code))
			return error_set(err, 400, "%s: a control character (0x%02x) at byte %zu",
			    path, (unsigned int)code, at);
		if (utf8_is_hidden(code))
			return error_set(err, 400,
			    "%s: an invisible character (U+%04X) at byte %zu", path,
			    (unsigned int)code, at);
		if (code == 0xfffe || code == 0xffff)
			return error_set(err, 400, "%s: U+%04X, which is no character, at byte %zu",
			    path, (unsigned int)code, at);
		at += n;
	}
	return 0;
}

/* What holds for every field of its kind: characters of strings, enums in range. */
static int
check_fields(const struct model *m, const void *obj, const char *prefix, struct error *err)
{
	for (unsigned int i = 0; i < m->n_fields; i++) {
		const struct field *f = &m->fields[i];
		_free_ char *path = xasprintf("%s.%s", prefix, f->name);
		int64_t min, max;
		const char *items;
		size_t n;

		if (f->kind == KIND_STRING) {
			if (check_characters(field_get_string(f, obj), path, err) < 0)
				return -1;
		} else if (f->kind == KIND_ENUM) {
			field_range(f, &min, &max);
			if (check_range(field_get_int(f, obj), min, max, prefix, f->name, err) < 0)
				return -1;
		} else if (f->kind == KIND_STRUCT) {
			if (check_fields(f->sub, field_member(f, obj), path, err) < 0)
				return -1;
		} else if (f->kind == KIND_ARRAY) {
			items = field_items(f, obj, &n);
			for (size_t k = 0; k < n; k++) {
				_free_ char *element = xasprintf("%s[%zu]", path, k);

				if (check_fields(f->sub, items + k * f->sub->size, element, err) <
				    0)
					return -1;
			}
		}
	}
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

static bool
has_suffix(const char *text, const char *suffix)
{
	size_t len = strlen(text), n = strlen(suffix);

	return len >= n && memcmp(text + len - n, suffix, n) == 0;
}

/* What follows dir and a slash in path, or NULL where path is not under dir. */
static const char *
path_under(const char *path, const char *dir)
{
	size_t n = strlen(dir);

	return strncmp(path, dir, n) == 0 && path[n] == '/' && path[n + 1] ? path + n + 1 : NULL;
}

/* Whether every component is a name: none empty, "." or "..". */
static bool
path_is_clean(const char *path)
{
	while (*path == '/') {
		size_t n = strcspn(++path, "/");

		if (n == 0 || (n == 1 && path[0] == '.') ||
		    (n == 2 && path[0] == '.' && path[1] == '.'))
			return false;
		path += n;
	}
	return *path == '\0';
}

/* The bytes of the longest component. */
static size_t
path_longest(const char *path)
{
	size_t longest = 0;

	while (*path) {
		size_t n = strcspn(++path, "/");

		if (n > longest)
			longest = n;
		path += n;
	}
	return longest;
}

enum disk_format
vmdef_disk_format(const char *path)
{
	if (path_under(path, "/dev"))
		return DISK_FORMAT_RAW;
	if (has_suffix(path, ".raw") || has_suffix(path, ".iso"))
		return DISK_FORMAT_RAW;
	if (has_suffix(path, ".qcow2"))
		return DISK_FORMAT_QCOW2;
	return DISK_FORMAT_INVALID;
}

static int
check_path(const struct disk *disk, const char *root, const char *where, struct error *err)
{
	_free_ char *store = xasprintf("%s/ds", root);
	_free_ char *reserved = xasprintf("%s/ds/ci", root);
	const char *path = str_or_empty(disk->path);

	if (!*path)
		return error_set(err, 400, "%s.path: must not be empty", where);
	if (*path != '/' || !path_is_clean(path))
		return error_set(err, 400,
		    "%s.path: '%s' is no absolute path without '//', '.', '..' or a slash at the "
		    "end",
		    where, path);
	if (strlen(path) >= PATH_MAX)
		return error_set(err, 400, "%s.path: longer than %d bytes", where, PATH_MAX - 1);
	if (path_longest(path) > NAME_MAX)
		return error_set(err, 400,
		    "%s.path: a component of %zu bytes is longer than the %d that a file's name "
		    "may have",
		    where, path_longest(path), NAME_MAX);
	if (path_under(path, "/dev")) {
		/* QEMU opens what is no lun as a regular file, and a device is none. */
		if (disk->device != DISK_DEVICE_LUN)
			return error_set(err, 400,
			    "%s.device: only a lun may be under /dev/, and '%s' is a %s", where,
			    path, enum_word(&disk_device_enum, disk->device));
		return 0;
	}
	if (!path_under(path, store))
		return error_set(err, 400, "%s.path: '%s' is neither under %s/ nor under /dev/",
		    where, path, store);
	if (disk->device == DISK_DEVICE_LUN)
		return error_set(
		    err, 400, "%s.path: '%s' is a lun, which must be under /dev/", where, path);
	if (path_under(path, reserved))
		return error_set(err, 400,
		    "%s.path: '%s' is under %s/, which is kept for cloud-init", where, path,
		    reserved);
	if (vmdef_disk_format(path) == DISK_FORMAT_INVALID)
		return error_set(err, 400, "%s.path: '%s' ends neither in .qcow2 nor .raw nor .iso",
		    where, path);
	return 0;
}

/* What may be provisioned, and how. */
static int
check_provisioning(const struct disk *disk, const char *where, struct error *err)
{
	const char *word = enum_word(&disk_prov_mode_enum, disk->prov);

	if (disk->prov == DISK_PROV_MODE_NONE)
		return 0;
	if (disk->size == 0)
		return error_set(
		    err, 400, "%s.size: a disk that is provisioned (%s) needs a size", where, word);
	if (disk->device == DISK_DEVICE_LUN && disk->prov == DISK_PROV_MODE_THICK)
		return error_set(err, 400, "%s.prov: a lun cannot be provisioned thick", where);
	return 0;
}

/* Whether the VM has this disk already, provisioned as it says. */
static bool
is_kept(const struct vmdef *old, const struct disk *disk)
{
	const struct disk *before = old ? vmdef_find_disk(old, disk->path) : NULL;

	return before && before->man == disk->man && before->prov == disk->prov;
}

/* Of what is never made, the provisioning is what somebody who has read it has found. */
static void
forget_found(struct disk *disk)
{
	if (disk->man != DISK_MAN_MODE_MANAGED || has_suffix(str_or_empty(disk->path), ".iso"))
		disk->prov = DISK_PROV_MODE_NONE;
}

static int
check_disk(const struct disk *disk, const struct vmdef *old, const char *root, const char *where,
    struct error *err)
{
	char name[RESOURCE_NAME_MAX + 1];
	const char *bus = enum_word(&disk_bus_enum, disk->bus);

	if (check_path(disk, root, where, err) < 0)
		return -1;
	if (disk->device == DISK_DEVICE_LUN && disk->bus != DISK_BUS_VIRTIO_SCSI)
		return error_set(
		    err, 400, "%s.bus: a lun must be on virtio-scsi, not on %s", where, bus);
	if (disk->device == DISK_DEVICE_CDROM && disk->bus == DISK_BUS_VIRTIO_BLK)
		return error_set(err, 400,
		    "%s.bus: a cdrom must be on virtio-scsi, sata or scsi, not on %s", where, bus);
	if (check_range(disk->size, 0, INT32_MAX, where, "size", err) < 0)
		return -1;
	/* A definition that was read shows what was found, also of disks that we did not make. */
	if (!is_kept(old, disk) && check_provisioning(disk, where, err) < 0)
		return -1;
	if (disk->man == DISK_MAN_MODE_MANAGED && disk_resource_name(disk, root, name, err) < 0)
		return error_wrap(err, "%s.path", where);
	return 0;
}

/* The name of a disk in errors; the caller frees. */
static char *
disk_place(const char *prefix, size_t index)
{
	return index == 0 ? xasprintf("%s.osdisk", prefix)
			  : xasprintf("%s.disks[%zu]", prefix, index - 1);
}

/* By one path, or one LUN by two of its names. */
static bool
is_same(const struct disk *disk, const struct disk *other)
{
	char name[RESOURCE_NAME_MAX + 1], other_name[RESOURCE_NAME_MAX + 1];
	struct error ignored = { 0 };

	if (str_equal(disk->path, other->path))
		return true;
	return disk->device == DISK_DEVICE_LUN && other->device == DISK_DEVICE_LUN &&
	       disk_resource_name(disk, "", name, &ignored) == 0 &&
	       disk_resource_name(other, "", other_name, &ignored) == 0 &&
	       strcmp(name, other_name) == 0;
}

static int
check_disks(const struct vmdef *def, const struct vmdef *old, const char *root, const char *prefix,
    struct error *err)
{
	const struct disk *disk, *other;

	if (def->n_disks > VMDEF_DISKS_MAX)
		return error_set(err, 400, "%s.disks: %zu disks are more than %d", prefix,
		    def->n_disks, VMDEF_DISKS_MAX);
	for (size_t i = 0; (disk = vmdef_disk(def, i)); i++) {
		_free_ char *where = disk_place(prefix, i);

		if (check_disk(disk, old, root, where, err) < 0)
			return -1;
		for (size_t k = 0; k < i && (other = vmdef_disk(def, k)); k++) {
			_free_ char *first = disk_place(prefix, k);

			if (!is_same(disk, other))
				continue;
			return str_equal(disk->path, other->path)
				   ? error_set(err, 400, "%s.path: '%s' is also %s.path", where,
					 disk->path, first)
				   : error_set(err, 400,
					 "%s.path: '%s' is the LUN of %s.path, '%s'", where,
					 disk->path, first, other->path);
		}
	}
	if (vmdef_leases(def) > VMDEF_LEASES_MAX)
		return error_set(err, 400,
		    "%s.disks: %u managed disks, the osdisk counted; each takes a lease, and "
		    "libvirt "
		    "allows %d to a VM (the cloud-init CD needs one more while it is attached)",
		    prefix, vmdef_leases(def), VMDEF_LEASES_MAX);
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

/* Letters, digits and underscores. */
static int
check_word(const char *text, const char *where, const char *field, struct error *err)
{
	for (const char *p = str_or_empty(text); *p; p++) {
		if (!((*p >= 'A' && *p <= 'Z') || (*p >= 'a' && *p <= 'z') ||
			(*p >= '0' && *p <= '9') || *p == '_'))
			return error_set(err, 400,
			    "%s.%s: '%s' has other characters than A-Z, a-z, 0-9 and _", where,
			    field, text);
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

static void
drop_nameless(struct vmdef *def)
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
	forget_found(&def->osdisk);
	for (size_t i = 0; i < def->n_disks; i++)
		forget_found(&def->disks[i]);
	if (check_disks(def, old, root, prefix, err) < 0 || check_nets(def, prefix, err) < 0 ||
	    check_range(def->vlanid, 0, VLANID_MAX, prefix, "vlanid", err) < 0)
		return -1;
	if (!str_empty(def->genid) && !str_equal(def->genid, "auto") &&
	    uuid_normalize(def->genid, uuid) < 0)
		return error_set(err, 400,
		    "%s.genid: '%s' is neither empty nor 'auto' nor a UUID of 36 characters",
		    prefix, def->genid);
	/* Errors in what is kept name its place in the request. */
	if (check_custom(def, prefix, err) < 0)
		return -1;
	drop_nameless(def);
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

unsigned int
vmdef_leases(const struct vmdef *def)
{
	const struct disk *disk;
	unsigned int leases = 0;

	for (size_t i = 0; (disk = vmdef_disk(def, i)); i++)
		leases += disk->man == DISK_MAN_MODE_MANAGED;
	return leases;
}

const struct disk *
vmdef_disk(const struct vmdef *def, size_t index)
{
	if (index == 0)
		return &def->osdisk;
	return index <= def->n_disks ? &def->disks[index - 1] : NULL;
}

static int
check_reserved(const char *host, const char *operation, struct error *err)
{
	char uuid[UUID_TEXT_SIZE];

	if (uuid_normalize(str_or_empty(host), uuid) < 0)
		return error_set(err, 400, "host: '%s' is no UUID", str_or_empty(host));
	if (uuid_normalize(str_or_empty(operation), uuid) < 0)
		return error_set(err, 400, "operation: '%s' is no UUID", str_or_empty(operation));
	return 0;
}

int
vm_reservation_check(const struct vm_reservation *reservation, struct error *err)
{
	const struct cpudef *cpu = &reservation->cpudef;
	long long vcpus = (long long)cpu->sockets * cpu->cores * cpu->threads;

	if (check_reserved(reservation->host, reservation->operation, err) < 0 ||
	    check_range(reservation->memory.total, 0, INT32_MAX, "memory", "total", err) < 0 ||
	    check_range(cpu->sockets, 0, INT16_MAX, "cpudef", "sockets", err) < 0 ||
	    check_range(cpu->cores, 0, INT16_MAX, "cpudef", "cores", err) < 0 ||
	    check_range(cpu->threads, 0, INT16_MAX, "cpudef", "threads", err) < 0)
		return -1;
	if (vcpus > INT16_MAX)
		return error_set(
		    err, 400, "cpudef: %lld virtual CPUs are more than %d", vcpus, INT16_MAX);
	return 0;
}

int
vm_reservation_end_check(const struct vm_reservation_end *end, struct error *err)
{
	return check_reserved(end->host, end->operation, err);
}

const struct disk *
vmdef_find_disk(const struct vmdef *def, const char *path)
{
	const struct disk *disk;

	for (size_t i = 0; (disk = vmdef_disk(def, i)); i++) {
		if (str_equal(disk->path, path))
			return disk;
	}
	return NULL;
}
