/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Prints the model tables and the route table as JSON, for test/schema_check. */
#include <stdio.h>

#include "models.h"
#include "proto/error.h"
#include "proto/routes.h"

static const struct enumdef *const enums[] = {
	&cstate_enum,
	&watchdog_enum,
	&want_enum,
	&vmrunstate_enum,
	&disk_bus_enum,
	&disk_device_enum,
	&disk_man_mode_enum,
	&disk_prov_mode_enum,
	&firmware_type_enum,
	&net_type_enum,
	&net_model_enum,
	&migration_type_enum,
	&migration_timeout_enum,
	&migration_state_enum,
	&role_enum,
};

static const char *const kinds[] = {
	[KIND_BOOL] = "bool",
	[KIND_INT16] = "int16",
	[KIND_INT32] = "int32",
	[KIND_INT64] = "int64",
	[KIND_FLOAT] = "float",
	[KIND_STRING] = "string",
	[KIND_ENUM] = "enum",
	[KIND_STRUCT] = "struct",
	[KIND_ARRAY] = "array",
};

/* No name in the tables needs escaping. */
static void
print_string(const char *key, const char *text, const char *end)
{
	if (text)
		printf("\"%s\":\"%s\"%s", key, text, end);
	else
		printf("\"%s\":null%s", key, end);
}

static void
print_model(const struct model *m, const char *end)
{
	printf("{");
	print_string("name", m->name, ",\"fields\":[");
	for (unsigned int i = 0; i < m->n_fields; i++) {
		const struct field *f = &m->fields[i];

		printf("%s{", i ? "," : "");
		print_string("name", f->name, ",");
		print_string("kind", kinds[f->kind], ",");
		print_string("type", f->sub ? f->sub->name : f->words ? f->words->name : NULL, "}");
	}
	printf("]}%s\n", end);
}

static void
print_enum(const struct enumdef *e, const char *end)
{
	printf("{");
	print_string("name", e->name, ",\"words\":[");
	for (unsigned int i = 0; i < e->n_words; i++)
		printf("%s\"%s\"", i ? "," : "", e->words[i]);
	printf("]}%s\n", end);
}

static void
print_route(const struct route *route, const char *end)
{
	printf("{");
	print_string("method", method_word(route->method), ",");
	print_string("path", route->path, ",");
	print_string("request", route->request ? route->request->name : NULL, ",");
	print_string("reply", route->reply ? route->reply->name : NULL, ",");
	print_string("op", route->op, ",");
	print_string("summary", route->summary, ",");
	print_string("role", role_name(route->role), ",");
	printf("\"parameters\":[");
	for (size_t i = 0; route->parameters[i]; i++)
		printf("%s\"%s\"", i ? "," : "", route->parameters[i]);
	printf("],\"success\":%d}%s\n", route->success, end);
}

int
main(void)
{
	printf("{\"models\":[\n");
	for (size_t i = 0; i < ARRAY_SIZE(api_models); i++)
		print_model(api_models[i], i + 1 < ARRAY_SIZE(api_models) ? "," : "");
	printf("],\"enums\":[\n");
	for (size_t i = 0; i < ARRAY_SIZE(enums); i++)
		print_enum(enums[i], i + 1 < ARRAY_SIZE(enums) ? "," : "");
	printf("],\"routes\":[\n");
	for (size_t i = 0; i < ROUTE_N; i++)
		print_route(&routes[i], i + 1 < ROUTE_N ? "," : "");
	printf("],\"problems\":[\n");
	for (size_t i = ERROR_BY_STATUS + 1; i < ERROR_TYPE_N; i++)
		printf("\"%s\"%s\n", error_types[i].name, i + 1 < ERROR_TYPE_N ? "," : "");
	printf("]}\n");
	return 0;
}
