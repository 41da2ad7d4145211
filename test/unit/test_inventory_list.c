/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Listings as JSON, which is joined of what is kept: whatever has changed, they tell what is so. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "proto/json.h"
#include "proto/shared_text.h"
#include "random_model.h"
#include "state/inventory.h"

#define SELF   "aaaaaaaa-0000-4000-8000-000000000000"
#define VMS    24
#define ROUNDS 4000

static const char *const hosts[] = { "bbbbbbbb-0000-4000-8000-000000000000",
	"cccccccc-0000-4000-8000-000000000000", "dddddddd-0000-4000-8000-000000000000" };
static const char *const names[] = { "", "web", "web1", "db", "a \"quoted\" one", "z" };
static const char *const customs[] = { "", "owner", "role" };

struct fixture {
	struct inventory *inventory;
	struct random random;
	int64_t ts; /* of the last event */
};

static unsigned int
below(struct fixture *f, unsigned int n)
{
	return (unsigned int)(random_next(&f->random) >> 8) % n;
}

static char *
vm_uuid(unsigned int n)
{
	return xasprintf("11111111-0000-4000-8000-%012u", n);
}

static enum vmrunstate
any_state(struct fixture *f)
{
	static const enum vmrunstate states[] = { VMRUNSTATE_POWEROFF, VMRUNSTATE_STARTUP,
		VMRUNSTATE_RUNNING, VMRUNSTATE_PAUSED, VMRUNSTATE_MIGRATING };

	return states[below(f, ARRAY_SIZE(states))];
}

/* Mostly later than all before. */
static int64_t
any_time(struct fixture *f)
{
	f->ts += 1 + below(f, 3);
	return below(f, 8) ? f->ts : f->ts - 20;
}

static void
add_custom(struct fixture *f, struct custom_field **fields, size_t *n)
{
	for (unsigned int i = below(f, 3); i > 0; i--) {
		struct custom_field *field = model_append(fields, n);

		field->name = xstrdup(customs[1 + below(f, 2)]);
		field->value = xstrdup(names[below(f, ARRAY_SIZE(names))]);
	}
}

static struct vm_info
any_info(struct fixture *f, const char *host)
{
	struct vm_info info = { .uuid = vm_uuid(below(f, VMS)),
		.host = xstrdup(host),
		.runstate = any_state(f),
		.ts = any_time(f),
		.name = xstrdup(names[below(f, ARRAY_SIZE(names))]),
		.vlanid = (int16_t)below(f, 3),
		.vcpus = 1 };

	add_custom(f, &info.custom, &info.n_custom);
	return info;
}

static void
tell_info(struct fixture *f, const char *host)
{
	struct vm_info info = any_info(f, host);

	inventory_take_info(f->inventory, &info);
	model_clear(&vm_info_model, &info);
}

static void
tell_event(struct fixture *f, const char *host)
{
	struct vm_event event = { .uuid = vm_uuid(below(f, VMS)),
		.host = xstrdup(host),
		.runstate = below(f, 8) ? any_state(f) : VMRUNSTATE_DELETED,
		.ts = any_time(f) };

	inventory_take_event(f->inventory, &event);
	model_clear(&vm_event_model, &event);
}

static void
tell_list(struct fixture *f, const char *host)
{
	struct vm_info_list list = { .host = xstrdup(host), .fields.ts = f->ts };

	list.fields.name = xstrdup(names[below(f, ARRAY_SIZE(names))]);
	for (unsigned int i = below(f, 6); i > 0; i--)
		*model_append(&list.items, &list.n_items) = any_info(f, host);
	inventory_take_list(f->inventory, inventory_mark(f->inventory), &list);
	model_clear(&vm_info_list_model, &list);
}

static void
tell_news(struct fixture *f, const char *host)
{
	struct host_news news = { .host = xstrdup(host), .ts = any_time(f) };

	news.maintenance = below(f, 2);
	*model_append(&news.items, &news.n_items) = any_info(f, host);
	inventory_take_news(f->inventory, 0, &news);
	model_clear(&host_news_model, &news);
}

static void
tell_host(struct fixture *f, const char *host)
{
	struct host_info info = { .uuid = xstrdup(host), .fields.ts = any_time(f) };

	info.fields.name = xstrdup(names[below(f, ARRAY_SIZE(names))]);
	info.fields.memoryavailable = (int32_t)below(f, 3);
	inventory_take_host(f->inventory, &info, NULL);
	model_clear(&host_info_model, &info);
}

static void
report_vm(struct fixture *f)
{
	struct vm_report report = {
		.uuid = vm_uuid(below(f, VMS)), .runstate = any_state(f), .has_def = below(f, 2)
	};

	report.def.name = xstrdup(names[below(f, ARRAY_SIZE(names))]);
	report.def.vlanid = (int16_t)below(f, 3);
	add_custom(f, &report.def.custom, &report.def.n_custom);
	if (below(f, 4))
		inventory_report_vm(f->inventory, inventory_mark(f->inventory), true, &report);
	else
		inventory_report_vms(f->inventory, inventory_mark(f->inventory), &report, 1);
	model_clear(&vm_report_model, &report);
}

static void
report_host(struct fixture *f)
{
	struct host_report report = { .uuid = (char[]){ SELF }, .has_def = true };

	report.def.name = (char *)names[below(f, ARRAY_SIZE(names))];
	report.memory_total = report.memory_free = (int64_t)(1 + below(f, 4)) << 22;
	inventory_report_host(f->inventory, &report);
}

static void
change_local(struct fixture *f)
{
	_free_ char *uuid = vm_uuid(below(f, VMS));

	switch (below(f, 7)) {
	case 0:
		inventory_remove_vm(f->inventory, uuid);
		break;
	case 1:
		inventory_end_vm(f->inventory, uuid);
		break;
	case 2:
		inventory_release_vm(f->inventory, uuid);
		break;
	case 3:
		inventory_end_startup(f->inventory, uuid);
		break;
	default:
		inventory_set_runstate(f->inventory, uuid, any_state(f));
		break;
	}
}

static void
change_host(struct fixture *f, const char *host)
{
	struct error err;

	switch (below(f, 6)) {
	case 0:
		inventory_set_host(f->inventory, host, "failed", CSTATE_FAILED);
		break;
	case 1:
		inventory_forget_host(f->inventory, host, &err);
		break;
	case 2:
		inventory_set_maintenance(f->inventory, host, below(f, 2));
		break;
	case 3:
		inventory_set_watchdog(f->inventory, host, below(f, 2) + 1);
		break;
	default:
		inventory_set_host(f->inventory, host, "active", CSTATE_ACTIVE);
		break;
	}
}

/* Something happens. */
static void
change(struct fixture *f)
{
	const char *host = hosts[below(f, ARRAY_SIZE(hosts))];

	switch (below(f, 12)) {
	case 0:
		tell_list(f, host);
		break;
	case 1:
		tell_news(f, host);
		break;
	case 2:
		tell_host(f, host);
		break;
	case 3:
		change_host(f, host);
		break;
	case 4:
		change_local(f);
		break;
	case 5:
		report_host(f);
		break;
	case 6:
	case 7:
		report_vm(f);
		break;
	case 8:
	case 9:
		tell_event(f, host);
		break;
	default:
		tell_info(f, host);
		break;
	}
}

static int
compare(const void *a, const void *b)
{
	const struct vm *x = *(const struct vm *const *)a, *y = *(const struct vm *const *)b;
	int order = strcmp(str_or_empty(x->def.name), str_or_empty(y->def.name));

	return order ? order : strcmp(x->uuid, y->uuid);
}

/* Whether nobody knows what it does. */
static bool
is_unknown(struct fixture *f, const struct vm *vm)
{
	const struct host *host = inventory_find_host(f->inventory, vm->runinfo.host);

	return !str_equal(vm->runinfo.host, SELF) && host && host->cstate == CSTATE_FAILED;
}

/* The list as it has to be, of what is known of each VM; the caller frees. */
static char *
wanted_vms(struct fixture *f, const struct vm_list_fields *filter, const struct list_page *page)
{
	const struct vm *found[VMS];
	struct vm_list list = { 0 };
	char *text;
	size_t n = 0;

	for (unsigned int i = 0; i < VMS; i++) {
		_free_ char *uuid = vm_uuid(i);
		const struct inventory_vm *view = inventory_find_vm(f->inventory, uuid);

		if (view &&
		    filter_vm(&view->vm,
			is_unknown(f, &view->vm) ? VMRUNSTATE_NONE : view->vm.runinfo.runstate,
			filter, page->exact))
			found[n++] = &view->vm;
	}
	qsort(found, n, sizeof(*found), compare);
	for (size_t i = page->offset; i < n && (!page->limit || list.n_items < page->limit); i++) {
		const struct custom_field *custom = filter_custom(&found[i]->def, &filter->custom);
		enum vmrunstate runstate = found[i]->runinfo.runstate;
		bool unknown = is_unknown(f, found[i]);

		*model_append(&list.items, &list.n_items) = (struct vm_list_item){
			.uuid = found[i]->uuid,
			.fields = { found[i]->def.name, found[i]->runinfo.host,
			    unknown ? VMRUNSTATE_NONE : runstate, found[i]->def.vlanid,
			    custom ? *custom : (struct custom_field){ 0 }, found[i]->ts },
			.last = unknown ? runstate : VMRUNSTATE_NONE,
		};
	}
	text = json_encode(&vm_list_model, &list, NULL);
	free(list.items);
	return text;
}

static void
check_vms(struct fixture *f, const struct vm_list_fields *filter, const struct list_page *page)
{
	_free_ char *wanted = wanted_vms(f, filter, page), *again = NULL;
	struct shared_text *text = inventory_vms_json(f->inventory, filter, page);
	struct vm_list list = { 0 };

	assert_string_equal(text->data, wanted);
	assert_int_equal(text->len, strlen(wanted));
	shared_text_drop(text);
	inventory_list_vms(f->inventory, filter, page, &list);
	again = json_encode(&vm_list_model, &list, NULL);
	assert_string_equal(again, wanted);
	model_clear(&vm_list_model, &list);
}

static void
check_hosts(struct fixture *f, const char *name)
{
	const struct host_list_fields filter = { .name = (char *)name };
	_free_ char *wanted = NULL, *text = NULL;
	struct host_list list = { 0 };
	size_t len;

	inventory_list_hosts(f->inventory, &filter, NULL, &list);
	wanted = json_encode(&host_list_model, &list, NULL);
	model_clear(&host_list_model, &list);
	text = inventory_hosts_json(f->inventory, &filter, NULL, &len);
	assert_string_equal(text, wanted);
	assert_int_equal(len, strlen(wanted));
}

/* All of them, or what some query asks for. */
static void
check(struct fixture *f)
{
	struct list_page page = { .exact = below(f, 2) }, whole = { 0 };
	struct vm_list_fields filter = { 0 }, none = { 0 };

	if (below(f, 3) == 0)
		check_vms(f, &none, &whole);
	check_hosts(f, names[below(f, 3)]);
	if (below(f, 2))
		page = (struct list_page){ below(f, VMS + 2), below(f, 9), page.exact, { 0 } };
	if (below(f, 4) == 0)
		filter.name = (char *)names[below(f, ARRAY_SIZE(names))];
	if (below(f, 4) == 0)
		filter.host = (char *)hosts[below(f, ARRAY_SIZE(hosts))];
	if (below(f, 4) == 0)
		filter.runstate = any_state(f);
	if (below(f, 4) == 0)
		filter.vlanid = (int16_t)below(f, 3);
	if (below(f, 4) == 0)
		filter.ts = f->ts - below(f, 100);
	if (below(f, 4) == 0)
		filter.custom.name = (char *)customs[below(f, ARRAY_SIZE(customs))];
	if (below(f, 2) == 0)
		filter.custom.value = (char *)names[below(f, ARRAY_SIZE(names))];
	check_vms(f, &filter, &page);
}

static void
test_never_stale(void **state)
{
	struct fixture f = { .inventory = inventory_new(), .ts = now_ms() };

	for (unsigned int seed = 1; seed <= 5; seed++) {
		f.random.state = seed;
		for (int i = 0; i < ROUNDS; i++) {
			change(&f);
			if (below(&f, 3) == 0)
				check(&f);
		}
		check(&f);
	}
	inventory_free(f.inventory);
}

/* Whole lists, with each change between two of them. */
static void
test_each_change_is_listed(void **state)
{
	const struct vm_list_fields none = { 0 };
	const struct list_page page = { 0 };
	struct fixture f = { .inventory = inventory_new(), .ts = now_ms(), .random.state = 99 };

	for (int i = 0; i < ROUNDS; i++) {
		change(&f);
		check_vms(&f, &none, &page);
		check_hosts(&f, "");
	}
	assert_true(inventory_n_vms(f.inventory) > 0);
	inventory_free(f.inventory);
}

static void
test_empty(void **state)
{
	struct fixture f = { .inventory = inventory_new() };
	const struct vm_list_fields none = { 0 };
	struct shared_text *vms = inventory_vms_json(f.inventory, &none, NULL);

	assert_string_equal(vms->data, "{\"items\":[]}");
	assert_int_equal(vms->len, strlen(vms->data));
	shared_text_drop(vms);
	check_hosts(&f, "");
	inventory_free(f.inventory);
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_never_stale),
		cmocka_unit_test(test_each_change_is_listed),
		cmocka_unit_test(test_empty),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
