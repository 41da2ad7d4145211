/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What hosts tell each other in serf's user events, in the order of its bytes. */
#ifndef PROTO_GOSSIP_H
#define PROTO_GOSSIP_H

#include "proto/model.h"
#include "proto/vmdef.h"

/* The names of the events. */
#define GOSSIP_VM_EVENT	 "VE"
#define GOSSIP_VM_INFO	 "VI"
#define GOSSIP_HOST_INFO "HI"
#define GOSSIP_TOKENS	 "TK"

/* VE: the state of a VM changed; runstate deleted means that it is gone. */
struct vm_event {
	char *uuid;
	char *host;
	enum vmrunstate runstate;
	int64_t ts; /* ms since the epoch */
};
extern const struct model vm_event_model;

/* VI: all that a listing shows of a VM. */
struct vm_info {
	char *uuid;
	char *host;
	enum vmrunstate runstate;
	int64_t ts; /* ms since the epoch */
	char *name;
	int16_t vlanid; /* VLAN tag, 0 for none */
	struct custom_field *custom;
	size_t n_custom;
	int16_t vcpus; /* number */
	bool left; /* in a list or an answer: it goes to another host, which has not told of it yet
		    */
	/* Where another host would have to have it; in lists and answers, and behind a VI. */
	int32_t memory; /* MiB, 0 where nothing of these is told */
	bool hp;	/* in hugepages */
	enum want want;
};
extern const struct model vm_info_model;
extern const struct model vm_listed_model; /* as JSON has it */

#define VM_NEEDS_VERSION 1

/* What may follow the VI, unless a host of the cluster runs the Go virtx: readers that know nothing
 * of it stop before. */
struct vm_needs {
	int16_t version; /* number of the format */
	int32_t memory;	 /* MiB */
	bool hp;
	enum want want;
};
extern const struct model vm_needs_model;

/* TK: the tokens on the storage have changed. Not where a host runs the Go virtx, which has none.
 */
struct tokens_event {
	char *host; /* that has changed them */
};
extern const struct model tokens_event_model;

/* HI: all that a listing shows of a host. */
struct host_info {
	char *uuid;
	struct host_list_fields fields;
};
extern const struct model host_info_model;

#define HOST_DIGEST_VERSION 1

/* What may follow the HI: the set of the host's VMs in short. Its numbers are unsigned on the wire;
 * cast them. */
struct host_digest {
	int16_t version; /* number of the format */
	int32_t vms;	 /* number */
	int64_t digest;	 /* 64 bits: the sum of vm_info_digest(), also of the undecided ones */
};
extern const struct model host_digest_model;

/* A VM of which a host still finds out whether it is its own. */
struct undecided_vm {
	char *uuid;
};
extern const struct model undecided_vm_model;

/* A host with all its VMs, as it tells them itself when asked. */
struct vm_info_list {
	char *host;
	struct host_list_fields fields; /* ts: when it was asked */
	int64_t digest;			/* 64 bits: the sum of vm_info_digest() */
	struct vm_info *items;		/* in pages: by uuid */
	size_t n_items;
	struct undecided_vm *undecided; /* in each page all of them */
	size_t n_undecided;
	char *next; /* the uuid after which more come, "" for the end */
};
extern const struct model vm_info_list_model;

/* What an answer of a host has brought about there, for the host that forwarded the request. */
struct host_news {
	char *host;
	int64_t ts; /* when it answered, ms since the epoch */
	bool maintenance;
	struct vm_info *items; /* deleted: gone. One of another host has left for that one */
	size_t n_items;
};
extern const struct model host_news_model;

/* The custom fields that hosts keep of others' VMs: the first VMDEF_CUSTOM_MAX that are no longer
 * than a request's may be. fit borrows; returns their number. */
size_t vm_info_custom(const struct vm_info *info, struct custom_field fit[VMDEF_CUSTOM_MAX]);
/* Frees of what a host told whatever is not kept: other custom fields, and a name of over 256
 * bytes.
 */
void vm_info_trim(struct vm_info *info);

/*
 * A VM's part in the digest of its host's set: FNV-1a (64 bit) of the bytes of uuid, name,
 * runstate, vlanid, custom (what is kept of it) and vcpus as the gossip has them, and of the needs
 * where they are told, stirred by MurmurHash3's finalizer. The set's digest is the sum of its VMs'
 * parts. An undecided VM has the part of one that has a uuid alone.
 */
uint64_t vm_info_digest(const struct vm_info *info);

#endif
