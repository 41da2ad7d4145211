/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What somebody has to know before VMs are taken from a host by hand. */
#ifndef VIRTX_CLAIM_RISK_H
#define VIRTX_CLAIM_RISK_H

#include "proto/model.h"

/* Whether anything but a look at the host tells that nothing runs on it any more, as sentences; the
 * caller's. uuid is its UUID, "" or NULL where that is not known; host what is known of it, NULL
 * for nothing; to the host that takes them, NULL where nobody has named one. */
char *claim_risk(const char *uuid, const struct host *host, const struct host *to);

#endif
