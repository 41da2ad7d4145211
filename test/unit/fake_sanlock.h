/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A sanlock daemon in the test's own process: it takes the place of libsanlock_client. A lease is
 * a file that sanlock_write_resource has made, one process holds it or another host does, and its
 * version grows each time that it is taken.
 */
#ifndef TEST_UNIT_FAKE_SANLOCK_H
#define TEST_UNIT_FAKE_SANLOCK_H

#include <stdbool.h>

/* A daemon that has just started: it holds nothing, and this host is in no lockspace. */
void fake_sanlock_start(void);
/* It ends: what it held is lost, and each call fails from now on. */
void fake_sanlock_stop(void);
/* What it does not answer from its memory it does not answer in time; or it does again. */
void fake_sanlock_hang(bool hangs);
/* What get_hosts tells of a host_id from now on: its generation, and one of SANLK_HOST_*. */
void fake_sanlock_see(unsigned int host_id, unsigned int generation, unsigned int flags);
/* Another host takes the lease of this name, or gives it back. */
void fake_sanlock_occupy(const char *name, bool taken);
/* What that host does who is asked for it: its process ends by whatever signal, by SIGKILL alone,
 * or not at all. */
enum fake_holder {
	FAKE_HOLDER_OBEYS,
	FAKE_HOLDER_OBEYS_FORCE,
	FAKE_HOLDER_DEAF,
};
void fake_sanlock_hold(enum fake_holder holder);
/* Another host is in the lockspace with this host_id; 0 for none. */
void fake_sanlock_use_id(unsigned int host_id);
/* Another host takes the lease of that file, and gives it back. */
void fake_sanlock_use(const char *path);
/* libvirt makes a process known, which can hold leases from then on; the one of before is not known
 * any more. 0 for none. */
void fake_sanlock_know(int pid);
/* It serves another request for that process while the next n are made for it. */
void fake_sanlock_serve(unsigned int n);
/* The number of leases that processes of this host hold. */
unsigned int fake_sanlock_held(void);

#endif
