/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A LUN in the place of an image: no test has one, so that what asks the device has a stand-in. */
#include "work_host.h"

#include "disk/image.h"
#include "disk/lun_name.h"

#define LUN  "/dev/disk/by-id/scsi-36001405d594360001"
#define NAME "/dev/mapper/mpatha" /* another one of it */

static int64_t lun_mib;
static int lun_status; /* of who asks whose it is; 0: it is what its path says */
static int wiped;
static bool named;	    /* this host knows both names */
static bool used;	    /* by the host */
static const char *content; /* of the LUN, NULL for nothing */

int __wrap_lun_inspect(const struct disk *disk, struct image_info *ret, struct error *err);
int __wrap_lun_wipe(const struct disk *disk, void (*progress)(int percent, void *arg), void *arg,
    struct error *err);
int __wrap_lun_check_path(
    const char *host, const struct disk *disk, char lease[LEASE_NAME_SIZE], struct error *err);

int
__wrap_lun_inspect(const struct disk *disk, struct image_info *ret, struct error *err)
{
	*ret = (struct image_info){ .size = lun_mib << 20, .prov = DISK_PROV_MODE_THICK };
	return 0;
}

int
__wrap_lun_wipe(
    const struct disk *disk, void (*progress)(int percent, void *arg), void *arg, struct error *err)
{
	assert_string_equal(disk->path, LUN);
	progress(100, arg);
	wiped++;
	return 0;
}

int
__wrap_lun_check_path(
    const char *host, const struct disk *disk, char lease[LEASE_NAME_SIZE], struct error *err)
{
	if (lun_status)
		return error_set(err, lun_status, "it is another one");
	return disk_resource_name(disk, disk_root, lease, err);
}

int __wrap_lun_check_unused(const struct disk *disk, struct error *err);
int __wrap_lun_content(const struct disk *disk, char **ret, struct error *err);
int __wrap_lun_identify(
    const char *host, const struct disk *disk, char **by_id, char lease[49], struct error *err);

int
__wrap_lun_check_unused(const struct disk *disk, struct error *err)
{
	return used ? error_set(err, 422, "it is in use") : 0;
}

int
__wrap_lun_content(const struct disk *disk, char **ret, struct error *err)
{
	*ret = content ? xstrdup(content) : NULL;
	return 0;
}

int
__wrap_lun_identify(
    const char *host, const struct disk *disk, char **by_id, char lease[49], struct error *err)
{
	*by_id = xstrdup(LUN);
	return 0;
}

int __wrap_lun_leases(const char *host, const struct disk *disk, char (**ret)[LEASE_NAME_SIZE],
    size_t *n, struct error *err);

int
__wrap_lun_leases(const char *host, const struct disk *disk, char (**ret)[LEASE_NAME_SIZE],
    size_t *n, struct error *err)
{
	static const char *const paths[] = { LUN, NAME };

	if (!named)
		return error_set(err, 404, "there is no such device");
	for (size_t i = 0; i < ARRAY_SIZE(paths); i++) {
		const struct disk lun = { .path = (char *)paths[i], .device = DISK_DEVICE_LUN };

		if (disk_resource_name(&lun, disk_root, *model_append(ret, n), err) < 0)
			return -1;
	}
	return 0;
}

static int
setup(void **state)
{
	named = used = false;
	content = NULL;
	lun_mib = 16;
	lun_status = 0;
	wiped = 0;
	return work_host_setup(state);
}

/* Fills a zero Vmdef: the small VM with a managed LUN beside its osdisk. */
static void
vm_with_lun(struct vmdef *def)
{
	struct disk *disk;

	small_vm(def);
	disk = model_append(&def->disks, &def->n_disks);
	*disk = (struct disk){ .path = xstrdup(LUN),
		.device = DISK_DEVICE_LUN,
		.bus = DISK_BUS_VIRTIO_SCSI,
		.man = DISK_MAN_MODE_MANAGED,
		.prov = DISK_PROV_MODE_THIN,
		.size = 8 };
}

static void
create(void)
{
	struct vmdef def = { 0 };

	vm_with_lun(&def);
	create_vm(&def);
	model_clear(&vmdef_model, &def);
}

/* Who owns the LUN's lease. */
static const char *
lun_owner(void)
{
	const struct disk disk = { .path = (char *)LUN, .device = DISK_DEVICE_LUN };
	static char owner[37];
	char lease[LEASE_NAME_SIZE];

	assert_int_equal(disk_resource_name(&disk, disk_root, lease, &failure), 0);
	return lease_owner(disk_root, lease, owner, &failure) == 0 ? owner : NULL;
}

/* Deletes the VM with its storage; the warning must have these words, or there must be none. */
static void
delete_vm(const char *words)
{
	struct vm_delete_request request = { env, (char *)TEST_VM, true };
	struct vm_result result = { 0 };

	must_run(WORK_VM_DELETE, &request, &result);
	if (*words ? !strstr(result.warning, words) : !str_empty(result.warning))
		fail_msg("the warning is '%s'", str_or_empty(result.warning));
	assert_null(lun_owner());
	assert_false(exists("ds/os.qcow2"));
	model_clear(&vm_result_model, &result);
}

static void
test_it_is_wiped_before_and_after(void **state)
{
	_domain_info_ struct domain_info info = { 0 };

	create();
	assert_int_equal(wiped, 1);
	assert_string_equal(lun_owner(), TEST_VM);
	read_domain(TEST_VM, &info);
	assert_int_equal(info.def.disks[0].device, DISK_DEVICE_LUN);
	delete_vm("");
	assert_int_equal(wiped, 2);
}

/* The host has another LUN at that path by now. */
static void
test_one_of_another_is_left(void **state)
{
	create();
	lun_status = 422;
	delete_vm("lun '" LUN "' is not wiped: it is another one");
	assert_int_equal(wiped, 1);
}

/* Whether it is the VM's cannot be told now: nothing of it goes, and it is tried again. */
static void
test_one_that_does_not_answer(void **state)
{
	struct vm_delete_request request = { env, (char *)TEST_VM, true };
	struct vm_heal_request heal = { .env = env, .uuid = (char *)TEST_VM };
	struct vm_result result = { 0 };

	create();
	lun_status = 507;
	must_run(WORK_VM_DELETE, &request, &result);
	assert_non_null(strstr(result.warning, "it is tried again"));
	assert_string_equal(lun_owner(), TEST_VM);
	assert_true(has_journal(TEST_VM));
	model_clear(&vm_result_model, &result);
	lun_status = 0;
	must_run(WORK_VM_HEAL, &heal, &result);
	assert_null(lun_owner());
	assert_int_equal(wiped, 2);
	model_clear(&vm_result_model, &result);
}

/* Its lease is lost, and nobody can prove whose it is. */
static void
test_one_without_a_lease_is_left(void **state)
{
	const struct disk disk = { .path = (char *)LUN, .device = DISK_DEVICE_LUN };
	char lease[LEASE_NAME_SIZE], below[LEASE_NAME_SIZE + 8];

	create();
	assert_int_equal(disk_resource_name(&disk, disk_root, lease, &failure), 0);
	snprintf(below, sizeof(below), "lock/%s", lease);
	assert_int_equal(rename(at(below), at("lease-away")), 0);
	delete_vm("lun '" LUN "' is not wiped: its lease '");
	assert_int_equal(wiped, 1);
}

static void
test_what_is_refused(void **state)
{
	struct vm_create_request request = { .env = env, .uuid = (char *)TEST_VM };

	vm_with_lun(&request.def);
	lun_mib = 7;
	must_fail(WORK_VM_CREATE, &request, 422, "the LUN has 7 MiB, and 8 are asked for");
	lun_mib = 8;
	lun_status = 422;
	must_fail(WORK_VM_CREATE, &request, 422, "it is another one");
	assert_int_equal(wiped, 0);
	assert_false(exists("ds/os.qcow2"));
	assert_null(lun_owner());
	model_clear(&vmdef_model, &request.def);
}

/* What others have on a LUN is never emptied for a disk, and only with a VM by who may say so. */
static void
test_one_that_is_not_empty(void **state)
{
	static const struct {
		enum disk_man_mode man;
		enum disk_prov_mode prov;
		bool admin;
		const char *luns;
		int status; /* 0: the VM gets it */
	} rows[] = {
		{ DISK_MAN_MODE_MANAGED, DISK_PROV_MODE_THIN, true, "", 422 },
		{ DISK_MAN_MODE_MANAGED, DISK_PROV_MODE_THIN, true, LUN, 422 },
		{ DISK_MAN_MODE_MANAGED, DISK_PROV_MODE_NONE, false, "", 403 },
		{ DISK_MAN_MODE_MANAGED, DISK_PROV_MODE_NONE, true, "", 0 },
		{ DISK_MAN_MODE_MANAGED, DISK_PROV_MODE_NONE, false, "/dev/x /dev/disk/by-id/*",
		    0 },
		{ DISK_MAN_MODE_UNMANAGED, DISK_PROV_MODE_NONE, false, "", 0 },
	};

	content = "gpt, LVM2_member";
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct vm_create_request request = {
			.env = env, .uuid = (char *)TEST_VM, .admin = rows[i].admin
		};
		struct vm_delete_request delete = { env, (char *)TEST_VM, false };
		struct vm_result result = { 0 };

		vm_with_lun(&request.def);
		request.env.luns = (char *)rows[i].luns;
		request.def.disks[0].man = rows[i].man;
		request.def.disks[0].prov = rows[i].prov;
		if (rows[i].status) {
			must_fail(WORK_VM_CREATE, &request, rows[i].status,
			    "lun '" LUN "' is not empty: this host finds on it: gpt, LVM2_member. "
			    "Nothing was changed");
			assert_null(lun_owner());
			assert_false(exists("ds/os.qcow2"));
		} else {
			must_run(WORK_VM_CREATE, &request, &result);
			model_clear(&vm_result_model, &result);
			must_run(WORK_VM_DELETE, &delete, &result);
			model_clear(&vm_result_model, &result);
			assert_int_equal(unlink(at("ds/os.qcow2")), 0);
		}
		assert_int_equal(wiped, 0);
		model_clear(&vmdef_model, &request.def);
	}
}

/* To anybody, in any mode. */
static void
test_one_that_is_not_for_vms(void **state)
{
	struct vm_create_request request = { .env = env, .uuid = (char *)TEST_VM, .admin = true };

	vm_with_lun(&request.def);
	for (int man = DISK_MAN_MODE_UNMANAGED; man <= DISK_MAN_MODE_MANAGED; man++) {
		request.def.disks[0].man = (enum disk_man_mode)man;
		request.def.disks[0].prov = DISK_PROV_MODE_NONE;
		used = false;
		request.env.luns = (char *)"/dev/disk/by-id/dm-* /dev/*";
		must_fail(
		    WORK_VM_CREATE, &request, 422, "is none of those that this host leaves to VMs");
		used = true;
		request.env.luns = (char *)"/dev/disk/by-id/scsi-*1";
		must_fail(WORK_VM_CREATE, &request, 422, "it is in use");
	}
	assert_null(lun_owner());
	model_clear(&vmdef_model, &request.def);
}

/* Another VM has it by another name: by its lease, and by its definition where that is lost. */
static void
test_one_of_another_by_another_name(void **state)
{
	struct vm_create_request theirs = { .env = env, .uuid = (char *)TEST_OTHER };
	struct vm_create_request request = { .env = env, .uuid = (char *)TEST_VM };
	struct vm_result result = { 0 };

	vm_with_lun(&theirs.def);
	str_set(&theirs.def.name, "theirs");
	str_set(&theirs.def.osdisk.path, at("ds/theirs.qcow2"));
	str_set(&theirs.def.disks[0].path, NAME);
	theirs.def.disks[0].prov = DISK_PROV_MODE_NONE;
	must_run(WORK_VM_CREATE, &theirs, &result);
	model_clear(&vm_result_model, &result);
	model_clear(&vmdef_model, &theirs.def);
	named = true;
	vm_with_lun(&request.def);
	must_fail(WORK_VM_CREATE, &request, 422, "is managed for VM '" TEST_OTHER "'");
	lose_leases();
	must_fail(WORK_VM_CREATE, &request, 422, "belongs to VM '" TEST_OTHER "'");
	assert_int_equal(wiped, 0);
	assert_null(lun_owner());
	model_clear(&vmdef_model, &request.def);
}

/* What was on it is gone by then, and the LUN itself is nobody's to delete. */
static void
test_a_create_that_fails_lets_go_of_it(void **state)
{
	struct vm_create_request request = { .env = env, .uuid = (char *)TEST_VM };

	vm_with_lun(&request.def);
	add_disk(&request.def, "missing.raw", DISK_MAN_MODE_UNMANAGED, DISK_PROV_MODE_NONE);
	must_fail(WORK_VM_CREATE, &request, 404, "missing.raw");
	assert_int_equal(last_stage(), WORK_STAGE_NONE);
	assert_null(lun_owner());
	assert_int_equal(wiped, 1);
	model_clear(&vmdef_model, &request.def);
}

/* By each of its names it would have a lease of its own. */
static void
test_an_image_of_two_names(void **state)
{
	struct vm_create_request request = { .env = env, .uuid = (char *)TEST_VM };
	_free_ char *data = xcalloc(1, 1 << 20);

	write_file(at("ds/one.raw"), data, 1 << 20);
	assert_int_equal(link(at("ds/one.raw"), at("ds/two.raw")), 0);
	small_vm(&request.def);
	add_disk(&request.def, "one.raw", DISK_MAN_MODE_MANAGED, DISK_PROV_MODE_NONE);
	must_fail(WORK_VM_CREATE, &request, 422, "it has 2 names (hard links)");
	assert_true(exists("ds/one.raw"));
	assert_null(lease_of("one.raw"));
	model_clear(&vmdef_model, &request.def);
}

int
main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, work_host_teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_it_is_wiped_before_and_after),
		TEST(test_one_of_another_is_left),
		TEST(test_one_that_does_not_answer),
		TEST(test_one_without_a_lease_is_left),
		TEST(test_one_that_is_not_empty),
		TEST(test_one_that_is_not_for_vms),
		TEST(test_what_is_refused),
		TEST(test_one_of_another_by_another_name),
		TEST(test_a_create_that_fails_lets_go_of_it),
		TEST(test_an_image_of_two_names),
	};

	return cmocka_run_group_tests_name("disk_kind", tests, NULL, NULL);
}
