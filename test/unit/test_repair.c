/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What a reconciliation finds, and what a repair does about it. */
#include "work_host.h"

#include "work/damaged_files.h"
#include "work/loose_images.h"
#include "work/lost_leases.h"
#include "work/orphans.h"
#include "work/protection.h"
#include "work/vm_own_lease.h"

/* What is young may be somebody's who is about to say so. */
static int
age_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	const struct timespec old[2] = { { .tv_sec = 1000 }, { .tv_sec = 1000 } };

	return utimensat(AT_FDCWD, path, old, AT_SYMLINK_NOFOLLOW);
}

static void
age(void)
{
	assert_int_equal(nftw(disk_root, age_one, 16, FTW_PHYS), 0);
}

static void
reconcile(struct reconcile_result *ret)
{
	struct reconcile_request request = {
		.env = env, .deep = true, .loose = true, .sanlock = true
	};

	*ret = (struct reconcile_result){ 0 };
	must_run(WORK_RECONCILE, &request, ret);
}

static void
expect_well(void)
{
	struct reconcile_result found;

	reconcile(&found);
	if (found.n_problems > 0)
		fail_msg("%s: %s", found.problems[0].kind, found.problems[0].detail);
	assert_int_equal(found.n_unfinished + found.n_leftovers, 0);
	model_clear(&reconcile_result_model, &found);
}

/* A problem of that kind is found. */
static void
expect_problem(const char *kind, const char *vm, const char *words)
{
	struct reconcile_result found;
	bool there = false;

	reconcile(&found);
	for (size_t i = 0; i < found.n_problems; i++) {
		const struct host_problem *problem = &found.problems[i];

		if (!str_equal(problem->kind, kind))
			continue;
		there = true;
		assert_string_equal(str_or_empty(problem->vm), vm);
		if (!strstr(problem->detail, words))
			fail_msg("no '%s' in '%s'", words, problem->detail);
	}
	if (!there)
		fail_msg("there is no '%s' among %zu problems", kind, found.n_problems);
	model_clear(&reconcile_result_model, &found);
}

/* A repair with these options tells this action for that kind, and whether it is done. */
static void
repair(struct repair_options options, const char *kind, const char *action, bool done)
{
	struct repair_request request = { .env = env, .options = options, .sanlock = true };
	struct repair_list list = { 0 };
	bool there = false;

	must_run(WORK_REPAIR, &request, &list);
	for (size_t i = 0; i < list.n_items; i++) {
		const struct repair_item *item = &list.items[i];

		if (!str_equal(item->kind, kind))
			continue;
		there = true;
		if (!str_equal(item->action, action) || item->done != done)
			fail_msg("%s: %s, %d: %s", kind, item->action, item->done, item->detail);
	}
	assert_true(there);
	model_clear(&repair_list_model, &list);
}

/* Nothing is done about it while another job has the VM. */
static void
repair_while_busy(const char *vm, const char *kind, const char *action)
{
	_close_ int busy = take_vm(vm);

	assert_true(busy >= 0);
	repair((struct repair_options){ .apply = true }, kind, action, false);
}

static void
undefine(void)
{
	_domain_ virDomainPtr domain = virDomainLookupByUUIDString(libvirt, TEST_VM);

	assert_int_equal(virDomainUndefine(domain), 0);
}

static void
test_a_vm_that_is_well(void **state)
{
	create_small_vm();
	age();
	expect_well();
}

static void
test_not_in_libvirt(void **state)
{
	create_small_vm();
	undefine();
	age();
	expect_problem("not-in-libvirt", TEST_VM, "its libvirt does not know it");
	repair((struct repair_options){ .apply = true }, "not-in-libvirt", "none", false);
	repair((struct repair_options){ .define = true }, "not-in-libvirt", "define", false);
	assert_int_equal(domain_state(TEST_VM), -1);
	repair((struct repair_options){ .apply = true, .define = true }, "not-in-libvirt", "define",
	    true);
	assert_int_equal(domain_state(TEST_VM), VIR_DOMAIN_SHUTOFF);
	age();
	expect_well();
}

static void
test_not_registered(void **state)
{
	create_small_vm();
	assert_int_equal(registry_remove(disk_root, HOST1, TEST_VM, &failure), 0);
	expect_problem("not-registered", TEST_VM, "no host has it in the registry");
	repair((struct repair_options){ 0 }, "not-registered", "register", false);
	assert_false(is_registered(HOST1, TEST_VM));
	repair_while_busy(TEST_VM, "not-registered", "register");
	repair((struct repair_options){ .apply = true }, "not-registered", "register", true);
	assert_true(is_registered(HOST1, TEST_VM));
	expect_well();
}

static void
test_registered_twice(void **state)
{
	create_small_vm();
	assert_int_equal(registry_save(disk_root, HOST2, TEST_VM, "<domain/>", &failure), 0);
	expect_problem("registered-twice", TEST_VM, "and under host '" HOST2 "'");
	repair((struct repair_options){ .apply = true }, "registered-twice", "none", false);
	assert_true(is_registered(HOST1, TEST_VM));
	assert_true(is_registered(HOST2, TEST_VM));
}

/* Nothing knows the VM any more but the owner in its lease. */
static void
test_a_lease_and_an_image_of_no_vm(void **state)
{
	const struct repair_options delete = { .apply = true, .deletestorage = true };

	create_small_vm();
	undefine();
	assert_int_equal(registry_remove(disk_root, HOST1, TEST_VM, &failure), 0);
	expect_well();
	age();
	expect_problem(ORPHAN_LEASE, TEST_VM, "which no host has registered");
	expect_problem(ORPHAN_IMAGE, TEST_VM, "which no host has registered");
	repair(
	    (struct repair_options){ .deletestorage = true }, ORPHAN_IMAGE, "delete-image", false);
	assert_true(exists("ds/os.qcow2"));
	repair(delete, ORPHAN_IMAGE, "delete-image", true);
	assert_false(exists("ds/os.qcow2"));
	assert_null(lease_of("os.qcow2"));
	expect_well();
}

/* An image is deleted only where that was asked for; without its lease it is nobody's then. */
static void
test_a_lease_of_no_vm_without_its_image(void **state)
{
	create_small_vm();
	undefine();
	assert_int_equal(registry_remove(disk_root, HOST1, TEST_VM, &failure), 0);
	age();
	repair((struct repair_options){ .apply = true }, ORPHAN_LEASE, "delete-lease", true);
	assert_null(lease_of("os.qcow2"));
	assert_true(exists("ds/os.qcow2"));
	expect_problem(LOOSE_IMAGE, "", "");
}

/* Of another host's VM nothing is touched, whatever the storage tells. */
static void
test_what_another_host_has(void **state)
{
	struct repair_vm elsewhere = { (char *)TEST_VM, (char *)HOST2, true };
	struct repair_request request = { .env = env,
		.options = { .apply = true, .deletestorage = true },
		.elsewhere = &elsewhere,
		.n_elsewhere = 1,
		.sanlock = true };
	struct repair_list list = { 0 };

	create_small_vm();
	undefine();
	assert_int_equal(registry_remove(disk_root, HOST1, TEST_VM, &failure), 0);
	age();
	must_run(WORK_REPAIR, &request, &list);
	assert_true(list.n_items >= 2);
	for (size_t i = 0; i < list.n_items; i++) {
		assert_false(list.items[i].done);
		assert_non_null(strstr(list.items[i].detail, "another host has the VM"));
	}
	assert_true(exists("ds/os.qcow2"));
	assert_string_equal(lease_of("os.qcow2"), TEST_VM);
	model_clear(&repair_list_model, &list);
}

static void
test_a_half_made_lease(void **state)
{
	const char *below = "lock/.79abc5d330b79a3ad52e9f89b4d8482a." TEST_OTHER;

	assert_int_equal(mkdir(at(below), 0750), 0);
	expect_well();
	age();
	expect_problem(ORPHAN_LEFTOVER, TEST_OTHER, "a half-made lease");
	repair_while_busy(TEST_OTHER, ORPHAN_LEFTOVER, "delete-leftover");
	repair((struct repair_options){ .apply = true }, ORPHAN_LEFTOVER, "delete-leftover", true);
	assert_false(exists(below));
	expect_well();
}

/* Its VM is here, and has no such disk any more. */
static void
test_a_lease_without_its_disk(void **state)
{
	const struct disk disk = { .path = at("ds/gone.qcow2") };
	char lease[LEASE_NAME_SIZE];

	create_small_vm();
	assert_int_equal(disk_resource_name(&disk, disk_root, lease, &failure), 0);
	assert_int_equal(lease_create(disk_root, lease, TEST_VM, &failure), 0);
	age();
	expect_problem(ORPHAN_STALE, TEST_VM, "which has no such disk");
	repair_while_busy(TEST_VM, ORPHAN_STALE, "delete-lease");
	repair((struct repair_options){ .apply = true }, ORPHAN_STALE, "delete-lease", true);
	assert_null(lease_of("gone.qcow2"));
	assert_string_equal(lease_of("os.qcow2"), TEST_VM);
	expect_well();
}

/* The path of the small VM's lease. */
static const char *
small_lease(void)
{
	const struct disk disk = { .path = at("ds/os.qcow2") };
	static char below[2 * LEASE_NAME_SIZE + 8];
	char lease[LEASE_NAME_SIZE];

	assert_int_equal(disk_resource_name(&disk, disk_root, lease, &failure), 0);
	snprintf(below, sizeof(below), "lock/%s/%s", lease, lease);
	return at(below);
}

static void
test_a_lease_that_is_missing(void **state)
{
	create_small_vm();
	lose_leases();
	age();
	expect_problem(LOST_MISSING, TEST_VM, "' cannot be used: its lease '");
	repair((struct repair_options){ 0 }, LOST_MISSING, "make-lease", false);
	assert_null(lease_of("os.qcow2"));
	repair_while_busy(TEST_VM, LOST_MISSING, "make-lease");
	repair((struct repair_options){ .apply = true }, LOST_MISSING, "make-lease", true);
	assert_string_equal(lease_of("os.qcow2"), TEST_VM);
	expect_well();
}

static void
test_a_lease_of_a_vm_that_is_missing(void **state)
{
	create_small_vm();
	assert_int_equal(lease_discard(disk_root, "vm-" TEST_VM, TEST_VM, &failure), 0);
	expect_problem(LOST_MISSING, TEST_VM, "lease 'vm-" TEST_VM "' cannot be used");
	repair((struct repair_options){ .apply = true }, LOST_MISSING, "make-lease", true);
	assert_string_equal(vm_lease_owner(), TEST_VM);
	expect_well();
}

/* It is nobody's but the VM's, whether its definition names it or not. */
static void
test_a_vm_from_before(void **state)
{
	create_small_vm();
	take_vm_lease();
	age();
	expect_well();
	assert_int_equal(lease_create(disk_root, "vm-" TEST_VM, TEST_VM, &failure), 0);
	age();
	expect_well();
	undefine();
	assert_int_equal(registry_remove(disk_root, HOST1, TEST_VM, &failure), 0);
	expect_problem(ORPHAN_LEASE, TEST_VM, "which no host has registered");
	repair((struct repair_options){ .apply = true, .deletestorage = true }, ORPHAN_LEASE,
	    "delete-lease", true);
	assert_null(vm_lease_owner());
	expect_well();
}

/* With a disk that is nobody's, it is kept by nothing. */
static void
test_a_vm_that_is_on_without_any_lease(void **state)
{
	_domain_ virDomainPtr domain = NULL;

	create_unmanaged_vm();
	take_vm_lease();
	expect_well();
	domain = virDomainLookupByUUIDString(libvirt, TEST_VM);
	assert_int_equal(virDomainCreate(domain), 0);
	expect_problem(OWN_LEASE_PROBLEM, TEST_VM, "the VM is on without any lease");
	repair((struct repair_options){ .apply = true }, OWN_LEASE_PROBLEM, "none", false);
}

/* Its disks have all that libvirt allows, as of the VMs that had none of their own. */
static void
test_a_vm_with_no_room_for_its_lease(void **state)
{
	struct vm_update_request update = { .env = env, .uuid = (char *)TEST_VM };
	struct vm_result result = { 0 };

	create_small_vm();
	take_vm_lease();
	small_vm(&update.def);
	for (int i = 1; i < VMDEF_LEASES_MAX; i++) {
		_free_ char *name = xasprintf("more%d.raw", i);

		add_disk(&update.def, name, DISK_MAN_MODE_MANAGED, DISK_PROV_MODE_THIN);
	}
	must_run(WORK_VM_UPDATE, &update, &result);
	model_clear(&vm_result_model, &result);
	model_clear(&vmdef_model, &update.def);
	expect_problem(OWN_LEASE_PROBLEM, TEST_VM, "its 7 managed disks");
}

static void
test_a_lease_that_is_damaged(void **state)
{
	char noise[4096] = "noise";

	create_small_vm();
	write_file(small_lease(), noise, sizeof(noise));
	age();
	expect_problem(LOST_DAMAGED, TEST_VM, "of its file 4096 bytes are left");
	repair((struct repair_options){ .apply = true }, LOST_DAMAGED, "make-lease", true);
	assert_string_equal(lease_of("os.qcow2"), TEST_VM);
	expect_well();
}

/* Nobody may make the lease anew of a disk that is in use. */
static void
test_a_damaged_lease_of_a_vm_that_is_on(void **state)
{
	_domain_ virDomainPtr domain = NULL;

	create_small_vm();
	domain = virDomainLookupByUUIDString(libvirt, TEST_VM);
	assert_int_equal(virDomainCreate(domain), 0);
	write_file(small_lease(), "noise", 5);
	repair((struct repair_options){ .apply = true }, LOST_DAMAGED, "make-lease", false);
	assert_null(lease_of("os.qcow2"));
}

/* A QEMU that libvirt knows nothing of has the image open. */
static void
test_a_damaged_lease_of_an_image_in_use(void **state)
{
	struct flock lock = { .l_type = F_RDLCK, .l_start = 101, .l_len = 1 };
	int fd;

	create_small_vm();
	write_file(small_lease(), "noise", 5);
	fd = open(at("ds/os.qcow2"), O_RDONLY | O_CLOEXEC);
	assert_int_equal(fcntl(fd, F_OFD_SETLK, &lock), 0);
	repair((struct repair_options){ .apply = true }, LOST_DAMAGED, "make-lease", false);
	assert_null(lease_of("os.qcow2"));
	close(fd);
	repair((struct repair_options){ .apply = true }, LOST_DAMAGED, "make-lease", true);
	assert_string_equal(lease_of("os.qcow2"), TEST_VM);
}

static void
test_damaged_files(void **state)
{
	create_small_vm();
	write_file(at("xml/" HOST1 "/" TEST_VM ".xml"), "<domain", 7);
	write_file(at("xml/" HOST1 "/" TEST_OTHER ".journal"), "{", 1);
	write_file(at("xml/" HOST1 "/maintenance"), "{", 1);
	expect_problem(DAMAGED_REGISTRY, TEST_VM, "the registry's file of the VM cannot be used");
	expect_problem(DAMAGED_JOURNAL, TEST_OTHER, "");
	expect_problem(DAMAGED_MAINTENANCE, "", "");
	repair((struct repair_options){ .apply = true }, DAMAGED_JOURNAL, "none", false);
	repair((struct repair_options){ .apply = true }, DAMAGED_MAINTENANCE, "none", false);
	/* The first of these repairs wrote the registry's file anew. */
	assert_true(is_registered(HOST1, TEST_VM));
	assert_int_equal(unlink(at("xml/" HOST1 "/" TEST_OTHER ".journal")), 0);
	assert_int_equal(unlink(at("xml/" HOST1 "/maintenance")), 0);
	expect_well();
}

/* libvirt's test driver has no process that could hold leases. */
static void
test_a_vm_that_runs_unprotected(void **state)
{
	_domain_ virDomainPtr domain = NULL;
	struct reconcile_request request = { .env = env };
	struct reconcile_result found = { 0 };

	create_small_vm();
	domain = virDomainLookupByUUIDString(libvirt, TEST_VM);
	assert_int_equal(virDomainCreate(domain), 0);
	expect_problem(PROTECTION_PROBLEM, TEST_VM, "its process is not found");
	must_run(WORK_RECONCILE, &request, &found);
	assert_int_equal(found.n_problems, 1);
	assert_non_null(strstr(found.problems[0].detail, "sanlock does not answer"));
	model_clear(&reconcile_result_model, &found);
}

/* It runs on after `virsh undefine`, and a repair gives it its definition back. */
static void
test_a_vm_without_a_definition(void **state)
{
	_domain_ virDomainPtr domain = NULL;

	create_small_vm();
	domain = virDomainLookupByUUIDString(libvirt, TEST_VM);
	assert_int_equal(virDomainCreate(domain), 0);
	undefine();
	expect_problem("transient", TEST_VM, "it is gone when it stops");
	repair((struct repair_options){ .apply = true }, "transient", "define", true);
	assert_int_equal(virDomainIsPersistent(domain), 1);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		WORK_TEST(test_a_vm_that_is_well),
		WORK_TEST(test_not_in_libvirt),
		WORK_TEST(test_not_registered),
		WORK_TEST(test_registered_twice),
		WORK_TEST(test_a_lease_and_an_image_of_no_vm),
		WORK_TEST(test_a_lease_of_no_vm_without_its_image),
		WORK_TEST(test_what_another_host_has),
		WORK_TEST(test_a_half_made_lease),
		WORK_TEST(test_a_lease_without_its_disk),
		WORK_TEST(test_a_lease_that_is_missing),
		WORK_TEST(test_a_lease_of_a_vm_that_is_missing),
		WORK_TEST(test_a_vm_from_before),
		WORK_TEST(test_a_vm_that_is_on_without_any_lease),
		WORK_TEST(test_a_vm_with_no_room_for_its_lease),
		WORK_TEST(test_a_lease_that_is_damaged),
		WORK_TEST(test_a_damaged_lease_of_a_vm_that_is_on),
		WORK_TEST(test_a_damaged_lease_of_an_image_in_use),
		WORK_TEST(test_damaged_files),
		WORK_TEST(test_a_vm_that_runs_unprotected),
		WORK_TEST(test_a_vm_without_a_definition),
	};

	return cmocka_run_group_tests_name("repair", tests, NULL, NULL);
}
