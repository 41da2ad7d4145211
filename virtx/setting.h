/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What 'set vm' says of a field of a definition: memory=8G. */
#ifndef VIRTX_SETTING_H
#define VIRTX_SETTING_H

#include "proto/error.h"
#include "proto/model.h"

/* Whether it is FIELD=VALUE, with something for a field. */
int setting_check(const char *text, struct error *err);
/*
 * Applies one to the definition. FIELD is a path as errors have it ("cpudef.model",
 * "disks[0].bus"), custom.NAME of a custom field, which is added where there is none of this name
 * and goes where the value is empty, or a short word: memory, and cpus, for which the number of
 * cores follows from sockets and threads. On failure nothing has changed; err is of
 * CLIENT_FILE_STATUS.
 */
int setting_apply(struct vmdef *def, const char *text, struct error *err);

#endif
