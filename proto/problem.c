/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "proto/problem.h"

#include <stdio.h>
#include <string.h>

#include "proto/json.h"
#include "proto/model.h"

char *
problem_encode(const struct error *err, size_t *len)
{
	struct error copy = *err;
	enum error_type type = error_get_type(err);
	_free_ char *uri = type == ERROR_BY_STATUS
			       ? xstrdup("about:blank")
			       : xasprintf(ERROR_TYPE_PREFIX "%s", error_types[type].name);
	_free_ char *title =
	    xstrdup(type == ERROR_BY_STATUS ? error_title(err->status) : error_types[type].title);
	struct problem problem = {
		.type = uri,
		.title = title,
		.status = err->status,
		.detail = copy.detail,
		.vm = copy.vm,
		.host = copy.host,
		.operation = copy.operation,
	};

	return json_encode(&problem_model, &problem, len);
}

/* The special type that a problem document names. */
static enum error_type
read_type(const char *uri, int status)
{
	size_t len = strlen(ERROR_TYPE_PREFIX);
	enum error_type type = ERROR_BY_STATUS;

	if (uri && strncmp(uri, ERROR_TYPE_PREFIX, len) == 0)
		type = error_type_find(uri + len);
	return error_types[type].status == status ? type : ERROR_BY_STATUS;
}

void
problem_decode(struct error *err, int status, const char *text, size_t len)
{
	struct problem problem = { 0 };
	int precision;

	if (json_decode(&problem_model, text, len, &problem, NULL) == 0 &&
	    !(str_empty(problem.detail) && str_empty(problem.title))) {
		if (status == 0)
			status =
			    problem.status >= 400 && problem.status <= 599 ? problem.status : 500;
		error_set(
		    err, status, "%s", str_empty(problem.detail) ? problem.title : problem.detail);
		err->type = read_type(problem.type, status);
		snprintf(err->vm, sizeof(err->vm), "%s", str_or_empty(problem.vm));
		snprintf(err->host, sizeof(err->host), "%s", str_or_empty(problem.host));
		snprintf(
		    err->operation, sizeof(err->operation), "%s", str_or_empty(problem.operation));
		model_clear(&problem_model, &problem);
		return;
	}
	model_clear(&problem_model, &problem);

	if (status == 0)
		status = 500;
	precision = len < ERROR_DETAIL_MAX ? (int)len : ERROR_DETAIL_MAX;
	error_set(err, status, "%.*s", precision, text);
	if (err->detail[0] == '\0')
		error_set(err, status, "%s", error_title(status));
}
