/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Which parameters a request's query may have. */
#ifndef API_PARAMETERS_H
#define API_PARAMETERS_H

#include "ops/request.h"

/*
 * Refuses (400) a parameter that the route does not take, telling the nearest that it does, and one
 * that is there twice. What only shows something and takes none may be asked with any, as the
 * probes of monitoring do; so may what hosts ask each other, since a newer one may say more.
 */
int parameters_check(const struct request *req, struct error *err);

#endif
