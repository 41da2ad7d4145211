/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What a host that leaves its cluster has of its files, and what it has back. */
#include "verb_fixture.h"

#include <string.h>

#include "cluster_leave.h"
#include "proto/pki.h"

/* Whatever it was before: nothing else is left of it. */
static void
test_all(void **state)
{
	struct verb_fixture *f = *state;

	for (int debian = 0; debian < 2; debian++) {
		unsigned int before;

		root_make(root, debian);
		root_put(root, "/etc/libvirt/libvirtd.conf", "# mine\nlisten_tls = 0\n");
		root_put(root, "/etc/virtx/virtxd.conf", "[http]\nlisten = 127.0.0.1:8081\n");
		before = count_files();
		run(f, "init --address 192.0.2.1 --yes");
		assert_true(count_files() > before + 15);
		answer(f, READY, NO_VMS);
		run(f, "leave --yes --delete-ca-key");
		assert_says(f->out, "removed: /etc/virtx/host.key\n");
		assert_says(f->out, "written: /etc/libvirt/qemu.conf\n");
		assert_says(f->out, "systemctl disable --now serf.service\n");
		assert_says(f->out, "systemctl enable --now virtxd.service\n");
		assert_says(f->out, "virtx forget host " BOARD);
		assert_null(strstr(f->out, "storage"));
		if (count_files() != before)
			fail_msg("%s", tree.data);
		assert_same("/etc/libvirt/qemu.conf", "lock_manager = \"lockd\"\nvnc_tls = 0\n");
		assert_same("/etc/libvirt/libvirtd.conf", "# mine\nlisten_tls = 0\n");
		assert_same("/etc/virtx/virtxd.conf", "[http]\nlisten = 127.0.0.1:8081\n");
		/* There is no cluster that it is of. */
		fails(f, "leave --yes --delete-ca-key", "of no cluster");
		run(f, "init --address 192.0.2.1 --yes");
		answer(f, READY, NO_VMS);
		run(f, "leave --yes --delete-ca-key");
		assert_int_equal(count_files(), before);
		buffer_clear(&tree);
	}
}

/* What was open to everybody before the cluster had certificates is not so again: that is told, and
 * stays out of the way. */
static void
test_open_listeners(void **state)
{
	struct verb_fixture *f = *state;
	static const char after[] = "[http]\nlisten = 127.0.0.1:8081\n"
				    "#virtx# listen = 192.0.2.1:8080 plain open\n"
				    "#virtx# listen: 127.0.0.1:8082 open\n"
				    "listen = 0.0.0.0:8080 tls auth\n"
				    "#virtx# allow_plain = yes\n"
				    "[serf]\nrpc_auth = mine\n";

	root_make(root, true);
	root_put(root, "/etc/virtx/virtxd.conf",
	    "[http]\nlisten = 127.0.0.1:8081\nlisten = 192.0.2.1:8080 plain open\n"
	    "listen: 127.0.0.1:8082 open\nlisten = 0.0.0.0:8080 tls auth\nallow_plain = yes\n"
	    "[serf]\nrpc_auth = mine\n");
	for (int i = 0; i < 2; i++) {
		run(f, "init --address 192.0.2.1 --yes");
		answer(f, READY, NO_VMS);
		run(f, "leave --yes --delete-ca-key");
		assert_says(f->out, "    stays a comment: listen = 192.0.2.1:8080 plain open\n");
		assert_says(f->out, "    stays a comment: listen: 127.0.0.1:8082 open\n");
		assert_says(f->out, "    stays a comment: allow_plain\n");
		assert_same("/etc/virtx/virtxd.conf", after);
	}
}

/* Certificates that somebody had by these names come back; one that was renewed was ours. */
static void
test_certificates_of_others(void **state)
{
	struct verb_fixture *f = *state;
	char *key = pki_key_new();
	struct error err = { 0 };
	_free_ char *other = pki_ca_new(key, "another CA", &err), *renewed = NULL;

	root_make(root, true);
	root_put(root, "/etc/pki/CA/cacert.pem", other);
	root_put(root, "/etc/pki/libvirt/servercert.pem", other);
	root_put(root, "/etc/pki/libvirt/private/serverkey.pem", key);
	run(f, "init --address 192.0.2.1 --yes");
	/* As one that is about to end is made anew. */
	renewed = root_get(root, CLUSTER_HOST_CERTIFICATE);
	root_put(root, "/etc/pki/libvirt/clientcert.pem.virtx-old", renewed);
	answer(f, READY, NO_VMS);
	run(f, "leave --yes --delete-ca-key");
	assert_same("/etc/pki/CA/cacert.pem", other);
	assert_same("/etc/pki/libvirt/servercert.pem", other);
	assert_same("/etc/pki/libvirt/private/serverkey.pem", key);
	assert_false(is_there("/etc/pki/libvirt/clientcert.pem"));
	assert_false(is_there("/etc/pki/libvirt/clientcert.pem.virtx-old"));
	assert_false(is_there("/etc/pki/CA/cacert.pem.virtx-old"));
	/* What somebody has put there since stays. */
	run(f, "init --address 192.0.2.1 --yes");
	root_put(root, "/etc/pki/CA/cacert.pem", "mine\n");
	answer(f, READY, NO_VMS);
	run(f, "leave --yes --delete-ca-key");
	assert_same("/etc/pki/CA/cacert.pem", "mine\n");
	pki_wipe(key);
}

/* Renewal stopped half-way: what it did not get to is an earlier certificate of the same CA, and
 * its key is that of the later one. Both make room for what was there. */
static void
test_half_renewed(void **state)
{
	struct verb_fixture *f = *state;
	const char *names[] = { "mine" };
	char *key = pki_key_new();
	struct error err = { 0 };
	_free_ char *other = pki_ca_new(key, "another CA", &err), *ca = NULL, *ca_key = NULL;
	_free_ char *host_key = NULL, *request = NULL, *renewed = NULL;

	root_make(root, true);
	root_put(root, "/etc/pki/libvirt/servercert.pem", other);
	root_put(root, "/etc/pki/libvirt/private/serverkey.pem", key);
	run(f, "init --address 192.0.2.1 --yes");
	ca = root_get(root, CLUSTER_CA);
	ca_key = root_get(root, CLUSTER_CA_KEY);
	host_key = root_get(root, CLUSTER_HOST_KEY);
	request = pki_request_new(host_key, names, 1, &err);
	renewed = pki_sign(ca, ca_key, request, PKI_HOST, BOARD, 1, &err);
	root_put(root, CLUSTER_HOST_CERTIFICATE, renewed);
	answer(f, READY, NO_VMS);
	run(f, "leave --yes --delete-ca-key");
	assert_same("/etc/pki/libvirt/servercert.pem", other);
	assert_same("/etc/pki/libvirt/private/serverkey.pem", key);
	assert_false(is_there("/etc/pki/libvirt/servercert.pem.virtx-old"));
	assert_false(is_there("/etc/pki/libvirt/clientcert.pem"));
	pki_wipe(key);
}

#define SYSCTL	    "/etc/sysctl.d/99-virtx.conf"
#define MODULES	    "/etc/modules-load.d/virtx.conf"
#define HAND_SERF   "{ \"bind\": \"192.0.2.1\" }\n"
#define HAND_SYSCTL "vm.unprivileged_userfaultfd = 1\nvm.swappiness = 1\n"

static void
make_by_hand(void)
{
	root_make(root, true);
	root_put(root, CLUSTER_SERF_CONF, HAND_SERF);
	root_put(root, SYSCTL, HAND_SYSCTL);
	root_put(root, MODULES, "softdog\nvhost_net\n");
}

static void
assert_by_hand(void)
{
	assert_same(CLUSTER_SERF_CONF, HAND_SERF);
	assert_same(SYSCTL, HAND_SYSCTL);
	assert_same(MODULES, "softdog\nvhost_net\n");
}

/* A cluster that was made by hand has files by the same names, and the host can go back to it. */
static void
test_files_of_others(void **state)
{
	struct verb_fixture *f = *state;
	unsigned int before;

	make_by_hand();
	before = count_files();
	run(f, "init --address 192.0.2.1 --yes");
	/* By another address: what was there before is kept, and not what the first one wrote. */
	run(f, "init --address 192.0.2.7 --yes");
	answer(f, READY, NO_VMS);
	run(f, "leave --yes --delete-ca-key");
	assert_by_hand();
	if (count_files() != before)
		fail_msg("%s", tree.data);
	buffer_clear(&tree);
}

/* What is kept of a file that was ours before does not come back: it has a key. */
static void
test_files_of_ours(void **state)
{
	struct verb_fixture *f = *state;

	root_make(root, true);
	run(f, "init --address 192.0.2.1 --yes");
	run(f, "init --address 192.0.2.7 --yes");
	assert_true(is_there(CLUSTER_SERF_CONF ".virtx-old"));
	answer(f, READY, NO_VMS);
	run(f, "leave --yes --delete-ca-key");
	assert_false(is_there(CLUSTER_SERF_CONF));
	assert_false(is_there(CLUSTER_SERF_CONF ".virtx-old"));
}

/* It ended when all was back, and not all was gone that was kept. */
static void
test_interrupted_back(void **state)
{
	struct verb_fixture *f = *state;
	_free_ char *gone = xasprintf("%s/virtxd.sock", root);

	make_by_hand();
	root_put(root, SYSCTL ".virtx-old", HAND_SYSCTL);
	root_put(root, PENDING, "1792 0 " BOARD "\n");
	/* A write that was killed. */
	root_put(root, CLUSTER_CA_KEY ".virtx-new", "secret\n");
	root_put(root, SYSCTL ".virtx-old.tmp", HAND_SYSCTL);
	own_socket = gone;
	run(f, "leave --yes");
	assert_by_hand();
	assert_false(is_there(SYSCTL ".virtx-old"));
	assert_false(is_there(SYSCTL ".virtx-old.tmp"));
	assert_false(is_there(CLUSTER_CA_KEY ".virtx-new"));
	assert_false(is_there(PENDING));
}

/* virtxd, which is of no cluster any more, runs again. */
static void
test_interrupted_at_end(void **state)
{
	struct verb_fixture *f = *state;

	make_by_hand();
	root_put(root, PENDING, "1792 0 " BOARD "\n");
	run(f, "leave --yes");
	assert_int_equal(f->n_requests, 0);
	assert_by_hand();
	assert_false(is_there(PENDING));
}

/* Who makes it a host of a cluster again does not leave, and starts what had stopped. */
static void
test_back_again(void **state)
{
	struct verb_fixture *f = *state;
	_free_ char *way = xasprintf("%s/etc/libvirt/qemu.conf.virtx-new", root);

	make_by_hand();
	run(f, "init --address 192.0.2.1 --yes");
	root_put(root, PENDING, "768 0 " BOARD "\n");
	run(f, "init --address 192.0.2.1 --yes");
	assert_says(f->out, "systemctl enable virtxd.service\n");
	assert_says(f->out, "systemctl enable serf.service\n");
	assert_false(is_there(PENDING));
	/* Where that ends early, what it has written is its own. */
	root_put(root, PENDING, "1792 0 " BOARD "\n");
	root_remove(root, "/etc/libvirt/qemu.conf");
	root_put(root, "/etc/libvirt/qemu.conf.virtx-new/x", "");
	fails(f, "init --address 192.0.2.1 --yes", "/etc/libvirt/qemu.conf");
	root_remove(root, "/etc/libvirt/qemu.conf.virtx-new/x");
	assert_int_equal(rmdir(way), 0);
	answer(f, READY, NO_VMS);
	run(f, "leave --yes --delete-ca-key");
	assert_false(is_there(CLUSTER_HOST_KEY));
	assert_by_hand();
}

/* Certificates by the same names, and nothing that one of the commands has written. */
static void
test_by_hand(void **state)
{
	struct verb_fixture *f = *state;
	char *key = pki_key_new();
	struct error err = { 0 };
	_free_ char *other = pki_ca_new(key, "a CA of the site", &err);

	root_make(root, true);
	root_put(root, CLUSTER_CA, other);
	root_put(root, CLUSTER_HOST_CERTIFICATE, other);
	root_put(root, CLUSTER_HOST_KEY, key);
	root_put(root, CLUSTER_VIRTXD_CONF, "[tls]\nca = " CLUSTER_CA "\n");
	fails(f, "leave --yes --force", "of no cluster");
	assert_same(CLUSTER_HOST_KEY, key);
	pki_wipe(key);
}

/* Of a block that has no end nobody knows what is not ours: nothing is done then. */
static void
test_lost_end(void **state)
{
	struct verb_fixture *f = *state;

	root_make(root, true);
	run(f, "init --address 192.0.2.1 --yes");
	root_put(root, "/etc/libvirt/qemu.conf", "# virtx cluster: begin\nuser = \"mine\"\n");
	answer(f, READY, NO_VMS);
	fails(f, "leave --yes --delete-ca-key", "'/etc/libvirt/qemu.conf': the line");
	assert_true(is_there(CLUSTER_HOST_KEY));
	assert_false(is_there(PENDING));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		LEAVE_TEST(test_all),
		LEAVE_TEST(test_open_listeners),
		LEAVE_TEST(test_certificates_of_others),
		LEAVE_TEST(test_half_renewed),
		LEAVE_TEST(test_files_of_others),
		LEAVE_TEST(test_files_of_ours),
		LEAVE_TEST(test_interrupted_back),
		LEAVE_TEST(test_interrupted_at_end),
		LEAVE_TEST(test_back_again),
		LEAVE_TEST(test_by_hand),
		LEAVE_TEST(test_lost_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
