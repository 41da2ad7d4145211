/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "virtx/field_info.h"

#include <inttypes.h>
#include <limits.h>
#include <string.h>

#include "proto/model.h"
#include "proto/vmdef.h"
#include "schemas/descriptions.h"
#include "virtx/answer.h"

static const struct field field_word_fields[] = {
	FIELD("word", struct field_word, word),
	FIELD("value", struct field_word, value),
};
static const struct model field_word_model = { "FieldWord", sizeof(struct field_word),
	field_word_fields, ARRAY_SIZE(field_word_fields) };

static const struct field field_info_fields[] = {
	FIELD("path", struct field_info, path),
	FIELD("type", struct field_info, type),
	FIELD("unit", struct field_info, unit),
	FIELD("required", struct field_info, required),
	FIELD("default", struct field_info, initial),
	FIELD("bounds", struct field_info, bounds),
	FIELD_ARRAY("words", struct field_info, words, field_word),
	FIELD("example", struct field_info, example),
	FIELD("description", struct field_info, about),
};
static const struct model field_info_model = { "FieldInfo", sizeof(struct field_info),
	field_info_fields, ARRAY_SIZE(field_info_fields) };

static const struct field field_info_list_fields[] = {
	FIELD_ARRAY("items", struct field_info_list, items, field_info),
};
const struct model field_info_list_model = { "FieldInfoList", sizeof(struct field_info_list),
	field_info_list_fields, ARRAY_SIZE(field_info_list_fields) };

/* What vmdef_check() asks of a field and no table says. */
struct note {
	const struct model *model;
	const char *field;
	const char *example; /* a value in YAML */
	int64_t min, max; /* of a number; of a string's bytes; of a list's elements. 0, 0: none */
	bool required;
};

static const struct note notes[] = {
	{ &vmdef_model, "name", "web", 1, 32, true },
	{ &vmdef_model, "cpudef", "{model: host-passthrough, sockets: 1, cores: 2, threads: 1}", 0,
	    0, true },
	{ &vmdef_model, "memory", "{total: 4G}", 0, 0, true },
	{ &vmdef_model, "numa", "{placement: true}", 0, 0, false },
	{ &vmdef_model, "osdisk", "{path: /vms/ds/web.qcow2, man: managed, prov: thin, size: 20G}",
	    0, 0, true },
	{ &vmdef_model, "disks",
	    "[{path: /vms/ds/data.qcow2, bus: virtio-scsi, man: managed, prov: thin, size: 50G}]",
	    0, VMDEF_DISKS_MAX, false },
	{ &vmdef_model, "nets", "[{name: br0, nettype: bridge}]", 0, VMDEF_NETS_MAX, false },
	{ &vmdef_model, "vlanid", "100", 0, 4094, false },
	{ &vmdef_model, "firmware", "uefi", 0, 0, false },
	{ &vmdef_model, "genid", "auto", 0, 0, false },
	{ &vmdef_model, "custom", "[{name: owner, value: ann}]", 0, VMDEF_CUSTOM_MAX, false },
	{ &cpudef_model, "model", "host-passthrough", 1, 32, true },
	{ &cpudef_model, "nodes", "0", 0, 0, false },
	{ &cpudef_model, "sockets", "1", 1, INT16_MAX, true },
	{ &cpudef_model, "cores", "2", 1, INT16_MAX, true },
	{ &cpudef_model, "threads", "1", 1, 1, true },
	{ &vmdef_memory_model, "total", "4G", 1, INT32_MAX, true },
	{ &vmdef_memory_model, "hp", "true", 0, 0, false },
	{ &numa_model, "placement", "true", 0, 0, false },
	{ &disk_model, "path", "/vms/ds/web.qcow2", 1, PATH_MAX - 1, true },
	{ &disk_model, "device", "cdrom", 0, 0, false },
	{ &disk_model, "bus", "virtio-scsi", 0, 0, false },
	{ &disk_model, "man", "managed", 0, 0, false },
	{ &disk_model, "prov", "thin", 0, 0, false },
	{ &disk_model, "size", "20G", 0, INT32_MAX, false },
	{ &net_model, "name", "br0", 1, 32, true },
	{ &net_model, "nettype", "bridge", 0, 0, false },
	{ &net_model, "model", "e1000e", 0, 0, false },
	{ &net_model, "mac", "\"52:54:00:12:34:56\"", 0, 0, false },
	{ &custom_field_model, "name", "owner", 0, VMDEF_CUSTOM_BYTES_MAX, false },
	{ &custom_field_model, "value", "ann", 0, VMDEF_CUSTOM_BYTES_MAX, false },
};

static const struct note *
find_note(const struct model *m, const char *field)
{
	static const struct note none = { 0 };

	for (size_t i = 0; i < ARRAY_SIZE(notes); i++)
		if (notes[i].model == m && strcmp(notes[i].field, field) == 0)
			return &notes[i];
	return &none;
}

static const char *
find_description(const struct model *m, const char *field)
{
	for (size_t i = 0; i < n_descriptions; i++)
		if (strcmp(descriptions[i].model, m->name) == 0 &&
		    strcmp(descriptions[i].field, field) == 0)
			return descriptions[i].text;
	return "";
}

/* Its type, and what one of it is that is left out. */
static const struct {
	const char *type;
	const char *initial;
} kinds[] = {
	[KIND_BOOL] = { "boolean", "false" },
	[KIND_INT16] = { "integer", "0" },
	[KIND_INT32] = { "integer", "0" },
	[KIND_INT64] = { "integer", "0" },
	[KIND_FLOAT] = { "number", "0" },
	[KIND_STRING] = { "string", "\"\"" },
	[KIND_ENUM] = { "enum", "" },
	[KIND_STRUCT] = { "object", "" },
	[KIND_ARRAY] = { "list", "[]" },
};

static char *
make_bounds(const struct field *f, const struct note *note)
{
	const char *what = f->unit ? " MiB" : "";

	if (note->min == 0 && note->max == 0)
		return xstrdup("");
	if (f->kind == KIND_STRING)
		what = " bytes";
	else if (f->kind == KIND_ARRAY)
		what = " elements";
	if (note->min == note->max)
		return xasprintf("%" PRId64 "%s", note->min, what);
	return xasprintf("%" PRId64 " to %" PRId64 "%s", note->min, note->max, what);
}

/* Where a field is: the text before its example, and behind it. */
struct place {
	const char *path;
	const char *before, *behind;
};

static void
add_field(struct field_info_list *list, const struct model *m, const struct field *f,
    const struct place *at)
{
	const struct note *note = find_note(m, f->name);
	struct field_info *info = model_append(&list->items, &list->n_items);

	info->path = xasprintf("%s.%s", at->path, f->name);
	info->type = xstrdup(kinds[f->kind].type);
	info->unit = xstrdup(f->unit ? "MiB" : "");
	info->required = note->required;
	if (!note->required)
		info->initial =
		    xstrdup(f->kind == KIND_ENUM ? enum_word(f->words, 0) : kinds[f->kind].initial);
	info->bounds = make_bounds(f, note);
	for (unsigned int i = 0; f->words && i < f->words->n_words; i++) {
		struct field_word *word = model_append(&info->words, &info->n_words);

		word->word = xstrdup(f->words->words[i]);
		word->value = (int32_t)i;
	}
	info->example =
	    xasprintf("%s%s: %s%s", at->before, f->name, str_or_empty(note->example), at->behind);
	info->about = xstrdup(find_description(m, f->name));
}

/* All fields of a struct, each with what is within it behind it. */
static void
add_fields(struct field_info_list *list, const struct model *m, const struct place *at)
{
	for (unsigned int i = 0; i < m->n_fields; i++) {
		const struct field *f = &m->fields[i];
		bool many = f->kind == KIND_ARRAY;
		_free_ char *path = xasprintf("%s.%s", at->path, f->name);
		_free_ char *before = xasprintf("%s%s: %s", at->before, f->name, many ? "[{" : "{");
		_free_ char *behind = xasprintf("%s%s", many ? "}]" : "}", at->behind);

		add_field(list, m, f, at);
		if (f->sub)
			add_fields(list, f->sub, &(const struct place){ path, before, behind });
	}
}

/* The definition itself; its example has what is required. */
static void
add_root(struct field_info_list *list)
{
	struct field_info *info = model_append(&list->items, &list->n_items);
	_buffer_ struct buffer example = { 0 };

	for (unsigned int i = 0; i < vmdef_model.n_fields; i++) {
		const struct note *note = find_note(&vmdef_model, vmdef_model.fields[i].name);

		if (note->required)
			buffer_printf(&example, "%s%s: %s", example.len > 0 ? ", " : "{",
			    note->field, note->example);
	}
	info->path = xstrdup(FIELD_INFO_ROOT);
	info->type = xstrdup(kinds[KIND_STRUCT].type);
	info->required = true;
	info->example = xasprintf("%s}", str_or_empty(example.data));
	info->about = xstrdup("The definition of a VM, in YAML or JSON");
}

/* The path as it is listed: with the root, and without an index. The caller frees. */
static char *
make_path(const char *text)
{
	size_t root = strlen(FIELD_INFO_ROOT);
	bool whole =
	    strncmp(text, FIELD_INFO_ROOT, root) == 0 && (text[root] == '\0' || text[root] == '.');
	struct buffer path = { 0 };

	if (!whole)
		buffer_printf(&path, "%s%s", FIELD_INFO_ROOT, *text ? "." : "");
	while (*text) {
		size_t n = strcspn(text, "["), digits;

		buffer_add(&path, text, n);
		text += n;
		digits = *text ? strspn(text + 1, "0123456789") : 0;
		if (*text && text[1 + digits] == ']') {
			text += digits + 2;
		} else if (*text) {
			buffer_add(&path, text, 1);
			text++;
		}
	}
	return buffer_steal(&path, NULL);
}

static const struct field *
find_field(const struct model *m, const char *name)
{
	for (unsigned int i = 0; i < m->n_fields; i++)
		if (strcmp(m->fields[i].name, name) == 0)
			return &m->fields[i];
	return NULL;
}

/* The first path that ends in this name; NULL for none. */
static const char *
find_elsewhere(const struct field_info_list *all, const char *name)
{
	for (size_t i = 0; i < all->n_items; i++) {
		const char *last = strrchr(all->items[i].path, '.');

		if (last && strcmp(last + 1, name) == 0)
			return all->items[i].path;
	}
	return NULL;
}

/* The path that may be meant by one whose name no field of this struct has. */
static char *
find_meant(
    const struct field_info_list *all, const struct model *m, const char *above, const char *name)
{
	static const char *const root = FIELD_INFO_ROOT;
	const char *nearest = model_nearest(m, name), *elsewhere = find_elsewhere(all, name);

	if (nearest)
		return xasprintf("%s.%s", above, nearest);
	if (!elsewhere && m == &vmdef_model)
		elsewhere = name_nearest(&root, 1, name);
	return elsewhere ? xstrdup(elsewhere) : NULL;
}

/* Says of the first part of the path that no field has what it may be. */
static void
unknown_field(const struct field_info_list *all, const char *path, struct error *err)
{
	const struct model *m = &vmdef_model;
	const char *at = path + strlen(FIELD_INFO_ROOT);

	while (m && *at == '.') {
		size_t len = strcspn(at + 1, ".");
		_free_ char *name = xstrndup(at + 1, len);
		_free_ char *above = xstrndup(path, (size_t)(at - path));
		_free_ char *meant = NULL;
		const struct field *f = find_field(m, name);

		if (f) {
			m = f->sub;
			at += 1 + len;
			continue;
		}
		error_set(err, CLIENT_ERROR_STATUS, "'%s' has no field '%s'", above, name);
		meant = find_meant(all, m, above, name);
		if (meant)
			error_append(err, "did you mean '%s'?", meant);
		else
			error_append(err, "'virtx explain %s' shows which there are", above);
		return;
	}
	error_set(err, CLIENT_ERROR_STATUS, "'%.*s' is one value and has no fields",
	    (int)(at - path), path);
}

/* Whether a field is the one of this path, or within it. */
static bool
is_within(const char *field, const char *path)
{
	size_t n = strlen(path);

	return strncmp(field, path, n) == 0 && (field[n] == '\0' || field[n] == '.');
}

int
field_info_read(const char *path, struct field_info_list *ret, struct error *err)
{
	const struct place root = { FIELD_INFO_ROOT, "", "" };
	_free_ char *wanted = make_path(path);
	struct field_info_list all = { 0 };
	bool found = false;

	add_root(&all);
	add_fields(&all, &vmdef_model, &root);
	for (size_t i = 0; i < all.n_items && !found; i++)
		found = strcmp(all.items[i].path, wanted) == 0;
	if (!found)
		unknown_field(&all, wanted, err);
	for (size_t i = 0; i < all.n_items && found; i++) {
		if (is_within(all.items[i].path, wanted)) {
			*model_append(&ret->items, &ret->n_items) = all.items[i];
			all.items[i] = (struct field_info){ 0 };
		}
	}
	model_clear(&field_info_list_model, &all);
	return found ? 0 : -1;
}
