/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A Vmdef to libvirt's domain XML and back. The only place where libxml2 is used, with metadata.h.
 */
#ifndef DOMAIN_DOMAIN_XML_H
#define DOMAIN_DOMAIN_XML_H

#include "proto/error.h"
#include "proto/model.h"

/* What the XML needs beside the Vmdef. Borrowed. */
struct domain_env {
	const char *root; /* the storage root, "/vms" */
	const char *arch; /* "x86_64", "aarch64" */
	bool kvm;	  /* libvirt's capabilities offer kvm for arch */
};

/* What a domain's XML tells. Free with domain_info_clear. */
struct domain_info {
	char *uuid;
	char *type;	   /* "kvm" or "qemu" */
	struct vmdef def;  /* sizes are 0: they are the image's, not the XML's */
	struct disk lease; /* the VM's own, as vm_lease_disk() */
	bool leased;	   /* the domain names it */
	bool has_room;	   /* libvirt starts the domain with one lease more */
	bool foreign;	   /* no virtx metadata, no ua- aliases, or a device no Vmdef can say */
	bool ours;	   /* it has metadata of VirtX, or a lease */
	char *foreign_why; /* "it has no metadata of VirtX"; NULL when not foreign */
	bool recorded;	   /* it has VirtX's element of the metadata: more may come after that */
	enum want want;
	bool excused; /* see metadata.h */
	struct oplog_list oplog;
	char *cloud_init; /* path of the cloud-init CD of its latest boot, NULL for none */
	char
	    *variables; /* path of the UEFI variables, NULL where libvirt chooses, "" for no file */
};

/* The domain XML of a checked Vmdef; *ret is the caller's. 400/422 for what cannot be expressed
 * (another arch). */
int domain_xml_build(const struct vmdef *def, const char *uuid, const struct domain_env *env,
    char **ret, struct error *err);
/*
 * The inactive XML of a domain that is ours, changed to a checked Vmdef: what a Vmdef says is
 * replaced where it is another, and everything else stays; *ret is the caller's. What cannot stay
 * is a 422 that names the elements, or goes with force. A mac and a genid that def leaves open stay
 * as they are.
 */
int domain_xml_edit(const char *xml, const struct vmdef *def, const struct domain_env *env,
    bool force, char **ret, struct error *err);
/* What a domain that was built before gets. */
struct domain_renewal {
	const char *variables; /* the path of its UEFI variables; NULL: no change */
	bool lease;	       /* of its own, where it has none */
	/* Whether the image is whole: a disk that says nothing of a backing file has none then. */
	bool (*whole)(const struct disk *disk, void *arg);
	void *arg;
};
/* The inactive XML of a domain that is ours, brought up to what is built. *ret is the caller's;
 * NULL when nothing changes. */
int domain_xml_renew(const char *xml, const struct domain_renewal *renewal, const char *root,
    char **ret, struct error *err);
/* Reads XML (live or inactive). Never trusts it: no entities, no network, sizes capped. ret must be
 * zero. A domain that is not ours is read as far as it goes; what is no domain with a uuid is a 500
 * and leaves ret zero. A genid is "auto" only before libvirt has seen it. */
int domain_xml_read(const char *xml, const char *root, struct domain_info *ret, struct error *err);
/* How many leases of ours a domain has. */
int domain_xml_leases(const char *xml, unsigned int *ret, struct error *err);
/* Appends their names to *ret, which is the caller's. */
int domain_xml_lease_names(const char *xml, char (**ret)[49], size_t *n, struct error *err);
/* Number i of what has a lease: the managed disks in order, then the VM itself where the domain
 * names its lease; NULL past the last. */
const struct disk *domain_info_leased(const struct domain_info *info, size_t i);
void domain_info_clear(struct domain_info *info);

/* A disk that should have a lease, for which the domain has none. */
struct bare_disk {
	char *target; /* "vda" */
	char *path;
	char *base; /* what it is a snapshot of, where that has its lease; or NULL */
	bool ours;  /* VirtX made a disk in its place */
};
/*
 * Appends those of a domain to *ret, for domain_bare_disks_free: managed disks by their alias, and
 * luns and images under ROOT/ds that others have attached. What is read only needs no lease.
 */
int domain_bare_disks_read(
    const char *xml, const char *root, struct bare_disk **ret, size_t *n, struct error *err);
void domain_bare_disks_free(struct bare_disk *disks, size_t n);

/* What libvirt's capabilities XML tells of the host. */
struct domain_caps {
	char *host_uuid;
	char *arch;
	char *vendor;
	char *model;
	int64_t tsc_hz;		    /* 0 unknown */
	bool kvm;		    /* for arch */
	int nodes;		    /* NUMA nodes, at least 1 */
	int64_t qemu_uid, qemu_gid; /* whom QEMU runs as, -1 where libvirt does not say */
	char *cpu;		    /* its element, as XML */
	unsigned int *hugepages;    /* KiB, each size that the host knows */
	size_t n_hugepages;
};
int domain_caps_read(const char *xml, struct domain_caps *ret, struct error *err);
void domain_caps_clear(struct domain_caps *caps);
/* BIOS version and date from libvirt's sysinfo XML; "" where unknown. Never fails. */
void domain_sysinfo_read(const char *xml, struct hostdef_sysinfo *ret);

#endif
