/* SPDX-License-Identifier: GPL-2.0-or-later */
/* An answer as YAML, with the words of its enums. */
#ifndef VIRTX_YAML_H
#define VIRTX_YAML_H

#include "proto/table.h"

/* Every text is in double quotes, as JSON has it. The caller frees. */
char *yaml_encode(const struct model *m, const void *obj);

#endif
