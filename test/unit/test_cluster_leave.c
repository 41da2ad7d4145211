/* SPDX-License-Identifier: GPL-2.0-or-later */
/* virtx cluster leave, on a folder that stands for the root of a host. */
#include "verb_fixture.h"

#include <ftw.h>
#include <string.h>

#include "cluster_root.h"
#include "proto/pki.h"
#include "virtx/cluster_files.h"
#include "virtx/cluster_setup.h"

#define JSON	   "Content-Type: application/json\r\n"
#define READY	   "{\"ready\":true}"
#define NO_VMS	   "{\"items\":[]}"
#define ONE_VM	   "{\"items\":[{\"uuid\":\"" VM_UUID "\",\"fields\":{\"name\":\"web\"}}]}"
#define MAINTAINED "{\"since\":1,\"leaving\":false}"
#define PENDING	   "/etc/virtx/cluster-pending"
#define LOCK	   "/etc/virtx/cluster.lock"

static char *root;
static const char *own_socket; /* of virtxd of the host; NULL: the fixture's server */

struct client __wrap_cluster_setup_own_client(
    const struct command_call *call, struct server *server);

struct client
__wrap_cluster_setup_own_client(const struct command_call *call, struct server *server)
{
	struct client client = *call->client;

	client.server.socket = (char *)own_socket;
	return client;
}

static int
setup(void **state)
{
	own_socket = NULL;
	return scratch_setup((void **)&root) < 0 ? -1 : verb_setup(state);
}

static int
teardown(void **state)
{
	return verb_teardown(state) < 0 ? -1 : scratch_teardown((void **)&root);
}

#define LEAVE_TEST(function) cmocka_unit_test_setup_teardown(function, setup, teardown)

static char *
line(const char *command)
{
	return xasprintf("cluster %s --root %s", command, root);
}

static void
run(struct verb_fixture *f, const char *command)
{
	_free_ char *text = line(command);

	verb_ok(f, text);
}

static void
fails(struct verb_fixture *f, const char *command, const char *words)
{
	_free_ char *text = line(command);

	verb_fails(f, text, COMMAND_FAILED, words);
}

/* What the host says, each time that it is asked. */
static void
answer_maintenance(
    struct verb_fixture *f, const char *ready, const char *vms, const char *maintenance)
{
	verb_forget(f);
	for (int i = 0; i < 2; i++) {
		verb_answer(f, 200, JSON, ready);
		verb_answer(f, 200, JSON, vms);
		verb_answer(f, 200, JSON, maintenance);
	}
}

static void
answer(struct verb_fixture *f, const char *ready, const char *vms)
{
	answer_maintenance(f, ready, vms, MAINTAINED);
}

/* The names of all files, in no order, but for the one that keeps others off. */
static struct buffer tree;
static unsigned int files;

static int
look(const char *path, const struct stat *status, int type, struct FTW *ftw)
{
	if (!S_ISREG(status->st_mode) || strcmp(path + strlen(root), LOCK) == 0)
		return 0;
	files++;
	buffer_printf(&tree, "%s\n", path + strlen(root));
	return 0;
}

static unsigned int
count_files(void)
{
	files = 0;
	buffer_clear(&tree);
	nftw(root, look, 16, FTW_PHYS);
	return files;
}

static bool
is_there(const char *path)
{
	_free_ char *whole = xasprintf("%s%s", root, path);

	return access(whole, F_OK) == 0;
}

static void
assert_same(const char *path, const char *text)
{
	_free_ char *now = root_get(root, path);

	assert_string_equal(now, text);
}

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
	own_socket = gone;
	run(f, "leave --yes");
	assert_by_hand();
	assert_false(is_there(SYSCTL ".virtx-old"));
	assert_false(is_there(PENDING));
}

/* Who makes it a host of a cluster again does not leave, and starts what had stopped. */
static void
test_back_again(void **state)
{
	struct verb_fixture *f = *state;

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
		LEAVE_TEST(test_all),
		LEAVE_TEST(test_open_listeners),
		LEAVE_TEST(test_refused),
		LEAVE_TEST(test_forced),
		LEAVE_TEST(test_maintenance),
		LEAVE_TEST(test_comes_meanwhile),
		LEAVE_TEST(test_storage_stays),
		LEAVE_TEST(test_certificates_of_others),
		LEAVE_TEST(test_half_renewed),
		LEAVE_TEST(test_files_of_others),
		LEAVE_TEST(test_files_of_ours),
		LEAVE_TEST(test_interrupted_back),
		LEAVE_TEST(test_back_again),
		LEAVE_TEST(test_by_hand),
		LEAVE_TEST(test_lost_end),
		LEAVE_TEST(test_interrupted),
		LEAVE_TEST(test_interrupted_uuid),
		LEAVE_TEST(test_noted_uuid),
		LEAVE_TEST(test_other_uuid),
		LEAVE_TEST(test_interrupted_long_ago),
		LEAVE_TEST(test_stopped),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
