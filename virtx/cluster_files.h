/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The files by which a host is of a cluster. */
#ifndef VIRTX_CLUSTER_FILES_H
#define VIRTX_CLUSTER_FILES_H

#include "virtx/cluster_edit.h"
#include "virtx/cluster_site.h"

/* What has to be done where a file has changed. */
#define PART_MODULE  (1u << 0) /* load the watchdog's driver */
#define PART_SYSCTL  (1u << 1)
#define PART_LIBVIRT (1u << 2)
#define PART_WDMD    (1u << 3)
#define PART_SANLOCK (1u << 4)
#define PART_SERF    (1u << 5)
#define PART_VIRTXD  (1u << 6)
#define PART_TLS     (1u << 7)	/* libvirt reads its certificates again */
#define PART_FILES   (1u << 8)	/* not all of them are written */
#define PART_LEAVE   (1u << 9)	/* the host is about to leave its cluster */
#define PART_BACK    (1u << 10) /* and has all back that was there before */
#define PART_SOME    (1u << 11) /* nor all that a command writes that is for a part of them */

enum cluster_owner {
	OWNER_ROOT,
	OWNER_VIRTX, /* root and the group virtx */
	OWNER_QEMU,  /* root and QEMU's group */
};

enum cluster_kind {
	KIND_SETTINGS,	  /* in a file that is others', too */
	KIND_OURS,	  /* all of it */
	KIND_CERTIFICATE, /* likewise, and it is renewed */
};

struct cluster_file {
	const char *path;
	unsigned int where; /* both of a site's have to be in it */
	mode_t mode;	    /* of one that is new, or is ours as a whole */
	enum cluster_owner owner;
	enum cluster_kind kind;
	unsigned int parts;		      /* what has to be done when it has changed */
	const struct cluster_edit_rule *rule; /* of settings; NULL for none */
	/* The text, "" where a file of others is only not to say what the rule has; NULL where the
	 * host is not to have it. The caller wipes it. */
	char *(*text)(const struct cluster_site *site);
};

extern const struct cluster_file cluster_files[];
extern const size_t cluster_files_n;

gid_t cluster_files_gid(const struct cluster_site *site, enum cluster_owner owner);

#endif
