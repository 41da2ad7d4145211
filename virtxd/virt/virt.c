/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What libvirt offers waits without limit for an answer. The few calls here are made right after a
 * probe saw libvirt answer, on a local socket, and under a guard that breaks the connection when
 * one of them takes long after all; keepalive guards the connection from then on.
 */
#include "virt/virt.h"

#include <assert.h>
#include <libvirt/libvirt.h>
#include <libvirt/virterror.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/socket.h>
#include <sys/time.h>

#include "loop/timer.h"
#include "proto/log.h"
#include "proto/uuid.h"
#include "virt/bridge.h"
#include "virt/runstate.h"

#define KEEPALIVE_INTERVAL 5 /* seconds */
#define KEEPALIVE_COUNT	   3
#define GUARD_MS	   1000
#define SILENT_S	   10 /* after which it is said that a probe has no answer yet */
#define OUR_METADATA	   "virtx"

enum virt_state {
	VIRT_WAITING, /* for the time to probe */
	VIRT_PROBING,
	VIRT_CONNECTED,
	VIRT_BROKEN, /* libvirt told so; to be closed from a clean stack */
	VIRT_STATE_N,
};

static const char *const state_names[VIRT_STATE_N] = { "waiting", "probing", "connected",
	"broken" };

/* As in the header. */
static const unsigned int transitions[VIRT_STATE_N] = {
	[VIRT_WAITING] = 1 << VIRT_PROBING,
	[VIRT_PROBING] = 1 << VIRT_WAITING | 1 << VIRT_CONNECTED,
	[VIRT_CONNECTED] = 1 << VIRT_BROKEN,
	[VIRT_BROKEN] = 1 << VIRT_WAITING,
};

/* A domain that has left, and will be undefined for that reason. */
struct leaver {
	LIST_ENTRY(leaver) link;
	char uuid[UUID_TEXT_SIZE];
};

struct virt {
	char *uri;
	int retry;
	const struct virt_ops *ops;
	void *arg;
	enum virt_state state;
	struct timer *timer;
	virConnectPtr conn;
	bool has_close_callback;
	int callbacks[2];
	LIST_HEAD(, leaver) leavers;
	char *why;
};

/* Breaks a call that waits for libvirtd: its socket is at its end, its connect is interrupted. */
static void
guard_on_alarm(int signum)
{
	int fd = bridge_newest_fd();

	if (fd >= 0)
		shutdown(fd, SHUT_RDWR);
}

static void
guard_set(bool on)
{
	struct sigaction action = { .sa_handler = on ? guard_on_alarm : SIG_DFL };
	struct itimerval timer = { 0 };

	if (on) {
		sigaction(SIGALRM, &action, NULL);
		timer.it_value.tv_sec = timer.it_interval.tv_sec = GUARD_MS / 1000;
		setitimer(ITIMER_REAL, &timer, NULL);
	} else {
		setitimer(ITIMER_REAL, &timer, NULL);
		sigaction(SIGALRM, &action, NULL);
	}
}

static void
virt_on_error(void *arg, virErrorPtr err)
{
	log_debug("libvirt", "%s", err && err->message ? err->message : "an error without words");
}

static void
set_state(struct virt *virt, enum virt_state state)
{
	assert(transitions[virt->state] & 1U << state);
	log_debug("libvirt", "the connection to '%s': %s, then %s", virt->uri,
	    state_names[virt->state], state_names[state]);
	virt->state = state;
}

static void
virt_arm(struct virt *virt, int seconds)
{
	timer_start(virt->timer, seconds * INT64_C(1000));
}

static struct leaver *
leaver_find(struct virt *virt, const char *uuid)
{
	struct leaver *leaver;

	LIST_FOREACH (leaver, &virt->leavers, link) {
		if (strcmp(leaver->uuid, uuid) == 0)
			return leaver;
	}
	return NULL;
}

static void
leaver_free(struct leaver *leaver)
{
	if (!leaver)
		return;
	LIST_REMOVE(leaver, link);
	free(leaver);
}

/* Remembers who leaves; what comes next for it says whether it was undefined because of that. */
static bool
virt_note_leaver(struct virt *virt, const char *uuid, bool leaves, enum vmrunstate runstate)
{
	struct leaver *leaver = leaver_find(virt, uuid);
	bool left = leaver && runstate == VMRUNSTATE_DELETED;

	if (!leaves) {
		leaver_free(leaver);
	} else if (!leaver) {
		leaver = xcalloc(1, sizeof(*leaver));
		snprintf(leaver->uuid, sizeof(leaver->uuid), "%s", uuid);
		LIST_INSERT_HEAD(&virt->leavers, leaver, link);
	}
	return leaves || left;
}

static int
virt_on_lifecycle(virConnectPtr conn, virDomainPtr domain, int event, int detail, void *arg)
{
	struct virt *virt = arg;
	char uuid[VIR_UUID_STRING_BUFLEN];
	enum vmrunstate runstate;
	bool migrated;

	if (virt->state != VIRT_CONNECTED || virDomainGetUUIDString(domain, uuid) < 0)
		return 0;
	runstate = runstate_from_event(event, detail, &migrated);
	/* It runs on without its definition. */
	if (runstate == VMRUNSTATE_DELETED && virDomainGetID(domain) != (unsigned int)-1)
		runstate = VMRUNSTATE_NONE;
	migrated = virt_note_leaver(virt, uuid, migrated, runstate);
	log_debug("libvirt", "domain '%s': event %d, detail %d", uuid, event, detail);
	if (runstate_is_signal(event, detail))
		virt->ops->signalled(virt->arg, uuid);
	virt->ops->changed(virt->arg, uuid, runstate, migrated);
	return 0;
}

static void
virt_on_metadata(virConnectPtr conn, virDomainPtr domain, int type, const char *uri, void *arg)
{
	struct virt *virt = arg;
	char uuid[VIR_UUID_STRING_BUFLEN];

	if (virt->state != VIRT_CONNECTED || virDomainGetUUIDString(domain, uuid) < 0)
		return;
	if (type == VIR_DOMAIN_METADATA_ELEMENT &&
	    strncmp(str_or_empty(uri), OUR_METADATA, strlen(OUR_METADATA)) != 0)
		return;
	virt->ops->changed(virt->arg, uuid, VMRUNSTATE_NONE, false);
}

static void
virt_on_close(virConnectPtr conn, int reason, void *arg)
{
	static const char *const words[] = {
		[VIR_CONNECT_CLOSE_REASON_ERROR] = "the connection to libvirt failed",
		[VIR_CONNECT_CLOSE_REASON_EOF] = "libvirt closed the connection",
		[VIR_CONNECT_CLOSE_REASON_KEEPALIVE] = "libvirt stopped answering",
		[VIR_CONNECT_CLOSE_REASON_CLIENT] = "the connection to libvirt was closed",
	};
	struct virt *virt = arg;

	if (virt->state != VIRT_CONNECTED)
		return;
	str_set(&virt->why, (size_t)reason < ARRAY_SIZE(words) ? words[reason] : words[0]);
	set_state(virt, VIRT_BROKEN);
	virt_arm(virt, 0);
}

/* Ends the connection. One that is broken is asked nothing: its calls fail before they send. */
static void
virt_close(struct virt *virt)
{
	struct leaver *leaver;

	while ((leaver = LIST_FIRST(&virt->leavers)) != NULL)
		leaver_free(leaver);
	if (!virt->conn)
		return;
	guard_set(true);
	for (size_t i = 0; i < ARRAY_SIZE(virt->callbacks); i++) {
		if (virt->callbacks[i] >= 0)
			virConnectDomainEventDeregisterAny(virt->conn, virt->callbacks[i]);
		virt->callbacks[i] = -1;
	}
	if (virt->has_close_callback)
		virConnectUnregisterCloseCallback(virt->conn, virt_on_close);
	virt->has_close_callback = false;
	if (virConnectClose(virt->conn) != 0)
		log_warning("libvirt", "a closed connection is still referred to");
	virt->conn = NULL;
	guard_set(false);
}

/* Whether a call succeeded, or is none that this driver (such as test:///) has. */
static bool
supported_or_zero(int rc)
{
	return rc >= 0 || virGetLastErrorCode() == VIR_ERR_NO_SUPPORT;
}

/* Opens and subscribes; false leaves what there is to virt_close. */
static bool
virt_open(struct virt *virt)
{
	int rc;

	virt->conn = virConnectOpen(virt->uri);
	if (!virt->conn)
		return false;
	rc = virConnectSetKeepAlive(virt->conn, KEEPALIVE_INTERVAL, KEEPALIVE_COUNT);
	if (!supported_or_zero(rc))
		return false;
	rc = virConnectRegisterCloseCallback(virt->conn, virt_on_close, virt, NULL);
	if (!supported_or_zero(rc))
		return false;
	virt->has_close_callback = rc == 0;

	virt->callbacks[0] =
	    virConnectDomainEventRegisterAny(virt->conn, NULL, VIR_DOMAIN_EVENT_ID_LIFECYCLE,
		VIR_DOMAIN_EVENT_CALLBACK(virt_on_lifecycle), virt, NULL);
	if (virt->callbacks[0] < 0)
		return false;
	virt->callbacks[1] =
	    virConnectDomainEventRegisterAny(virt->conn, NULL, VIR_DOMAIN_EVENT_ID_METADATA_CHANGE,
		VIR_DOMAIN_EVENT_CALLBACK(virt_on_metadata), virt, NULL);
	/* It may have ended meanwhile, which nobody tells again. */
	return virt->callbacks[1] >= 0 && virConnectIsAlive(virt->conn) == 1;
}

/* Goes back to waiting; the caller tells why where it is new. */
static void
virt_wait(struct virt *virt)
{
	set_state(virt, VIRT_WAITING);
	virt_arm(virt, virt->retry);
}

/* Told once for each reason. */
static void
virt_tell(struct virt *virt, char *why)
{
	bool is_news = !str_equal(why, virt->why);

	free(virt->why);
	virt->why = why;
	if (is_news)
		virt->ops->disconnected(virt->arg, virt->why);
}

static char *
silent_text(const struct virt *virt)
{
	return xasprintf("libvirt at '%s' does not answer", virt->uri);
}

/* An attempt failed. */
static void
virt_fail(struct virt *virt, char *why)
{
	virt_wait(virt);
	virt_tell(virt, why);
}

void
virt_probe_done(struct virt *virt, const struct error *err)
{
	char *why;
	bool ok;

	if (virt->state != VIRT_PROBING)
		return;
	if (err) {
		virt_fail(
		    virt, error_is(err, ERROR_NOT_OVER) ? silent_text(virt) : xstrdup(err->detail));
		return;
	}
	guard_set(true);
	ok = virt_open(virt);
	guard_set(false);
	if (!ok) {
		why = xasprintf(
		    "cannot connect to libvirt at '%s': %s", virt->uri, virGetLastErrorMessage());
		virt_close(virt);
		virt_fail(virt, why);
		return;
	}
	str_set(&virt->why, "");
	set_state(virt, VIRT_CONNECTED);
	virt->ops->connected(virt->arg);
}

static void
virt_on_timer(void *arg)
{
	struct virt *virt = arg;

	switch (virt->state) {
	case VIRT_WAITING:
		set_state(virt, VIRT_PROBING);
		virt_arm(virt, SILENT_S);
		virt->ops->probe(virt->arg);
		break;
	case VIRT_PROBING:
		/* It goes on: a libvirtd that starts answers who has waited for it. */
		virt_tell(virt, silent_text(virt));
		break;
	case VIRT_BROKEN:
		virt_close(virt);
		virt_wait(virt);
		virt->ops->disconnected(virt->arg, virt->why);
		break;
	case VIRT_CONNECTED:
	case VIRT_STATE_N:
		break;
	}
}

struct virt *
virt_new(struct event_base *base, const char *uri, int retry, const struct virt_ops *ops, void *arg)
{
	struct virt *virt = xcalloc(1, sizeof(*virt));

	virSetErrorFunc(NULL, virt_on_error);
	virt->uri = xstrdup(uri);
	virt->retry = retry;
	virt->ops = ops;
	virt->arg = arg;
	virt->why = xstrdup("not connected yet");
	virt->callbacks[0] = virt->callbacks[1] = -1;
	LIST_INIT(&virt->leavers);
	virt->timer = timer_new(base, virt_on_timer, virt);
	virt_arm(virt, 0);
	return virt;
}

void
virt_free(struct virt *virt)
{
	if (!virt)
		return;
	virt->state = VIRT_WAITING; /* whatever the close tells */
	virt_close(virt);
	timer_free(virt->timer);
	free(virt->uri);
	free(virt->why);
	free(virt);
}

bool
virt_is_connected(const struct virt *virt)
{
	return virt->state == VIRT_CONNECTED;
}

const char *
virt_why(const struct virt *virt)
{
	return virt->why;
}
