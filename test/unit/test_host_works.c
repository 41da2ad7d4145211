/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The works about a host and its storage: lockspace, making, maintenance, what a VM needs. */
#include "work_host.h"

#include <sanlock.h>
#include <sanlock_admin.h>
#include <sys/statvfs.h>

#include "proto/ha.h"
#include "work/host_down.h"
#include "work/identity.h"

/* Joins, and tells with which host_id. */
static int
join(void)
{
	struct lockspace_request request = { .env = env };
	struct lockspace_result result = { 0 };

	must_run(WORK_LOCKSPACE, &request, &result);
	return result.lockid;
}

static void
test_join(void **state)
{
	struct lockspace_watch_request watch = { .env = env };
	int first = lockspace_default_id(HOST1), kept;
	struct lockspace_result result = { 0 };

	must_fail(WORK_LOCKSPACE_WATCH, &watch, 503, "not in the lockspace any more");
	assert_int_equal(join(), first);
	assert_int_equal(registry_load_lockid(disk_root, HOST1, &kept, &failure), 0);
	assert_int_equal(kept, first);
	assert_true(identity_is_kept(&env, NULL));
	must_run(WORK_LOCKSPACE_WATCH, &watch, &result);
	assert_int_equal(result.lockid, first);
	assert_int_equal(join(), first);
	fake_sanlock_stop();
	must_fail(WORK_LOCKSPACE_WATCH, &watch, 503, "sanlock daemon");
}

/* The next one is taken, and asked for first from then on. */
static void
test_an_id_that_is_taken(void **state)
{
	int first = lockspace_default_id(HOST1);

	fake_sanlock_use_id((unsigned int)first);
	assert_int_equal(join(), first % 2000 + 1);
	fake_sanlock_start();
	assert_int_equal(join(), first % 2000 + 1);
}

/* Another storage is mounted there by now. */
static void
test_another_storage(void **state)
{
	struct storage_request request = { .env = env };

	join();
	assert_int_equal(rename(at("lock/" LEASE_LOCKSPACE), at("away")), 0);
	write_file(at("lock/" LEASE_LOCKSPACE), "x", 1);
	must_fail(WORK_STORAGE_CHECK, &request, 503, "is another one than that which was joined");
	assert_int_equal(rename(at("away"), at("lock/" LEASE_LOCKSPACE)), 0);
}

static void
test_a_vm_that_sanlock_does_not_know(void **state)
{
	struct lockspace_request request = { .env = env };
	_domain_ virDomainPtr domain = NULL;

	create_small_vm();
	domain = virDomainLookupByUUIDString(libvirt, TEST_VM);
	assert_int_equal(virDomainCreate(domain), 0);
	must_fail(WORK_LOCKSPACE, &request, 503, "1 VM is on whose leases sanlock does not keep");
	assert_int_equal(virDomainDestroy(domain), 0);
	join();
}

static void
test_a_host_that_goes_down(void **state)
{
	struct lockspace_request request = { .env = env };
	struct error err = { 0 };

	join();
	assert_int_equal(host_down_leave(disk_root, env.run_dir, 0, &err), 0);
	must_fail(WORK_LOCKSPACE, &request, 503, "this host goes down");
	assert_int_equal(host_down_allow(env.run_dir, &err), 0);
	join();
}

/* What is heard a moment later of VMs that went off then counts still. */
static void
test_guests_that_go_with_the_host(void **state)
{
	_free_ char *path = xasprintf("%s/guests", env.run_dir);
	struct error err = { 0 };

	assert_false(host_down_takes_guests(env.run_dir));
	assert_int_equal(host_down_end_guests(env.run_dir, &err), 0);
	assert_int_not_equal(access(path, F_OK), 0);
	assert_int_equal(host_down_begin_guests(env.run_dir, &err), 0);
	assert_true(host_down_takes_guests(env.run_dir));
	assert_int_equal(host_down_end_guests(env.run_dir, &err), 0);
	assert_true(host_down_takes_guests(env.run_dir));
	write_file(path, "1\n", 2);
	assert_false(host_down_takes_guests(env.run_dir));
	/* Cut off in the middle. */
	assert_int_equal(truncate(path, 0), 0);
	assert_true(host_down_takes_guests(env.run_dir));
	assert_int_equal(unlink(path), 0);
	assert_int_equal(host_down_leave(disk_root, env.run_dir, 0, &err), 0);
	assert_true(host_down_takes_guests(env.run_dir));
	assert_int_equal(host_down_begin_guests("/nowhere", &err), -1);
}

/* What is to be booted is kept for one boot of the host. */
static void
test_what_is_to_be_booted(void **state)
{
	struct vm_stay vms[] = { { (char *)TEST_OTHER, (char *)"why" }, { (char *)TEST_VM, NULL } };
	struct autostart_request request = { .env = env };
	struct autostart_result result = { 0 };
	_free_ char *path = xasprintf("%s/autostart", env.run_dir);
	_buffer_ struct buffer text = { 0 };
	int fd;

	must_run(WORK_AUTOSTART, &request, &result);
	assert_false(result.kept);
	request = (struct autostart_request){ env, true, vms, 2, false };
	must_run(WORK_AUTOSTART, &request, &result);
	request = (struct autostart_request){ .env = env };
	must_run(WORK_AUTOSTART, &request, &result);
	assert_true(result.kept);
	assert_int_equal(result.n_vms, 2);
	assert_string_equal(result.vms[0].uuid, TEST_OTHER);
	assert_string_equal(result.vms[0].why, "why");
	assert_string_equal(result.vms[1].uuid, TEST_VM);
	assert_string_equal(str_or_empty(result.vms[1].why), "");
	model_clear(&autostart_result_model, &result);

	/* The host was booted since. */
	fd = open(path, O_RDONLY);
	assert_int_equal(read_all(fd, &text, 4096), 0);
	close(fd);
	text.data[strcspn(text.data, "-") + 1] ^= 1;
	write_file(path, text.data, text.len);
	must_run(WORK_AUTOSTART, &request, &result);
	assert_false(result.kept);
	assert_int_equal(result.n_vms, 0);
	write_file(path, "no record", 9);
	must_run(WORK_AUTOSTART, &request, &result);
	assert_false(result.kept);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(mkdir(path, 0700), 0);
	must_fail(WORK_AUTOSTART, &request, 503, "cannot read");
	request.keep = true;
	must_fail(WORK_AUTOSTART, &request, 507, "cannot write");
}

/* What failovers keep is apart from it. */
static void
test_what_is_taken_over(void **state)
{
	struct vm_stay vms[] = { { (char *)TEST_OTHER, NULL }, { (char *)TEST_VM, NULL } };
	struct autostart_request request = { env, true, vms, 1, false };
	struct autostart_result result = { 0 };

	must_run(WORK_AUTOSTART, &request, &result);
	request = (struct autostart_request){ env, true, vms, 2, true };
	must_run(WORK_AUTOSTART, &request, &result);
	request = (struct autostart_request){ .env = env, .failover = true };
	must_run(WORK_AUTOSTART, &request, &result);
	assert_int_equal(result.n_vms, 2);
	model_clear(&autostart_result_model, &result);
	request.failover = false;
	must_run(WORK_AUTOSTART, &request, &result);
	assert_int_equal(result.n_vms, 1);
	model_clear(&autostart_result_model, &result);
}

static void
test_hosts_of_the_lockspace(void **state)
{
	static const struct {
		unsigned int flags;
		enum lockspace_sight sight;
	} rows[] = {
		{ SANLK_HOST_FREE, LOCKSPACE_SIGHT_FREE },
		{ SANLK_HOST_LIVE, LOCKSPACE_SIGHT_LIVE },
		{ SANLK_HOST_FAIL, LOCKSPACE_SIGHT_FAIL },
		{ SANLK_HOST_DEAD, LOCKSPACE_SIGHT_DEAD },
		{ SANLK_HOST_UNKNOWN, LOCKSPACE_SIGHT_UNKNOWN },
	};
	struct lockspace_hosts_request request = { .env = env };
	struct lockspace_hosts_result result = { 0 };

	for (unsigned int i = 0; i < ARRAY_SIZE(rows); i++)
		fake_sanlock_see(i + 1, i + 7, rows[i].flags);
	/* No host_id that a host of ours can have. */
	fake_sanlock_see(2001, 1, SANLK_HOST_DEAD);
	must_run(WORK_LOCKSPACE_HOSTS, &request, &result);
	assert_int_equal(result.n_hosts, ARRAY_SIZE(rows));
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		assert_int_equal(result.hosts[i].host_id, i + 1);
		assert_int_equal(result.hosts[i].generation, i + 7);
		assert_int_equal(result.hosts[i].io_timeout, 10);
		assert_int_equal(result.hosts[i].sight, rows[i].sight);
	}
	model_clear(&lockspace_hosts_result_model, &result);
	fake_sanlock_stop();
	must_fail(WORK_LOCKSPACE_HOSTS, &request, 503, "sanlock daemon");
}

/* A VM in the registry of HOST2. */
static void
register_there(const char *uuid, int32_t memory, const char *order, enum want want)
{
	struct domain_env domains = { disk_root, "x86_64", true };
	struct vmdef def = { 0 };
	_free_ char *xml = NULL, *recorded = NULL;
	char *end;

	small_vm(&def);
	def.memory.total = memory;
	if (order) {
		ha_set(&def, HA_POLICY, "restart");
		ha_set(&def, HA_ORDER, order);
	}
	assert_int_equal(domain_xml_build(&def, uuid, &domains, &xml, &failure), 0);
	end = strstr(xml, "</metadata>");
	assert_non_null(end);
	*end = '\0';
	recorded = xasprintf("%s<virtx-want:want xmlns:virtx-want=\"virtx-want\">%s"
			     "</virtx-want:want></metadata>%s",
	    xml, enum_word(&want_enum, want), end + strlen("</metadata>"));
	assert_int_equal(registry_save(disk_root, HOST2, uuid, recorded, &failure), 0);
	model_clear(&vmdef_model, &def);
}

#define REGISTRY_VM(n) "30000000-0000-4000-8000-00000000000" n

static void
test_vms_of_a_dead_host(void **state)
{
	struct host_vms_request request = { .env = env, .host = (char *)HOST2 };
	struct host_vms_result result = { 0 };

	register_there(REGISTRY_VM("1"), 16, "5", WANT_ON);
	register_there(REGISTRY_VM("2"), 64, "5", WANT_ON);
	register_there(REGISTRY_VM("3"), 16, "1", WANT_ON);
	register_there(REGISTRY_VM("4"), 16, "1", WANT_OFF);
	register_there(REGISTRY_VM("5"), 16, NULL, WANT_ON);
	assert_int_equal(registry_save(disk_root, HOST2, REGISTRY_VM("6"), "<domain", &failure), 0);
	must_run(WORK_HOST_VMS, &request, &result);
	assert_int_equal(result.n_vms, 3);
	assert_string_equal(result.vms[0].uuid, REGISTRY_VM("3"));
	assert_string_equal(result.vms[1].uuid, REGISTRY_VM("2"));
	assert_int_equal(result.vms[1].def.memory.total, 64);
	assert_int_equal(result.vms[1].order, 5);
	assert_string_equal(result.vms[2].uuid, REGISTRY_VM("1"));
	assert_int_equal(result.others, 2);
	assert_non_null(strstr(result.warning, REGISTRY_VM("6")));
	model_clear(&host_vms_result_model, &result);
	request.otherwise = true;
	must_run(WORK_HOST_VMS, &request, &result);
	assert_int_equal(result.n_vms, 4);
	model_clear(&host_vms_result_model, &result);
	/* A host without a folder has none. */
	request.host = (char *)"33333333-3333-4333-8333-333333333333";
	must_run(WORK_HOST_VMS, &request, &result);
	assert_int_equal(result.n_vms, 0);
	model_clear(&host_vms_result_model, &result);
	request.host = (char *)"../x";
	must_fail(WORK_HOST_VMS, &request, 400, "../x");
}

/* As many as are known of a host; that there are more is told. */
static void
test_too_many_vms_of_a_dead_host(void **state)
{
	struct host_vms_request request = { .env = env, .host = (char *)HOST2 };
	struct host_vms_result result = { 0 };

	for (unsigned int i = 0; i < 2003; i++) {
		_free_ char *uuid = xasprintf("30000000-0000-4000-8000-%012u", i);

		register_there(uuid, 16, "5", WANT_ON);
		if (i != 1999)
			continue;
		must_run(WORK_HOST_VMS, &request, &result);
		assert_int_equal(result.n_vms, 2000);
		assert_string_equal(str_or_empty(result.warning), "");
		model_clear(&host_vms_result_model, &result);
	}
	must_run(WORK_HOST_VMS, &request, &result);
	assert_int_equal(result.n_vms, 2000);
	assert_string_equal(result.warning,
	    "3 files behind the first 2000 VMs to be brought back were not looked at");
	model_clear(&host_vms_result_model, &result);
}

static void
test_init(void **state)
{
	struct storage_request request = { .env = env };
	struct storage result = { 0 };
	struct storage_check_result found = { 0 };
	struct statvfs fs;

	must_fail(WORK_STORAGE_INIT, &request, 409, "is made already");
	assert_int_equal(unlink(at("xml/.virtx-storage")), 0);
	assert_int_equal(unlink(at("ds/.virtx-storage")), 0);
	assert_int_equal(unlink(at("lock/" LEASE_LOCKSPACE)), 0);
	assert_int_equal(rmdir(at("lock")), 0);
	must_run(WORK_STORAGE_INIT, &request, &result);
	assert_string_equal(result.root, disk_root);
	assert_true(exists("xml/.virtx-storage"));
	assert_true(exists("ds/.virtx-storage"));
	assert_true(exists("lock/" LEASE_LOCKSPACE));
	model_clear(&storage_model, &result);
	must_run(WORK_STORAGE_CHECK, &request, &found);
	assert_int_equal(found.n_rooms, 2);
	assert_string_equal(found.rooms[0].path, disk_root);
	assert_string_equal(found.rooms[1].path, at("ds"));
	assert_int_equal(statvfs(disk_root, &fs), 0);
	assert_int_equal(found.rooms[1].size, fs.f_blocks * fs.f_frsize);
	assert_in_range(found.rooms[1].free, 1, found.rooms[1].size);
	model_clear(&storage_check_result_model, &found);
}

static void
test_maintenance(void **state)
{
	struct maintenance_vm vm = { (char *)TEST_VM, (char *)HOST2, NULL };
	struct maintenance_save_request save = { env,
		{ .since = 4711, .user = (char *)"root", .vms = &vm, .n_vms = 1 } };
	struct maintenance_load_request load = { env };
	struct maintenance saved = { 0 }, loaded = { 0 };

	must_run(WORK_MAINTENANCE_LOAD, &load, &loaded);
	assert_int_equal(loaded.since, 0);
	must_run(WORK_MAINTENANCE_SAVE, &save, &saved);
	must_run(WORK_MAINTENANCE_LOAD, &load, &loaded);
	assert_true(model_equal(&maintenance_model, &save.maintenance, &loaded));
	assert_true(model_equal(&maintenance_model, &saved, &loaded));
	model_clear(&maintenance_model, &loaded);
	model_clear(&maintenance_model, &saved);
	save.maintenance.since = 0;
	must_run(WORK_MAINTENANCE_SAVE, &save, &saved);
	assert_false(exists("xml/" HOST1 "/maintenance"));
	model_clear(&maintenance_model, &saved);
}

/* What a VM needs beside memory: its CPU model and its networks. */
static void
test_vm_check(void **state)
{
	struct vm_check_request request = { .env = env };
	struct net *net;

	small_vm(&request.def);
	net = model_append(&request.def.nets, &request.def.n_nets);
	net->name = xstrdup("default"); /* the test driver's */
	must_run(WORK_VM_CHECK, &request, NULL);
	str_set(&net->name, "lan");
	must_fail(WORK_VM_CHECK, &request, 422, "has no network 'lan'");
	net->nettype = NET_TYPE_BRIDGE;
	must_fail(WORK_VM_CHECK, &request, 422, "has no bridge 'lan'");
	str_set(&net->name, "eth1"); /* the test driver's */
	must_run(WORK_VM_CHECK, &request, NULL);
	str_set(&request.def.cpudef.model, "Abacus");
	must_fail(WORK_VM_CHECK, &request, 422, "knows no CPU model 'Abacus'");
	model_clear(&vmdef_model, &request.def);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		WORK_TEST(test_join),
		WORK_TEST(test_an_id_that_is_taken),
		WORK_TEST(test_another_storage),
		WORK_TEST(test_a_vm_that_sanlock_does_not_know),
		WORK_TEST(test_a_host_that_goes_down),
		WORK_TEST(test_guests_that_go_with_the_host),
		WORK_TEST(test_what_is_to_be_booted),
		WORK_TEST(test_what_is_taken_over),
		WORK_TEST(test_hosts_of_the_lockspace),
		WORK_TEST(test_vms_of_a_dead_host),
		WORK_TEST(test_too_many_vms_of_a_dead_host),
		WORK_TEST(test_init),
		WORK_TEST(test_maintenance),
		WORK_TEST(test_vm_check),
	};

	return cmocka_run_group_tests_name("host_works", tests, NULL, NULL);
}
