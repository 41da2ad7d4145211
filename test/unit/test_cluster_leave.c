/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What keeps a host in its cluster, and how one that was interrupted goes on. */
#include "verb_fixture.h"

#include <string.h>

#include "cluster_leave.h"

static void
test_refused(void **state)
{
	struct verb_fixture *f = *state;
	unsigned int before;

	root_make(root, true);
	fails(f, "leave --yes", "of no cluster");
	run(f, "init --address 192.0.2.1 --yes");
	before = count_files();
	/* That may be the only one. */
	answer(f, READY, NO_VMS);
	fails(f, "leave --yes --force", "no host can join");
	answer(f, READY,
	    "{\"items\":[{\"uuid\":\"" VM_UUID "\",\"fields\":{\"name\":\"web\"}},"
	    "{\"uuid\":\"" VM_UUID "\",\"fields\":{\"name\":\"db\"}}]}");
	fails(f, "leave --yes --delete-ca-key", "2 VMs are on this host, as 'web'");
	verb_asked(f, f->n_requests - 1, "GET /vms", "\"host\":\"" BOARD "\"");
	/* A host that has joined. */
	{
		_free_ char *key = xasprintf("%s" CLUSTER_CA_KEY, root);

		assert_int_equal(unlink(key), 0);
	}
	verb_forget(f);
	verb_answer(f, 503, JSON, "{\"ready\":false}");
	fails(f, "leave --yes", "nobody tells whether VMs are on this host");
	assert_says(f->err.detail, "--force leaves");
	answer(f, READY, NO_VMS);
	run(f, "leave --dry-run");
	assert_says(f->out, "/etc/virtx/host.key: is removed\n");
	assert_says(f->out, "/etc/libvirt/qemu.conf: without what was written at its end\n");
	assert_int_equal(count_files(), before - 1);
	answer(f, READY, NO_VMS);
	run(f, "leave --yes");
	assert_false(is_there(CLUSTER_HOST_KEY));
	buffer_clear(&tree);
}

#define NOT_READY "{\"ready\":false,\"serf\":\"it is not there\"}"

static void
answer_not_ready(struct verb_fixture *f, const char *vms)
{
	verb_forget(f);
	for (int i = 0; i < 2; i++) {
		verb_answer(f, 503, JSON, NOT_READY);
		verb_answer(f, 200, JSON, vms);
	}
}

/* Where nobody is sure, VMs that are told of are there all the same; the key of the CA is another
 * matter. */
static void
test_forced(void **state)
{
	struct verb_fixture *f = *state;

	root_make(root, true);
	run(f, "init --address 192.0.2.1 --yes");
	answer_not_ready(f, ONE_VM);
	fails(f, "leave --yes --delete-ca-key --force", "1 VMs are on this host, as 'web'");
	answer_not_ready(f, NO_VMS);
	fails(f, "leave --yes --delete-ca-key", "nobody tells whether VMs are on this host: 503");
	answer_not_ready(f, NO_VMS);
	fails(f, "leave --yes --force", "--delete-ca-key leaves");
	assert_true(is_there(CLUSTER_HOST_KEY));
	answer_not_ready(f, NO_VMS);
	run(f, "leave --yes --delete-ca-key --force");
	assert_false(is_there(CLUSTER_HOST_KEY));
}

/* Nothing keeps VMs off a host that is not in maintenance. */
static void
test_maintenance(void **state)
{
	struct verb_fixture *f = *state;

	root_make(root, true);
	run(f, "init --address 192.0.2.1 --yes");
	answer_maintenance(f, READY, NO_VMS, "{\"since\":0}");
	fails(f, "leave --yes --delete-ca-key --force", "'virtx maintain host " BOARD " --wait'");
	verb_asked(f, f->n_requests - 1, "GET /hosts/" BOARD "/maintenance", "");
	/* Its VMs come back. */
	answer_maintenance(f, READY, NO_VMS, "{\"since\":1,\"leaving\":true}");
	fails(f, "leave --yes --delete-ca-key", "has to be in maintenance before");
	verb_forget(f);
	verb_answer(f, 200, JSON, READY);
	verb_answer(f, 200, JSON, NO_VMS);
	verb_answer(f, 503, JSON, "{\"status\":503,\"detail\":\"not known\"}");
	fails(f, "leave --yes --delete-ca-key", "nobody tells whether VMs are on this host");
	assert_true(is_there(CLUSTER_HOST_KEY));
	assert_false(is_there(PENDING));
}

/* The question stands at the terminal for as long as somebody likes. */
static void
test_comes_meanwhile(void **state)
{
	struct verb_fixture *f = *state;

	root_make(root, true);
	run(f, "init --address 192.0.2.1 --yes");
	verb_forget(f);
	verb_answer(f, 200, JSON, READY);
	verb_answer(f, 200, JSON, NO_VMS);
	verb_answer(f, 200, JSON, MAINTAINED);
	verb_answer(f, 200, JSON, READY);
	verb_answer(f, 200, JSON, ONE_VM);
	fails(f, "leave --yes --delete-ca-key", "1 VMs are on this host, as 'web'");
	assert_true(is_there(CLUSTER_HOST_KEY));
	assert_false(is_there(PENDING));
}

/* As long as the storage is there virtxd would be of its cluster, and somebody has to see to it. */
static void
test_storage_stays(void **state)
{
	struct verb_fixture *f = *state;

	root_make(root, true);
	run(f, "init --address 192.0.2.1 --yes");
	root_put(root, "/etc/fstab", "nfs:/srv/vms /vms nfs bg 0 0\n");
	answer(f, READY, NO_VMS);
	run(f, "leave --dry-run --delete-ca-key");
	assert_says(f->out, "virtxd: stays stopped, as the storage is at '/vms'\n");
	answer(f, READY, NO_VMS);
	run(f, "leave --yes --delete-ca-key");
	assert_says(f->out, "virtxd: stays stopped, as the storage is at '/vms'\n");
	assert_null(strstr(f->out, "systemctl enable --now virtxd.service\n"));
	assert_says(f->out, "still at '/vms', and virtxd stays stopped");
}

/* One that was interrupted goes on, though nobody answers any more. */
static void
test_interrupted(void **state)
{
	struct verb_fixture *f = *state;
	_free_ char *gone = xasprintf("%s/virtxd.sock", root);

	root_make(root, true);
	run(f, "init --address 192.0.2.1 --yes");
	root_remove(root, CLUSTER_HOST_CERTIFICATE);
	root_put(root, PENDING, "768 0\n");
	own_socket = gone;
	/* The key of the CA is as it was. */
	fails(f, "leave --yes --force", "no host can join");
	run(f, "leave --yes --delete-ca-key");
	assert_false(is_there(CLUSTER_HOST_KEY));
	assert_false(is_there(PENDING));
	assert_same("/etc/libvirt/qemu.conf", "lock_manager = \"lockd\"\nvnc_tls = 0\n");
	assert_int_equal(f->n_requests, 0);
}

#define OTHER "3fa85f64-5717-4562-b3fc-2c963f66afa6"

/* A board without a UUID: the host has one in a file that is taken back early. */
static void
test_interrupted_uuid(void **state)
{
	struct verb_fixture *f = *state;
	_free_ char *gone = xasprintf("%s/virtxd.sock", root);

	root_make(root, true);
	root_remove(root, "/sys/class/dmi/id/product_uuid");
	root_put(root, "/etc/libvirt/libvirtd.conf", "host_uuid = \"" OTHER "\"\n");
	run(f, "init --address 192.0.2.1 --yes");
	root_put(root, "/etc/libvirt/libvirtd.conf", "");
	own_socket = gone;
	/* By the certificate, */
	root_put(root, PENDING, "768 0\n");
	run(f, "leave --delete-ca-key --dry-run");
	run(f, "leave --delete-ca-key --yes");
	assert_says(f->out, "'virtx forget host " OTHER "'");
	/* and where that is gone, too, by what was noted. */
	root_put(root, PENDING, "768 0 " OTHER "\n");
	run(f, "leave --yes");
	assert_says(f->out, "'virtx forget host " OTHER "'");
}

/* It is noted before anything is taken back. */
static void
test_noted_uuid(void **state)
{
	struct verb_fixture *f = *state;

	root_make(root, true);
	run(f, "init --address 192.0.2.1 --yes");
	/* It ends there. */
	root_put(root, CLUSTER_SNAPSHOT "/x", "");
	answer(f, READY, NO_VMS);
	fails(f, "leave --yes --delete-ca-key", CLUSTER_SNAPSHOT);
	assert_same(PENDING, "768 0 " BOARD "\n");
}

/* Nobody lists the VMs of a host by a UUID that it does not have. */
static void
test_other_uuid(void **state)
{
	struct verb_fixture *f = *state;

	root_make(root, true);
	run(f, "init --address 192.0.2.1 --yes");
	root_put(root, "/etc/libvirt/libvirtd.conf", "host_uuid = \"" OTHER "\"\n");
	fails(f, "leave --yes --delete-ca-key", "is of host '" BOARD "', as which the others know");
	assert_int_equal(f->n_requests, 0);
}

/* Somebody has thought better of it, and the host goes on: by the next time it has VMs. */
static void
test_interrupted_long_ago(void **state)
{
	struct verb_fixture *f = *state;

	root_make(root, true);
	run(f, "init --address 192.0.2.1 --yes");
	root_put(root, PENDING, "768 0\n");
	answer(f, READY, ONE_VM);
	fails(f, "leave --yes --delete-ca-key --force", "1 VMs are on this host, as 'web'");
	answer_not_ready(f, NO_VMS);
	fails(f, "leave --yes --delete-ca-key", "nobody tells whether VMs are on this host");
	assert_true(is_there(CLUSTER_HOST_KEY));
	answer(f, READY, NO_VMS);
	run(f, "leave --yes --delete-ca-key");
	assert_false(is_there(CLUSTER_HOST_KEY));
}

/* A virtxd that is stopped is no reason to leave where nothing was begun. */
static void
test_stopped(void **state)
{
	struct verb_fixture *f = *state;
	_free_ char *gone = xasprintf("%s/virtxd.sock", root);

	root_make(root, true);
	run(f, "init --address 192.0.2.1 --yes");
	own_socket = gone;
	fails(f, "leave --yes --delete-ca-key", "nobody tells whether VMs are on this host");
	run(f, "leave --yes --delete-ca-key --force");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		LEAVE_TEST(test_refused),
		LEAVE_TEST(test_forced),
		LEAVE_TEST(test_maintenance),
		LEAVE_TEST(test_comes_meanwhile),
		LEAVE_TEST(test_storage_stays),
		LEAVE_TEST(test_interrupted),
		LEAVE_TEST(test_interrupted_uuid),
		LEAVE_TEST(test_noted_uuid),
		LEAVE_TEST(test_other_uuid),
		LEAVE_TEST(test_interrupted_long_ago),
		LEAVE_TEST(test_stopped),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
