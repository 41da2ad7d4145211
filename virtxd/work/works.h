/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The functions behind the table of jobs. */
#ifndef WORK_WORKS_H
#define WORK_WORKS_H

#include "proto/error.h"
#include "work/requests.h"
#include "work/work_list.h"

#define WORK_FUNCTION(id, run) int run(const void *request, void *result, struct error *err);
WORKS(WORK_FUNCTION)

#endif
