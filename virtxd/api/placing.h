/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Hosts are chosen for requests that name none. */
#ifndef API_PLACING_H
#define API_PLACING_H

#include "api/request.h"
#include "state/placement.h"

struct api;

/* Why the host was chosen, as an operation says it: "placed on h2: ..."; "" where there was no
 * choice. The caller frees. */
char *placing_text(const struct placement *placement);
/* Answers a dry run: 200 with the placement, feasible or not. */
void placing_explain(struct api *api, struct request *req, const struct placement_need *need);
/* The same of a VM that cannot leave its host, whatever the others have: why says why not. */
void placing_explain_stay(
    struct api *api, struct request *req, const struct placement_need *need, const char *why);
/* Finds the best host of the cluster; 0, or -1 with the 422. ret must be zero; the caller clears
 * it. */
int placing_choose(
    struct api *api, const struct placement_need *need, struct placement *ret, struct error *err);

/*
 * Creates a VM on the host that is best for it: by here (a placing_create_here), or by having the
 * request answered by that host. One that refuses is passed over, and the next best is asked.
 * Answers req in every case; options (checked) are copied. lack is why this host cannot, NULL where
 * it can.
 */
typedef void (*placing_create_here)(
    struct api *api, struct request *req, const struct vm_create_options *options, const char *why);
void placing_create(struct api *api, struct request *req, const struct vm_create_options *options,
    placing_create_here here, const struct error *lack);
/* Another host has chosen this one for a VM: 0 where that is right by what is known here, else it
 * was refused and req is gone. */
int placing_accept(struct api *api, struct request *req, const struct vmdef *def);

/* Whether the host has the memory that the VM needs, which is all that counts where the user has
 * named it; -1 with a 422. One that has told nothing yet is not judged. */
int placing_check_memory(
    struct api *api, const char *host, const char *vm, const struct vmdef *def, struct error *err);
/* Whether this host can ever have that memory, be it all in hugepages: nobody has to choose it for
 * that. -1 with a 422. */
int placing_check_total(
    struct api *api, const char *vm, const struct vmdef_memory *memory, struct error *err);
/* Answers a host that has chosen this one: it is wrong, and this is what there is (see placing.c).
 */
void placing_refuse(struct api *api, struct request *req, const struct error *err);
/* The other side: what the header of such an answer says of the host. */
void placing_take_refusal(struct api *api, const char *host, const char *refused);

#endif
