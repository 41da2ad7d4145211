/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>

#include "domain/migration_xml.h"
#include "golden.h"

static void
test_cpu(void **state)
{
	static const struct {
		const char *xml, *cpu;
		bool custom;
	} rows[] = {
		/* What begins like it stands before it, and inside of other elements. */
		{ "<domain><vcpu>2</vcpu><cputune><vcpupin vcpu='0' cpuset='1'/></cputune>"
		  "<cpu mode='custom' match='exact'><model>EPYC</model></cpu></domain>",
		    "<cpu mode=\"custom\" match=\"exact\"><model>EPYC</model></cpu>", true },
		{ "<domain><metadata><a:x xmlns:a='urn:a'><cpu mode='custom'/></a:x></metadata>"
		  "<cpu mode='host-passthrough' check='none'/></domain>",
		    "<cpu mode=\"host-passthrough\" check=\"none\"/>", false },
		{ "<domain><title>a&lt;cpu mode='custom'</title>"
		  "<cpu mode='maximum'><cache mode='custom'/></cpu></domain>",
		    "<cpu mode=\"maximum\"><cache mode=\"custom\"/></cpu>", false },
		{ "<domain><cputune/></domain>", NULL, false },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		_free_ char *cpu = NULL;
		struct error err = { 0 };
		bool custom;

		if (migration_xml_cpu(rows[i].xml, &cpu, &custom, &err) < 0)
			fail_msg("%s", err.detail);
		assert_string_equal(str_or_empty(cpu), str_or_empty(rows[i].cpu));
		assert_int_equal(!cpu, !rows[i].cpu);
		assert_int_equal(custom, rows[i].custom);
	}
}

/* What libvirt 9.0 writes of a VM that runs. */
static void
test_agent_of_libvirt(void **state)
{
	_free_ char *xml = golden_read("domain/read/live.xml");
	_free_ char *agent = NULL;
	struct error err = { 0 };

	if (migration_xml_agent(xml, &agent, &err) < 0)
		fail_msg("%s", err.detail);
	assert_non_null(agent);
	assert_ptr_equal(strstr(agent, "<channel type=\"qemu-vdagent\">"), agent);
	assert_non_null(strstr(agent, "com.redhat.spice.0"));
	assert_string_equal(agent + strlen(agent) - strlen("</channel>"), "</channel>");
}

static void
test_agent(void **state)
{
#define DEVICES(text) "<domain><devices>" text "</devices></domain>"
	static const struct {
		const char *xml, *agent;
	} rows[] = {
		/* Among others, with more in it, and written in another way. */
		{ DEVICES("<channel type='unix'><target name='a'/></channel>"
			  "<channel  type=\"qemu-vdagent\" x='1'><target name='&lt;b'/></channel>"),
		    "<channel type=\"qemu-vdagent\" x=\"1\"><target name=\"&lt;b\"/></channel>" },
		{ DEVICES("<channel type='qemu-vdagent'/><disk/>"),
		    "<channel type=\"qemu-vdagent\"/>" },
		{ DEVICES("<channel type='spicevmc'/>"), NULL },
		{ DEVICES(""), NULL },
		{ "<domain/>", NULL },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		_free_ char *agent = NULL;
		struct error err = { 0 };

		if (migration_xml_agent(rows[i].xml, &agent, &err) < 0)
			fail_msg("%s", err.detail);
		assert_string_equal(str_or_empty(agent), str_or_empty(rows[i].agent));
	}
}

static void
test_pages(void **state)
{
#define PAGES(text) "<domain><memoryBacking>" text "</memoryBacking></domain>"
	static const struct {
		const char *xml;
		unsigned int size;
		bool mixed;
	} rows[] = {
		{ PAGES("<hugepages/>"), 0, false },
		{ PAGES("<hugepages><page size='1048576' unit='KiB'/></hugepages>"), 1048576,
		    false },
		{ PAGES("<hugepages><page size='2048' unit='KiB' nodeset='0'/></hugepages>"), 0,
		    true },
		{ PAGES("<hugepages><page size='2048' unit='KiB'/>"
			"<page size='1048576' unit='KiB' nodeset='1'/></hugepages>"),
		    0, true },
		{ PAGES("<nosharepages/>"), 0, false },
		{ "<domain/>", 0, false },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct migration_pages pages;
		struct error err = { 0 };

		if (migration_xml_pages(rows[i].xml, &pages, &err) < 0)
			fail_msg("%s", err.detail);
		assert_int_equal(pages.size, rows[i].size);
		assert_int_equal(pages.mixed, rows[i].mixed);
	}
}

static void
test_no_domain(void **state)
{
	static const char *const rows[] = { "<domain>", "<capabilities/>", "" };

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct migration_pages pages;
		_free_ char *text = NULL;
		struct error err = { 0 };
		bool custom;

		assert_int_equal(migration_xml_cpu(rows[i], &text, &custom, &err), -1);
		assert_int_equal(err.status, 500);
		assert_int_equal(migration_xml_agent(rows[i], &text, &err), -1);
		assert_int_equal(migration_xml_pages(rows[i], &pages, &err), -1);
		assert_null(text);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_cpu),
		cmocka_unit_test(test_agent_of_libvirt),
		cmocka_unit_test(test_agent),
		cmocka_unit_test(test_pages),
		cmocka_unit_test(test_no_domain),
	};

	return cmocka_run_group_tests_name("migration_xml", tests, NULL, NULL);
}
