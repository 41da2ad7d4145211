/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "virtx/setting.h"

#include <errno.h>
#include <string.h>

#include "virtx/answer.h"
#include "virtx/field_text.h"

/* What is set: a field of a struct inside of the definition. */
struct target {
	const struct field *field;
	void *obj;
};

int
setting_check(const char *text, struct error *err)
{
	const char *equals = strchr(text, '=');

	if (equals && equals != text)
		return 0;
	return error_set(
	    err, CLIENT_FILE_STATUS, "'%s' is no FIELD=VALUE, as memory=4G is one", text);
}

static const struct field *
find_field(const struct model *m, const char *name, struct error *err)
{
	_buffer_ struct buffer names = { 0 };
	const char *nearest;

	for (unsigned int i = 0; i < m->n_fields; i++) {
		if (strcmp(m->fields[i].name, name) == 0)
			return &m->fields[i];
		buffer_printf(&names, "%s%s", i ? ", " : "", m->fields[i].name);
	}
	nearest = model_nearest(m, name);
	if (nearest)
		error_set(err, CLIENT_FILE_STATUS, "unknown field '%s', did you mean '%s'?", name,
		    nearest);
	else
		error_set(
		    err, CLIENT_FILE_STATUS, "unknown field '%s'; there are %s", name, names.data);
	return NULL;
}

/* The element of "disks[0]", of which *at is at the bracket; it goes on behind it. */
static void *
find_element(const struct field *f, void *obj, const char **at, struct error *err)
{
	char *end = NULL, *items;
	unsigned long index = 0;
	size_t n;

	items = field_items(f, obj, &n);
	errno = 0;
	if (**at == '[' && (*at)[1] >= '0' && (*at)[1] <= '9')
		index = strtoul(*at + 1, &end, 10);
	if (!end || *end != ']') {
		error_set(err, CLIENT_FILE_STATUS,
		    "'%s' is a list: say which one, as %s[0] is the first", f->name, f->name);
		return NULL;
	}
	if (errno != 0 || index >= n) {
		error_set(err, CLIENT_FILE_STATUS, "%s has %zu, counted from 0", f->name, n);
		return NULL;
	}
	*at = end + 1;
	return items + index * f->sub->size;
}

static int
find_target(struct vmdef *def, const char *path, struct target *ret, struct error *err)
{
	const struct model *m = &vmdef_model;
	void *obj = def;

	for (;;) {
		size_t len = strcspn(path, ".[");
		_free_ char *name = xstrndup(path, len);
		const struct field *f = find_field(m, name, err);

		if (!f)
			return -1;
		path += len;
		*ret = (struct target){ f, obj };
		if (f->kind == KIND_ARRAY) {
			obj = find_element(f, obj, &path, err);
			if (!obj)
				return -1;
		} else if (f->kind == KIND_STRUCT) {
			obj = field_member(f, obj);
		} else if (*path == '\0') {
			return 0;
		}
		if (!f->sub || *path != '.')
			return error_set(err, CLIENT_FILE_STATUS,
			    f->sub ? "'%s' has fields: name one, as %s.%s"
				   : "'%s' is one value and has no fields",
			    f->name, f->name, f->sub ? f->sub->fields[0].name : "");
		m = f->sub;
		path++;
	}
}

static void
remove_custom(struct vmdef *def, const char *name)
{
	size_t n = 0;

	for (size_t i = 0; i < def->n_custom; i++) {
		if (str_equal(def->custom[i].name, name))
			model_clear(&custom_field_model, &def->custom[i]);
		else
			def->custom[n++] = def->custom[i];
	}
	def->n_custom = n;
}

static int
set_custom(struct vmdef *def, const char *name, const char *value, struct error *err)
{
	struct custom_field *field = NULL;

	if (!*name)
		return error_set(err, CLIENT_FILE_STATUS, "the custom field has no name");
	if (!*value) {
		remove_custom(def, name);
		return 0;
	}
	for (size_t i = 0; i < def->n_custom && !field; i++)
		if (str_equal(def->custom[i].name, name))
			field = &def->custom[i];
	if (!field) {
		field = model_append(&def->custom, &def->n_custom);
		field->name = xstrdup(name);
	}
	str_set(&field->value, value);
	return 0;
}

/* Sockets and threads stay. */
static int
set_cpus(struct vmdef *def, const char *value, struct error *err)
{
	struct cpudef *cpu = &def->cpudef;
	struct cpudef wanted = { 0 };
	const struct field *cores = find_field(&cpudef_model, "cores", err);
	int each = cpu->sockets * cpu->threads;

	if (field_read(cores, &wanted, value, false, err) < 0)
		return -1;
	if (wanted.cores <= 0)
		return error_set(err, CLIENT_FILE_STATUS, "'%s' is no number of CPUs", value);
	if (each <= 0 || wanted.cores % each != 0)
		return error_set(err, CLIENT_FILE_STATUS,
		    "%d cpus are not to be had with %d sockets and %d threads of each core: set "
		    "cpudef.sockets, cpudef.cores and cpudef.threads",
		    wanted.cores, cpu->sockets, cpu->threads);
	cpu->cores = (int16_t)(wanted.cores / each);
	return 0;
}

static int
apply(struct vmdef *def, const char *path, const char *value, struct error *err)
{
	static const char custom[] = "custom.";
	struct target target;

	if (strncmp(path, custom, strlen(custom)) == 0)
		return set_custom(def, path + strlen(custom), value, err);
	if (strcmp(path, "cpus") == 0)
		return set_cpus(def, value, err);
	if (strcmp(path, "memory") == 0)
		path = "memory.total";
	if (find_target(def, path, &target, err) < 0)
		return -1;
	return field_read(target.field, target.obj, value, false, err);
}

int
setting_apply(struct vmdef *def, const char *text, struct error *err)
{
	const char *equals = strchr(text, '=');
	_free_ char *path = NULL;

	if (setting_check(text, err) < 0)
		return -1;
	path = xstrndup(text, (size_t)(equals - text));
	if (apply(def, path, equals + 1, err) == 0)
		return 0;
	err->status = CLIENT_FILE_STATUS;
	return error_wrap(err, "%s", path);
}
