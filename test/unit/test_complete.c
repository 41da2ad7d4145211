/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "verb_fixture.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "scratch.h"
#include "virtx/complete.h"
#include "virtx/context.h"

#define UUID_2 "22222222-2222-3333-4444-555555555555"
#define UUID_3 "33333333-2222-3333-4444-555555555555"
#define UUID_4 "44444444-2222-3333-4444-555555555555"
#define UUID_6 "66666666-2222-3333-4444-555555555555"
static const char vms[] = "{\"items\":["
			  "{\"uuid\":\"" VM_UUID "\",\"fields\":{\"name\":\"web\"}},"
			  "{\"uuid\":\"" UUID_2 "\",\"fields\":{\"name\":\"data\"}},"
			  "{\"uuid\":\"" UUID_3 "\",\"fields\":{\"name\":\"database\"}},"
			  "{\"uuid\":\"" UUID_4 "\",\"fields\":{\"name\":\"datum; x\"}},"
			  "{\"uuid\":\"" UUID_6 "\",\"fields\":{\"name\":\"2nd\"}},"
			  "{\"uuid\":\"5$(reboot)\",\"fields\":{\"name\":\"evil\"}}]}";

/* What is offered for a line, the words of which have a space between; one at its end begins a new
 * word. The server has so many seconds. The caller frees. */
static char *
offered(struct verb_fixture *f, const char *line, int timeout)
{
	_free_ char *copy = xasprintf("-A 127.0.0.1:%u %s", f->port, line);
	char *words[24];
	char *out = NULL, *rest = copy;
	size_t len;
	FILE *file = open_memstream(&out, &len);
	int n = 0;

	while (rest)
		words[n++] = strsep(&rest, " ");
	complete(verbs, n, words, timeout, file);
	fclose(file);
	return out;
}

static void
expect(struct verb_fixture *f, const char *line, const char *lines)
{
	_free_ char *got = offered(f, line, 30);

	if (strcmp(got, lines) != 0)
		fail_msg("'%s': '%s' instead of '%s'", line, got, lines);
}

static void
test_words(void **state)
{
	struct verb_fixture *f = *state;

	expect(f, "sh", "shutdown\n");
	expect(f, "list ",
	    "host\tList hosts\nvm\tList VMs\n"
	    "operation\tList what the hosts were asked to do, and by whom\n");
	expect(f, "get r", "runstate\n");
	expect(f, "get -D runstate ", "vm\tShow the state of a VM and its host\n");
	expect(f, "watch", "watch\tPrint the changes of the cluster as they come\n");
	expect(f, "operation ",
	    "list\tList what the hosts were asked to do, and by whom\nget\tShow an operation\n"
	    "wait\tWait until an operation has ended\n");
	expect(f, "nosuch ", "");
	expect(f, "nosuch vm ", "");
	expect(f, "list nosuch ", "");
	expect(f, "wait ",
	    "vm\tWait until a VM, or several, are in a state\n"
	    "operation\tWait until an operation has ended\n");
	expect(f, "watch ", "");
	assert_int_equal(f->n_requests, 0);
}

static void
test_options(void **state)
{
	struct verb_fixture *f = *state;

	expect(f, "list vm --cu",
	    "--custom-name\tonly with this custom field, of any value or ...\n"
	    "--custom-value\t... of this one\n");
	expect(f, "list vm -v", "-v\tonly with this VLAN\n");
	expect(f, "stop vm --th", "--then-kill\twait so long at most, and end it by force then\n");
	/* Those of a command are behind its words. */
	expect(f, "list --na", "");
	expect(f, "--vers", "--version\tshow the version\n");
	expect(f, "list vm -- --na", "");
	/* The argument of an option is none. */
	expect(f, "list vm -n --na", "");
	expect(f, "list vm -?", "");
}

static void
test_arguments(void **state)
{
	struct verb_fixture *f = *state;

	expect(f, "list host -s ", "active\nleft\nfailed\n");
	expect(f, "list host --state fa", "failed\n");
	expect(f, "list host --state=", "--state=active\n--state=left\n--state=failed\n");
	/* As getopt_long, which takes what is not ambiguous. */
	expect(f, "list host --st=a", "--st=active\n");
	expect(f, "list vm --custom-name=x --nosuch=y -DNx -o j", "json\n");
	expect(f, "list vm -Do ", "table\nwide\njson\nyaml\ncsv\nname\n");
	expect(f, "list vm -n ", "");
	expect(f, "list vm --name=", "");
	expect(f, "list vm --nosuch=", "");
	expect(f, "boot vm -u ", ":files\n");
	expect(f, "boot vm --ci-userdata=/e", ":files\n");
	expect(f, "create vm -n ", ":files\n");
	expect(f, "update vm -s x ", ":files\n");
	expect(f, "update vm x y ", "");
	expect(f, "wait vm --for=p", "--for=poweroff\n--for=paused\n");
	expect(f, "explain vmdef.m",
	    "vmdef.memory\tobject\nvmdef.memory.total\tinteger\nvmdef.memory.hp\tboolean\n");
	expect(f, "explain vmdef.nets.mac ", "");
	assert_int_equal(f->n_requests, 0);
}

static void
test_known_vms(void **state)
{
	struct verb_fixture *f = *state;

	verb_answer_json(f, vms);
	/* What no UUID is, or would be more than a word to a shell, is not offered. */
	expect(f, "get vm ",
	    VM_UUID "\tweb\n" UUID_2 "\tdata\n" UUID_3 "\tdatabase\n" UUID_4 "\tdatum; x\n" UUID_6
		    "\t2nd\n");
	verb_asked(f, 0, "GET /vms", "\"filter\":{\"name\":\"\"");
	expect(f, "get vm 11", VM_UUID "\tweb\n");
	expect(f, "vm get 11", VM_UUID "\tweb\n");
	expect(f, "rm vm 11", VM_UUID "\tweb\n");
	expect(f, "get vm 2", UUID_2 "\tdata\n");
	expect(f, "get vm 2n", UUID_6 "\t2nd\n");
	expect(f, "get vm -k we", VM_UUID "\tweb\n");
	expect(f, "get vm datu", UUID_4 "\tdatum; x\n");
	expect(f, "get vm dat", "data\t" UUID_2 "\ndatabase\t" UUID_3 "\n");
	expect(f, "get vm datab", UUID_3 "\tdatabase\n");
	expect(f, "get vm -- datab", UUID_3 "\tdatabase\n");
	expect(f, "get vm ev", "");
	expect(f, "get vm x", "");
	expect(f, "get vm " VM_UUID " ", "");
	expect(f, "wait vm --for gone x we", VM_UUID "\tweb\n");
}

static void
test_known_others(void **state)
{
	struct verb_fixture *f = *state;

	verb_answer_json(
	    f, "{\"items\":[{\"uuid\":\"" HOST_UUID "\",\"fields\":{\"name\":\"h\\u001b1\"}}]}");
	expect(f, "maintain host ", HOST_UUID "\th?1\n");
	expect(f, "migrate vm -h ", HOST_UUID "\th?1\n");
	expect(f, "migrate vm --host=9", "--host=" HOST_UUID "\th?1\n");
	expect(f, "migrate vm --host=h", "--host=" HOST_UUID "\th?1\n");
	verb_asked(f, 3, "GET /hosts", "\"filter\":{\"name\":\"\"");
	verb_answer_json(f, "{\"items\":[{\"id\":\"" OPERATION_UUID
			    "\",\"op\":\"VmBoot\",\"state\":\"started\"}]}");
	expect(f, "wait operation ", OPERATION_UUID "\tVmBoot started\n");
	expect(f, "get operation ", OPERATION_UUID "\tVmBoot started\n");
	verb_asked(f, 4, "GET /operations", "");
}

/* Names of contexts, and what the server of one knows. */
static void
test_contexts(void **state)
{
	struct verb_fixture *f = *state;
	void *folder = NULL;
	const struct context lab = { (char *)"https://127.0.0.1:1", NULL, NULL };
	struct error err = { 0 };

	assert_int_equal(scratch_setup(&folder), 0);
	setenv("XDG_CONFIG_HOME", folder, 1);
	expect(f, "context use ", CONTEXT_NONE "\tthis host\n");
	assert_int_equal(context_write("lab", &lab, &err), 0);
	assert_int_equal(context_write("lib", &lab, &err), 0);
	expect(f, "context use ", "lab\nlib\n" CONTEXT_NONE "\tthis host\n");
	expect(f, "logout la", "lab\n");
	expect(f, "list vm --context=l", "--context=lab\n--context=lib\n");
	expect(f, "list --context la", "lab\n");
	expect(f, "context show lab ", "");
	/* The line names two servers, of which none is asked. */
	expect(f, "--context lab get vm ", "");
	assert_int_equal(f->n_requests, 0);
	assert_int_equal(scratch_teardown(&folder), 0);
}

/* A shell stays quiet where the server says nothing that is of use. */
static void
test_no_answer(void **state)
{
	struct verb_fixture *f = *state;

	verb_forget(f);
	verb_answer(f, 500, "", "out of order");
	expect(f, "get vm ", "");
	verb_answer_json(f, "{\"items\":[{\"uuid\":\"" VM_UUID);
	expect(f, "get vm ", "");
	expect(f, "-A 127.0.0.1:1 get vm ", "");
	expect(f, "--api-server=https://x get vm ", "");
	assert_int_equal(f->n_requests, 2);
}

/* Nor does it wait as long as a command. */
static void
test_deadline(void **state)
{
	struct verb_fixture *f = *state;
	struct sockaddr_in in = { .sin_family = AF_INET };
	socklen_t len = sizeof(in);
	_close_ int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	_free_ char *line = NULL, *got = NULL;
	int64_t since = monotonic_ms();

	/* The kernel takes the connection, and nobody reads from it. */
	in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	assert_int_equal(bind(fd, (struct sockaddr *)&in, sizeof(in)), 0);
	assert_int_equal(listen(fd, 1), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&in, &len), 0);
	line = xasprintf("-A 127.0.0.1:%u get vm ", ntohs(in.sin_port));
	got = offered(f, line, COMPLETE_DEADLINE);
	assert_string_equal(got, "");
	assert_in_range(monotonic_ms() - since, COMPLETE_DEADLINE * 1000 - 100, 60 * 1000);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_words),
		TEST(test_options),
		TEST(test_arguments),
		TEST(test_known_vms),
		TEST(test_known_others),
		TEST(test_contexts),
		TEST(test_no_answer),
		TEST(test_deadline),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
