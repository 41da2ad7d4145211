/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "api/parameters.h"

#include <string.h>

struct parameters {
	char **names;
	bool *seen;
	size_t n;
};

#define _parameters_ __attribute__((cleanup(parameters_clear)))

static void
parameters_clear(struct parameters *parameters)
{
	for (size_t i = 0; i < parameters->n; i++)
		free(parameters->names[i]);
	free(parameters->names);
	free(parameters->seen);
}

/* name is given away. */
static void
add(struct parameters *parameters, char *name)
{
	parameters->names =
	    xrealloc(parameters->names, parameters->n + 1, sizeof(*parameters->names));
	parameters->names[parameters->n++] = name;
}

/* What can be filtered by: a nested field is named with dots. */
static void
add_fields(struct parameters *parameters, const struct model *model, const char *prefix)
{
	for (unsigned int i = 0; i < model->n_fields; i++) {
		const struct field *field = &model->fields[i];
		_free_ char *name = xasprintf("%s%s", prefix, field->name);
		_free_ char *below = xasprintf("%s.", name);

		if (field->kind == KIND_STRUCT) {
			add_fields(parameters, field->sub, below);
			continue;
		}
		if (strcmp(name, "name") == 0)
			add(parameters, xstrdup("name_contains"));
		add(parameters, steal_ptr(name));
	}
}

static void
find(struct parameters *parameters, const struct route *route)
{
	const struct model *options = route->request;

	for (size_t i = 0; route->parameters[i]; i++)
		add(parameters, xstrdup(route->parameters[i]));
	if (options && options->n_fields == 1 && strcmp(options->fields[0].name, "filter") == 0)
		add_fields(parameters, options->fields[0].sub, "");
	parameters->seen = xcalloc(parameters->n + 1, sizeof(*parameters->seen));
}

static int
refuse(const struct parameters *parameters, const char *key, struct error *err)
{
	const char *nearest =
	    name_nearest((const char *const *)parameters->names, parameters->n, key);
	_buffer_ struct buffer all = { 0 };

	if (nearest)
		return error_set(
		    err, 400, "unknown query parameter '%.64s', did you mean '%s'?", key, nearest);
	for (size_t i = 0; i < parameters->n; i++)
		buffer_printf(&all, "%s %s", i ? "," : "", parameters->names[i]);
	return error_set(err, 400, "unknown query parameter '%.64s'; there are%s", key,
	    all.len ? all.data : " none here");
}

static int
take(const struct parameters *parameters, const char *key, struct error *err)
{
	for (size_t i = 0; i < parameters->n; i++) {
		if (strcmp(parameters->names[i], key) != 0)
			continue;
		if (parameters->seen[i])
			return error_set(err, 400, "query parameter '%s': it is there twice", key);
		parameters->seen[i] = true;
		return 0;
	}
	return refuse(parameters, key, err);
}

int
parameters_check(const struct request *req, struct error *err)
{
	_parameters_ struct parameters parameters = { 0 };
	const struct route *route = req->route;
	const char *at = str_or_empty(req->query);

	if (!*at || route->role == ROLE_HOST ||
	    (route->method == METHOD_GET && !route->parameters[0]))
		return 0;
	find(&parameters, route);
	while (*at) {
		_free_ char *key = NULL;

		if (request_next_key(&at, &key, err) < 0 ||
		    (*key && take(&parameters, key, err) < 0))
			return -1;
	}
	return 0;
}
