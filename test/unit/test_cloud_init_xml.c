/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>

#include "domain/cloud_init_xml.h"
#include "domain/domain_xml.h"
#include "golden.h"
#include "proto/vmdef.h"

#define UUID "a4c1f2d0-1b2c-4d3e-8f4a-5b6c7d8e9f01"

static char cd[] = "/vms/ds/ci/" UUID "/seed.iso";

static void
expect_same_def(const struct domain_info *a, const struct domain_info *b)
{
	assert_true(model_equal(&vmdef_model, &a->def, &b->def));
	assert_true(model_equal(&oplog_list_model, &a->oplog, &b->oplog));
	assert_int_equal(a->foreign, b->foreign);
}

/* Into what libvirt 9.0 dumps, and out again. */
static void
add_and_remove(const char *name, bool room)
{
	_free_ char *xml = golden_read(name);
	_free_ char *with = NULL, *without = NULL, *again = NULL;
	struct domain_info before = { 0 }, info = { 0 };
	const struct disk disk = cloud_init_disk(cd);
	struct error err = { 0 };
	char key[49];

	assert_int_equal(disk_resource_name(&disk, "/vms", key, &err), 0);
	assert_int_equal(domain_xml_read(xml, "/vms", &before, &err), 0);
	if (before.cloud_init) {
		assert_int_equal(cloud_init_xml_remove(xml, "/vms", cd, &with, &err), 0);
		free(xml);
		xml = steal_ptr(with);
		assert_non_null(xml);
	}
	if (cloud_init_xml_add(xml, "/vms", cd, &with, &err) < 0)
		fail_msg("%s", err.detail);
	assert_int_equal(text_count(with, "<disk "), text_count(xml, "<disk ") + 1);
	/* Its lease comes along where there is room for it. */
	assert_int_equal(text_count(with, "<lease>"), text_count(xml, "<lease>") + room);
	assert_int_equal(text_count(with, cd), 1);
	assert_int_equal(text_count(with, key), room ? 3 : 0);

	assert_int_equal(domain_xml_read(with, "/vms", &info, &err), 0);
	assert_string_equal(info.cloud_init, cd);
	expect_same_def(&info, &before);
	domain_info_clear(&info);

	assert_int_equal(cloud_init_xml_remove(with, "/vms", cd, &without, &err), 0);
	assert_non_null(without);
	assert_int_equal(text_count(without, "<disk "), text_count(xml, "<disk "));
	assert_int_equal(text_count(without, "<lease>"), text_count(xml, "<lease>"));
	assert_int_equal(text_count(without, key) + text_count(without, cd), 0);
	assert_int_equal(domain_xml_read(without, "/vms", &info, &err), 0);
	assert_null(info.cloud_init);
	expect_same_def(&info, &before);
	domain_info_clear(&info);
	domain_info_clear(&before);

	assert_int_equal(cloud_init_xml_remove(without, "/vms", cd, &again, &err), 0);
	assert_null(again);
}

static void
test_dumps(void **state)
{
	add_and_remove("domain/read/inactive.xml", false);
	add_and_remove("domain/read/live-inactive.xml", true);
	add_and_remove("domain/read/go.xml", true);
}

/* The definition of a VM that runs with one has the mark alone. */
static void
test_mark(void **state)
{
	static const char xml[] =
	    "<domain><uuid>" UUID "</uuid><metadata><c:data-ci xmlns:c='virtx-ci'/></metadata>"
	    "<devices/></domain>";
	struct domain_info info = { 0 };
	struct error err = { 0 };
	_free_ char *out = NULL, *again = NULL;

	assert_int_equal(domain_xml_read(xml, "/vms", &info, &err), 0);
	assert_string_equal(info.cloud_init, cd);
	domain_info_clear(&info);
	assert_int_equal(cloud_init_xml_remove(xml, "/vms", cd, &out, &err), 0);
	assert_null(strstr(out, "data-ci"));
	assert_int_equal(cloud_init_xml_remove(out, "/vms", cd, &again, &err), 0);
	assert_null(again);
}

/* A lease alone, and a disk alone, as one who attaches them one by one leaves it. */
static void
test_halves(void **state)
{
	const struct disk disk = cloud_init_disk(cd);
	struct error err = { 0 };
	char key[49];

	assert_int_equal(disk_resource_name(&disk, "/vms", key, &err), 0);
	for (int i = 0; i < 2; i++) {
		_free_ char *half = i ? xasprintf("<lease><key>%s</key></lease>", key)
				      : xasprintf("<disk><source file='%s'/><target dev='sda' "
						  "bus='scsi'/><address controller='0'/></disk>",
					    cd);
		_free_ char *xml =
		    xasprintf("<domain><devices><lease><key>other</key></lease>%s<disk/>"
			      "</devices></domain>",
			half);
		_free_ char *out = NULL;

		assert_int_equal(cloud_init_xml_remove(xml, "/vms", cd, &out, &err), 0);
		assert_string_equal(out,
		    "<domain><devices><lease><key>other</key></lease><disk/></devices></domain>");
	}
}

static void
test_refusals(void **state)
{
	static const char *const bad[] = { "", "<domain", "<volume/>", "<domain/>",
		"<!DOCTYPE x><domain><devices/></domain>" };
	struct error err;
	char *out = NULL, *without = NULL;

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		err = (struct error){ 0 };
		assert_int_equal(cloud_init_xml_add(bad[i], "/vms", cd, &out, &err), -1);
		assert_int_equal(err.status, 500);
		assert_null(out);
		assert_int_equal(cloud_init_xml_remove(bad[i], "/vms", cd, &out, &err), -1);
		assert_null(out);
	}
	err = (struct error){ 0 };
	assert_int_equal(
	    cloud_init_xml_add("<domain><metadata><v:a xmlns:v='urn:a&lt;b'/></metadata>"
			       "<devices/></domain>",
		"/vms", cd, &out, &err),
	    -1);
	assert_string_equal(err.detail, "libxml2 cannot write the namespace 'urn:a<b'");
	assert_null(out);
	assert_int_equal(
	    cloud_init_xml_add("<domain><metadata><v:a xmlns:v='urn:a&amp;b'/></metadata>"
			       "<devices/></domain>",
		"/vms", cd, &out, &err),
	    0);
	assert_int_equal(cloud_init_xml_remove(out, "/vms", cd, &without, &err), 0);
	assert_non_null(without);
	free(out);
	free(without);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_dumps),
		cmocka_unit_test(test_mark),
		cmocka_unit_test(test_halves),
		cmocka_unit_test(test_refusals),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
