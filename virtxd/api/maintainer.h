/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * This host's maintenance: kept on the storage, told to the others, and the moves that it is for.
 * It is begun or ended when that is kept; a restart of virtxd goes on with what it finds there.
 */
#ifndef API_MAINTAINER_H
#define API_MAINTAINER_H

#include "api/context.h"
#include "api/request.h"

/* api is borrowed; so is what it points to, by now. */
struct maintainer *maintainer_new(struct api *api);
/* virtxd stops: what moves goes on by itself, and all else after the next start. After jobs_free
 * and peers_free. */
void maintainer_free(struct maintainer *maintainer);

/* "" once it is known whether this host is in maintenance, else why not. */
const char *maintainer_why(const struct maintainer *maintainer);
/* 0 when this host takes VMs, or -1 with a 503. */
int maintainer_check_open(const struct api *api, struct error *err);
/* Borrowed. */
const struct maintenance *maintainer_get(const struct maintainer *maintainer);

/* Both answer the request. */
void maintainer_begin(struct maintainer *maintainer, struct request *req);
void maintainer_end(struct maintainer *maintainer, struct request *req, bool back);

#endif
