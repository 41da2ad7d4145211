/* SPDX-License-Identifier: GPL-2.0-or-later */
/* virtx explain. */
#include "virtx/field_info.h"
#include "virtx/verbs.h"

/* "0 virtio-blk, 1 virtio-scsi"; the caller frees. */
static char *
word_list(const struct field_info *info)
{
	struct buffer words = { 0 };

	for (size_t i = 0; i < info->n_words; i++)
		buffer_printf(
		    &words, "%s%d %s", i ? ", " : "", info->words[i].value, info->words[i].word);
	return buffer_steal(&words, NULL);
}

static void
show_field(struct writer *w, const struct field_info *info)
{
	_free_ char *words = word_list(info);

	writer_field(w, "name", "%s", info->path);
	writer_field(w, "type", "%s", info->type);
	if (!str_empty(info->unit))
		writer_field(w, "unit", "%s, or with one behind the number, as in 4G", info->unit);
	if (info->n_words > 0)
		writer_field(w, "words", "%s", words);
	if (!str_empty(info->bounds))
		writer_field(w, "bounds", "%s", info->bounds);
	writer_field(w, "required", "%s", info->required ? "yes" : "no");
	if (!str_empty(info->initial))
		writer_field(w, "default", "%s", info->initial);
	writer_field(w, "example", "%s", info->example);
	writer_field(w, "about", "%s", info->about);
}

/* Those within it. */
static void
show_fields(struct writer *w, const struct field_info_list *list)
{
	static const char *const titles[] = { "FIELD", "TYPE", "REQUIRED", "~DEFAULT", "~VALUES",
		"~ABOUT" };

	writer_begin(w, titles, ARRAY_SIZE(titles));
	for (size_t i = 1; i < list->n_items; i++) {
		const struct field_info *info = &list->items[i];
		_free_ char *words = word_list(info);

		writer_cell(w, "%s", info->path);
		writer_cell(w, "%s", info->type);
		writer_cell(w, "%s", info->required ? "yes" : "no");
		writer_cell(w, "%s", str_or_empty(info->initial));
		writer_cell(w, "%s", info->n_words > 0 ? words : info->bounds);
		writer_cell(w, "%s", info->about);
	}
	writer_end(w);
}

static enum command_result
explain(struct command_call *call, struct error *err)
{
	struct field_info_list list = { 0 };

	if (field_info_read(str_or_empty(call->operands[0]), &list, err) < 0)
		return COMMAND_USAGE;
	writer_document(call->writer, &field_info_list_model, &list);
	show_field(call->writer, &list.items[0]);
	if (list.n_items > 1)
		show_fields(call->writer, &list);
	model_clear(&field_info_list_model, &list);
	return COMMAND_OK;
}

const struct command explain_command = {
	.words = "explain",
	.operands = { ARG_FIELD_MAYBE },
	.summary = "Tell what a field of a VM's definition is",
	.help =
	    "FIELD is a path as vmdef.disks.bus, or vmdef, which may be left out, for the whole "
	    "definition. No server is asked. virtx-vm(5) has all of them.",
	.examples = "virtx explain vmdef.disks\n"
		    "virtx explain memory.total\n"
		    "virtx explain -o json\n",
	.run = explain,
	.local = true,
};
