/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Has libvirt and QEMU refuse the certificates of hosts that were put out of the cluster. A host
 * that has the key of the cluster's CA signs a CRL, which is kept beside the tokens; every host
 * hands it over, in its run directory, to `virtx cluster renew`, which installs it as root.
 */
#ifndef WORK_REVOCATION_H
#define WORK_REVOCATION_H

#include "work/requests.h"

/* Brings it up to date with the hosts of the set, and says in that what is yet to be done. */
void revocation_follow(const struct tokens_load_request *req, struct token_set *set);

#endif
