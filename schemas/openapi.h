/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The OpenAPI document, which the build puts into the binary. */
#ifndef SCHEMAS_OPENAPI_H
#define SCHEMAS_OPENAPI_H

#include <stddef.h>

extern const char openapi_json[]; /* NUL-terminated */
extern const size_t openapi_json_len;

#endif
