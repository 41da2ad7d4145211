/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The bridge as libvirt uses it: through virEvent*, and under the event connection to the driver
 * that needs no daemon. */
#include "virt/bridge.h"

#include <event2/event.h>
#include <libvirt/libvirt.h>
#include <setjmp.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "proto/util.h"
#include "virt/virt.h"

#define TEST_UUID "6695eb01-f6a4-8304-79aa-97f2502e193f" /* of test:///default's one domain */

struct probe {
	int id;
	int calls;
	int events;
	int freed;
	int set_to;	/* what the callback updates its watch to, -2: nothing */
	bool remove;	/* the callback removes its watch */
	bool in_remove; /* while it does */
};

static struct event_base *base;

/* What is ready now; never waits. */
static void
turn(void)
{
	event_base_loop(base, EVLOOP_ONCE | EVLOOP_NONBLOCK);
}

static void
on_handle(int watch, int fd, int events, void *opaque)
{
	struct probe *probe = opaque;

	assert_int_equal(watch, probe->id);
	probe->calls++;
	probe->events = events;
	if (probe->set_to != -2)
		virEventUpdateHandle(watch, probe->set_to);
	if (probe->remove) {
		probe->in_remove = true;
		assert_int_equal(virEventRemoveHandle(watch), 0);
		assert_int_equal(virEventRemoveHandle(watch), -1);
		virEventUpdateHandle(watch, VIR_EVENT_HANDLE_READABLE);
		probe->in_remove = false;
	}
}

static void
on_timer(int timer, void *opaque)
{
	struct probe *probe = opaque;

	assert_int_equal(timer, probe->id);
	probe->calls++;
	if (probe->set_to != -2)
		virEventUpdateTimeout(timer, probe->set_to);
	if (probe->remove) {
		probe->in_remove = true;
		assert_int_equal(virEventRemoveTimeout(timer), 0);
		assert_int_equal(virEventRemoveTimeout(timer), -1);
		probe->in_remove = false;
	}
}

static void
on_free(void *opaque)
{
	struct probe *probe = opaque;

	assert_false(probe->in_remove);
	probe->freed++;
}

static void
add_handle(struct probe *probe, int fd, int events)
{
	*probe = (struct probe){ .set_to = -2 };
	probe->id = virEventAddHandle(fd, events, on_handle, probe, on_free);
	assert_true(probe->id > 0);
}

static void
add_timer(struct probe *probe, int frequency)
{
	*probe = (struct probe){ .set_to = -2 };
	probe->id = virEventAddTimeout(frequency, on_timer, probe, on_free);
	assert_true(probe->id > 0);
}

static void
test_handle(void **state)
{
	struct probe probe, other;
	int fds[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
	add_handle(&probe, fds[0], VIR_EVENT_HANDLE_READABLE);
	assert_int_equal(bridge_newest_fd(), fds[0]);
	turn();
	assert_int_equal(probe.calls, 0);
	assert_int_equal(write(fds[1], "x", 1), 1);
	turn();
	assert_int_equal(probe.calls, 1);
	assert_int_equal(probe.events, VIR_EVENT_HANDLE_READABLE);

	/* The same descriptor twice. */
	add_handle(&other, fds[0], VIR_EVENT_HANDLE_WRITABLE);
	assert_int_not_equal(other.id, probe.id);
	turn();
	assert_int_equal(probe.calls, 2);
	assert_int_equal(other.calls, 1);
	assert_int_equal(other.events, VIR_EVENT_HANDLE_WRITABLE);

	/* Nothing wanted keeps the handle. */
	virEventUpdateHandle(probe.id, 0);
	turn();
	assert_int_equal(probe.calls, 2);
	assert_int_equal(other.calls, 2);
	virEventUpdateHandle(probe.id, VIR_EVENT_HANDLE_READABLE | VIR_EVENT_HANDLE_WRITABLE);
	turn();
	assert_int_equal(probe.calls, 3);
	assert_int_equal(probe.events, VIR_EVENT_HANDLE_READABLE | VIR_EVENT_HANDLE_WRITABLE);

	/* An update from inside. */
	probe.set_to = 0;
	turn();
	turn();
	assert_int_equal(probe.calls, 4);

	assert_int_equal(virEventRemoveHandle(other.id), 0);
	assert_int_equal(other.freed, 0);
	turn();
	assert_int_equal(other.freed, 1);
	assert_int_equal(virEventRemoveHandle(probe.id), 0);
	assert_int_equal(bridge_newest_fd(), -1);
	turn();
	assert_int_equal(probe.freed, 1);
	assert_int_equal(virEventRemoveHandle(probe.id), -1);
	close(fds[0]);
	close(fds[1]);
}

static void
test_handle_hangup(void **state)
{
	const int all =
	    VIR_EVENT_HANDLE_READABLE | VIR_EVENT_HANDLE_ERROR | VIR_EVENT_HANDLE_HANGUP;
	struct probe probe, other;
	int fds[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
	add_handle(&probe, fds[0], all);
	add_handle(&other, fds[0], VIR_EVENT_HANDLE_HANGUP);
	close(fds[1]);
	turn();
	assert_int_equal(probe.events, VIR_EVENT_HANDLE_READABLE | VIR_EVENT_HANDLE_HANGUP);
	assert_int_equal(other.events, VIR_EVENT_HANDLE_HANGUP);
	virEventRemoveHandle(probe.id);
	virEventRemoveHandle(other.id);
	turn();
	close(fds[0]);

	/* The writing end of a pipe that nobody reads. */
	assert_int_equal(pipe(fds), 0);
	add_handle(&probe, fds[1], VIR_EVENT_HANDLE_WRITABLE | VIR_EVENT_HANDLE_ERROR);
	close(fds[0]);
	turn();
	assert_int_equal(probe.events & VIR_EVENT_HANDLE_ERROR, VIR_EVENT_HANDLE_ERROR);
	virEventRemoveHandle(probe.id);
	turn();
	close(fds[1]);
}

static void
test_remove_inside(void **state)
{
	struct probe probe, timer;
	int fds[2], last;

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
	add_handle(&probe, fds[0], VIR_EVENT_HANDLE_WRITABLE);
	add_timer(&timer, 0);
	probe.remove = timer.remove = true;
	turn();
	turn();
	assert_int_equal(probe.calls, 1);
	assert_int_equal(timer.calls, 1);
	assert_int_equal(probe.freed, 1);
	assert_int_equal(timer.freed, 1);

	/* Numbers do not come back. */
	last = timer.id;
	add_handle(&probe, fds[0], 0);
	assert_true(probe.id > last);
	assert_int_equal(virEventRemoveTimeout(probe.id), -1);
	virEventRemoveHandle(probe.id);
	turn();
	close(fds[0]);
	close(fds[1]);
}

static void
test_timer(void **state)
{
	struct probe always, never, later;
	int64_t start = monotonic_ms();

	add_timer(&always, 0);
	add_timer(&never, -1);
	add_timer(&later, 20);
	turn();
	turn();
	assert_int_equal(always.calls, 2);
	virEventUpdateTimeout(always.id, -1);
	turn();
	assert_int_equal(always.calls, 2);
	while (later.calls < 3)
		event_base_loop(base, EVLOOP_ONCE);
	/* Each may be a millisecond early. */
	assert_true(monotonic_ms() - start >= 56);
	assert_int_equal(never.calls, 0);

	later.set_to = -1;
	while (later.calls < 4)
		event_base_loop(base, EVLOOP_ONCE);
	virEventUpdateTimeout(never.id, 0);
	turn();
	assert_int_equal(never.calls, 1);
	virEventRemoveTimeout(always.id);
	virEventRemoveTimeout(never.id);
	virEventRemoveTimeout(later.id);
	turn();
	assert_int_equal(always.freed + never.freed + later.freed, 3);
}

struct seen {
	struct virt *virt;
	int probes, connected, disconnected, changed;
	enum vmrunstate runstate;
	bool migrated;
	char uuid[37];
	char why[256];
};

static void
on_probe(void *arg)
{
	struct seen *seen = arg;

	seen->probes++;
}

static void
on_connected(void *arg)
{
	struct seen *seen = arg;

	seen->connected++;
	assert_true(virt_is_connected(seen->virt));
	assert_string_equal(virt_why(seen->virt), "");
}

static void
on_disconnected(void *arg, const char *why)
{
	struct seen *seen = arg;

	seen->disconnected++;
	assert_false(virt_is_connected(seen->virt));
	snprintf(seen->why, sizeof(seen->why), "%s", why);
}

static void
on_changed(void *arg, const char *uuid, enum vmrunstate runstate, bool migrated)
{
	struct seen *seen = arg;

	seen->changed++;
	seen->runstate = runstate;
	seen->migrated = migrated;
	snprintf(seen->uuid, sizeof(seen->uuid), "%s", uuid);
}

static void
on_signalled(void *arg, const char *uuid)
{
	fail_msg("VM '%s' was not signalled", uuid);
}

static const struct virt_ops ops = { on_probe, on_connected, on_disconnected, on_changed,
	on_signalled };

static void
test_virt(void **state)
{
	struct seen seen = { 0 };
	virDomainPtr domain;
	virConnectPtr conn;

	seen.virt = virt_new(base, "test:///default", 1, &ops, &seen);
	assert_int_equal(seen.probes, 0);
	assert_false(virt_is_connected(seen.virt));
	turn();
	assert_int_equal(seen.probes, 1);
	virt_probe_done(seen.virt, NULL);
	assert_int_equal(seen.connected, 1);
	virt_probe_done(seen.virt, NULL); /* asked for by nobody */
	assert_int_equal(seen.connected, 1);

	/* The default host of this driver is shared by all its connections. */
	conn = virConnectOpen("test:///default");
	assert_non_null(conn);
	domain = virDomainLookupByUUIDString(conn, TEST_UUID);
	assert_non_null(domain);
	assert_int_equal(virDomainSuspend(domain), 0);
	while (!seen.changed)
		event_base_loop(base, EVLOOP_ONCE);
	assert_string_equal(seen.uuid, TEST_UUID);
	assert_int_equal(seen.runstate, VMRUNSTATE_PAUSED);
	assert_false(seen.migrated);

	/* Metadata of others is none of our business. */
	seen.changed = 0;
	assert_int_equal(virDomainSetMetadata(domain, VIR_DOMAIN_METADATA_ELEMENT, "<x/>", "other",
			     "http://example.org/", VIR_DOMAIN_AFFECT_LIVE),
	    0);
	assert_int_equal(virDomainSetMetadata(domain, VIR_DOMAIN_METADATA_ELEMENT, "<data-op/>",
			     "virtx-op-VmBoot", "virtx-op-VmBoot", VIR_DOMAIN_AFFECT_LIVE),
	    0);
	assert_int_equal(virDomainResume(domain), 0);
	while (seen.runstate != VMRUNSTATE_RUNNING)
		event_base_loop(base, EVLOOP_ONCE);
	assert_int_equal(seen.changed, 2);

	virDomainFree(domain);
	virConnectClose(conn);
	virt_free(seen.virt);
}

static void
test_virt_fails(void **state)
{
	struct error err;
	struct seen seen = { 0 };

	seen.virt = virt_new(base, "test:///no/such/file", 0, &ops, &seen);
	turn();
	error_set(&err, 503, "nobody is there");
	virt_probe_done(seen.virt, &err);
	assert_int_equal(seen.disconnected, 1);
	assert_string_equal(seen.why, "nobody is there");
	assert_string_equal(virt_why(seen.virt), "nobody is there");

	/* It goes on trying, and says only what is new. */
	turn();
	assert_int_equal(seen.probes, 2);
	virt_probe_done(seen.virt, &err);
	assert_int_equal(seen.disconnected, 1);
	turn();
	virt_probe_done(seen.virt, NULL);
	assert_int_equal(seen.disconnected, 2);
	assert_int_equal(
	    strncmp(seen.why, "cannot connect to libvirt at 'test:///no/such/file': ", 53), 0);
	assert_int_equal(seen.connected, 0);
	virt_free(seen.virt);
}

static int
setup(void **state)
{
	base = event_base_new();
	bridge_register(base);
	return 0;
}

static int
teardown(void **state)
{
	bridge_done();
	event_base_free(base);
	return 0;
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_handle),
		cmocka_unit_test(test_handle_hangup),
		cmocka_unit_test(test_remove_inside),
		cmocka_unit_test(test_timer),
		cmocka_unit_test(test_virt),
		cmocka_unit_test(test_virt_fails),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
