/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The file that defines a VM. */
#ifndef VIRTX_DEFINITION_H
#define VIRTX_DEFINITION_H

#include "proto/error.h"
#include "proto/model.h"

/* Reads a Vmdef in JSON from a file, "-" for standard input, into def, which is zero before. */
int definition_read(const char *file, struct vmdef *def, struct error *err);

#endif
