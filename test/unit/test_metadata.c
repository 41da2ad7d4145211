/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "domain/domain_xml.h"
#include "domain/metadata.h"

#define UUID "a4c1f2d0-1b2c-4d3e-8f4a-5b6c7d8e9f01"

static char text_op[] = "VmBoot", text_status[] = "failed";

static void
test_element(void **state)
{
	static char msg[] = "<no> \"luck\" & 'all'\n]]>";
	struct oplog_item item = {
		.op = text_op, .ts = 1700000000000, .te = 2, .status = text_status, .msg = msg
	};
	_free_ char *element = metadata_op_build(&item);

	assert_string_equal(element,
	    "<data-op><op>VmBoot</op><ts>1700000000000</ts><te>2</te><status>failed</status>"
	    "<msg>&lt;no&gt; \"luck\" &amp; 'all'\n]]&gt;</msg></data-op>");
}

/* libvirt's and QEMU's words are bytes of any kind; the record must be written all the same. */
static void
test_message_that_is_no_xml(void **state)
{
	static char msg[] = "a\x1b[1mb\xff\xc3(\xef\xbf\xbe"
			    "ö";
	struct oplog_item item = { .op = text_op, .status = text_status, .msg = msg };
	struct oplog_item empty = { 0 };
	_free_ char *element = metadata_op_build(&item);
	_free_ char *nothing = metadata_op_build(&empty);

	assert_non_null(strstr(element, "<msg>a?[1mb?"
					"?(??"
					"?ö</msg>"));
	assert_string_equal(nothing, "<data-op><op/><ts>0</ts><te>0</te><status/><msg/></data-op>");
}

static void
test_keys(void **state)
{
	static const char *const known[] = { "VmBoot", "VmPause", "VmResume", "VmShutdown",
		"VmMigrate", "VmFailover", "VmReset", "VmReboot" };
	static const char *const unknown[] = { "", "VmCreate", "vmboot", "VmBoot " };
	_free_ char *key = metadata_op_key("VmPause");

	assert_string_equal(key, "virtx-op-VmPause");
	for (size_t i = 0; i < ARRAY_SIZE(known); i++)
		assert_true(metadata_op_known(known[i]));
	for (size_t i = 0; i < ARRAY_SIZE(unknown); i++)
		assert_false(metadata_op_known(unknown[i]));
	assert_false(metadata_op_known(NULL));
}

static void
test_leases(void **state)
{
	_free_ char *element = metadata_leases_build("4:abc 12:a&<b");
	_free_ char *text = metadata_leases_read(element);

	assert_string_equal(element, "<held>4:abc 12:a&amp;&lt;b</held>");
	assert_string_equal(text, "4:abc 12:a&<b");
	assert_null(metadata_leases_read("<other>4:abc</other>"));
	assert_null(metadata_leases_read("<held>4:abc"));
	assert_null(metadata_leases_read(""));
}

static void
test_cd(void **state)
{
	_free_ char *mark = metadata_cd_build();

	assert_string_equal(mark, "<data-ci/>");
}

static void
test_want(void **state)
{
	_free_ char *on = metadata_want_build(WANT_ON, false);
	_free_ char *off = metadata_want_build(WANT_OFF, false);
	_free_ char *excused = metadata_want_build(WANT_ON, true);

	assert_string_equal(on, "<want>on</want>");
	assert_string_equal(off, "<want>off</want>");
	assert_string_equal(excused, "<want excused=\"yes\">on</want>");
}

/* The metadata as libvirt would have it, to what is read. */
static void
read_metadata(const char *metadata, struct domain_info *info)
{
	_free_ char *xml =
	    xasprintf("<domain><uuid>" UUID "</uuid><metadata>%s</metadata></domain>", metadata);
	struct error err = { 0 };

	*info = (struct domain_info){ 0 };
	if (domain_xml_read(xml, "/vms", info, &err) < 0)
		fail_msg("%s", err.detail);
}

static void
test_read(void **state)
{
	struct domain_info info;

	/* The first of a kind counts; unknown kinds and other elements do not. */
	read_metadata("<data-op xmlns='virtx-op-VmShutdown'><ts>5</ts></data-op>"
		      "<o:data-op xmlns:o='virtx-op-VmBoot'><o:ts> 7\n</o:ts><o:te>-1</o:te>"
		      "<o:status>started</o:status><o:msg> a &lt; b </o:msg></o:data-op>"
		      "<data-op xmlns='virtx-op-VmBoot'><ts>8</ts></data-op>"
		      "<data-op xmlns='virtx-op-VmCreate'><ts>9</ts></data-op>"
		      "<data-op><ts>10</ts></data-op>"
		      "<other xmlns='virtx-op-VmPause'/>",
	    &info);
	assert_int_equal(info.oplog.n_items, 2);
	assert_string_equal(info.oplog.items[0].op, "VmBoot");
	assert_int_equal(info.oplog.items[0].ts, 7);
	assert_int_equal(info.oplog.items[0].te, 0);
	assert_string_equal(info.oplog.items[0].status, "started");
	assert_string_equal(info.oplog.items[0].msg, " a < b ");
	assert_string_equal(info.oplog.items[1].op, "VmShutdown");
	assert_int_equal(info.oplog.items[1].ts, 5);
	assert_true(str_empty(info.oplog.items[1].msg));
	domain_info_clear(&info);
}

static void
test_custom_fields(void **state)
{
	struct domain_info info;

	read_metadata("<data-vm xmlns='virtx-vm'><field name='A'>1</field><field>nameless</field>"
		      "<order>vda</order><field name='B'/></data-vm>"
		      "<data-vm xmlns='virtx-vm'><field name='C'>3</field></data-vm>",
	    &info);
	assert_int_equal(info.def.n_custom, 2);
	assert_string_equal(info.def.custom[0].name, "A");
	assert_string_equal(info.def.custom[0].value, "1");
	assert_string_equal(info.def.custom[1].name, "B");
	assert_true(str_empty(info.def.custom[1].value));
	domain_info_clear(&info);
}

static void
expect_want(const char *metadata, enum want want, bool excused, bool recorded)
{
	struct domain_info info;

	read_metadata(metadata, &info);
	assert_int_equal(info.want, want);
	assert_int_equal(info.excused, excused);
	assert_int_equal(info.recorded, recorded);
	domain_info_clear(&info);
}

#define OURS "<data-vm xmlns='virtx-vm'/>"

static void
test_read_want(void **state)
{
	expect_want("", WANT_UNKNOWN, false, false);
	expect_want(OURS, WANT_UNKNOWN, false, true);
	expect_want(OURS "<want xmlns='virtx-want'>on</want>", WANT_ON, false, true);
	expect_want(OURS "<w:want xmlns:w='virtx-want'>off</w:want>", WANT_OFF, false, true);
	expect_want(OURS "<want xmlns='virtx-want' excused='yes'>on</want>", WANT_ON, true, true);
	/* What is off is. */
	expect_want(
	    OURS "<want xmlns='virtx-want' excused='yes'>off</want>", WANT_OFF, false, true);
	expect_want(OURS "<want xmlns='virtx-want'>maybe</want>", WANT_UNKNOWN, false, true);
	expect_want(OURS "<want>on</want>", WANT_UNKNOWN, false, true);
	expect_want(OURS "<want xmlns='other'>on</want>", WANT_UNKNOWN, false, true);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_element),
		cmocka_unit_test(test_message_that_is_no_xml),
		cmocka_unit_test(test_keys),
		cmocka_unit_test(test_leases),
		cmocka_unit_test(test_cd),
		cmocka_unit_test(test_want),
		cmocka_unit_test(test_read_want),
		cmocka_unit_test(test_read),
		cmocka_unit_test(test_custom_fields),
	};

	return cmocka_run_group_tests_name("metadata", tests, NULL, NULL);
}
